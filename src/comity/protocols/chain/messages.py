"""What the replicas of a chain say to each other, and its bytes.

Every message carries the epoch of its sender's view: the fencing token. Messages are array-like tagged
Structs; the group and the sender are named by the envelope.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity.replica import Codec, SnapshotChunk
from comity.replica.logged import Natural

MAX_NODES = 1024
Nodes = Annotated[tuple[Natural, ...], msgspec.Meta(max_length=MAX_NODES)]


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the log; its index is its position. term: the epoch in which it was first written;
    kind: an `EntryKind`, command or no-op; payload: opaque."""

    term: Natural
    kind: Annotated[int, msgspec.Meta(ge=0, le=1)]
    payload: bytes


class Append(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """Down the chain: `entries` follow the entry (previous_index, previous_epoch). Every node from the
    head to the sender has all of that durable. commit: what the sender knows to be committed."""

    epoch: Natural
    previous_index: Natural
    previous_epoch: Natural
    commit: Natural
    entries: list[Entry]


class AppendReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """Up the chain: the log is durable here and equal to the predecessor's up to `match`; `commit` is
    durable at the tail and at everyone before it.

    rejected: where not 0, the Append after that index did not fit. Then (hint_index, hint_epoch) is the
    replier's last entry at or before it that could be the predecessor's too.
    """

    epoch: Natural
    match: Natural
    commit: Natural
    rejected: Natural = 0
    hint_index: Natural = 0
    hint_epoch: Natural = 0


class Echo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The number of the last heartbeat heard of a node."""

    node: Natural
    number: Natural


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """To everyone of the view: I am in `epoch`.

    number: names this heartbeat. echoes: the last one heard of each other, in this epoch; to each of them
    this is a promise, see `leases`. counted: of the joining nodes those that count for commits, as far as
    the sender knows. received: how far its log is known to equal its predecessor's, durable or not.
    """

    epoch: Natural
    number: Natural
    commit: Natural
    received: Natural
    counted: Nodes
    echoes: Annotated[list[Echo], msgspec.Meta(max_length=MAX_NODES)]


class ReadIndex(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """Are you still in this epoch, and if you are the tail, what is committed?

    number: names the batch of reads; drawn so that no earlier life of the sender used it.
    """

    epoch: Natural
    number: Natural


class ReadIndexReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """I am. index, counted: of the tail, its commit index and the joining nodes that count; of others
    nothing (0, empty)."""

    epoch: Natural
    number: Natural
    index: Natural
    counted: Nodes = ()


class InstallSnapshot(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """One chunk of a snapshot, from the predecessor."""

    epoch: Natural
    index: Natural
    last_epoch: Natural
    members: bytes
    cursor: bytes
    next_cursor: bytes
    data: bytes

    @classmethod
    def of(cls, epoch: int, chunk: SnapshotChunk) -> InstallSnapshot:
        """The message that carries this chunk."""
        return cls(epoch, chunk.index, chunk.term, chunk.members, chunk.cursor, chunk.next_cursor, chunk.data)

    def chunk(self) -> SnapshotChunk:
        """The chunk it carries."""
        return SnapshotChunk(
            self.index, self.last_epoch, self.members, self.cursor, self.next_cursor, self.data
        )


class SnapshotReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=7):
    """Of the snapshot at `index` I have what lies before `cursor`; b"" for nothing of it."""

    epoch: Natural
    index: Natural
    cursor: bytes


Message = Append | AppendReply | Heartbeat | ReadIndex | ReadIndexReply | InstallSnapshot | SnapshotReply

CODEC = Codec(encode=msgspec.msgpack.Encoder().encode, decode=msgspec.msgpack.Decoder(Message).decode)
"""bytes <-> messages; decode raises `msgspec.DecodeError` (or its `ValidationError`)."""
