"""Requests: golden texts, a slow twin, arbitrary chunks, and limits that hold."""

from __future__ import annotations

import gc
import itertools
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.formats.request_twin import read_requests

from comity.formats.resp import RequestParser

MAX_REQUEST = 64 << 20
MAX_ARGUMENTS = 1 << 20


def array(*arguments: bytes) -> bytes:
    """A request as clients send it."""
    return b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in arguments)


def feed_all(
    chunks: list[bytes], max_request: int = MAX_REQUEST, max_arguments: int = MAX_ARGUMENTS
) -> tuple[list[list[bytes]], str | None]:
    """What a parser makes of the chunks, its memory claims checked after each."""
    parser = RequestParser(max_request, max_arguments)
    commands: list[list[bytes]] = []
    for chunk in chunks:
        commands += parser.feed(chunk)
        assert parser.pending_bytes <= max_request + 65536
        if parser.error is not None:
            assert parser.pending_bytes == 0
    return commands, None if parser.error is None else str(parser.error)


# -- golden bytes

ACCEPTED = [
    (b"*1\r\n$4\r\nPING\r\n", [[b"PING"]]),
    (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [[b"ECHO", b""]]),
    (b"*2\r\n$3\r\nGET\r\n$4\r\n\r\n*1\r\n", [[b"GET", b"\r\n*1"]]),
    (b"PING\r\n", [[b"PING"]]),
    (b"PING\n", [[b"PING"]]),
    (b"\r\n\n  \r\nPING\r\n", [[b"PING"]]),
    (b"*0\r\n*-1\r\n*-7\r\n*1\r\n$4\r\nPING\r\n", [[b"PING"]]),
    (b"PING\r\n*1\r\n$4\r\nPING\r\nPING x\r\n", [[b"PING"], [b"PING"], [b"PING", b"x"]]),
    (b'SET a "x\\x41\\n\\"y"\r\n', [[b"SET", b"a", b'xA\n"y']]),
    (b"SET a 'x\\'\\n'\r\n", [[b"SET", b"a", b"x'\\n"]]),
    (b'SET a"b"\r\n', [[b"SET", b"ab"]]),
    (b'SET ""\r\n', [[b"SET", b""]]),
    (b"a\vb \fc\r\n", [[b"a\vb", b"c"]]),
    (b"PING\0more\r\n", [[b"PING"]]),
    (b">1\r\n", [[b">1"]]),
    (b"~1\r\n", [[b"~1"]]),
    (b"|1\r\n", [[b"|1"]]),
    (b"+OK\r\n", [[b"+OK"]]),
    (b"$4\r\nPING\r\n", [[b"$4"], [b"PING"]]),
]

REFUSED = [
    (b"*x\r\n", "invalid multibulk length"),
    (b"*\r\n", "invalid multibulk length"),
    (b"*01\r\n", "invalid multibulk length"),
    (b"*+1\r\n", "invalid multibulk length"),
    (b"* 1\r\n", "invalid multibulk length"),
    (b"*1_0\r\n", "invalid multibulk length"),
    (b"*1 \r\n", "invalid multibulk length"),
    (b"*-0\r\n", "invalid multibulk length"),
    (b"*1\n$4\r\n", "invalid multibulk length"),
    (b"*1048577\r\n", "invalid multibulk length"),
    (b"*4294967296\r\n", "invalid multibulk length"),
    (b"*99999999999999999999\r\n", "invalid multibulk length"),
    (b"*1\r\n$x\r\n", "invalid bulk length"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
    (b"*1\r\n$+4\r\nPING\r\n", "invalid bulk length"),
    (b"*1\r\n$\r\n", "invalid bulk length"),
    (b"*1\r\n$68719476736\r\n", "invalid bulk length"),
    (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
    (b"*1\r\n:1\r\n", "expected '$', got ':'"),
    (b"*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"),
    (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
    (b"*1\r\n-PING\r\n", "expected '$', got '-'"),
    (b"*1\r\n=8\r\ntxt:PING\r\n", "expected '$', got '='"),
    (b"*1\r\n(12\r\n", "expected '$', got '('"),
    (b"*1\r\n,1.5\r\n", "expected '$', got ','"),
    (b"*1\r\n_\r\n", "expected '$', got '_'"),
    (b"*1\r\n#t\r\n", "expected '$', got '#'"),
    (b"*1\r\n>9999999999\r\n", "expected '$', got '>'"),
    (b"*1\r\n~9999999999\r\n", "expected '$', got '~'"),
    (b"*1\r\n|9999999999\r\n", "expected '$', got '|'"),
    (b"*1\r\n%9999999999\r\n", "expected '$', got '%'"),
    (b"*2\r\n$4\r\nECHO\r\nx\r\n", "expected '$', got 'x'"),
    (b"*1\r\n\xff\r\n", "expected '$', got '\udcff'"),
    (b'SET "a\r\n', "unbalanced quotes in request"),
    (b'SET "a"b\r\n', "unbalanced quotes in request"),
    (b"SET 'a\r\n", "unbalanced quotes in request"),
    (b'SET "a\0"\r\n', "unbalanced quotes in request"),
    (b"x" * 65537, "too big inline request"),
    (b"x" * 65537 + b"\r\n", "too big inline request"),
    (b"*" + b"1" * 65537, "too big mbulk count string"),
    (b"*1\r\n$" + b"1" * 65537, "too big bulk count string"),
]


@pytest.mark.parametrize(("data", "commands"), ACCEPTED)
def test_well_formed_requests_are_read_whole_and_byte_by_byte(
    data: bytes, commands: list[list[bytes]]
) -> None:
    assert read_requests(data, MAX_REQUEST, MAX_ARGUMENTS) == (commands, None)
    assert feed_all([data]) == (commands, None)
    assert feed_all([data[at : at + 1] for at in range(len(data))]) == (commands, None)


@pytest.mark.parametrize(("data", "text"), REFUSED)
def test_malformed_requests_are_refused_in_the_words_of_redis(data: bytes, text: str) -> None:
    expected: tuple[list[list[bytes]], str] = ([], f"Protocol error: {text}")
    assert read_requests(data, MAX_REQUEST, MAX_ARGUMENTS) == expected
    assert feed_all([data]) == expected
    assert feed_all([data[at : at + 1] for at in range(len(data))]) == expected


@pytest.mark.parametrize(("data", "text"), REFUSED)
def test_commands_before_an_error_are_handed_out_and_none_after(data: bytes, text: str) -> None:
    good = array(b"SET", b"k", b"v") + b"PING\r\n"
    parser = RequestParser()
    assert parser.feed(good + data + b"\r\n" + good) == [[b"SET", b"k", b"v"], [b"PING"]]
    assert str(parser.error) == f"Protocol error: {text}"
    assert parser.feed(good) == []
    assert parser.pending_bytes == 0


def test_a_line_of_exactly_the_limit_is_taken() -> None:
    assert feed_all([b"x" * 65536 + b"\n"]) == ([[b"x" * 65536]], None)
    assert feed_all([b"x" * 65536, b"\n"]) == ([[b"x" * 65536]], None)


# -- the twin

ARRAY_HEADERS = [
    b"*1\r\n",
    b"*2\r\n",
    b"*3\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*12345\r\n",
    b"*10\r\n",
    b"*99\r\n",
]
STRINGS = [b"$0\r\n\r\n", b"$1\r\nx\r\n", b"$4\r\nPING\r\n", b"$4\r\n*1\r\n\r\n"]
STRING_HEADERS = [b"$3\r\n", b"$10000\r\n", b"$300\r\n", b"$-1\r\n", b"$5"]
FOREIGN = [
    b"+OK\r\n",
    b":1\r\n",
    b"=5\r\ntxt:a\r\n",
    b"(1\r\n",
    b">1\r\n",
    b"~1\r\n",
    b"%1\r\n",
    b"|1\r\n",
    b"_\r\n",
    b"-E\r\n",
]
SINGLE = [bytes([byte]) for byte in b"*$\r\n10 '\"\\\0\v\f\xff"]
OTHER = [b"\r\n", b"\\x4", b"PING"]
token = st.sampled_from(ARRAY_HEADERS + STRINGS + STRING_HEADERS + FOREIGN + SINGLE + OTHER)
argument = st.one_of(
    st.binary(max_size=12),
    st.lists(token, max_size=4).map(b"".join),
    st.integers(0, 400).map(lambda size: b"v" * size),
)
request = st.lists(argument, min_size=1, max_size=5).map(lambda arguments: array(*arguments))
stream = st.one_of(
    st.lists(request, max_size=8).map(b"".join),
    st.lists(token, max_size=30).map(b"".join),
    st.lists(st.one_of(request, token, st.just(b"PING a 'b c'\r\n")), max_size=12).map(b"".join),
    st.binary(max_size=200),
)
limits = st.sampled_from([(MAX_REQUEST, MAX_ARGUMENTS), (1 << 20, 3), (300, 100), (60, 2), (10, 1)])


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    """Data in the chunks between the cuts."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@settings(max_examples=1000)
@given(stream, st.lists(st.integers(0, 1 << 16), max_size=6), limits)
@example(b"*2\r\n$3\r\nGET\r\n$4\r\n\r\n*1\r\n", [23], (MAX_REQUEST, MAX_ARGUMENTS))
def test_any_bytes_in_any_chunks_read_as_the_slow_twin_reads_them(
    data: bytes, cuts: list[int], limit: tuple[int, int]
) -> None:
    expected = read_requests(data, *limit)
    assert feed_all([data], *limit) == expected
    assert feed_all(split_at(data, cuts), *limit) == expected


@settings(max_examples=400)
@given(stream, limits)
def test_byte_by_byte_reads_as_the_slow_twin_reads(data: bytes, limit: tuple[int, int]) -> None:
    assert feed_all([data[at : at + 1] for at in range(len(data))], *limit) == read_requests(data, *limit)


@settings(max_examples=400)
@given(st.lists(request, min_size=1, max_size=6), st.data())
def test_every_cut_of_well_formed_requests_gives_the_same_commands(
    parts: list[bytes], draw: st.DataObject
) -> None:
    data = b"".join(parts)
    expected = read_requests(data, MAX_REQUEST, MAX_ARGUMENTS)
    assert expected[1] is None
    cut = draw.draw(st.integers(0, len(data)))
    assert feed_all([data[:cut], data[cut:]]) == expected


# -- limits


def memory_of(chunks: list[bytes], parser: RequestParser) -> int:
    """The most memory the parser took over these chunks, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        for chunk in chunks:
            parser.feed(chunk)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "claim",
    [
        b"*1048576\r\n",
        b"*9999\r\n",
        b"*9999\r\n" * 12,
        b"*99\r\n" * 1000,
        b"*2\r\n$0\r\n\r\n*9999\r\n$1\r\na\r\n*9999\r\n",
        b"*1\r\n" * 6 + b"*1048576\r\n",
        b"*2\r\n$1\r\na\r\n$67108800\r\n",
        b"*1\r\n>9999999\r\n",
        b"*1\r\n~9999999\r\n",
        b"*1\r\n%9999999\r\n",
        b"*1\r\n|9999999\r\n",
        b">9999999\r\n",
        b"*1\r\n$4\r\nPING\r\n>9999999\r\n",
        b"*1\r\n$4\r\nPING\r\n~9999999\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_claim_takes_no_memory_until_its_bytes_come(claim: bytes, size: int) -> None:
    parser = RequestParser()
    chunks = [claim[at : at + size] for at in range(0, len(claim), size)]
    assert memory_of(chunks, parser) < 16_384
    assert parser.pending_bytes <= len(claim)


def test_nested_arrays_take_memory_in_proportion_to_their_bytes() -> None:
    for one in (b"*1\r\n", b"*9\r\n", b"*1\r\n*0\r\n", b"*2\r\n$0\r\n\r\n"):
        data = one * (65536 // len(one))
        parser = RequestParser()
        assert memory_of([data], parser) < 64 * len(data)
        assert str(parser.error) == "Protocol error: expected '$', got '*'"


def test_a_header_cut_in_two_cannot_smuggle_a_count_over_the_limit() -> None:
    claim = b"*2147483647\r\n"
    for cut in range(1, len(claim)):
        parser = RequestParser()
        parser.feed(array(b"PING") + claim[:cut])
        parser.feed(claim[cut:])
        assert str(parser.error) == "Protocol error: invalid multibulk length"


def test_a_value_that_looks_like_huge_headers_is_a_value() -> None:
    value = b"\r\n*2147483647\r\n$99999999999\r\n>99999999\r\n" * 50
    data = array(b"SET", b"k", value) * 3
    expected = [[b"SET", b"k", value]] * 3
    assert feed_all([data]) == (expected, None)
    for size in (1, 2, 5, 13, 64, 1000):
        assert feed_all([data[at : at + size] for at in range(0, len(data), size)]) == (expected, None)


def test_a_request_over_the_limit_is_refused_at_the_header_that_says_so() -> None:
    parser = RequestParser(1000, 100)
    parser.feed(b"*2\r\n$3\r\nSET\r\n$978\r\n")
    assert parser.error is None
    parser = RequestParser(1000, 100)
    parser.feed(b"*2\r\n$3\r\nSET\r\n$980\r\n")
    assert str(parser.error) == "Protocol error: request larger than 1000 bytes"
    parser = RequestParser(1000, 100)
    parser.feed(b"*2\r\n$3\r\nSET\r\n$1001\r\n")
    assert str(parser.error) == "Protocol error: invalid bulk length"
    parser = RequestParser(100, 1000)
    parser.feed(b"*17\r\n")
    assert str(parser.error) == "Protocol error: invalid multibulk length"


@pytest.mark.parametrize("spare", [0, 1])
def test_the_request_limit_is_exact(spare: int) -> None:
    data = array(b"SET", b"key", b"v" * 100)
    limit = len(data) - spare
    for chunks in (
        [data],
        [data * 2],
        [data[:20], data[20:]],
        [data[at : at + 1] for at in range(len(data))],
    ):
        commands, error = feed_all(chunks, limit, 10)
        assert (error is None) == (spare == 0)
        assert bool(commands) == (spare == 0)


def test_the_argument_limit_is_exact() -> None:
    for most in (1, 2, 9, 10, 11, 99, 100, 9999, 10000, 10001, 20000):
        whole = array(*[b"a"] * most)
        over = array(*[b"a"] * (most + 1))
        assert feed_all([whole], max_arguments=most) == ([[b"a"] * most], None)
        assert feed_all([over], max_arguments=most) == ([], "Protocol error: invalid multibulk length")


def test_a_value_of_ten_megabytes_in_small_chunks_is_copied_a_constant_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = bytes(range(256)) * 40960
    data = array(b"SET", b"k", value)
    chunks = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    parser = RequestParser()
    walks = 0
    real = RequestParser._one

    def counted(self: RequestParser, buffer: bytes, start: int, commands: list[list[bytes]]) -> int:
        nonlocal walks
        walks += 1
        return real(self, buffer, start, commands)

    monkeypatch.setattr(RequestParser, "_one", counted)
    commands: list[list[bytes]] = []
    for chunk in chunks:
        commands += parser.feed(chunk)
    assert commands == [[b"SET", b"k", value]]
    # Once for the headers, once when everything is there; the chunks between are only appended.
    assert walks == 2


def test_a_long_line_byte_by_byte_is_searched_once_per_byte() -> None:
    parser = RequestParser()
    for length in range(1, 65537):
        parser.feed(b"x")
        assert parser._searched == length
    assert parser.error is None
    parser.feed(b"x")
    assert str(parser.error) == "Protocol error: too big inline request"


def test_a_refused_request_is_not_kept() -> None:
    parser = RequestParser()
    gc.collect()
    tracemalloc.start()
    try:
        parser.feed(b"*3\r\n$3\r\nSET\r\n$4000000\r\n" + b"v" * 2_000_000)
        parser.feed(b"v" * 2_000_000 + b"\r\n:1\r\n")
        assert tracemalloc.get_traced_memory()[0] < 16_384
    finally:
        tracemalloc.stop()
    assert str(parser.error) == "Protocol error: expected '$', got ':'"


def test_memory_is_given_back_after_a_large_request() -> None:
    parser = RequestParser()
    data = array(b"SET", b"k", b"v" * (4 << 20))
    gc.collect()
    tracemalloc.start()
    try:
        parser.feed(data[:3_000_000])
        parser.feed(data[3_000_000:])
        assert tracemalloc.get_traced_memory()[0] < 16_384
    finally:
        tracemalloc.stop()
    assert parser.pending_bytes == 0
