"""The contract of protocols that replicate registers: one per key, without a log over all of them.

A `KeyedCore` is driven like a `Core` (see `replica.core`): stimuli, one `take` a turn, effects by lane. It
differs in three things. It keeps its state in `Cells`, which its host makes durable together with what it
writes. Clients' commands come as `Operation`s on one key each. And what commands mean is told by a
`RegisterSemantics` or `LatticeSemantics`, so that a core never looks into a value.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from comity.replica.core import NEVER, Codec, CoreContext
from comity.replica.effects import Answered, Effects, NodeId, Refused, RequestId, Unknown
from comity.replica.promises import Promise
from comity.replica.views import View

LINEARIZABLE = "linearizable"
SEQUENTIAL = "sequential"
CAUSAL = "causal"
SESSION = "session"
EVENTUAL = "eventual"

__all__ = [
    "CAUSAL",
    "EVENTUAL",
    "LINEARIZABLE",
    "SEQUENTIAL",
    "SESSION",
    "Answered",
    "Cells",
    "KeyedCore",
    "KeyedProtocol",
    "LatticeSemantics",
    "Operation",
    "RegisterSemantics",
]


class Cells(Protocol):
    """A replica's durable state: bytes to bytes, written ahead to the node's log.

    What is put is read back at once, and durable once `KeyedCore.persisted` has named this turn's write;
    a message that tells of it belongs into `send_durable`. Keys of clients are stored under a first
    byte of b"k", so that `walk` and the host's own listing know them; a core's bookkeeping under any other.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value at a key, None for none."""

    def put(self, key: bytes, value: bytes | None) -> None:
        """Store a value, or with None remove it; part of this turn's write, all of which is atomic."""

    def walk(self, position: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        """(hash, key, value) of everything stored from that 64-bit hash on, in the order of (hash, key).
        Nothing may be put while it is consumed."""

    def __len__(self) -> int:
        """How many keys are stored."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants of one key.

    payload: the commands, opaque to the core; `Semantics` knows what they do. writes: whether they may
    change the value. level: the consistency asked for, one the keyspace allows. token: what the session has
    seen, as `Answered` gave it before, b"" for nothing. read_quorum, write_quorum: of this request, 0 for
    the keyspace's.
    """

    key: bytes
    payload: Any
    writes: bool
    level: str
    token: bytes = b""
    read_quorum: int = 0
    write_quorum: int = 0


class RegisterSemantics(Protocol):
    """What commands do to a register that holds plain bytes. Deterministic, without side effects."""

    def change(self, payload: Any, value: bytes | None, now_ms: int) -> tuple[bytes | None, bytes]:
        """(value after, reply). The value itself is returned where nothing changes; None: no key.
        now_ms: the time that decides about expiry; the value remembers it, and it never runs backwards
        for one key whatever is passed."""

    def blind(self, payload: Any) -> bool:
        """Whether value after and reply are the same whatever the value before."""


class LatticeSemantics(Protocol):
    """What commands do to a value that is a join semilattice (a delta-state CRDT, Almeida 2018)."""

    def mutate(
        self, payload: Any, state: bytes | None, node: NodeId, counter: int, stamp: int, now_ms: int
    ) -> tuple[bytes | None, bytes]:
        """(delta, reply): what to join into the state, None for nothing. (node, counter): a dot nobody
        else uses. stamp: a hybrid logical time higher than any seen, packed into 64 bits."""

    def read(self, payload: Any, state: bytes | None, now_ms: int) -> bytes:
        """The reply of commands that change nothing."""

    def join(self, state: bytes | None, delta: bytes) -> bytes:
        """The least upper bound: commutative, associative, idempotent. Raises `ValueError` for bytes that
        are none of its own."""

    def collect(self, state: bytes) -> bytes | None:
        """The state without what only remembers removals, once everybody has seen all of it; None where
        nothing is left."""

    def worth_collecting(self, state: bytes) -> bool:
        """Whether `collect` would make it so much smaller that this is worth writing it."""


class KeyedCore(abc.ABC):
    """One replica of a keyspace of registers. Subclasses fill `effects` and keep `deadline_ns` true."""

    deadline_ns: int = NEVER
    effects: Effects

    def __init__(self) -> None:
        self.effects = Effects()

    @abc.abstractmethod
    def start(self, now_ns: int) -> None:
        """The first call, once."""

    @abc.abstractmethod
    def view(self, now_ns: int, view: View) -> None:
        """The control group gave out a view; older ones than the one in force are ignored."""

    @abc.abstractmethod
    def wake(self, now_ns: int) -> None:
        """Time has passed. Called at or after `deadline_ns`; calling it early is harmless."""

    def take(self, now_ns: int) -> Effects:
        """Close the batch of this turn and hand over its effects; the core starts a new set."""
        taken, self.effects = self.effects, Effects()
        return taken

    @property
    def busy(self) -> bool:
        """Whether `take` has anything to do or to hand over."""
        return True

    @abc.abstractmethod
    def execute(self, now_ns: int, request: RequestId, operation: Operation) -> None:
        """Carry out an operation; any replica may be asked. Replies `Answered` or `Refused`, or `Unknown`
        where it may or may not have happened, in its own time; the host bounds the waiting."""

    @abc.abstractmethod
    def abandon(self, now_ns: int, request: RequestId) -> Refused | Unknown:
        """The request's deadline has passed: forget it, and say whether it certainly did not happen and
        never will (`Refused`), or may have or may yet (`Unknown`)."""

    @abc.abstractmethod
    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        """A message of this protocol. Illegal ones are counted, noted and dropped: this never raises for
        anything a peer may send."""

    def peer_lost(self, now_ns: int, peer: NodeId) -> None:
        """A hint, possibly wrong: the peer's process is gone."""

    @abc.abstractmethod
    def persisted(self, now_ns: int, writes: int) -> None:
        """The first `writes` turns with anything put into `Cells`, since the start, are durable."""

    @abc.abstractmethod
    def client_value(self, cell: bytes) -> bytes | None:
        """The client's value in what this core stored under a client's key, None for a removed one: for
        listings and digests, which are this replica's own view."""

    def join_tokens(self, first: bytes, second: bytes) -> bytes:
        """A token that says a session has seen what either says."""
        return second or first

    @property
    def settled(self) -> int:
        """The highest epoch whose state has moved: nothing of the view before it is needed any more, as
        far as this replica can tell."""
        return 0

    @abc.abstractmethod
    def check(self) -> None:
        """Raise `InvariantBroken` if any invariant of this replica does not hold; cheap."""

    @abc.abstractmethod
    def status(self) -> Mapping[str, Any]:
        """For people and dashboards, JSON-friendly."""

    @property
    @abc.abstractmethod
    def current(self) -> View:
        """The view in force on this replica."""


class KeyedProtocol(msgspec.Struct, frozen=True, kw_only=True):
    """A protocol of registers, as the rest of comity sees it: one folder, one of these as its `PROTOCOL`.

    semantics: "register" or "lattice", the kind that `build` wants. atomic: whether several commands on one
    key may be one operation. majority_settles: whether a move is over once a majority of the nodes left
    behind have settled, and not only once all have. build: (context, options, cells, semantics) -> core.
    promise: (options, replicas) -> what it promises.
    """

    name: str
    summary: str
    options: type[msgspec.Struct]
    codec: Codec
    semantics: str
    build: Callable[[CoreContext, Any, Cells, Any], KeyedCore]
    atomic: bool = True
    majority_settles: bool = False
    promise: Callable[[Any, int], Promise] | None = None
