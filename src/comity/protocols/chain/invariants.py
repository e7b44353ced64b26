"""What must hold in a replica after every step.

`check` looks at the ends of things and is cheap; `check_log` walks the whole log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.protocols.chain.place import place_of
from comity.protocols.chain.state import COMMAND
from comity.replica import NEVER
from comity.replica.logged import PROBE, REPLICATE, SNAPSHOT, size_of

if TYPE_CHECKING:
    from comity.protocols.chain.core import ChainCore


def check(core: ChainCore) -> None:
    """Raise `InvariantBroken` naming the first invariant that does not hold."""
    flaw = _position(core) or _durability(core) or _place(core) or _reads(core) or _successors(core)
    if flaw:
        raise core.broken(f"{flaw} (role {core.place.role.name}, epoch {core.current.epoch})")


def _position(core: ChainCore) -> str:
    log = core.log
    if not log.base <= core.commit <= log.last:
        return f"base {log.base} <= commit {core.commit} <= last {log.last}"
    if flaw := log.flaw():
        return flaw
    if core.current.epoch and log.last_term > core.current.epoch:
        return f"last epoch {log.last_term} <= epoch"
    if not core.commit <= core.matched <= log.last:
        return f"commit {core.commit} <= matched {core.matched} <= last {log.last}"
    if core.commit > core.own_match():
        return f"{core.commit} is committed, but only {core.own_match()} is durable and matched here"
    if (core.uncommitted_bytes == 0) != (core.commit == log.last):
        return f"{core.uncommitted_bytes} bytes uncommitted in ({core.commit}, {log.last}]"
    if core.dirty.newest and not core.commit < core.dirty.newest <= log.last:
        return f"entry {core.dirty.newest} counts as dirty"
    if core.installing and core.installing <= core.commit:
        return f"snapshot {core.installing} is installed, but {core.commit} is applied"
    return ""


def _durability(core: ChainCore) -> str:
    if not 0 <= core.synced <= core.written or core.view_written > core.written:
        return f"{core.synced} durable, {core.view_written} the view, of {core.written} written"
    if core.durable_index > core.log.last:
        return f"durable up to {core.durable_index}, but the log ends at {core.log.last}"
    if core.unsynced and core.unsynced[0][0] <= core.synced:
        return "entries that are durable wait for their fsync"
    if core.compacted > core.log.base:
        return f"compacted up to {core.compacted}, but the base is {core.log.base}"
    return ""


def _place(core: ChainCore) -> str:
    place = core.place
    if place != place_of(core.node, core.current):
        return "it does not stand where the view says"
    if tuple(core.peers) != place.successors:
        return f"the log goes to {tuple(core.peers)}, not to {place.successors}"
    if not set(core.counted) <= set(core.current.joining):
        return f"{core.counted} count, but {core.current.joining} join"
    if not set(core.reported) <= set(core.counted) or (core.reported and not place.is_tail):
        return f"{core.reported} were reported as caught up, but {core.counted} count"
    if set(core.reported) & set(core.to_report):
        return f"{core.reported} were reported, and are still to be"
    if place.is_head and not core.in_step() and not core.installing:
        return "a head without an entry of its epoch"
    if core.heartbeat_wanted() != (core.heartbeat_due_ns != NEVER):
        return "heartbeats are due to nobody, or not due to somebody"
    due_ns = min(core.heartbeat_due_ns, core.read_retry_ns)
    if core.deadline_ns > due_ns:
        return "a deadline is overlooked"
    return ""


def _reads(core: ChainCore) -> str:
    if bool(core.reads_asked or core.reads_waiting) != (core.read_retry_ns != NEVER):
        return "reads wait without a deadline, or a deadline without reads"
    if core.asked and not core.reads_asked:
        return "others are asked about no reads"
    if core.peer_reads and not core.place.is_tail:
        return "it is not the tail, and others wait for its commit index"
    if core.lease_until_ns != NEVER and any(
        core.granted_ns.get(node, core.lease_until_ns) + core.options.lease_ns < core.lease_until_ns
        for node in core.grantors()
    ):
        return "its lease outlasts a promise"
    return ""


def _successors(core: ChainCore) -> str:
    last = core.log.last
    for peer in core.peers.values():
        if not peer.match < peer.next <= last + 1:
            return f"successor {peer.node}: match {peer.match} < next {peer.next} <= last {last} + 1"
        if peer.inflight and peer.inflight[-1][0] > core.durable_index:
            return f"successor {peer.node} was sent {peer.inflight[-1][0]} of {core.durable_index} durable"
        if peer.state is REPLICATE:
            if peer.paused or peer.transfer is not None:
                return f"successor {peer.node} replicates and is paused or sent a snapshot"
        elif peer.inflight:
            return f"successor {peer.node} has a window outside REPLICATE"
        if (peer.state is SNAPSHOT) != (peer.transfer is not None) or (
            peer.paused and peer.state is not PROBE
        ):
            return f"successor {peer.node}: state {peer.state.name} and transfer do not agree"
        if bool(peer.inflight) != (peer.inflight_bytes > 0):
            return f"successor {peer.node}: {len(peer.inflight)} messages of {peer.inflight_bytes} bytes"
    return ""


def check_log(core: ChainCore) -> None:
    """Raise `InvariantBroken` where the whole log does not make sense."""
    if flaw := core.log.flaw_within(core.current.epoch):
        raise core.broken(flaw)
    uncommitted = dirty = 0
    for index in range(core.log.base + 1, core.log.last + 1):
        entry = core.log.entry(index)
        if index > core.commit:
            uncommitted += size_of(entry)
            keys = core.context.keys_of(entry.payload) if entry.kind == COMMAND else ()
            dirty += keys is None or bool(keys)
            if keys and not core.dirty.touches(keys):
                raise core.broken(f"entry {index} is not committed, but its keys are clean")
    if uncommitted != core.uncommitted_bytes:
        raise core.broken("the uncommitted bytes are not counted right")
    if dirty != len(core.dirty):
        raise core.broken(f"{len(core.dirty)} entries count as dirty, {dirty} are")
