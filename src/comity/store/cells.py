"""The state of one replica of a keyspace of registers: `replica.Cells` above an engine shared with others.

Unlike the state machine of a log it is not told what to apply: its core puts what it likes, a turn's worth
at a time. Each turn's puts are one record of the write-ahead log, numbered from 1 without a gap; flushes
write the newest values to the engine together with the number they are as of; after a crash the records
above that number are put again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

import msgspec

from comity.store import layout
from comity.store.engines import Engine
from comity.store.errors import StateError
from comity.store.flush import FlushJob
from comity.store.layout import ABSENT
from comity.store.limits import StoreLimits
from comity.store.meta import VERSION, Meta, decode_meta, encode_meta
from comity.store.snapshots import SnapshotSender
from comity.store.working_set import WorkingSet

GENERATION = 2
CLIENT = b"k"
"""The first byte of a client's key, before the key itself."""

Put = tuple[bytes, bytes | None]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, bytes | None]]).decode


class CellStore:
    """Cells of one group.

    applied: the number of the last record put. flushed: the number the engine's content is as of. durable:
    the number that survives a crash of this process without the log.
    """

    def __init__(self, group: int, engine: Engine, limits: StoreLimits | None = None) -> None:
        self.group = group
        self.engine = engine
        self.limits = limits or StoreLimits()
        data = engine.get(layout.meta_key(group))
        applied = keys = 0
        if data is not None:
            meta = decode_meta(data, group)
            applied, keys = meta.applied, meta.keys
        self.applied = self.flushed = self.durable = applied
        self._keys = keys
        self._prefix = layout.generation_prefix(group, GENERATION)
        self._cells = WorkingSet(engine, self._prefix, self.limits.cache_bytes)
        self._turn: list[Put] = []
        self._job: FlushJob | None = None
        self._sender = SnapshotSender(engine, group, 0)

    # -- replica.Cells

    def get(self, key: bytes) -> bytes | None:
        """The value at a key, None for none."""
        cells = self._cells
        return (cells.dirty.get(key) or cells.load(key))[0]

    def put(self, key: bytes, value: bytes | None) -> None:
        """Store a value, or with None remove it; part of this turn's record."""
        if value is None:
            self._put(key, value)
        elif self._cells.store(key, (value, self.applied + 1, 0))[0] is None:
            self._keys += 1
        self._turn.append((key, value))

    def _put(self, key: bytes, value: bytes | None) -> None:
        old = self._cells.store(key, ABSENT if value is None else (value, self.applied + 1, 0))
        self._keys += (value is not None) - (old[0] is not None)

    def walk(self, position: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        """(hash, key, value) from that hash on, in order of (hash, key)."""
        for place, cell in self._cells.walk(position):
            value = cell[0]
            assert value is not None
            yield int.from_bytes(place[: layout.HASH_BYTES], "big"), place[layout.HASH_BYTES :], value

    def __len__(self) -> int:
        return self._keys

    # -- the log

    def record(self) -> tuple[int, bytes] | None:
        """(number, data) of what this turn put, for the write-ahead log; None for nothing."""
        if not self._turn:
            return None
        puts, self._turn = self._turn, []
        self.applied += 1
        if 2 * self._cells.hot_bytes > self._cells.cache_bytes:
            self._cells.rotate()
        return self.applied, _encode(puts)

    def restore(self, records: Iterable[tuple[int, bytes]]) -> None:
        """Put again what the log holds above the engine's content. Raises `StateError` for other records."""
        for number, data in records:
            if number <= self.applied:
                continue
            if number != self.applied + 1:
                raise StateError(
                    f"group {self.group}: record {number} of its cells follows record {self.applied}; this "
                    "node's directory lacks a part of its log: let it come back as a new node"
                )
            try:
                puts = _decode(data)
            except msgspec.MsgspecError as error:
                raise StateError(
                    f"group {self.group}: record {number} of its cells cannot be read ({error}); use the "
                    "version that wrote it, or let this node come back as a new node"
                ) from error
            for key, value in puts:
                self._put(key, value)
            self.applied = number

    # -- flushing, as of the state machine

    def dirty_bytes(self) -> int:
        """About how much memory waits to be flushed; 0 if and only if nothing does."""
        return 0 if self.applied == self.flushed else 1 + self._cells.bytes_to_flush()

    def begin_flush(self) -> FlushJob | None:
        """The work of writing to the engine what is not in it yet; None for none, or while the last has not
        ended."""
        if self._job is not None or self.applied == self.flushed or self._turn:
            return None
        meta = Meta(
            version=VERSION,
            applied=self.applied,
            term=0,
            members=b"",
            stamp_ms=0,
            generation=GENERATION,
            keys=self._keys,
            expires=0,
            uses=0,
            malformed=0,
            buckets=b"",
        )
        self._job = FlushJob(
            self.engine,
            index=self.applied,
            generation=GENERATION,
            prefix=self._prefix,
            cells=self._cells.begin_flush(),
            added={},
            removed={},
            clients=[],
            origins=[],
            meta_key=layout.meta_key(self.group),
            meta=encode_meta(meta),
            clears=[],
            sender=self._sender,
            stamp_ms=0,
        )
        return self._job

    def end_flush(self, job: FlushJob) -> None:
        """The job has run: the engine holds what it was given."""
        if job is not self._job or not job.written:
            raise StateError(f"group {self.group}: a flush ended that was not begun or has not run")
        self._job = None
        self.flushed = job.index
        self._cells.end_flush()

    def synced(self) -> None:
        """The engine was synced after the last flush that ended had run: what it wrote is durable."""
        self.durable = self.flushed

    # -- looking inside

    def clients(self, value_of: Callable[[bytes], bytes | None], position: int = 0) -> Iterator[Put]:
        """(client's key, client's value) of every key of clients that exists, in the order of hashes."""
        for _, key, cell in self.walk(position):
            if key[:1] == CLIENT:
                value = value_of(cell)
                if value is not None:
                    yield key[1:], value

    def digest(self, value_of: Callable[[bytes], bytes | None]) -> bytes:
        """A digest of what clients' keys hold, equal on replicas that hold the same; visits every key."""
        state = blake2b(digest_size=32)
        for pair in self.clients(value_of):
            state.update(_encode(pair))
        return state.digest()

    def stats(self) -> dict[str, int]:
        """Counters and sizes, for people and metrics."""
        cells = self._cells
        return {
            "cells": self._keys,
            "dirty_keys": len(cells.dirty) + len(cells.flushing),
            "dirty_bytes": self.dirty_bytes(),
            "cached_keys": len(cells.hot) + len(cells.cold),
            "cached_bytes": cells.hot_bytes + cells.cold_bytes,
            "cache_misses": cells.misses,
            "applied": self.applied,
            "flushed": self.flushed,
            "durable": self.durable,
        }

    def erase(self) -> None:
        """Remove everything the engine holds of this group, for a keyspace that is no more."""
        first, last = layout.GENERATION_META, layout.GENERATION_LAST
        self.engine.write((), [layout.generation_range(self.group, first, last)])

    def close(self) -> None:
        """Let go of the engine, which others may go on using."""
        self._sender.close()
