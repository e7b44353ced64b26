"""The replicated log in memory: a list with an offset.

Entries at or below `base` were compacted; of them only the last one's term is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

from comity.protocols.raft.messages import Entry

_term_of = attrgetter("term")

ENTRY_OVERHEAD_BYTES = 64
"""What an entry costs besides its payload, for the bounds that count bytes."""


def size_of(entry: Entry) -> int:
    """The bytes an entry counts for."""
    return len(entry.payload) + ENTRY_OVERHEAD_BYTES


class Log:
    """Entries base + 1 .. last.

    last, last_term: of the last entry, or of the base where there is none. size_bytes: of all
    entries held.
    """

    __slots__ = ("base", "base_term", "entries", "last", "last_term", "size_bytes")

    def __init__(self, base: int = 0, base_term: int = 0) -> None:
        self.reset(base, base_term)

    def reset(self, base: int, base_term: int) -> None:
        """Hold nothing, and stand right after (base, base_term)."""
        self.base = base
        self.base_term = base_term
        self.entries: list[Entry] = []
        self.last = base
        self.last_term = base_term
        self.size_bytes = 0

    def append(self, entry: Entry) -> int:
        """Add an entry; its index."""
        self.entries.append(entry)
        self.last += 1
        self.last_term = entry.term
        self.size_bytes += len(entry.payload) + ENTRY_OVERHEAD_BYTES
        return self.last

    def entry(self, index: int) -> Entry:
        """The entry at an index in (base, last]; `IndexError` elsewhere."""
        if not self.base < index <= self.last:
            raise IndexError(f"no entry at {index}: the log holds ({self.base}, {self.last}]")
        return self.entries[index - self.base - 1]

    def term(self, index: int) -> int:
        """The term of the entry at an index in [base, last]; -1 where it is not known."""
        if index == self.last:
            return self.last_term
        if self.base < index < self.last:
            return self.entries[index - self.base - 1].term
        return self.base_term if index == self.base else -1

    def slice(self, first: int, max_bytes: int) -> tuple[list[Entry], int]:
        """Entries from `first` on, at least one, up to about `max_bytes`, and their bytes."""
        entries = self.entries
        start = first - self.base - 1
        total = 0
        end = start
        for end in range(start, len(entries)):
            size = len(entries[end].payload) + ENTRY_OVERHEAD_BYTES
            if total and total + size > max_bytes:
                break
            total += size
        else:
            end = len(entries)
        return entries[start:end], total

    def truncate(self, index: int) -> None:
        """Drop the entry at `index` and all after it."""
        keep = index - self.base - 1
        for entry in self.entries[keep:]:
            self.size_bytes -= len(entry.payload) + ENTRY_OVERHEAD_BYTES
        del self.entries[keep:]
        self.last = index - 1
        self.last_term = self.entries[-1].term if self.entries else self.base_term

    def compact(self, index: int) -> None:
        """Drop everything up to `index`, in [base, last]."""
        if index == self.base:
            return
        self.base_term = self.term(index)
        drop = index - self.base
        for entry in self.entries[:drop]:
            self.size_bytes -= len(entry.payload) + ENTRY_OVERHEAD_BYTES
        del self.entries[:drop]
        self.base = index

    def last_at_or_below(self, index: int, term: int) -> int:
        """The largest index, at most `index`, whose term is at most `term`; never below base.

        Terms never fall along a log, so of two logs that differ, nothing after that index can be
        shared by an owner whose entry at `index` has `term`.
        """
        held = min(index, self.last) - self.base
        if held <= 0:
            return self.base
        return self.base + bisect_right(self.entries, term, hi=held, key=_term_of)

    def covers(self, index: int, term: int) -> bool:
        """Whether a log ending at (index, term) is at least as up to date as this one (5.4.1)."""
        return term > self.last_term or (term == self.last_term and index >= self.last)
