"""What a client's write does to a key: from the state before to the entries after it.

All writes of one payload share a dot, and only their sum is published: within it an entry may go back.
"""

from __future__ import annotations

from comity.store.commands.arguments import INTEGER_MAX, INTEGER_MIN
from comity.store.commands.strings import OVERFLOW
from comity.store.errors import CommandError
from comity.store.lattices.cell import (
    STAMP_LIMIT,
    Deadline,
    Entries,
    Entry,
    Register,
    canonical,
    newest_stamp,
    visible,
)


class Change:
    """The entries of a key while one node writes to it.

    entries: as they are now. node, counter: the dot of the write. stamp: its hybrid time; raised above
    every stamp it has seen, so that the order of stamps never contradicts causality on one key, whatever
    clocks say.
    """

    __slots__ = ("before", "counter", "entries", "node", "now_ms", "stamp")

    def __init__(self, entries: Entries, node: int, counter: int, stamp: int, now_ms: int) -> None:
        self.before = entries
        self.entries = dict(entries)
        self.node = node
        self.counter = counter
        self.now_ms = now_ms
        self.stamp = min(max(stamp, newest_stamp(entries) + 1), STAMP_LIMIT)

    def delta(self) -> dict[int, Entry]:
        """The entries that differ from those before: to be joined anywhere."""
        before = self.before
        return {
            node: entry
            for node, entry in self.entries.items()
            if (known := before.get(node)) is not entry and known != entry
        }

    def remove(self) -> None:
        """Undo everything that was seen."""
        for node, entry in self.entries.items():
            if entry.alive or entry.floor < entry.last:
                self.entries[node] = Entry(node, entry.last, entry.total, entry.last, entry.total)

    def overwrite(self, value: bytes, expires_ms: int) -> None:
        """Undo everything that was seen, and write a value."""
        total = self._own_total()
        self.remove()
        position = 2 * self.counter
        self.entries[self.node] = Entry(
            self.node,
            position - 1,
            total,
            position,
            total,
            0,
            Register(position, self.stamp, value),
            Deadline(position, self.stamp, expires_ms) if expires_ms else None,
        )

    def expire(self, expires_ms: int) -> None:
        """Say when the key expires, 0 for never."""
        own = self._own()
        position = 2 * self.counter
        self.entries[self.node] = Entry(
            self.node,
            own.floor,
            own.floor_total,
            position,
            own.total,
            own.counted,
            own.register,
            Deadline(position, self.stamp, expires_ms),
        )

    def count(self, amount: int) -> None:
        """Add to the number. Raises `CommandError` where this node's own sum no longer fits in 64 bits."""
        fresh = visible(self.entries, self.now_ms) is None
        if fresh:
            self.remove()  # what has expired is gone, also for those who have seen this
        own = self._own()
        total = own.total + amount
        if not INTEGER_MIN <= total <= INTEGER_MAX:
            raise CommandError(OVERFLOW)
        position = 2 * self.counter
        self.entries[self.node] = Entry(
            self.node,
            own.floor,
            own.floor_total,
            position,
            total,
            position,
            own.register,
            # A counter begins without a time to live, whatever was said of an earlier key of the name.
            Deadline(position, self.stamp, 0) if fresh else own.deadline,
        )

    def _own_total(self) -> int:
        own = self.entries.get(self.node)
        return own.total if own is not None and own.floor < own.last else 0

    def _own(self) -> Entry:
        """The entry of the node itself, a new one where nothing of the old is alive: its sum then begins at
        0."""
        before = 2 * self.counter - 1
        own = self.entries.get(self.node)
        if own is None or own.floor >= own.last or not own.alive:
            return Entry(self.node, before, 0, before, 0)
        return canonical(own)
