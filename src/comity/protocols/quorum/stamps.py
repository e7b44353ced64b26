"""Hybrid times that this node never gives out twice, over restarts too.

Kulkarni and others, "Logical Physical Clocks", OPODIS 2014 (`clocks.HybridTime`). A clock that goes back
while the node is down would repeat times, and two writes would share a tag. So times are taken below a
ceiling that is durable before any of them leaves the node, and the next life starts above it.
"""

from __future__ import annotations

from collections.abc import Callable

from comity.clocks.hybrid import TICK_NS

RESERVE_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000


class Stamps:
    """A hybrid clock with a durable ceiling. wall_ms: the wall clock. ceiling: as it was recovered."""

    def __init__(self, wall_ms: Callable[[], int], ceiling: int, reserve: Callable[[int], None]) -> None:
        self.wall_ms = wall_ms
        self.last = ceiling
        self.ceiling = ceiling
        self.reserve = reserve

    def next(self, after: int = 0) -> int:
        """A time higher than `after`, than all given out before and, unless the clock is behind, of now."""
        # As `HybridTime.tick`, of packed times: a counter that is full carries into the wall part.
        stamp = max(self.last, after) + 1
        wall_ns = max(0, self.wall_ms()) * MILLISECOND_NS & -TICK_NS
        stamp = max(stamp, wall_ns)
        self.last = stamp
        if stamp >= self.ceiling:
            self.ceiling = stamp + RESERVE_NS
            self.reserve(self.ceiling)
        return stamp

    def now_ms(self, stamp: int) -> int:
        """The time that decides about expiry: the wall clock's, or the value's own where that is later."""
        return max(self.wall_ms(), stamp // MILLISECOND_NS)
