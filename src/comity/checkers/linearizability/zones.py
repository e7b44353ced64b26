"""Plain registers whose written values are all different: decided in O(n log n).

Phillip Gibbons and Ephraim Korach, "Testing Shared Memories", SIAM J. Computing 1997; the form with
zones is from Wojciech Golab, Xiaozhou Li, Mehul Shah, "Analyzing Consistency Properties for Fun and
Profit", PODC 2011. A cluster is a write and the reads that returned its value; the initial value has a
write before everything. With f the earliest return and s the latest invocation in a cluster, its zone
reaches from the one to the other: forward where f < s, that is, where the register must have held the
value from f to s; backward otherwise. An order exists exactly where

1. every value read was written, by a write that was not invoked after the read had returned;
2. no two forward zones overlap;
3. no backward zone lies within a forward zone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from itertools import pairwise
from operator import attrgetter
from typing import Any

import msgspec

from comity.checkers.datatypes.base import RegisterView
from comity.checkers.history import Operation
from comity.checkers.linearizability.problem import NEVER, Problem


class _Cluster(msgspec.Struct, gc=False):
    """A write with its reads. known: the event from which on `last_invocation` is known."""

    begun: int
    first_return: int
    last_invocation: int
    known: int


def has_order(problem: Problem, events: int = NEVER) -> bool | None:
    """Whether there is an order; None where this is not a plain register with different values.

    events: only of what was known after so many events of the history, as `prefix_of` has it.
    """
    clusters = _clusters(problem, events)
    if clusters is None:
        return None
    return not isinstance(clusters, int) and _conflict(clusters.values()) is None


def broken_by(problem: Problem) -> int:
    """Of a problem without an order: after how many events that is certain; perhaps it was before."""
    clusters = _clusters(problem, NEVER)
    if isinstance(clusters, int):
        return clusters + 1
    conflict = _conflict(clusters.values()) if clusters is not None else None
    assert conflict is not None
    return max(max(cluster.first_return, cluster.known) for cluster in conflict) + 1


def _clusters(problem: Problem, events: int) -> dict[Any, _Cluster] | int | None:
    """The clusters by value; or the event at which a read returned a value that was not written by then."""
    clusters: dict[Any, _Cluster] = {problem.initial: _Cluster(-1, -1, -1, -1)}
    reads: list[tuple[Any, int, int]] = []
    for action, invoked, returned in zip(problem.actions, problem.invoked, problem.returned, strict=True):
        if action.view is None:
            return None
        if invoked >= events:
            break
        if returned >= events:
            returned = NEVER
        if not action.view.writes:
            if returned != NEVER:
                reads.append((action.view.value, invoked, returned))
        elif action.view.value in clusters:
            return None
        else:
            clusters[action.view.value] = _Cluster(invoked, returned, invoked, invoked)
    for operation, action in zip(problem.optional, problem.optional_actions, strict=True):
        # What is optional here and still in the problem has a reader, or may have one.
        if action.view is None or not action.view.writes or action.view.value in clusters:
            return None
        if operation.invoked >= events:
            break
        invoked = operation.invoked
        clusters[action.view.value] = _Cluster(invoked, NEVER, invoked, invoked)
    for value, invoked, returned in reads:
        cluster = clusters.get(value)
        if cluster is None or returned < cluster.begun:
            return returned
        cluster.first_return = min(cluster.first_return, returned)
        if invoked > cluster.last_invocation:
            cluster.last_invocation = invoked
            cluster.known = returned
    return clusters


def _conflict(clusters: Collection[_Cluster]) -> tuple[_Cluster, _Cluster] | None:
    """Two clusters whose zones exclude one another; None where there are none."""
    # A write of unknown outcome that nobody has read has no return: it asks for nothing.
    bound = [cluster for cluster in clusters if cluster.first_return != NEVER]
    forward = [cluster for cluster in bound if cluster.first_return < cluster.last_invocation]
    forward.sort(key=attrgetter("first_return"))
    for one, following in pairwise(forward):
        if one.last_invocation > following.first_return:
            return one, following
    starts = [cluster.first_return for cluster in forward]
    for cluster in bound:
        if cluster.first_return >= cluster.last_invocation:
            place = bisect_right(starts, cluster.last_invocation) - 1
            if place >= 0 and forward[place].last_invocation > cluster.first_return:
                return forward[place], cluster
    return None


def order_of(problem: Problem, events: int) -> list[Operation]:
    """An order of what was known after so many events, where `has_order` says that there is one.

    Clusters by the lower end of their zones, in each the write first and then its reads: a backward zone
    that begins within a forward one ends behind it, so it may come after it.
    """
    clusters = _clusters(problem, events)
    assert isinstance(clusters, dict)
    known: list[Operation] = []
    keys: list[int] = []
    span = max(problem.invoked, default=0) + 2

    def add(operation: Operation, view: RegisterView) -> None:
        cluster = clusters[view.value]
        if cluster.first_return != NEVER:
            low = min(cluster.first_return, cluster.last_invocation) + 1
            known.append(operation)
            keys.append(low * span + (0 if view.writes else operation.invoked + 1))

    for action, operation, returned in zip(problem.actions, problem.required, problem.returned, strict=True):
        assert action.view is not None
        if operation.invoked >= events:
            break
        if action.view.writes or returned < events:
            add(operation, action.view)
    for operation, action in zip(problem.optional, problem.optional_actions, strict=True):
        assert action.view is not None
        if operation.invoked < events:
            add(operation, action.view)
    return [known[place] for place in sorted(range(len(known)), key=keys.__getitem__)]
