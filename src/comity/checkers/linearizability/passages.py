"""What queues and stacks have in common: each value goes in once, and comes out once, later, or never.

A value that is never taken is as good as one that is taken after everything else. One whose put is of
unknown outcome was put if it was taken, and otherwise need not be looked at: every order stays valid
without it, and without the take of unknown outcome that may have got it. So what is left open is only
which of the values that nobody was told of were taken by takes of unknown outcome (`Passages.late`).

Empty answers need no more than a moment at which nothing has to be inside. Where there is one, the
values can be told apart in those that came and went before it and those that come after it, and an
order of the one kind followed by an order of the other keeps real time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from comity.checkers.history import Outcome
from comity.checkers.linearizability.problem import NEVER, Problem

Span = tuple[int, int]
"""Events from the first, which is within, to the last, which is not: the moments after each of them."""


class Passage(msgspec.Struct, gc=False):
    """A value's put and its take: the events at which they were invoked and returned.

    The put cannot be later than the return of the take, nor the take earlier than the invocation of the
    put; that is already worked in. A value nobody was told of is taken at `NEVER`.
    """

    put_invoked: int
    put_returned: int
    take_invoked: int
    take_returned: int

    def inside(self) -> Span:
        """While it must be inside, whatever the order; empty where it may come and go at once."""
        return self.put_returned, self.take_invoked


class Passages(msgspec.Struct, frozen=True):
    """The history of a queue or a stack whose values are all different.

    taken, untaken: by invocation of the put. empty: the takes that found nothing.
    late: the invocations of the takes of unknown outcome, in order. hinted: pairs of one of them and the
        place in `untaken` of the value it is known to get in the end.
    """

    taken: list[Passage]
    untaken: list[Passage]
    empty: list[Span]
    late: list[int]
    hinted: list[tuple[int, int]]


def passages_of(
    problem: Problem, puts: str, takes: str, told: Mapping[int, Any] | None = None
) -> Passages | Literal[False] | None:
    """The passages of a problem; False where it has no order whatever takes place when; None where a
    value was put twice, or is null, which is also what a take of nothing returns.

    told: what takes of unknown outcome return later, by the index of the operation.
    """
    put: dict[Any, Span] = {}
    took: dict[Any, Span] = {}
    empty: list[Span] = []
    for operation, invoked, returned in zip(problem.required, problem.invoked, problem.returned, strict=True):
        if operation.f == puts:
            if operation.value is None or operation.value in put:
                return None
            put[operation.value] = (invoked, returned)
        elif operation.result is None:
            empty.append((invoked, returned))
        elif operation.result in took:
            # Perhaps it was put twice; if not, nobody else can have got it.
            return None if _put_twice(problem, puts) else False
        else:
            took[operation.result] = (invoked, returned)
    unsure = set()
    late: list[tuple[int, Any]] = []
    for operation in problem.optional:
        assert operation.outcome is Outcome.INFO
        if operation.f == takes:
            late.append((operation.invoked, (told or {}).get(operation.index)))
        elif operation.value is None or operation.value in put:
            return None
        else:
            put[operation.value] = (operation.invoked, NEVER)
            unsure.add(operation.value)
    taken: list[Passage] = []
    for value, (invoked, returned) in took.items():
        if value not in put or returned < put[value][0]:
            return False
        begun, ended = put[value]
        taken.append(Passage(begun, min(ended, returned), max(invoked, begun), returned))
    taken.sort(key=lambda passage: passage.put_invoked)
    values = [value for value in put if value not in took and value not in unsure]
    places = {value: place for place, value in enumerate(values)}
    untaken = [Passage(*put[value], NEVER, NEVER) for value in values]
    late.sort(key=lambda take: take[0])
    hinted = [(number, places[value]) for number, (_, value) in enumerate(late) if value in places]
    return Passages(taken, untaken, empty, [invoked for invoked, _ in late], hinted)


def _put_twice(problem: Problem, puts: str) -> bool:
    values = [o.value for o in (*problem.required, *problem.optional) if o.f == puts]
    return len(set(values)) < len(values)


def each_has_room(empty: Iterable[Span], occupied: Iterable[Span]) -> bool:
    """Whether in each of `empty` there is a moment outside of all that is `occupied`."""
    merged: list[list[int]] = []
    for start, end in sorted(span for span in occupied if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    starts = [start for start, _ in merged]
    for start, end in empty:
        place = bisect_right(starts, start) - 1
        if place >= 0 and merged[place][1] >= end:
            return False
    return True


def in_time(invoked: list[int], deadlines: Iterable[int]) -> bool:
    """Whether each deadline can be met by a take of its own that was invoked before it; both in order."""
    available = iter(invoked)
    return all(next(available, NEVER) < deadline for deadline in deadlines)
