"""The clocks of one simulated machine: monotonic time that drifts, wall time that also jumps."""

from __future__ import annotations

PARTS = 1_000_000
"""Drift is in parts per million."""
WALL_PARTS = PARTS * 1_000_000


class NodeClock:
    """Piecewise linear clocks over the world's time.

    monotonic: nanoseconds since an arbitrary point, faster or slower than the world by
    `drift_ppm`; never goes back. wall: unix milliseconds, with its own drift, and jumps.
    """

    __slots__ = ("_anchor_ns", "_monotonic_ns", "_rate", "_wall_anchor_ns", "_wall_ms", "_wall_rate")

    def __init__(self, now_ns: int, monotonic_ns: int, wall_ms: int, drift_ppm: int = 0) -> None:
        self._anchor_ns = now_ns
        self._monotonic_ns = monotonic_ns
        self._rate = PARTS + drift_ppm
        self._wall_anchor_ns = now_ns
        self._wall_ms = wall_ms
        self._wall_rate = PARTS + drift_ppm

    def read(self, now_ns: int) -> tuple[int, int]:
        """(`monotonic`, `wall`) at a time of the world."""
        return (
            self._monotonic_ns + (now_ns - self._anchor_ns) * self._rate // PARTS,
            self._wall_ms + (now_ns - self._wall_anchor_ns) * self._wall_rate // WALL_PARTS,
        )

    def monotonic(self, now_ns: int) -> int:
        """Monotonic nanoseconds of this machine at a time of the world."""
        return self._monotonic_ns + (now_ns - self._anchor_ns) * self._rate // PARTS

    def wall(self, now_ns: int) -> int:
        """Unix milliseconds of this machine at a time of the world."""
        return self._wall_ms + (now_ns - self._wall_anchor_ns) * self._wall_rate // WALL_PARTS

    def due(self, monotonic_ns: int) -> int:
        """The earliest time of the world at which `monotonic` is at or past the given value."""
        return self._anchor_ns + -((self._monotonic_ns - monotonic_ns) * PARTS // self._rate)

    def drift(self, now_ns: int, drift_ppm: int) -> None:
        """Drift at another rate from now on."""
        self._monotonic_ns = self.monotonic(now_ns)
        self._anchor_ns = now_ns
        self._rate = PARTS + drift_ppm

    def jump(self, now_ns: int, by_ms: int) -> None:
        """Move the wall clock, as an operator or a time daemon would."""
        self._wall_ms = self.wall(now_ns) + by_ms
        self._wall_anchor_ns = now_ns

    def reboot(self, now_ns: int, monotonic_ns: int) -> None:
        """The machine restarted: monotonic time counts from elsewhere."""
        self._monotonic_ns = monotonic_ns
        self._anchor_ns = now_ns
