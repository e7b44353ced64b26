"""What must hold in a replica after every step.

`check` looks at the ends of things and is cheap; `check_log` walks the whole log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.protocols.primary_backup.progress import PROBE, REPLICATE, SNAPSHOT
from comity.protocols.primary_backup.reigns import epoch_of, start_of
from comity.protocols.primary_backup.state import OUTSIDE, PRIMARY
from comity.replica import NEVER

if TYPE_CHECKING:
    from comity.protocols.primary_backup.core import PrimaryBackupCore


def check(core: PrimaryBackupCore) -> None:
    """Raise `InvariantBroken` naming the first invariant that does not hold."""
    flaw = _position(core) or _durability(core) or _role(core)
    if not flaw and core.role is PRIMARY:
        flaw = _primary(core) or _peers(core)
    if flaw:
        raise core.broken(f"{flaw} (role {core.role.name}, epoch {core.current.epoch})")


def _position(core: PrimaryBackupCore) -> str:
    log = core.log
    if not log.base <= core.commit <= log.last:
        return f"base {log.base} <= commit {core.commit} <= last {log.last}"
    if flaw := log.flaw():
        return flaw
    if epoch_of(log.last_term) > core.current.epoch:
        return f"an entry of reign {log.last_term} under reign {core.reign}"
    if core.following and core.matched > log.last:
        return f"matched {core.matched} <= last {log.last}"
    return ""


def _durability(core: PrimaryBackupCore) -> str:
    if not 0 <= core.synced <= core.written or core.hard_state_written > core.written:
        return f"{core.synced} durable, {core.hard_state_written} hard state, of {core.written} written"
    if core.hard_state != (core.reign, core.current, core.counted):
        return f"the view written is {core.hard_state}, not {(core.reign, core.current, core.counted)}"
    if epoch_of(core.reign) != core.current.epoch:
        return f"reign {core.reign} is not of the view in force"
    if core.durable_index > core.log.last:
        return f"durable up to {core.durable_index}, but the log ends at {core.log.last}"
    if core.unsynced and core.unsynced[0][0] <= core.synced:
        return "entries that are durable wait for their fsync"
    if core.compacted > core.log.base:
        return f"compacted up to {core.compacted}, but the base is {core.log.base}"
    if core.last_chunk is not None and not core.installing:
        return "the last chunk of no snapshot is kept back"
    if core.installing and core.incoming is None:
        return "a snapshot nobody sent is being installed"
    return ""


def _role(core: PrimaryBackupCore) -> str:
    view = core.current
    if core.role is PRIMARY:
        if not view.nodes or view.nodes[0] != core.node or core.superseded:
            return "it leads a view that is not its own"
        if core.heartbeat_due_ns == NEVER:
            return "a primary that does not tick"
        if core.deadline_ns > min(core.heartbeat_due_ns, core.commit_due_ns, core.hold_due_ns):
            return "a primary's deadline is overlooked"
        if core.reads_asked:
            return "a primary that asks another for reads"
        if core.installing or core.diverged:
            return "a primary whose state machine is being replaced"
        return ""
    if core.heartbeat_due_ns != NEVER or core.peers or core.declared:
        return "leadership outlived the primary"
    if core.deadline_ns > core.read_retry_ns:
        return "a backup's deadline is overlooked"
    if core.role is OUTSIDE:
        if core.reads_waiting or core.reads_asked:
            return "reads wait where nothing is served"
        return ""
    if core.node not in (*view.nodes[1:], *view.joining):
        return "it follows in a view it is no part of"
    if core.options.sync and core.diverged:
        return "it has applied what a sync primary does not have"
    return ""


def _primary(core: PrimaryBackupCore) -> str:
    last = core.log.last
    if not start_of(core.reign):
        return "a primary that has not started"
    if not 0 < core.first_index <= last or core.log.last_term != core.reign:
        return f"no entry of its reign: first {core.first_index}, last {last}"
    if core.first_index <= core.commit > core.durable_index:
        return f"committed up to {core.commit}, durable up to {core.durable_index}"
    if core.options.sync and core.commit >= core.first_index:
        behind = [peer.node for peer in core.deciding if peer.match < core.commit]
        if any(node in core.current.nodes or node in core.declared for node in behind):
            return f"replicas {behind} count and lack what is committed (up to {core.commit})"
    if (core.uncommitted_bytes == 0) != (core.commit == last):
        return f"{core.uncommitted_bytes} bytes uncommitted in ({core.commit}, {last}]"
    if core.read_round > core.round:
        return f"round {core.round}, reads in {core.read_round}"
    if any(node not in core.counted for node in core.declared):
        return "a joining replica is declared and does not count"
    if core.secured != core.secured_match():
        return f"the backups count for {core.secured}, and hold {core.secured_match()}"
    return ""


def _peers(core: PrimaryBackupCore) -> str:
    last = core.log.last
    for peer in core.peers:
        if not peer.match < peer.next <= last + 1:
            return f"replica {peer.node}: match {peer.match} < next {peer.next} <= last {last} + 1"
        if peer.state is REPLICATE:
            if peer.paused or peer.transfer is not None:
                return f"replica {peer.node} replicates and is paused or sent a snapshot"
        elif peer.inflight:
            return f"replica {peer.node} has a window outside REPLICATE"
        if (peer.state is SNAPSHOT) != (peer.transfer is not None) or (
            peer.paused and peer.state is not PROBE
        ):
            return f"replica {peer.node}: state {peer.state.name} and transfer do not agree"
        if bool(peer.inflight) != (peer.inflight_bytes > 0):
            return f"replica {peer.node}: {len(peer.inflight)} messages of {peer.inflight_bytes} bytes"
        if peer.commit_sent > core.commit or peer.round > core.round:
            return f"replica {peer.node} was told of commit {peer.commit_sent}, round {peer.round}"
    return ""


def check_log(core: PrimaryBackupCore) -> None:
    """Raise `InvariantBroken` where the whole log does not make sense."""
    log = core.log
    if flaw := log.flaw_within(core.reign):
        raise core.broken(flaw)
    if core.role is PRIMARY:
        if core.uncommitted_bytes != core.count_uncommitted_bytes():
            raise core.broken("the uncommitted bytes are not counted right")
        held = sum(len(entry.payload) for entry in log.after(core.secured))
        if core.secured >= log.base and core.unreplicated_bytes != held:
            raise core.broken(f"{core.unreplicated_bytes} bytes count as unreplicated, and {held} are")
