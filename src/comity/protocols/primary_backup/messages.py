"""What primary and backups say to each other, and its bytes.

Every message carries the reign (see `reigns`), and with it the epoch, which is the fencing token. Several
backups may be sent the very same object, so no message says anything of its receiver. The group and the
sender are named by the envelope.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity.replica import Codec, SnapshotChunk
from comity.replica.logged import Natural


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the log; its index is its position. term: the reign it was first written in; kind: an
    `EntryKind`, a command or a no-op; payload: opaque."""

    term: Natural
    kind: Annotated[int, msgspec.Meta(ge=0, le=1)]
    payload: bytes


class Append(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """`entries` follow the entry (previous_index, previous_reign); `commit` is the primary's commit index,
    whether or not the receiver has it yet."""

    reign: Natural
    previous_index: Natural
    previous_reign: Natural
    commit: Natural
    entries: list[Entry]


class AppendReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """The log is durable and equal to the primary's up to `match`.

    rejected: where not 0, the Append after that index did not fit. Then (hint_index, hint_reign) is the
    replier's last entry at or before it that could be the primary's too. diverged: what the replier has
    applied is not the primary's history: only a snapshot can help.
    """

    reign: Natural
    match: Natural
    rejected: Natural = 0
    hint_index: Natural = 0
    hint_reign: Natural = 0
    diverged: bool = False


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The primary lives, and its commit index is `commit`. round: to be answered with; 0 where no answer is
    wanted."""

    reign: Natural
    commit: Natural
    round: Natural


class HeartbeatReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """I have adopted no later view than yours, and took part in `round`.

    received: my log is known to equal the primary's up to here, though maybe not durable yet.
    """

    reign: Natural
    round: Natural
    received: Natural


class Present(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """I have adopted the view of this epoch, or came back in it; my log ends at (last_index, last_reign)."""

    reign: Natural
    last_index: Natural
    last_reign: Natural


class Fenced(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """You speak of an epoch that is over: `reign` is of the one I have adopted."""

    reign: Natural


class InstallSnapshot(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=7):
    """One chunk of a snapshot of the primary's state machine."""

    reign: Natural
    index: Natural
    last_reign: Natural
    members: bytes
    cursor: bytes
    next_cursor: bytes
    data: bytes

    @classmethod
    def of(cls, reign: int, chunk: SnapshotChunk) -> InstallSnapshot:
        """The message that carries this chunk."""
        return cls(reign, chunk.index, chunk.term, chunk.members, chunk.cursor, chunk.next_cursor, chunk.data)

    def chunk(self) -> SnapshotChunk:
        """The chunk it carries."""
        return SnapshotChunk(
            self.index, self.last_reign, self.members, self.cursor, self.next_cursor, self.data
        )


class SnapshotReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=8):
    """Of the snapshot at `index` I have what lies before `cursor`; b"" for nothing of it."""

    reign: Natural
    index: Natural
    cursor: bytes


class ReadIndex(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9):
    """A backup asks for an index that makes a batch of reads linearizable.

    number: names the batch; drawn so that no earlier life of the sender used it.
    """

    reign: Natural
    number: Natural


class ReadIndexReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=10):
    """The answer: `index` for the batch `number`, or nothing where `refused`."""

    reign: Natural
    number: Natural
    index: Natural
    refused: bool = False


Message = (
    Append
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | Present
    | Fenced
    | InstallSnapshot
    | SnapshotReply
    | ReadIndex
    | ReadIndexReply
)

CODEC = Codec(encode=msgspec.msgpack.Encoder().encode, decode=msgspec.msgpack.Decoder(Message).decode)
"""bytes <-> messages; decode raises `msgspec.DecodeError` (or its `ValidationError`)."""
