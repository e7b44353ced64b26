"""What a primary knows of one other replica, beside how far its log matches."""

from __future__ import annotations

from comity.replica import NodeId
from comity.replica.logged import PROBE, REPLICATE, SNAPSHOT, Transfer
from comity.replica.logged import Progress as LogProgress

__all__ = ["LONG_AGO_NS", "PROBE", "REPLICATE", "SNAPSHOT", "Progress", "Transfer"]

LONG_AGO_NS = -(1 << 62)
"""When something happened last, where it never did."""


class Progress(LogProgress):
    """One other replica.

    round, round_ns: the last round it confirmed, and when that was sent. commit_sent: the highest commit
    index sent to it. awaited_ns: until when it is told of commits at once, because its clients wait for them.
    """

    __slots__ = ("awaited_ns", "commit_sent", "round", "round_ns")

    def __init__(self, node: NodeId, next_index: int, now_ns: int) -> None:
        super().__init__(node, next_index, now_ns)
        self.round = 0
        self.round_ns = LONG_AGO_NS
        self.commit_sent = 0
        self.awaited_ns = LONG_AGO_NS
