"""One replica of one primary-backup group: the layers put together, and the doors to the outside.

The layers, from the ground up: `state.Replica`, `reads.Reads`, `following.Following`, `snapshots.Snapshots`,
`leading.Leading`, `views.Views`. README.md says which rule of the papers is kept by which method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comity.protocols.primary_backup import invariants
from comity.protocols.primary_backup.messages import (
    Append,
    AppendReply,
    Fenced,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Present,
    ReadIndex,
    ReadIndexReply,
    SnapshotReply,
)
from comity.protocols.primary_backup.options import LEASE, PrimaryBackupOptions
from comity.protocols.primary_backup.records import hard_state_record, replacing_record
from comity.protocols.primary_backup.reigns import start_of
from comity.protocols.primary_backup.state import OUTSIDE, PRIMARY
from comity.protocols.primary_backup.views import Views
from comity.replica import NEVER, CoreContext, Effects, NodeId, Record, Recovered
from comity.replica.logged import base_record


class PrimaryBackupCore(Views):
    """A complete replica (Alsberg & Day 1976; Lamport, Malkhi & Zhou 2009).

    Raises `UnusableRecord` at construction where the journal cannot be used.
    """

    def __init__(self, context: CoreContext, options: PrimaryBackupOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.fresh = not recovered.records and not recovered.applied
        self.handlers: dict[type, Callable[[int, NodeId, Any], None]] = {
            Append: self.on_append,
            AppendReply: self.on_append_reply,
            Heartbeat: self.on_heartbeat,
            HeartbeatReply: self.on_heartbeat_reply,
            Present: self.on_present,
            Fenced: self.on_fenced,
            InstallSnapshot: self.on_install_snapshot,
            SnapshotReply: self.on_snapshot_reply,
            ReadIndex: self.on_read_index,
            ReadIndexReply: self.on_read_index_reply,
        }

    # -- life

    def start(self, now_ns: int) -> None:
        """Write down what recovery concluded, then take the place the latest view known gives."""
        log = self.log
        self.remember("start", now_ns, self.reign, log.base, self.commit, log.last)
        if self.recorded_base != (log.base, log.base_term):
            if log.entries or log.base > self.recorded_base[0]:
                self.write_base()
            else:
                self.write_replaced()
        if self.options.reads == LEASE and not self.fresh:
            self.restart_hold_ns = now_ns + self.options.lease_ns
        if self.context.view.epoch > self.current.epoch:
            self.adopt(now_ns, self.context.view)
        else:
            self.assume_role(now_ns)
        if self.role is OUTSIDE:
            self.set_deadline()

    def wake(self, now_ns: int) -> None:
        """Carry out what is due."""
        if self.role is PRIMARY:
            if now_ns >= self.heartbeat_due_ns:
                self.tick(now_ns)
                self.consider_joining(now_ns)
                self.settled_commit = self.commit
            if now_ns >= self.hold_due_ns:
                self.hold_due_ns = NEVER
                self.advance_commit(now_ns)
            if now_ns >= self.commit_due_ns:
                self.pending = True
        elif now_ns >= self.read_retry_ns:
            self.read_timeout(now_ns)
        self.set_deadline()

    def set_deadline(self) -> None:
        """The least of the deadlines in force."""
        if self.role is PRIMARY:
            self.deadline_ns = min(self.heartbeat_due_ns, self.commit_due_ns, self.hold_due_ns)
        else:
            self.deadline_ns = self.read_retry_ns

    def take(self, now_ns: int) -> Effects:
        """Close the batch of this turn."""
        if self.role is PRIMARY:
            if self.pending:
                self.end_primary_turn(now_ns)
        elif self.acknowledgement_due or self.reads_waiting:
            self.end_backup_turn(now_ns)
        taken, self.effects = self.effects, Effects()
        return taken

    @property
    def busy(self) -> bool:
        """Whether `take` has anything to do or to hand over."""
        if self.role is PRIMARY:
            if self.pending:
                return True
        elif self.acknowledgement_due or (self.reads_waiting and not self.reads_asked):
            return True
        return bool(self.effects)

    # -- peers and disk

    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        """A message from a peer."""
        handler = self.handlers.get(type(message))
        if handler is None:
            self.drop(sender, message, "not a message of primary-backup")
        elif sender == self.node or sender < 1:
            self.drop(sender, message, "impossible sender")
        elif self.admits(now_ns, sender, message):
            handler(now_ns, sender, message)

    def persisted(self, now_ns: int, records: int) -> None:
        """Records are durable: a primary's own log counts, and what waited for the view goes on."""
        self.note_durable(records)
        self.release_last_chunk()
        if self.role is PRIMARY:
            self.advance_commit(now_ns)
            if self.current.joining:
                self.consider_joining(now_ns)
        elif self.following:
            self.follow_commit()

    def checkpoint(self) -> Sequence[Record]:
        """What a new journal segment begins with."""
        records = [hard_state_record(*self.hard_state)]
        if self.log.base:
            records.append(base_record(self.log.base, self.log.base_term))
        if self.installing and self.incoming is not None and self.incoming.replacing:
            records.append(replacing_record(self.installing, self.incoming.last_reign))
        return records

    # -- looking inside

    def check(self) -> None:
        """Audit every invariant that can be seen without walking the log."""
        invariants.check(self)

    def deep_check(self) -> None:
        """Audit the whole log too."""
        invariants.check(self)
        invariants.check_log(self)

    def status(self) -> Mapping[str, Any]:
        """For people and dashboards."""
        view = self.current
        status: dict[str, Any] = {
            "role": self.role.name.lower(),
            "term": view.epoch,
            "epoch": view.epoch,
            "start": start_of(self.reign),
            "leader": self.leader,
            "mode": self.options.mode,
            "reads": self.options.reads,
            "commit": self.commit,
            "applied": self.commit,
            "last": self.log.last,
            "last_term": self.log.last_term,
            "durable": self.durable_index,
            "base": self.log.base,
            "log_bytes": self.log.size_bytes,
            "members": {"voters": list(view.nodes), "outgoing": [], "learners": list(view.joining)},
            "superseded": self.superseded,
            "diverged": self.diverged,
            "installing": self.installing,
            "dropped": dict(sorted(self.dropped.items())),
        }
        if self.role is PRIMARY:
            status["caught_up"] = list(self.caught_up)
            status["uncommitted_bytes"] = self.uncommitted_bytes
            status["unreplicated_entries"] = self.log.last - self.secured if self.deciding else 0
            status["unreplicated_bytes"] = self.unreplicated_bytes if self.deciding else 0
            status["loss_bound_entries"] = self.options.loss_entries
            status["loss_bound_bytes"] = self.options.loss_bytes
            status["peers"] = {
                str(peer.node): {
                    "state": peer.state.name.lower(),
                    "match": peer.match,
                    "next": peer.next,
                    "inflight": len(peer.inflight),
                    "inflight_bytes": peer.inflight_bytes,
                }
                for peer in self.peers
            }
        return status
