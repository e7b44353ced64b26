"""What a register holds: the client's value, and which proposals led to it."""

from __future__ import annotations

import msgspec

from comity.protocols.paxos.acceptor import Acceptance
from comity.replica import NodeId

Marks = tuple[tuple[NodeId, int], ...]


class Register(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The value agreed on by acceptors, opaque to them.

    value: the client's, None for a removed or never written key (a tombstone). marks: for each proposer
    that changed it, the counter of its last change, sorted by node: the lineage of the value as far as
    each proposer needs it to tell which of its own proposals are in it.
    """

    value: bytes | None = None
    marks: Marks = ()


EMPTY = Register()

encode_register = msgspec.msgpack.Encoder().encode
encode_acceptance = msgspec.msgpack.Encoder().encode
_decode_register = msgspec.msgpack.Decoder(Register).decode
decode_acceptance = msgspec.msgpack.Decoder(Acceptance).decode
"""What an acceptor remembers. Raises `msgspec.DecodeError`."""


def decode_register(data: bytes | None) -> Register:
    """The register in what an acceptor holds, empty where it holds nothing. Raises `msgspec.DecodeError`."""
    return EMPTY if data is None else _decode_register(data)


def mark_of(marks: Marks, node: NodeId) -> int:
    """The counter of the proposer's last change, 0 for none."""
    for other, counter in marks:
        if other == node:
            return counter
    return 0


def marked(marks: Marks, node: NodeId, counter: int, keep: tuple[NodeId, ...]) -> Marks:
    """The marks after a change by `node`; only proposers in `keep` are remembered."""
    if len(marks) == 1 and marks[0][0] == node:
        return ((node, counter),)
    others = [mark for mark in marks if mark[0] != node and mark[0] in keep]
    return tuple(sorted([*others, (node, counter)]))


def readable(value: bytes | None) -> bool:
    """Whether a peer's bytes are a register, or none."""
    if value is None:
        return True
    try:
        _decode_register(value)
    except msgspec.DecodeError:
        return False
    return True
