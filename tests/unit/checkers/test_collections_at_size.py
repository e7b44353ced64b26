"""Ten thousand operations by ten clients on sets, queues, stacks and locks: valid as made, and with one
wrong answer, which is named."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from tests.unit.checkers.collection_histories import OBJECTS, concurrent_events, concurrent_history

from comity.checkers import Event, EventType, History, Limits, Report, Status, check_history

OPERATIONS = 10_000
FEW_STATES = 1000
LIMITS = Limits(clock_ns=lambda: 0, states=FEW_STATES)
"""No limit but that on what a search may remember."""

Plant = Callable[[list[Event]], tuple[list[Event], set[int]]]
"""Events in; events with one thing wrong out, and the values whose operations it is about."""


def answers(events: list[Event], f: str) -> list[int]:
    """The places of the answers of `f` that say something, in the last quarter of the history."""
    return [
        place
        for place in range(len(events) * 3 // 4, len(events))
        if events[place].type is EventType.OK and events[place].f == f and events[place].value is not None
    ]


def answered(event: Event, value: object) -> Event:
    return Event(event.process, event.type, event.f, None, value)


def two_come_out_of_turn(f: str) -> Plant:
    def plant(events: list[Event]) -> tuple[list[Event], set[int]]:
        places = answers(events, f)
        first, later = places[0], places[60]
        events[first], events[later] = (
            answered(events[first], events[later].value),
            answered(events[later], events[first].value),
        )
        return events, {events[first].value}

    return plant


def one_comes_out_twice(f: str) -> Plant:
    def plant(events: list[Event]) -> tuple[list[Event], set[int]]:
        first, later = answers(events, f)[0], answers(events, f)[60]
        events[later] = answered(events[later], events[first].value)
        return events, {events[first].value}

    return plant


def found_empty(f: str) -> Plant:
    """Somebody is told that there is nothing where a value is inside that is taken much later."""

    def plant(events: list[Event]) -> tuple[list[Event], set[int]]:
        place = answers(events, f)[0]
        invented = [Event(77_777, EventType.INVOKE, f), Event(77_777, EventType.OK, f)]
        return [*events[:place], *invented, *events[place:]], set()

    return plant


def an_element_is_missed(events: list[Event]) -> tuple[list[Event], set[int]]:
    place = answers(events, "read")[0]
    found = events[place].value
    missed = found[len(found) // 2]
    events[place] = answered(events[place], tuple(element for element in found if element != missed))
    return events, {missed}


def an_element_is_from_nowhere(events: list[Event]) -> tuple[list[Event], set[int]]:
    place = answers(events, "read")[0]
    events[place] = answered(events[place], (*events[place].value, 77_777))
    return events, {77_777}


def a_question_is_answered_wrong(events: list[Event]) -> tuple[list[Event], set[int]]:
    place = answers(events, "contains")[0]
    events[place] = answered(events[place], not events[place].value)
    process = events[place].process
    asked = next(event for event in reversed(events[:place]) if event.process == process)
    return events, {asked.value}


def two_have_the_lock(events: list[Event]) -> tuple[list[Event], set[int]]:
    release = next(
        place
        for place in range(len(events) * 3 // 4, len(events))
        if events[place].type is EventType.INVOKE and events[place].f == "release"
    )
    intruder = [Event(77_777, EventType.INVOKE, "acquire"), Event(77_777, EventType.OK, "acquire")]
    return [*events[:release], *intruder, *events[release:]], {77_777}


def a_token_is_old(events: list[Event]) -> tuple[list[Event], set[int]]:
    place = answers(events, "acquire")[0]
    events[place] = answered(events[place], events[place].value // 2)
    return events, {events[place].value}


PLANTS: list[tuple[str, Plant]] = [
    ("queue, growing", two_come_out_of_turn("dequeue")),
    ("queue", two_come_out_of_turn("dequeue")),
    ("queue, often empty", two_come_out_of_turn("dequeue")),
    ("queue, growing", found_empty("dequeue")),
    ("queue", one_comes_out_twice("dequeue")),
    ("stack", two_come_out_of_turn("pop")),
    ("stack, often empty", one_comes_out_twice("pop")),
    ("stack, growing", found_empty("pop")),
    ("set, read as a whole", an_element_is_missed),
    ("set, read as a whole", an_element_is_from_nowhere),
    ("set, asked by element", a_question_is_answered_wrong),
    ("mutex", two_have_the_lock),
    ("mutex with fencing tokens", a_token_is_old),
]


def planted(name: str, plant: Plant, operations: int, unknown: float = 0.0) -> tuple[Report, set[int]]:
    """The report on a history with one thing wrong, and the values that has to do with."""
    data_type, make = OBJECTS[name]
    events, values = plant(concurrent_events(make(), f"planted in {name}", operations, unknown=unknown))
    return check_history(History.of(events), data_type, LIMITS), values


def assert_it_is_named(report: Report, values: set[int]) -> None:
    assert report.status is Status.VIOLATION
    verdict = report.verdicts[0]
    assert verdict.smallest
    assert len(verdict.witness) <= 60
    assert verdict.stuck
    named = {value for o in verdict.witness for value in (o.value, o.result, o.process)}
    for operation in verdict.witness:
        if isinstance(operation.result, tuple):
            named.update(operation.result)
    assert values <= named


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTS)
def test_ten_thousand_operations_of_ten_clients_need_next_to_no_search(name: str) -> None:
    data_type, history = concurrent_history(name, "valid", OPERATIONS)
    report = check_history(history, data_type, LIMITS)
    assert report.valid, report.explanation
    assert report.statistics["states"] < FEW_STATES
    assert report.statistics["by_rules"] == (name != "set, asked by element")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in OBJECTS if "mutex" not in name])
def test_a_hundred_lost_answers_are_no_reason_to_search(name: str) -> None:
    # (A lock whose holder is gone stays locked: there is no such history of one.)
    data_type, history = concurrent_history(name, "answers lost", OPERATIONS // 2, unknown=0.02)
    assert sum(o.outcome.value == "info" for o in history.operations) > 50
    assert check_history(history, data_type, LIMITS).valid


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(PLANTS)))
def test_one_wrong_answer_in_a_thousand_is_named(place: int) -> None:
    name, plant = PLANTS[place]
    assert_it_is_named(*planted(name, plant, 1000))


@pytest.mark.soak
@pytest.mark.parametrize("place", range(len(PLANTS)))
def test_one_wrong_answer_in_ten_thousand_is_named(place: int) -> None:
    name, plant = PLANTS[place]
    assert_it_is_named(*planted(name, plant, OPERATIONS))


def test_values_that_come_out_of_turn_are_told_in_four_operations() -> None:
    report, _ = planted(*PLANTS[0], 1000)
    words = report.explanation
    assert "These 4 operations have no order even by themselves:" in words
    assert "What should come next and cannot:" in words
    assert len(report.verdicts[0].witness) == 4


def test_a_deep_stack_takes_no_longer_than_a_flat_one() -> None:
    # Everything is pushed before anything is popped: each value lies below the next.
    depth, rng = 2000, random.Random("deep")
    events = []
    for f, result in [("push", value) for value in range(1, depth + 1)] + [
        ("pop", value) for value in range(depth, 0, -1)
    ]:
        process = rng.randrange(5)
        events.append(Event(process, EventType.INVOKE, f, None, result if f == "push" else None))
        events.append(Event(process, EventType.OK, f, None, result))
    report = check_history(History.of(events), "stack", LIMITS)
    assert report.valid
    assert report.statistics["by_rules"] == 1
