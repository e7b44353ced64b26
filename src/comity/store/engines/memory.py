"""The engine for tests, simulation and data that may be lost with its process: a dict."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from comity.store.errors import EngineError


class MemoryView:
    """The content of a memory engine at one point in time."""

    __slots__ = ("_data", "_order")

    def __init__(self, data: dict[bytes, bytes]) -> None:
        self._data = data
        self._order: list[bytes] | None = None

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None where there is none."""
        return self._data.get(key)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start <= key < end, in the order of their bytes."""
        if self._order is None:
            self._order = sorted(self._data)
        return _scan(self._data, self._order, start, end)

    def close(self) -> None:
        """Let go of the content."""
        self._data = {}
        self._order = []


class MemoryEngine:
    """A dict of bytes, and a sorted index of its keys that is brought up to date when somebody scans.

    It remembers what changed since the last `sync`, so that `crashed` can tell what a crash would leave.
    """

    __slots__ = ("_added", "_closed", "_data", "_order", "_unsynced")

    def __init__(self, content: dict[bytes, bytes] | None = None) -> None:
        self._data: dict[bytes, bytes | None] = {**content} if content else {}
        self._order: list[bytes] = []
        self._added: list[bytes] = [*self._data]
        self._unsynced: dict[bytes, bytes | None] = {}
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None where there is none."""
        return self._data.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of several keys, in their order."""
        get = self._data.get
        return [get(key) for key in keys]

    def write(
        self, puts: Iterable[tuple[bytes, bytes | None]], clear: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Delete the ranges of `clear`, then put each key (value None deletes it)."""
        if self._closed:
            raise EngineError("the engine is closed", "memory", "open another one")
        changes: dict[bytes, bytes | None] = {}
        for start, end in clear:
            changes.update(dict.fromkeys((key for key, _ in self.scan(start, end)), None))
        changes.update(puts)
        data = self._data
        unsynced = self._unsynced
        removed: list[bytes] = []
        added: list[bytes] = []
        for key, value in changes.items():
            before = data.get(key)
            if key not in unsynced:
                unsynced[key] = before
            if value is None:
                removed.append(key)
            elif before is None:
                added.append(key)
        # One call in C, so another thread sees all of it or nothing; the tombstones go afterwards.
        data.update(changes)
        self._added.extend(added)
        for key in removed:
            del data[key]

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start <= key < end, in the order of their bytes."""
        if self._added or len(self._order) > 2 * len(self._data) + 64:
            added, self._added = self._added, []
            # A new list, never one in place: another thread may be scanning the old one.
            order = [key for key in self._order if key in self._data]
            order.extend(sorted(added))
            order.sort()
            self._order = order
        return _scan(self._data, self._order, start, end)

    def view(self) -> MemoryView:
        """The content as of now, unmoved by later writes."""
        return MemoryView({key: value for key, value in self._data.copy().items() if value is not None})

    def sync(self) -> None:
        """What was written so far would survive a crash, if there were a disk."""
        self._unsynced = {}

    def crashed(self) -> MemoryEngine:
        """A new engine with the content as of the last `sync`: what a crash now would leave."""
        content = dict(self._data)
        content.update(self._unsynced)
        return MemoryEngine({key: value for key, value in content.items() if value is not None})

    def checkpoint(self, path: str) -> None:
        """Always refused: there is nothing on a disk."""
        raise EngineError(
            "the memory engine cannot be copied to a disk", path, "use the rocksdb engine for checkpoints"
        )

    def close(self) -> None:
        """Refuse further writes; the content stays readable, as a crash or a test may want it."""
        self._closed = True


def _scan(
    data: dict[bytes, bytes | None] | dict[bytes, bytes], order: list[bytes], start: bytes, end: bytes
) -> Iterator[tuple[bytes, bytes]]:
    previous = None
    for position in range(bisect_left(order, start), len(order)):
        key = order[position]
        if key >= end:
            return
        if key != previous:  # a key deleted and put again is listed twice
            value = data.get(key)
            if value is not None:
                yield key, value
            previous = key
