"""Linearizability: one order of all operations, keeping real-time order, that the data type accepts.

Maurice Herlihy and Jeannette Wing, "Linearizability: A Correctness Condition for Concurrent Objects",
TOPLAS 1990. Objects are checked apart (locality, section 3.1 there).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from comity.checkers.datatypes import DataType
from comity.checkers.history import History, Operation, Outcome
from comity.checkers.linearizability.core import core_of
from comity.checkers.linearizability.explain import Reason, explanation
from comity.checkers.linearizability.problem import NEVER, Problem, prefix_of, problem_of
from comity.checkers.linearizability.rules import parts_of, rules_say
from comity.checkers.linearizability.search import Ending, Found, search
from comity.checkers.linearizability.zones import broken_by, has_order, order_of
from comity.checkers.verdict import Limits, Report, Status, Verdict

MODEL = "linearizable"
DETAILED_VIOLATIONS = 3
"""How many violating keys get a smallest prefix and an explanation; the others are named."""
EXPLANATION_STATES = 100_000
"""How many states the words of a violation are worth."""
LARGE_WITNESS = 2_000
"""From so many operations on, plain registers are explained with the order of their zones."""
PROBE_STATES = 10_000
"""How many states it is worth to know whether a prefix fails already, or a few operations out of many,
where the whole was decided by rules."""
_NOTHING: Mapping[int, Any] = {}

__all__ = ["MODEL", "check", "check_object", "split_by_object"]


def split_by_object(data_type: DataType, history: History) -> dict[Hashable, list[Operation]]:
    """The operations that say something, by the object they are about, each by invocation."""
    objects: dict[Hashable, list[Operation]] = {}
    for operation in history.operations:
        key = data_type.split(operation)
        held = objects.get(key)
        if held is None:
            held = objects[key] = []
        if data_type.counts(operation):
            held.append(operation)
        else:
            # Also what says nothing must be an operation of the type.
            data_type.action(operation)
    return objects


def check(history: History, data_type: DataType, limits: Limits) -> Report:
    """Check a whole history. Raises `UnsuitableHistory` where the data type cannot judge it."""
    began_ns = limits.clock_ns()
    deadline_ns = None if limits.time_ns is None else began_ns + limits.time_ns
    objects = split_by_object(data_type, history)
    statistics = {"nodes": 0, "states": 0, "by_zones": 0, "by_rules": 0, "by_search": 0}
    violations: list[tuple[_Answer, Hashable, Problem | None]] = []
    unknown: list[Verdict] = []
    for key, operations in objects.items():
        problem = problem_of(data_type, operations)
        answer = _decide(problem, limits, deadline_ns)
        statistics[f"by_{answer.method}"] += 1
        if answer.found is not None:
            statistics["nodes"] += answer.found.nodes
            statistics["states"] += answer.found.states
        if answer.fits is None:
            assert answer.found is not None
            unknown.append(_unknown(data_type, key, problem, answer.found))
        elif not answer.fits:
            violations.append((answer, key, problem if len(violations) < DETAILED_VIOLATIONS else None))
        del problem  # as large as the history it is about
    verdicts = [
        _violation(data_type, key, objects[key], answer, limits, deadline_ns, problem)
        if problem is not None
        else _named(data_type, key, len(objects[key]))
        for answer, key, problem in violations
    ]
    status = Status.VIOLATION if verdicts else Status.UNKNOWN if unknown else Status.VALID
    valid = len(objects) - len(violations) - len(unknown)
    return Report(
        status=status,
        model=MODEL,
        data_type=data_type.name,
        operations=len(history),
        keys=len(objects),
        verdicts=(*verdicts, *unknown),
        established=_established(valid, len(objects), len(violations), len(unknown)),
        seconds=(limits.clock_ns() - began_ns) / 1e9,
        statistics=statistics,
    )


def check_object(
    data_type: DataType,
    key: Any,
    operations: Sequence[Operation],
    limits: Limits,
    deadline_ns: int | None = None,
) -> Verdict:
    """Check the operations on one object, with the smallest failing prefix of a violation."""
    problem = problem_of(data_type, operations)
    answer = _decide(problem, limits, deadline_ns)
    if answer.fits is None:
        assert answer.found is not None
        return _unknown(data_type, key, problem, answer.found)
    if answer.fits:
        return Verdict(
            status=Status.VALID,
            model=MODEL,
            data_type=data_type.name,
            key=key,
            operations=len(operations),
            statistics=_statistics(answer.found, answer.method),
        )
    return _violation(data_type, key, operations, answer, limits, deadline_ns, problem)


class _Answer(NamedTuple):
    """Whether there is an order (None: a limit was reached), and how that was found out.

    found: what the search said, if it was asked. part: where only a part of the operations was looked
    at, those, which have no order by themselves.
    """

    fits: bool | None
    method: str
    found: Found | None = None
    part: Sequence[Operation] | None = None


def _decide(
    problem: Problem, limits: Limits, deadline_ns: int | None, told: Mapping[int, Any] = _NOTHING
) -> _Answer:
    """told: what operations of unknown outcome are known to return in the end, by index."""
    fits = has_order(problem)
    if fits is not None:
        return _Answer(fits, "zones")
    fits = rules_say(problem, told)
    if fits is not None:
        return _Answer(fits, "rules")
    parts = parts_of(problem)
    if parts:
        return _decide_parts(problem.data_type, parts, limits, deadline_ns)
    found = search(problem, limits, deadline_ns)
    if found.ending is Ending.FOUND:
        return _Answer(True, "search", found)
    return _Answer(False if found.ending is Ending.NONE else None, "search", found)


def _decide_parts(
    data_type: DataType, parts: Sequence[Sequence[Operation]], limits: Limits, deadline_ns: int | None
) -> _Answer:
    nodes = states = 0
    open_: Found | None = None
    for part in parts:
        answer = _decide(problem_of(data_type, part), limits, deadline_ns)
        if answer.fits is False:
            return answer._replace(part=part)
        found = answer.found
        if found is not None:
            nodes += found.nodes
            states += found.states
            if answer.fits is None and (open_ is None or found.reached < open_.reached):
                open_ = found
    if open_ is not None:
        return _Answer(None, "search", msgspec.structs.replace(open_, nodes=nodes, states=states))
    return _Answer(True, "search", Found(Ending.FOUND, NEVER, nodes, states))


def _violation(
    data_type: DataType,
    key: Any,
    operations: Sequence[Operation],
    answer: _Answer,
    limits: Limits,
    deadline_ns: int | None,
    problem: Problem,
) -> Verdict:
    """Everything before the event that the search reached has an order, the whole has none: find where
    it breaks.

    A prefix of a linearizable history is linearizable, so the boundary can be found by bisection; a
    history can only break at the return of an operation. After a search steps double first, since the
    break is mostly at or just after the event it could not get past. Of a history that falls apart into
    values, the few operations that have no order even by themselves are what is explained.
    """
    count = len(operations)
    reached = 0 if answer.found is None else answer.found.reached
    by_rules = answer.method == "rules"
    if answer.part is not None:
        operations = answer.part
    effort = msgspec.structs.replace(limits, states=min(limits.states, PROBE_STATES)) if by_rules else limits
    told = {o.index: o.result for o in operations if o.outcome is Outcome.OK} if by_rules else _NOTHING

    def has_one(some: Sequence[Operation], told: Mapping[int, Any] = _NOTHING) -> bool | None:
        if by_rules:
            fits = rules_say(problem_of(data_type, some, bare=True), told)
            if fits is not None:
                return fits
        return _decide(problem_of(data_type, some), effort, deadline_ns, told).fits

    ends = [o.completed + 1 for o in operations if o.outcome is not Outcome.INFO and o.completed is not None]
    ends = sorted(end for end in ends if end > reached)
    whole_problem = problem if answer.method == "zones" else None
    probes = 0
    smallest = True

    def fails(place: int) -> bool:
        nonlocal probes, smallest
        if deadline_ns is not None and limits.clock_ns() >= deadline_ns:
            smallest = False
            return False
        probes += 1
        if whole_problem is not None:
            return has_order(whole_problem, ends[place]) is False
        known = prefix_of(data_type, operations, ends[place])
        fits = has_one(known, told)
        if fits is None:
            smallest = False
        return fits is False

    low, high, step = 0, len(ends) - 1, 1
    if whole_problem is not None:
        # Mostly it breaks just where the conflict that was found is complete.
        high = bisect_left(ends, broken_by(whole_problem))
        while low < high and fails(max(low, high - step)):
            high = max(low, high - step)
            step *= 2
        low, step = max(low, high - step + 1), len(ends)
    while not by_rules and low < high and low + step - 1 < high:
        probe = low + step - 1
        if fails(probe):
            high = probe
            break
        low, step = probe + 1, step * 2
    while low < high:
        middle = (low + high) // 2
        if fails(middle):
            high = middle
        else:
            low = middle + 1
    witness = prefix_of(data_type, operations, ends[high])
    core = witness
    if by_rules or answer.part is not None:

        def fails_alone(some: Sequence[Operation]) -> bool:
            late = deadline_ns is not None and limits.clock_ns() >= deadline_ns
            return not late and has_one(some) is False

        few = core_of(data_type, operations if by_rules else witness, witness, fails_alone)
        core = few if len(few) < len(witness) else witness
    if whole_problem is not None and len(witness) > LARGE_WITNESS:
        found, reason, stuck = _all_but_the_last(whole_problem, ends[high] - 1)
    else:
        found, reason = _furthest(problem_of(data_type, core), limits, deadline_ns)
        stuck = _stuck(core, found.order)
    if reason is Reason.UNHEARD_OF and found.unheard_of is not None:
        stuck = [found.unheard_of]
    elif reason is Reason.LIMIT:
        stuck = []
    words = explanation(data_type, key, witness, core, found.order, stuck, smallest, reason)
    if core is witness:  # Only what was still open at its end is another operation there.
        whole = {operation.index: operation for operation in witness if operation.outcome is Outcome.INFO}
    else:
        whole = {operation.index: operation for operation in operations}
    return Verdict(
        status=Status.VIOLATION,
        model=MODEL,
        data_type=data_type.name,
        key=key,
        operations=count,
        explanation=words,
        witness=tuple(whole.get(operation.index, operation) for operation in core),
        smallest=smallest,
        linearization=tuple(whole.get(operation.index, operation) for operation in found.order),
        stuck=tuple(whole.get(operation.index, operation) for operation in stuck),
        statistics={**_statistics(found, answer.method), "probes": probes},
    )


def _all_but_the_last(problem: Problem, event: int) -> tuple[Found, Reason, list[Operation]]:
    """Of plain registers: an order of everything known before the event at which there is none any more,
    and the operation that returned there."""
    last = next(o for o in problem.required if o.completed == event)
    written = {
        action.view.value
        for operation, action in zip(
            (*problem.required, *problem.optional), (*problem.actions, *problem.optional_actions), strict=True
        )
        if action.view is not None and action.view.writes and operation.invoked < event
    }
    view = problem.data_type.action(last).view
    if view is not None and not view.writes and view.value not in written and view.value != problem.initial:
        return Found(Ending.NONE, event, 0, 0, (), last), Reason.UNHEARD_OF, [last]
    del written  # as large as the history
    return Found(Ending.NONE, event, 0, 0, tuple(order_of(problem, event))), Reason.STUCK, [last]


def _furthest(problem: Problem, limits: Limits, deadline_ns: int | None) -> tuple[Found, Reason]:
    """The order that gets furthest in a problem that has none, where a modest effort finds it."""
    modest = msgspec.structs.replace(limits, states=min(limits.states, EXPLANATION_STATES))
    for ahead, reason in ((False, Reason.STUCK), (True, Reason.LOST)):
        found = search(problem, modest, deadline_ns, ahead=ahead)
        if found.unheard_of is not None:
            return found, Reason.UNHEARD_OF
        if found.ending is Ending.NONE:
            # Once more, now that it is known which orders are worth keeping.
            return search(problem, modest, deadline_ns, furthest_from=found.reached, ahead=ahead), reason
    return found, Reason.LIMIT


def _stuck(witness: Sequence[Operation], order: Sequence[Operation]) -> list[Operation]:
    """The operations that may come next after `order`, by return: the first of them cannot wait."""
    placed = {operation.index for operation in order}
    open_ones = [o for o in witness if o.index not in placed and o.outcome is not Outcome.INFO]
    open_ones.sort(key=lambda o: -1 if o.completed is None else o.completed)
    if not open_ones:
        return []
    horizon = open_ones[0].completed
    return [o for o in open_ones if horizon is None or o.invoked < horizon]


def _unknown(data_type: DataType, key: Any, problem: Problem, found: Found) -> Verdict:
    reached = [o for o in problem.required if o.completed is not None and o.completed < found.reached]
    where = "the history" if key is None else f"key {key!r}"
    return Verdict(
        status=Status.UNKNOWN,
        model=MODEL,
        data_type=data_type.name,
        key=key,
        operations=len(problem.required) + len(problem.optional) + problem.dropped,
        explanation=(
            f"{where}: the {found.ending.value} was reached after {found.states} remembered states; "
            f"the first {len(reached)} of {len(problem.required)} completed operations have an order, "
            "the rest is open."
        ),
        statistics={**_statistics(found, "search"), "limit": found.ending.value, "established": len(reached)},
    )


def _named(data_type: DataType, key: Any, operations: int) -> Verdict:
    return Verdict(
        status=Status.VIOLATION,
        model=MODEL,
        data_type=data_type.name,
        key=key,
        operations=operations,
        explanation=f"key {key!r} is not linearizable as a {data_type.name} either.",
        smallest=False,
    )


def _statistics(found: Found | None, method: str) -> dict[str, int | str]:
    if found is None:
        return {"method": method}
    return {"method": method, "nodes": found.nodes, "states": found.states}


def _established(valid: int, objects: int, violations: int, unknown: int) -> str:
    if valid == objects:
        return f"all {objects} keys are linearizable" if objects != 1 else "the only key is linearizable"
    parts = [f"{valid} of {objects} keys are linearizable"]
    if violations:
        parts.append(f"{violations} are not")
    if unknown:
        parts.append(f"for {unknown} a limit was reached first")
    return ", ".join(parts)
