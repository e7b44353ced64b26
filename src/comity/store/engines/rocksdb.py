"""The engine for data that must survive: RocksDB, through rocksdict, with its own log switched off.

The log of comity already holds every change, so RocksDB's would be a second write of the same bytes.
What makes that safe is that memory tables reach the disk only between whole writes: they are never
allowed to fill up, `write` and `sync` flush them, so after a crash the database is as some whole
write left it, and the applied index it holds says which.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rocksdict import (
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    Options,
    Rdict,
    RdictIter,
    WriteBatch,
    WriteOptions,
)

from comity.store.errors import EngineError

BLOCK_CACHE_BYTES = 64 << 20
MEMORY_TABLE_FLUSH_BYTES = 64 << 20
"""A memory table this large is flushed after the write that made it so."""

MEMORY_TABLE_BYTES = 2 << 30
"""More than a memory table ever holds: RocksDB itself must not choose when to flush, see above."""

SLICE_PUTS = 256
SLICE_BYTES = 256 << 10
"""One slice of a write holds the interpreter's lock for some tenths of a millisecond."""

PAUSE_SECONDS = 0.00005
"""Between slices. A sleep of nothing would take the lock back before anybody else has woken up."""

STALLED_SECONDS = 0.005
LEVEL_ZERO_FILES = 40
"""So many unmerged files make reads slow: writing waits for the merging to catch up."""


class RocksView:
    """The content of a database at one point in time: that of the creation of an iterator.

    (Iterators made from a rocksdict Snapshot show the present, so one iterator serves all of a view; a
    scan ends when the next one, or a get, begins.)
    """

    __slots__ = ("_engine", "_iterator")

    def __init__(self, engine: RocksEngine, iterator: RdictIter) -> None:
        self._engine = engine
        self._iterator: RdictIter | None = iterator

    def _opened(self) -> RdictIter:
        if self._iterator is None:
            raise EngineError("the view is closed", self._engine.path, "take another one")
        return self._iterator

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None where there is none."""
        iterator = self._opened()
        iterator.seek(key)
        found = iterator.value() if iterator.valid() and iterator.key() == key else None
        self._engine.checked(iterator)
        return found

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start <= key < end, in the order of their bytes; one scan at a time."""
        return self._engine.scanned(self._opened(), start, end)

    def close(self) -> None:
        """Let RocksDB reclaim what only this view needed."""
        self._iterator = None
        self._engine.forget(self)


class RocksEngine:
    """A RocksDB database in a directory of its own, made when it is missing."""

    def __init__(
        self,
        path: str,
        block_cache_bytes: int = BLOCK_CACHE_BYTES,
        flush_bytes: int = MEMORY_TABLE_FLUSH_BYTES,
    ) -> None:
        self.path = path
        self._flush_bytes = flush_bytes
        self._written_bytes = 0
        self._views: list[RocksView] = []
        self._write_options = WriteOptions()
        self._write_options.disable_wal = True  # type: ignore[method-assign, assignment]
        self._write_options.no_slowdown = True
        try:
            os.makedirs(path, exist_ok=True)
            self._database: Rdict | None = Rdict(path, _options(block_cache_bytes))
        except Exception as error:
            raise _engine_error(error, path) from error

    def _opened(self) -> Rdict:
        if self._database is None:
            raise EngineError("the engine is closed", self.path, "open it again")
        return self._database

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None where there is none."""
        try:
            return self._opened().get(key)
        except EngineError:
            raise
        except Exception as error:
            raise _engine_error(error, self.path) from error

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of several keys, in their order."""
        try:
            found: list[bytes | None] = self._opened().get(list(keys))  # type: ignore[assignment]
        except EngineError:
            raise
        except Exception as error:
            raise _engine_error(error, self.path) from error
        return found

    def write(
        self, puts: Iterable[tuple[bytes, bytes | None]], clear: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Delete the ranges of `clear`, then put each key (value None deletes it).

        In slices, between which other threads run. Memory tables are flushed only after the last one,
        which is what makes the whole atomic towards a crash.
        """
        self._opened()
        if clear:
            batch = WriteBatch(raw_mode=True)
            for start, end in clear:
                batch.delete_range(start, end)
            self._write(batch)
        remaining = iter(puts)
        while piece := list(islice(remaining, SLICE_PUTS)):
            batch = WriteBatch(raw_mode=True)
            size = 0
            for key, value in piece:
                if value is None:
                    batch.delete(key)
                    size += len(key)
                else:
                    batch.put(key, value)
                    size += len(key) + len(value)
                if size > SLICE_BYTES:
                    self._write(batch)
                    self._written_bytes += size
                    batch = WriteBatch(raw_mode=True)
                    size = 0
            self._written_bytes += size
            self._write(batch)
        if self._written_bytes >= self._flush_bytes:
            self.sync()
            self._wait_for_merging()

    def _write(self, batch: WriteBatch) -> None:
        while True:
            try:
                self._opened().write(batch, self._write_options)
            except EngineError:
                raise
            except Exception as error:
                if "Write stall" not in str(error):
                    raise _engine_error(error, self.path) from error
                time.sleep(STALLED_SECONDS)
            else:
                time.sleep(PAUSE_SECONDS)
                return

    def _wait_for_merging(self) -> None:
        database = self._opened()
        while (database.property_int_value("rocksdb.num-files-at-level0") or 0) > LEVEL_ZERO_FILES:
            time.sleep(STALLED_SECONDS)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start <= key < end, in the order of their bytes, as of now."""
        return self.scanned(self._opened().iter(), start, end)

    def scanned(self, iterator: RdictIter, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Walk an iterator; unlike rocksdict's own ones, which end at a damaged block, this raises."""
        iterator.seek(start)
        while iterator.valid():
            key = iterator.key()
            if key >= end:
                return
            yield key, iterator.value()
            iterator.next()
        self.checked(iterator)

    def checked(self, iterator: RdictIter) -> None:
        """Raise what stopped an iterator, if it was not the end."""
        try:
            iterator.status()
        except Exception as error:
            raise _engine_error(error, self.path) from error

    def view(self) -> RocksView:
        """The content as of now, unmoved by later writes."""
        view = RocksView(self, self._opened().iter())
        self._views.append(view)
        return view

    def forget(self, view: RocksView) -> None:
        """A view is closed."""
        if view in self._views:
            self._views.remove(view)

    def sync(self) -> None:
        """Flush the memory table to a file and wait for the disk."""
        try:
            self._opened().flush(wait=True)
        except EngineError:
            raise
        except Exception as error:
            raise _engine_error(error, self.path) from error
        self._written_bytes = 0

    def checkpoint(self, path: str) -> None:
        """A copy at `path`, sharing unchanged files where the file system allows it."""
        self.sync()
        try:
            Checkpoint(self._opened()).create_checkpoint(path)
        except EngineError:
            raise
        except Exception as error:
            raise _engine_error(error, path) from error

    def close(self) -> None:
        """Release the directory, after RocksDB has written what was not synced."""
        for view in [*self._views]:
            view.close()
        if self._database is not None:
            database, self._database = self._database, None
            database.close()


def _options(block_cache_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    table.set_block_cache(Cache(block_cache_bytes))
    table.set_block_size(8 << 10)
    table.set_format_version(5)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(MEMORY_TABLE_BYTES)
    options.set_arena_block_size(1 << 20)
    options.set_max_write_buffer_number(8)
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(0.002)
    options.set_max_background_jobs(2)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_target_file_size_base(64 << 20)
    options.set_level_compaction_dynamic_level_bytes(True)
    # A stalled write would hold the interpreter's lock: never stall, wait outside instead.
    options.set_level_zero_slowdown_writes_trigger(1 << 20)
    options.set_level_zero_stop_writes_trigger(1 << 20)
    options.set_soft_pending_compaction_bytes_limit(0)
    options.set_hard_pending_compaction_bytes_limit(0)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1 << 20)
    options.set_recycle_log_file_num(0)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_skip_stats_update_on_db_open(True)
    options.set_max_open_files(512)
    options.set_paranoid_checks(True)
    return options


def _engine_error(error: Exception, path: str) -> EngineError:
    text = str(error)
    if "lock hold by current process" in text or "While lock file" in text or "/LOCK" in text:
        return EngineError(
            "the database is in use by a running process",
            path,
            "stop that process, or give this one another directory",
        )
    if text.startswith(("Corruption", "Invalid argument", "Not found")) or "does not exist" in text:
        return EngineError(
            f"the database is damaged or is not one of ours ({text})",
            path,
            "move the directory away and let this node fetch the state from the others",
        )
    if "No space left" in text:
        return EngineError(f"the disk is full ({text})", path, "free some space and start again")
    return EngineError(text, path, "check that the directory exists, is writable and its disk is healthy")
