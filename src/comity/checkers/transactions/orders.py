"""Orders of versions that nothing tells: looked for together with an order of the transactions.

A model that excludes cycles holds where some order of the versions of each key makes none. For two writers
of a key either may be first, which puts the readers of its version before the other writer (a polygraph:
Christos Papadimitriou, "The Serializability of Concurrent Database Updates", J. ACM 1979). As in Cheng Tan
et al., "Cobra", OSDI 2020, choices that a cycle leaves no freedom are made first; unlike there only the
choices that the order of transactions at hand contradicts are looked at, which are few where transactions
took effect about when they completed. Where both ways are open one is tried, and a contradiction goes back
to the last choice that had a part in it.

For snapshot isolation a transaction is two nodes, its start and its commit: what it depends on commits
before it starts, and what it overwrites or misses was read by those that start before it commits. Then a
cycle is one in which no two rw edges follow one another (Cerone & Gotsman 2018, theorem 4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import pairwise
from typing import NamedTuple

from comity.checkers.transactions.facts import ROOT, Facts, Group
from comity.checkers.transactions.graph import RW, WW, Graph
from comity.checkers.transactions.topology import Topology, topological_order

CHOICES = 100_000
"""Contradictions that are gone back from, at most."""
CLOCK_EVERY = 64

Nodes = tuple[int, int]
NOTHING: frozenset[int] = frozenset()


class Step(NamedTuple):
    """One edge of a cycle, by the places of its transactions. key: of one that follows from a choice."""

    source: int
    target: int
    kind: int
    key: Hashable = None
    chosen: bool = False


class LimitReached(Exception):
    """Too many choices."""


class _Pair(NamedTuple):
    """Two versions next to one another in an order that contradicts what was read, the first before the
    second; `ROOT` is always first."""

    group: int
    first: int
    second: int


class _Choice(NamedTuple):
    """A pair taken in this order, at a time when so many edges were there."""

    edges: int
    pair: _Pair


class Orders:
    """The search for one model. kinds: of the graph's edges that count. split: whether starts and
    commits are apart; rw edges then count anyway."""

    def __init__(
        self,
        facts: Facts,
        graph: Graph,
        groups: list[Group],
        kinds: int,
        spend: Callable[[], None],
        split: bool = False,
        choices: int = CHOICES,
    ) -> None:
        self.graph = graph
        self.groups = groups
        self.kinds = kinds
        self.spend = spend
        self.split = split
        self.choices = choices
        self.count = len(facts.all)
        self.ranks = [
            (
                t.operation.invoked,
                t.operation.invoked if t.operation.completed is None else t.operation.completed,
            )
            for t in facts.all
        ]
        self.levels: dict[Nodes, frozenset[int]] = {}
        self.keys: dict[Nodes, Hashable] = {}
        self.made: list[_Choice] = []
        self.touched: list[tuple[int, int]] = []
        self.dirty: set[int] = set(range(len(groups)))
        self.open: list[_Pair] = []
        self.waiting: set[_Pair] = set()
        self.passed: set[_Pair] = set()
        self.contradictions = 0
        self.cycle: list[int] = []
        self.at_transaction: dict[int, list[int]] = {}
        for index, group in enumerate(groups):
            for place in {*group.writers, *(r for readers in group.readers.values() for r in readers)}:
                self.at_transaction.setdefault(place, []).append(index)

    def start(self, place: int) -> int:
        """The node at which a transaction takes its snapshot."""
        return 2 * place if self.split else place

    def commit(self, place: int) -> int:
        """The node at which a transaction's versions become the latest."""
        return 2 * place + 1 if self.split else place

    def transaction(self, node: int) -> int:
        """Whose node it is; a place beyond all transactions is a moment in real time."""
        return node // 2 if self.split else node

    def refutation(self) -> list[Step] | None:
        """None where some order of versions makes no cycle; else a cycle as it is in one of them. Raises
        `LimitReached`, or whatever `spend` raises."""
        after, ranks = self._base()
        order = topological_order(after, ranks)
        assert order is not None, "cycles of what is certain are found before"
        self.topology = Topology(after, order)
        rounds = 0
        while True:
            rounds += 1
            if rounds % CLOCK_EVERY == 1:
                self.spend()
            consistent = self._settle() if self.dirty else self._choose()
            if consistent is None:
                return None
            if not consistent:
                return self._steps()

    def _base(self) -> tuple[list[list[int]], list[int]]:
        """What is certain, as nodes and edges between them."""
        graph, kinds = self.graph, self.kinds
        if not self.split:
            after = [[t for t, kind in out.items() if kind & kinds] for out in graph.out]
            return after, self._ranks([completed for _, completed in self.ranks])
        after = []
        for place, out in enumerate(graph.out):
            leads = [2 * t for t, kind in out.items() if kind & kinds]
            if place < self.count:
                after.append([2 * place + 1, *(2 * t + 1 for t, kind in out.items() if kind & RW)])
                after.append(leads)
            else:
                after.append(leads)
                after.append([])
        return after, self._ranks([rank for both in self.ranks for rank in both])

    def _ranks(self, known: list[int]) -> list[int]:
        return known + [0] * (len(self.graph.out) * (2 if self.split else 1) - len(known))

    # -- what the order at hand contradicts

    def _settle(self) -> bool:
        """Takes what contradicts the order and can go only one way. False where a contradiction is final."""
        groups, self.dirty = sorted(self.dirty), set()
        for done, index in enumerate(groups):
            if done % CLOCK_EVERY == 0:
                self.spend()
            for pair in self._conflicts(index):
                if pair in self.waiting or not self._violated(pair):
                    continue
                if not self._resolve(pair):
                    self.dirty.update(groups[done:])
                    return False
        self._moved()
        return True

    def _moved(self) -> None:
        for node in self.topology.moved:
            self.dirty.update(self.at_transaction.get(self.transaction(node), ()))
        self.topology.moved.clear()

    def _conflicts(self, index: int) -> list[_Pair]:
        """Neighbours in the order at hand, where it does not fit."""
        place = self.topology.place
        group = self.groups[index]
        split = self.split
        if split:
            ordered = sorted(group.writers, key=lambda writer: place[2 * writer + 1])
        else:
            ordered = sorted(group.writers, key=place.__getitem__)
        found = []
        readers = group.readers
        for first, second in pairwise([ROOT, *ordered]):
            if split and first != ROOT and place[2 * first + 1] > place[2 * second]:
                found.append(_Pair(index, first, second))
                continue
            here = place[self.commit(second)]
            for reader in readers.get(first, ()):
                if reader != second and place[self.start(reader)] > here:
                    found.append(_Pair(index, first, second))
                    break
        return found

    def _violated(self, pair: _Pair) -> bool:
        place = self.topology.place
        first, second = pair.first, pair.second
        if first != ROOT and place[self.commit(second)] < place[self.commit(first)]:
            first, second = second, first
        edges = self._edges(_Pair(pair.group, first, second))
        return any(place[source] > place[target] for source, target in edges)

    def _edges(self, pair: _Pair) -> list[Nodes]:
        """What it means that the first version comes before the second."""
        group = self.groups[pair.group]
        end = self.commit(pair.second)
        edges = [
            (self.start(reader), end) for reader in group.readers.get(pair.first, ()) if reader != pair.second
        ]
        if pair.first != ROOT:
            edges.append((self.commit(pair.first), self.start(pair.second)))
        return edges

    # -- choices

    def _attempt(self, pair: _Pair) -> frozenset[int] | None:
        """Adds what follows from the pair's order. Where that makes a cycle nothing is added, and the choices
        that had a part in it are returned."""
        count = len(self.topology.added)
        for source, target in self._edges(pair):
            if (source, target) in self.levels:
                continue
            path = self.topology.add(source, target)
            if path is not None:
                self._closed_by(path, pair)
                for edge in self.topology.added[count:]:
                    self.keys[edge] = self.groups[pair.group].key
                self.topology.take_back(count)
                return self._reason(path)
        return None

    def _closed_by(self, path: list[int], pair: _Pair) -> None:
        """Remembers a cycle: this path, and an edge of the pair's order from its end to its beginning."""
        self.cycle = path
        self.keys[path[-1], path[0]] = self.groups[pair.group].key

    def _reason(self, path: list[int]) -> frozenset[int]:
        """The choices that a path rests on."""
        return NOTHING.union(*(self.levels.get(edge, NOTHING) for edge in pairwise(path)))

    def _take(self, pair: _Pair, count: int, levels: frozenset[int]) -> None:
        """The edges added since there were `count` stay, because of those choices."""
        key = self.groups[pair.group].key
        for edge in self.topology.added[count:]:
            self.levels[edge] = levels
            self.keys[edge] = key
        self.touched.append((count, pair.group))
        self.dirty.add(pair.group)

    def _forbidden(self, pair: _Pair) -> frozenset[int] | None:
        """The choices that make an edge of this order close a cycle; None where each alone does not. Unlike
        an attempt it leaves the order of transactions as it is."""
        for source, target in self._edges(pair):
            path = self.topology.path(target, source)
            if path is not None:
                self._closed_by(path, pair)
                return self._reason(path)
        return None

    def _resolve(self, pair: _Pair) -> bool:
        """Where one order makes a cycle, takes the other; where neither does, leaves it for later."""
        other = _Pair(pair.group, pair.second, pair.first)
        against = NOTHING if pair.first == ROOT else self._forbidden(other)
        if against is not None:
            return self._force(pair, against)
        reason = self._forbidden(pair)
        if reason is not None:
            return self._force(other, reason)
        self.open.append(pair)
        self.waiting.add(pair)
        return True

    def _force(self, pair: _Pair, reason: frozenset[int]) -> bool:
        """Takes the only way that those choices leave."""
        count = len(self.topology.added)
        against = self._attempt(pair)
        if against is not None:
            return self._contradiction(reason | against)
        self._take(pair, count, reason)
        return True

    def _choose(self) -> bool | None:
        """Chooses for every pair that is open both ways. None where nothing is left to choose."""
        pairs, self.open = self.open, []
        pairs.sort(key=self._late, reverse=True)
        while pairs:
            pair = pairs.pop()
            self.waiting.discard(pair)
            if not self._violated(pair):
                # The order at hand fits by now; should it ever not, a choice is due.
                self.dirty.add(pair.group)
                if pair not in self.passed:
                    self.passed.add(pair)
                    continue
            if self._rank(pair.first) > self._rank(pair.second):
                pair = _Pair(pair.group, pair.second, pair.first)
            count = len(self.topology.added)
            reason = self._attempt(pair)
            if reason is None:
                self.made.append(_Choice(count, pair))
                self._take(pair, count, frozenset([len(self.made)]))
            elif not self._force(_Pair(pair.group, pair.second, pair.first), reason):
                return False
        self._moved()
        return True if self.dirty else None

    def _rank(self, place: int) -> int:
        return self.ranks[place][1] if place != ROOT else -1

    def _late(self, pair: _Pair) -> int:
        return max(self._rank(pair.first), self._rank(pair.second))

    def _contradiction(self, reason: frozenset[int]) -> bool:
        """Goes back to the last choice among `reason` and takes its other way. False where there is none."""
        while reason:
            self.contradictions += 1
            if self.contradictions > self.choices:
                raise LimitReached("choices of an order of versions")
            if self.contradictions % CLOCK_EVERY == 0:
                self.spend()
            level = max(reason)
            count, pair = self.made[level - 1]
            del self.made[level - 1 :]
            self._undo(count)
            reason -= {level}
            other = _Pair(pair.group, pair.second, pair.first)
            against = self._attempt(other)
            if against is None:
                self._take(other, count, reason)
                self._moved()
                return True
            reason |= against
        return False

    def _undo(self, count: int) -> None:
        for edge in self.topology.added[count:]:
            self.levels.pop(edge, None)
        self.topology.take_back(count)
        while self.touched and self.touched[-1][0] >= count:
            self.dirty.add(self.touched.pop()[1])

    # -- words

    def _steps(self) -> list[Step]:
        """The cycle found last, as steps from transaction to transaction. Each path begins where the edge
        that closes it ends."""
        steps: list[Step] = []
        source: int | None = None
        nodes = [*self.cycle, self.cycle[0]]
        kind = 0
        for before, node in pairwise(nodes):
            first, second = self.transaction(before), self.transaction(node)
            if first == second:
                continue
            if first < self.count:
                source = first
                kind = self._kind(before, node)
            if second < self.count and source is not None:
                chosen = (before, node) in self.keys and not self.graph.out[first].get(second, 0) & kind
                steps.append(Step(source, second, kind, self.keys.get((before, node)), chosen))
        return steps

    def _kind(self, before: int, node: int) -> int:
        """Of the edge between two nodes: rw leads from a start to a commit."""
        first, second = self.transaction(before), self.transaction(node)
        known = self.graph.kind_of(first, second, self.kinds)
        if self.split:
            return RW if before % 2 == 0 and first < self.count else known or WW
        return known or WW


def of_updates(groups: Iterable[Group]) -> list[Group]:
    """The groups as cursor stability sees them: only readers that write the key too count."""
    found = []
    for group in groups:
        writers = set(group.writers)
        readers = {version: [r for r in those if r in writers] for version, those in group.readers.items()}
        found.append(Group(group.key, group.writers, readers))
    return found
