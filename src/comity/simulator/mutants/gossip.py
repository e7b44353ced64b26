"""Wrong gossips, one method each."""

from __future__ import annotations

from collections.abc import Mapping

from comity.protocols.gossip import GossipCore
from comity.protocols.gossip.membership import Peer
from comity.protocols.gossip.messages import Batch, Gossip
from comity.protocols.gossip.records import Transfer
from comity.protocols.gossip.state import Turn
from comity.replica import NodeId, RequestId, Send


class DeliversEffectsFirst(GossipCore):
    """A batch is applied without what its origin had seen of others (causal delivery; COPS, section 4)."""

    def depends_on_delivered(self, batch: Batch) -> bool:
        """It asks for nothing."""
        return True


class TellsNoDependencies(GossipCore):
    """What a replica had seen of others before it wrote is not told."""

    def dependencies(self) -> list[tuple[int, int]]:
        """None."""
        return []


class SkipsLostDeltas(GossipCore):
    """A batch is applied although those before it are missing (the causal delta-merging condition)."""

    def follows(self, batch: Batch) -> bool:
        """Any later one will do."""
        return batch.previous >= self.vector.get(batch.origin, 0)


class OverwritesInsteadOfJoining(GossipCore):
    """A delta from elsewhere replaces the state of its key (the join of a semilattice)."""

    def merge(self, state: bytes | None, delta: bytes) -> bytes:
        """The last one to arrive wins."""
        return self.semantics.join(None, delta)


class AnswersBeforeSync(GossipCore):
    """A write is answered before it is durable."""

    def answer_after(
        self, turn: Turn, request: RequestId, reply: bytes, seen: Mapping[int, int], *, writes: bool
    ) -> None:
        """At once."""
        self.answer(request, reply, {**seen, self.origin: self.counter} if writes else seen)


class ReadsWhatIsNotDurable(GossipCore):
    """A read is answered with a value that a crash may still undo."""

    def turn_to_read_after(self, key: bytes) -> Turn | None:
        """It waits for no turn."""
        return None


class GossipsBeforeSync(GossipCore):
    """Writes leave before they are durable: after a crash their dots are given to other writes."""

    def send(self, peer: NodeId, message: Gossip) -> None:
        """In the lane that waits for nothing."""
        self.effects.send.append(Send(peer, message))


class IgnoresTokens(GossipCore):
    """A session is answered by a replica that lacks what it has seen (the session guarantees, Terry 1994)."""

    def session_covered(self, seen: Mapping[int, int]) -> bool:
        """It has seen nothing."""
        return True


class StableByHearsay(GossipCore):
    """A report counts before what it names has come: concurrent writes may still be on their way
    (stability)."""

    def report_counts(self, vector: dict[int, int]) -> bool:
        """At once."""
        return True


class StableAlone(GossipCore):
    """What was delivered here counts as delivered everywhere."""

    def stable_now(self) -> dict[int, int] | None:
        """Its own vector."""
        return dict(self.vector)


class ServesTornState(GossipCore):
    """After a transfer a replica serves before the deltas that its newest cells depend on are here."""

    def causally_complete(self, transfer: Transfer) -> bool:
        """All cells will do."""
        return transfer.cursor < 0


class ReturnsWithItsOldState(GossipCore):
    """A node that was removed and comes back goes on as if nothing had been."""

    def must_start_over(self, admitted: int) -> bool:
        """Never."""
        return False


class KeepsOldCells(GossipCore):
    """A node that comes back keeps the cells that were removed while it was away."""

    def keys_between(self, start: int, end: int) -> list[bytes]:
        """It has none."""
        return []


class NeverAsks(GossipCore):
    """What is lost on the way is never asked for (anti-entropy)."""

    def begin_round(self, now_ns: int) -> None:
        """Only the next round is set."""
        self.schedule_round(now_ns)


class IgnoresFullState(GossipCore):
    """A replica that is told that its deltas are no longer kept waits for them for ever."""

    def fell_behind(self, now_ns: int, peer: Peer) -> None:
        """It does nothing."""
