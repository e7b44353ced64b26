"""Wrong chains, one method each."""

from __future__ import annotations

from collections.abc import Collection

from comity.protocols.chain import ChainCore
from comity.protocols.chain.messages import Entry, Heartbeat
from comity.protocols.chain.records import view_record
from comity.protocols.chain.state import LONG_AGO_NS
from comity.replica import NodeId, View
from comity.replica.logged import Progress


class ForwardsBeforeSync(ChainCore):
    """What is passed on is not durable here yet: a head that comes back gives the index to another entry."""

    def passes_on(self) -> int:
        """All that matches."""
        return self.matched


class AcknowledgesBeforeSync(ChainCore):
    """What is acknowledged is not durable here yet, and a joining node that counts may lose it."""

    def own_match(self) -> int:
        """All that matches."""
        return self.matched


class CommitsWithoutJoining(ChainCore):
    """A joining node that was reported as caught up does not count for commits."""

    def committable(self) -> int:
        """What the tail has."""
        return self.own_match()


class CountsEarly(ChainCore):
    """A joining node is reported as caught up before it holds everything committed."""

    def may_count(self, now_ns: int, peer: Progress) -> bool:
        """As soon as it answers."""
        return True


class CountsBeforeItKnows(ChainCore):
    """A new tail that does not know yet what is committed decides that a joining node has it all."""

    def may_count(self, now_ns: int, peer: Progress) -> bool:
        """What this tail knows is enough."""
        return not self.fenced(now_ns) and peer.match >= self.commit


class ServesDirtyReads(ChainCore):
    """A read is answered here although a version of the key may be committed that is not applied here."""

    def is_clean(self, keys: Collection[bytes] | None) -> bool:
        """Everything is."""
        return True


class TailAnswersTooSoon(ChainCore):
    """A new or restarted tail answers before it knows what was committed."""

    def knows_commit(self) -> bool:
        """Every tail."""
        return self.place.is_tail


class ServesWhenCutOut(ChainCore):
    """A replica answers without proof that its view is still in force."""

    def in_force(self, now_ns: int) -> bool:
        """It believes itself."""
        return self.place.in_chain


class TrustsTheTailAlone(ChainCore):
    """A lease, or a confirmation, rests on the tail alone, which can be cut out together with the asker."""

    def grantors(self) -> tuple[NodeId, ...]:
        """The tail."""
        return () if self.place.is_tail else (self.place.tail,)


class LeaseIgnoresDrift(ChainCore):
    """Promises bind for as long as if every clock were perfect."""

    def lease_wait_ns(self) -> int:
        """As long as the holder counts."""
        return min(self.options.lease_ns, super().lease_wait_ns())


class LeaseFromReceipt(ChainCore):
    """A lease is counted from when the promise arrived, not from the heartbeat that it answers."""

    def take_promise(self, sender: NodeId, message: Heartbeat) -> None:
        """As if the last heartbeat had been answered."""
        echoed = any(echo.node == self.node for echo in message.echoes)
        if echoed and self.sent:
            self.granted_ns[sender] = self.sent[-1][1]
        self.renew_lease()


class NoFence(ChainCore):
    """A view that leaves somebody out commits before his lease has run out."""

    def fence_for(self, now_ns: int, view: View) -> int:
        """Nobody is waited for."""
        return LONG_AGO_NS


class ForgetsPromises(ChainCore):
    """What an earlier life promised is not kept."""

    def fence_of_start(self, now_ns: int) -> int:
        """Nothing was promised."""
        return LONG_AGO_NS


class HearsOtherEpochs(ChainCore):
    """Messages of other epochs are listened to, older and newer ones."""

    def accepts_epoch(self, epoch: int) -> bool:
        """All."""
        return True


class MatchesAcrossEpochs(ChainCore):
    """In a new epoch the whole log counts as the head's, uncommitted leftovers too."""

    def recovered_match(self) -> int:
        """The end of the log."""
        return self.log.last


class TruncatesMatchedEntries(ChainCore):
    """Entries held already are dropped when an old Append comes late."""

    def first_new(self, previous: int, entries: list[Entry]) -> int:
        """Everything counts as new."""
        return 0


class FollowsCommitBlindly(ChainCore):
    """A replica commits up to what others say, whether or not its log is the same so far."""

    def follow_commit(self) -> None:
        """Whatever the log holds there."""
        index = min(self.commit_told, self.durable_index)
        if index > self.commit and not self.installing:
            self.matched = max(self.matched, index)
            self.commit_to(index)


class ForgetsItsView(ChainCore):
    """An adopted epoch is not durable: after a crash this replica is fenced by an older one."""

    def write_view(self) -> None:
        """The first view again."""
        super().write_view()
        self.effects.write[-1] = view_record(View(1, (1, 2, 3)))


MUTANTS: tuple[type[ChainCore], ...] = (
    ForwardsBeforeSync,
    AcknowledgesBeforeSync,
    CommitsWithoutJoining,
    CountsEarly,
    CountsBeforeItKnows,
    ServesDirtyReads,
    TailAnswersTooSoon,
    ServesWhenCutOut,
    TrustsTheTailAlone,
    LeaseIgnoresDrift,
    LeaseFromReceipt,
    NoFence,
    ForgetsPromises,
    HearsOtherEpochs,
    MatchesAcrossEpochs,
    TruncatesMatchedEntries,
    FollowsCommitBlindly,
    ForgetsItsView,
)
