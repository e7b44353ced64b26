"""Parallel snapshot isolation where the order of versions is not all known.

It excludes G-single: a writer of a key that a reader depends on, by ww and wr edges, is no later than the
version that was read (Cerone & Gotsman 2018, section 5). An order of the versions is guessed from the order
of completions; each violation tells which guesses cannot all be right, and every way of giving one up is
tried.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from comity.checkers.transactions.facts import ROOT, Facts, Group
from comity.checkers.transactions.graph import RW, WR, WW, Graph, components, shortest_path
from comity.checkers.transactions.orders import LimitReached, Step
from comity.checkers.transactions.topology import Topology, topological_order

GUESSES = 4_000
"""Orders of versions that are tried, at most."""
WIDTH = 4096
"""How many nodes are looked for at a time in `reached`."""

Nodes = tuple[int, int]


class _Violation(NamedTuple):
    """A reader, the writer it missed, the way back, and the guesses that have a part in it."""

    reader: int
    writer: int
    path: list[int]
    guesses: list[Nodes]


class Visibility:
    """The search for an order of versions that makes no G-single."""

    def __init__(
        self,
        facts: Facts,
        graph: Graph,
        groups: list[Group],
        spend: Callable[[], None],
        guesses: int = GUESSES,
    ) -> None:
        self.graph = graph
        self.groups = groups
        self.spend = spend
        self.left = guesses
        self.count = len(facts.all)
        after = [[t for t, kind in out.items() if kind & (WW | WR)] for out in graph.out]
        ranks = [
            t.operation.invoked if t.operation.completed is None else t.operation.completed for t in facts.all
        ]
        order = topological_order(after, ranks + [0] * (len(after) - len(ranks)))
        assert order is not None, "G1c is found before"
        self.topology = Topology(after, order)
        self.key_of: dict[Nodes, Hashable] = {}
        self.first: list[Step] | None = None

    def refutation(self) -> list[Step] | None:
        """None where some order makes no G-single; else one that the order guessed first makes. Raises
        `LimitReached`, or whatever `spend` raises."""
        ways: list[tuple[int, list[list[Nodes]]]] = []
        while True:
            violation = self._violation()
            if violation is None:
                return None
            if self.first is None:
                self.first = self._steps(violation)
            ways.append((len(self.topology.added), _ways(violation.guesses)))
            while not self._advance(ways):
                ways.pop()
                if not ways:
                    return self.first

    def _advance(self, ways: list[tuple[int, list[list[Nodes]]]]) -> bool:
        """The next way out of the latest violation."""
        count, untried = ways[-1]
        self.topology.take_back(count)
        while untried:
            if all(self.topology.add(source, target) is None for source, target in untried.pop()):
                return True
            self.topology.take_back(count)
        return False

    def _violation(self) -> _Violation | None:
        """A G-single of the order at hand, one with the fewest guesses in it of those of one component."""
        self.left -= 1
        if self.left < 0:
            raise LimitReached("orders of versions that were tried")
        self.spend()
        guessed, missed = self._guess()
        after = self.topology.after
        more: dict[int, list[int]] = {}
        for source, target in guessed:
            more.setdefault(source, []).append(target)
        unseen: dict[int, list[int]] = {}
        for reader, writer in missed:
            unseen.setdefault(reader, []).append(writer)

        def depends(node: int) -> list[int]:
            return [*after[node], *more[node]] if node in more else after[node]

        def every(node: int) -> list[int]:
            return [*depends(node), *unseen[node]] if node in unseen else depends(node)

        for part in components(range(len(after)), every):
            found = self._in_component(part, depends, guessed, missed, unseen)
            if found is not None:
                return found
        return None

    def _in_component(
        self,
        part: list[int],
        depends: Callable[[int], Sequence[int]],
        guessed: dict[Nodes, Hashable],
        missed: dict[Nodes, Nodes | None],
        unseen: dict[int, list[int]],
    ) -> _Violation | None:
        inside = set(part)
        asked = [(writer, reader) for reader in part for writer in unseen.get(reader, ()) if writer in inside]
        order = sorted(part, key=self.topology.place.__getitem__)
        best: _Violation | None = None

        def within(node: int) -> list[int]:
            return [n for n in depends(node) if n in inside]

        for writer, reader in reached(order, within, asked)[:200]:
            path = shortest_path([writer], lambda node, reader=reader: node == reader, within)  # type: ignore[misc]
            assert path is not None
            guesses = [edge for edge in pairwise(path) if edge in guessed]
            pair = missed[reader, writer]
            if pair is not None:
                guesses.append(pair)
            if best is None or len(guesses) < len(best.guesses):
                best = _Violation(reader, writer, path, guesses)
        return best

    def _guess(self) -> tuple[dict[Nodes, Hashable], dict[Nodes, Nodes | None]]:
        """The ww edges as the order at hand has them, and all rw edges, each with the guess it rests on."""
        place, after = self.topology.place, self.topology.after
        guessed: dict[Nodes, Hashable] = {}
        missed: dict[Nodes, Nodes | None] = {}
        for reader, out in enumerate(self.graph.out):
            for writer, kind in out.items():
                if kind & RW:
                    missed[reader, writer] = None
        for group in self.groups:
            ordered = sorted(group.writers, key=place.__getitem__)
            for first, second in pairwise([ROOT, *ordered]):
                certain = first == ROOT or second in after[first]
                if not certain:
                    guessed[first, second] = group.key
                for reader in group.readers.get(first, ()):
                    if reader != second:
                        missed.setdefault((reader, second), None if certain else (first, second))
        return guessed, missed

    def _steps(self, violation: _Violation) -> list[Step]:
        steps = [Step(violation.reader, violation.writer, RW)]
        for source, target in pairwise(violation.path):
            known = self.graph.kind_of(source, target, WW | WR)
            steps.append(Step(source, target, known or WW, None, not known))
        return steps


def _ways(guesses: list[Nodes]) -> list[list[Nodes]]:
    """Each way to give one guess up, those before it kept; the one to try first at the end."""
    ways = [
        [*((first, second) for first, second in guesses[:number]), (second, first)]
        for number, (first, second) in enumerate(guesses)
    ]
    return ways[::-1]


def reached(
    order: Sequence[int], following: Callable[[int], Iterable[int]], asked: Sequence[Nodes]
) -> list[Nodes]:
    """Of the pairs `asked`, those whose first node leads to the second. order: of all nodes, agreeing with
    the edges."""
    wanted = list(dict.fromkeys(target for _, target in asked))
    found: list[Nodes] = []
    for begin in range(0, len(wanted), WIDTH):
        bit = {target: 1 << number for number, target in enumerate(wanted[begin : begin + WIDTH])}
        leads: dict[int, int] = {}
        for node in reversed(order):
            bits = bit.get(node, 0)
            for target in following(node):
                bits |= leads[target]
            leads[node] = bits
        found += [
            (source, target) for source, target in asked if target in bit and leads[source] & bit[target]
        ]
    return found
