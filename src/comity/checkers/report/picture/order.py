"""An order that explains a small history, for a picture: the checkers say that there is one, not which."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from comity.checkers.datatypes import REFUSED, DataType
from comity.checkers.history import History, Operation
from comity.checkers.linearizability import split_by_object
from comity.checkers.linearizability.problem import NEVER, Problem, problem_of

MOST_STEPS = 20_000
"""How many operations are tried, for one object, before the picture does without an order."""


def order_of(data_type: DataType, history: History) -> tuple[Operation, ...]:
    """A linearization of the whole history; empty where none is found with little effort.

    Operations of unknown outcome are in it only where their effect is needed. Orders of the objects are
    merged by real time, which always succeeds (Herlihy & Wing 1990, theorem 1: locality).
    """
    objects = split_by_object(data_type, history).values()
    problems = [problem_of(data_type, operations) for operations in objects]
    chains = []
    for problem in problems:
        chain = _order_of_object(problem)
        if chain is None:
            return ()
        chains.append(chain)
    return _merged(chains, {o.index for problem in problems for o in problem.required})


def _order_of_object(problem: Problem) -> list[Operation] | None:
    """Wing & Gong 1993, with Lowe's memory: enough for what fits into a picture."""
    operations = [*problem.required, *problem.optional]
    actions = [*problem.actions, *problem.optional_actions]
    returned = [*problem.returned, *[NEVER] * len(problem.optional)]
    by_return = sorted(range(len(operations)), key=lambda place: (returned[place], place))
    needed = (1 << len(problem.required)) - 1
    failed: set[tuple[int, Hashable]] = set()
    order: list[int] = []
    steps = 0

    def explained(state: Any, placed: int) -> bool:
        nonlocal steps
        if placed & needed == needed:
            return True
        if (placed, state) in failed or steps > MOST_STEPS:
            return False
        left = [place for place in by_return if not placed >> place & 1]
        horizon = returned[left[0]]
        for place in left:
            if operations[place].invoked > horizon:
                continue
            steps += 1
            following = actions[place].step(state)
            if following is not REFUSED:
                order.append(place)
                if explained(following, placed | 1 << place):
                    return True
                order.pop()
        failed.add((placed, state))
        return False

    if not explained(problem.initial, 0):
        return None
    return [operations[place] for place in order]


def _merged(chains: list[list[Operation]], required: set[int]) -> tuple[Operation, ...]:
    """One order of all: next is the head of a chain before which nothing else has to come."""
    left = [list(chain) for chain in chains if chain]
    merged: list[Operation] = []
    while left:
        ends = [_end(o, required) for chain in left for o in chain]
        first = min(ends)
        chain = min(
            (chain for chain in left if chain[0].invoked < first),
            key=lambda chain: (_end(chain[0], required), chain[0].index),
        )
        merged.append(chain.pop(0))
        left = [chain for chain in left if chain]
    return tuple(merged)


def _end(operation: Operation, required: set[int]) -> int:
    if operation.index not in required or operation.completed is None:
        return NEVER
    return operation.completed
