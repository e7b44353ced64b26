"""What is decided by rules agrees with an order found, or not found, by trying them all."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.checkers.collection_histories import (
    BLOCKED,
    ElementSet,
    FirstInFirstOut,
    LastInFirstOut,
    Lock,
    Object,
    WholeSet,
    concurrent_events,
)

from comity.checkers import (
    Event,
    EventType,
    History,
    Limits,
    Operation,
    Outcome,
    Status,
    check_history,
    data_type_named,
    freeze,
)
from comity.checkers.linearizability import split_by_object
from comity.checkers.linearizability.core import core_of
from comity.checkers.linearizability.problem import problem_of
from comity.checkers.linearizability.rules import rules_say

HISTORIES = 1000
LIMITS = Limits(clock_ns=lambda: 0)
IMPOSSIBLE = object()
Behaviour = Callable[[Any, Operation], Any]
"""(state, operation) -> state after it; `IMPOSSIBLE` where it cannot have had its result there."""


def first_in_first_out(state: tuple[Any, ...], o: Operation) -> Any:
    if o.f in {"enqueue", "push"}:
        return (*state, o.value)
    taken, left = (state[0], state[1:]) if state else (None, ())
    return left if o.outcome is Outcome.INFO or o.result == taken else IMPOSSIBLE


def last_in_first_out(state: tuple[Any, ...], o: Operation) -> Any:
    if o.f == "pop":
        taken, left = (state[-1], state[:-1]) if state else (None, ())
        return left if o.outcome is Outcome.INFO or o.result == taken else IMPOSSIBLE
    return first_in_first_out(state, o)


def elements(state: frozenset[Any], o: Operation) -> Any:
    if o.f == "read":
        return state if o.outcome is Outcome.INFO or set(o.result) == state else IMPOSSIBLE
    there = o.value in state
    told = o.result if o.outcome is Outcome.OK and isinstance(o.result, bool) else None
    right = there if o.f in {"remove", "contains"} else not there
    if told is not None and told is not right:
        return IMPOSSIBLE
    if o.f == "contains":
        return state
    return state | {o.value} if o.f == "add" else state - {o.value}


def lock(state: tuple[Any, int], o: Operation) -> Any:
    holder, token = state
    if o.f == "release":
        return (None, token) if holder == o.process else IMPOSSIBLE
    if holder is not None or (o.result is not None and o.result <= token):
        return IMPOSSIBLE
    return o.process, token if o.result is None else o.result


class MixedSet(WholeSet):
    """Also asks for elements, and is asked what was added."""

    def draw(self, rng: random.Random, process: int) -> tuple[str, Any]:
        if rng.random() < 0.3:
            return "contains", rng.randint(1, self.fresh + 1)
        return super().draw(rng, process)

    def take_effect(self, process: int, f: str, value: Any) -> Any:
        return value in self.held if f == "contains" else super().take_effect(process, f, value)


class RudeLock(Lock):
    """Some give back what they have not, or take it twice."""

    def draw(self, rng: random.Random, process: int) -> tuple[str, Any]:
        return (
            (rng.choice(["acquire", "release"]), None) if rng.random() < 0.1 else super().draw(rng, process)
        )

    def take_effect(self, process: int, f: str, value: Any) -> Any:
        return super().take_effect(process, f, value) if f == "acquire" or self.holder == process else BLOCKED


CASES: dict[str, tuple[str, Any, Behaviour, list[Callable[[], Object]]]] = {
    "queue": ("queue", (), first_in_first_out, [FirstInFirstOut, lambda: FirstInFirstOut(0.4)]),
    "stack": ("stack", (), last_in_first_out, [LastInFirstOut, lambda: LastInFirstOut(0.4)]),
    "whole set": ("set", frozenset(), elements, [lambda: WholeSet(0.5), MixedSet]),
    "elements": ("set", frozenset(), elements, [lambda: ElementSet(2), lambda: ElementSet(3)]),
    "mutex": ("mutex", (None, 0), lock, [Lock, lambda: Lock(tokens=False), RudeLock]),
}


def has_order(history: History, initial: Any, behaves: Behaviour) -> bool:
    """Every order of what happened, with any of what may have."""
    dead: set[Any] = set()

    def extend(left: list[Operation], state: Any) -> bool:
        happened = [o for o in left if o.outcome is Outcome.OK]
        if not happened:
            return True
        known = (frozenset(o.index for o in left), state)
        if known in dead:
            return False
        first_return = min(o.completed for o in happened if o.completed is not None)
        for o in left:
            if o.invoked < first_return:
                after = behaves(state, o)
                if after is not IMPOSSIBLE and extend([other for other in left if other is not o], after):
                    return True
        dead.add(known)
        return False

    return extend([o for o in history.operations if o.outcome is not Outcome.FAIL], initial)


def disturbed(events: list[Event], rng: random.Random) -> list[Event]:
    """A few answers exchanged, replaced or refused; a few events earlier or later than they were."""
    events = list(events)
    for _ in range(rng.choice([0, 0, 1, 2, 3])):
        answers = [place for place, event in enumerate(events) if event.type is EventType.OK]
        if not answers:
            break
        place, other = rng.choice(answers), rng.choice(answers)
        roll = rng.random()
        if roll < 0.3:
            values = [events[place].value, events[other].value]
            if events[place].f == events[other].f:
                events[place] = _with(events[place], values[1])
                events[other] = _with(events[other], values[0])
        elif roll < 0.5 and events[place].f != "enqueue":
            events[place] = _with(events[place], _another(events[place].value, rng))
        elif roll < 0.6:
            begun = events[place]
            asked = next(e for e in reversed(events[:place]) if e.process == begun.process)
            events[place] = Event(begun.process, EventType.FAIL, begun.f, None, asked.value)
        else:
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(events) - 1)
                if events[at].process != events[at + 1].process:
                    events[at], events[at + 1] = events[at + 1], events[at]
    if rng.random() < 0.1:
        # Not all different any more.
        events = [_with(event, 1) if event.value == 2 else event for event in events]
    return events


def _with(event: Event, value: Any) -> Event:
    return Event(event.process, event.type, event.f, None, value)


def _another(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        left = [element for element in value if rng.random() < 0.7]
        return freeze([*left, rng.randint(1, 5)] if rng.random() < 0.3 else left)
    return rng.choice([None, rng.randint(1, 5)])


def small_history(name: str, rng: random.Random) -> History:
    _, _, _, objects = CASES[name]
    unknown = rng.choice([0.0, 0.15, 0.4])
    made = rng.choice(objects)()
    operations = rng.randint(1, 9)
    events = concurrent_events(made, str(rng.random()), operations, rng.randint(2, 4), unknown)
    return History.of(disturbed(events, rng))


def all_different(history: History) -> bool:
    """Whether no value is put in twice."""
    puts = [o.value for o in history.operations if o.f in {"enqueue", "push", "add"}]
    return len(set(puts)) == len(puts)


def told(history: History) -> list[Any]:
    """The history as a failing test should print it."""
    return [
        (o.process, o.f, o.value, o.result, o.outcome.value, o.invoked, o.completed)
        for o in history.operations
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_rules_are_never_wrong_and_rarely_silent(name: str) -> None:
    type_name, initial, behaves, _ = CASES[name]
    data_type = data_type_named(type_name)
    rng = random.Random(name)
    decided = {True: 0, False: 0, None: 0}
    for number in range(HISTORIES):
        history = small_history(name, rng)
        expected = has_order(history, initial, behaves)
        for operations in split_by_object(data_type, history).values():
            problem = problem_of(data_type, operations)
            says = rules_say(problem, {})
            assert says in {None, expected}, (number, told(history))
            if all_different(history):
                decided[says] += 1
        report = check_history(history, data_type, LIMITS)
        assert report.valid is expected, (number, told(history))
    assert decided[True]
    assert decided[False]
    assert decided[None] * 100 <= decided[True] or name == "elements"


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_core_and_a_witness_have_no_order_by_themselves(name: str) -> None:
    type_name, initial, behaves, _ = CASES[name]
    data_type = data_type_named(type_name)
    rng = random.Random(f"core of {name}")
    for number in range(HISTORIES // 2):
        history = small_history(name, rng)
        report = check_history(history, data_type, LIMITS)
        if report.status is Status.VALID:
            continue
        operations = [o for o in history.operations if data_type.counts(o)]
        everything = {o.index for o in operations}
        core = core_of(
            data_type,
            operations,
            operations,
            lambda few: not has_order(History(few, (), 0), initial, behaves),
        )
        assert not has_order(History(core, (), 0), initial, behaves), (number, told(history))
        assert {o.index for o in core} <= everything
        witness = report.verdicts[0].witness
        assert not has_order(History(witness, (), 0), initial, behaves), (number, told(history))
        assert {o.index for o in witness} <= everything
