"""The models of registers straight from their definitions: slow, and obviously what is written there.

Nothing of the product's algorithms is used, only its history type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import Any

from comity.checkers import History, Operation, Outcome

Pairs = set[tuple[int, int]]


class World:
    """One choice of which writes of unknown outcome happened: operations, so, rf, causality."""

    def __init__(self, operations: Sequence[Operation], history: History) -> None:
        self.history = history
        self.operations = list(operations)
        self.by_index = {o.index: o for o in operations}
        self.writes = [o for o in operations if o.f == "write"]
        self.reads = [o for o in operations if o.f == "read"]
        self.so: Pairs = {
            (a.index, b.index)
            for a in operations
            for b in operations
            if a.process == b.process and a.invoked < b.invoked and a.outcome is Outcome.OK
        }
        self.rf: dict[int, int] = {}
        self.from_thin_air = False
        for read in self.reads:
            sources = [w.index for w in self.writes if w.key == read.key and w.value == read.result]
            if sources:
                self.rf[read.index] = sources[0]
            elif read.result is not None:
                self.from_thin_air = True
        self.causality = closed(self.so | {(write, read) for read, write in self.rf.items()})

    def base(self) -> bool:
        return not self.from_thin_air and all(a != b for a, b in self.causality)

    def processes(self) -> list[Any]:
        return list(dict.fromkeys(o.process for o in self.operations))

    def view(self, members: Iterable[Operation], before: Pairs) -> bool:
        """Is there a permutation of `members` that keeps `before`, in which every read returns the latest
        earlier write of its key?"""
        members = list(members)
        inside = {o.index for o in members}
        first = {b: {a for a, c in before if c == b and a in inside} for b in inside}
        dead: set[tuple[frozenset[int], tuple[tuple[Any, Any], ...]]] = set()

        def extend(left: frozenset[int], values: dict[Any, Any]) -> bool:
            if not left:
                return True
            state = (left, tuple(sorted(values.items(), key=repr)))
            if state in dead:
                return False
            for index in left:
                if first[index] & left:
                    continue
                o = self.by_index[index]
                if o.f == "read":
                    if values.get(o.key) == o.result and extend(left - {index}, values):
                        return True
                elif extend(left - {index}, {**values, o.key: o.value}):
                    return True
            dead.add(state)
            return False

        return extend(frozenset(inside), {})

    def of(self, process: Any) -> list[Operation]:
        return [o for o in self.operations if o.process == process]


def closed(pairs: Pairs) -> Pairs:
    """The transitive closure."""
    result = set(pairs)
    while True:
        more = {(a, d) for a, b in result for c, d in result if b == c} - result
        if not more:
            return result
        result |= more


def linearizable(world: World) -> bool:
    real_time = {
        (a.index, b.index)
        for a in world.operations
        for b in world.operations
        if a.outcome is Outcome.OK and a.completed is not None and a.completed < b.invoked
    }
    return world.view(world.operations, real_time)


def sequential(world: World) -> bool:
    return world.view(world.operations, world.so)


def causal(world: World) -> bool:
    return world.base() and all(
        world.view({o.index: o for o in [*world.of(p), *world.writes]}.values(), world.causality)
        for p in world.processes()
    )


def pram(world: World) -> bool:
    return world.base() and all(
        world.view({o.index: o for o in [*world.of(p), *world.writes]}.values(), closed(world.so))
        for p in world.processes()
    )


def causal_convergence(world: World) -> bool:
    if not world.base():
        return False
    past = {
        read.index: [
            w for w in world.writes if w.key == read.key and (w.index, read.index) in world.causality
        ]
        for read in world.reads
    }

    def explains(order: Sequence[int]) -> bool:
        place = {index: number for number, index in enumerate(order)}
        for read in world.reads:
            seen = past[read.index]
            latest = max(seen, key=lambda w: place[w.index]).value if seen else None
            if latest != read.result:
                return False
        return True

    return any(explains(order) for order in orders([w.index for w in world.writes], world.causality))


def orders(indices: Sequence[int], before: Pairs) -> Iterator[list[int]]:
    """Every permutation that keeps `before`."""
    if not indices:
        yield []
    for index in indices:
        if not any((other, index) in before for other in indices if other != index):
            for rest in orders([other for other in indices if other != index], before):
                yield [index, *rest]


def read_your_writes(world: World) -> bool:
    def has_view(process: Any) -> bool:
        own = world.of(process)
        kept = {
            (a.index, b.index) for a in own for b in own if (a.index, b.index) in world.so and a.f == "write"
        }
        return world.view({o.index: o for o in [*own, *world.writes]}.values(), kept)

    return world.base() and all(has_view(p) for p in world.processes())


def monotonic_reads(world: World) -> bool:
    def has_view(process: Any) -> bool:
        reads = [o for o in world.of(process) if o.f == "read"]
        kept = {
            (a, b)
            for a, b in world.so
            if {world.by_index[a].f, world.by_index[b].f} == {"read"}
            or (
                world.by_index[a].f == world.by_index[b].f == "write"
                and world.by_index[a].key == world.by_index[b].key
            )
        }
        return world.view([*reads, *world.writes], kept)

    return world.base() and all(has_view(p) for p in world.processes())


def observable(world: World, follows: Pairs) -> bool:
    """If a process reads w2, its later read of the key of any w1 with w1 before w2 returns neither null nor
    a write of w1's session to that key before w1; its later read of w2's key returns no older one of w2's."""
    if not world.base():
        return False
    for first in world.reads:
        if first.index not in world.rf:
            continue
        w2 = world.by_index[world.rf[first.index]]
        for later in world.reads:
            if (first.index, later.index) not in world.so:
                continue
            source = world.rf.get(later.index)
            for w1 in world.writes:
                older = source is None or (source, w1.index) in world.so
                if (w1.index, w2.index) in follows and w1.key == later.key and older:
                    return False
            if later.key == w2.key and source is not None and (source, w2.index) in world.so:
                return False
    return True


def monotonic_writes(world: World) -> bool:
    return observable(
        world,
        {(a, b) for a, b in world.so if world.by_index[a].f == "write" and world.by_index[b].f == "write"},
    )


def writes_follow_reads(world: World) -> bool:
    direct = {
        (world.rf[read], write)
        for read, write in world.so
        if read in world.rf and world.by_index[write].f == "write"
    }
    return observable(world, closed(direct))


def eventual(world: World) -> bool:
    if not world.base():
        return False
    marks = [place for place, event in world.history.faults if event.f == "quiesce"]
    if not marks:
        return True
    final: dict[Any, dict[Any, Any]] = {}
    for read in world.reads:
        if read.invoked > marks[-1]:
            final.setdefault(read.key, {})[read.process] = read.result
    return all(len(set(results.values())) == 1 for results in final.values())


MODELS: dict[str, Callable[[World], bool]] = {
    "linearizable": linearizable,
    "sequential": sequential,
    "causal": causal,
    "causal-convergence": causal_convergence,
    "pram": pram,
    "read-your-writes": read_your_writes,
    "monotonic-reads": monotonic_reads,
    "monotonic-writes": monotonic_writes,
    "writes-follow-reads": writes_follow_reads,
    "eventual": eventual,
}


def worlds(history: History) -> Iterator[World]:
    """Every choice of which writes of unknown outcome happened; reads of unknown outcome say nothing."""
    sure = [o for o in history.operations if o.outcome is Outcome.OK]
    maybe = [o for o in history.operations if o.outcome is Outcome.INFO and o.f == "write"]
    for happened in chain.from_iterable(combinations(maybe, size) for size in range(len(maybe) + 1)):
        yield World(sorted([*sure, *happened], key=lambda o: o.index), history)


def holds(history: History, model: str) -> bool:
    """Does some choice fit?"""
    return any(MODELS[model](world) for world in worlds(history))
