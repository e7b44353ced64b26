"""What must hold in a replica after every step.

`check` looks at the ends of things and is cheap; `check_cells` walks all cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.protocols.quorum.state import CLIENT, HINT
from comity.protocols.quorum.trees import Forest
from comity.protocols.quorum.versions import decode_copy

if TYPE_CHECKING:
    from comity.protocols.quorum.core import QuorumCore


def check(core: QuorumCore) -> None:
    """Raise `InvariantBroken` naming the first invariant that does not hold."""
    flaw = _durability(core) or _phases(core) or _hints(core) or _rounds(core) or _deadline(core)
    if flaw:
        raise core.broken(f"{flaw} (epoch {core.epoch})")


def _durability(core: QuorumCore) -> str:
    if not 0 <= core.synced <= core.turns:
        return f"{core.synced} turns durable of {core.turns}"
    if core.stamps.last > core.stamps.ceiling:
        return f"time {core.stamps.last} was given out above the ceiling {core.stamps.ceiling}"
    if core.ceiling_turn > core.durable_turn():
        return f"the ceiling belongs to turn {core.ceiling_turn} of {core.durable_turn()}"
    if core.own and core.own[-1][0] > core.durable_turn():
        return "an own part waits for a turn that is not there"
    return ""


def _phases(core: QuorumCore) -> str:
    if len(core.pending) > core.options.max_pending:
        return f"{len(core.pending)} operations are pending"
    if len(core.phases) != len(core.pending):
        return f"{len(core.phases)} phases of {len(core.pending)} operations"
    if core.finished and len(core.finished) > core.options.max_repairs:
        return f"{len(core.finished)} reads wait for late answers"
    for number, pending in core.phases.items():
        phase = pending.phase
        if phase is None or phase.number != number or number > core.number:
            return f"phase {number} is not that of its operation"
        if phase.complete():
            return f"phase {number} is complete and not ended"
        if not phase.parts or any(not 0 < part.need <= len(part.nodes) for part in phase.parts):
            return f"phase {number} waits for what cannot come"
        break  # they are all made alike: the oldest will do
    return ""


def _hints(core: QuorumCore) -> str:
    held = sum(len(keys) for keys in core.hints.values())
    if held != core.hint_count or core.hint_bytes < 0 or bool(core.hint_bytes) != bool(held):
        return f"{core.hint_count} hints of {core.hint_bytes} bytes are counted, {held} are held"
    if core.hint_count > core.options.hint_entries:
        return f"{core.hint_count} hints are held"
    if len(core.on_their_way) != len(core.handovers):
        return f"{len(core.handovers)} handovers, {len(core.on_their_way)} places"
    return ""


def _rounds(core: QuorumCore) -> str:
    current = core.round
    if (current is None) != (core.round_retry_ns >= (1 << 63) - 1):
        return "a round without a deadline, or a deadline without a round"
    if current is not None and (current.peer == core.node or not core.trees_built):
        return "a round with itself, or without trees"
    if core.settled > core.epoch:
        return f"settled {core.settled} is ahead"
    if core.settled == core.epoch and core.in_force.outgoing and not core.placement.nodes:
        return "settled without a place"
    return ""


def _deadline(core: QuorumCore) -> str:
    due = min(core.heartbeat_due_ns, core.round_retry_ns, core.round_due_ns, core.collect_due_ns)
    if core.deadline_ns > min(due, core.build_due_ns, core.next_resend_ns()):
        return "a deadline is overlooked"
    if core.tombstones and core.collect_due_ns >= (1 << 63) - 1:
        return "nobody looks at the tombstones"
    return ""


def check_cells(core: QuorumCore) -> None:
    """Raise `InvariantBroken` where trees or books are not those of what is stored."""
    forest = Forest(core.options.merkle_depth)
    hints = 0
    for position, cell_key, cell in core.cells.walk():
        if cell_key[:1] == HINT:
            hints += 1
        if cell_key[:1] != CLIENT or position >= core.built:
            continue
        key = cell_key[1:]
        copy = decode_copy(cell)
        if not core.resolver.legal(copy):
            raise core.broken(f"an illegal copy is stored at {key!r}")
        holders = core.placement.holders(key)
        if core.node in holders:
            forest.change(holders, position, copy.digest(key))
            if copy.removed != (key in core.tombstones):
                raise core.broken(f"the tombstone of {key!r} is not in the books")
        elif holders and key not in core.strays:
            raise core.broken(f"{key!r} belongs elsewhere and is not among the strays")
    if hints != core.hint_count:
        raise core.broken(f"{core.hint_count} hints are counted, {hints} are stored")
    trees = {group: tree.nodes for group, tree in core.forest.trees.items() if tree.nodes}
    if trees != {group: tree.nodes for group, tree in forest.trees.items() if tree.nodes}:
        raise core.broken("the trees are not those of the cells")
