"""A history of plain registers in the form the models beyond linearizability are decided on.

Only what happened is in it: ok operations, and writes of unknown outcome that somebody read. A write of
unknown outcome that nobody read may as well not have happened, and in no model does it help that it did.
One that was read comes after what its process did before, and before nothing that its process did
afterwards: it happens at some time after its invocation, perhaps after everything else.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from comity.checkers.datatypes.register import READS, WRITES
from comity.checkers.history import History, Operation, Outcome, Process
from comity.checkers.semantics import Semantics

INITIAL = -1
"""Where a read returned the initial value: the place of the write before all others."""


class ThinAir(NamedTuple):
    """A read whose value nobody wrote; write: one that failed, if it wrote it."""

    read: Operation
    write: Operation | None


class Registers:
    """Operations by place, in the order of their invocations.

    keys: of each. writer: of a read, the place of the write it returned, or `INITIAL`; of a write, its
    own. session: the place before it in its process, or -1.
    last_of: whether an operation's successor in its process is bound to come after it.
    """

    def __init__(self, history: History, semantics: Semantics) -> None:
        self.operations: list[Operation] = []
        self.is_write: list[bool] = []
        self.keys: list[Hashable] = []
        self.writer: list[int] = []
        self.session: list[int] = []
        self.positions: list[int] = []
        self.by_process: dict[Process, list[int]] = {}
        self.readers: dict[int, list[int]] = {}
        self.thin_air: ThinAir | None = None
        self.writes: list[int] = []
        self.deleted: dict[int, Operation] = {}
        self._fill(history, semantics)

    def _fill(self, history: History, semantics: Semantics) -> None:
        written: dict[tuple[Hashable, Any], Operation] = {}
        failed: dict[tuple[Hashable, Any], Operation] = {}
        for o in history.operations:
            if o.f in WRITES:
                chosen = failed if o.outcome is Outcome.FAIL else written
                chosen[o.key, typed(o.value)] = o
        read: set[int] = set()
        initial = typed(semantics.initial)
        sources: dict[int, Operation | None] = {}
        for o in history.operations:
            if o.f not in READS or o.outcome is not Outcome.OK:
                continue
            if o.result is None and semantics.nil_read == "wildcard":
                continue
            value = typed(o.result)
            source = written.get((o.key, value))
            if source is None and value != initial:
                if self.thin_air is None:
                    self.thin_air = ThinAir(o, failed.get((o.key, value)))
                continue
            sources[o.index] = source
            if source is not None:
                read.add(source.index)
        places: dict[int, int] = {}
        last: dict[Process, int] = {}
        for o in history.operations:
            write = o.f in WRITES
            if o.outcome is Outcome.FAIL or (o.outcome is Outcome.INFO and not (write and o.index in read)):
                continue
            if not write and o.index not in sources:
                continue
            place = places[o.index] = len(self.operations)
            self.operations.append(o)
            self.is_write.append(write)
            self.keys.append(o.key)
            self.session.append(last.get(o.process, -1))
            chain = self.by_process.setdefault(o.process, [])
            self.positions.append(len(chain))
            chain.append(place)
            if o.outcome is Outcome.OK:
                last[o.process] = place
            if write:
                self.writes.append(place)
        for place, o in enumerate(self.operations):
            if self.is_write[place]:
                self.writer.append(place)
                continue
            source = sources[o.index]
            self.writer.append(INITIAL if source is None else places[source.index])
            if source is not None:
                self.readers.setdefault(self.writer[place], []).append(place)

    def __len__(self) -> int:
        return len(self.operations)

    @cached_property
    def bits(self) -> list[int]:
        """Of a write, its bit among all writes, else 0. Takes memory of the square of their number: ask
        `Budget.room_for_sets` first."""
        bits = [0] * len(self.operations)
        for number, place in enumerate(self.writes):
            bits[place] = 1 << number
        return bits

    @cached_property
    def key_masks(self) -> dict[Hashable, int]:
        """By key, the bits of its writes."""
        masks: dict[Hashable, int] = {}
        for place in self.writes:
            masks[self.keys[place]] = masks.get(self.keys[place], 0) | self.bits[place]
        return masks

    def bound(self, place: int) -> bool:
        """Whether what its process did afterwards comes after it."""
        return self.operations[place].outcome is Outcome.OK

    def writes_in(self, mask: int) -> list[int]:
        """The places of the writes whose bits are set."""
        found = []
        while mask:
            low = mask & -mask
            found.append(self.writes[low.bit_length() - 1])
            mask ^= low
        return found


def applies(history: History, semantics: Semantics) -> bool:
    """Whether this is a history of plain reads and writes whose written values differ, key by key."""
    seen: set[tuple[Hashable, Any]] = set()
    initial = typed(semantics.initial)
    for o in history.operations:
        if o.f in WRITES:
            if o.outcome is Outcome.FAIL:
                continue
            value = typed(o.value)
            if value == initial or (o.key, value) in seen:
                return False
            seen.add((o.key, value))
        elif o.f not in READS:
            return False
    return True


def typed(value: Any) -> Any:
    """A value that equals only its like: True is not 1, and 1.0 is."""
    return ("bool", value) if isinstance(value, bool) else value


def in_order(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Without repetitions, by invocation."""
    return tuple(sorted({o.index: o for o in operations}.values(), key=lambda o: o.index))
