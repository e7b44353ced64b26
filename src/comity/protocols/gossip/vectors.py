"""Version vectors as they change in place: node -> how many of its dots have been delivered, absent for none.

`comity.clocks.VectorClock` is the immutable value; a replica counts in dictionaries and sends sorted pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

Counts = Mapping[int, int]

MAX_TOKEN_NODES = 4096
REMEMBERED_TOKENS = 256
"""All that is answered after one turn carries the same token."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[int, int]])


def pairs(counts: Counts) -> list[tuple[int, int]]:
    """By rising node, without zeros."""
    return [(node, counts[node]) for node in sorted(counts) if counts[node]]


def covers(counts: Counts, other: Counts | Sequence[tuple[int, int]]) -> bool:
    """Whether everything that `other` has, `counts` has."""
    for node, count in other.items() if isinstance(other, Mapping) else other:
        if counts.get(node, 0) < count:
            return False
    return True


def merged(left: Counts, right: Counts) -> dict[int, int]:
    """The least vector that covers both."""
    result = dict(left)
    for node, count in right.items():
        if count > result.get(node, 0):
            result[node] = count
    return result


def common(left: Counts, right: Counts) -> dict[int, int]:
    """The greatest vector that both cover."""
    return {node: min(left[node], right[node]) for node in sorted(left) if right.get(node, 0)}


def encode_token(counts: Counts) -> bytes:
    """What a session has seen, for the client to keep."""
    return _encoder.encode(pairs(counts))


@lru_cache(REMEMBERED_TOKENS)
def decode_token(token: bytes) -> Counts | None:
    """The inverse, {} for b""; None where it is no token."""
    if not token:
        return {}
    try:
        found = _decoder.decode(token)
    except msgspec.DecodeError:
        return None
    if len(found) > MAX_TOKEN_NODES or any(node < 1 or count < 0 for node, count in found):
        return None
    return dict(found)


@lru_cache(REMEMBERED_TOKENS)
def joined_tokens(first: bytes, second: bytes) -> bytes:
    """A token that says a session has seen what either says; what is no token says nothing."""
    left, right = decode_token(first), decode_token(second)
    if left is None or right is None:
        return second if left is None else first
    return encode_token(merged(left, right)) if left or right else b""
