"""The contract of a failure detector: who of the members seems to be alive, as one node sees it.

A detector is driven like a core: stimuli in (`receive`, `heard`, `wake`), then `take` hands over what is
to be sent and what changed. It reads no clock and draws from the stream it was given; the same calls give
the same answers. Detectors of this kind are unreliable (Chandra & Toueg 1996): they may suspect the living
and take time to suspect the dead. What is decided on their word must be safe when they are wrong.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from comity.replica import NEVER, InvariantBroken, NodeId, Send


class Status(enum.IntEnum):
    """What a detector holds a member to be; a greater one overrides a smaller of the same incarnation."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2


class Transition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A member is from now on held to be `status`, in that life or refutation (`incarnation`)."""

    node: NodeId
    status: Status
    incarnation: int


class Taken(msgspec.Struct, frozen=True):
    """What one turn of a detector produced: messages that may leave at once, and changes in their order."""

    send: list[Send]
    transitions: list[Transition]


def _no_note(event: str, **fields: object) -> None:
    """Nobody listens."""


class Detector(abc.ABC):
    """One node's detector of all other members.

    node: this node, which its detector always holds to be alive. note: called with an event name and
    fields, for logs; it decides nothing. `deadline_ns`: when `wake` wants to be called at the latest; waking
    early is harmless, waking late makes the answers late.
    """

    deadline_ns: int = NEVER

    def __init__(self, node: NodeId, note: Callable[..., None] = _no_note) -> None:
        self.node = node
        self.note = note
        self.dropped = 0
        self._send: list[Send] = []
        self._transitions: list[Transition] = []

    # -- life

    @abc.abstractmethod
    def start(self, now_ns: int) -> None:
        """The first call, once. Every member is held alive, as if just heard."""

    @abc.abstractmethod
    def wake(self, now_ns: int) -> None:
        """Time has passed."""

    def take(self, now_ns: int) -> Taken:
        """Hand over what this turn produced."""
        taken = Taken(self._send, self._transitions)
        self._send, self._transitions = [], []
        return taken

    @property
    def busy(self) -> bool:
        """Whether `take` has anything to hand over."""
        return bool(self._send or self._transitions)

    # -- evidence

    @abc.abstractmethod
    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        """A message of the detectors. Illegal ones are counted and dropped; this never raises for
        anything a peer may send."""

    @abc.abstractmethod
    def heard(self, now_ns: int, node: NodeId) -> None:
        """The node sent something else: it was alive a moment ago. Unknown nodes are ignored."""

    # -- members

    @abc.abstractmethod
    def admit(self, now_ns: int, node: NodeId) -> None:
        """The node is a member from now on, held alive. Raises `ValueError` beyond `max_members`."""

    @abc.abstractmethod
    def remove(self, now_ns: int, node: NodeId) -> None:
        """The node is no member any more; it is forgotten."""

    def view(self, now_ns: int, nodes: Iterable[NodeId]) -> None:
        """Exactly these nodes (and this one) are members from now on."""
        wanted = sorted({*nodes} - {self.node})
        for node in self.members:
            if node not in wanted:
                self.remove(now_ns, node)
        for node in wanted:
            if node not in self.members:
                self.admit(now_ns, node)

    @property
    @abc.abstractmethod
    def members(self) -> tuple[NodeId, ...]:
        """The other members, dead ones too, sorted."""

    # -- answers

    @abc.abstractmethod
    def state(self, node: NodeId) -> Status:
        """What the node is held to be, as of the last stimulus. An unknown one is DEAD."""

    @abc.abstractmethod
    def level(self, now_ns: int, node: NodeId) -> float:
        """The suspicion of a node on the scale that all detectors share: below 1 it is held alive, from 1
        on suspect, from 2 on dead. It does not fall while nothing is heard (accrual, Hayashibara 2004)."""

    def suspects(self, now_ns: int) -> tuple[NodeId, ...]:
        """The members that are suspect or dead, sorted."""
        return tuple(node for node in self.members if self.level(now_ns, node) >= 1)

    @abc.abstractmethod
    def check(self) -> None:
        """Raise `InvariantBroken` if this detector contradicts itself."""

    @abc.abstractmethod
    def status(self) -> Mapping[str, Any]:
        """For people and dashboards, JSON-friendly."""

    # -- shared

    def drop(self, why: str, sender: NodeId) -> None:
        """Count and note what is ignored."""
        self.dropped += 1
        self.note("dropped", why=why, sender=sender)

    def _change(self, node: NodeId, status: Status, incarnation: int) -> None:
        self._transitions.append(Transition(node, status, incarnation))
        self.note(status.name.lower(), node=node, incarnation=incarnation)

    def _broken(self, what: str) -> InvariantBroken:
        return InvariantBroken(f"detector of node {self.node}: {what}")
