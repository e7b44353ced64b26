"""Where things lie in the engine: keys and values of cells, the expiry index and the tables.

group u32 | generation u16 | family u8 | ...          all big-endian, so that bytes sort as numbers
cells    ... | xxh3_64(key) u64 | key             -> kind u8 | version u64 | expires_ms u64 | data
expiry   ... | expires_ms u64 | key               -> (empty)
clients  ... | client id                          -> msgpack, see clients.py
origins  ... | node u64                           -> msgpack, see origins.py
Generation 0 holds the meta record of the group, generations 1 and up its data: one is current, a
second one may be arriving as a snapshot, others are leftovers to be cleared.
"""

from __future__ import annotations

from struct import Struct

from xxhash import xxh3_64_digest

Cell = tuple[bytes | None, int, int]
"""A key's value, the index of the log entry that last wrote it, and when it expires in unix
milliseconds (0 for never). The value is None for a key that does not exist."""

ABSENT: Cell = (None, 0, 0)

KIND_STRING = 0

FAMILY_META = 0
FAMILY_CELLS = 1
FAMILY_EXPIRY = 2
FAMILY_CLIENTS = 3
FAMILY_ORIGINS = 4

GENERATION_META = 0
GENERATION_FIRST = 1
GENERATION_LAST = 0xFFFF

PREFIX_BYTES = 6
"""The group and generation before everything else in an engine key."""

_prefix = Struct(">IH").pack
_header = Struct(">BQQ")
_expires = Struct(">Q").pack
HASH_BYTES = 8
HEADER_BYTES = _header.size
_pack_header = _header.pack
_unpack_header = _header.unpack_from


def generation_prefix(group: int, generation: int) -> bytes:
    """What the engine keys of one generation of one group begin with."""
    return _prefix(group, generation)


def group_start(group: int) -> bytes:
    """What is not above any engine key of a group."""
    return _prefix(group, 0)


def group_of(engine_key: bytes) -> int:
    """Whose engine key it is."""
    return int.from_bytes(engine_key[:4], "big")


def generation_range(group: int, first: int, last: int) -> tuple[bytes, bytes]:
    """The range [start, end) of the generations first to last, both included."""
    end = _prefix(group, last + 1) if last < GENERATION_LAST else _after_group(group)
    return _prefix(group, first), end


def _after_group(group: int) -> bytes:
    return _prefix(group + 1, 0) if group < 0xFFFFFFFF else b"\xff" * (PREFIX_BYTES + 1)


def meta_key(group: int) -> bytes:
    """Where the meta record of a group is."""
    return _prefix(group, GENERATION_META) + bytes((FAMILY_META,))


def family_prefix(prefix: bytes, family: int) -> bytes:
    """What the engine keys of a family of the generation with that prefix begin with."""
    return prefix + bytes((family,))


def after(prefix: bytes) -> bytes:
    """The end of the range of keys that begin with `prefix` (whose last byte is below 255)."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def cell_key(family: bytes, key: bytes) -> bytes:
    """The engine key of a cell; family is `family_prefix` of its generation."""
    return family + xxh3_64_digest(key) + key


def encode_cell(cell: Cell) -> bytes:
    """The engine value of a cell that exists."""
    data, version, expires_ms = cell
    assert data is not None
    return _pack_header(KIND_STRING, version, expires_ms) + data


def decode_cell(value: bytes) -> Cell:
    """The inverse of `encode_cell`."""
    _, version, expires_ms = _unpack_header(value)
    return value[HEADER_BYTES:], version, expires_ms


def expiry_key(family: bytes, expires_ms: int, key: bytes) -> bytes:
    """The engine key of an entry of the expiry index."""
    return family + _expires(expires_ms) + key


def decode_expiry_key(family: bytes, engine_key: bytes) -> tuple[int, bytes]:
    """The inverse: (expires_ms, key)."""
    start = len(family)
    return int.from_bytes(engine_key[start : start + 8], "big"), engine_key[start + 8 :]


def origin_key(prefix: bytes, origin: int) -> bytes:
    """The engine key of a node's row."""
    return family_prefix(prefix, FAMILY_ORIGINS) + origin.to_bytes(8, "big")
