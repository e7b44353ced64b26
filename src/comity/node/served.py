"""A keyspace as this node serves it, whatever replicates it: what the host asks of all of them alike."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from comity.replica import NEVER, Committed, KeyedProtocol, Member, Record, Reply, View

if TYPE_CHECKING:
    from comity.node.host import Host

LOG_LEVELS = ("linearizable", "sequential", "causal", "session", "eventual")
"""What every replicated log can give."""


class Served(abc.ABC):
    """One keyspace on this node: its core, its state, and the requests of this node's clients.

    key: under which the host plans for it; a node that used to hold a keyspace has two of one number.
    keyed: whether it replicates registers, one a key, rather than a log. level: what it promises unless
    asked for less; levels: what may be asked for; refusals: why not the others. closed: why its keys are not
    served at all now, "" when they are.
    """

    keyed = False
    core: Any
    machine: Any

    def __init__(self, host: Host, number: int, name: str, protocol: Any) -> None:
        self.host = host
        self.number = number
        self.key = number
        self.name = name
        self.protocol = protocol
        self.installing = False
        self.scheduled_ns = NEVER
        self.leader = 0
        self.level = LOG_LEVELS[0]
        self.levels: tuple[str, ...] = LOG_LEVELS
        self.refusals: dict[str, str] = {}
        self.closed = ""

    @property
    def viewed(self) -> bool:
        """Whether the control group decides who replicates it."""
        return isinstance(self.protocol, KeyedProtocol) or self.protocol.views

    def configure(self, options: dict[str, Any], replicas: int) -> None:
        """What it promises with these options."""
        if self.protocol.promise is not None:
            promise = self.protocol.promise(msgspec.convert(options, self.protocol.options), replicas)
            self.levels, self.refusals = promise.levels, promise.refusals

    def join_tokens(self, first: bytes, second: bytes) -> bytes:
        """A token that says a session has seen what either says."""
        return max(first, second)

    def oldest_ns(self) -> int:
        """When the first command arrived that is not answered; NEVER for none."""
        return NEVER

    # -- the turn

    @abc.abstractmethod
    def push(self, now_ns: int) -> None:
        """Hand what has gathered to the core; called each turn before `take`."""

    @abc.abstractmethod
    def on_reply(self, reply: Reply, now_ns: int) -> None:
        """The outcome of something asked of the core."""

    def commit(self, entries: Sequence[Committed]) -> None:
        """Entries to be applied, in order."""
        raise AssertionError(f"keyspace {self.name} has no log and was given {len(entries)} entries")

    def put_off(self) -> bool:
        """Whether applying takes so long that what this turn has for others should leave first."""
        return False

    def apply(self, now_ns: int) -> bool:
        """Apply what is committed, up to a bound a turn; True when some is left."""
        return False

    def records(self) -> Sequence[Record]:
        """What this turn put into the state beside the core's own records."""
        return ()

    def deadline_ns(self) -> int:
        """When something of this keyspace wants attention at the latest."""
        deadline: int = self.core.deadline_ns
        return deadline

    @abc.abstractmethod
    def wake(self, now_ns: int) -> None:
        """A deadline of this keyspace has come."""

    def give_up(self) -> None:
        """The keyspace is no more on this node: whoever waits is told what is known."""

    def link_up(self, peer: int) -> None:
        """A link to a peer works again: what was sent over it before may be lost."""

    # -- the state and the log below it

    @abc.abstractmethod
    def compact(self, now_ns: int) -> None:
        """The state was synced: the log up to there may go."""

    @abc.abstractmethod
    def compaction_index(self) -> int:
        """The highest index that needs no record of the log any more."""

    @abc.abstractmethod
    def checkpoint(self) -> Sequence[Record]:
        """What begins a new segment of the log."""

    # -- who

    @property
    def leads(self) -> bool:
        """Whether others wait for this node to decide."""
        return False

    @property
    def alone(self) -> bool:
        """Whether there is nobody to hand over to."""
        return True

    @property
    def idle(self) -> bool:
        """Whether no client waits for an answer."""
        return True

    def known(self) -> Sequence[Member]:
        """Members with their addresses, as far as this keyspace knows them."""
        return ()

    def health(self) -> str:
        """Why this keyspace cannot be served now, "" when it can."""
        return ""

    def refusal(self, write: bool) -> bytes | None:
        """Why a command is not taken now; None when it is."""
        return None

    @property
    def view(self) -> View | None:
        """The view in force on this node; None where the protocol has none."""
        return None

    @abc.abstractmethod
    def digest(self) -> tuple[int, bytes]:
        """(position, digest of all data of this replica)."""

    @abc.abstractmethod
    def status(self) -> dict[str, Any]:
        """For /status."""

    @abc.abstractmethod
    def check(self) -> None:
        """Audit the core and the bookkeeping here."""


class Unknown(Served):
    """A keyspace that this node does not know yet."""

    def push(self, now_ns: int) -> None:
        """Nothing gathers here."""

    def on_reply(self, reply: Reply, now_ns: int) -> None:
        """Nothing was asked."""

    def wake(self, now_ns: int) -> None:
        """Nothing is due."""

    def compact(self, now_ns: int) -> None:
        """There is no state."""

    def compaction_index(self) -> int:
        """There is no log."""
        return 0

    def checkpoint(self) -> Sequence[Record]:
        """There is no log."""
        return ()

    def digest(self) -> tuple[int, bytes]:
        """Of nothing."""
        return 0, b""

    def status(self) -> dict[str, Any]:
        """For /status."""
        return {"protocol": self.protocol.name, "held": False}

    def check(self) -> None:
        """Nothing can be wrong."""
