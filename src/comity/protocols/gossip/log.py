"""The deltas of one origin that are kept: a suffix of those delivered, oldest first."""

from __future__ import annotations

from collections import deque

from comity.protocols.gossip.messages import Batch
from comity.replica import NodeId


class Held:
    """A batch in the log. position: in the order of delivery here. since_ns: when it was delivered."""

    __slots__ = ("batch", "position", "since_ns", "size_bytes")

    def __init__(self, position: int, batch: Batch, since_ns: int) -> None:
        self.position = position
        self.batch = batch
        self.since_ns = since_ns
        self.size_bytes = batch.size_bytes


class DeltaLog:
    """Batches of one origin, each following the one before.

    floor: the last dot before the oldest one kept; a replica that has less needs the full state.
    """

    __slots__ = ("floor", "held", "origin", "size_bytes")

    def __init__(self, origin: NodeId, floor: int) -> None:
        self.origin = origin
        self.floor = floor
        self.held: deque[Held] = deque()
        self.size_bytes = 0

    @property
    def last(self) -> int:
        """The last dot in it, `floor` where it is empty."""
        return self.held[-1].batch.last if self.held else self.floor

    def append(self, held: Held) -> None:
        """The next batch."""
        self.held.append(held)
        self.size_bytes += held.size_bytes

    def pop(self) -> Held:
        """Forget the oldest batch."""
        held = self.held.popleft()
        self.size_bytes -= held.size_bytes
        self.floor = held.batch.last
        return held

    def after(self, counter: int) -> list[Held]:
        """The batches beyond that dot, oldest first."""
        found: list[Held] = []
        for held in reversed(self.held):
            if held.batch.last <= counter:
                break
            found.append(held)
        found.reverse()
        return found
