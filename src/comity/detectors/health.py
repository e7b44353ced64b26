"""The local health multiplier (Lifeguard, LHA-Probe): how much this node distrusts itself."""

from __future__ import annotations


class LocalHealth:
    """A counter from 0 (well) to `most`. One who is slow to handle messages misses answers that were sent;
    by each sign of that its own timeouts and its period are stretched, by `multiplier`."""

    __slots__ = ("most", "score")

    def __init__(self, most: int) -> None:
        self.most = most
        self.score = 0

    @property
    def multiplier(self) -> int:
        """1 when well."""
        return self.score + 1

    def better(self) -> None:
        """A probe was acknowledged, directly or by another's ping."""
        self.score = max(0, self.score - 1)

    def worse(self) -> None:
        """A probe failed, a nack that was due did not come, or this node had to refute its own suspicion."""
        self.score = min(self.most, self.score + 1)
