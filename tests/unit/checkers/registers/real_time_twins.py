"""Regular and safe registers and k-atomicity, straight from their definitions: slow, and obviously that.

Nothing of the product's algorithms is used, only its history type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.checkers.registers.twins import World, worlds

from comity.checkers import History, Operation, Outcome


def real_time(operations: Sequence[Operation]) -> set[tuple[int, int]]:
    """a before b where a returned before b was invoked; what is of unknown outcome never returns."""
    return {
        (a.index, b.index)
        for a in operations
        for b in operations
        if a.outcome is Outcome.OK and a.completed is not None and a.completed < b.invoked
    }


def _regular_read(world: World, read: Operation) -> bool:
    """Is there an order of all writes and this read that keeps real time, in which it returns the latest
    write to its key before it, or null?"""
    members = [*world.writes, read]
    return world.view(members, real_time(members))


def _overlaps_a_write(world: World, read: Operation) -> bool:
    before = real_time(world.operations)
    return any(
        write.key == read.key and not {(write.index, read.index), (read.index, write.index)} & before
        for write in world.writes
    )


def regular(world: World) -> bool:
    return all(_regular_read(world, read) for read in world.reads)


def safe(world: World) -> bool:
    return all(_overlaps_a_write(world, read) or _regular_read(world, read) for read in world.reads)


def holds(history: History, model: str) -> bool:
    return any({"regular": regular, "safe": safe}[model](world) for world in worlds(history))


def _is_k_atomic(world: World, k: int) -> bool:
    """Is there one order of all operations that keeps real time, in which every read returns one of the last
    k writes to its key before it? null was written before everything."""
    before = real_time(world.operations)
    dead: set[Any] = set()

    def extend(left: frozenset[int], last: dict[Any, tuple[Any, ...]]) -> bool:
        if not left:
            return True
        state = (left, frozenset(last.items()))
        if state in dead:
            return False
        for index in sorted(left):
            if any((other, index) in before for other in left):
                continue
            o = world.by_index[index]
            values = last.get(o.key, (None,))
            if o.f == "write":
                if extend(left - {index}, {**last, o.key: (*values, o.value)[-k:]}):
                    return True
            elif o.result in values and extend(left - {index}, last):
                return True
        dead.add(state)
        return False

    return extend(frozenset(world.by_index), {})


def staleness(history: History) -> int | None:
    """The smallest k that some choice of what happened allows; None where no k does."""
    most = sum(o.f == "write" for o in history.operations) + 1
    return next((k for k in range(1, most + 1) if any(_is_k_atomic(w, k) for w in worlds(history))), None)
