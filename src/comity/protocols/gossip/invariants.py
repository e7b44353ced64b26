"""What must hold in a replica after every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.protocols.gossip.vectors import covers

if TYPE_CHECKING:
    from comity.protocols.gossip.core import GossipCore


def check(core: GossipCore) -> None:
    """Raise `InvariantBroken` naming the first invariant that does not hold."""
    flaw = _counters(core) or _logs(core) or _bounds(core) or _standing(core) or _durability(core)
    if flaw:
        raise core.broken(flaw)


def _counters(core: GossipCore) -> str:
    published = core.vector.get(core.origin, 0)
    if published > core.counter:
        return f"published up to dot {published}, but only {core.counter} were given out"
    if core.joined and not core.deltas and published != core.counter:
        return f"dots up to {core.counter} were given out, but {published} is published and nothing waits"
    if not covers(core.vector, core.stable) and core.joined:
        return f"stable {core.stable} is not covered by what was delivered, {core.vector}"
    if core.deltas and core.transfer is not None and core.transfer.start is not None:
        return "it writes, and is not causally consistent"
    return ""


def _logs(core: GossipCore) -> str:
    for origin, log in core.logs.items():
        if log.last != core.vector.get(origin, 0):
            return f"the log of {origin} ends at {log.last}, not at {core.vector.get(origin, 0)}"
        if log.held and log.held[0].batch.previous != log.floor:
            return f"the log of {origin} begins after {log.held[0].batch.previous}, not after {log.floor}"
        if bool(log.held) != (log.size_bytes > 0):
            return f"the log of {origin} counts {log.size_bytes} bytes"
    for origin in core.vector:
        if origin not in core.logs:
            return f"{origin} was delivered and has no log"
    return ""


def _bounds(core: GossipCore) -> str:
    options = core.options
    if not 0 <= core.buffered_bytes <= options.max_buffer_bytes or bool(core.buffered_count) != bool(
        core.buffered_bytes
    ):
        return f"{core.buffered_count} buffered batches of {core.buffered_bytes} bytes"
    if len(core.waiting) > options.max_waiting:
        return f"{len(core.waiting)} operations wait, more than {options.max_waiting}"
    for origin, waiting in core.buffered.items():
        have = core.vector.get(origin, 0)
        for previous, batch in waiting.items():
            if previous < have:
                return f"a batch of {origin} after {previous} waits, and {have} is delivered"
            if core.may_deliver(batch):
                return f"the batch of {origin} after {previous} could be delivered and waits"
    return ""


def _standing(core: GossipCore) -> str:
    if core.joined > core.in_force.epoch:
        return f"joined in {core.joined}, but the view is {core.in_force.epoch}"
    if core.must_start_over(core.admitted.get(core.node, 0)):
        return "it was out of a view, and goes on as if it had not been"
    transfer = core.transfer
    if transfer is not None and core.causally_complete(transfer):
        return "the transfer is complete, and it does not serve"
    if core.peers and list(core.peers) != [n for n in core.in_force.everyone() if n != core.node]:
        return f"peers {list(core.peers)} are not those of the view"
    return ""


def _durability(core: GossipCore) -> str:
    if not 0 <= core.durable_turns <= core.turns:
        return f"{core.durable_turns} durable turns of {core.turns}"
    if len(core.unsynced) != core.turns - core.durable_turns:
        return f"{len(core.unsynced)} turns wait, of {core.turns - core.durable_turns}"
    for turn in core.unsynced:
        if turn.number <= core.durable_turns:
            return f"turn {turn.number} is durable and waits"
    for key, number in core.dirty.items():
        if not core.durable_turns < number <= core.turns:
            return f"key {key!r} waits for turn {number}"
    if core.deadline_ns > min(core.round_due_ns, core.retry_due_ns, core.cells_due_ns, core.alone_due_ns):
        return "a deadline is overlooked"
    return ""
