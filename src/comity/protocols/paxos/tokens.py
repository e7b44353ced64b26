"""Session tokens: what a session has seen.

Registers of different keys have nothing in common that could be compared, so a token remembers one key and
the ballot of it that the session has seen; a session that has seen more keys reads through a quorum, which
is always new enough. That keeps all four session guarantees (Terry and others, 1994), also across keys.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from comity.protocols.paxos.ballots import NONE, Ballot

MANY = b"*"
"""The token of a session that has seen more than one key."""


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """digest: of the key. ballot: the highest seen of it."""

    digest: bytes
    ballot: Ballot


_encode = msgspec.msgpack.Encoder().encode
_seen = msgspec.msgpack.Decoder(Seen)


def digest_of(key: bytes) -> bytes:
    """A short name of a key."""
    return blake2b(key, digest_size=16).digest()


def token_after(token: bytes, key: bytes, ballot: Ballot) -> bytes:
    """What the session has seen, now that it has seen this too."""
    if token == MANY:
        return MANY
    digest = digest_of(key)
    if token:
        seen = _read(token)
        if seen is None or seen.digest != digest:
            return MANY
        ballot = max(ballot, seen.ballot)
    return _encode(Seen(digest, ballot))


def joined(first: bytes, second: bytes) -> bytes:
    """What a session has seen that has seen what either token says."""
    if not first or not second or first == second:
        return first or second
    left, right = _read(first), _read(second)
    if MANY in (first, second) or left is None or right is None or left.digest != right.digest:
        return MANY
    return first if left.ballot >= right.ballot else second


def ballot_seen(token: bytes, key: bytes) -> Ballot | None:
    """The ballot of the key that a local read must reach; None where only a quorum will do."""
    if not token:
        return NONE
    if token == MANY:
        return None
    seen = _read(token)
    return seen.ballot if seen is not None and seen.digest == digest_of(key) else None


def _read(token: bytes) -> Seen | None:
    try:
        return _seen.decode(token)
    except msgspec.DecodeError:
        return None
