"""The expiry index: every key that expires, in (expires_ms, key) order, without holding all in memory.

The engine holds the index as of the last flush. Above it lie the changes since then: what was added,
with a heap to find the first, and what was removed; and the same two of a flush that is under way.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from comity.store import layout
from comity.store.engines import Engine

Entry = tuple[int, bytes]

READ_AHEAD = 256


class ExpiryIndex:
    """When keys expire. An entry is (expires_ms, key); a key is in it once at most. count: of all entries."""

    __slots__ = (
        "_ahead",
        "_ahead_at",
        "_complete",
        "_engine",
        "_family",
        "_floor",
        "_flushing_heap",
        "_heap",
        "added",
        "count",
        "flushing_added",
        "flushing_removed",
        "removed",
    )

    def __init__(self, engine: Engine, prefix: bytes) -> None:
        self._engine = engine
        self._family = layout.family_prefix(prefix, layout.FAMILY_EXPIRY)
        self.count = 0
        self.added: dict[Entry, None] = {}
        self.removed: dict[Entry, None] = {}
        self.flushing_added: dict[Entry, None] = {}
        self.flushing_removed: dict[Entry, None] = {}
        # Heaps may hold entries that are gone from these: skipped when they come to the top.
        self._heap: list[Entry] = []
        self._flushing_heap: list[Entry] = []
        # The next entries of the engine, read ahead; everything in it before `_floor` is removed.
        self._ahead: list[Entry] = []
        self._ahead_at = 0
        self._complete = False
        self._floor: Entry = (0, b"")

    def add(self, expires_ms: int, key: bytes) -> None:
        """The key expires then; it has no entry now."""
        self.count += 1
        entry = (expires_ms, key)
        if entry not in self.removed:
            self.added[entry] = None
            heappush(self._heap, entry)
            return
        del self.removed[entry]
        if entry in self.flushing_added:
            heappush(self._flushing_heap, entry)
        if entry <= self._floor:
            self._reread(entry)

    def remove(self, expires_ms: int, key: bytes) -> None:
        """The key has this entry and loses it."""
        self.count -= 1
        entry = (expires_ms, key)
        if entry in self.added:
            del self.added[entry]
        else:
            self.removed[entry] = None

    def first(self) -> Entry | None:
        """The entry that expires first, None where no key expires."""
        heap = self._heap
        while heap and heap[0] not in self.added:
            heappop(heap)
        first = heap[0] if heap else None
        if self.flushing_added:
            heap = self._flushing_heap
            while heap and heap[0] in self.removed:
                heappop(heap)
            if heap and (first is None or heap[0] < first):
                first = heap[0]
        below = self._first_of_engine()
        return below if first is None or (below is not None and below < first) else first

    def _first_of_engine(self) -> Entry | None:
        while True:
            while self._ahead_at < len(self._ahead):
                entry = self._ahead[self._ahead_at]
                self._floor = entry
                if entry not in self.removed and entry not in self.flushing_removed:
                    return entry
                self._ahead_at += 1
            if self._complete:
                return None
            self._read_ahead()

    def _read_ahead(self) -> None:
        past = self._ahead[-1] if self._ahead else None
        start = layout.expiry_key(self._family, *(past or self._floor))
        found: list[Entry] = []
        for engine_key, _ in self._engine.scan(start, layout.after(self._family)):
            entry = layout.decode_expiry_key(self._family, engine_key)
            if entry != past:
                found.append(entry)
                if len(found) == READ_AHEAD:
                    break
        self._ahead = found
        self._ahead_at = 0
        self._complete = len(found) < READ_AHEAD

    def _reread(self, floor: Entry) -> None:
        self._floor = min(floor, self._floor)
        self._ahead = []
        self._ahead_at = 0
        self._complete = False

    def begin_flush(self) -> tuple[dict[Entry, None], dict[Entry, None]]:
        """Hand over (added, removed) since the last flush; they stay as they are until `end_flush`."""
        self.flushing_added, self.added = self.added, {}
        self.flushing_removed, self.removed = self.removed, {}
        self._flushing_heap = list(self.flushing_added)
        heapify(self._flushing_heap)
        self._heap = []
        return self.flushing_added, self.flushing_removed

    def end_flush(self) -> None:
        """What was handed over is in the engine now."""
        first = min(self.flushing_added, default=self._floor)
        changed = bool(self.flushing_added or self.flushing_removed)
        self.flushing_added = {}
        self.flushing_removed = {}
        self._flushing_heap = []
        if changed:
            # What was read ahead may hold entries that are removed now and that nothing else names.
            self._reread(first)
