"""The bytes in the engine, which the next version must still be able to read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.store.driving import Log, Replica, words

from comity.store import layout

natural = st.integers(0, (1 << 63) - 1)


def test_cells_lie_by_group_generation_family_hash_and_key() -> None:
    prefix = layout.generation_prefix(0x01020304, 0x0506)
    key = layout.cell_key(layout.family_prefix(prefix, layout.FAMILY_CELLS), b"key")
    assert key.hex() == "010203040506" + "01" + "bbea0d63a05165e3" + b"key".hex()
    assert layout.meta_key(0x01020304).hex() == "01020304000000"
    assert layout.origin_key(prefix, 9).hex() == "010203040506" + "04" + "0000000000000009"


@given(st.binary(), natural, natural)
def test_cells_round_trip(data: bytes, version: int, expires_ms: int) -> None:
    cell = (data, version, expires_ms)
    assert layout.decode_cell(layout.encode_cell(cell)) == cell
    assert len(layout.encode_cell(cell)) == 17 + len(data)


@given(natural, st.binary(), natural, st.binary())
def test_the_expiry_index_sorts_by_time_then_key(
    left_ms: int, left: bytes, right_ms: int, right: bytes
) -> None:
    family = layout.family_prefix(layout.generation_prefix(1, 2), layout.FAMILY_EXPIRY)
    keys = [layout.expiry_key(family, left_ms, left), layout.expiry_key(family, right_ms, right)]
    assert (keys[0] < keys[1]) == ((left_ms, left) < (right_ms, right))
    assert layout.decode_expiry_key(family, keys[0]) == (left_ms, left)


def test_the_whole_content_of_an_engine_is_as_it_always_was() -> None:
    replica = Replica(Log(now_ms=1_700_000_000_000))
    replica.log.members(b"members")
    replica.run(
        words("SET key value PX 5000"), words("SET b 1"), words("CLIENT ONCE me 1 INCR b"), words("DEL gone")
    )
    replica.flush()
    content = {key.hex(): value.hex() for key, value in replica.engine.scan(b"", b"\xff" * 8)}
    meta = content.pop(layout.meta_key(7).hex())
    assert content == CONTENT
    assert meta.startswith(META)
    assert len(meta) == len(META) + 2 * 8 * 1024 + len("00c400")


CONTENT = {
    "00000007000201575a0b1c44d8843f62": "000000000000000002000000000000000032",
    "00000007000201bbea0d63a05165e36b6579": "0000000000000000020000018bcfe57b8876616c7565",
    "000000070002020000018bcfe57b886b6579": "",
    "000000070002036d65": "93010181019202c4043a320d0a",
    "000000070002040000000000000001": "94010102810194c4052b4f4b0d0ac4052b4f4b0d0ac4043a320d0ac4043a300d0a",
}
META = "9d010201c4076d656d62657273cf0000018bcfe568000202010100c52000"
