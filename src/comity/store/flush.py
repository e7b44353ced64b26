"""Flushing: what changed since the last time, written to the engine by another thread."""

from __future__ import annotations

from collections.abc import Iterator

from comity.store import layout
from comity.store.clients import ClientRecord, encode_record
from comity.store.engines import Engine
from comity.store.expiry import Entry
from comity.store.layout import Cell
from comity.store.snapshots import SnapshotSender


class FlushJob:
    """One flush: made on the loop by `StateMachine.begin_flush`, run anywhere, ended on the loop.

    Everything it holds stays as it is while it runs. index: the state it writes is as of that entry.
    """

    __slots__ = (
        "_engine",
        "added",
        "cells",
        "clears",
        "clients",
        "generation",
        "index",
        "meta",
        "meta_key",
        "origins",
        "prefix",
        "removed",
        "sender",
        "stamp_ms",
        "written",
    )

    def __init__(
        self,
        engine: Engine,
        *,
        index: int,
        generation: int,
        prefix: bytes,
        cells: dict[bytes, Cell],
        added: dict[Entry, None],
        removed: dict[Entry, None],
        clients: list[tuple[bytes, ClientRecord | None]],
        origins: list[tuple[int, bytes | None]],
        meta_key: bytes,
        meta: bytes,
        clears: list[tuple[bytes, bytes]],
        sender: SnapshotSender,
        stamp_ms: int,
    ) -> None:
        self._engine = engine
        self.index = index
        self.generation = generation
        self.prefix = prefix
        self.cells = cells
        self.added = added
        self.removed = removed
        self.clients = clients
        self.origins = origins
        self.meta_key = meta_key
        self.meta = meta
        self.clears = clears
        self.sender = sender
        self.stamp_ms = stamp_ms
        self.written = False

    def run(self) -> None:
        """Write it, in any thread, with no other write to the engine under way. Raises `EngineError`.

        The engine consumes the encoding in slices and lets other threads run between them, yet all of it
        is one atomic write with the position it belongs to.
        """
        self._engine.write(self._puts(), self.clears)
        self.sender.close_idle(self.stamp_ms)
        self.written = True

    def _puts(self) -> Iterator[tuple[bytes, bytes | None]]:
        family = layout.family_prefix(self.prefix, layout.FAMILY_CELLS)
        cell_key, encode_cell = layout.cell_key, layout.encode_cell
        for key, cell in self.cells.items():
            yield cell_key(family, key), None if cell[0] is None else encode_cell(cell)
        family = layout.family_prefix(self.prefix, layout.FAMILY_EXPIRY)
        for entry in self.removed:
            yield layout.expiry_key(family, *entry), None
        for entry in self.added:
            yield layout.expiry_key(family, *entry), b""
        family = layout.family_prefix(self.prefix, layout.FAMILY_CLIENTS)
        for client, record in self.clients:
            yield family + client, None if record is None else encode_record(record)
        for origin, row in self.origins:
            yield layout.origin_key(self.prefix, origin), row
        yield self.meta_key, self.meta
