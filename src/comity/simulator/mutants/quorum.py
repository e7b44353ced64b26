"""Wrong quorums, one method each."""

from __future__ import annotations

from typing import Any

from comity.protocols.quorum import QuorumCore, Quorums
from comity.protocols.quorum.hints import Handover
from comity.protocols.quorum.messages import Agreed
from comity.protocols.quorum.phases import Pending, Phase
from comity.protocols.quorum.versions import Copy
from comity.replica import KeyOperation, NodeId, View


class SkipsWriteBack(QuorumCore):
    """A read answers with the highest copy though no write quorum holds it: the next read may find less
    (ABD: the second phase of a read)."""

    def must_write_back(self, pending: Pending, phase: Phase, copy: Copy) -> bool:
        """Never."""
        return False


class TrustsAgreeingReaders(QuorumCore):
    """A read skips its second phase because all that answered agree, though R < W."""

    def at_write_quorum(self, pending: Pending, phase: Phase, copy: Copy) -> bool:
        """All answers are the same."""
        return len(phase.holding(copy)) == len(phase.answers)


class CountsItselfBeforeSync(QuorumCore):
    """A coordinator counts its own copy before it is durable."""

    def own_counts(self, turn: int) -> bool:
        """At once."""
        return True


class AcknowledgesBeforeSync(QuorumCore):
    """A replica tells what it holds before it is durable."""

    def acknowledge(self, peer: NodeId, message: Any) -> None:
        """In the lane that waits for nothing."""
        self.send(peer, message)


class ReadsTooFew(QuorumCore):
    """R + W = N: a read need not meet the last write."""

    def read_need(self, quorums: Quorums, operation: KeyOperation) -> int:
        """One answer fewer."""
        return max(1, min(super().read_need(quorums, operation), quorums.n - quorums.w))


class WritesTooFew(QuorumCore):
    """A write is acknowledged by one replica fewer than reads count on."""

    def write_need(self, quorums: Quorums, operation: KeyOperation) -> int:
        """One acknowledgement fewer."""
        return max(1, super().write_need(quorums, operation) - 1)


class WritesWithoutAsking(QuorumCore):
    """A write takes its tag from the clock alone, without asking for the highest one (ABD: the first phase of
    a write)."""

    def asks_before_writing(self, pending: Pending) -> bool:
        """Only where the reply depends on it."""
        return pending.removes


class TagsBelowWhatWasSeen(QuorumCore):
    """A write asks for the highest tag and does not go above it."""

    def stamp_after(self, pending: Pending, seen: Copy) -> int:
        """The clock of this node alone."""
        return self.stamps.next()


class ForgetsTime(QuorumCore):
    """After a restart times and numbers of phases are given out that an earlier life gave out."""

    def recovered_ceiling(self) -> int:
        """Whatever the clock shows."""
        return 0


class TakesWhatComesLast(QuorumCore):
    """A replica stores what arrives, not what has the higher tag."""

    def merge(self, ours: Copy, theirs: Copy) -> Copy:
        """The other one."""
        return theirs if theirs.entries else ours


class IgnoresEpochs(QuorumCore):
    """Messages of a view that was replaced are served, and their answers counted."""

    def fenced(self, epoch: int) -> bool:
        """Any view will do."""
        return False


class CountsTheNewNodesOnly(QuorumCore):
    """While a view has outgoing nodes no quorum of theirs is asked."""

    def lists_of(self, key: bytes) -> list[tuple[tuple[NodeId, ...], Quorums]]:
        """The first list alone."""
        return super().lists_of(key)[:1]


class SettlesAtOnce(QuorumCore):
    """A node tells that its keys have moved before they have."""

    def has_moved(self) -> bool:
        """As soon as it is asked."""
        return True


class ForgetsItsView(QuorumCore):
    """After a restart a replica is back in the first view. Were only its own record of the view forgotten,
    nobody would see it: the catalogue that its host recovers is in the same engine, and written before."""

    def recovered_view(self) -> View:
        """The one that the keyspace was created with, on the first three nodes."""
        return View(1, (1, 2, 3))


class CollectsByTimeAlone(QuorumCore):
    """A tombstone is collected after its grace, whether or not everybody has heard of the removal."""

    def agreed_since(self, key: bytes, since_ns: int) -> bool:
        """They will have."""
        return True


class BelievesOldRounds(QuorumCore):
    """A late copy of the end of a round vouches for the round that is being held now."""

    def proves(self, proof: int, agreed: Agreed) -> bool:
        """Any will do."""
        return True


class ForgetsTheSession(QuorumCore):
    """A write's tag does not go above what its session has seen on another node."""

    def session_time(self, pending: Pending) -> int:
        """Nothing was seen."""
        return 0


class LeavesTreesBehind(QuorumCore):
    """A put does not change the hash trees: anti-entropy finds no difference where there is one."""

    def update_trees(self, key: bytes, position: int, held: Copy, copy: Copy) -> None:
        """Nothing."""


class ForgetsHintsWhenSent(QuorumCore):
    """A hint is removed when it is sent, not when its target has it on its disk."""

    def give(self, handover: Handover) -> bool:
        """And that was that."""
        given = super().give(handover)
        if handover.hint:
            self.drop_hint(handover.target, handover.key)
        return given
