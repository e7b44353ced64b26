"""The replicated log in memory: a list with an offset.

Entries at or below `base` were compacted; of them only the last one's term is kept. A term numbers those
who write entries, one after another, and never falls along a log: Raft's term, a chain's epoch, the reign
of a primary.
"""

from __future__ import annotations

import typing
from bisect import bisect_right
from operator import attrgetter
from typing import Generic, TypeVar

_term_of = attrgetter("term")

ENTRY_OVERHEAD_BYTES = 64
"""What an entry costs besides its payload, for the bounds that count bytes."""


class LogEntry(typing.Protocol):
    """What a log needs of an entry, whose index is its position. kind: an `EntryKind`; payload: opaque."""

    @property
    def term(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def payload(self) -> bytes: ...


EntryT = TypeVar("EntryT", bound=LogEntry)


def size_of(entry: LogEntry) -> int:
    """The bytes an entry counts for."""
    return len(entry.payload) + ENTRY_OVERHEAD_BYTES


class Log(Generic[EntryT]):
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
        self.entries: list[EntryT] = []
        self.last = base
        self.last_term = base_term
        self.size_bytes = 0

    def append(self, entry: EntryT) -> int:
        """Add an entry; its index."""
        self.entries.append(entry)
        self.last += 1
        self.last_term = entry.term
        self.size_bytes += len(entry.payload) + ENTRY_OVERHEAD_BYTES
        return self.last

    def entry(self, index: int) -> EntryT:
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

    def after(self, index: int) -> list[EntryT]:
        """The entries held after `index`."""
        return self.entries[max(0, index - self.base) :]

    def slice(self, first: int, last: int, max_bytes: int) -> tuple[list[EntryT], int]:
        """Entries from `first` to `last`, at least one if there is any, up to about `max_bytes`, and their
        bytes."""
        entries = self.entries
        base = self.base
        start = end = first - base - 1
        stop = last - base
        total = 0
        for end in range(start, stop):
            size = len(entries[end].payload) + ENTRY_OVERHEAD_BYTES
            if total and total + size > max_bytes:
                break
            total += size
        else:
            if stop > start:
                end = stop
        return entries[start:end], total

    def truncate(self, index: int) -> None:
        """Drop the entry at `index` and all after it."""
        keep = index - self.base - 1
        self.size_bytes -= sum(map(size_of, self.entries[keep:]))
        del self.entries[keep:]
        self.last = index - 1
        self.last_term = self.entries[-1].term if self.entries else self.base_term

    def compact(self, index: int) -> None:
        """Drop everything up to `index`, in [base, last]."""
        if index == self.base:
            return
        self.base_term = self.term(index)
        drop = index - self.base
        self.size_bytes -= sum(map(size_of, self.entries[:drop]))
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

    def flaw(self) -> str:
        """What contradicts itself at first sight; empty where nothing does."""
        if self.base + len(self.entries) != self.last:
            return f"the log holds {len(self.entries)} entries in ({self.base}, {self.last}]"
        if self.last_term != (self.entries[-1].term if self.entries else self.base_term):
            return f"the last term {self.last_term} is not the last entry's"
        if self.base_term > self.last_term:
            return f"base term {self.base_term} <= last term {self.last_term}"
        if self.size_bytes < 0 or bool(self.size_bytes) != bool(self.entries):
            return f"the log counts {self.size_bytes} bytes for {len(self.entries)} entries"
        return ""

    def flaw_within(self, term: int) -> str:
        """The same, entry by entry, of a log whose owner has come to `term`."""
        before = self.base_term
        for index, entry in enumerate(self.entries, self.base + 1):
            if not 0 < entry.term <= term or entry.term < before:
                return f"entry {index} has term {entry.term} after {before}"
            before = entry.term
        size_bytes = sum(map(size_of, self.entries))
        if size_bytes != self.size_bytes:
            return f"the log counts {self.size_bytes} bytes and holds {size_bytes}"
        return ""
