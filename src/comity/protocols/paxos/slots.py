"""What a proposer knows of one key: who waits, which ballot is under way, which changes are undecided."""

from __future__ import annotations

import enum
from collections import deque

from comity.protocols.paxos.messages import Accept, Prepare
from comity.protocols.paxos.proposer import Proposer
from comity.protocols.paxos.state import Timed
from comity.replica import KeyOperation, NodeId, RequestId


class Phase(enum.IntEnum):
    """Where a key's round is."""

    IDLE = 0
    PREPARE = 1
    ACCEPT = 2
    BACKOFF = 3


class Pending:
    """An operation of a client of this node, or (operation None) the identity change that moves a key.

    tries: by counter of the ballot, the reply that this operation has if that ballot's change is part of
    the register's history; only undecided ones. epoch: of the last try. gone: abandoned.
    """

    __slots__ = ("epoch", "gone", "operation", "request", "tries")

    def __init__(self, request: RequestId, operation: KeyOperation | None) -> None:
        self.request = request
        self.operation = operation
        self.tries: dict[int, bytes] = {}
        self.epoch = 0
        self.gone = False


class Try:
    """A change proposed by this node and not known to be chosen.

    parent: the counter of this node's last change in the history it was built on, 0 for none.
    clean: acceptors that have certainly not accepted it and never will.
    """

    __slots__ = ("clean", "parent")

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.clean: dict[NodeId, bool] = {}


class Slot(Timed):
    """One key at its proposer; there is one only while something is to be done.

    waiting: not in a round yet, or in one that failed. running: in the round under way, with the replies
    they get if it succeeds. tries: all of this node's undecided changes, by counter of the ballot.
    collecting: the round replicates a tombstone to everybody. losses: rounds lost in a row.
    """

    __slots__ = (
        "collect",
        "collecting",
        "interval_ns",
        "item",
        "key",
        "losses",
        "phase",
        "proposer",
        "removed",
        "resends",
        "running",
        "skipped_prepare",
        "tries",
        "waiting",
    )

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self.key = key
        self.waiting: deque[Pending] = deque()
        self.running: list[tuple[Pending, bytes]] = []
        self.tries: dict[int, Try] = {}
        self.phase = Phase.IDLE
        self.proposer: Proposer | None = None
        self.item: Prepare | Accept | None = None
        self.removed = False
        self.skipped_prepare = False
        self.collect = False
        self.collecting = False
        self.losses = 0
        self.interval_ns = 0
        self.resends = 0

    def lineage(self, mark: int) -> list[int]:
        """Which of the undecided changes are in a history whose last change by this node is `mark`: that
        one, the one it was built on, and so on."""
        found = []
        while mark in self.tries:
            found.append(mark)
            mark = self.tries[mark].parent
        return found

    def wanted(self) -> bool:
        """Whether anybody still waits for this key."""
        return (
            self.collect
            or any(not pending.gone for pending in self.waiting)
            or any(not pending.gone for pending, _ in self.running)
        )
