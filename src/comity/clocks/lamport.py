"""Lamport's logical clock and his total order.

Leslie Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", CACM 1978.
"""

from __future__ import annotations

import msgspec


class LamportTime(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """The time of an event at `node`; before the node's first event, counter 0.

    Times are totally ordered by counter, then node. If event a happened before event b then
    time(a) < time(b) (the clock condition); the converse does not hold.
    """

    counter: int
    node: int

    def __post_init__(self) -> None:
        if self.counter < 0:
            raise ValueError(f"a Lamport counter is 0 or more, not {self.counter}")

    def tick(self) -> LamportTime:
        """The time of the next local or send event of this node (rule IR1)."""
        return LamportTime(self.counter + 1, self.node)

    def receive(self, sent: LamportTime) -> LamportTime:
        """The time of receiving a message that carries `sent` (rule IR2)."""
        return LamportTime(max(self.counter, sent.counter) + 1, self.node)
