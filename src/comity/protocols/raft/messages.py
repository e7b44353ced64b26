"""What Raft replicas say to each other, and its bytes.

Messages are array-like tagged Structs; several followers may be sent the very same object, so none
of them carries anything about its receiver. The group and the sender are named by the envelope.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from comity.replica import Codec, SnapshotChunk
from comity.replica.logged import Natural


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the log; its index is its position. kind: an `EntryKind`; payload: opaque."""

    term: Natural
    kind: Annotated[int, msgspec.Meta(ge=0, le=2)]
    payload: bytes


class RequestVote(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """A candidate of `term` whose log ends at (last_index, last_term) asks for a vote.

    transfer: the leader itself asked for this election, so its being alive is no objection.
    """

    term: Natural
    last_index: Natural
    last_term: Natural
    transfer: bool = False


class VoteReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """The vote of a replica now in `term`."""

    term: Natural
    granted: bool


class RequestPreVote(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """Would you vote for me in `term`, the one after mine? Nothing changes by asking."""

    term: Natural
    last_index: Natural
    last_term: Natural


class PreVoteReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """term: the replier's own; asked: the term that was asked about."""

    term: Natural
    asked: Natural
    granted: bool


class Append(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """AppendEntries: `entries` follow the entry (previous_index, previous_term); `commit` is the
    leader's commit index, whether or not the receiver has it yet."""

    term: Natural
    previous_index: Natural
    previous_term: Natural
    commit: Natural
    entries: list[Entry]


class AppendReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """The log is durable and equal to the leader's up to `match`.

    rejected: where not 0, the Append after that index did not fit. Then (hint_index, hint_term) is
    the replier's last entry at or before it that could be the leader's too.
    """

    term: Natural
    match: Natural
    rejected: Natural = 0
    hint_index: Natural = 0
    hint_term: Natural = 0


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=7):
    """`term` has a living leader, whose commit index is `commit`.

    round: to be answered with; 0 where no answer is wanted.
    """

    term: Natural
    commit: Natural
    round: Natural


class HeartbeatReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=8):
    """I took part in `round` of the leader of `term`.

    received: my log is known to equal the leader's up to here, though maybe not durable yet.
    """

    term: Natural
    round: Natural
    received: Natural


class InstallSnapshot(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9):
    """One chunk of a snapshot, from the leader of `term`."""

    term: Natural
    index: Natural
    last_term: Natural
    members: bytes
    cursor: bytes
    next_cursor: bytes
    data: bytes

    @classmethod
    def of(cls, term: int, chunk: SnapshotChunk) -> InstallSnapshot:
        """The message that carries this chunk."""
        return cls(term, chunk.index, chunk.term, chunk.members, chunk.cursor, chunk.next_cursor, chunk.data)

    def chunk(self) -> SnapshotChunk:
        """The chunk it carries."""
        return SnapshotChunk(
            self.index, self.last_term, self.members, self.cursor, self.next_cursor, self.data
        )


class SnapshotReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=10):
    """Of the snapshot at `index` I have what lies before `cursor`; b"" for nothing of it."""

    term: Natural
    index: Natural
    cursor: bytes


class ReadIndex(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=11):
    """A replica asks its leader for an index that makes a batch of reads linearizable.

    number: names the batch; drawn so that no earlier life of the sender used it.
    """

    term: Natural
    number: Natural


class ReadIndexReply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=12):
    """The answer: `index` for the batch `number`, or nothing where `refused`."""

    term: Natural
    number: Natural
    index: Natural
    refused: bool = False


class TimeoutNow(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=13):
    """The leader of `term` hands over: campaign at once (thesis 3.10)."""

    term: Natural


Message = (
    RequestVote
    | VoteReply
    | RequestPreVote
    | PreVoteReply
    | Append
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | InstallSnapshot
    | SnapshotReply
    | ReadIndex
    | ReadIndexReply
    | TimeoutNow
)

CODEC = Codec(encode=msgspec.msgpack.Encoder().encode, decode=msgspec.msgpack.Decoder(Message).decode)
"""bytes <-> messages; decode raises `msgspec.DecodeError` (or its `ValidationError`)."""
