"""One replica of a chain: the layers put together, and the doors to the outside.

The layers, from the ground up: `state.Replica`, `leases.Leases`, `reads.Reads`, `receiving.Receiving`,
`snapshots.Snapshots`, `forwarding.Forwarding`. README.md says which rule of the papers is kept by which
method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comity.protocols.chain import invariants
from comity.protocols.chain.forwarding import Forwarding
from comity.protocols.chain.messages import (
    Append,
    AppendReply,
    Heartbeat,
    InstallSnapshot,
    ReadIndex,
    ReadIndexReply,
    SnapshotReply,
)
from comity.protocols.chain.options import ChainOptions
from comity.protocols.chain.place import flaw_of_view
from comity.protocols.chain.records import counted_record, view_record
from comity.protocols.chain.state import LONG_AGO_NS
from comity.replica import NEVER, CoreContext, Effects, NodeId, Record, Recovered, View
from comity.replica.logged import base_record


class ChainCore(Forwarding):
    """A complete replica of a chain (van Renesse & Schneider 2004; Terrace & Freedman 2009).

    Raises `UnusableRecord` at construction where the journal cannot be used.
    """

    def __init__(self, context: CoreContext, options: ChainOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.fence_seen_ns = LONG_AGO_NS
        """The fence whose passing was acted upon."""
        self.handlers: dict[type, Callable[[int, NodeId, Any], None]] = {
            Append: self.on_append,
            AppendReply: self.on_append_reply,
            Heartbeat: self.on_heartbeat,
            ReadIndex: self.on_read_index,
            ReadIndexReply: self.on_read_index_reply,
            InstallSnapshot: self.on_install_snapshot,
            SnapshotReply: self.on_snapshot_reply,
        }

    # -- life

    def start(self, now_ns: int) -> None:
        """Write down what recovery concluded, take the place the view gives."""
        self.started_ns = now_ns
        self.fence_ns = self.fence_of_start(now_ns)
        if self.recorded_base != (self.log.base, self.log.base_term):
            self.write_base()
        self.remember("start", now_ns, self.current.epoch, self.log.base, self.commit, self.log.last)
        if self.current.epoch:
            self.floor = self.log.last if self.in_step() else 0
            self.reported = self.counted if self.place.is_tail else ()
            self.take_up(now_ns)
        self.view(now_ns, self.context.view)
        self.set_deadline()

    def view(self, now_ns: int, view: View) -> None:
        """Adopt a later view; it is durable before anything is said under it."""
        if view.epoch <= self.current.epoch:
            return
        flaw = flaw_of_view(view)
        if not flaw and view.epoch <= self.log.last_term:
            flaw = f"this replica holds entries of epoch {self.log.last_term}: give out a later one"
        if flaw:
            self.context.note("chain.view_refused", epoch=view.epoch, reason=flaw)
            return
        self.remember("view", now_ns, view.epoch, view.nodes, view.joining)
        self.fence_ns = max(self.fence_ns, self.fence_for(now_ns, view))
        self.take_place(view)
        self.counted = self.reported = ()
        self.to_report.clear()
        self.floor = 0
        self.matched = self.recovered_match()
        self.write_view()
        self.begin_epoch()
        self.take_up(now_ns)
        self.move_reads(now_ns)

    def take_up(self, now_ns: int) -> None:
        """Begin the work of this replica's place."""
        if self.place.is_head:
            self.matched = self.log.last
        self.gather_peers(now_ns)
        self.open_epoch()
        self.renew_lease()
        self.acknowledgement_due = True
        self.heartbeat_due_ns = now_ns if self.heartbeat_wanted() else NEVER
        self.set_deadline()

    def wake(self, now_ns: int) -> None:
        """Carry out what is due."""
        if now_ns >= self.heartbeat_due_ns:
            self.tick(now_ns)
        if now_ns >= self.read_retry_ns:
            self.read_timeout(now_ns)
        if now_ns >= self.fence_ns > self.fence_seen_ns:
            self.fence_seen_ns = self.fence_ns
            self.pending = True
        self.set_deadline()

    def tick(self, now_ns: int) -> None:
        """On the heartbeat grid: a heartbeat, and whatever was lost is sent again."""
        self.heartbeat_due_ns = self.next_heartbeat(now_ns)
        self.beat(now_ns)
        if not self.fenced(now_ns):
            for peer in self.peers.values():
                self.retransmit(now_ns, peer)

    def set_deadline(self) -> None:
        """The least of the deadlines in force."""
        fence_ns = self.fence_ns if self.fence_ns > self.fence_seen_ns and self.place.in_chain else NEVER
        self.deadline_ns = min(self.heartbeat_due_ns, self.read_retry_ns, fence_ns)

    def take(self, now_ns: int) -> Effects:
        """Close the batch of this turn."""
        if self.pending:
            self.end_turn(now_ns)
        taken, self.effects = self.effects, Effects()
        return taken

    @property
    def busy(self) -> bool:
        """Whether `take` has anything to do or to hand over."""
        return self.pending or bool(self.effects)

    # -- peers and disk

    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        """A message from a peer. Of another epoch it is refused: older ones are fenced off, and a newer
        view is for the control group to give out."""
        handler = self.handlers.get(type(message))
        if handler is None:
            self.drop(sender, message, "not a message of a chain")
        elif not self.accepts_epoch(message.epoch):
            older = message.epoch < self.current.epoch
            self.drop(sender, message, "of an older epoch" if older else "of a newer epoch")
        elif sender not in self.place.others:
            self.drop(sender, message, "not in the view")
        else:
            handler(now_ns, sender, message)

    def accepts_epoch(self, epoch: int) -> bool:
        """The fencing token: only messages of the view in force are listened to."""
        return epoch == self.current.epoch

    def persisted(self, now_ns: int, records: int) -> None:
        """Records are durable: they count, and go on to the successor."""
        before = self.own_match()
        self.note_durable(records)
        if self.own_match() > before:
            self.acknowledgement_due = True
        self.follow_commit()
        self.report()
        self.pending = True
        self.set_deadline()

    def checkpoint(self) -> Sequence[Record]:
        """What a new journal segment begins with."""
        records = [view_record(self.current)]
        if self.counted and self.place.is_tail:
            records.append(counted_record(self.current.epoch, self.counted))
        if self.log.base:
            records.append(base_record(self.log.base, self.log.base_term))
        return records

    def snapshot_installed(self, now_ns: int, index: int) -> None:
        """As the layer below; a head that had to wait for it can begin."""
        super().snapshot_installed(now_ns, index)
        self.open_epoch()

    # -- looking inside

    def check(self) -> None:
        """Audit every invariant that can be seen without walking the log."""
        invariants.check(self)

    def deep_check(self) -> None:
        """Audit the whole log too."""
        invariants.check(self)
        invariants.check_log(self)

    @property
    def position(self) -> tuple[int, int]:
        """(epoch, index) of the last durable entry."""
        return (max(self.log.term(self.durable_index), 0), self.durable_index)

    @property
    def leader(self) -> NodeId:
        """The head, as far as this replica knows; 0 for nobody."""
        return self.place.head

    def status(self) -> Mapping[str, Any]:
        """For people and dashboards."""
        return {
            "role": self.place.role.name.lower(),
            "term": self.current.epoch,
            "leader": self.place.head,
            "chain": list(self.current.nodes),
            "joining": list(self.current.joining),
            "counted": list(self.counted),
            "caught_up": list(self.reported),
            "commit": self.commit,
            "applied": self.commit,
            "last": self.log.last,
            "last_term": self.log.last_term,
            "matched": self.matched,
            "durable": self.durable_index,
            "base": self.log.base,
            "log_bytes": self.log.size_bytes,
            "uncommitted_bytes": self.uncommitted_bytes,
            "dirty": len(self.dirty),
            "reads_clean": self.reads_clean,
            "reads_dirty": self.reads_dirty,
            "reads_waiting": len(self.reads_asked) + len(self.reads_waiting),
            "members": {"voters": list(self.members.voters), "learners": list(self.members.learners)},
            "dropped": dict(sorted(self.dropped.items())),
            "peers": {
                str(peer.node): {
                    "state": peer.state.name.lower(),
                    "match": peer.match,
                    "next": peer.next,
                    "inflight": len(peer.inflight),
                    "inflight_bytes": peer.inflight_bytes,
                }
                for peer in self.peers.values()
            },
        }
