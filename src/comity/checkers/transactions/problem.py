"""Transactions as the dependency graphs need them: what each wrote last, and read first, of every key."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

from comity.checkers.errors import UnsuitableHistory
from comity.checkers.history import History, Operation, Outcome, Process, Table

READ = "r"
WRITE = "w"
APPEND = "append"

MicroOperation = tuple[str, Hashable, Any]


class Transaction(msgspec.Struct, gc=False):
    """One transaction that happened, or may have.

    place: among the transactions that are looked at. steps: its micro-operations, the reads filled in
    where it is known what they returned. session: the place of the transaction before it in its process,
    -1 where there is none.
    """

    place: int
    operation: Operation
    steps: tuple[MicroOperation, ...]
    session: int = -1

    @property
    def known(self) -> bool:
        """Whether it was acknowledged, and so its reads say something."""
        return self.operation.outcome is Outcome.OK

    @property
    def name(self) -> str:
        """As explanations call it."""
        return f"T{self.operation.index}"


class Transactions:
    """The transactions of a history, by invocation.

    all: ok ones, and those of unknown outcome that something shows to have happened (see `keep`).
    failed, unknown: the others.
    """

    def __init__(self, history: History, writes: str) -> None:
        self.history = history
        self.writes = writes
        self.all: list[Transaction] = []
        self.failed: list[Transaction] = []
        self.unknown: list[Transaction] = []
        for operation in history.operations:
            steps = _steps(operation, writes)
            transaction = Transaction(-1, operation, steps)
            if operation.outcome is Outcome.OK:
                self.all.append(transaction)
            elif operation.outcome is Outcome.FAIL:
                self.failed.append(transaction)
            else:
                self.unknown.append(transaction)

    def keep(self, happened: set[int]) -> None:
        """Of the unknown ones, those whose operations' indices are in `happened` happened; the others may
        as well not have. Numbers all, and finds their sessions."""
        self.all.extend(t for t in self.unknown if t.operation.index in happened)
        self.all.sort(key=lambda t: t.operation.index)
        last: dict[Process, int] = {}
        for place, transaction in enumerate(self.all):
            transaction.place = place
            process = transaction.operation.process
            transaction.session = last.get(process, -1)
            if transaction.known:
                last[process] = place


def _steps(operation: Operation, writes: str) -> tuple[MicroOperation, ...]:
    known = operation.outcome is Outcome.OK
    asked, told = operation.value, operation.result
    steps = told if known and told is not None else asked
    if not isinstance(steps, tuple):
        raise _unsuitable(operation, "a transaction is a list of [f, key, value]")
    for step in steps:
        if not isinstance(step, tuple) or len(step) != 3 or step[0] not in {READ, writes}:
            raise _unsuitable(operation, f"a micro-operation is [{READ} or {writes}, key, value]")
        if isinstance(step[1], Table):
            raise _unsuitable(operation, "a key is a number or a text")
    return steps


def _unsuitable(operation: Operation, reason: str) -> UnsuitableHistory:
    return UnsuitableHistory(
        f"transactions: operation {operation.f!r} of process {operation.process} "
        f"(event {operation.invoked}): {reason}"
    )


def unsuitable(transaction: Transaction, reason: str) -> UnsuitableHistory:
    """The error that says why a history cannot be judged."""
    return _unsuitable(transaction.operation, reason)
