"""What a core asks of its host: effects, by lane, each lane with its duty to the others.

A core has no I/O. Every method a host calls on it may add to the core's effects; the host takes
them at the end of its turn (`Core.take`) and carries them out. The lanes and their duties:

=============  ========================================================================
lane           duty of the host
=============  ========================================================================
send           may leave at once, in any order with respect to the disk
write          records made durable in this order, before `Core.persisted` names them
send_durable   leaves only when every record written so far, this turn's too, is durable;
               a crash before that discards it
apply          committed entries, in index order, no gap, each exactly once per start
reply          outcomes of `propose`, `read` and `administer`
call           requests to another group (two-phase commit, the control group)
snapshot       state to be read for, or taken over from, another replica
=============  ========================================================================

The shape follows the `Ready` of etcd's raft library and the Output rules of Ongaro's thesis 10.2.1
(a leader may replicate in parallel with its own disk write).
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

NodeId = int
"""A replica's number in its cluster, 1 or more, never used twice for different disks."""

RequestId = int
"""Chosen by the host, unique per core and start."""


class EntryKind(enum.IntEnum):
    """What a log entry holds."""

    COMMAND = 0
    """A payload for the state machine."""
    NOOP = 1
    """Nothing: a leader's first entry, or a barrier."""
    MEMBERS = 2
    """An encoded membership (see `replica.members`)."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One durable record of a core.

    index: the log index the record carries, 0 where it carries none. The host's journal drops a
        segment when every record in it has an index at or below the group's compaction point.
    data: opaque to the host; handed back to the core, in order, after a restart.
    """

    index: int
    data: bytes


class Committed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry that will never change: index (1 or more), term, kind, payload."""

    index: int
    term: int
    kind: int
    payload: bytes


class ReadAt(msgspec.Struct, frozen=True):
    """A read may be answered from any state that has applied `index`: it is then linearizable."""

    index: int


class Accepted(msgspec.Struct, frozen=True):
    """A proposal is in the leader's log at `index`; it is not committed yet."""

    index: int


class Done(msgspec.Struct, frozen=True):
    """An administrative request took effect; value is what it produced, if anything."""

    value: Any = None


class Refused(msgspec.Struct, frozen=True):
    """Definitely not done, and it never will be under this request id.

    reason: one of the `REASON_*` words below, for programs; detail: for people.
    leader: who might do it instead, 0 where unknown.
    """

    reason: str
    detail: str = ""
    leader: NodeId = 0


class Unknown(msgspec.Struct, frozen=True):
    """It may or may not have happened, or may still happen."""

    reason: str


REASON_NOT_LEADER = "not-leader"
REASON_NO_LEADER = "no-leader"
REASON_OVERLOADED = "overloaded"
REASON_INVALID = "invalid"
REASON_BUSY = "busy"
REASON_STOPPED = "stopped"


class Answered(msgspec.Struct, frozen=True):
    """An operation on a key took effect. reply: as its semantics gave it. token: what the session has seen
    now."""

    reply: bytes
    token: bytes = b""


Outcome = ReadAt | Accepted | Done | Answered | Refused | Unknown


class Reply(msgspec.Struct, frozen=True):
    """The outcome of the request with that id."""

    request: RequestId
    outcome: Outcome


class Send(msgspec.Struct, frozen=True):
    """A message to one peer. Hosts encode a message object once, however many peers it goes to."""

    peer: NodeId
    message: Any


class Call(msgspec.Struct, frozen=True):
    """A request to another group, by name; the outcome comes back through `Core.answered`."""

    request: RequestId
    group: str
    payload: bytes


class SnapshotRead(msgspec.Struct, frozen=True):
    """The host is to read one chunk of its state machine for `peer`.

    snapshot: index the state must have applied, 0 for "whatever is durable now"; the host answers
        through `Core.snapshot_chunk` with the index it really used.
    cursor: opaque position inside the snapshot, b"" for its start.
    """

    peer: NodeId
    snapshot: int
    cursor: bytes


class SnapshotChunk(msgspec.Struct, frozen=True, array_like=True):
    """One piece of a snapshot.

    index, term, members: the position of the whole snapshot in the log and the encoded membership
        as of it.
    cursor: where this piece starts, b"" for the first; next_cursor: where the next one starts,
        b"" when this is the last. data: opaque to the core.
    """

    index: int
    term: int
    members: bytes
    cursor: bytes
    next_cursor: bytes
    data: bytes


class SnapshotWrite(msgspec.Struct, frozen=True):
    """The host is to stage a received chunk; after the last one it swaps the state machine over,
    durably, and calls `Core.snapshot_installed`; after any other it calls `Core.snapshot_staged`, for a
    disk may be slower than what a core asks for. A chunk with an empty cursor discards what was
    staged before. Chunks of one snapshot come in order.

    replaces: the state here is of another history and goes, even where it stands further than the snapshot.
    """

    chunk: SnapshotChunk
    replaces: bool = False


class Effects:
    """The lanes of one core, filled by its methods and emptied by the host each turn."""

    __slots__ = ("apply", "call", "reply", "send", "send_durable", "snapshot", "write")

    def __init__(self) -> None:
        self.send: list[Send] = []
        self.write: list[Record] = []
        self.send_durable: list[Send] = []
        self.apply: list[Committed] = []
        self.reply: list[Reply] = []
        self.call: list[Call] = []
        self.snapshot: list[SnapshotRead | SnapshotWrite] = []

    def __bool__(self) -> bool:
        """Whether any lane holds something."""
        return bool(
            self.send
            or self.write
            or self.send_durable
            or self.apply
            or self.reply
            or self.call
            or self.snapshot
        )

    def __repr__(self) -> str:
        filled = ", ".join(
            f"{lane}={getattr(self, lane)!r}" for lane in self.__slots__ if getattr(self, lane)
        )
        return f"Effects({filled})"
