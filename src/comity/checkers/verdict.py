"""What a check answers: valid, violation or unknown, with what is needed to believe it."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from comity.checkers.history import Operation, thaw

JSON_WITNESS_LIMIT = 200
"""How many operations of a witness are written as JSON: the last ones, where it goes wrong."""


class Status(enum.StrEnum):
    """valid: some order explains the history. violation: none does. unknown: a limit was reached first."""

    VALID = "valid"
    VIOLATION = "violation"
    UNKNOWN = "unknown"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a check may cost before it answers unknown.

    time_ns: for the whole check, None for no limit. states: configurations remembered at a time.
    memory_bytes: what those may take, estimated. clock_ns: a monotonic clock in nanoseconds; one that
    stands still makes a check the same in every run, and is then bounded by the other two.
    """

    time_ns: int | None = 60_000_000_000
    states: int = 5_000_000
    memory_bytes: int = 1 << 30
    clock_ns: Callable[[], int] = time.monotonic_ns


class Edge(msgspec.Struct, frozen=True):
    """Why one operation has to come before another: a step of a cycle that cannot be.

    kind: ww, wr, rw, process, real-time, session (program order), reads-from, or what a model derives.
    reason: in words, "read 4, which process 2 wrote". key: the object it is about, where it is about one.
    """

    source: Operation
    target: Operation
    kind: str
    reason: str = ""
    key: Any = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one key, or one history that cannot be split.

    operations: how many were checked. explanation: in words, for people.
    witness: of a violation, the operations of the smallest prefix of this key's history that fails
        already; those still open at its end are of unknown outcome in it, unless they failed later:
        what did not happen is in no witness. Of a queue, a stack, a set or a lock, only the few that have
        no order even by themselves, where they can be told. smallest: False where a limit was reached
        before that was proved; it fails all the same.
    linearization: the order, of operations of the witness, that gets furthest. stuck: the operations
        that cannot come next in it and cannot wait either.
    statistics: counts of what was done: states, nodes, probes; and the method.
    anomaly: its name in the literature ("G-single", "thin-air read"), where it has one.
    cycle: of a violation that is a cycle of precedence, its steps, each ending where the next begins.
    """

    status: Status
    model: str
    data_type: str
    key: Any
    operations: int
    explanation: str = ""
    witness: tuple[Operation, ...] = ()
    smallest: bool = True
    linearization: tuple[Operation, ...] = ()
    stuck: tuple[Operation, ...] = ()
    statistics: Mapping[str, int | str] = {}
    anomaly: str = ""
    cycle: tuple[Edge, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; of a long witness the last `JSON_WITNESS_LIMIT` operations."""
        fields: dict[str, Any] = {
            "status": self.status.value,
            "model": self.model,
            "type": self.data_type,
            "key": thaw(self.key),
            "operations": self.operations,
            "explanation": self.explanation,
            "statistics": dict(self.statistics),
        }
        if self.status is Status.VIOLATION:
            fields["smallest"] = self.smallest
            fields["witness_operations"] = len(self.witness)
            fields["witness"] = _operations(self.witness)
            fields["linearization"] = _operations(self.linearization)
            fields["stuck"] = _operations(self.stuck)
            if self.anomaly:
                fields["anomaly"] = self.anomaly
            if self.cycle:
                fields["cycle"] = [
                    {
                        "from": edge.source.index,
                        "to": edge.target.index,
                        "kind": edge.kind,
                        "key": thaw(edge.key),
                        "reason": edge.reason,
                    }
                    for edge in self.cycle
                ]
        return fields


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for a whole history.

    operations, keys: how many were there. verdicts: those of the keys that are not valid, violations
    first, earliest first; the first one is the one to look at. established: in words, what holds however
    the check ended. seconds: of checking alone, by `Limits.clock_ns`. statistics: sums over all keys.
    """

    status: Status
    model: str
    data_type: str
    operations: int
    keys: int
    verdicts: tuple[Verdict, ...]
    established: str
    seconds: float
    statistics: Mapping[str, int]

    @property
    def valid(self) -> bool:
        """True only where the whole history was checked and found valid."""
        return self.status is Status.VALID

    @property
    def exit_status(self) -> int:
        """For a command line: 0 valid, 1 violation, 3 unknown (2 is for input that cannot be used)."""
        return {Status.VALID: 0, Status.VIOLATION: 1, Status.UNKNOWN: 3}[self.status]

    @property
    def explanation(self) -> str:
        """The words of the verdict to look at, or what was established."""
        return self.verdicts[0].explanation if self.verdicts else self.established

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`."""
        return {
            "status": self.status.value,
            "models": {self.model: self.status.value},
            "type": self.data_type,
            "operations": self.operations,
            "keys": self.keys,
            "established": self.established,
            "seconds": round(self.seconds, 6),
            "statistics": dict(self.statistics),
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
        }


def _operations(operations: Sequence[Operation]) -> list[dict[str, Any]]:
    return [
        {
            "index": o.index,
            "process": o.process,
            "f": o.f,
            "key": thaw(o.key),
            "value": thaw(o.value),
            "result": thaw(o.result),
            "outcome": o.outcome.value,
            "invoked": o.invoked,
            "completed": o.completed,
            "invoked_ns": o.invoked_ns,
            "completed_ns": o.completed_ns,
        }
        for o in operations[-JSON_WITNESS_LIMIT:]
    ]
