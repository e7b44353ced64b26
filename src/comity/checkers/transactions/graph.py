"""Dependency graphs of transactions, their strongly connected parts, and short cycles in them.

Atul Adya, "Weak Consistency: A Generalized Theory and Optimistic Implementations for Distributed
Transactions", PhD thesis, MIT 1999, chapter 4 (direct serialization graphs); Peter Alvaro and Kyle
Kingsbury, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 2020. The search for
components is Robert Tarjan's, "Depth-First Search and Linear Graph Algorithms", SIAM J. Computing 1972.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

WW, WR, RW, PROCESS, REAL_TIME = 1, 2, 4, 8, 16
NAMES = {WW: "ww", WR: "wr", RW: "rw", PROCESS: "process", REAL_TIME: "real-time"}


class Why(NamedTuple):
    """What an edge is about: a key, and the values at its two ends where there are any."""

    key: Hashable
    before: Any
    after: Any


class Graph:
    """Edges between places, each of one or more kinds, with a reason for each kind."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.transactions = nodes
        """How many of the nodes are transactions: the first ones. The others are moments in real time."""
        self.out: list[dict[int, int]] = [{} for _ in range(nodes)]
        self.why: dict[tuple[int, int, int], Why] = {}

    def add_moment(self) -> int:
        """One more node, that is no transaction."""
        self.out.append({})
        self.nodes += 1
        return self.nodes - 1

    def add(self, source: int, target: int, kind: int, why: Why | None = None) -> None:
        """An edge; a transaction never depends on itself."""
        if source == target:
            return
        edges = self.out[source]
        known = edges.get(target, 0)
        if not known & kind:
            edges[target] = known | kind
            if why is not None:
                self.why[source, target, kind] = why

    def components(self, kinds: int, among: Iterable[int] | None = None) -> list[list[int]]:
        """The strongly connected components of more than one node, over edges of these kinds."""
        out = self.out
        inside = None if among is None else set(among)

        def following(node: int) -> list[int]:
            return [
                target
                for target, kind in out[node].items()
                if kind & kinds and (inside is None or target in inside)
            ]

        return components(range(self.nodes) if inside is None else sorted(inside), following)

    def acyclic(self, kinds: int) -> bool:
        """Whether no edges of these kinds lead round."""
        waiting = [0] * self.nodes
        for out in self.out:
            for target, kind in out.items():
                if kind & kinds:
                    waiting[target] += 1
        ready = [node for node, count in enumerate(waiting) if not count]
        done = 0
        while ready:
            done += 1
            for target, kind in self.out[ready.pop()].items():
                if kind & kinds:
                    waiting[target] -= 1
                    if not waiting[target]:
                        ready.append(target)
        return done == self.nodes

    def kind_of(self, source: int, target: int, kinds: int) -> int:
        """The weightiest kind of these between two nodes: data before order."""
        known = self.out[source].get(target, 0) & kinds
        return known & -known


def components(nodes: Iterable[int], following: Callable[[int], Sequence[int]]) -> list[list[int]]:
    """Tarjan's algorithm without recursion; only components of more than one node."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    found: list[list[int]] = []
    for root in nodes:
        if root in number:
            continue
        number[root] = low[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(following(root)))]
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in number:
                    number[target] = low[target] = len(number)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(following(target))))
                    break
                if target in on_stack and number[target] < low[node]:
                    low[node] = number[target]
            else:
                work.pop()
                if work and low[node] < low[work[-1][0]]:
                    low[work[-1][0]] = low[node]
                if low[node] == number[node]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    if len(component) > 1:
                        found.append(sorted(component))
    return found


def shortest_path(
    starts: Iterable[Any], end: Callable[[Any], bool], following: Callable[[Any], Iterable[Any]]
) -> list[Any] | None:
    """A shortest path from one of `starts` to a node for which `end` is true, both included."""
    came_from: dict[Any, Any] = {}
    queue: list[Any] = []
    for start in starts:
        came_from[start] = None
        queue.append(start)
    for node in queue:  # grows as it goes
        if end(node):
            path = [node]
            while came_from[path[-1]] is not None:
                path.append(came_from[path[-1]])
            return path[::-1]
        for target in following(node):
            if target not in came_from:
                came_from[target] = node
                queue.append(target)
    return None
