"""Replies: golden bytes in both versions, and hiredis reads them back."""

from __future__ import annotations

import math
from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.formats import resp

GOLDEN = [
    (resp.OK, "2b4f4b0d0a"),
    (resp.simple("PONG"), "2b504f4e470d0a"),
    (resp.error("ERR no"), "2d455252206e6f0d0a"),
    (resp.error("a\r\nb"), "2d6120 20620d0a"),
    (resp.integer(0), "3a300d0a"),
    (resp.integer(1023), "3a313032330d0a"),
    (resp.integer(1024), "3a313032340d0a"),
    (resp.integer(-1), "3a2d310d0a"),
    (resp.bulk(b""), "24300d0a0d0a"),
    (resp.bulk(b"\r\n"), "24320d0a0d0a0d0a"),
    (resp.null(2), "242d310d0a"),
    (resp.null(3), "5f0d0a"),
    (resp.null_array(2), "2a2d310d0a"),
    (resp.null_array(3), "5f0d0a"),
    (resp.array([]), "2a300d0a"),
    (resp.array([resp.integer(1), resp.bulk(b"a")]), "2a320d0a3a310d0a24310d0a610d0a"),
    (resp.mapping([(resp.bulk(b"k"), resp.integer(1))], 2), "2a320d0a24310d0a6b0d0a3a310d0a"),
    (resp.mapping([(resp.bulk(b"k"), resp.integer(1))], 3), "25310d0a24310d0a6b0d0a3a310d0a"),
    (resp.verbatim(b"hi", 2), "24320d0a68690d0a"),
    (resp.verbatim(b"hi", 3), "3d360d0a7478743a68690d0a"),
    (resp.double(1.5, 2), "24330d0a312e350d0a"),
    (resp.double(1.5, 3), "2c312e350d0a"),
    (resp.double(3.0, 3), "2c330d0a"),
    (resp.double(math.inf, 3), "2c696e660d0a"),
    (resp.double(-math.inf, 3), "2c2d696e660d0a"),
    (resp.double(math.nan, 3), "2c6e616e0d0a"),
    (resp.boolean(True, 2), "3a310d0a"),
    (resp.boolean(False, 2), "3a300d0a"),
    (resp.boolean(True, 3), "23740d0a"),
    (resp.boolean(False, 3), "23660d0a"),
    (resp.members([resp.integer(1)], 2), "2a310d0a3a310d0a"),
    (resp.members([resp.integer(1)], 3), "7e310d0a3a310d0a"),
    (resp.push([resp.bulk(b"a")]), "3e310d0a24310d0a610d0a"),
]


@pytest.mark.parametrize(("encoded", "expected"), GOLDEN)
def test_replies_have_these_bytes(encoded: bytes, expected: str) -> None:
    assert encoded.hex() == expected.replace(" ", "")


def read(data: bytes) -> Any:
    """What hiredis makes of one reply, which must be all of data."""
    reader = hiredis.Reader()
    reader.feed(data)
    reply = reader.gets()
    assert not reader.has_data()
    return reply


protocols = st.sampled_from([2, 3])
words = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30)


@given(words)
def test_a_status_is_read_back(text: str) -> None:
    assert read(resp.simple(text)) == text.encode()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_an_error_is_one_line_and_is_read_back(text: str) -> None:
    reply = read(resp.error("ERR " + text))
    assert isinstance(reply, hiredis.ReplyError)
    assert str(reply) == "ERR " + text.replace("\r", " ").replace("\n", " ")


def test_an_error_can_carry_bytes_that_are_no_text() -> None:
    assert resp.error("got '\udcff'") == b"-got '\xff'\r\n"


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_is_read_back(number: int) -> None:
    assert read(resp.integer(number)) == number


@given(st.binary(max_size=200), protocols)
def test_strings_are_read_back(data: bytes, protocol: int) -> None:
    assert read(resp.bulk(data)) == data
    assert read(resp.verbatim(data, protocol)) == data


@given(protocols)
def test_no_value_is_read_back(protocol: int) -> None:
    assert read(resp.null(protocol)) is None
    assert read(resp.null_array(protocol)) is None


@given(st.floats(), protocols)
def test_a_double_is_read_back_to_the_last_bit(number: float, protocol: int) -> None:
    found = float(read(resp.double(number, protocol)))
    assert found == number or (math.isnan(found) and math.isnan(number))
    assert math.copysign(1, found) == math.copysign(1, number) or math.isnan(number)


@given(st.booleans(), protocols)
def test_a_truth_value_is_read_back(value: bool, protocol: int) -> None:
    found = read(resp.boolean(value, protocol))
    assert found == value
    assert type(found) is (int if protocol == 2 else bool)


keys = st.lists(st.binary(max_size=20), max_size=10, unique=True)


@given(keys, protocols)
def test_collections_are_read_back(items: list[bytes], protocol: int) -> None:
    encoded = [resp.bulk(item) for item in items]
    assert read(resp.array(encoded)) == items
    assert read(resp.array([resp.array(encoded), resp.integer(1)])) == [items, 1]
    assert set(read(resp.members(encoded, protocol))) == set(items)
    pairs = [(one, resp.integer(number)) for number, one in enumerate(encoded)]
    mapping = read(resp.mapping(pairs, protocol))
    if protocol == 2:
        assert mapping == [part for number, item in enumerate(items) for part in (item, number)]
    else:
        assert mapping == {item: number for number, item in enumerate(items)}
    if items:
        pushed = read(resp.push(encoded))
        assert isinstance(pushed, hiredis.PushNotification)
        assert list(pushed) == items
