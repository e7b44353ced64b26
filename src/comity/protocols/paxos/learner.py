"""The learner: a value is chosen once a quorum has accepted it in one ballot ("Paxos Made Simple", 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from comity.protocols.paxos.ballots import Ballot
from comity.replica import NodeId

Quorum = Callable[[Collection[NodeId]], bool]
"""Whether these nodes are a quorum: any two quorums share a node."""


class Learner:
    """Hears what each acceptor has accepted last, and knows when that means it is chosen.

    The acceptances need not be of one instant: an acceptor's ballots only rise, so a ballot that each of a
    quorum named was accepted by each of them.
    """

    __slots__ = ("accepted", "chosen", "quorum")

    def __init__(self, quorum: Quorum) -> None:
        self.quorum = quorum
        self.accepted: dict[NodeId, Ballot] = {}
        self.chosen: Ballot | None = None

    def learn(self, node: NodeId, ballot: Ballot) -> bool:
        """`node` has accepted `ballot`. Whether it is known to be chosen now; the first one known stays."""
        known = self.accepted
        if ballot < known.get(node, ballot):
            return self.chosen is not None
        known[node] = ballot
        if self.chosen is None and self.quorum([other for other in known if known[other] == ballot]):
            self.chosen = ballot
        return self.chosen is not None


class Watcher(Learner):
    """A learner that asks more than once, and remembers what each acceptor has named since the first time:
    while proposals follow one another, no moment may show a quorum the same one."""

    __slots__ = ("named",)

    def __init__(self, quorum: Quorum) -> None:
        super().__init__(quorum)
        self.named: dict[Ballot, dict[NodeId, bool]] = {}

    def learn(self, node: NodeId, ballot: Ballot) -> bool:
        """`node` has accepted `ballot`, now or earlier."""
        if ballot < self.accepted.get(node, ballot):
            return self.chosen is not None
        self.accepted[node] = ballot
        nodes = self.named.setdefault(ballot, {})
        nodes[node] = True
        if self.chosen is None and self.quorum(nodes):
            self.chosen = ballot
        return self.chosen is not None
