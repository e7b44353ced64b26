"""Stacks whose values are all different: decided in O(n log n).

After Zheng Han Lee and Umang Mathur, "Efficient Decrease-and-Conquer Linearizability Monitoring", OOPSLA
2025 (stacks were first shown to be tractable by Michael Emmi and Constantin Enea, POPL 2018). Values are
taken away one by one, without changing whether there is an order:

1. a value whose push and pop overlap can be pushed and popped at one moment, wherever that is;
2. at a moment at which no value must be inside, the values before it and those after it are apart;
3. where there is no such moment, one value lies below all others all the time: it can be any that may
   be pushed before every other is pushed, and popped after every other is popped. Where there is none,
   there is no order.

A pop of unknown outcome may get a value that nobody was told of. Which, is found out where it is plain;
`None` is said where it is not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

import msgspec

from comity.checkers.datatypes import Stack
from comity.checkers.linearizability.passages import (
    Passage,
    Passages,
    each_has_room,
    in_time,
    passages_of,
)
from comity.checkers.linearizability.problem import NEVER, Problem


def has_stack_order(problem: Problem, told: Mapping[int, Any]) -> bool | None:
    """Whether there is an order; None where values are not all different, or too much is open.

    told: what pops of unknown outcome return in the end, by index; a good guess.
    """
    passages = passages_of(problem, Stack.puts, Stack.takes, told)
    if passages is None or passages is False:
        return passages
    if not passages.late or not passages.untaken:
        return _fits(passages, passages.untaken)
    needed = _needed_by(passages)
    if not in_time(passages.late, sorted(deadline for deadline in needed if deadline < NEVER)):
        return False
    # Whoever gets what: none can be popped before the first of the late pops was invoked.
    if not _fits(passages, [_popped(value, passages.late[0]) for value in passages.untaken]):
        return False
    hints = dict(passages.hinted)
    left = set(range(len(passages.untaken))) - set(hints.values())
    for by_need in (False, True):
        if hints or by_need:
            given = {place: number for number, place in hints.items()}
            free = [number for number in range(len(passages.late)) if number not in hints]
            if by_need:
                urgent = sorted(left, key=lambda place: (needed[place], place))
                given.update(zip(urgent, free, strict=False))
            popped = [
                _popped(value, passages.late[given[place]]) if place in given else value
                for place, value in enumerate(passages.untaken)
            ]
            if _fits(passages, popped):
                return True
    return None


def _popped(value: Passage, invoked: int) -> Passage:
    return Passage(value.put_invoked, value.put_returned, max(invoked, value.put_invoked), NEVER)


def _fits(passages: Passages, untaken: list[Passage]) -> bool:
    values = [*passages.taken, *untaken]
    room = each_has_room(passages.empty, (value.inside() for value in values)) if passages.empty else True
    return room and _nests([value for value in values if value.put_returned < value.take_invoked])


def _needed_by(passages: Passages) -> list[int]:
    """By when each value that nobody was told of must have been popped: before what lies below it was,
    and before the stack was found empty."""
    events = sorted({value.take_invoked for value in passages.taken})
    soonest = [NEVER] * (len(events) + 1)
    below = sorted(passages.taken, key=lambda value: value.put_returned)
    empty = sorted(passages.empty)
    emptied = [NEVER] * (len(empty) + 1)
    for place in range(len(empty) - 1, -1, -1):
        emptied[place] = min(empty[place][1], emptied[place + 1])
    needed = [NEVER] * len(passages.untaken)
    known = 0
    for number in sorted(range(len(needed)), key=lambda number: passages.untaken[number].put_invoked):
        value = passages.untaken[number]
        while known < len(below) and below[known].put_returned < value.put_invoked:
            # A Fenwick tree of minima over the suffixes of `events`.
            place = len(events) - bisect_left(events, below[known].take_invoked)
            while place <= len(events):
                soonest[place] = min(soonest[place], below[known].take_returned)
                place += place & -place
            known += 1
        place = len(events) - bisect_left(events, value.put_returned)
        found = emptied[bisect_left(empty, (value.put_returned, 0))]
        while place > 0:
            found = min(found, soonest[place])
            place -= place & -place
        needed[number] = found
    return needed


class _Cover:
    """How many values must be inside, for each stretch between two events that matter."""

    def __init__(self, stretches: int) -> None:
        self.size = 1
        while self.size < stretches:
            self.size *= 2
        self.least = [0] * (2 * self.size)
        self.added = [0] * (2 * self.size)

    def build(self, counts: list[int]) -> None:
        self.least[self.size : self.size + len(counts)] = counts
        for node in range(self.size - 1, 0, -1):
            self.least[node] = min(self.least[2 * node], self.least[2 * node + 1])

    def take_away(self, start: int, end: int) -> None:
        """One less from stretch `start` to `end`, which is not within."""
        least, added = self.least, self.added
        left, right = start + self.size, end + self.size
        first, last = left, right - 1
        while left < right:
            if left & 1:
                least[left] -= 1
                added[left] -= 1
                left += 1
            if right & 1:
                right -= 1
                least[right] -= 1
                added[right] -= 1
            left //= 2
            right //= 2
        for node in (first // 2, last // 2):
            while node:
                least[node] = min(least[2 * node], least[2 * node + 1]) + added[node]
                node //= 2

    def uncovered(self, start: int, end: int) -> int:
        """The first stretch from `start` on, before `end`, in which nothing must be inside; or `end`."""
        pending = [(1, 0, self.size, 0)]
        while pending:
            node, low, high, above = pending.pop()
            if high <= start or low >= end or self.least[node] + above > 0:
                continue
            if high - low == 1:
                return low
            above += self.added[node]
            middle = (low + high) // 2
            pending.append((2 * node + 1, middle, high, above))
            pending.append((2 * node, low, middle, above))
        return end


class _Earliest:
    """The invocations of the pushes, by the stretch their return begins."""

    def __init__(self, invoked: list[int]) -> None:
        self.size = 1
        while self.size < len(invoked):
            self.size *= 2
        self.least = [NEVER] * (2 * self.size)
        self.least[self.size : self.size + len(invoked)] = invoked
        for node in range(self.size - 1, 0, -1):
            self.least[node] = min(self.least[2 * node], self.least[2 * node + 1])

    def remove(self, place: int) -> None:
        node = place + self.size
        self.least[node] = NEVER
        node //= 2
        while node:
            self.least[node] = min(self.least[2 * node], self.least[2 * node + 1])
            node //= 2

    def before(self, start: int, end: int, event: int) -> list[int]:
        """The stretches from `start` on, before `end`, whose push was invoked before `event`."""
        found: list[int] = []
        pending = [(1, 0, self.size)]
        while pending:
            node, low, high = pending.pop()
            if high <= start or low >= end or self.least[node] >= event:
                continue
            if high - low == 1:
                found.append(low)
                continue
            middle = (low + high) // 2
            pending.append((2 * node + 1, middle, high))
            pending.append((2 * node, low, middle))
        return found


class _Alive(msgspec.Struct, gc=False):
    """Which stretches still have something that begins, or ends, at their event: the next in one
    direction is found by halving the way walked."""

    following: list[int]

    def next(self, place: int) -> int:
        following = self.following
        while following[place] != place:
            following[place] = following[following[place]]
            place = following[place]
        return place


def _nests(values: list[Passage]) -> bool:
    """Whether there is an order of values that must be inside for some time each."""
    if not values:
        return True
    events = sorted({event for value in values for event in value.inside()})
    stretch = {event: place for place, event in enumerate(events)}
    count = len(events)
    begins: list[Passage | None] = [None] * count
    # How many end there: at `NEVER` it may be more than one.
    ends = [0] * (count + 1)
    changes = [0] * (count + 1)
    for value in values:
        start, end = stretch[value.put_returned], stretch[value.take_invoked]
        begins[start] = value
        ends[end] += 1
        changes[start] += 1
        changes[end] -= 1
    cover = _Cover(count)
    counts: list[int] = []
    inside = 0
    for change in changes[:count]:
        inside += change
        counts.append(inside)
    cover.build(counts)
    pushes = _Earliest([NEVER if value is None else value.put_invoked for value in begins])
    places = range(count + 1)
    first = _Alive([p if p == count or begins[p] is not None else p + 1 for p in places])
    # The same from the other side: the event at place p is kept at count - p.
    last = _Alive([p if p == count or ends[count - p] else p + 1 for p in places])
    pending = [(0, count)]
    while pending:
        low, high = pending.pop()
        start = first.next(low)
        if start >= high:
            continue
        end = count - last.next(count - (high - 1))
        gap = cover.uncovered(start, end)
        if gap < end:
            pending.append((gap + 1, high))
            pending.append((low, gap + 1))
            continue
        below: list[tuple[int, Passage]] = []
        for place in pushes.before(start, end, events[start]):
            candidate = begins[place]
            assert candidate is not None
            if candidate.take_returned >= events[end]:
                below.append((place, candidate))
        if not below:
            return False
        for place, value in below:
            done = stretch[value.take_invoked]
            cover.take_away(place, done)
            pushes.remove(place)
            first.following[place] = place + 1
            begins[place] = None
            ends[done] -= 1
            if not ends[done]:
                last.following[count - done] = count - done + 1
        pending.append((low, high))
    return True
