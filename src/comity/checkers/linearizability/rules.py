"""Which problems are decided without a search, by the rules of their data type; and into which parts
others fall apart. A type derived from one of these may behave otherwise: it is left to the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comity.checkers.datatypes import Mutex, Queue, Set, Stack
from comity.checkers.history import Operation
from comity.checkers.linearizability.locks import ACQUIRES, RELEASES, has_lock_order
from comity.checkers.linearizability.problem import Problem
from comity.checkers.linearizability.queues import has_queue_order
from comity.checkers.linearizability.sets import has_set_order
from comity.checkers.linearizability.stacks import has_stack_order

_KNOWN = {
    Queue: frozenset({Queue.puts, Queue.takes}),
    Stack: frozenset({Stack.puts, Stack.takes}),
    Set: frozenset({"add", "remove", "contains", "read"}),
    Mutex: ACQUIRES | RELEASES,
}


def rules_say(problem: Problem, told: Mapping[int, Any]) -> bool | None:
    """Whether there is an order; None where no rules apply.

    told: of operations of unknown outcome, by index, what they are known to return in the end. It only
    helps to find an order: there may be one in which they do not.
    """
    data_type = problem.data_type
    known = _KNOWN.get(type(data_type))
    if known is None or any(o.f not in known for o in (*problem.required, *problem.optional)):
        return None
    if isinstance(data_type, Stack):
        return has_stack_order(problem, told)
    if isinstance(data_type, Queue):
        return has_queue_order(problem)
    return has_set_order(problem) if isinstance(data_type, Set) else has_lock_order(problem)


def parts_of(problem: Problem) -> list[list[Operation]]:
    """The operations of a problem by what they are about, where these are objects of their own: the
    elements of a set that nothing reads as a whole. Nothing where it is all one."""
    if type(problem.data_type) is not Set:
        return []
    parts: dict[Any, list[Operation]] = {}
    for operation in sorted((*problem.required, *problem.optional), key=lambda o: o.invoked):
        if operation.f == "read":
            return []
        parts.setdefault(operation.value, []).append(operation)
    return list(parts.values()) if len(parts) > 1 else []
