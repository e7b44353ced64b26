"""Version vectors as they change in place: node -> how many of its dots have been delivered, absent for none.

`comity.clocks.VectorClock` is the immutable value; a replica counts in dictionaries and sends sorted pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

Counts = Mapping[int, int]

MAX_TOKEN_NODES = 4096

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[int, int]])


def pairs(counts: Counts) -> list[tuple[int, int]]:
    """By rising node, without zeros."""
    return [(node, counts[node]) for node in sorted(counts) if counts[node]]


def covers(counts: Counts, other: Counts | Sequence[tuple[int, int]]) -> bool:
    """Whether everything that `other` has, `counts` has."""
    items = other.items() if isinstance(other, Mapping) else other
    return all(counts.get(node, 0) >= count for node, count in items)


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


def decode_token(token: bytes) -> dict[int, int] | None:
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
