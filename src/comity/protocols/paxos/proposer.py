"""The proposer: one ballot, from the question for promises to the value chosen.

"Paxos Made Simple" (2001), section 2.2. What to propose is the caller's: in single-decree Paxos the value
found, or else its own (`decree`); in CASPaxos a change of the value found.
"""

from __future__ import annotations

from collections.abc import Collection

from comity.protocols.paxos.ballots import NONE, Ballot
from comity.protocols.paxos.learner import Learner, Quorum
from comity.replica import NodeId


class Proposer:
    """One ballot of one proposer.

    ballot: its number, never used before. following: the ballot whose promise the accepts ask for, `NONE`
    for none. promises: by acceptor, what it had accepted when it promised. value: what is proposed, once
    `propose` was called. refused: acceptors that have promised a higher ballot.
    """

    __slots__ = (
        "ballot",
        "following",
        "learner",
        "promised_next",
        "promises",
        "proposed",
        "quorum",
        "refused",
        "value",
    )

    def __init__(self, ballot: Ballot, quorum: Quorum) -> None:
        self.ballot = ballot
        self.quorum = quorum
        self.following: Ballot = NONE
        self.promises: dict[NodeId, tuple[Ballot, bytes | None]] = {}
        self.value: bytes | None = None
        self.proposed = False
        self.learner = Learner(quorum)
        self.promised_next: dict[NodeId, bool] = {}
        self.refused: dict[NodeId, bool] = {}

    # -- phase 1

    def promise(self, node: NodeId, accepted: Ballot, value: bytes | None) -> bool:
        """A promise came. Whether it is the one that makes a quorum."""
        if self.proposed or accepted >= self.ballot:
            return False
        self.promises[node] = (accepted, value)
        return self.quorum(self.promises)

    def found(self) -> tuple[Ballot, bytes | None]:
        """P2c: the proposal with the highest ballot among those the quorum had accepted; (`NONE`, None)
        where it had none and any value may be proposed."""
        return max(self.promises.values(), key=lambda reported: reported[0], default=(NONE, None))

    # -- phase 2

    def propose(self, value: bytes | None, following: Ballot = NONE) -> None:
        """The value of this ballot, one for ever."""
        if self.proposed:
            raise ValueError("a ballot has one value: draw another ballot to propose another")
        self.proposed = True
        self.value = value
        self.following = following

    def accepted(self, node: NodeId, promised: bool = False) -> bool:
        """An acceptor has accepted, and holds its promise for the following ballot or not. Whether the value
        is known to be chosen."""
        if not self.proposed:
            return False
        self.promised_next[node] = promised
        return self.learner.learn(node, self.ballot)

    @property
    def chosen(self) -> bool:
        """Whether the value is known to be chosen."""
        return self.learner.chosen is not None

    def holds_next(self) -> bool:
        """Whether a quorum accepted the value and has promised the following ballot: then a prepare of that
        ballot would find this very value, and need not be sent."""
        return self.following > self.ballot and self.quorum(
            [node for node, promised in self.promised_next.items() if promised]
        )

    # -- either

    def refuse(self, node: NodeId) -> None:
        """An acceptor has promised a higher ballot."""
        self.refused[node] = True

    def hopeless(self, everyone: Collection[NodeId]) -> bool:
        """Whether too few acceptors are left for a quorum."""
        return not self.quorum([node for node in everyone if node not in self.refused])


def decree(found: tuple[Ballot, bytes | None], own: bytes) -> bytes | None:
    """What single-decree Paxos proposes: the value found, so that a chosen one never changes, or its own."""
    ballot, value = found
    return value if ballot > NONE else own
