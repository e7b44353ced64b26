"""Which models hold where the order of some versions is not known: those for which some order will do.

What needs no search: read committed and read uncommitted hold once what is certain has no cycle of ww and
wr (of ww) edges, for any order of transactions that agrees with those also orders the versions. So do read
atomic and monotonic atomic view with the edges added that a fractured read would break. Lists need one only
for snapshot isolation and cursor stability: where serializability is asked, every reader that misses one
version of unknown place misses all of them, so any order of transactions that agrees with the edges orders
those too.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from comity.checkers.models import TRANSACTIONAL, violated_by, weaker_than
from comity.checkers.transactions.facts import Facts, unbroken
from comity.checkers.transactions.graph import PROCESS, REAL_TIME, RW, WR, WW, Graph
from comity.checkers.transactions.orders import LimitReached, Orders, Step, of_updates
from comity.checkers.transactions.topology import Topology, topological_order
from comity.checkers.transactions.visibility import Visibility

_DATA = WW | WR
_ORDERS = PROCESS | REAL_TIME

SERIAL = {
    "strict-serializable": _DATA | RW | _ORDERS,
    "strong-session-serializable": _DATA | RW | PROCESS,
    "serializable": _DATA | RW,
    "repeatable-read": _DATA | RW,
}
"""Model -> the edges of which no cycle may be."""

SNAPSHOTS = {
    "strong-snapshot-isolation": _DATA | _ORDERS,
    "strong-session-snapshot-isolation": _DATA | PROCESS,
    "snapshot-isolation": _DATA,
}
"""Model -> the edges of which, with rw ones that do not follow one another, no cycle may be."""

SHOWN_BY = {
    "strict-serializable": "G2-item-realtime",
    "strong-session-serializable": "G2-item-process",
    "serializable": "G2-item",
    "repeatable-read": "G2-item",
    "strong-snapshot-isolation": "G-nonadjacent-realtime",
    "strong-session-snapshot-isolation": "G-nonadjacent-process",
    "snapshot-isolation": "G-nonadjacent",
    "parallel-snapshot-isolation": "G-single",
    "cursor-stability": "lost-update",
    "read-atomic": "fractured-read",
    "monotonic-atomic-view": "vanishing-transaction",
}
"""Model -> the mildest anomaly it excludes: every order of the versions has that or a worse one."""


class Decision(NamedTuple):
    """valid, violated: of the models asked about. cycles: of a violated model, a cycle that one of the orders
    of versions makes. limit: in words, what kept the others from being decided."""

    valid: frozenset[str]
    violated: frozenset[str]
    cycles: dict[str, list[Step]]
    limit: str


def decide(facts: Facts, graph: Graph, left: frozenset[str], spend: Callable[[], None]) -> Decision:
    """Decides the models `left`, none of which is broken by what is certain: the graph, and findings."""
    valid: set[str] = set()
    violated: set[str] = set()
    cycles: dict[str, list[Step]] = {}
    limit = ""
    for model in TRANSACTIONAL:
        if model not in left or model in valid or model in violated:
            continue
        try:
            steps = _refutation(model, facts, graph, spend)
        except LimitReached as reached:
            limit = f"limit: {reached}"
            continue
        if steps is None:
            valid |= weaker_than(model) & left
        else:
            cycles[model] = steps
            violated |= violated_by([model, *_repeatable(model)]) & left
    return Decision(frozenset(valid), frozenset(violated), cycles, limit)


def _repeatable(model: str) -> list[str]:
    """No predicates are read, so whatever serializability alone excludes repeatable read excludes too."""
    return (
        ["repeatable-read"]
        if model in {"serializable", "snapshot-isolation", "parallel-snapshot-isolation"}
        else []
    )


def _refutation(model: str, facts: Facts, graph: Graph, spend: Callable[[], None]) -> list[Step] | None:
    """None where the model holds."""
    if model in SERIAL:
        if facts.ends_unread:
            return None
        return Orders(facts, graph, facts.groups(), SERIAL[model], spend).refutation()
    if model in SNAPSHOTS:
        return Orders(facts, graph, facts.groups(), SNAPSHOTS[model], spend, split=True).refutation()
    if model == "parallel-snapshot-isolation":
        return Visibility(facts, graph, facts.groups(), spend).refutation()
    if model == "cursor-stability":
        return Orders(facts, graph, of_updates(facts.groups()), _DATA, spend).refutation()
    if model in {"read-atomic", "monotonic-atomic-view"}:
        return _fractured(facts, graph, model == "monotonic-atomic-view")
    return None


def _fractured(facts: Facts, graph: Graph, in_order: bool) -> list[Step] | None:
    """A cycle of ww and wr edges with those that no fractured read leaves."""
    after = [[target for target, kind in out.items() if kind & _DATA] for out in graph.out]
    order = topological_order(after, range(len(after)))
    assert order is not None, "G1c is found before"
    topology = Topology(after, order)
    for key, earlier, later in unbroken(facts, in_order):
        path = topology.add(earlier, later)
        if path is not None:
            nodes = [*path, path[0]]
            steps = []
            for source, target in pairwise(nodes):
                known = graph.kind_of(source, target, _DATA)
                steps.append(Step(source, target, known or WW, None if known else key, not known))
            return steps
    return None
