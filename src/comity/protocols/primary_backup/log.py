"""The replicated log in memory: a list with an offset.

Entries at or below `base` were compacted; of them only the last one's reign is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

from comity.protocols.primary_backup.messages import Entry

_reign_of = attrgetter("reign")

ENTRY_OVERHEAD_BYTES = 64
"""What an entry costs besides its payload, for the bounds that count memory."""


def size_of(entry: Entry) -> int:
    """The bytes an entry counts for."""
    return len(entry.payload) + ENTRY_OVERHEAD_BYTES


class Log:
    """Entries base + 1 .. last.

    last, last_reign: of the last entry, or of the base where there is none. size_bytes: of all entries held.
    """

    __slots__ = ("base", "base_reign", "entries", "last", "last_reign", "size_bytes")

    def __init__(self, base: int = 0, base_reign: int = 0) -> None:
        self.reset(base, base_reign)

    def reset(self, base: int, base_reign: int) -> None:
        """Hold nothing, and stand right after (base, base_reign)."""
        self.base = base
        self.base_reign = base_reign
        self.entries: list[Entry] = []
        self.last = base
        self.last_reign = base_reign
        self.size_bytes = 0

    def append(self, entry: Entry) -> int:
        """Add an entry; its index."""
        self.entries.append(entry)
        self.last += 1
        self.last_reign = entry.reign
        self.size_bytes += size_of(entry)
        return self.last

    def entry(self, index: int) -> Entry:
        """The entry at an index in (base, last]; `IndexError` elsewhere."""
        if not self.base < index <= self.last:
            raise IndexError(f"no entry at {index}: the log holds ({self.base}, {self.last}]")
        return self.entries[index - self.base - 1]

    def reign(self, index: int) -> int:
        """The reign of the entry at an index in [base, last]; -1 where it is not known."""
        if index == self.last:
            return self.last_reign
        if self.base < index < self.last:
            return self.entries[index - self.base - 1].reign
        return self.base_reign if index == self.base else -1

    def after(self, index: int) -> list[Entry]:
        """The entries held after `index`."""
        return self.entries[max(0, index - self.base) :]

    def slice(self, first: int, max_bytes: int) -> tuple[list[Entry], int]:
        """Entries from `first` on, at least one, up to about `max_bytes`, and their bytes."""
        entries = self.entries
        start = end = first - self.base - 1
        total = 0
        while end < len(entries):
            size_bytes = size_of(entries[end])
            if total and total + size_bytes > max_bytes:
                break
            total += size_bytes
            end += 1
        return entries[start:end], total

    def truncate(self, index: int) -> None:
        """Drop the entry at `index` and all after it."""
        keep = index - self.base - 1
        self.size_bytes -= sum(map(size_of, self.entries[keep:]))
        del self.entries[keep:]
        self.last = index - 1
        self.last_reign = self.entries[-1].reign if self.entries else self.base_reign

    def compact(self, index: int) -> None:
        """Drop everything up to `index`, in [base, last]."""
        if index == self.base:
            return
        self.base_reign = self.reign(index)
        drop = index - self.base
        self.size_bytes -= sum(map(size_of, self.entries[:drop]))
        del self.entries[:drop]
        self.base = index

    def last_at_or_below(self, index: int, reign: int) -> int:
        """The largest index, at most `index`, whose reign is at most `reign`; never below base.

        Reigns never fall along a log, so of two logs that differ, nothing after that index can be shared by
        an owner whose entry at `index` is of `reign`.
        """
        held = min(index, self.last) - self.base
        if held <= 0:
            return self.base
        return self.base + bisect_right(self.entries, reign, hi=held, key=_reign_of)
