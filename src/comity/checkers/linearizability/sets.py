"""Sets that only grow, each element added once, and are read as a whole: decided in O(n log n).

A read comes after the add of each element it found and before that of each it did not find, and
whatever order keeps these precedences and real time will do; so there is one exactly where they have no
cycle. What reads found must be ordered by inclusion, and then a read need only be compared with the
adds of what the next smaller one lacks, and the next larger one has: the precedences are as many as the
operations. (Michael Emmi and Constantin Enea, "Sound, Complete, and Tractable Linearizability Monitoring
for Concurrent Collections", POPL 2018, treat sets whose elements are asked for one by one; those are
objects of their own here: see `Parts`.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from comity.checkers.datatypes.collections import read_elements
from comity.checkers.linearizability.problem import NEVER, Problem


def has_set_order(problem: Problem) -> bool | None:
    """Whether there is an order; None where something is removed, or added twice."""
    graph = _Graph()
    adds: dict[Any, int] = {}
    reads: dict[int, Collection[Any]] = {}
    asked: list[tuple[int, Any, bool]] = []
    refused = False
    for place, operation in enumerate(problem.required):
        node = graph.node(problem.invoked[place], problem.returned[place])
        if operation.f == "read":
            reads[place] = read_elements(operation.result)
        elif operation.f == "contains":
            asked.append((node, operation.value, bool(operation.result)))
        elif operation.f != "add" or operation.value in adds:
            return None
        else:
            adds[operation.value] = node
            # Whoever is told that it was there already was told wrong.
            refused = refused or operation.result is False
    for operation in problem.optional:
        if operation.f != "add" or operation.value in adds:
            return None
        # If nobody has seen it, it may come after everything.
        adds[operation.value] = graph.node(operation.invoked, NEVER)
    if refused:
        return False
    for node, element, found in asked:
        if element in adds:
            source, target = (adds[element], node) if found else (node, adds[element])
            graph.before(source, target)
        elif found:
            return False
    ordered = _by_inclusion(reads)
    return ordered is not None and _put_between(graph, ordered, adds) and not graph.has_cycle()


class _Graph:
    """Operations, some of which have to come before others; real time comes by itself."""

    def __init__(self) -> None:
        self.invoked: list[int] = []
        self.returned: list[int] = []
        self.after: list[list[int]] = []
        self.waits_for: list[int] = []

    def node(self, invoked: int = -1, returned: int = NEVER) -> int:
        """An operation; without events, a place in the order that others are compared with."""
        self.invoked.append(invoked)
        self.returned.append(returned)
        self.after.append([])
        self.waits_for.append(0)
        return len(self.after) - 1

    def before(self, source: int, target: int) -> None:
        self.after[source].append(target)
        self.waits_for[target] += 1

    def has_cycle(self) -> bool:
        """Take away what nothing has to come before, until nothing is left or nothing can be taken."""
        count = len(self.after)
        by_invocation = sorted(range(count), key=self.invoked.__getitem__)
        by_return = sorted(range(count), key=self.returned.__getitem__)
        # One more: until the operation that returns first is taken, none invoked later can be.
        waits_for = [waits + 1 for waits in self.waits_for]
        taken = [False] * count
        left, come, gone = count, 0, 0
        ready: list[int] = []
        while left:
            while gone < count and taken[by_return[gone]]:
                gone += 1
            horizon = self.returned[by_return[gone]]
            while come < count and self.invoked[by_invocation[come]] < horizon:
                node = by_invocation[come]
                come += 1
                waits_for[node] -= 1
                if not waits_for[node]:
                    ready.append(node)
            if not ready:
                return True
            while ready:
                node = ready.pop()
                taken[node] = True
                left -= 1
                for target in self.after[node]:
                    waits_for[target] -= 1
                    if not waits_for[target]:
                        ready.append(target)
        return False


def _by_inclusion(results: Mapping[int, Collection[Any]]) -> list[tuple[int, set[Any]]] | None:
    """The reads, by inclusion of what they found, each with what the one before had not found; None
    where one of two found what the other did not, and the other way round."""
    ordered = _nested(sorted(results, key=lambda place: len(results[place])), results)
    if ordered is None:
        sizes = {place: len(set(result)) for place, result in results.items()}
        if any(sizes[place] != len(result) for place, result in results.items()):
            return _nested(sorted(results, key=sizes.__getitem__), results)
    return ordered


def _nested(
    places: Sequence[int], results: Mapping[int, Collection[Any]]
) -> list[tuple[int, set[Any]]] | None:
    found: set[Any] = set()
    ordered: list[tuple[int, set[Any]]] = []
    for place in places:
        fresh = set(results[place])
        size = len(fresh)
        fresh -= found
        if len(found) + len(fresh) != size:
            return None
        found |= fresh
        ordered.append((place, fresh))
    return ordered


def _put_between(graph: _Graph, ordered: list[tuple[int, set[Any]]], adds: dict[Any, int]) -> bool:
    """Put into the graph what has to come before what, with places between one size of reads and the
    next. False where a read found what nobody added."""
    opens, closes = graph.node(), graph.node()
    unseen = dict(adds)
    for place, fresh in ordered:
        if fresh:
            opens, closed, closes = graph.node(), closes, graph.node()
            for element in fresh:
                node = unseen.pop(element, None)
                if node is None:
                    return False
                graph.before(closed, node)
                graph.before(node, opens)
        graph.before(opens, place)
        graph.before(place, closes)
    for node in unseen.values():
        graph.before(closes, node)
    return True
