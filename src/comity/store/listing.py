"""KEYS and SCAN where a keyspace is named: which one a pattern is about, and the keys of cells.

A pattern is about the keyspace named by what it has before its first colon, where that is literal: `carts:*`
and `carts:1[0-9]` are about `carts`. Any other is about `default`, as commands without a key are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from comity.formats import resp
from comity.store import replies
from comity.store.cells import CLIENT
from comity.store.commands.keys import ScanOptions, scan_options
from comity.store.errors import CommandError
from comity.store.glob import matcher

Walk = Callable[[int], Iterator[tuple[int, bytes, bytes]]]
"""(hash, key, cell) from a hash on, in the order of hashes: `CellStore.walk`."""
Shown = Callable[[bytes], bool]
"""Whether there is a key, for clients, where a cell holds this."""

LISTING = frozenset({"keys", "scan"})
"""The commands that take a pattern."""

COUNTED_EXACTLY = 10_000
"""So many cells are visited to count keys; beyond that the rest is estimated."""


def keyspace_of_pattern(pattern: bytes) -> bytes | None:
    """The keyspace that a pattern names; None where it names none."""
    name = bytearray()
    position = 0
    while position < len(pattern):
        byte = pattern[position]
        if byte in b"*?[":
            return None
        if byte == 0x5C and position + 1 < len(pattern):  # a backslash
            position += 1
            byte = pattern[position]
        if byte == 0x3A:  # ":"
            return bytes(name)
        name.append(byte)
        position += 1
    return None


def keyspace_of(args: Sequence[bytes]) -> bytes | None:
    """The keyspace that a KEYS or SCAN command names; None for none, and for a malformed command."""
    if args[0].upper() == b"KEYS":
        return keyspace_of_pattern(args[1])
    try:
        return keyspace_of_pattern(scan_options(args).pattern)
    except CommandError:
        return None


def list_cells(args: Sequence[bytes], walk: Walk, shown: Shown) -> bytes:
    """The reply to KEYS or SCAN from a replica's own cells."""
    try:
        if args[0].upper() == b"KEYS":
            return _keys(args[1], walk, shown)
        return _scan(scan_options(args), walk, shown)
    except CommandError as error:
        return replies.error(error.text)


def _keys(pattern: bytes, walk: Walk, shown: Shown) -> bytes:
    matches = matcher(pattern)
    return resp.array(
        [
            resp.bulk(key[1:])
            for _, key, cell in walk(0)
            if key[:1] == CLIENT and matches(key[1:]) and shown(cell)
        ]
    )


def _scan(options: ScanOptions, walk: Walk, shown: Shown) -> bytes:
    """As SCAN of a log: cells of one hash together, the next hash as cursor."""
    matches = matcher(options.pattern)
    found: list[bytes] = []
    following = 0
    last = -1
    for visited, (place, key, cell) in enumerate(walk(options.position)):
        if visited >= options.count and place != last:
            following = place
            break
        last = place
        wanted = key[:1] == CLIENT and options.type_name in (b"", b"string") and matches(key[1:])
        if wanted and shown(cell):
            found.append(resp.bulk(key[1:]))
    return resp.array([resp.bulk(b"%d" % following), resp.array(found)])


def count_cells(walk: Walk, shown: Shown, most: int = COUNTED_EXACTLY) -> tuple[int, bool]:
    """(how many keys there are, whether that is exact). Hashes are spread evenly, so of the rest there are as
    many as of those visited, in proportion."""
    found = 0
    for visited, (place, key, cell) in enumerate(walk(0)):
        if visited >= most:
            return round(found * (1 << 64) / max(place, 1)), False
        if key[:1] == CLIENT and shown(cell):
            found += 1
    return found, True
