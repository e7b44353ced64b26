"""The operations of each key in real time: what regular and safe registers, and staleness, are told from.

As everywhere, a read of unknown outcome says nothing, and neither does a write of unknown outcome that
nobody read: it may as well not have happened.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import msgspec

from comity.checkers.datatypes.register import READS, WRITES
from comity.checkers.history import History, Operation, Outcome
from comity.checkers.registers.problem import typed
from comity.checkers.semantics import Semantics

NEVER = 1 << 62
"""When an operation of unknown outcome returns."""
BEFORE_ALL = -1
"""When the initial value was written."""


class Timeline(msgspec.Struct, gc=False):
    """One key. writes: ok ones and those of unknown outcome, by invocation. failed: by value.
    reads: ok ones, by invocation. source: value -> its write."""

    key: Hashable
    writes: list[Operation]
    reads: list[Operation]
    source: dict[Any, Operation]
    failed: dict[Any, Operation]
    initial: Any

    def source_of(self, read: Operation) -> Operation | None:
        """The write a read returned; None for the initial value. Raises `KeyError` where there is none."""
        value = typed(read.result)
        return None if value == self.initial else self.source[value]


def returned(o: Operation) -> int:
    """The event an operation ends with."""
    return NEVER if o.outcome is Outcome.INFO or o.completed is None else o.completed


def timelines(history: History, semantics: Semantics) -> Iterable[Timeline]:
    """Every key's. The history must be one that `applies`."""
    lines: dict[Hashable, Timeline] = {}
    initial = typed(semantics.initial)
    wildcard = semantics.nil_read == "wildcard"
    for o in history.operations:
        line = lines.get(o.key)
        if line is None:
            line = lines[o.key] = Timeline(o.key, [], [], {}, {}, initial)
        if o.f in WRITES:
            if o.outcome is Outcome.FAIL:
                line.failed[typed(o.value)] = o
            else:
                line.writes.append(o)
                line.source[typed(o.value)] = o
        elif o.f in READS and o.outcome is Outcome.OK and not (wildcard and o.result is None):
            line.reads.append(o)
    return lines.values()
