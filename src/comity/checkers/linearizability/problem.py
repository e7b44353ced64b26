"""One object's history in the form the algorithms work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from comity.checkers.datatypes import Action, DataType
from comity.checkers.history import Operation, Outcome

NEVER = 1 << 62
"""The event at which an operation of unknown outcome returns."""


class Problem(msgspec.Struct, frozen=True):
    """Operations on one object that an order has to be found for.

    initial: the state before any of them. required: those that happened, by invocation. optional: those
    of unknown outcome whose effect may have been seen, by invocation. The lists beside them go by place:
    actions; the events of invocation and return; and for optional ones, groups of places with equal
    effects. dropped: how many optional ones nothing can have seen.
    """

    data_type: DataType
    initial: Any
    required: list[Operation]
    actions: list[Action]
    invoked: list[int]
    returned: list[int]
    optional: list[Operation]
    optional_actions: list[Action]
    groups: list[list[int]]
    dropped: int


def problem_of(data_type: DataType, operations: Sequence[Operation], bare: bool = False) -> Problem:
    """The problem of the operations, by invocation, that count on one object.

    bare: without the actions, for the rules that do not ask for them. Raises `UnsuitableHistory` for an
    operation the data type has not.
    """
    actions = [] if bare else [data_type.action(operation) for operation in operations]
    needless: set[int] = set()
    if any(operation.outcome is Outcome.INFO for operation in operations):
        needless = data_type.needless(operations)
    problem = Problem(data_type, data_type.initial(), [], [], [], [], [], [], [], len(needless))
    groups: dict[Any, list[int]] = {}
    required: list[int] = []
    optional: list[int] = []
    for place, operation in enumerate(operations):
        if operation.outcome is not Outcome.INFO:
            assert operation.completed is not None
            problem.required.append(operation)
            required.append(place)
            problem.invoked.append(operation.invoked)
            problem.returned.append(operation.completed)
        elif place not in needless:
            groups.setdefault(data_type.effect(operation), []).append(len(problem.optional))
            problem.optional.append(operation)
            optional.append(place)
    if actions:
        problem.actions.extend(
            [a for a, o in zip(actions, operations, strict=True) if o.outcome is not Outcome.INFO]
        )
        problem.optional_actions.extend([actions[place] for place in optional])
    problem.groups.extend(groups.values())
    return problem


def prefix_of(data_type: DataType, operations: Sequence[Operation], events: int) -> list[Operation]:
    """What was known after the first `events` events of the history: operations invoked later are
    gone, and those that had not returned are of unknown outcome."""
    known: list[Operation] = []
    for operation in operations:
        if operation.invoked >= events:
            continue
        if operation.completed is not None and operation.completed >= events:
            operation = msgspec.structs.replace(
                operation, outcome=Outcome.INFO, result=None, completed=None, completed_ns=None
            )
            if not data_type.counts(operation):
                continue
        known.append(operation)
    return known
