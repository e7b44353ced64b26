"""Hybrid logical clocks: causality in a timestamp that stays close to physical time.

Sandeep Kulkarni, Murat Demirbas, Deepak Madeppa, Bharadwaj Avva, Marcelo Leone, "Logical Physical
Clocks and Consistent Snapshots in Globally Distributed Databases", OPODIS 2014: the algorithm of
figure 5. The names there: `wall_ns` is l, `counter` is c, `now_ns` is pt.

What the paper proves of it, with e the bound of clock synchronisation, in ticks, and N nodes:

- if event f happened before event g then time(f) < time(g) (theorem 1);
- the wall part is at or above the node's physical time (theorem 2), and where it is above, it is the
  physical time of some event in the past (theorem 3), hence within e of it (corollary 1);
- the counter is at most N * (e + 1), if a node's physical clock moves between its events (corollary 3).

Two things are ours. The paper has no answer to a counter that is full: here it carries into the wall
part, one tick ahead of what any clock has shown, and order is kept. And a clock that is badly wrong
must not drag all others along: a remote time too far ahead is refused.
"""

from __future__ import annotations

import msgspec

COUNTER_BITS = 16
TICK_NS = 1 << COUNTER_BITS
"""The resolution of the wall part: 65.536 microseconds."""
COUNTER_LIMIT = 1 << COUNTER_BITS
WALL_LIMIT_NS = 1 << 64


class ClockDriftExceeded(ValueError):
    """A remote time lies further ahead of the local physical clock than is allowed.

    The message must not be taken over: either clock may be the wrong one.
    """

    def __init__(self, remote: HybridTime, now_ns: int, max_drift_ns: int) -> None:
        super().__init__(
            f"remote time {remote.wall_ns} ns is {remote.wall_ns - now_ns} ns ahead of this node's clock, "
            f"more than the {max_drift_ns} ns allowed"
        )
        self.remote = remote
        self.now_ns = now_ns
        self.max_drift_ns = max_drift_ns


class HybridTime(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """A hybrid timestamp, and at the same time the whole state of a hybrid clock.

    wall_ns: nanoseconds since the epoch of the physical clocks, a multiple of `TICK_NS`, less than
        2**64 (Unix time: the year 2554; as a signed 64-bit number, `pack` stays positive until 2262).
    counter: 0 to 65,535.
    """

    wall_ns: int = 0
    counter: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.wall_ns < WALL_LIMIT_NS or self.wall_ns % TICK_NS:
            raise ValueError(f"wall time must be a multiple of {TICK_NS} from 0 to 2**64: {self.wall_ns}")
        if not 0 <= self.counter < COUNTER_LIMIT:
            raise ValueError(f"the counter must be 0 to {COUNTER_LIMIT - 1}: {self.counter}")

    def tick(self, now_ns: int) -> HybridTime:
        """The time of the next local or send event of the node whose last event had this time.

        now_ns: the node's physical clock. It may stand still or go back; the result never does.
        """
        wall_ns = _floor(now_ns)
        if wall_ns > self.wall_ns:
            return HybridTime(wall_ns, 0)
        return _carried(self.wall_ns, self.counter + 1)

    def receive(self, now_ns: int, sent: HybridTime, max_drift_ns: int) -> HybridTime:
        """The time of receiving a message that carries `sent`.

        max_drift_ns: how far `sent` may be ahead of `now_ns`. Raises `ClockDriftExceeded` otherwise,
        and the node keeps the time it had.
        """
        if sent.wall_ns > now_ns + max_drift_ns:
            raise ClockDriftExceeded(sent, now_ns, max_drift_ns)
        wall_ns = _floor(now_ns)
        if wall_ns > self.wall_ns and wall_ns > sent.wall_ns:
            return HybridTime(wall_ns, 0)
        if self.wall_ns == sent.wall_ns:
            return _carried(self.wall_ns, max(self.counter, sent.counter) + 1)
        if self.wall_ns > sent.wall_ns:
            return _carried(self.wall_ns, self.counter + 1)
        return _carried(sent.wall_ns, sent.counter + 1)

    def drift_ns(self, now_ns: int) -> int:
        """How far the wall part is ahead of a physical clock (negative: behind)."""
        return self.wall_ns - now_ns

    def pack(self) -> int:
        """As one unsigned 64-bit number whose order is the order of times.

        The upper 48 bits are the wall part, the lower 16 the counter, so that the number read as
        nanoseconds since the epoch is right to within a tick.
        """
        return self.wall_ns | self.counter

    @classmethod
    def unpack(cls, packed: int) -> HybridTime:
        """The inverse of `pack`. Raises ValueError outside 0 to 2**64 - 1."""
        return cls(packed & ~(COUNTER_LIMIT - 1), packed & (COUNTER_LIMIT - 1))


def _floor(now_ns: int) -> int:
    return now_ns - now_ns % TICK_NS


def _carried(wall_ns: int, counter: int) -> HybridTime:
    if counter < COUNTER_LIMIT:
        return HybridTime(wall_ns, counter)
    return HybridTime(wall_ns + TICK_NS, 0)
