"""The replicated log in memory: a list with an offset.

Entries at or below `base` were compacted; of them only the last one's epoch is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

from comity.protocols.chain.messages import Entry

_epoch_of = attrgetter("epoch")

ENTRY_OVERHEAD_BYTES = 64
"""What an entry costs besides its payload, for the bounds that count bytes."""


def size_of(entry: Entry) -> int:
    """The bytes an entry counts for."""
    return len(entry.payload) + ENTRY_OVERHEAD_BYTES


class Log:
    """Entries base + 1 .. last.

    last, last_epoch: of the last entry, or of the base where there is none. size_bytes: of all
    entries held.
    """

    __slots__ = ("base", "base_epoch", "entries", "last", "last_epoch", "size_bytes")

    def __init__(self, base: int = 0, base_epoch: int = 0) -> None:
        self.reset(base, base_epoch)

    def reset(self, base: int, base_epoch: int) -> None:
        """Hold nothing, and stand right after (base, base_epoch)."""
        self.base = base
        self.base_epoch = base_epoch
        self.entries: list[Entry] = []
        self.last = base
        self.last_epoch = base_epoch
        self.size_bytes = 0

    def append(self, entry: Entry) -> int:
        """Add an entry; its index."""
        self.entries.append(entry)
        self.last += 1
        self.last_epoch = entry.epoch
        self.size_bytes += len(entry.payload) + ENTRY_OVERHEAD_BYTES
        return self.last

    def entry(self, index: int) -> Entry:
        """The entry at an index in (base, last]; `IndexError` elsewhere."""
        if not self.base < index <= self.last:
            raise IndexError(f"no entry at {index}: the log holds ({self.base}, {self.last}]")
        return self.entries[index - self.base - 1]

    def epoch(self, index: int) -> int:
        """The epoch of the entry at an index in [base, last]; -1 where it is not known."""
        if index == self.last:
            return self.last_epoch
        if self.base < index < self.last:
            return self.entries[index - self.base - 1].epoch
        return self.base_epoch if index == self.base else -1

    def slice(self, first: int, last: int, max_bytes: int) -> tuple[list[Entry], int]:
        """Entries from `first` to `last`, at least one if there is any, up to about `max_bytes`, and their
        bytes."""
        entries = self.entries
        start = first - self.base - 1
        end = start
        total = 0
        while end < last - self.base:
            size = len(entries[end].payload) + ENTRY_OVERHEAD_BYTES
            if total and total + size > max_bytes:
                break
            total += size
            end += 1
        return entries[start:end], total

    def truncate(self, index: int) -> None:
        """Drop the entry at `index` and all after it."""
        keep = index - self.base - 1
        for entry in self.entries[keep:]:
            self.size_bytes -= len(entry.payload) + ENTRY_OVERHEAD_BYTES
        del self.entries[keep:]
        self.last = index - 1
        self.last_epoch = self.entries[-1].epoch if self.entries else self.base_epoch

    def compact(self, index: int) -> None:
        """Drop everything up to `index`, in [base, last]."""
        if index == self.base:
            return
        self.base_epoch = self.epoch(index)
        drop = index - self.base
        for entry in self.entries[:drop]:
            self.size_bytes -= len(entry.payload) + ENTRY_OVERHEAD_BYTES
        del self.entries[:drop]
        self.base = index

    def last_at_or_below(self, index: int, epoch: int) -> int:
        """The largest index, at most `index`, whose epoch is at most `epoch`; never below base.

        Epochs never fall along a log, so of two logs that differ, nothing after that index can be
        shared by an owner whose entry at `index` has `epoch`.
        """
        held = min(index, self.last) - self.base
        if held <= 0:
            return self.base
        return self.base + bisect_right(self.entries, epoch, hi=held, key=_epoch_of)
