"""What commands work on: the keys of one group, at the time and index of the entry being applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from xxhash import xxh3_64_intdigest

from comity.store.clients import ClientTable
from comity.store.engines import Engine
from comity.store.errors import CommandError
from comity.store.expiry import ExpiryIndex
from comity.store.layout import ABSENT, Cell
from comity.store.limits import MAX_STRING_BYTES
from comity.store.working_set import WorkingSet

WATCH_BUCKETS = 1024
"""Deletions are remembered for WATCH by hash bucket: a deletion of another key in the bucket of a watched
absent key aborts a transaction that need not have been, once in that many deletions."""

FEW = 4
"""So few are put one by one."""

TOO_LONG = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"


class Context(WorkingSet):
    """The keys of a group, as a command sees them.

    now_ms: the time, as stamped into the log, unix milliseconds; what expires at or before it does not
    exist. index: of the log entry being applied. protocol: 2 or 3, the RESP version of the reply; null
    and null_array: "nothing" in it. draw: differs between the random choices of one entry.
    keys: how many cells there are, expired ones included until they are reclaimed.
    execute: carries out one command, for those that contain commands.
    """

    __slots__ = (
        "buckets",
        "clients",
        "draw",
        "execute",
        "expiry",
        "flush_all",
        "index",
        "keys",
        "now_ms",
        "null",
        "null_array",
        "protocol",
    )

    def __init__(self, engine: Engine, prefix: bytes, cache_bytes: int, clients: ClientTable) -> None:
        super().__init__(engine, prefix, cache_bytes)
        self.clients = clients
        self.expiry = ExpiryIndex(engine, prefix)
        self.buckets = [0] * WATCH_BUCKETS
        self.keys = 0
        self.now_ms = 0
        self.index = 0
        self.draw = 0
        self.protocol = 2
        self.null = b"$-1\r\n"
        self.null_array = b"*-1\r\n"
        self.execute: Callable[[Context, list[bytes]], bytes]
        self.flush_all: Callable[[], None]

    def speak(self, protocol: int) -> None:
        """Reply in that RESP version from now on."""
        if protocol != self.protocol:
            self.protocol = protocol
            self.null = b"_\r\n" if protocol == 3 else b"$-1\r\n"
            self.null_array = b"_\r\n" if protocol == 3 else b"*-1\r\n"

    # -- reading

    def cell(self, key: bytes) -> Cell | None:
        """The cell of a key; None where it does not exist or is expired."""
        cell = self.hot.get(key) or self.load(key)
        if cell[0] is None or 0 < cell[2] <= self.now_ms:
            return None
        return cell

    def get(self, key: bytes) -> bytes | None:
        """The string at a key; None where it does not exist or is expired."""
        cell = self.hot.get(key) or self.load(key)
        if 0 < cell[2] <= self.now_ms:
            return None
        return cell[0]

    def live(self, position: int = 0) -> Iterator[tuple[bytes, Cell]]:
        """(xxh3_64(key) || key, cell) of every key that exists, in hash order, from that hash on."""
        now_ms = self.now_ms
        for place, cell in self.walk(position):
            if not 0 < cell[2] <= now_ms:
                yield place, cell

    def random_word(self) -> int:
        """A number below 2**64 that the entry and `draw` determine."""
        self.draw += 1
        return xxh3_64_intdigest(b"%d %d" % (self.index, self.draw))

    # -- writing

    def put(self, key: bytes, data: bytes, expires_ms: int = 0) -> None:
        """Make the key hold this string and expire then (0: never). A time that has come deletes it."""
        old = self.hot.get(key) or self.load(key)
        before = old[0]
        if old[2]:
            self.expiry.remove(old[2], key)
        if expires_ms:
            if expires_ms <= self.now_ms:
                self._put_expired(key, old)
                return
            self.expiry.add(expires_ms, key)
        # From here on it is `store`, written out: this is where most of the time goes.
        if before is None:
            before = b""
            self.keys += 1
            self.created.add(key)
        size = len(data)
        self.hot[key] = self.dirty[key] = (data, self.index, expires_ms)
        self.hot_bytes += size - len(before)
        self.dirty_bytes += size

    def put_all(self, commands: Sequence[list[bytes]]) -> None:
        """`put(key, data)` for each (name, key, data), in order: at once, and so several times as fast."""
        if len(commands) < FEW:
            for args in commands:
                self.put(args[1], args[2])
            return
        index = self.index
        hot, load = self.hot, self.load
        cells: dict[bytes, Cell] = {args[1]: (args[2], index, 0) for args in commands}
        olds = [hot.get(key) or load(key) for key in cells]
        if self.hot is not hot:  # Loading turned the cache over: not all of them are hot any more.
            for args in commands:
                self.put(args[1], args[2])
            return
        before = 0
        for key, old in zip(cells, olds, strict=True):
            data = old[0]
            if data is None:
                self.keys += 1
                self.created.add(key)
            else:
                before += len(data)
                if old[2]:
                    self.expiry.remove(old[2], key)
        size = sum([len(cell[0] or b"") for cell in cells.values()])
        hot.update(cells)
        self.dirty.update(cells)
        self.hot_bytes += size - before
        self.dirty_bytes += size

    def _put_expired(self, key: bytes, old: Cell) -> None:
        self.buckets[xxh3_64_intdigest(key) % WATCH_BUCKETS] = self.index
        if old[0] is not None:
            self.keys -= 1
            self.store(key, ABSENT, old)

    def delete(self, key: bytes) -> bool:
        """Delete the key; whether it existed."""
        old = self.hot.get(key) or self.load(key)
        if old[0] is None:
            return False
        existed = not 0 < old[2] <= self.now_ms
        self.keys -= 1
        if old[2]:
            self.expiry.remove(old[2], key)
        self.buckets[xxh3_64_intdigest(key) % WATCH_BUCKETS] = self.index
        self.store(key, ABSENT, old)
        return existed

    def reclaim(self, most: int) -> int:
        """Delete keys whose time has come, the earliest first; how many were."""
        for count in range(most):
            first = self.expiry.first()
            if first is None or first[0] > self.now_ms:
                return count
            self.delete(first[1])
        return most

    def restart(self, prefix: bytes) -> None:
        """Delete all keys: go on, empty, over a generation that holds none."""
        super().restart(prefix)
        self.expiry = ExpiryIndex(self.engine, prefix)
        self.keys = 0
        self.buckets = [self.index] * WATCH_BUCKETS

    # -- watching

    def version(self, key: bytes) -> tuple[int, int]:
        """What WATCH remembers of a key: (version, 0 where it does not exist; index of the last deletion
        that may have been of this key)."""
        cell = self.hot.get(key) or self.load(key)
        deleted = self.buckets[xxh3_64_intdigest(key) % WATCH_BUCKETS]
        if cell[0] is None:
            return 0, deleted
        if 0 < cell[2] <= self.now_ms:
            return 0, max(deleted, cell[1])
        return cell[1], deleted

    def unchanged(self, key: bytes, version: int, deleted: int) -> bool:
        """Whether nothing happened to the key since `version` gave these two."""
        now = self.version(key)
        return now[0] == version and (version != 0 or now[1] == deleted)


def checked_length(size: int) -> None:
    """Raise where a string would become longer than Redis allows."""
    if size > MAX_STRING_BYTES:
        raise CommandError(TOO_LONG)
