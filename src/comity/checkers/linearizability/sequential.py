"""Sequential consistency of any data type: one order of everything that keeps each process's own.

Leslie Lamport, "How to Make a Multiprocessor Computer That Correctly Executes Multiprocess Programs",
1979. It is not a property of single objects: all keys are in one order. NP-complete, so a search with
limits, which remembers what led nowhere: how far each process is, and what the objects hold.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator
from typing import Any

import msgspec

from comity.checkers.datatypes import REFUSED, Action, DataType
from comity.checkers.history import History, Operation, Outcome, Process
from comity.checkers.verdict import Limits, Status, Verdict

MODEL = "sequential"
CLOCK_EVERY = 512
STATE_BYTES = 400
LEAST_EFFORT = 16
SMALL_EFFORT = 2_000
"""Configurations looked at in one attempt of the portfolio."""


def check(history: History, data_type: DataType, limits: Limits, deadline_ns: int | None = None) -> Verdict:
    """Whether there is such an order. Raises `UnsuitableHistory` for operations the type has not."""
    return _Search(history, data_type, limits, deadline_ns).run()


class _TimeUp(Exception):
    """The deadline has passed."""


class _Search:
    def __init__(
        self, history: History, data_type: DataType, limits: Limits, deadline_ns: int | None
    ) -> None:
        self.history = history
        self.data_type = data_type
        self.limits = limits
        self.deadline_ns = deadline_ns
        self.operations: list[Operation] = []
        self.actions: list[Action] = []
        self.objects: list[Hashable] = []
        self.chains: list[list[int]] = []
        self.optional: list[tuple[int, int, int]] = []
        """(place, process, how many of the process's operations come before)."""
        self.failed: set[Any] = set()
        """Configurations that lead nowhere, whatever is tried first."""
        self.bytes = 0
        self.steps = 0
        self.best = 0
        """How many operations of those that are known to have happened an order was found of."""
        self._survey(history, data_type)

    def _survey(self, history: History, data_type: DataType) -> None:
        counted = []
        for operation in history.operations:
            key = data_type.split(operation)
            if data_type.counts(operation):
                counted.append((operation, key))
            else:
                data_type.action(operation)
        unseen = self._unseen([operation for operation, _ in counted])
        numbers: dict[Process, int] = {}
        for operation, key in counted:
            number = numbers.setdefault(operation.process, len(numbers))
            if number == len(self.chains):
                self.chains.append([])
            if operation.index in unseen:
                continue
            place = len(self.operations)
            self.operations.append(operation)
            self.actions.append(data_type.action(operation))
            self.objects.append(key)
            if operation.outcome is Outcome.INFO:
                self.optional.append((place, number, len(self.chains[number])))
            else:
                self.chains[number].append(place)

    def _unseen(self, operations: list[Operation]) -> set[int]:
        """Operations of unknown outcome that nothing can have seen, whenever they happened."""
        by_object: dict[Hashable, list[Operation]] = {}
        for operation in operations:
            timeless = (
                msgspec.structs.replace(operation, invoked=0)
                if operation.outcome is Outcome.INFO
                else operation
            )
            by_object.setdefault(self.data_type.split(operation), []).append(timeless)
        return {
            chosen[place].index for chosen in by_object.values() for place in self.data_type.needless(chosen)
        }

    def run(self) -> Verdict:
        """Orders close to the one seen first, then ones in which one process is as early as it can be, each
        with a small effort; then whatever is left of the limits."""
        processes = [number for number, chain in enumerate(self.chains) if chain]
        small = max(LEAST_EFFORT, min(SMALL_EFFORT, self.limits.states // (1 + len(processes))))
        try:
            for first in (-1, *processes):
                verdict = self._attempt(first, small)
                if verdict is not None:
                    return verdict
            verdict = self._attempt(-1, sys.maxsize)
        except _TimeUp:
            return self._unknown("time limit", self.best, sum(map(len, self.chains)))
        assert verdict is not None
        return verdict

    def _spend(self) -> None:
        """Raises `_TimeUp` once the time is up; asked once for every step of an operation."""
        self.steps += 1
        if self.steps % CLOCK_EVERY == 0 and self._late():
            raise _TimeUp

    def _attempt(self, first: int, effort: int) -> Verdict | None:
        """Look for an order, operations of process `first` before others; None once the effort is spent."""
        states: dict[Hashable, Any] = {}
        initial = self.data_type.initial()
        chains, actions, objects = self.chains, self.actions, self.objects
        at = [0] * len(chains)
        used = 0
        total = sum(map(len, chains))
        done = 0
        order: list[tuple[int, int, Any]] = []
        failed = self.failed
        acting = [number for number, chain in enumerate(chains) if chain]
        tried = 0

        def place(number: int, node: int, after: Any) -> None:
            nonlocal done, used
            key = objects[node]
            order.append((number, node, states.get(key, initial)))
            states[key] = after
            if number >= 0:
                at[number] += 1
                done += 1
            else:
                used |= 1 << (-1 - number)

        def take_back(length: int) -> None:
            nonlocal done, used
            while len(order) > length:
                number, node, before = order.pop()
                states[objects[node]] = before
                if number >= 0:
                    at[number] -= 1
                    done -= 1
                else:
                    used &= ~(1 << (-1 - number))

        def settle() -> None:
            moved = True
            while moved:
                moved = False
                for number in acting:
                    chain = chains[number]
                    while at[number] < len(chain):
                        node = chain[at[number]]
                        state = states.get(objects[node], initial)
                        if not actions[node].observes or actions[node].step(state) is REFUSED:
                            break
                        place(number, node, state)
                        moved = True

        def options() -> Iterator[tuple[int, int, Any]]:
            """Told one by one, each for the state that is there when it is asked for: of thousands of
            operations of unknown outcome few are ever tried."""
            ready: list[tuple[int, int, Any]] = []
            for number in acting:
                if at[number] < len(chains[number]):
                    node = chains[number][at[number]]
                    after = actions[node].step(states.get(objects[node], initial))
                    if after is not REFUSED:
                        ready.append((number, node, after))
            ready.sort(key=lambda option: -(self.operations[option[1]].completed or 0))
            ready.sort(key=lambda option: option[0] == first)
            yield from reversed(ready)
            for which in range(len(self.optional) - 1, -1, -1):
                node, number, before = self.optional[which]
                if not used >> which & 1 and at[number] >= before:
                    self._spend()
                    state = states.get(objects[node], initial)
                    after = actions[node].step(state)
                    if after is not REFUSED and after != state:
                        yield -1 - which, node, after

        def key_of() -> Any:
            return (tuple([at[number] for number in acting]), used, frozenset(states.items()))

        stack: list[tuple[int, Iterator[tuple[int, int, Any]]]] = []
        settle()
        while done < total:
            tried += 1
            self.best = max(self.best, done)
            if tried > effort:
                return None
            self._spend()
            stack.append((len(order), iter(()) if key_of() in failed else options()))
            while (chosen := next(stack[-1][1], None)) is None:
                length, _ = stack.pop()
                take_back(length)
                key = key_of()
                failed.add(key)
                self.bytes += STATE_BYTES + sum(map(sys.getsizeof, (*key, *states.values())))
                if len(failed) >= self.limits.states or self.bytes > self.limits.memory_bytes:
                    return self._unknown("limit of remembered states", self.best, total)
                if not stack:
                    return self._violation(self.best, total)
                take_back(stack[-1][0])
            place(*chosen)
            settle()
        return self._verdict(Status.VALID)

    def _late(self) -> bool:
        return self.deadline_ns is not None and self.limits.clock_ns() >= self.deadline_ns

    def _unknown(self, limit: str, best: int, total: int) -> Verdict:
        return self._verdict(
            Status.UNKNOWN,
            f"the {limit} was reached; an order of {best} of {total} operations was found.",
        )

    def _violation(self, best: int, total: int) -> Verdict:
        return self._verdict(
            Status.VIOLATION,
            f"no order keeps what each process did in its own order: {best} of {total} operations is the "
            "most that any order explains.",
            tuple(self.operations),
        )

    def _verdict(self, status: Status, explanation: str = "", witness: tuple[Operation, ...] = ()) -> Verdict:
        return Verdict(
            status=status,
            model=MODEL,
            data_type=self.data_type.name,
            key=None,
            operations=len(self.history),
            explanation=explanation,
            witness=witness,
        )
