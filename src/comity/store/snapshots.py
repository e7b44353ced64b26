"""Snapshots between replicas: read from a point-in-time view, staged beside the current state.

A snapshot is the meta record and every key of the current generation, in the order of their bytes, cut
into chunks. A cursor is where the next chunk starts, so a transfer goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import msgspec

from comity.formats.snapshots import decode_chunk, encode_chunk
from comity.store import layout
from comity.store.engines import Engine, EngineView
from comity.store.errors import SnapshotError
from comity.store.meta import Meta, decode_meta, encode_meta

IDLE_MS = 300_000
"""A view that nobody reads from for so long is closed: it keeps the engine from reclaiming space."""

_META = b""
_END = b"\xff"


class SnapshotChunkData(msgspec.Struct, frozen=True):
    """A piece of a snapshot, as `replica.SnapshotChunk` carries it."""

    index: int
    term: int
    members: bytes
    next_cursor: bytes
    data: bytes


@dataclass(slots=True)
class _Open:
    """A view being served. readers: transfers begun and not finished."""

    view: EngineView
    meta: Meta
    readers: int = 0
    used_ms: int = 0


class SnapshotSender:
    """The snapshots of one group that other replicas are reading, a few at a time.

    Its methods are for one thread at a time, with no write to the engine under way.
    """

    def __init__(self, engine: Engine, group: int, most: int) -> None:
        self._engine = engine
        self._group = group
        self._most = most
        self._open: dict[int, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def chunk(self, cursor: bytes, snapshot: int, max_bytes: int, now_ms: int) -> SnapshotChunkData | None:
        """The piece at a cursor, of about `max_bytes` and at least one key.

        b"" starts the newest snapshot there is, if that has applied index `snapshot` at least; later
        cursors belong to the snapshot of exactly that index. None where there is no such snapshot.
        """
        opened = self._begin(snapshot) if not cursor else self._open.get(snapshot)
        if opened is None:
            return None
        opened.used_ms = now_ms
        meta = opened.meta
        prefix = layout.generation_prefix(self._group, meta.generation)
        pairs: list[tuple[bytes, bytes]] = []
        size = 0
        if not cursor:
            pairs.append((_META, encode_meta(meta)))
        next_cursor = b""
        for key, value in opened.view.scan(prefix + cursor, prefix + _END):
            place = key[layout.PREFIX_BYTES :]
            if size >= max_bytes:
                next_cursor = place
                break
            pairs.append((place, value))
            size += len(place) + len(value)
        if not next_cursor:
            self._finish(meta.applied)
        return SnapshotChunkData(meta.applied, meta.term, meta.members, next_cursor, encode_chunk(pairs))

    def _begin(self, snapshot: int) -> _Open | None:
        view = self._engine.view()
        data = view.get(layout.meta_key(self._group))
        meta = None if data is None else decode_meta(data, self._group)
        if meta is None or meta.applied < snapshot:
            view.close()
            return None
        opened = self._open.get(meta.applied)
        if opened is not None:
            view.close()
        else:
            while len(self._open) >= self._most:
                self._close(min(self._open))
            opened = self._open[meta.applied] = _Open(view, meta)
        opened.readers += 1
        return opened

    def _finish(self, index: int) -> None:
        opened = self._open[index]
        opened.readers -= 1
        if opened.readers <= 0:
            self._close(index)

    def _close(self, index: int) -> None:
        self._open.pop(index).view.close()

    def close_idle(self, now_ms: int) -> None:
        """Close what nobody has read from for long."""
        for index in [index for index, opened in self._open.items() if now_ms - opened.used_ms > IDLE_MS]:
            self._close(index)

    def close(self) -> None:
        """Close all."""
        for index in [*self._open]:
            self._close(index)


class SnapshotReceiver:
    """The snapshot that one group is receiving, in a generation of its own beside the current one.

    Received generations are odd and those that FLUSHALL begins are even, so that neither can take one
    that the other is about to use. generation: 0 while nothing is staged.
    """

    def __init__(self, engine: Engine, group: int) -> None:
        self._engine = engine
        self._group = group
        self._meta: Meta | None = None
        self._expected: bytes | None = None
        self.generation = 0

    def stage(
        self,
        index: int,
        term: int,
        members: bytes,
        cursor: bytes,
        next_cursor: bytes,
        data: bytes,
        current: int,
    ) -> None:
        """Write a chunk to the engine; b"" as the cursor discards what was staged before.

        current: the generation in use. Raises `SnapshotError` where the chunk does not follow the one
        before, `formats.CorruptSnapshot` where its bytes are damaged.
        """
        pairs = decode_chunk(data)
        clear: list[tuple[bytes, bytes]] = []
        if not cursor:
            self.generation = _next_odd(current)
            clear.append(layout.generation_range(self._group, self.generation, self.generation))
            if not pairs or pairs[0][0] != _META:
                raise SnapshotError("a snapshot does not begin with its meta record")
            meta = decode_meta(pairs.pop(0)[1], self._group)
            meta.applied, meta.term, meta.members = index, term, members
            meta.generation = self.generation
            self._meta = meta
        elif cursor != self._expected or self._meta is None or self._meta.applied != index:
            raise SnapshotError(f"a chunk at {cursor!r} of snapshot {index} does not follow what was staged")
        _check_order(pairs, cursor)
        prefix = layout.generation_prefix(self._group, self.generation)
        self._engine.write([(prefix + place, value) for place, value in pairs], clear)
        self._expected = next_cursor

    def take(self) -> Meta:
        """The meta record of the complete snapshot, which is the caller's from now on."""
        if self._meta is None or self._expected != b"":
            raise SnapshotError("the snapshot to install is not complete")
        meta = self._meta
        self._meta = self._expected = None
        self.generation = 0
        return meta


def _next_odd(generation: int) -> int:
    following = generation + 1 + generation % 2
    return following if following <= layout.GENERATION_LAST else layout.GENERATION_FIRST


def _check_order(pairs: list[tuple[bytes, bytes]], cursor: bytes) -> None:
    places = [place for place, _ in pairs]
    if any(left >= right for left, right in pairwise(places)) or (places and places[0] < cursor):
        raise SnapshotError("the keys of a snapshot chunk are out of order")
