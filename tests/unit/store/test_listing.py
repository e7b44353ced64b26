"""Which keyspace a pattern names, and listing and counting the keys of cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from comity.store.cells import CLIENT
from comity.store.glob import matcher
from comity.store.listing import count_cells, keyspace_of, keyspace_of_pattern, list_cells


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (b"carts:*", b"carts"),
        (b"carts:1[0-9]:?", b"carts"),
        (b"carts:", b"carts"),
        (b":*", b""),
        (rb"ca\rts:*", b"carts"),
        (rb"odd\*:*", b"odd*"),
        (rb"odd\:x", b"odd"),
        (b"carts*", None),
        (b"c*:1", None),
        (b"cart?:1", None),
        (b"[c]arts:1", None),
        (b"carts", None),
        (b"*", None),
        (b"", None),
        (b"carts\\", None),
    ],
)
def test_a_pattern_names_the_keyspace_before_its_first_colon_where_that_is_literal(
    pattern: bytes, name: bytes | None
) -> None:
    assert keyspace_of_pattern(pattern) == name


@given(pattern=st.text("ab:*?[]\\^-").map(str.encode), key=st.text("ab:*").map(str.encode))
def test_whatever_matches_a_pattern_that_names_a_keyspace_is_of_it(pattern: bytes, key: bytes) -> None:
    name = keyspace_of_pattern(pattern)
    if name is not None and matcher(pattern)(key):
        assert key.partition(b":")[:2] == (name, b":")


def test_scan_names_by_its_last_match_and_a_malformed_one_names_none() -> None:
    assert keyspace_of([b"scan", b"0", b"MATCH", b"a:*", b"COUNT", b"5"]) == b"a"
    assert keyspace_of([b"SCAN", b"0", b"match", b"a:*", b"match", b"b:*"]) == b"b"
    assert keyspace_of([b"SCAN", b"0"]) is None
    assert keyspace_of([b"SCAN", b"x", b"MATCH", b"a:*"]) is None
    assert keyspace_of([b"SCAN", b"0", b"MATCH", b"a:*", b"COUNT"]) is None


class Cells:
    """Cells in a dict; hashes of few bits, so that many are the same."""

    def __init__(self, count: int, bits: int = 64) -> None:
        keys = [CLIENT + b"a:%d" % number for number in range(count)] + [b"book", b"its"]
        self.sorted = sorted((xxh3_64_intdigest(key) >> 64 - bits << 64 - bits, key) for key in keys)

    def walk(self, position: int) -> Iterator[tuple[int, bytes, bytes]]:
        for place, key in self.sorted:
            if place >= position:
                yield place, key, b"gone" if key.endswith(b"7") else b"there"


def there(cell: bytes) -> bool:
    return cell == b"there"


def answer(data: bytes) -> object:
    reader = hiredis.Reader()
    reader.feed(data)
    return reader.gets()


WANTED = {b"a:%d" % number for number in range(100) if number % 10 != 7}


def test_keys_are_those_of_clients_that_exist() -> None:
    cells = Cells(100)
    found = answer(list_cells([b"KEYS", b"a:*"], cells.walk, there))
    assert isinstance(found, list)
    assert len(found) == 90
    assert set(found) == WANTED
    assert answer(list_cells([b"KEYS", b"a:1?"], cells.walk, there)) != []


@pytest.mark.parametrize("bits", [2, 4, 64])
@pytest.mark.parametrize("count", [b"1", b"7", b"1000"])
def test_scans_from_cursor_to_cursor_give_every_key_once(bits: int, count: bytes) -> None:
    cells = Cells(100, bits)
    cursor = b"0"
    found: list[bytes] = []
    for _ in range(200):
        words = [b"SCAN", cursor, b"MATCH", b"a:*", b"COUNT", count]
        following: Any = answer(list_cells(words, cells.walk, there))
        cursor = following[0]
        found += following[1]
        if cursor == b"0":
            break
    assert len(found) == 90
    assert set(found) == WANTED


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((b"SCAN", b"x", b"MATCH", b"a:*"), "ERR invalid cursor"),
        ((b"SCAN", b"0", b"MATCH", b"a:*", b"COUNT", b"0"), "ERR syntax error"),
        ((b"SCAN", b"0", b"MATCH", b"a:*", b"COUNT", b"x"), "ERR value is not an integer or out of range"),
    ],
)
def test_a_malformed_scan_has_redis_own_error(words: tuple[bytes, ...], error: str) -> None:
    assert str(answer(list_cells(words, Cells(3).walk, there))) == error


def test_few_keys_are_counted_and_many_estimated() -> None:
    cells = Cells(10_000)
    assert count_cells(cells.walk, there, most=20_000) == (9_000, True)
    estimated, exact = count_cells(cells.walk, there, most=2_000)
    assert not exact
    assert abs(estimated - 9_000) < 500
    assert count_cells(Cells(0).walk, there) == (0, True)
