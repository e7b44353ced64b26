"""Which kinds of cycles a dependency graph has, and a short one of each.

By the edges on them (Adya 1999, sections 4.1 to 4.4; Alvaro & Kingsbury 2020, section 4): G0 only ww; G1c
also wr; G-single exactly one rw; G-nonadjacent several, of which no two follow one another; G2-item two
that do. With process or real-time edges among the others each has a variant of that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from comity.checkers.transactions.graph import (
    PROCESS,
    REAL_TIME,
    RW,
    WR,
    WW,
    Graph,
    components,
    shortest_path,
)

SUFFIXES = {0: "", PROCESS: "-process", PROCESS | REAL_TIME: "-realtime"}
NAMED = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
"""The kinds of cycles, the less subtle ones first."""
TRIES = 200
"""How many rw edges of one component are tried for a shortest cycle."""


class Cycle(NamedTuple):
    """The places on it, each before the next and the last before the first, and the kinds of the edges."""

    places: tuple[int, ...]
    kinds: tuple[int, ...]


def find_cycles(graph: Graph) -> Iterator[tuple[str, Cycle]]:
    """(anomaly, cycle): at most one of each name, the less subtle ones first."""
    whole = WW | WR | RW | PROCESS | REAL_TIME
    if graph.acyclic(whole):
        return
    suspects = graph.components(whole)
    seen: set[str] = set()
    for order, suffix in SUFFIXES.items():
        for component in graph.components(WW | WR | RW | order, (n for c in suspects for n in c)):
            missing = {name for name in NAMED if name + suffix not in seen}
            for name, cycle in _of_component(graph, component, order, missing):
                if name + suffix not in seen and _is_new(name, order, cycle):
                    seen.add(name + suffix)
                    yield name + suffix, cycle


def _is_new(name: str, order: int, cycle: Cycle) -> bool:
    """A variant is one only where it needs its own kind of edge."""
    return not order or any(kind & order for kind in cycle.kinds)


def _of_component(
    graph: Graph, component: list[int], order: int, missing: set[str]
) -> Iterator[tuple[str, Cycle]]:
    """The cycles of one component, of the names in `missing`."""
    for name, kinds, needed in (("G0", WW | order, WW), ("G1c", WW | WR | order, WR)):
        if name == "G1c" and order:
            needed = WR
        for part in graph.components(kinds, component) if name in missing else ():
            cycle = _through(graph, part, kinds, needed, order)
            if cycle is not None:
                yield name, cycle
                break
    base = WW | WR | order
    single = None
    if missing & {"G-single", "G-nonadjacent"}:
        single = _single(graph, component, base, order)
    if single is not None:
        yield "G-single", single
    if "G-nonadjacent" in missing:
        nonadjacent = _nonadjacent(graph, component, base, order)
        if nonadjacent is not None and (single is None or _simple(nonadjacent)):
            yield "G-nonadjacent", nonadjacent
    if "G2-item" in missing:
        skew = _adjacent(graph, component, base | RW, order)
        if skew is not None:
            yield "G2-item", skew


def _edges(graph: Graph, nodes: Iterable[int], kind: int) -> list[tuple[int, int]]:
    inside = set(nodes)
    return [
        (node, target)
        for node in nodes
        for target, kinds in graph.out[node].items()
        if kinds & kind and target in inside
    ]


def _through(graph: Graph, part: list[int], kinds: int, needed: int, order: int) -> Cycle | None:
    """The shortest cycle of these kinds with an edge of the kind `needed`, and of `order` if it is one."""
    inside = set(part)
    best: Cycle | None = None
    for source, target in _edges(graph, part, order or needed)[:TRIES]:

        def following(node: int) -> list[int]:
            return [n for n, kind in graph.out[node].items() if kind & kinds and n in inside]

        path = shortest_path([target], lambda node, source=source: node == source, following)  # type: ignore[misc]
        if path is None:
            continue
        cycle = _cycle(graph, path, [_first(order or needed, graph, source, target)], kinds)
        if needed == WR and not any(kind == WR for kind in cycle.kinds):
            continue
        if best is None or len(cycle.places) < len(best.places):
            best = cycle
    return best


def _first(kind: int, graph: Graph, source: int, target: int) -> int:
    known = graph.out[source][target] & kind
    return known & -known


def _cycle(graph: Graph, path: list[int], closing: list[int], kinds: int) -> Cycle:
    """A path whose end leads to its start by an edge of the kind in `closing`."""
    inner = [graph.kind_of(source, target, kinds) for source, target in pairwise(path)]
    return _without_moments(graph, path, [*inner, *closing])


def _without_moments(graph: Graph, places: list[int], kinds: list[int]) -> Cycle:
    """The cycle of these places and the kinds of the edges that leave them, transactions only."""
    kept = [(place, kind) for place, kind in zip(places, kinds, strict=True) if place < graph.transactions]
    return Cycle(tuple([place for place, _ in kept]), tuple([kind for _, kind in kept]))


def _single(graph: Graph, component: list[int], base: int, order: int) -> Cycle | None:
    inside = set(component)
    best: Cycle | None = None

    def following(node: tuple[int, bool]) -> list[tuple[int, bool]]:
        place, ordered = node
        return [
            (n, ordered or not kind & (WW | WR))
            for n, kind in graph.out[place].items()
            if kind & base and n in inside
        ]

    edges = _edges(graph, component, RW)
    for source, target in edges:
        ends = {(source, True)} if order else {(source, True), (source, False)}
        path = shortest_path([(target, False)], ends.__contains__, following)
        if path is None:
            continue
        cycle = _cycle(graph, [place for place, _ in path], [RW], base)
        if best is None or len(cycle.places) < len(best.places):
            best = cycle
            if len(best.places) == 2:
                break
    return best


def _nonadjacent(graph: Graph, component: list[int], base: int, order: int) -> Cycle | None:
    """A cycle with two or more rw edges, none after another: nodes are doubled by how they were come to."""
    inside = set(component)

    def following(node: int) -> list[int]:
        place, after_rw = divmod(node, 2)
        found = []
        for target, kind in graph.out[place].items():
            if target in inside:
                if kind & base:
                    found.append(2 * target)
                if kind & RW and not after_rw:
                    found.append(2 * target + 1)
        return found

    crossing: Cycle | None = None
    doubled = [2 * place + after for place in component for after in (0, 1)]
    for part in components(doubled, following):
        members = set(part)

        def within(node: tuple[int, int], members: set[int] = members) -> list[tuple[int, int]]:
            state, count = node
            place, after_rw = divmod(state, 2)
            found = []
            for target, kind in graph.out[place].items():
                if kind & base and 2 * target in members:
                    found.append((2 * target, count))
                if kind & RW and not after_rw and 2 * target + 1 in members:
                    found.append((2 * target + 1, min(count + 1, 2)))
            return found

        arrivals = [node for node in part if node % 2]
        for start in arrivals[:TRIES]:
            path = shortest_path(within((start, 0)), lambda n, start=start: n == (start, 2), within)  # type: ignore[misc]
            if path is None:
                continue
            places = [start // 2, *(state // 2 for state, _ in path)]
            kinds = [
                RW if state % 2 else graph.kind_of(before, state // 2, base)
                for before, (state, _) in zip(places, path, strict=False)
            ]
            if not _needs(kinds, order):
                continue
            walk = _without_moments(graph, places[:-1], kinds)
            if _simple(walk):
                return walk
            crossing = crossing or walk
    return crossing


def _simple(cycle: Cycle) -> bool:
    return len(set(cycle.places)) == len(cycle.places)


def _needs(kinds: list[int], order: int) -> bool:
    return not order or any(kind & order for kind in kinds)


def _adjacent(graph: Graph, component: list[int], kinds: int, order: int) -> Cycle | None:
    """A cycle with two rw edges in a row."""
    inside = set(component)
    best: Cycle | None = None
    incoming: dict[int, list[int]] = {}
    for source, target in _edges(graph, component, RW):
        incoming.setdefault(target, []).append(source)
    tries = 0
    for middle, sources in incoming.items():
        targets = [n for n, kind in graph.out[middle].items() if kind & RW and n in inside]
        if not targets:
            continue
        ends = set(sources)

        def following(node: int, middle: int = middle) -> list[int]:
            return [n for n, kind in graph.out[node].items() if kind & kinds and n in inside and n != middle]

        tries += 1
        path = shortest_path(targets, ends.__contains__, following)
        if path is None:
            continue
        inner = [graph.kind_of(a, b, kinds) for a, b in pairwise(path)]
        if not _needs(inner, order):
            continue
        cycle = _without_moments(graph, [middle, *path], [RW, *inner, RW])
        if best is None or len(cycle.places) < len(best.places):
            best = cycle
        if len(best.places) == 2 or tries > TRIES:
            break
    return best


def has_cycle(graph: Graph, kinds: int) -> bool:
    """Whether there is any cycle of edges of these kinds."""
    return not graph.acyclic(kinds)


def has_single(graph: Graph, order: int) -> bool:
    """Whether there is a cycle with at most one rw edge."""
    base = WW | WR | order
    if has_cycle(graph, base):
        return True
    return any(_single(graph, part, base, 0) is not None for part in graph.components(base | RW))


def has_spaced(graph: Graph, order: int) -> bool:
    """Whether there is a cycle on which no two rw edges follow one another (Andrea Cerone and Alexey
    Gotsman, "Analysing Snapshot Isolation", J. ACM 2018, theorem 4.1: what snapshot isolation excludes)."""
    base = WW | WR | order
    # Nodes are doubled by whether they were come to by an rw edge: there are walks for ever, or none.
    waiting = [0] * (2 * graph.nodes)
    for out in graph.out:
        for target, kind in out.items():
            if kind & base:
                waiting[2 * target] += 2
            if kind & RW:
                waiting[2 * target + 1] += 1
    ready = [node for node, count in enumerate(waiting) if not count]
    done = 0
    while ready:
        done += 1
        place, after_rw = divmod(ready.pop(), 2)
        for target, kind in graph.out[place].items():
            if kind & base:
                waiting[2 * target] -= 1
                if not waiting[2 * target]:
                    ready.append(2 * target)
            if kind & RW and not after_rw:
                waiting[2 * target + 1] -= 1
                if not waiting[2 * target + 1]:
                    ready.append(2 * target + 1)
    return done < 2 * graph.nodes
