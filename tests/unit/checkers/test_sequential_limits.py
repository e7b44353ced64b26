"""Sequential consistency among thousands of operations of unknown outcome keeps to its limits."""

from __future__ import annotations

import itertools

from comity.checkers import Event, EventType, History, Limits, Status
from comity.checkers.datatypes import data_type_named
from comity.checkers.linearizability import sequential

UNKNOWN = 2_000


def unanswered(last: int) -> History:
    """So many additions of 2 nobody heard of again; one process reads 0, 2, ... and then `last`."""
    events = [Event(process, EventType.INVOKE, "add", None, 2) for process in range(UNKNOWN)]
    for value in (*range(0, 40, 2), last):
        events += [
            Event(UNKNOWN, EventType.INVOKE, "read"),
            Event(UNKNOWN, EventType.OK, "read", None, value),
        ]
    return History.of(events)


def test_an_order_with_a_few_of_them_is_found() -> None:
    verdict = sequential.check(unanswered(40), data_type_named("counter"), Limits())
    assert verdict.status is Status.VALID


def test_the_clock_is_asked_however_many_there_are() -> None:
    limits = Limits(clock_ns=itertools.count().__next__)
    verdict = sequential.check(unanswered(41), data_type_named("counter"), limits, deadline_ns=40)
    assert verdict.status is Status.UNKNOWN
    assert "time limit" in verdict.explanation


def test_what_is_remembered_is_counted_with_all_that_it_holds() -> None:
    limits = Limits(memory_bytes=100_000, clock_ns=lambda: 0)
    verdict = sequential.check(unanswered(41), data_type_named("counter"), limits)
    assert verdict.status is Status.UNKNOWN
    assert "remembered" in verdict.explanation
