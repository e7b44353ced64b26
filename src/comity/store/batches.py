"""What travels through the log: batches of commands, and proposals that carry them.

A batch is encoded once, by the node whose clients sent the commands, and stays opaque bytes on its way;
a proposal is what one turn of the leader puts into one log entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

Natural = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """Commands of one node's clients, in their order.

    origin: the node. incarnation: which start of it. sequence: from 1, per incarnation. after: the batch
    this one must follow, 0 for none. floor: all sequences below it are answered. protocol: the RESP
    version of the replies. commands: each a list of arguments, the name first. Where all of them are SET
    with a key and a value and nothing else, keys and values hold them and commands is empty.
    """

    origin: Natural
    incarnation: Natural
    sequence: Natural
    after: Natural
    floor: Natural
    protocol: Annotated[int, msgspec.Meta(ge=2, le=3)]
    commands: list[list[bytes]]
    keys: list[bytes] = []
    values: list[bytes] = []


class Proposal(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """One log entry. stamp_ms: the leader's wall clock, unix milliseconds. batches: encoded `Batch`es."""

    stamp_ms: Natural
    batches: list[bytes]


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The replies to a batch, one a command; None where it was applied before and they are not kept."""

    origin: int
    incarnation: int
    sequence: int
    replies: list[bytes] | None


PLAIN_SET = frozenset({b"SET", b"set", b"Set"})
"""With a key and a value and nothing else, many are written, read and carried out at once."""

FEW = 4
"""So few are not worth it."""

_encode = msgspec.msgpack.Encoder().encode

_decode_batch = msgspec.msgpack.Decoder(Batch).decode

decode_proposal = msgspec.msgpack.Decoder(Proposal).decode
"""bytes -> Proposal; raises `msgspec.MsgspecError` on anything else."""


def decode_batch(data: bytes) -> Batch:
    """Bytes -> Batch; raises `msgspec.MsgspecError` on anything else."""
    batch = _decode_batch(data)
    if len(batch.keys) != len(batch.values):
        raise msgspec.ValidationError("as many values as keys were expected")
    return batch


def encode_batch(
    origin: int,
    incarnation: int,
    sequence: int,
    after: int,
    floor: int,
    protocol: int,
    commands: Sequence[Sequence[bytes]],
) -> bytes:
    """The bytes of a `Batch`."""
    if len(commands) >= FEW and _all_plain(commands):
        keys = [args[1] for args in commands]
        values = [args[2] for args in commands]
        return _encode((origin, incarnation, sequence, after, floor, protocol, (), keys, values))
    return _encode((origin, incarnation, sequence, after, floor, protocol, commands))


def _all_plain(commands: Sequence[Sequence[bytes]]) -> bool:
    names = {args[0] if len(args) == 3 else b"" for args in commands}
    return names <= PLAIN_SET


def encode_proposal(stamp_ms: int, batches: Sequence[bytes]) -> bytes:
    """The bytes of a `Proposal`: the payload of a log entry."""
    return _encode((stamp_ms, batches))
