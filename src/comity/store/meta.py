"""The meta record of a group: where its state is in the log, and what is counted rather than looked up."""

from __future__ import annotations

from array import array
from sys import byteorder

import msgspec

from comity.store.errors import StateError

VERSION = 1


class Meta(msgspec.Struct, array_like=True, kw_only=True):
    """Written in the same atomic write as the state it describes.

    version: of the whole layout. applied, term, members: the position in the log. stamp_ms: the time.
    generation: which one holds the data. keys, expires, uses, malformed: counters. buckets: the index of
    the last deletion in each bucket of keys, u64 big-endian each. catalogue: of all keyspaces, in the state
    of the group that keeps it.
    """

    version: int
    applied: int
    term: int
    members: bytes
    stamp_ms: int
    generation: int
    keys: int
    expires: int
    uses: int
    malformed: int
    buckets: bytes
    catalogue_version: int = 0
    catalogue: bytes = b""


encode_meta = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Meta).decode


def decode_meta(data: bytes, group: int) -> Meta:
    """The inverse of `encode_meta`. Raises `StateError`."""
    try:
        meta = _decode(data)
    except msgspec.MsgspecError as error:
        raise StateError(
            f"the state of group {group} cannot be read ({error}); use the version that wrote it, or let "
            "this node fetch the state from the others into an empty directory"
        ) from error
    if meta.version != VERSION:
        raise StateError(
            f"the state of group {group} has layout {meta.version}, and this version reads {VERSION}; use "
            "the version that wrote it"
        )
    return meta


def encode_buckets(buckets: list[int]) -> bytes:
    """Indexes as u64, big-endian."""
    words = array("Q", buckets)
    if byteorder == "little":
        words.byteswap()
    return words.tobytes()


def decode_buckets(data: bytes) -> list[int]:
    """The inverse."""
    words = array("Q", data)
    if byteorder == "little":
        words.byteswap()
    return words.tolist()
