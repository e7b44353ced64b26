"""Typed errors of the replica contract."""

from __future__ import annotations


class ReplicaError(Exception):
    """Any error a core raises."""


class InvariantBroken(ReplicaError):
    """A replica found itself in a state its protocol forbids. It must stop; going on could lie.

    history: the last events of that replica, oldest first, for whoever reads the report.
    """

    def __init__(self, what: str, history: tuple[str, ...] = ()) -> None:
        self.what = what
        self.history = history
        tail = "".join(f"\n  {event}" for event in history)
        super().__init__(f"{what}{f'; last events of this replica:{tail}' if history else ''}")


class IllegalTransition(InvariantBroken):
    """A role change from a role that may not make it."""


class UnusableRecord(ReplicaError):
    """A durable record that this version cannot read; the replica must not start."""
