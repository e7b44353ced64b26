"""What the owner of a log knows of a replica that follows it: how far it matches, what is on its way to it.

The states are those of etcd's raft library, after 10.2.1 of Ongaro's thesis (pipelining): PROBE sends one
Append at a time until the logs are known to match; REPLICATE sends ahead of the replies, bounded in bytes and
messages (what is not acknowledged is the Sent list of van Renesse & Schneider 2004, section 3); SNAPSHOT
sends chunks, because the entries are gone or the replica's history is another.
"""

from __future__ import annotations

import enum
from collections import deque

from comity.replica.effects import NodeId, SnapshotChunk


class ProgressState(enum.IntEnum):
    """How a replica is being sent the log."""

    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


PROBE = ProgressState.PROBE
REPLICATE = ProgressState.REPLICATE
SNAPSHOT = ProgressState.SNAPSHOT


class Transfer:
    """A snapshot on its way to one replica.

    index: of the snapshot, 0 until its first chunk was read. chunk: the one not acknowledged yet.
    cursor, reading: what is wanted of the host, and whether it was asked. held: whether to wait
    before asking, because the host had none. sent_ns: when something was asked or sent last.
    retry_ns: how long to wait from then on.
    """

    __slots__ = ("chunk", "cursor", "held", "index", "reading", "retry_ns", "sent_ns")

    def __init__(self, retry_ns: int) -> None:
        self.index = 0
        self.chunk: SnapshotChunk | None = None
        self.reading = False
        self.cursor = b""
        self.held = False
        self.sent_ns = 0
        self.retry_ns = retry_ns


class Progress:
    """One replica.

    match: its log is durable and equal to this one up to here. next: the next entry to send. heard_ns:
    when it last said anything. received: what it last said it holds, durable or not. sent_ns: when an
    Append was sent last. inflight: (last index, bytes) of each Append sent in REPLICATE and not
    acknowledged. paused: in PROBE, whether an Append is out.
    """

    __slots__ = (
        "heard_ns",
        "inflight",
        "inflight_bytes",
        "match",
        "next",
        "node",
        "paused",
        "received",
        "sent_ns",
        "state",
        "transfer",
    )

    def __init__(self, node: NodeId, next_index: int, now_ns: int) -> None:
        self.node = node
        self.match = 0
        self.next = next_index
        self.state = PROBE
        self.heard_ns = now_ns
        self.received = 0
        self.sent_ns = now_ns
        self.inflight: deque[tuple[int, int]] = deque()
        self.inflight_bytes = 0
        self.paused = False
        self.transfer: Transfer | None = None

    def _enter(self, state: ProgressState) -> None:
        self.state = state
        self.paused = False
        self.inflight.clear()
        self.inflight_bytes = 0
        self.transfer = None

    def become_probe(self, next_index: int) -> None:
        """Find out where the logs match, starting with the entry before `next_index`."""
        self._enter(PROBE)
        self.next = max(next_index, self.match + 1)

    def become_replicate(self) -> None:
        """The logs match up to `match`: send ahead."""
        self._enter(REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, retry_ns: int) -> None:
        """What it needs is not in the log."""
        self._enter(SNAPSHOT)
        self.transfer = Transfer(retry_ns)

    def sent(self, last_index: int, size_bytes: int, now_ns: int) -> None:
        """An Append ending at `last_index` is on its way."""
        self.sent_ns = now_ns
        if self.state is REPLICATE:
            self.next = last_index + 1
            self.inflight.append((last_index, size_bytes))
            self.inflight_bytes += size_bytes
        else:
            self.paused = True

    def acknowledged(self, index: int) -> bool:
        """It holds everything up to `index`; whether that is news."""
        inflight = self.inflight
        while inflight and inflight[0][0] <= index:
            self.inflight_bytes -= inflight.popleft()[1]
        if self.next <= index:
            self.next = index + 1
        if index <= self.match:
            return False
        self.match = index
        return True

    @property
    def unacknowledged(self) -> bool:
        """Whether an Append is out that was not answered."""
        return self.paused or bool(self.inflight)

    @property
    def needs(self) -> int:
        """Entries after this index must be kept for it."""
        if self.transfer is not None and self.transfer.index > self.match:
            return self.transfer.index
        return self.match
