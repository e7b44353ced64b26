"""The working set: decoded cells above the engine, the ones to be flushed, and both merged in order.

A cell is looked for in this order: dirty, being flushed, hot, cold, engine. Dirty holds what changed since
the last flush began; it is never dropped. What was flushed becomes hot. Hot and cold are two generations
of a cache bounded by bytes: when hot is full it becomes cold, and what nobody touched for a whole
generation is dropped. A cell written since may still stand in hot or cold, as it was before, behind the
dirty one: so a write touches one dict.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from xxhash import xxh3_64_digest

from comity.store import layout
from comity.store.engines import Engine
from comity.store.layout import ABSENT, Cell
from comity.store.limits import KEY_OVERHEAD_BYTES

FEW = 64


class Created:
    """Keys that may exist above the engine only, sorted by their place in it when somebody asks."""

    __slots__ = ("_places", "_unsorted")

    def __init__(self) -> None:
        self._unsorted: list[bytes] = []
        self._places: list[bytes] = []

    def add(self, key: bytes) -> None:
        """A key came into being; it may be told of more than once."""
        self._unsorted.append(key)

    def places(self) -> list[bytes]:
        """xxh3_64(key) || key of each, sorted, perhaps with repetitions."""
        if self._unsorted:
            fresh = [xxh3_64_digest(key) + key for key in self._unsorted]
            self._unsorted = []
            if len(fresh) < FEW:
                for place in fresh:
                    insort(self._places, place)
            else:
                self._places += fresh
                self._places.sort()
        return self._places


class WorkingSet:
    """Cells by key, over one generation of one group in an engine."""

    __slots__ = (
        "cache_bytes",
        "cold",
        "cold_bytes",
        "created",
        "dirty",
        "dirty_bytes",
        "engine",
        "family",
        "flushing",
        "flushing_bytes",
        "flushing_created",
        "hot",
        "hot_bytes",
        "misses",
    )

    def __init__(self, engine: Engine, prefix: bytes, cache_bytes: int) -> None:
        self.engine = engine
        self.family = layout.family_prefix(prefix, layout.FAMILY_CELLS)
        self.cache_bytes = cache_bytes
        self.hot: dict[bytes, Cell] = {}
        self.hot_bytes = 0
        self.cold: dict[bytes, Cell] = {}
        self.cold_bytes = 0
        self.dirty: dict[bytes, Cell] = {}
        self.dirty_bytes = 0
        self.flushing: dict[bytes, Cell] = {}
        self.flushing_bytes = 0
        self.created = Created()
        self.flushing_created = Created()
        self.misses = 0

    # -- one key

    def load(self, key: bytes) -> Cell:
        """The cell of a key that is not dirty, kept for the next time; `ABSENT` for a key without one."""
        cell = self.flushing.get(key) or self.hot.get(key)
        if cell is None:
            cell = self._from_below(key)
            self._warm(key, cell)
        return cell

    def _from_below(self, key: bytes) -> Cell:
        cell = self.cold.get(key)
        if cell is None:
            self.misses += 1
            value = self.engine.get(layout.cell_key(self.family, key))
            cell = ABSENT if value is None else layout.decode_cell(value)
        return cell

    def _warm(self, key: bytes, cell: Cell) -> None:
        if 2 * self.hot_bytes > self.cache_bytes:
            self.rotate()
        self.hot[key] = cell
        self.hot_bytes += len(key) + len(cell[0] or b"") + KEY_OVERHEAD_BYTES

    def prefetch(self, keys: Sequence[bytes]) -> None:
        """Read the cells of these keys that only the engine has, all at once."""
        hot, cold, dirty, flushing = self.hot, self.cold, self.dirty, self.flushing
        wanted = [
            key
            for key in dict.fromkeys(keys)
            if key not in hot and key not in cold and key not in dirty and key not in flushing
        ]
        if len(wanted) < 2:
            return
        self.misses += len(wanted)
        family = self.family
        found = self.engine.get_many([layout.cell_key(family, key) for key in wanted])
        for key, value in zip(wanted, found, strict=True):
            self._warm(key, ABSENT if value is None else layout.decode_cell(value))

    def store(self, key: bytes, cell: Cell) -> Cell:
        """Make this the cell of a key; the one before."""
        data = cell[0] or b""
        old = self.dirty.get(key)
        if old is None:
            old = self.flushing.get(key) or self.hot.get(key) or self._from_below(key)
            self.dirty_bytes += len(key) + len(data)
        else:
            self.dirty_bytes += len(data) - len(old[0] or b"")
        if old[0] is None:
            self.created.add(key)
        self.dirty[key] = cell
        return old

    def rotate(self) -> None:
        """Drop what was not touched for a whole generation of the cache."""
        self.cold, self.cold_bytes = self.hot, self.hot_bytes
        self.hot, self.hot_bytes = {}, 0

    def bytes_to_flush(self) -> int:
        """About how much memory the cells hold that were written since the last flush began."""
        return self.dirty_bytes + len(self.dirty) * KEY_OVERHEAD_BYTES

    # -- all keys, in the order of xxh3_64(key), then key

    def walk(self, position: int = 0) -> Iterator[tuple[bytes, Cell]]:
        """(xxh3_64(key) || key, cell) of every cell that exists from that hash on, expired ones too.

        Nothing may be written while this is consumed.
        """
        start = position.to_bytes(8, "big")
        above = self._above(start)
        place = next(above, None)
        family = self.family
        skip = len(family)
        for engine_key, value in self.engine.scan(family + start, layout.after(family)):
            below = engine_key[skip:]
            while place is not None and place < below:
                cell = self._changed(place[8:])
                if cell is not None and cell[0] is not None:
                    yield place, cell
                place = next(above, None)
            if place == below:
                place = next(above, None)
            cell = self._changed(below[8:])
            if cell is None:
                cell = layout.decode_cell(value)
            if cell[0] is not None:
                yield below, cell
        while place is not None:
            cell = self._changed(place[8:])
            if cell is not None and cell[0] is not None:
                yield place, cell
            place = next(above, None)

    def _changed(self, key: bytes) -> Cell | None:
        return self.dirty.get(key) or self.flushing.get(key)

    def _above(self, start: bytes) -> Iterator[bytes]:
        """Places of keys that may be above the engine only, each once."""
        left, right = self.created.places(), self.flushing_created.places()
        at_left, at_right = bisect_left(left, start), bisect_left(right, start)
        previous = b""
        while at_left < len(left) or at_right < len(right):
            if at_right == len(right) or (at_left < len(left) and left[at_left] <= right[at_right]):
                place = left[at_left]
                at_left += 1
            else:
                place = right[at_right]
                at_right += 1
            if place != previous:
                yield place
                previous = place

    # -- flushing

    def begin_flush(self) -> dict[bytes, Cell]:
        """Hand over what is dirty; the dict stays as it is from now on."""
        self.flushing, self.dirty = self.dirty, {}
        self.flushing_bytes = self.bytes_to_flush() + len(self.flushing) * KEY_OVERHEAD_BYTES
        self.dirty_bytes = 0
        self.flushing_created, self.created = self.created, Created()
        return self.flushing

    def end_flush(self) -> None:
        """What was handed over is in the engine now, and hot."""
        size = self.flushing_bytes
        if 2 * (self.hot_bytes + size) > self.cache_bytes:
            self.rotate()
        if 2 * size > self.cache_bytes:
            # Too much to keep; nor may what it stood in front of come to light.
            self.cold, self.cold_bytes = {}, 0
        else:
            self.hot.update(self.flushing)
            self.hot_bytes += size
        self.flushing, self.flushing_bytes = {}, 0
        self.flushing_created = Created()

    def restart(self, prefix: bytes) -> None:
        """Forget everything and continue, empty above the engine, over another generation."""
        self.family = layout.family_prefix(prefix, layout.FAMILY_CELLS)
        self.hot, self.cold, self.dirty, self.flushing = {}, {}, {}, {}
        self.hot_bytes = self.cold_bytes = self.dirty_bytes = self.flushing_bytes = 0
        self.created, self.flushing_created = Created(), Created()
