"""Wrong primary-backups, one method each."""

from __future__ import annotations

from typing import Any

from comity.protocols.primary_backup import PrimaryBackupCore
from comity.protocols.primary_backup.messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
)
from comity.protocols.primary_backup.progress import LONG_AGO_NS, Progress
from comity.protocols.primary_backup.records import hard_state_record
from comity.protocols.primary_backup.reigns import reign_of
from comity.replica import NodeId, View


class AcknowledgesOldEpochs(PrimaryBackupCore):
    """No fencing of writes: what a primary of an older epoch sends is acknowledged, though nothing will keep
    it (Vertical Paxos: an acceptor of a higher ballot refuses lower ones)."""

    def admits(self, now_ns: int, sender: NodeId, message: Any) -> bool:
        """As the real one, after a kind word."""
        if self.fences(message.reign) and isinstance(message, Append):
            end = message.previous_index + len(message.entries)
            self.speak(sender, AppendReply(message.reign, end))
            return False
        return super().admits(now_ns, sender, message)


class ConfirmsOldEpochs(PrimaryBackupCore):
    """No fencing of reads: rounds of a primary of an older epoch are confirmed."""

    def admits(self, now_ns: int, sender: NodeId, message: Any) -> bool:
        """As the real one, but for heartbeats."""
        if self.fences(message.reign) and isinstance(message, Heartbeat):
            if message.round:
                self.speak(sender, HeartbeatReply(message.reign, message.round, 0))
            return False
        return super().admits(now_ns, sender, message)


class AcknowledgesBeforeSync(PrimaryBackupCore):
    """A backup acknowledges entries before they are durable."""

    def acknowledge(self, primary: NodeId, reply: AppendReply) -> None:
        """In the lane that waits for nothing."""
        self.speak(primary, reply)


class CountsItselfBeforeSync(PrimaryBackupCore):
    """A primary counts its own copy before it is durable."""

    def own_match(self) -> int:
        """All of the log."""
        return self.log.last


class CommitsWithoutBackups(PrimaryBackupCore):
    """A sync primary commits what it alone holds."""

    def agreed_match(self) -> int:
        """Its own match."""
        return self.own_match()


class CommitsWithMajority(PrimaryBackupCore):
    """A sync primary commits what a majority holds: the next primary may be of the others."""

    def agreed_match(self) -> int:
        """The median."""
        matches = sorted([self.own_match(), *(peer.match for peer in self.deciding)], reverse=True)
        return matches[len(matches) // 2]


class ForgetsItsStarts(PrimaryBackupCore):
    """A primary that comes back in the same epoch numbers its entries as before: two look the same."""

    def next_reign(self) -> int:
        """Always the first."""
        return reign_of(self.current.epoch, 1)


class ViewNotPersisted(PrimaryBackupCore):
    """Who is in an adopted view is not written down: after a crash its epoch is obeyed with the nodes of the
    first one. (An epoch forgotten altogether harms nobody: with entries of it the log is refused at the next
    start, and without any nothing was committed in it, since all its members have to acknowledge.)"""

    def write_hard_state(self) -> None:
        """As the real one, with the nodes of epoch 1."""
        super().write_hard_state()
        first = View(self.current.epoch, (1, 2, 3))
        self.effects.write[-1] = hard_state_record(self.reign, first, ())


class ReadsBeforeItsEntry(PrimaryBackupCore):
    """A new primary answers reads before an entry of its reign is committed."""

    def may_serve_reads(self) -> bool:
        """At once."""
        return True


class ReadsUnconfirmed(PrimaryBackupCore):
    """A primary answers reads without asking whether a later view was given."""

    def serves_at_once(self, now_ns: int) -> bool:
        """It believes itself."""
        return self.may_serve_reads()


class LeaseIgnoresDrift(PrimaryBackupCore):
    """The lease lasts as long as if every clock were perfect."""

    def lease_duration_ns(self) -> int:
        """The promise, unshortened."""
        return self.options.lease_ns


class BreaksItsPromise(PrimaryBackupCore):
    """A new primary commits while the one before it may still read by its lease."""

    def hold_until_ns(self) -> int:
        """Nothing is held."""
        return LONG_AGO_NS


class JoinsWithoutCounting(PrimaryBackupCore):
    """A joining node that was declared caught up does not count for what is committed afterwards."""

    def choose_deciding(self) -> None:
        """Members only."""
        self.deciding = tuple(peer for peer in self.peers if peer.node in self.current.nodes)


class DeclaresTooEarly(PrimaryBackupCore):
    """A joining node is declared caught up while it lacks committed entries."""

    def is_level(self, peer: Progress) -> bool:
        """Near is good enough."""
        return True


class TruncatesMatchedEntries(PrimaryBackupCore):
    """A backup drops entries it holds already when an old Append comes late."""

    def first_new(self, previous: int, entries: list[Entry]) -> int:
        """Everything counts as new."""
        return 0


class FollowsCommitBlindly(PrimaryBackupCore):
    """A backup commits up to the primary's index, whether or not its log is the same so far."""

    def follow_limit(self) -> int:
        """Whatever the log holds there."""
        return min(self.told_commit, self.log.last)


class LosesWithoutBound(PrimaryBackupCore):
    """An async primary takes proposals however much its backups lack."""

    def beyond_loss_bound(self, payload: bytes) -> str:
        """There is no bound."""
        return ""


class TakesBackWhatItApplied(PrimaryBackupCore):
    """An async replica whose history is another cuts its log instead of taking a snapshot."""

    def diverge(self, message: Append, index: int) -> None:
        """As if the state machine could run backwards."""
        self.commit = max(index - 1, self.log.base)
        if self.commit < self.log.last:
            self.truncate_log(self.commit + 1)
