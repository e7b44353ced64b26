"""One replica of one Raft group: the layers put together, and the doors to the outside.

The layers, from the ground up: `state.Replica`, `election.Election`, `reads.Reads`,
`following.Following`, `snapshots.Snapshots`, `leading.Leading`, `membership.Membership`. README.md
says which rule of the paper and the thesis is kept by which method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comity.protocols.raft import invariants
from comity.protocols.raft.membership import Membership, describe
from comity.protocols.raft.messages import (
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestPreVote,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from comity.protocols.raft.options import RaftOptions
from comity.protocols.raft.records import hard_state_record
from comity.protocols.raft.state import CANDIDATE, LEADER
from comity.replica import CoreContext, Effects, NodeId, Record, Recovered
from comity.replica.logged import base_record


class RaftCore(Membership):
    """A complete Raft replica (Ongaro & Ousterhout 2014; Ongaro's thesis, 2014).

    Raises `UnusableRecord` at construction where the journal cannot be used.
    """

    def __init__(self, context: CoreContext, options: RaftOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.fresh = not recovered.records and not recovered.applied
        self.handlers: dict[type, Callable[[int, NodeId, Any], None]] = {
            Heartbeat: self.on_heartbeat,
            HeartbeatReply: self.on_heartbeat_reply,
            Append: self.on_append,
            AppendReply: self.on_append_reply,
            ReadIndex: self.on_read_index,
            ReadIndexReply: self.on_read_index_reply,
            RequestPreVote: self.on_request_pre_vote,
            PreVoteReply: self.on_pre_vote_reply,
            RequestVote: self.on_request_vote,
            VoteReply: self.on_vote_reply,
            InstallSnapshot: self.on_install_snapshot,
            SnapshotReply: self.on_snapshot_reply,
            TimeoutNow: self.on_timeout_now,
        }

    # -- life

    def start(self, now_ns: int) -> None:
        """Write down what recovery concluded, arm the first election."""
        if self.recorded_base != (self.log.base, self.log.base_term):
            self.write_base()
        if self.recorded_term != self.term:
            self.write_hard_state()
        self.remember("start", now_ns, self.term, self.log.base, self.commit, self.log.last)
        recovered_commit = self.recovered_commit()
        if recovered_commit > self.commit:
            self.commit_to(now_ns, recovered_commit)
        self.start_elections(now_ns, self.fresh)
        if self.sole_voter():
            self.campaign(now_ns)

    def wake(self, now_ns: int) -> None:
        """Carry out what is due."""
        if self.role is LEADER:
            if now_ns >= self.heartbeat_due_ns:
                self.tick(now_ns)
            if now_ns >= self.transfer_due_ns:
                self.transfer_timeout()
            if now_ns >= self.commit_due_ns:
                self.pending = True
        else:
            if now_ns >= self.election_due_ns:
                self.election_timeout(now_ns)
            if now_ns >= self.read_retry_ns:
                self.read_timeout(now_ns)
        self.set_deadline()

    def set_deadline(self) -> None:
        """The least of the deadlines in force."""
        if self.role is LEADER:
            self.deadline_ns = min(self.heartbeat_due_ns, self.transfer_due_ns, self.commit_due_ns)
        else:
            self.deadline_ns = min(self.election_due_ns, self.read_retry_ns)

    def take(self, now_ns: int) -> Effects:
        """Close the batch of this turn."""
        if self.role is LEADER:
            if self.pending:
                if self.transferee:
                    self.pursue_transfer()
                self.end_leader_turn(now_ns)
        elif self.acknowledgement_due or self.reads_waiting:
            self.end_follower_turn(now_ns)
        taken, self.effects = self.effects, Effects()
        return taken

    @property
    def busy(self) -> bool:
        """Whether `take` has anything to do or to hand over."""
        if self.role is LEADER:
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
            self.drop(sender, message, "not a message of raft")
        elif sender == self.node or sender < 1:
            self.drop(sender, message, "impossible sender")
        else:
            handler(now_ns, sender, message)

    def persisted(self, now_ns: int, records: int) -> None:
        """Records are durable: a candidate's own vote counts, and a leader's own log."""
        self.note_durable(records)
        if self.role is LEADER:
            self.advance_commit(now_ns)
        elif self.role is CANDIDATE:
            self.count_own_vote(now_ns)

    def checkpoint(self) -> Sequence[Record]:
        """What a new journal segment begins with."""
        records = [hard_state_record(self.term, self.vote)]
        if self.log.base:
            records.append(base_record(self.log.base, self.log.base_term))
        return records

    # -- looking inside

    def check(self) -> None:
        """Audit every invariant that can be seen without walking the log."""
        invariants.check(self)

    def deep_check(self) -> None:
        """Audit the whole log too."""
        invariants.check(self)
        invariants.check_log(self)

    @property
    def leader(self) -> NodeId:
        """Who leads, as far as this replica knows; 0 for nobody."""
        return self.leader_id

    def status(self) -> Mapping[str, Any]:
        """For people and dashboards."""
        role = self.role.name.lower().replace("_", "-")
        if self.node in self.members.learners:
            role = "learner"
        status: dict[str, Any] = {
            "role": role,
            "term": self.term,
            "vote": self.vote,
            "leader": self.leader_id,
            "commit": self.commit,
            "applied": self.commit,
            "last": self.log.last,
            "last_term": self.log.last_term,
            "durable": self.durable_index,
            "base": self.log.base,
            "log_bytes": self.log.size_bytes,
            "members": describe(self.members),
            "dropped": dict(sorted(self.dropped.items())),
        }
        if self.role is LEADER:
            status["uncommitted_bytes"] = self.uncommitted_bytes
            status["transferee"] = self.transferee
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
