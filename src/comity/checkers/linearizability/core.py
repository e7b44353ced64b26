"""A few operations that have no order even by themselves, out of many that have none.

Whatever order a history has, it still has without some things: without all that was done with one value
of a queue or a stack, or with one element of a set (reads then find it not), without one hold of a
lock, without an operation that only observes. So if what is left has no order, neither has the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import msgspec

from comity.checkers.datatypes import DataType, Mutex, Queue, Set
from comity.checkers.datatypes.collections import read_elements
from comity.checkers.history import Operation, Outcome, Process, canonical
from comity.checkers.linearizability.locks import ACQUIRES

Fails = Callable[[Sequence[Operation]], bool]
"""Whether operations surely have no order."""


def core_of(
    data_type: DataType, operations: Sequence[Operation], known: Sequence[Operation], fails: Fails
) -> list[Operation]:
    """As few of `operations` as by themselves have no order either. Reads of a set are shown with what
    they found of the elements that are left.

    known: those of a prefix that has none, while a shorter one has. Only what they are about is looked
    at, but that to its end: what came of it later leaves less open. The last of them that returned is
    kept, with what it is about.
    """
    last = max(known, key=lambda o: -1 if o.outcome is Outcome.INFO or o.completed is None else o.completed)
    prefix = {operation.index for operation in known}
    things = _things(data_type, operations)
    others: dict[Hashable, None] = {}
    observers: list[Hashable] = []
    found: set[Any] = set()
    for operation, thing in zip(operations, things, strict=True):
        if operation.index in prefix:
            if thing is not None:
                others[thing] = None
            if data_type.observes(operation):
                observers.append(operation.index)
            if isinstance(data_type, Set) and operation.f == "read":
                found.update(read_elements(operation.result))
    found = {element for element in found if ("element", element) not in others}
    nowhere = sorted(found, key=canonical)
    others.update(dict.fromkeys([("element", element) for element in nowhere]))
    belongs = [
        tuple(
            part
            for part in (thing, operation.index if data_type.observes(operation) else None)
            if part is not None
        )
        for operation, thing in zip(operations, things, strict=True)
    ]

    def left(kept: set[Hashable]) -> list[Operation]:
        chosen = [o for o, parts in zip(operations, belongs, strict=True) if kept.issuperset(parts)]
        if isinstance(data_type, Set) and not kept.issuperset(others):
            return [_found_of(operation, kept) for operation in chosen]
        return chosen

    def still_fails(kept: set[Hashable]) -> bool:
        return fails(left(kept))

    place = next(place for place, operation in enumerate(operations) if operation.index == last.index)
    kept = set(belongs[place])
    kept |= _needed(observers, kept | set(others), still_fails)
    return left(kept | _needed(list(others), kept, still_fails))


def _needed(
    pool: list[Hashable], always: set[Hashable], fails: Callable[[set[Hashable]], bool]
) -> set[Hashable]:
    """As few of `pool` as fail together with `always`; all that may matter, where it is not known that
    they do."""
    found: set[Hashable] = set()
    while pool and not fails(always | found):
        low, high = 1, len(pool)
        if not fails(always | found | set(pool)):
            return found | set(pool)
        while low < high:
            middle = (low + high) // 2
            if fails(always | found | set(pool[:middle])):
                high = middle
            else:
                low = middle + 1
        found.add(pool[low - 1])
        pool = pool[: low - 1]
    return found


def _things(data_type: DataType, operations: Sequence[Operation]) -> list[Hashable]:
    """What each operation is about; None for what has to stay in any case, or is about everything."""
    if isinstance(data_type, Mutex):
        return _holds(operations)
    if isinstance(data_type, Queue):
        return [_value(operation, data_type) for operation in operations]
    return [None if operation.f == "read" else ("element", operation.value) for operation in operations]


def _value(operation: Operation, data_type: Queue) -> Hashable:
    if operation.f == data_type.puts:
        return ("value", operation.value)
    return ("value", operation.result) if operation.result is not None else None


def _holds(operations: Sequence[Operation]) -> list[Hashable]:
    numbers: dict[Process, int] = {}
    holds: list[Hashable] = []
    for operation in operations:
        if operation.f in ACQUIRES:
            numbers[operation.process] = operation.index
        holds.append(("hold", numbers.get(operation.process, operation.index)))
    return holds


def _found_of(operation: Operation, kept: set[Hashable]) -> Operation:
    if operation.f != "read" or operation.outcome is not Outcome.OK:
        return operation
    found = tuple(element for element in read_elements(operation.result) if ("element", element) in kept)
    return msgspec.structs.replace(operation, result=found)
