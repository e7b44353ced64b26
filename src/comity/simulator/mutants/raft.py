"""Wrong Rafts, one method each."""

from __future__ import annotations

from comity.protocols.raft import RaftCore
from comity.protocols.raft.log import Log
from comity.protocols.raft.messages import AppendReply, Entry
from comity.protocols.raft.options import RaftOptions
from comity.protocols.raft.records import hard_state_record
from comity.replica import CoreContext, Members, NodeId, Recovered


class VoteNotPersisted(RaftCore):
    """The term is written down, the vote is not."""

    def write_hard_state(self) -> None:
        """As the real one, without the vote."""
        super().write_hard_state()
        self.effects.write[-1] = hard_state_record(self.term, 0)


class AcknowledgesBeforeSync(RaftCore):
    """A follower answers an Append before its log is durable."""

    def acknowledge(self, leader: NodeId, reply: AppendReply) -> None:
        """In the lane that waits for nothing."""
        self.send(leader, reply)


class CountsItselfBeforeSync(RaftCore):
    """A leader counts its own copy before it is durable."""

    def own_match(self) -> int:
        """All of the log."""
        return self.log.last


class CommitsOldTerms(RaftCore):
    """An entry of an earlier term is committed by counting (the paper's figure 8)."""

    def may_commit(self, index: int) -> bool:
        """Any term will do."""
        return True


class ReadsBeforeItsTerm(RaftCore):
    """A new leader answers reads before an entry of its term is committed."""

    def may_serve_reads(self) -> bool:
        """At once."""
        return True


class ReadsWhenDeposed(RaftCore):
    """A leader answers reads without asking whether it still leads."""

    def serves_at_once(self, now_ns: int) -> bool:
        """It believes itself."""
        return self.may_serve_reads()


class LeaseIgnoresDrift(RaftCore):
    """The lease lasts as long as if every clock were perfect."""

    def lease_duration_ns(self) -> int:
        """The election timeout, unshortened."""
        return self.options.election_ns


class ChangesInOneStep(RaftCore):
    """A change of several members takes effect in one step: old and new majorities need not overlap."""

    def first_step(self, target: Members) -> Members:
        """No joint configuration."""
        return target


class TruncatesMatchedEntries(RaftCore):
    """A follower drops entries it holds already when an old Append comes late."""

    def first_new(self, previous: int, entries: list[Entry]) -> int:
        """Everything counts as new."""
        return 0


class CommitsAheadAfterRestart(RaftCore):
    """After a restart everything in the log counts as committed."""

    def recovered_commit(self) -> int:
        """The end of the log."""
        return self.log.last


class Agreeable(Log):
    """A log that finds every other log good enough."""

    __slots__ = ()

    def covers(self, index: int, term: int) -> bool:
        """Always."""
        return True


class VotesForAnybody(RaftCore):
    """A vote is given whatever the candidate's log lacks."""

    def __init__(self, context: CoreContext, options: RaftOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.log.__class__ = Agreeable


class CommitsAlone(RaftCore):
    """A leader commits what it alone holds."""

    def agreed_match(self) -> int:
        """Its own match."""
        return self.durable_index


class FollowsCommitBlindly(RaftCore):
    """A follower commits up to the leader's index, whether or not its log is the same so far."""

    def follow_commit(self, now_ns: int, index: int) -> None:
        """Whatever the log holds there."""
        index = min(index, self.log.last)
        if index > self.commit and not self.installing:
            self.commit_to(now_ns, index)
