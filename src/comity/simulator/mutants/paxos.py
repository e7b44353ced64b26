"""Wrong Paxoses, one method each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from comity.protocols.paxos import Acceptance, Acceptor, PaxosCore
from comity.protocols.paxos.ballots import Ballot
from comity.protocols.paxos.proposer import Proposer
from comity.protocols.paxos.quorums import majority
from comity.protocols.paxos.reading import Reading
from comity.protocols.paxos.slots import Pending
from comity.replica import NodeId, Send, View


class AnswersBeforeSync(PaxosCore):
    """An acceptor promises and accepts before that is durable."""

    def answer_lane(self) -> list[Send]:
        """The lane that waits for nothing."""
        return self.effects.send


class CountsItselfBeforeSync(PaxosCore):
    """A proposer counts its own acceptor before what that accepted is durable."""

    def own_answers_count(self) -> bool:
        """At once."""
        return True


class ReusesBallots(PaxosCore):
    """After a restart ballots are drawn again from the first one on."""

    def first_counter(self, recovered: int) -> int:
        """As on an empty disk."""
        return 0


class Careless(Acceptor):
    """An acceptor that accepts what it has promised not to."""

    def may_accept(self, held: Acceptance, ballot: Ballot) -> bool:
        """Anything above what it has accepted already."""
        return ballot >= held.accepted


class BreaksPromises(PaxosCore):
    """Promises do not bind an acceptor."""

    acceptor = Careless()


class BuildsOnAnyValue(PaxosCore):
    """A proposer builds on the first value that it is told, not on the one of the highest ballot."""

    def base_of(self, proposer: Proposer) -> bytes | None:
        """Of the promise that came first."""
        return next(iter(proposer.promises.values()))[1]


class AcceptedByOne(PaxosCore):
    """One acceptor is enough for a value to count as chosen."""

    def accept_quorum(self, nodes: Collection[NodeId]) -> bool:
        """Any."""
        return len(nodes) > 0


class AppliesAgain(PaxosCore):
    """A change whose round failed is run again without asking whether it is in the register already."""

    def reply_in(self, pending: Pending, history: Sequence[int]) -> bytes | None:
        """Never."""
        return None


class ReadsTheHighest(PaxosCore):
    """A read returns the newest value that a quorum names, chosen or not."""

    def value_read(self, reading: Reading) -> tuple[Ballot, bytes | None] | None:
        """Of the highest ballot."""
        return (
            max(reading.values.values(), key=lambda named: named[0])
            if self.has_quorum(reading.values)
            else None
        )


class ReadsFromOne(PaxosCore):
    """A read returns what the first acceptor names."""

    def value_read(self, reading: Reading) -> tuple[Ballot, bytes | None] | None:
        """The first there is."""
        return next(iter(reading.values.values()))


class Forgetful(Acceptor):
    """An acceptor that does not promise the next ballot with an accept."""

    def promise_after(self, ballot: Ballot, following: Ballot) -> Ballot:
        """Only this one."""
        return ballot


class SkipsPrepareWithoutPromises(PaxosCore):
    """The next round skips its first phase although no quorum has promised its ballot."""

    acceptor = Forgetful()

    def may_cache(self, proposer: Proposer) -> bool:
        """Always."""
        return True


class FalseRefusal(PaxosCore):
    """A change that was proposed and not decided in time is reported as refused."""

    def may_have_happened(self, pending: Pending) -> bool:
        """Never."""
        return False


class RemovesAtMajority(PaxosCore):
    """A tombstone is removed once a majority holds it."""

    def has_everyone(self, nodes: Collection[NodeId]) -> bool:
        """A quorum will do."""
        return self.has_quorum(nodes)


class RemovesWithoutFloor(PaxosCore):
    """An acceptor that removed a register accepts what is late for it."""

    def floor_after(self, ballot: Ballot) -> int:
        """No higher than before."""
        return self.floor


class RemovesWhateverIsThere(PaxosCore):
    """A register is removed although it is not the tombstone any more, or promised to somebody."""

    def may_erase(self, held: Acceptance, ballot: Ballot) -> bool:
        """Asked is asked."""
        return True


class OneQuorumWhileMoving(PaxosCore):
    """While keys move, a majority of the new nodes decides."""

    def has_quorum(self, nodes: Collection[NodeId]) -> bool:
        """Without the old ones."""
        return majority(self.view_in_force.nodes, nodes)


class ListensToOldViews(PaxosCore):
    """Messages of an older view are taken as if they were of this one."""

    def compare_epochs(self, epoch: int) -> int:
        """All are alike."""
        return 0


class SettlesAtOnce(PaxosCore):
    """A replica says that its keys have moved as soon as it hears of the view."""

    @property
    def settled(self) -> int:
        """Whatever view is in force."""
        return self.epoch


class KeepsOldRegisters(PaxosCore):
    """A replica that comes back into the view keeps what it held in an earlier membership."""

    def enters(self, view: View) -> bool:
        """Never anew."""
        return False


class RemovesUndecided(PaxosCore):
    """A tombstone is removed although a proposer has an undecided change of the key, which the register's
    marks would have decided."""

    def release(self, key: bytes, ballot: Ballot) -> bool:
        """Always free."""
        super().release(key, ballot)
        return True


class KeepsPromisesOverViews(PaxosCore):
    """The promises of a view's quorum are used in the next view."""

    def forget_promises(self) -> None:
        """Not."""


class SessionReadsUnchosen(PaxosCore):
    """A session reads what the nearest acceptor has accepted, chosen or not, and new enough or not."""

    def session_may_read(self, key: bytes, token: bytes, ballot: Ballot) -> bool:
        """Always."""
        return True
