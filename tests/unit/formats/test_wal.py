"""The log: golden bytes; every cut, every flipped bit, every unwritten block is told right."""

from __future__ import annotations

import itertools

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from comity.formats.errors import CorruptLog
from comity.formats.wal import (
    BLOCK_BYTES,
    HEADER_BYTES,
    MAGIC,
    LogRecord,
    Scan,
    encode_frame,
    first_sequence,
    scan,
    segment_name,
)

GOLDEN = bytes.fromhex(
    "43574c31"  # CWL1
    "0000000c"  # 12 bytes of body
    "0000000000000102"  # sequence 258
    "e2218f54"  # crc32c of the body
    "2721ccbd"  # crc32c of the 20 bytes before
    "91 93 01 cd0102 c403 000102"
    "f0"  # not masked
)
FIRST = 41
FRAMES: list[list[LogRecord]] = [
    [(1, 1, b"alpha"), (2, 0, b"")],
    [],
    [(1, 2, b"beta" * 8)],
    [(7, 1 << 40, b"\xff" * 40), (1, 3, bytes(30))],
]
NAME = segment_name(FIRST)


def log(frames: list[list[LogRecord]]) -> tuple[bytes, list[int]]:
    """A segment and where its frames begin and the last ends."""
    data, edges = b"", [0]
    for number, records in enumerate(frames):
        data += encode_frame(FIRST + number, records)
        edges.append(len(data))
    return data, edges


def records_of(found: Scan) -> list[list[LogRecord]]:
    """What the frames hold."""
    return [frame.records for frame in found.frames]


def flipped(data: bytes, bit: int) -> bytes:
    """Data with one bit changed."""
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def test_a_frame_has_these_bytes() -> None:
    assert encode_frame(258, [(1, 258, b"\0\1\2")]).hex() == GOLDEN.hex()
    found = scan(segment_name(258), GOLDEN, None, True)
    assert records_of(found) == [[(1, 258, b"\0\1\2")]]
    assert (found.valid_bytes, found.torn_bytes) == (len(GOLDEN), 0)


def test_a_segment_is_named_after_its_first_frame() -> None:
    assert segment_name(258) == "00000000000000000258.wal"
    assert first_sequence("00000000000000000258.wal") == 258
    for name in (
        "258.wal",
        "00000000000000000258",
        "0000000000000000025x.wal",
        "00000000000000000258.wal.wal",
        "",
    ):
        with pytest.raises(CorruptLog):
            first_sequence(name)
    with pytest.raises(CorruptLog):
        first_sequence("٠" * 20 + ".wal")


records = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1 << 62), st.binary(max_size=900)), max_size=4)


@given(st.lists(records, max_size=5))
def test_a_log_is_read_back_as_written(frames: list[list[LogRecord]]) -> None:
    data, edges = log(frames)
    for is_last in (True, False):
        found = scan(NAME, data, FIRST, is_last)
        assert records_of(found) == frames
        assert [frame.offset for frame in found.frames] == edges[:-1]
        assert [frame.sequence for frame in found.frames] == [FIRST + number for number in range(len(frames))]
        assert (found.valid_bytes, found.torn_bytes) == (len(data), 0)


def test_cut_anywhere_the_last_segment_keeps_its_whole_frames_and_the_rest_is_torn() -> None:
    data, edges = log(FRAMES)
    for length in range(len(data) + 1):
        whole = sum(1 for edge in edges[1:] if edge <= length)
        found = scan(NAME, data[:length], FIRST, True)
        assert records_of(found) == FRAMES[:whole]
        assert (found.valid_bytes, found.torn_bytes) == (edges[whole], length - edges[whole])


def test_cut_anywhere_but_between_frames_an_earlier_segment_is_damaged() -> None:
    data, edges = log(FRAMES)
    for length in range(len(data) + 1):
        if length in edges:
            assert len(scan(NAME, data[:length], FIRST, False).frames) == edges.index(length)
            continue
        with pytest.raises(CorruptLog) as caught:
            scan(NAME, data[:length], FIRST, False)
        assert caught.value.offset == max(edge for edge in edges if edge <= length)


@pytest.mark.parametrize("is_last", [True, False])
def test_every_flipped_bit_is_damage_at_the_frame_it_is_in(is_last: bool) -> None:
    data, edges = log(FRAMES)
    for bit in range(len(data) * 8):
        with pytest.raises(CorruptLog) as caught:
            scan(NAME, flipped(data, bit), FIRST, is_last)
        assert caught.value.name == NAME
        assert caught.value.offset == max(edge for edge in edges if edge <= bit // 8)


@pytest.mark.parametrize("shift", [0, 8, 480, 488, 489, 490, 500, 505, 511])
@pytest.mark.parametrize("value", [bytes(1600), b"x" + bytes(1500), bytes(700) + b"x" * 500 + bytes(300)])
def test_flipped_bits_in_a_last_frame_of_zeros_are_damage_too(value: bytes, shift: int) -> None:
    # As large a first frame as puts the last where blocks cut it differently.
    first = encode_frame(FIRST, [(1, 1, b"f" * (shift + 600))])
    last = encode_frame(FIRST + 1, [(1, 2, value)])
    data = first + last
    assert len(scan(NAME, data, FIRST, True).frames) == 2
    for byte in [
        *range(len(first), len(first) + 60),
        *range(len(first) + 60, len(data) - 30, 37),
        *range(-30, 0),
    ]:
        for bit in (0, 7):
            with pytest.raises(CorruptLog):
                scan(NAME, flipped(data, byte * 8 + bit), FIRST, True)


def test_a_body_with_a_block_of_zeros_is_masked_with_the_first_byte_that_leaves_none() -> None:
    for runs, last in [(0, 0xF0), (1, 0xF1), (2, 0xF2), (15, 0xFF), (16, 0xF0)]:
        value = b"".join(bytes([mask * 0x11]) * BLOCK_BYTES for mask in range(runs))
        data = encode_frame(FIRST, [(1, 2, value)])
        assert data[-1] == last
        assert (bytes(BLOCK_BYTES) in data) == (runs == 16)
        assert records_of(scan(NAME, data, FIRST, True)) == [[(1, 2, value)]]


def block_parts(start: int, end: int) -> list[tuple[int, int]]:
    """The parts of a range that lie in different blocks of the file."""
    edges = [start, *range((start // BLOCK_BYTES + 1) * BLOCK_BYTES, end, BLOCK_BYTES), end]
    return list(itertools.pairwise(edges))


@pytest.mark.parametrize("shift", [*range(0, 512, 37), *range(480, 512)])
@pytest.mark.parametrize("value", [b"v" * 900, bytes(900), b"v" * 3, b"\0"])
def test_a_last_frame_with_any_of_its_blocks_unwritten_is_torn(value: bytes, shift: int) -> None:
    first = encode_frame(FIRST, [(1, 1, b"f" * (shift + 600))])
    last = encode_frame(FIRST + 1, [(1, 2, value)])
    data = first + last
    parts = block_parts(len(first), len(data))
    for chosen in range(1, 1 << len(parts)):
        torn = bytearray(data)
        for number, (start, end) in enumerate(parts):
            if chosen >> number & 1:
                torn[start:end] = bytes(end - start)
        for tail in (b"", bytes(7), bytes(4096)):
            found = scan(NAME, bytes(torn) + tail, FIRST, True)
            assert len(found.frames) == 1
            assert found.valid_bytes == len(first)
            assert found.torn_bytes == len(last) + len(tail)
            with pytest.raises(CorruptLog):
                scan(NAME, bytes(torn) + tail, FIRST, False)


def test_an_unwritten_block_in_any_frame_but_the_last_is_damage() -> None:
    first = encode_frame(FIRST, [(1, 1, b"f" * 2000)])
    data = first + encode_frame(FIRST + 1, [(1, 2, b"last")])
    for start, end in block_parts(0, len(first)):
        damaged = data[:start] + bytes(end - start) + data[end:]
        with pytest.raises(CorruptLog) as caught:
            scan(NAME, damaged, FIRST, True)
        assert caught.value.offset == 0
        assert "whole frame follows" in str(caught.value)


def test_preallocated_zeros_after_the_last_frame_are_cut() -> None:
    data, _ = log(FRAMES)
    for zeros in (1, 7, 8, 23, 24, 25, 511, 512, 4096, 100_000):
        found = scan(NAME, data + bytes(zeros), FIRST, True)
        assert records_of(found) == FRAMES
        assert (found.valid_bytes, found.torn_bytes) == (len(data), zeros)
        with pytest.raises(CorruptLog):
            scan(NAME, data + bytes(zeros), FIRST, False)


def test_bytes_after_the_last_frame_that_begin_no_frame_are_damage() -> None:
    data, _ = log(FRAMES)
    for garbage in (b"x", b"C", b"CWL0", MAGIC + b"\0\0\0\1" + bytes(7) + b"\7", b"garbage" * 100):
        if MAGIC.startswith(garbage):
            assert scan(NAME, data + garbage, FIRST, True).torn_bytes == len(garbage)
            continue
        with pytest.raises(CorruptLog) as caught:
            scan(NAME, data + garbage, FIRST, True)
        assert caught.value.offset == len(data)


def test_an_empty_segment_is_empty() -> None:
    for is_last in (True, False):
        assert scan(NAME, b"", FIRST, is_last) == Scan([], 0, 0)
        assert scan(NAME, b"", None, is_last) == Scan([], 0, 0)


def test_a_missing_segment_is_noticed_by_the_next() -> None:
    data, _ = log(FRAMES)
    for is_last in (True, False):
        with pytest.raises(CorruptLog, match=f"begins with frame {FIRST}, but frame {FIRST - 2} comes next"):
            scan(NAME, data, FIRST - 2, is_last)
        with pytest.raises(CorruptLog):
            scan(NAME, b"", FIRST + 1, is_last)


@pytest.mark.parametrize("wrong", [0, FIRST - 1, FIRST, FIRST + 2, 1 << 60])
def test_a_frame_out_of_sequence_is_damage_whole_or_cut(wrong: int) -> None:
    first = encode_frame(FIRST, [(1, 1, b"a")])
    stray = encode_frame(wrong, [(1, 2, b"b" * 50)])
    for length in range(HEADER_BYTES, len(stray) + 1):
        with pytest.raises(CorruptLog) as caught:
            scan(NAME, first + stray[:length], FIRST, True)
        assert caught.value.offset == len(first)
        assert f"frame {wrong} stands where frame {FIRST + 1} belongs" in str(caught.value)


def test_a_first_frame_that_is_not_the_one_of_the_name_is_damage() -> None:
    with pytest.raises(CorruptLog, match=f"frame {FIRST + 1} stands where frame {FIRST} belongs"):
        scan(NAME, encode_frame(FIRST + 1, []), None, True)


def test_a_header_that_verifies_and_claims_too_much_is_damage() -> None:
    head = MAGIC + (0xFFFFFFFF).to_bytes(4, "big") + FIRST.to_bytes(8, "big") + bytes(4)
    with pytest.raises(CorruptLog, match="larger than any that is written"):
        scan(NAME, head + crc32c(head).to_bytes(4, "big"), FIRST, True)


def test_a_torn_frame_whose_value_holds_a_frame_is_torn() -> None:
    inner = encode_frame(FIRST + 2, [(1, 9, b"a copy of a log, kept as a value")])
    first = encode_frame(FIRST, [(1, 1, b"a")])
    last = encode_frame(FIRST + 1, [(1, 2, inner + b"y" * 2000)])
    data = first + last
    for cut in range(len(first) + HEADER_BYTES, len(data), 13):
        assert scan(NAME, data[:cut], FIRST, True).valid_bytes == len(first)
    hole = data[:1024] + bytes(512) + data[1536:]
    assert scan(NAME, hole, FIRST, True).valid_bytes == len(first)


def test_records_that_cannot_be_read_under_a_checksum_that_holds_are_damage() -> None:
    for content in (b"\xc0\xf0", b"\x91\x92\x01\x02\xf0", b"\xf0", b"", b"\x90", b"\x90\x00", b"\x90\xff"):
        head = (
            MAGIC
            + len(content).to_bytes(4, "big")
            + FIRST.to_bytes(8, "big")
            + crc32c(content).to_bytes(4, "big")
        )
        with pytest.raises(CorruptLog, match="cannot be read"):
            scan(NAME, head + crc32c(head).to_bytes(4, "big") + content, FIRST, True)


@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_bytes_raise_nothing_but_damage(data: bytes, is_last: bool) -> None:
    for whole in (data, MAGIC + data, encode_frame(FIRST, []) + data):
        try:
            found = scan(NAME, whole, FIRST, is_last)
        except CorruptLog:
            continue
        assert found.valid_bytes + found.torn_bytes == len(whole)
        assert is_last or not found.torn_bytes


def test_the_words_of_damage_say_where_and_what_to_do() -> None:
    data, _ = log(FRAMES)
    with pytest.raises(CorruptLog) as caught:
        scan(NAME, flipped(data, 300), FIRST, True)
    text = str(caught.value)
    assert text.startswith(f"{NAME}: corrupt at byte 0: ")
    assert "remove it from the cluster" in text
