"""Registers: read and write, and compare-and-set."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal

from comity.checkers.datatypes.base import (
    ANYTHING,
    REFUSED,
    Action,
    DataType,
    Goal,
    RegisterView,
    Step,
    Use,
    show,
)
from comity.checkers.history import Operation, Outcome

READS = frozenset({"read", "get", "r"})
WRITES = frozenset({"write", "put", "w"})

NilRead = Literal["initial", "wildcard"]
FailedCas = Literal["did-not-happen", "compare-failed"]


class Register(DataType):
    """A value that is written and read as a whole; one register per key.

    initial: the value before any write. nil_read: what an ok read of null says: that the register has
    its initial value where that is null ("initial"), or nothing at all ("wildcard").
    """

    name = "register"

    def __init__(self, *, initial: Any = None, nil_read: NilRead = "initial") -> None:
        self._initial = initial
        self._nil_read = nil_read

    def initial(self) -> Any:
        return self._initial

    def step(self, state: Any, operation: Operation) -> Any:
        return self.action(operation).step(state)

    def observes(self, operation: Operation) -> bool:
        return operation.f in READS

    def counts(self, operation: Operation) -> bool:
        if self._nil_read == "wildcard" and operation.f in READS and operation.result is None:
            return False
        return super().counts(operation)

    def effect(self, operation: Operation) -> Hashable:
        return operation.f in WRITES, operation.value

    def action(self, operation: Operation) -> Action:
        value = operation.value
        if operation.f in WRITES:
            return Action(lambda _: value, False, RegisterView(True, value))
        if operation.f in READS:
            if operation.outcome is Outcome.INFO:
                return Action(_unchanged, True)
            result = operation.result
            return Action(_equals(result), True, RegisterView(False, result))
        raise self.unsuitable(operation, f"a {self.name} has read and write")

    def needless(self, operations: Sequence[Operation]) -> set[int]:
        # Nothing reads it, so whatever follows it in an order is another write, or nothing.
        seen_until = last_seen(operations)
        return {
            place
            for place, operation in enumerate(operations)
            if operation.outcome is Outcome.INFO
            and operation.f in WRITES
            and seen_until.get(operation.value, -1) < operation.invoked
        }

    def goals(self, required: Sequence[Operation], optional: Sequence[Operation]) -> list[Goal | None] | None:
        origins = _origins(optional)
        return [_goal(operation, origins) for operation in required]

    def use(self, operation: Operation) -> Use:
        if operation.f in READS:
            return Use(operation.result, "nothing")
        if operation.f in WRITES:
            return Use(ANYTHING, "value", operation.value)
        if operation.outcome is Outcome.FAIL:
            return Use(ANYTHING, "nothing")
        expected, replacement = operation.value
        known = operation.outcome is Outcome.OK
        return Use(expected if known else ANYTHING, "value", replacement)

    def describe(self, operation: Operation) -> str:
        if operation.f in READS and operation.outcome is Outcome.OK:
            return f"{operation.f} → {show(operation.result)}"
        return super().describe(operation)


class CasRegister(Register):
    """A register that also has cas [from, to], which writes `to` where it holds `from`.

    failed_cas: what a failed cas says: nothing ("did-not-happen"), or that at some time between its two
    events the register did not hold `from` ("compare-failed").
    """

    name = "cas-register"

    def __init__(
        self,
        *,
        initial: Any = None,
        nil_read: NilRead = "initial",
        failed_cas: FailedCas = "did-not-happen",
    ) -> None:
        super().__init__(initial=initial, nil_read=nil_read)
        self._failed_cas = failed_cas

    def observes(self, operation: Operation) -> bool:
        return operation.f in READS or (operation.f == "cas" and operation.outcome is Outcome.FAIL)

    def counts(self, operation: Operation) -> bool:
        if operation.f == "cas" and operation.outcome is Outcome.FAIL:
            return self._failed_cas == "compare-failed"
        return super().counts(operation)

    def effect(self, operation: Operation) -> Hashable:
        return operation.f if operation.f == "cas" else operation.f in WRITES, operation.value

    def action(self, operation: Operation) -> Action:
        if operation.f != "cas":
            if operation.f in READS or operation.f in WRITES:
                return super().action(operation)
            raise self.unsuitable(operation, "a cas-register has read, write and cas")
        if not isinstance(operation.value, tuple) or len(operation.value) != 2:
            raise self.unsuitable(operation, f"cas takes [from, to], not {show(operation.value)}")
        return compare_and_set(operation)

    def needless(self, operations: Sequence[Operation]) -> set[int]:
        if any(operation.f == "cas" and operation.outcome is Outcome.FAIL for operation in operations):
            # A failed compare is explained by any other value, also by one that nobody reads.
            return set()
        seen_until = last_seen(operations)
        return {
            place
            for place, operation in enumerate(operations)
            if operation.outcome is Outcome.INFO
            and seen_until.get(_left_behind(operation), -1) < operation.invoked
        }


def compare_and_set(operation: Operation) -> Action:
    """Compare-and-set of [from, to] as an action, by its outcome; failed means that the compare failed."""
    expected, replacement = operation.value

    def succeeded(state: Any) -> Any:
        return replacement if state == expected else REFUSED

    def failed(state: Any) -> Any:
        return REFUSED if state == expected else state

    def unknown(state: Any) -> Any:
        return replacement if state == expected else state

    if operation.outcome is Outcome.OK:
        return Action(succeeded, False)
    return Action(failed, True) if operation.outcome is Outcome.FAIL else Action(unknown, False)


def last_seen(operations: Sequence[Operation]) -> dict[Hashable, int | float]:
    """By value, the last event up to which something may have seen it in the register: an ok read of
    it, or a cas from it that may have happened."""
    seen: dict[Hashable, int | float] = {}
    for operation in operations:
        until: int | float = float("inf")
        if operation.outcome is Outcome.OK and operation.completed is not None:
            until = operation.completed
        if operation.f == "cas":
            value = operation.value[0]
        elif operation.f in READS and operation.outcome is Outcome.OK:
            value = operation.result
        else:
            continue
        if seen.get(value, -1) < until:
            seen[value] = until
    return seen


def _origins(optional: Sequence[Operation]) -> Callable[[Any], frozenset[Any]]:
    """For a value, the values that compare-and-sets among `optional` may turn into it, itself included."""
    sources: dict[Any, set[Any]] = {}
    for operation in optional:
        if operation.f == "cas":
            expected, replacement = operation.value
            sources.setdefault(replacement, set()).add(expected)
    known: dict[Any, frozenset[Any]] = {}

    def origins(value: Any) -> frozenset[Any]:
        if value not in known:
            reached = {value}
            frontier = [value]
            while frontier:
                fresh = sources.get(frontier.pop(), set()) - reached
                reached |= fresh
                frontier.extend(fresh)
            known[value] = frozenset(reached)
        return known[value]

    return origins


def _goal(operation: Operation, origins: Callable[[Any], frozenset[Any]]) -> Goal | None:
    if operation.f in WRITES:
        return None
    if operation.outcome is Outcome.FAIL:
        return lambda _: True
    wanted = origins(operation.value[0] if operation.f == "cas" else operation.result)
    return wanted.__contains__


def _left_behind(operation: Operation) -> Any:
    return operation.value[1] if operation.f == "cas" else operation.value


def _equals(value: Any) -> Step:
    return lambda state: state if state == value else REFUSED


def _unchanged(state: Any) -> Any:
    return state
