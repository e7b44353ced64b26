"""How long peers take to answer, as observed: the pace of asking again and of standing back.

The estimator is TCP's (RFC 6298, section 2): a smoothed round trip and its mean deviation. As with TCP's
timestamps (RFC 7323, section 4) a question says when it left and its answer repeats it, so that also answers
to repeated questions count, and those that came too late to be needed. All in integer nanoseconds of this
node's own clock; what a peer makes up can only move an estimate within bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from comity.replica import NodeId

GRANULARITY_NS = 1_000_000
"""The least that is added to a smoothed round trip (RFC 6298's G): turns and disks are not finer."""
LONGEST_NS = 60_000_000_000
"""What took longer was asked in an earlier life, by another clock."""


class Trip:
    """To one peer and back. smoothed_ns: SRTT. deviation_ns: RTTVAR."""

    __slots__ = ("deviation_ns", "smoothed_ns")

    def __init__(self, first_ns: int) -> None:
        self.smoothed_ns = first_ns
        self.deviation_ns = first_ns // 2

    def add(self, took_ns: int) -> None:
        """Rules 2.3: alpha is 1/8, beta 1/4, and the deviation goes first."""
        self.deviation_ns = (3 * self.deviation_ns + abs(self.smoothed_ns - took_ns)) // 4
        self.smoothed_ns = (7 * self.smoothed_ns + took_ns) // 8

    @property
    def timeout_ns(self) -> int:
        """RTO: an answer that has not come by then is taken for lost."""
        return self.smoothed_ns + max(GRANULARITY_NS, 4 * self.deviation_ns)


class Trips:
    """To each peer; nothing is known of one that has never answered."""

    __slots__ = ("to",)

    def __init__(self) -> None:
        self.to: dict[NodeId, Trip] = {}

    def add(self, peer: NodeId, took_ns: int) -> None:
        """An answer came so long after its question left."""
        if not 0 <= took_ns <= LONGEST_NS:
            return
        trip = self.to.get(peer)
        if trip is None:
            self.to[peer] = Trip(took_ns)
        else:
            trip.add(took_ns)

    def keep(self, peers: Collection[NodeId]) -> None:
        """Forget all others."""
        self.to = {peer: trip for peer, trip in self.to.items() if peer in peers}

    def smoothed_ns(self, peer: NodeId) -> int:
        """The round trip to expect, 0 where nothing is known."""
        trip = self.to.get(peer)
        return 0 if trip is None else trip.smoothed_ns

    def timeout_ns(self, peer: NodeId) -> int:
        """How long to wait for an answer, 0 where nothing is known."""
        trip = self.to.get(peer)
        return 0 if trip is None else trip.timeout_ns


def until_quorum(
    node: NodeId,
    peers: Iterable[NodeId],
    wait_ns: Callable[[NodeId], int],
    quorum: Callable[[Collection[NodeId]], bool],
) -> int:
    """How long `node` waits for a quorum, itself included, where each peer takes `wait_ns`."""
    nodes = [node]
    waited_ns = 0
    for peer in sorted(peers, key=lambda peer: (wait_ns(peer), peer)):
        if quorum(nodes):
            break
        nodes.append(peer)
        waited_ns = wait_ns(peer)
    return waited_ns
