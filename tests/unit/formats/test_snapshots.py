"""Pieces of a snapshot: golden bytes, damage."""

from __future__ import annotations

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from comity.formats.errors import CorruptSnapshot
from comity.formats.snapshots import decode_chunk, encode_chunk

GOLDEN = bytes.fromhex(
    "01"  # version
    "1bb8f493"  # crc32c of the body
    "92"  # two pairs
    "92 c401 6b c403 000102"
    "92 c400 c400"
)
PAIRS = [(b"k", b"\0\1\2"), (b"", b"")]


def test_a_piece_has_these_bytes() -> None:
    assert encode_chunk(PAIRS).hex() == GOLDEN.hex()
    assert decode_chunk(GOLDEN) == PAIRS


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=300)), max_size=20))
def test_a_piece_is_read_back_as_written(pairs: list[tuple[bytes, bytes]]) -> None:
    assert decode_chunk(encode_chunk(pairs)) == pairs


def test_every_flipped_bit_is_noticed() -> None:
    for bit in range(len(GOLDEN) * 8):
        damaged = bytearray(GOLDEN)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptSnapshot):
            decode_chunk(bytes(damaged))


def test_every_truncation_is_noticed() -> None:
    for length in range(len(GOLDEN)):
        with pytest.raises(CorruptSnapshot):
            decode_chunk(GOLDEN[:length])
    with pytest.raises(CorruptSnapshot):
        decode_chunk(GOLDEN + b"\0")


@given(st.binary(max_size=60))
def test_arbitrary_bytes_raise_nothing_but_corruption(body: bytes) -> None:
    for data in (body, b"\1" + crc32c(body).to_bytes(4, "big") + body):
        try:
            pairs = decode_chunk(data)
        except CorruptSnapshot:
            continue
        assert all(type(key) is bytes and type(value) is bytes for key, value in pairs)
