"""A piece of a snapshot: key-value pairs with a version and a checksum.

====== ======= =========================================
offset size    field, integers big-endian
====== ======= =========================================
0      1       version, 1
1      4       crc32c of the body
5      rest    body: msgpack, an array of [key, value]
====== ======= =========================================
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
from crc32c import crc32c

from comity.formats.errors import CorruptSnapshot

VERSION = 1
_HEADER = struct.Struct(">BI")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode


def encode_chunk(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The bytes of a piece."""
    body = _encode(pairs)
    return _HEADER.pack(VERSION, crc32c(body)) + body


def decode_chunk(data: bytes) -> list[tuple[bytes, bytes]]:
    """The pairs of a piece. Raises `CorruptSnapshot`."""
    if len(data) < _HEADER.size:
        raise CorruptSnapshot(f"a snapshot piece of {len(data)} bytes is too short; ask for it again")
    version, checksum = _HEADER.unpack_from(data)
    if version != VERSION:
        raise CorruptSnapshot(
            f"a snapshot piece has version {version}, not {VERSION}; upgrade the older node"
        )
    body = data[_HEADER.size :]
    if crc32c(body) != checksum:
        raise CorruptSnapshot("a snapshot piece's checksum does not hold; ask for it again")
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        raise CorruptSnapshot(f"a snapshot piece cannot be read: {error}") from error
