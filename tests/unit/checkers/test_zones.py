"""Plain registers with different values: prefixes without building them, and orders without a search."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from comity.checkers import Event, EventType, History, Limits, Operation, Outcome, Status, check_history
from comity.checkers.datatypes import REFUSED, Register
from comity.checkers.linearizability.problem import prefix_of, problem_of
from comity.checkers.linearizability.zones import has_order, order_of

REGISTER = Register()


def history_of(seed: int, operations: int, unknown: float = 0.1, wrong: float = 0.0) -> History:
    """Four processes on one register; a few results are wrong, a few outcomes unknown."""
    rng = random.Random(seed)
    events: list[Event] = []
    open_: dict[int, tuple[str, int | None]] = {}
    state: int | None = None
    written: list[int] = []
    free = list(range(4))
    process = 4
    begun = 0
    while begun < operations or open_:
        if free and begun < operations and (not open_ or rng.random() < 0.6):
            at = free.pop(rng.randrange(len(free)))
            f, value = ("write", begun) if rng.random() < 0.5 else ("read", None)
            begun += 1
            open_[at] = f, value
            events.append(Event(at, EventType.INVOKE, f, None, value))
            continue
        at = rng.choice(list(open_))
        f, value = open_.pop(at)
        if rng.random() < unknown:
            if f == "write" and rng.random() < 0.5:
                state = value
            events.append(Event(at, EventType.INFO, f, None, value))
            free.append(process)
            process += 1
            continue
        if f == "write":
            assert value is not None
            state = value
            written.append(value)
        result = rng.choice(written) if f == "read" and written and rng.random() < wrong else state
        events.append(Event(at, EventType.OK, f, None, result if f == "read" else value))
        free.append(at)
    return History.of(events)


def counted(history: History) -> list[Operation]:
    return [operation for operation in history.operations if REGISTER.counts(operation)]


def is_order(order: Sequence[Operation], known: Sequence[Operation]) -> bool:
    """Every completed operation once, real time kept, every read right."""
    required = {o.index for o in known if o.outcome is not Outcome.INFO}
    placed = [o.index for o in order]
    if not required <= set(placed) or len(set(placed)) != len(placed):
        return False
    state = REGISTER.initial()
    latest = -1
    for operation in order:
        returned = operation.completed if operation.index in required else None
        if returned is not None and returned < latest:
            return False
        latest = max(latest, operation.invoked)
        if returned is not None or operation.f == "write":
            state = REGISTER.action(operation).step(state)
            if state is REFUSED:
                return False
    return True


def test_a_prefix_is_judged_as_if_it_were_a_history_of_its_own_and_its_order_is_one() -> None:
    seen = {True: 0, False: 0}
    for seed in range(300):
        history = history_of(seed, 14, wrong=0.5 if seed % 2 else 0.0)
        operations = counted(history)
        problem = problem_of(REGISTER, operations)
        for events in range(history.event_count + 1):
            known = prefix_of(REGISTER, operations, events)
            fits = has_order(problem, events)
            assert fits == has_order(problem_of(REGISTER, known)), (seed, events)
            seen[bool(fits)] += 1
            if fits:
                assert is_order(order_of(problem, events), known), (seed, events)
    assert min(seen.values()) > 300


@pytest.mark.slow
def test_a_stale_read_after_many_operations_is_explained_by_an_order_of_everything_else() -> None:
    events = list(history_of(1, 6_000, unknown=0.01).events())
    end = len(events)
    events += [
        Event("a", EventType.INVOKE, "write", None, -1),
        Event("a", EventType.OK, "write", None, -1),
        Event("a", EventType.INVOKE, "write", None, -2),
        Event("a", EventType.OK, "write", None, -2),
        Event("b", EventType.INVOKE, "read", None, None),
        Event("b", EventType.OK, "read", None, -1),
    ]
    report = check_history(History.of(events), "register", Limits())
    assert report.status is Status.VIOLATION
    verdict = report.verdicts[0]
    assert verdict.smallest
    assert [(o.process, o.result) for o in verdict.stuck] == [("b", -1)]
    assert is_order(verdict.linearization, [o for o in verdict.witness if o.invoked < end + 4])
    assert "process b: read" in verdict.explanation


@pytest.mark.slow
def test_a_value_from_nowhere_after_many_operations_is_named() -> None:
    events = list(history_of(2, 6_000, unknown=0.0).events())
    events += [Event("b", EventType.INVOKE, "read"), Event("b", EventType.OK, "read", None, -7)]
    verdict = check_history(History.of(events), "register", Limits()).verdicts[0]
    assert [(o.process, o.result) for o in verdict.stuck] == [("b", -7)]
