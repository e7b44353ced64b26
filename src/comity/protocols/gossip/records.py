"""What a replica keeps in its cells beside its clients' keys, and how it is read back."""

from __future__ import annotations

import msgspec

from comity.protocols.gossip.messages import Batch
from comity.replica import NodeId, UnusableRecord, View

KEY = b"k"
"""Before a client's key."""
BOOKKEEPING = b"m"
DELTAS = b"d"


class Transfer(msgspec.Struct, array_like=True):
    """A full state being received, or received and not yet covered by deltas.

    cursor: the hash up to which cells have come, -1 where all have. start: what every source had delivered
    when its first cells were read: once all have come, all of that is here. horizon: what the cells may
    hold at most; until it is covered too, an effect may be here without its cause. wipe: cells that the
    source has not are removed: they are of an earlier membership.
    """

    cursor: int
    start: dict[int, int] | None
    horizon: dict[int, int]
    wipe: bool


class Bookkeeping(msgspec.Struct, array_like=True):
    """vector: delivered; own entry: the last dot published. origin: under which name own writes go.
    counter: the last own dot used. stamp: of the hybrid clock. position: batches delivered. view, joined,
    admitted: see `membership`. stable: what was collected by. discarded: own writes given up when this
    replica came back after it had been removed."""

    vector: dict[int, int]
    origin: int
    counter: int
    stamp: int
    position: int
    view: View
    joined: int
    admitted: dict[int, int]
    transfer: Transfer | None
    discarded: int
    stable: dict[int, int]


class Logged(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A batch, and the place in the order of delivery on this replica."""

    position: int
    batch: Batch


_encode = msgspec.msgpack.Encoder().encode
_bookkeeping = msgspec.msgpack.Decoder(Bookkeeping)
_logged = msgspec.msgpack.Decoder(Logged)


def client_key(key: bytes) -> bytes:
    """Where a client's key lies."""
    return KEY + key


def delta_key(origin: NodeId, last: int) -> bytes:
    """Where the batch that ends with this dot lies."""
    return DELTAS + origin.to_bytes(8, "big") + last.to_bytes(8, "big")


def encode_bookkeeping(value: Bookkeeping) -> bytes:
    """Its bytes."""
    return _encode(value)


def decode_bookkeeping(data: bytes) -> Bookkeeping:
    """The inverse; raises `UnusableRecord`."""
    try:
        return _bookkeeping.decode(data)
    except msgspec.DecodeError as error:
        raise UnusableRecord(f"the bookkeeping of gossip cannot be read: {error}") from None


def encode_logged(value: Logged) -> bytes:
    """Its bytes."""
    return _encode(value)


def decode_logged(data: bytes) -> Logged:
    """The inverse; raises `UnusableRecord`."""
    try:
        return _logged.decode(data)
    except msgspec.DecodeError as error:
        raise UnusableRecord(f"a logged delta cannot be read: {error}") from None
