"""The contract of a replication protocol: one replica of one group, a deterministic state machine.

A core is driven by calls and answers with effects. It never reads a clock (time comes in as integer
nanoseconds of a monotonic clock), never draws global randomness (it gets labelled streams), never
does I/O. Given the same calls it produces the same effects, in every process.

How a host drives a core, each turn of its loop:

1. any number of stimuli: `receive`, `propose`, `read`, `persisted`, `wake`, ...;
2. `take(now_ns)` once, which closes the batch (one append a follower, not one a command) and
   hands over the effects;
3. the effects carried out under the duties in `replica.effects`; `deadline_ns` read again.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from comity.replica.effects import (
    REASON_INVALID,
    Effects,
    NodeId,
    Record,
    Refused,
    Reply,
    RequestId,
    SnapshotChunk,
    SnapshotRead,
)
from comity.replica.members import Members
from comity.replica.promises import Promise
from comity.replica.streams import Stream
from comity.replica.views import View

NEVER = (1 << 63) - 1
"""A deadline that does not come."""


def _no_clock() -> int:
    return 0


def _any_key(payload: bytes) -> Collection[bytes] | None:
    return None


class CoreContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a core is born with.

    node: this replica. group: the name of its group (for messages and labels).
    members: the membership to start from when the disk holds none.
    stream: makes a labelled random stream; the same label gives the same numbers for one seed,
        node, group and incarnation.
    note: called with an event name and fields for the structured log and the trace; must not be
        used to decide anything.
    view: the view to start from, for protocols that do not vote on their own membership.
    wall_ms: the wall clock of this turn, unix milliseconds; it may jump. Hybrid clocks are made of it.
    keys_of: the keys that a proposed payload may change, for protocols that let one read and not another;
        None where they cannot be told (the payload may touch any).
    """

    node: NodeId
    group: str
    members: Members
    stream: Callable[[str], Stream]
    note: Callable[..., None]
    view: View = View(0, ())
    wall_ms: Callable[[], int] = _no_clock
    keys_of: Callable[[bytes], Collection[bytes] | None] = _any_key


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What survived on this replica's disk.

    records: every record of this core, in the order they were written.
    applied, applied_term, members: the position of the durable state machine and the encoded
        membership as of it (0, 0 and b"" for an empty one).
    """

    records: Sequence[Record] = ()
    applied: int = 0
    applied_term: int = 0
    members: bytes = b""


class Core(abc.ABC):
    """One replica of one group. Subclasses fill `effects` and keep `deadline_ns` true."""

    deadline_ns: int = NEVER
    """When `wake` wants to be called at the latest; may change in any call."""

    effects: Effects

    def __init__(self) -> None:
        self.effects = Effects()

    # -- life

    @abc.abstractmethod
    def start(self, now_ns: int) -> None:
        """The first call, once, after construction from what was recovered."""

    @abc.abstractmethod
    def wake(self, now_ns: int) -> None:
        """Time has passed. Called at or after `deadline_ns`; calling it early is harmless."""

    def take(self, now_ns: int) -> Effects:
        """Close the batch of this turn and hand over its effects; the core starts a new set."""
        taken, self.effects = self.effects, Effects()
        return taken

    @property
    def busy(self) -> bool:
        """Whether `take` has anything to do or to hand over. While it has not, a host may leave a
        turn out; a core that does not tell is asked every turn."""
        return True

    # -- requests of this node's clients

    @abc.abstractmethod
    def propose(self, now_ns: int, request: RequestId, payload: bytes) -> None:
        """Have `payload` committed. Replies `Accepted` or `Refused`; if accepted it reaches
        `apply` on every replica, or never if this replica loses its leadership first."""

    @abc.abstractmethod
    def read(self, now_ns: int, request: RequestId) -> None:
        """Ask for an index at which a local read is linearizable. Any replica may be asked.
        Replies `ReadAt` or `Refused`, in its own time; the host bounds the waiting."""

    def read_keys(self, now_ns: int, request: RequestId, keys: Collection[bytes]) -> None:
        """`read`, where only these keys will be looked at. A protocol that can answer sooner then does."""
        self.read(now_ns, request)

    def view(self, now_ns: int, view: View) -> None:
        """The control group gave out a view; older ones than the one in force are ignored. Protocols that
        vote on their own membership have no use for it."""

    @property
    def caught_up(self) -> tuple[NodeId, ...]:
        """Joining nodes of the view in force that may become full members: from now on they count."""
        return ()

    @property
    def steady(self) -> bool:
        """Whether no change of the members is under way, as far as the leader knows."""
        return True

    @property
    def position(self) -> tuple[int, int]:
        """(epoch or term, index) of the last durable entry here: who is ahead takes over best."""
        return (0, 0)

    def administer(self, now_ns: int, request: RequestId, operation: Any) -> None:
        """Membership change or leader transfer (see `replica.members`). Replies `Done` or `Refused`."""
        self.effects.reply.append(
            Reply(request, Refused(REASON_INVALID, f"this protocol has no {type(operation).__name__}"))
        )

    def answered(self, now_ns: int, request: RequestId, payload: bytes) -> None:
        """The outcome of an earlier `Call`."""

    # -- peers

    @abc.abstractmethod
    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        """A message of this protocol from `sender`. Illegal ones are counted, noted and dropped:
        this never raises for anything a peer may send."""

    def awaited(self, now_ns: int, peer: NodeId) -> None:
        """A hint to a leader: clients of `peer` wait for what was proposed on its behalf, so `peer`
        should hear of the commit without delay."""

    def peer_lost(self, now_ns: int, peer: NodeId) -> None:
        """A hint, possibly wrong: the peer's process is gone (its port refuses connections)."""

    # -- disk

    @abc.abstractmethod
    def persisted(self, now_ns: int, records: int) -> None:
        """The first `records` records written since the start (recovered ones not counted) are durable."""

    @abc.abstractmethod
    def compact(self, now_ns: int, index: int) -> None:
        """The state machine is durable up to `index`: the log up to there may be dropped."""

    @abc.abstractmethod
    def compaction_index(self) -> int:
        """The highest index dropped from the log: records at or below it are needed no more."""

    @abc.abstractmethod
    def checkpoint(self) -> Sequence[Record]:
        """The records (index 0) that begin a new journal segment, so that older segments may go
        once their entries are compacted: hard state and compaction point."""

    def snapshot_chunk(self, now_ns: int, request: SnapshotRead, chunk: SnapshotChunk | None) -> None:
        """The answer to a `SnapshotRead`; None where that snapshot is gone (start again)."""

    def snapshot_staged(self, now_ns: int) -> None:
        """One more `SnapshotWrite`, not the last of its snapshot, was carried out."""

    def snapshot_installed(self, now_ns: int, index: int) -> None:
        """The snapshot received from a peer is now the durable state machine."""

    # -- looking inside

    @abc.abstractmethod
    def check(self) -> None:
        """Raise `InvariantBroken` if any invariant of this replica does not hold.
        Cheap enough to be called after every step of a simulation."""

    @abc.abstractmethod
    def status(self) -> Mapping[str, Any]:
        """For people and dashboards: at least role, term (or ballot, view), leader, commit, last
        index, and members, as JSON-friendly values."""

    @property
    @abc.abstractmethod
    def members(self) -> Members:
        """The membership in force on this replica, committed or not, with all known addresses."""

    @property
    @abc.abstractmethod
    def leader(self) -> NodeId:
        """Who takes proposals now, as far as this replica knows; 0 where unknown or anybody."""


class Codec(msgspec.Struct, frozen=True):
    """bytes <-> messages of one protocol. decode raises `msgspec.DecodeError` or its subclass
    `msgspec.ValidationError` on anything else."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes | memoryview], Any]


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """A replication protocol, as the rest of comity sees it: one folder, one of these.

    name: as written in a keyspace's REPLICATION. summary: one line for people.
    options: a msgspec Struct type of the protocol's options, all with defaults, validated there.
    build: (context, options, recovered) -> core. promise: (options, replicas) -> what it promises.
    views: whether the control group decides who replicates, through `Core.view`. members: where it does not,
    whether the core changes them when asked to (`Core.administer`); else they are those of the beginning.
    """

    name: str
    summary: str
    options: type[msgspec.Struct]
    codec: Codec
    build: Callable[[CoreContext, Any, Recovered], Core]
    promise: Callable[[Any, int], Promise] | None = None
    views: bool = False
    members: bool = False
