"""The expiry index over an engine, when removals are flushed."""

from __future__ import annotations

from comity.store import layout
from comity.store.engines.memory import MemoryEngine
from comity.store.expiry import ExpiryIndex

PREFIX = layout.generation_prefix(0, 2)
FAMILY = layout.family_prefix(PREFIX, layout.FAMILY_EXPIRY)


def flush(index: ExpiryIndex, engine: MemoryEngine) -> None:
    added, removed = index.begin_flush()
    puts: list[tuple[bytes, bytes | None]] = [(layout.expiry_key(FAMILY, *entry), None) for entry in removed]
    puts += [(layout.expiry_key(FAMILY, *entry), b"") for entry in added]
    engine.write(puts)
    index.end_flush()


def test_an_entry_whose_removal_was_flushed_alone_does_not_come_back() -> None:
    engine = MemoryEngine()
    index = ExpiryIndex(engine, PREFIX)
    index.add(100, b"k")
    flush(index, engine)
    assert index.first() == (100, b"k"), "read ahead from the engine"
    index.remove(100, b"k")
    flush(index, engine)
    assert index.first() is None


def test_a_key_set_again_later_is_not_taken_for_its_earlier_entry() -> None:
    engine = MemoryEngine()
    index = ExpiryIndex(engine, PREFIX)
    index.add(100, b"k")
    flush(index, engine)
    assert index.first() == (100, b"k")
    index.remove(100, b"k")
    flush(index, engine)
    index.add(900, b"k")
    assert index.first() == (900, b"k")
