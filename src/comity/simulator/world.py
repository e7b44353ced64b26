"""Virtual time: one queue of events, one thread, one running hash of everything that happened."""

from __future__ import annotations

import struct
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any

HASH_BYTES = 16 << 10
_EVENT = struct.Struct("<QQ")


class World:
    """The event queue of one simulation.

    Events run in order of (time, order of scheduling), so two runs of one case are the same run.
    The trace hash covers every event's time and number, and whatever handlers add with `trace`
    (frames, client bytes, journal bytes).
    """

    __slots__ = ("_hash", "_queue", "_sequence", "_unhashed", "events", "now_ns")

    def __init__(self) -> None:
        self.now_ns = 0
        self.events = 0
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self._hash = blake2b(digest_size=16)
        self._unhashed = bytearray()

    def at(self, time_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call `action(*arguments)` at that time, or now if it has passed."""
        self._sequence += 1
        heappush(self._queue, (max(time_ns, self.now_ns), self._sequence, action, arguments))

    def after(self, delay_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call `action(*arguments)` that much later."""
        self._sequence += 1
        heappush(self._queue, (self.now_ns + delay_ns, self._sequence, action, arguments))

    def run_until(self, time_ns: int) -> None:
        """Run every event up to that time, then let the clock stand there."""
        queue = self._queue
        pop = heappop
        trace = self._unhashed
        pack = _EVENT.pack
        while queue and queue[0][0] <= time_ns:
            self.now_ns, sequence, action, arguments = pop(queue)
            self.events += 1
            trace += pack(self.now_ns, sequence)
            if len(trace) > HASH_BYTES:
                self._hash.update(trace)
                trace.clear()
            action(*arguments)
        self.now_ns = max(self.now_ns, time_ns)

    def trace(self, data: bytes | memoryview) -> None:
        """Add content to the trace hash."""
        self._unhashed += data

    def trace_hash(self) -> str:
        """The hash so far, 32 hexadecimal digits."""
        self._hash.update(self._unhashed)
        self._unhashed.clear()
        return self._hash.hexdigest()
