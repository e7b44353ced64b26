"""The simplest detector: a member is suspected after a fixed silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from comity.detectors.beats import BeatDetector
from comity.detectors.detector import _no_note
from comity.detectors.options import HeartbeatOptions
from comity.replica import NodeId, Stream


class HeartbeatDetector(BeatDetector):
    """Fixed limits. What it costs when the limits do not fit the network is measured in
    docs/explanation/failure-detectors.md."""

    def __init__(
        self,
        node: NodeId,
        members: Iterable[NodeId],
        stream: Stream,
        options: HeartbeatOptions | None = None,
        *,
        incarnation: int = 0,
        note: Callable[..., None] = _no_note,
    ) -> None:
        self.options = options or HeartbeatOptions()
        super().__init__(
            node,
            members,
            stream,
            interval_ns=self.options.interval_ns,
            max_members=self.options.max_members,
            incarnation=incarnation,
            note=note,
        )
        self._limits = (self.options.suspect_ns, self.options.dead_ns)

    def limits(self, node: NodeId) -> tuple[int, int]:
        return self._limits
