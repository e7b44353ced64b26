"""What must hold in a replica after every step."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from comity.protocols.paxos.registers import decode_acceptance, decode_register, mark_of
from comity.protocols.paxos.slots import Phase
from comity.protocols.paxos.state import CLIENT

if TYPE_CHECKING:
    from comity.protocols.paxos.core import PaxosCore
    from comity.protocols.paxos.slots import Slot

LOOKED_AT = 16
"""Keys looked at in one check."""


def check(core: PaxosCore) -> None:
    """Raise `InvariantBroken` naming the first invariant that does not hold."""
    flaw = _durability(core) or _bounds(core) or _view(core)
    if not flaw:
        for slot in itertools.islice(core.slots.values(), LOOKED_AT):
            flaw = _slot(core, slot) or _register(core, slot.key)
            if flaw:
                flaw = f"key {slot.key!r}: {flaw}"
                break
    if not flaw:
        flaw = _cache(core)
    if flaw:
        raise core.broken(f"{flaw} (epoch {core.epoch}, counter {core.counter.value})")


def _durability(core: PaxosCore) -> str:
    if not 0 <= core.synced <= core.written:
        return f"{core.synced} writes durable of {core.written}"
    if core.counter.durable > core.counter.reserved:
        return f"ballots up to {core.counter.durable} are durable, {core.counter.reserved} reserved"
    if core.gated_answers and core.gated_answers[0][0] <= core.synced:
        return "answers to itself wait for what is durable"
    return ""


def _bounds(core: PaxosCore) -> str:
    options = core.options
    if len(core.pendings) > options.max_waiting:
        return f"{len(core.pendings)} operations wait"
    if max(len(core.cache), len(core.known_chosen)) > options.max_cached:
        return f"{len(core.cache)} promises and {len(core.known_chosen)} ballots are cached"
    if len(core.tombstones) > options.max_tombstones or len(core.collections) > options.collect_window:
        return f"{len(core.tombstones)} tombstones wait, {len(core.collections)} are being collected"
    return ""


def _view(core: PaxosCore) -> str:
    if core.settled_epoch > core.epoch:
        return f"settled in {core.settled_epoch}, a later view than its own"
    if core.mover is not None and core.settled_epoch == core.epoch:
        return "keys move into a view that is settled"
    if core.cache and not core.active:
        return "promises are cached outside the view"
    return ""


def _slot(core: PaxosCore, slot: Slot) -> str:
    proposer = slot.proposer
    under_way = slot.phase is Phase.PREPARE or slot.phase is Phase.ACCEPT
    if under_way != (proposer is not None):
        return f"phase {slot.phase.name} and a proposer do not agree"
    if under_way and slot.due_ns < 0:
        return "a round has no deadline"
    if slot.running and slot.phase is not Phase.ACCEPT:
        return f"operations run in phase {slot.phase.name}"
    if proposer is not None:
        if proposer.ballot[1] != core.node or proposer.ballot[0] > core.counter.value:
            return f"ballot {proposer.ballot} was never drawn here"
        if proposer.proposed != (slot.phase is Phase.ACCEPT):
            return "a value is proposed outside phase 2, or none in it"
        if proposer.chosen:
            return "a chosen value is still being proposed"
    for pending in slot.waiting:
        if pending.tries and not pending.gone and not any(counter in slot.tries for counter in pending.tries):
            return "an undecided operation cannot be looked up"
    return ""


def _register(core: PaxosCore, key: bytes) -> str:
    cell = core.cells.get(CLIENT + key)
    if cell is None:
        return ""
    held = decode_acceptance(cell)
    if held.promise < held.accepted:
        return f"accepted {held.accepted}, above the promise {held.promise}"
    if (held.value is None) != (held.accepted == (0, 0)):
        return f"a value {held.value!r} and ballot {held.accepted} do not agree"
    mark = mark_of(decode_register(held.value).marks, core.node)
    if mark > core.counter.value:
        return f"its history has ballot {mark} of this node, which was never drawn"
    return ""


def _cache(core: PaxosCore) -> str:
    for key, cached in itertools.islice(reversed(core.cache.items()), LOOKED_AT):
        if cached.following > core.counter.value:
            return f"key {key!r}: the promise {cached.following} is for a ballot never drawn"
        slot = core.slots.get(key)
        if slot is not None and (slot.phase is Phase.PREPARE or slot.phase is Phase.ACCEPT):
            return f"key {key!r}: a cached promise outlived the round that uses it"
    return ""
