"""What a leader knows of one follower, or of itself, beside how far its log matches."""

from __future__ import annotations

from comity.replica import NodeId
from comity.replica.logged import PROBE, REPLICATE, SNAPSHOT, Transfer
from comity.replica.logged import Progress as LogProgress

__all__ = ["PROBE", "REPLICATE", "SNAPSHOT", "Progress", "Transfer"]


class Progress(LogProgress):
    """One follower, or the leader itself.

    round: the last heartbeat round it answered. commit_sent: the highest commit index sent to it.
    awaited_ns: until when it is told of commits at once, because its clients wait for them.
    """

    __slots__ = ("awaited_ns", "commit_sent", "round")

    def __init__(self, node: NodeId, next_index: int, now_ns: int) -> None:
        super().__init__(node, next_index, now_ns)
        self.round = 0
        self.commit_sent = 0
        self.awaited_ns = 0
