"""An order of transactions one after the other, looked for directly: for registers, whose order of
versions the graph does not tell. Depth first, remembering what led nowhere (Wing & Gong 1993, Lowe 2017)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from comity.checkers.transactions.facts import Facts
from comity.checkers.transactions.graph import Graph

TRIES = 100_000
CLOCK_EVERY = 1024


def serial_order(
    facts: Facts, graph: Graph, kinds: int, spend: Callable[[], None], tries: int = TRIES
) -> bool | None:
    """Whether there is an order that keeps the graph's edges of these kinds; None where `tries` ran out.

    Every transaction must read, of each key, the version that was written last before it.
    """
    count = len(facts.all)
    needs: list[dict[Hashable, Any]] = [{} for _ in range(count)]
    for read in facts.reads:
        needs[read.transaction][read.key] = read.version
    makes: list[dict[Hashable, Any]] = [{} for _ in range(count)]
    for (place, key), value in facts.last_write.items():
        makes[place][key] = value
    waiting = [0] * count
    following: list[list[int]] = [[] for _ in range(count)]
    for source in range(count):
        for target, kind in graph.out[source].items():
            if kind & kinds:
                following[source].append(target)
                waiting[target] += 1
    unread: dict[tuple[Hashable, Any], int] = {}
    for each in needs:
        for key, version in each.items():
            unread[key, version] = unread.get((key, version), 0) + 1
    ready = {place for place in range(count) if not waiting[place]}
    holds: dict[Hashable, Any] = {}
    order: list[int] = []
    undo: list[dict[Hashable, Any]] = []
    failed: set[tuple[frozenset[int], frozenset[tuple[Hashable, Any]]]] = set()

    def possible(place: int) -> bool:
        if any(holds.get(key) != version for key, version in needs[place].items()):
            return False
        own = needs[place]
        for key in makes[place]:
            left = unread.get((key, holds.get(key)), 0)
            if left > (1 if key in own else 0):
                return False
        return True

    def lift(place: int) -> None:
        ready.discard(place)
        order.append(place)
        undo.append({key: holds.get(key) for key in makes[place]})
        for key, version in needs[place].items():
            unread[key, version] -= 1
        holds.update(makes[place])
        for target in following[place]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.add(target)

    def take_back(length: int) -> None:
        while len(order) > length:
            place = order.pop()
            for target in following[place]:
                if not waiting[target]:
                    ready.discard(target)
                waiting[target] += 1
            holds.update(undo.pop())
            for key, version in needs[place].items():
                unread[key, version] += 1
            ready.add(place)

    def settle() -> None:
        """Readers change nothing: they are placed as soon as they can be."""
        moved = True
        while moved:
            moved = False
            for place in sorted(ready):
                if not makes[place] and possible(place):
                    lift(place)
                    moved = True

    stack: list[tuple[int, list[int]]] = []
    tried = 0
    settle()
    while len(order) < count:
        tried += 1
        if tried > tries:
            return None
        if tried % CLOCK_EVERY == 0:
            spend()
        key = (frozenset(ready), frozenset(holds.items()))
        options = [] if key in failed else [p for p in sorted(ready, reverse=True) if possible(p)]
        stack.append((len(order), options))
        while not stack[-1][1]:
            length, _ = stack.pop()
            take_back(length)
            failed.add((frozenset(ready), frozenset(holds.items())))
            if not stack:
                return False
            take_back(stack[-1][0])
        lift(stack[-1][1].pop())
        settle()
    return True
