"""Queues whose values are all different: decided in O(n log n).

Thomas Henzinger, Ali Sezgin, Viktor Vafeiadis, "Aspect-Oriented Linearizability Proofs", CONCUR 2013;
Michael Emmi and Constantin Enea, "Sound, Complete, and Tractable Linearizability Monitoring for
Concurrent Collections", POPL 2018; the bound is that of Parosh Aziz Abdulla et al., "Efficient
Linearizability Monitoring", PLDI 2025, and Zheng Han Lee and Umang Mathur, "Efficient
Decrease-and-Conquer Linearizability Monitoring", OOPSLA 2025. An order exists exactly where

1. every value taken was put, by a put that was not invoked after the take had returned, and no value was
   taken twice;
2. no value was taken before, in real time, a value that was put before it, in real time;
3. every take that found nothing has a moment at which no value must be inside.

(Two such precedences that contradict one another are enough: real-time precedence is an interval
order, and a longer cycle of interval orders has a shorter one in it.) A take of unknown outcome may get
a value that nobody was told of. By 2 and 3 such a value has a last moment at which it must be gone,
which depends on no other value; so takes are given out by these moments.
"""

from __future__ import annotations

from comity.checkers.datatypes import Queue
from comity.checkers.linearizability.passages import Passage, Span, each_has_room, in_time, passages_of
from comity.checkers.linearizability.problem import NEVER, Problem

LATE_TAKES = 1000
"""Where some were told that the queue is empty, more takes of unknown outcome are left to the search."""


def has_queue_order(problem: Problem) -> bool | None:
    """Whether there is an order; None where values are not all different."""
    passages = passages_of(problem, Queue.puts, Queue.takes)
    if passages is None or passages is False:
        return passages
    late = passages.late
    everything = sorted([*passages.taken, *passages.untaken], key=lambda passage: passage.put_returned)
    deadlines = _deadlines(everything)
    waiting: list[tuple[int, int]] = []
    for passage, deadline in zip(everything, deadlines, strict=True):
        if passage.take_invoked == NEVER:
            waiting.append((passage.put_returned, deadline))
        elif passage.take_invoked > deadline:
            return False
    if not in_time(late, sorted(deadline for _, deadline in waiting if deadline < NEVER)):
        return False
    occupied = [passage.inside() for passage in passages.taken]
    if passages.empty and waiting:
        if len(late) > LATE_TAKES:
            return None
        occupied += _never_empty(waiting, late)
    return each_has_room(passages.empty, occupied)


def _deadlines(passages: list[Passage]) -> list[int]:
    """For each passage, by return of the put, the first return of the take of one that was put later."""
    later = sorted(passages, key=lambda passage: passage.put_invoked)
    deadlines = [NEVER] * len(passages)
    soonest, following = NEVER, len(later) - 1
    for place in range(len(passages) - 1, -1, -1):
        while following >= 0 and later[following].put_invoked > passages[place].put_returned:
            soonest = min(soonest, later[following].take_returned)
            following -= 1
        deadlines[place] = soonest
    return deadlines


def _never_empty(waiting: list[tuple[int, int]], late: list[int]) -> list[Span]:
    """When values that nobody was told of are inside, whichever of them the late takes get.

    waiting: the return of its put and the deadline of each, by return. For the queue to be empty at a
    moment, all that were put before it must have been taken before it, and the others in time.
    """
    spans: list[Span] = []
    low = 0
    ends = [*(returned for returned, _ in waiting[1:]), NEVER]
    for count, ((returned, _), end) in enumerate(zip(waiting, ends, strict=True), start=1):
        if count > len(late):
            spans.append((returned, NEVER))
            break
        first, others = waiting[:count], sorted(d for _, d in waiting[count:] if d < NEVER)

        def possible(moment: int, first: list[tuple[int, int]] = first, others: list[int] = others) -> bool:
            return in_time(late, sorted([*(min(d, moment + 1) for _, d in first), *others]))

        # The earliest moment that will do is that of an invocation of a take; the more values have to be
        # gone, the later it is.
        while low < len(late) and not possible(late[low]):
            low += 1
        spans.append((returned, min(end, late[low] if low < len(late) else NEVER)))
    return spans
