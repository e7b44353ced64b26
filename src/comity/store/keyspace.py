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

TOO_LONG = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"


class Context(WorkingSet):
    """The keys of a group, as a command sees them.

    now_ms: the time, as stamped into the log, unix milliseconds; what expires at or before it does not
    exist. index: of the log entry being applied. protocol: 2 or 3, the RESP version of the reply; null
    and null_array: "nothing" in it. draw: differs between the random choices of one entry.
    keys: how many cells there are, expired ones included until they are reclaimed.
    catalogue, catalogue_version: opaque, changed by one internal command; no client's command touches them.
    execute: carries out one command, for those that contain commands.
    """

    __slots__ = (
        "buckets",
        "catalogue",
        "catalogue_version",
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
        self.catalogue = b""
        self.catalogue_version = 0
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
        cell = self.dirty.get(key) or self.load(key)
        if cell[0] is None or 0 < cell[2] <= self.now_ms:
            return None
        return cell

    def get(self, key: bytes) -> bytes | None:
        """The string at a key; None where it does not exist or is expired."""
        cell = self.dirty.get(key) or self.load(key)
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
        if 0 < expires_ms <= self.now_ms:
            self._remove(key)
            self.buckets[xxh3_64_intdigest(key) % WATCH_BUCKETS] = self.index
            return
        old = self.store(key, (data, self.index, expires_ms))
        if old[0] is None:
            self.keys += 1
        if old[2]:
            self.expiry.remove(old[2], key)
        if expires_ms:
            self.expiry.add(expires_ms, key)

    def put_all(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """`put(key, value)` for each of them, in order, in less time."""
        dirty, index = self.dirty, self.index
        grown = 0
        for key, data in zip(keys, values, strict=True):
            old = dirty.get(key)
            if old is None or old[2] or old[0] is None:
                self.put(key, data)
            else:
                dirty[key] = (data, index, 0)
                grown += len(data) - len(old[0])
        self.dirty_bytes += grown

    def _remove(self, key: bytes) -> Cell:
        """Make the key hold nothing; the cell before."""
        old = self.dirty.get(key) or self.load(key)
        if old[0] is not None:
            self.keys -= 1
            if old[2]:
                self.expiry.remove(old[2], key)
            self.store(key, ABSENT)
        return old

    def delete(self, key: bytes) -> bool:
        """Delete the key; whether it existed."""
        old = self._remove(key)
        if old[0] is None:
            return False
        self.buckets[xxh3_64_intdigest(key) % WATCH_BUCKETS] = self.index
        return not 0 < old[2] <= self.now_ms

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
        cell = self.dirty.get(key) or self.load(key)
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
