"""Peer frames: golden bytes, arbitrary chunks, damage, limits."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from comity.formats.errors import FrameError
from comity.formats.frames import FrameParser, Hello, Message, decode_hello, encode_frame, encode_hello

GOLDEN_FRAME = bytes.fromhex(
    "00000011"  # 17 bytes of body
    "9fa2b035"  # crc32c of the body
    "92"  # two messages
    "93 01 02 c403 616263"  # group 1, kind 2, b"abc"
    "93 cd0200 0c c401 ff"  # group 512, kind 12, b"\xff"
)
GOLDEN_HELLO = bytes.fromhex(
    "00000031"
    "76bb491e"
    "91"
    "93 00 ccff c4 2a"
    "97 01 a4 74657374 03 07 ae 3132372e302e302e313a37313030 ae 3132372e302e302e313a37303030 a2 6431"
)
HELLO = Hello(
    cluster="test", node=3, incarnation=7, peer="127.0.0.1:7100", redis="127.0.0.1:7000", directory="d1"
)


def test_a_frame_has_these_bytes() -> None:
    messages: list[Message] = [(1, 2, b"abc"), (512, 12, b"\xff")]
    assert encode_frame(messages).hex() == GOLDEN_FRAME.hex()
    assert FrameParser().feed(GOLDEN_FRAME) == [messages]


def test_a_hello_has_these_bytes() -> None:
    assert encode_hello(HELLO).hex() == GOLDEN_HELLO.hex()
    (frame,) = FrameParser().feed(GOLDEN_HELLO)
    assert decode_hello(frame) == HELLO


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "did not say hello"),
        ([(0, 1, b"")], "did not say hello"),
        ([(1, 255, b"\x96\x01\xa1c\x01\x01\xa0\xa0")], "did not say hello"),
        ([(0, 255, b"\xff")], "cannot be read"),
        ([(0, 255, b"")], "cannot be read"),
        ([(0, 255, b"\x91" * 100_000)], "cannot be read"),
        ([(0, 255, b"\x92\x02" + b"\x91" * 100_000)], "cannot be read|speaks version 2"),
        ([(0, 255, b"\x96\x02\xa1c\x01\x01\xa0\xa0")], "speaks version 2, this node 1"),
        ([(0, 255, b"\x92\x02\xa1c")], "speaks version 2, this node 1"),
        ([(0, 255, b"\x93\x02\x01\xa1c")], "speaks version 2, this node 1"),
        ([(0, 255, b"\x91\xa1x")], "cannot be read"),
    ],
)
def test_a_first_frame_that_is_no_hello_is_refused(messages: list[Message], words: str) -> None:
    with pytest.raises(FrameError, match=words):
        decode_hello(messages)


message = st.tuples(st.integers(0, 1 << 32), st.integers(0, 255), st.binary(max_size=300))
frames = st.lists(st.lists(message, max_size=4), max_size=6)


@given(frames, st.lists(st.integers(0, 1 << 16), max_size=8))
def test_any_chunks_give_the_same_frames(written: list[list[Message]], cuts: list[int]) -> None:
    data = b"".join(encode_frame(messages) for messages in written)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    parser = FrameParser()
    read: list[list[Message]] = []
    for start, end in itertools.pairwise(edges):
        read += parser.feed(data[start:end])
    assert read == written
    assert parser.pending_bytes == 0


def test_every_flipped_bit_is_noticed_after_the_frames_before_it() -> None:
    first, second, third = (
        encode_frame([(1, 1, b"first")]),
        encode_frame([(1, 2, b"x" * 20)]),
        encode_frame([]),
    )
    data = first + second + third
    for bit in range(len(first) * 8, (len(first) + len(second)) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        parser = FrameParser(1000)
        assert parser.feed(data[: len(first)]) == [[(1, 1, b"first")]]
        # A longer length waits for bytes; give it all it can wait for.
        with pytest.raises(FrameError):
            parser.feed(bytes(damaged[len(first) :]) + bytes(1100))
        with pytest.raises(FrameError):
            parser.feed(first)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_arbitrary_bytes_raise_nothing_but_frame_errors(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parser = FrameParser(200)
    for start, end in itertools.pairwise(edges):
        try:
            parser.feed(data[start:end])
        except FrameError:
            assert parser.pending_bytes == 0
            return
        assert parser.pending_bytes <= 208


@given(st.binary(max_size=60))
def test_a_checksum_that_holds_over_arbitrary_bytes_raises_nothing_but_frame_errors(body: bytes) -> None:
    data = len(body).to_bytes(4, "big") + crc32c(body).to_bytes(4, "big") + body
    try:
        messages = FrameParser().feed(data)
    except FrameError:
        return
    (frame,) = messages
    for group, kind, content in frame:
        assert isinstance(group, int)
        assert isinstance(kind, int)
        assert isinstance(content, bytes)


def test_a_count_in_a_frame_takes_no_memory_before_its_messages_come() -> None:
    body = bytes.fromhex("dd ffffffff 93 01 01 c400")
    data = len(body).to_bytes(4, "big") + crc32c(body).to_bytes(4, "big") + body
    tracemalloc.start()
    try:
        with pytest.raises(FrameError, match="cannot be read"):
            FrameParser().feed(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_the_frame_limit_is_exact_and_known_from_the_header() -> None:
    frame = encode_frame([(1, 1, b"x" * 100)])
    body = len(frame) - 8
    assert FrameParser(body).feed(frame) == [[(1, 1, b"x" * 100)]]
    parser = FrameParser(body - 1)
    with pytest.raises(FrameError, match=f"a frame of {body} bytes is over the limit of {body - 1}"):
        parser.feed(frame[:8])
    assert parser.pending_bytes == 0


def test_frames_before_a_bad_one_in_the_same_chunk_are_not_lost_silently() -> None:
    good = encode_frame([(1, 1, b"good")])
    parser = FrameParser()
    # The link is given up as a whole: what it carried may be lost, as any message may.
    with pytest.raises(FrameError):
        parser.feed(good + b"\0\0\0\1bad!x")
    with pytest.raises(FrameError, match="given up"):
        parser.feed(good)


def test_a_large_frame_in_small_chunks_is_joined_once() -> None:
    frame = encode_frame([(1, 1, bytes(1 << 20))])
    parser = FrameParser()
    joins = 0
    for at in range(0, len(frame), 4096):
        held = parser._parts
        parser.feed(frame[at : at + 4096])
        joins += parser._parts is not held
    # Once when the header came, once when the frame was whole.
    assert joins == 2


@pytest.mark.parametrize("first", [1, 2, 3, 4, 7])
def test_a_frame_byte_by_byte_is_held_as_its_bytes(first: int) -> None:
    frame = encode_frame([(1, 1, b"x" * 10)])
    parser = FrameParser()
    assert parser.feed(frame[:first]) == []
    assert parser.pending_bytes == first
    read = [found for at in range(first, len(frame)) for found in parser.feed(frame[at : at + 1])]
    assert read == [[(1, 1, b"x" * 10)]]
