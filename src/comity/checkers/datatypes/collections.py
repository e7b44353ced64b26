"""Sets, queues, stacks and lists: what is put in, and what comes out, in which order."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from comity.checkers.datatypes.base import REFUSED, DataType
from comity.checkers.history import Operation, Outcome


class Set(DataType):
    """add and remove an element; contains asks for one; read returns all of them, as a list in any order.

    Where nothing reads the whole set, each element is an object of its own, which is as good (the
    elements do not influence one another) and far cheaper: tell `elements=True`.
    """

    name = "set"

    def __init__(self, *, elements: bool = False) -> None:
        self._elements = elements

    def initial(self) -> frozenset[Any]:
        return frozenset()

    def split(self, operation: Operation) -> Hashable:
        return (operation.key, operation.value) if self._elements else operation.key

    def observes(self, operation: Operation) -> bool:
        return operation.f in {"read", "contains"}

    def effect(self, operation: Operation) -> Hashable:
        return operation.f, operation.value

    def step(self, state: Any, operation: Operation) -> Any:
        f, known = operation.f, operation.outcome is Outcome.OK
        if f == "add":
            fresh = operation.value not in state
            if known and isinstance(operation.result, bool) and operation.result is not fresh:
                return REFUSED
            return state | {operation.value} if fresh else state
        if f == "remove":
            there = operation.value in state
            if known and isinstance(operation.result, bool) and operation.result is not there:
                return REFUSED
            return state - {operation.value} if there else state
        if f == "contains":
            return state if not known or (operation.value in state) is bool(operation.result) else REFUSED
        if f == "read":
            return state if not known or frozenset(read_elements(operation.result)) == state else REFUSED
        raise self.unsuitable(operation, "a set has add, remove, contains and read")

    def needless(self, operations: Sequence[Operation]) -> set[int]:
        seen: set[Any] = set()
        asked: set[Any] = set()
        for o in operations:
            if o.f == "read" and o.outcome is Outcome.OK:
                seen.update(read_elements(o.result))
            elif o.f != "add" or isinstance(o.result, bool):
                asked.add(o.value)
        return {
            place
            for place, o in enumerate(operations)
            if o.outcome is Outcome.INFO and o.f == "add" and o.value not in seen and o.value not in asked
        }


class Queue(DataType):
    """First in, first out: enqueue a value, dequeue one; null, where it was empty."""

    name = "queue"
    puts = "enqueue"
    takes = "dequeue"

    def initial(self) -> tuple[Any, ...]:
        return ()

    def counts(self, operation: Operation) -> bool:
        return operation.outcome is not Outcome.FAIL

    def observes(self, operation: Operation) -> bool:
        return operation.f == self.takes and operation.outcome is Outcome.OK and operation.result is None

    def effect(self, operation: Operation) -> Hashable:
        return operation.f, operation.value

    def step(self, state: Any, operation: Operation) -> Any:
        if operation.f == self.puts:
            return (*state, operation.value)
        if operation.f != self.takes:
            raise self.unsuitable(operation, f"a {self.name} has {self.puts} and {self.takes}")
        known = operation.outcome is Outcome.OK
        if not state:
            return state if not known or operation.result is None else REFUSED
        taken, left = self.take(state)
        return left if not known or operation.result == taken else REFUSED

    def take(self, state: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """What comes out next, and what is left."""
        return state[0], state[1:]


class Stack(Queue):
    """Last in, first out: push a value, pop one; null, where it was empty."""

    name = "stack"
    puts = "push"
    takes = "pop"

    def take(self, state: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        return state[-1], state[:-1]


class List(DataType):
    """A list: append and push add at the end, prepend at the beginning; pop takes the last; read, len."""

    name = "list"

    def initial(self) -> tuple[Any, ...]:
        return ()

    def observes(self, operation: Operation) -> bool:
        return operation.f in {"read", "len"}

    def effect(self, operation: Operation) -> Hashable:
        return operation.f, operation.value

    def step(self, state: Any, operation: Operation) -> Any:
        f, known, result = operation.f, operation.outcome is Outcome.OK, operation.result
        if f in {"append", "push"}:
            return (*state, operation.value)
        if f == "prepend":
            return (operation.value, *state)
        if f == "pop":
            if known and result != (state[-1] if state else None):
                return REFUSED
            return state[:-1]
        if f == "read":
            return state if not known or (() if result is None else result) == state else REFUSED
        if f == "len":
            return state if not known or result == len(state) else REFUSED
        raise self.unsuitable(operation, "a list has append, push, prepend, pop, read and len")


def read_elements(result: Any) -> tuple[Any, ...] | frozenset[Any]:
    """What a read of a set found: a list in any order, or nothing."""
    return result if isinstance(result, tuple | frozenset) else ()
