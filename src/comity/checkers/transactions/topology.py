"""A topological order kept up to date while edges are added, and taken away again last in, first out.

David Pearce and Paul Kelly, "A Dynamic Topological Sort Algorithm for Directed Acyclic Graphs", ACM Journal
of Experimental Algorithmics 2006: only nodes between the two ends of an edge that goes backwards are moved.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence


class Topology:
    """Nodes 0 to n - 1 in an order that agrees with every edge.

    after: by node, where its edges lead. place: by node, its place in the order. added: edges added since
    the beginning, oldest first.
    """

    def __init__(self, after: list[list[int]], order: Sequence[int]) -> None:
        self.after = after
        self.before: list[list[int]] = [[] for _ in after]
        for node, targets in enumerate(after):
            for target in targets:
                self.before[target].append(node)
        self.at = list(order)
        self.place = [0] * len(after)
        for place, node in enumerate(self.at):
            self.place[node] = place
        self.added: list[tuple[int, int]] = []
        self.moved: list[int] = []
        """Nodes that have been moved since somebody emptied this list."""

    def add(self, source: int, target: int) -> list[int] | None:
        """Adds an edge, or returns the path from `target` to `source` that forbids it."""
        low = self.place[target]
        if low < self.place[source]:
            came_from = {target: -1}
            path = self._search(target, source, came_from)
            if path is not None:
                return path
            self._shift(source, low, came_from)
        self.after[source].append(target)
        self.before[target].append(source)
        self.added.append((source, target))
        return None

    def path(self, start: int, end: int) -> list[int] | None:
        """A path from one node to another."""
        if self.place[start] > self.place[end]:
            return None
        return self._search(start, end, {start: -1})

    def _search(self, start: int, end: int, came_from: dict[int, int]) -> list[int] | None:
        """The same; came_from: gathers whatever is reached before the place of `end`, with where from."""
        place, after = self.place, self.after
        high = place[end]
        stack = [start]
        while stack:
            node = stack.pop()
            for following in after[node]:
                if following == end:
                    return _path(came_from, node, end)
                if place[following] < high and following not in came_from:
                    came_from[following] = node
                    stack.append(following)
        return None

    def _shift(self, source: int, low: int, forward: dict[int, int]) -> None:
        """Puts whatever leads to `source` before whatever its new edge leads to."""
        place = self.place
        backward = {source}
        stack = [source]
        while stack:
            for earlier in self.before[stack.pop()]:
                if place[earlier] > low and earlier not in backward:
                    backward.add(earlier)
                    stack.append(earlier)
        nodes = sorted(backward, key=place.__getitem__) + sorted(forward, key=place.__getitem__)
        for free, node in zip(sorted([place[node] for node in nodes]), nodes, strict=True):
            place[node] = free
            self.at[free] = node
        self.moved.extend(nodes)

    def take_back(self, count: int) -> None:
        """Removes the edges added last, until `count` of them are left. The order still agrees."""
        while len(self.added) > count:
            source, target = self.added.pop()
            self.after[source].pop()
            self.before[target].pop()


def _path(came_from: dict[int, int], node: int, end: int) -> list[int]:
    path = [end]
    while node != -1:
        path.append(node)
        node = came_from[node]
    return path[::-1]


def topological_order(after: Sequence[Sequence[int]], rank: Sequence[int]) -> list[int] | None:
    """An order that agrees with every edge, of lowest rank first where there is a choice; None where there
    is a cycle."""
    waiting = [0] * len(after)
    for targets in after:
        for target in targets:
            waiting[target] += 1
    ready = [(rank[node], node) for node, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        _, node = heapq.heappop(ready)
        order.append(node)
        for target in after[node]:
            waiting[target] -= 1
            if not waiting[target]:
                heapq.heappush(ready, (rank[target], target))
    return order if len(order) == len(after) else None
