"""Ballots: numbers that no two proposals share, over restarts too."""

from __future__ import annotations

from collections import deque

from comity.replica import NodeId

Ballot = tuple[int, NodeId]
"""(counter, proposer), compared in this order (CASPaxos, section 2.1): no two proposers share a ballot."""

NONE: Ballot = (0, 0)
"""Before every ballot: nothing promised, nothing accepted."""

MAX_COUNTER = 1 << 60
"""Counters of peers above it are refused: there must be room to go above what was seen."""

ABOVE_ALL_NODES: NodeId = 1 << 62


class Counter:
    """A proposer's counter. What is drawn lies below a bound that is written down first, in blocks, so that
    after a crash it starts above everything that may have been used.

    value: the last one drawn or jumped to. reserved: the bound written last. durable: the bound that
    survives a crash; a ballot above it must not leave before it is.
    """

    __slots__ = ("block", "durable", "reserved", "unsynced", "value")

    def __init__(self, recovered: int, block: int) -> None:
        self.value = recovered
        self.reserved = recovered
        self.durable = recovered
        self.block = block
        self.unsynced: deque[tuple[int, int]] = deque()

    def draw(self) -> int:
        """A counter never used by this node before."""
        self.value += 1
        return self.value

    def jump(self, counter: int) -> None:
        """The next one is above this."""
        self.value = max(self.value, counter)

    def bound_to_write(self) -> int:
        """The bound to be written down now, 0 for none: well before the block is used up."""
        if self.value + self.block // 2 < self.reserved:
            return 0
        self.reserved = self.value + self.block
        return self.reserved

    def written(self, number: int) -> None:
        """The bound just chosen is part of that turn's write."""
        self.unsynced.append((number, self.reserved))

    def persisted(self, number: int) -> None:
        """The writes up to that one are durable."""
        while self.unsynced and self.unsynced[0][0] <= number:
            self.durable = self.unsynced.popleft()[1]

    @property
    def safe(self) -> bool:
        """Whether everything drawn so far may be told to others."""
        return self.value <= self.durable
