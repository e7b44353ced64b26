"""The search for an order: any data type, exponential at worst.

Jeannette Wing and Chun Gong, "Testing and Verifying Concurrent Objects", JPDC 1993: try every operation
that may come next, undo, try another. Gavin Lowe, "Testing for Linearizability", CCPE 2017: remember
each configuration (operations placed, state) that led nowhere. The operations not yet placed are a
doubly linked list, so that placing one and taking it back are two assignments.

What is added here, and why no valid order is missed by it:

- An operation that only observes is placed as soon as the state accepts it, without an alternative:
  in any order that places it later it can be moved here, since it changes nothing.
- Operations of unknown outcome are optional. They are tried only where nothing else leads on, and
  of those with equal effects only the one invoked first: it may come at any time another may.
- After an optional operation, one that would have been accepted before it too need not be tried where
  that leads to the same state, without the optional operation or with it afterwards: what it allows
  has more operations placed, or fewer optional ones used, and is looked at as well. (Two optional ones
  that can change places are tried in one order only.)
- An optional operation is tried only where it may help, it or others after it, some operation that can
  come next (`DataType.goals`).
- A configuration that failed also fails with more of the optional operations already used up.
- A state that an operation still needs, and that nothing left can bring about again, is not left
  before that operation is placed; and what only grows must not outgrow what is needed (`ledger`).
- Where only one operation can come next it is placed at once, and needs no configuration of its own.
"""

from __future__ import annotations

import enum
import hashlib
import sys
from typing import Any

import msgspec

from comity.checkers.datatypes import REFUSED, Goal, Step, Use
from comity.checkers.history import Operation
from comity.checkers.linearizability.ledger import Ledger
from comity.checkers.linearizability.problem import NEVER, Problem
from comity.checkers.verdict import Limits

CLOCK_EVERY = 1024
FORCED_RUN = 64
DIGEST_FROM = 200
CONFIGURATION_BYTES = 250
"""Roughly what one remembered configuration takes, its state and bit set aside."""


class Ending(enum.Enum):
    """How a search ended: an order was found, there is none, or which limit was reached."""

    FOUND = "found"
    NONE = "none"
    TIME = "time limit"
    STATES = "limit of remembered states"
    MEMORY = "memory limit"


class Found(msgspec.Struct, frozen=True):
    """What a search has to say.

    reached: the event before which everything could be placed: the history up to it (exclusive) has an
        order, however the search ended. order: where it was asked for and there is none of all, the one
        that got furthest.
    nodes, states: configurations looked at, and remembered.
    unheard_of: an operation that needs a state nothing in the history makes, where that was the reason.
    """

    ending: Ending
    reached: int
    nodes: int
    states: int
    order: tuple[Operation, ...] = ()
    unheard_of: Operation | None = None


class _Frame(msgspec.Struct, gc=False):
    """A configuration with alternatives: what undoing needs, and what is still to be tried."""

    state: Any
    low: int
    mask: int
    used: int
    horizon: int
    depth: int
    options: list[tuple[int, Any]]
    optional_tried: bool
    before: Any
    last: int
    window: list[int]


def search(
    problem: Problem,
    limits: Limits,
    deadline_ns: int | None,
    furthest_from: int = NEVER,
    ahead: bool = True,
) -> Found:
    """Look for an order of every required operation of `problem`, with optional ones where they help.

    furthest_from: keep the best of the orders that place everything before this event.
    ahead: stop as soon as all is lost; otherwise where it shows, which is later and easier to see.
    """
    return _Search(problem, limits, deadline_ns, furthest_from, ahead).run()


class _Search:
    def __init__(
        self, problem: Problem, limits: Limits, deadline_ns: int | None, furthest_from: int, ahead: bool
    ) -> None:
        self.problem = problem
        self.limits = limits
        self.deadline_ns = deadline_ns
        self.furthest_from = furthest_from
        self.ahead = ahead
        count = len(problem.required)
        self.count = count
        self.steps = [action.step for action in problem.actions]
        self.observes = [action.observes for action in problem.actions]
        self.invoked = [*problem.invoked, NEVER]
        self.returned = problem.returned
        self.goals = problem.data_type.goals(problem.required, problem.optional) if problem.optional else None
        self.ledger = _ledger_of(problem)
        # The list of operations not placed yet, by invocation; place `count` is its head and its end.
        self.following = [*range(1, count + 1), 0]
        self.preceding = [count, *range(count)]
        self.taken = [0] * len(problem.groups)
        # Operations in the order they were placed: a place, or -1 - group for an optional one.
        self.order: list[int] = []
        self.placed = 0
        self.failed: dict[tuple[int, int, Any], list[int]] = {}
        self.states = 0
        self.bytes = 0
        self.nodes = 0
        self.reached = -1
        self.best: tuple[int, ...] = ()
        self.best_merit = (-1, -1, 0)

    # -- placing and taking back

    def lift(self, place: int) -> None:
        left, after = self.preceding[place], self.following[place]
        self.following[left] = after
        self.preceding[after] = left
        self.order.append(place)
        self.placed += 1
        if self.ledger is not None:
            self.ledger.place(place)

    def undo_to(self, depth: int) -> None:
        order, following, preceding, taken = self.order, self.following, self.preceding, self.taken
        ledger = self.ledger
        while len(order) > depth:
            item = order.pop()
            if item >= 0:
                following[preceding[item]] = item
                preceding[following[item]] = item
                self.placed -= 1
                if ledger is not None:
                    ledger.take_back(item)
            else:
                group = -1 - item
                taken[group] -= 1
                if ledger is not None:
                    ledger.give_back(self.problem.groups[group][taken[group]])

    # -- one configuration

    def enter(
        self, state: Any, low: int, mask: int, used: int, before: Any = REFUSED, last: int = 0
    ) -> _Frame:
        """Place what can be placed without a choice, from this configuration on, and say what the
        choices are then.

        mask: which places from `low` on are placed, with `low`, which is not, as bit 0; every place
        below `low` is. before, last: the state before the optional operation that led here, and its
        place; `REFUSED` where it was no optional one.
        """
        following, order, ledger = self.following, self.order, self.ledger
        invoked, returned, steps, observes = self.invoked, self.returned, self.steps, self.observes
        end = self.count
        forced = 0
        while True:
            horizon = NEVER
            first = -1
            window: list[int] = []
            depth = len(order)
            place = following[end]
            while invoked[place] < horizon:
                after = following[place]
                if observes[place] and steps[place](state) is not REFUSED:
                    self.lift(place)
                    place = after
                    continue
                window.append(place)
                if returned[place] < horizon:
                    horizon = returned[place]
                    first = place
                place = after
            if len(order) > depth:
                before = REFUSED
                for done in order[depth:]:
                    if done == low:
                        low, mask = _normal(low, mask | 1)
                    else:
                        mask |= 1 << (done - low)
            held = 0
            if ledger is not None:
                if ledger.lost(state, window):
                    return _Frame(state, low, mask, used, horizon, len(order), [], True, before, last, window)
                held = ledger.held(state)
            options: list[tuple[int, Any]] = []
            for place in window:
                if observes[place]:
                    continue
                next_state = steps[place](state)
                if next_state is REFUSED:
                    continue
                if held and next_state != state and not self.releases(held, place, state):
                    continue
                if before is not REFUSED and self.reaches(steps[place], next_state, before, last):
                    continue
                options.append((place, next_state))
            if len(options) != 1 or forced >= FORCED_RUN or (not held and self.has_optional(horizon)):
                break
            forced += 1
            place, state = options[0]
            self.lift(place)
            low, mask = _normal(low, mask | 1 << (place - low))
            before = REFUSED
        if len(options) > 1:
            self.rank(options, first, state)
        depth = len(order)
        return _Frame(state, low, mask, used, horizon, depth, options, held > 0, before, last, window)

    def releases(self, held: int, place: int, state: Any) -> bool:
        """Whether a state that `held` operations need may be left by placing this one: the last of them."""
        return held == 1 and self.ledger is not None and self.ledger.needs(place, state)

    def reaches(self, step: Step, target: Any, before: Any, last: int) -> bool:
        """Whether `step` leads from `before` to `target` without the optional operation `last`, or with
        it afterwards."""
        without = step(before)
        if without is REFUSED or without == target:
            return without is not REFUSED
        return bool(self.problem.optional_actions[last].step(without) == target)

    def rank(self, options: list[tuple[int, Any]], first: int, state: Any) -> None:
        """Best last: what lets the operation that must return first be placed, then by return."""
        returned = self.returned
        options.sort(key=lambda option: -returned[option[0]])
        step = self.steps[first]
        if step(state) is REFUSED:
            options.sort(key=lambda option: step(option[1]) is not REFUSED)

    def has_optional(self, horizon: int) -> bool:
        """Whether an operation of unknown outcome may come next."""
        optional, taken = self.problem.optional, self.taken
        for group, members in enumerate(self.problem.groups):
            if taken[group] == len(members):
                continue
            if optional[members[taken[group]]].invoked < horizon:
                return True
            if not taken[group]:
                # Groups are listed by their first invocation: the others come later still.
                return False
        return False

    def optional_options(self, frame: _Frame) -> list[tuple[int, Any]]:
        """The optional operations worth trying from a configuration, as options below 0: -1 - group."""
        problem, taken, state = self.problem, self.taken, frame.state
        options: list[tuple[int, Any]] = []
        helps: list[Goal] | None = None
        if self.goals is not None:
            helps = self.helped(frame)
            if not helps:
                return []
        for group, members in enumerate(problem.groups):
            if taken[group] == len(members):
                continue
            place = members[taken[group]]
            if problem.optional[place].invoked >= frame.horizon:
                if not taken[group]:
                    break
                continue
            step = problem.optional_actions[place].step
            after = step(state)
            if after is REFUSED or after == state:
                continue
            if frame.before is not REFUSED:
                without = step(frame.before)
                if without == after:
                    continue
                swaps = without is not REFUSED and place < frame.last
                if swaps and problem.optional_actions[frame.last].step(without) == after:
                    continue
            if helps is not None and not any(goal(after) for goal in helps):
                continue
            options.append((-1 - group, after))
        options.reverse()
        if self.ledger is not None:
            wanted = self.ledger.wanted
            options.sort(key=lambda option: wanted(option[1]))
        return options

    def helped(self, frame: _Frame) -> list[Goal]:
        """What would make an optional operation worth trying: the goals of those that can come next.

        One that is accepted already, and leaves the same state whatever it finds, needs no help.
        """
        assert self.goals is not None
        found: list[Goal] = []
        for place in frame.window:
            goal = self.goals[place]
            if goal is None:
                continue
            overwrites = self.ledger is not None and self.ledger.overwrites[place]
            if not overwrites or self.steps[place](frame.state) is REFUSED:
                found.append(goal)
        return found

    # -- the whole

    def run(self) -> Found:
        """Depth first, with an explicit stack."""
        if self.ledger is not None:
            for place in self.ledger.unheard_of(self.problem.initial):
                return Found(Ending.NONE, -1, 0, 0, (), self.problem.required[place])
        if not self.ahead:
            self.ledger = None
        stack: list[_Frame] = []
        frame = self.enter(self.problem.initial, 0, 0, 0)
        while True:
            if self.placed == self.count:
                return self.found(Ending.FOUND, NEVER)
            self.nodes += 1
            if self.nodes % CLOCK_EVERY == 0:
                limit = self.over_limit(len(stack))
                if limit is not None:
                    return self.found(limit, max(self.reached, frame.horizon))
            if self.known_to_fail(frame):
                frame.options = []
                frame.optional_tried = True
            stack.append(frame)
            entered = self.next_of(frame)
            while entered is None:
                self.dead_end(frame)
                stack.pop()
                if self.states >= self.limits.states:
                    return self.found(Ending.STATES, self.reached)
                if not stack:
                    return self.found(Ending.NONE, self.reached)
                frame = stack[-1]
                self.undo_to(frame.depth)
                entered = self.next_of(frame)
            frame = entered

    def next_of(self, frame: _Frame) -> _Frame | None:
        """The next configuration to look at from `frame`, entered; None where there is none left."""
        if not frame.options:
            if frame.optional_tried:
                return None
            frame.optional_tried = True
            frame.options = self.optional_options(frame)
            if not frame.options:
                return None
        item, state = frame.options.pop()
        if item < 0:
            self.order.append(item)
            group = -1 - item
            member = self.problem.groups[group][self.taken[group]]
            self.taken[group] += 1
            if self.ledger is not None:
                self.ledger.use(member)
            return self.enter(state, frame.low, frame.mask, frame.used | 1 << member, frame.state, member)
        self.lift(item)
        low, mask = _normal(frame.low, frame.mask | 1 << (item - frame.low))
        return self.enter(state, low, mask, frame.used)

    def known_to_fail(self, frame: _Frame) -> bool:
        if not self.failed:
            return False
        earlier = self.failed.get((frame.low, frame.mask, _remembered(frame.state)))
        return earlier is not None and any(used & ~frame.used == 0 for used in earlier)

    def dead_end(self, frame: _Frame) -> None:
        """Nothing is left to try from `frame`: remember that, and how far it had come."""
        if frame.horizon >= self.furthest_from:
            # As much as possible of what happened, with as little as possible of what may have.
            merit = (frame.horizon, self.placed, -frame.depth)
            if merit > self.best_merit:
                self.best_merit = merit
                self.best = self.members(frame.depth)
        self.reached = max(self.reached, frame.horizon)
        if self.known_to_fail(frame):
            return
        key = (frame.low, frame.mask, _remembered(frame.state))
        self.failed.setdefault(key, []).append(frame.used)
        self.states += 1
        self.bytes += CONFIGURATION_BYTES + frame.mask.bit_length() // 8 + sys.getsizeof(key[2])

    def members(self, depth: int) -> tuple[int, ...]:
        """The order up to `depth` with the members of groups named, as -1 - place."""
        counts = [0] * len(self.taken)
        named: list[int] = []
        for item in self.order[:depth]:
            if item >= 0:
                named.append(item)
            else:
                group = -1 - item
                named.append(-1 - self.problem.groups[group][counts[group]])
                counts[group] += 1
        return tuple(named)

    def over_limit(self, frames: int) -> Ending | None:
        if self.deadline_ns is not None and self.limits.clock_ns() >= self.deadline_ns:
            return Ending.TIME
        if self.bytes + frames * CONFIGURATION_BYTES >= self.limits.memory_bytes:
            return Ending.MEMORY
        return None

    def found(self, ending: Ending, reached: int) -> Found:
        order = tuple(
            self.problem.required[item] if item >= 0 else self.problem.optional[-1 - item]
            for item in self.best
        )
        return Found(ending, reached, self.nodes, self.states, order)


def _ledger_of(problem: Problem) -> Ledger | None:
    """The ledger of a problem; None where its data type does not say what operations need and make."""
    uses: list[Use] = []
    for operation in (*problem.required, *problem.optional):
        use = problem.data_type.use(operation)
        if use is None:
            return None
        uses.append(use)
    count = len(problem.required)
    return Ledger(uses[:count], uses[count:])


def _remembered(state: Any) -> Any:
    """What stands for a state in memory: of a long text, its digest of 128 bits."""
    if isinstance(state, str) and len(state) > DIGEST_FROM:
        return hashlib.blake2b(state.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return state


def _normal(low: int, mask: int) -> tuple[int, int]:
    """The same set of placed operations with the lowest one that is not placed as bit 0."""
    if mask & 1:
        run = (~mask & (mask + 1)).bit_length() - 1
        return low + run, mask >> run
    return low, mask
