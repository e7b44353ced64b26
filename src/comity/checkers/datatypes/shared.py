"""Things that are shared: counters, locks, accounts, identifiers, logs, and several registers at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from comity.checkers.datatypes.base import REFUSED, DataType
from comity.checkers.datatypes.register import NilRead
from comity.checkers.history import Operation, Outcome, Table

_UP = frozenset({"add", "inc", "incr", "increment"})
_DOWN = frozenset({"dec", "decr", "decrement", "sub"})


class Counter(DataType):
    """add and inc a number (1 where none is given), dec it; read. An ok change may say the new value,
    where its result is a number other than what was asked for with it."""

    name = "counter"

    def __init__(self, *, initial: Any = 0) -> None:
        self._initial = 0 if initial is None else initial

    def initial(self) -> Any:
        return self._initial

    def observes(self, operation: Operation) -> bool:
        return operation.f == "read"

    def effect(self, operation: Operation) -> Hashable:
        return (self._delta(operation),)

    def _delta(self, operation: Operation) -> Any:
        value = 1 if operation.value is None else operation.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.unsuitable(operation, f"{operation.f} takes a number")
        return value if operation.f in _UP else -value

    def step(self, state: Any, operation: Operation) -> Any:
        known = operation.outcome is Outcome.OK
        if operation.f == "read":
            return state if not known or operation.result == state else REFUSED
        if operation.f not in _UP and operation.f not in _DOWN:
            raise self.unsuitable(operation, "a counter has add, inc, dec and read")
        after = state + self._delta(operation)
        told = operation.result
        if known and told is not None and told not in (operation.value, after):
            return REFUSED
        return after


class Mutex(DataType):
    """acquire and release; the ok value of acquire may be a fencing token, which must grow from holder to
    holder (Kleppmann 2016; Chubby's sequencers, Burrows 2006). A release is by the process that holds it."""

    name = "mutex"

    def initial(self) -> tuple[Any, Any]:
        return (None, None)

    def effect(self, operation: Operation) -> Hashable:
        return operation.f, operation.process

    def step(self, state: Any, operation: Operation) -> Any:
        holder, token = state
        if operation.f in {"acquire", "lock"}:
            if holder is not None:
                return REFUSED
            told = operation.result if operation.outcome is Outcome.OK else None
            if isinstance(told, bool) or not isinstance(told, int):
                told = None
            if told is not None and token is not None and told <= token:
                return REFUSED
            return (("held", operation.process), token if told is None else told)
        if operation.f in {"release", "unlock"}:
            return (None, token) if holder == ("held", operation.process) else REFUSED
        raise self.unsuitable(operation, "a mutex has acquire and release")

    def describe_state(self, state: Any) -> str:
        holder, token = state
        words = "free" if holder is None else f"held by process {holder[1]}"
        return words if token is None else f"{words}, with {token} as the last token"


class Bank(DataType):
    """transfer {from, to, amount} between accounts, read all balances. No balance may be below zero.

    initial: the balances at the beginning, a mapping; without it the first read tells them all.
    """

    name = "bank"

    def __init__(self, *, initial: Any = None, negative: bool = False) -> None:
        self._initial = _balances(initial)
        self._negative = negative

    def initial(self) -> Any:
        return self._initial

    def observes(self, operation: Operation) -> bool:
        return operation.f == "read" and self._initial is not None

    def effect(self, operation: Operation) -> Hashable:
        return operation.f, operation.value

    def step(self, state: Any, operation: Operation) -> Any:
        known = operation.outcome is Outcome.OK
        if operation.f == "read":
            if not known:
                return state
            told = _balances(operation.result)
            if told is None:
                raise self.unsuitable(operation, "a read of a bank returns its balances")
            if not self._negative and any(balance < 0 for _, balance in told):
                return REFUSED
            return _settled(state, told)
        if operation.f != "transfer":
            raise self.unsuitable(operation, "a bank has transfer and read")
        moved = dict(operation.value) if isinstance(operation.value, Table) else None
        if moved is None or not {"from", "to", "amount"} <= moved.keys():
            raise self.unsuitable(operation, "transfer takes {from, to, amount}")
        return self._transfer(state, moved["from"], moved["to"], moved["amount"], known)

    def _transfer(self, state: Any, source: Any, target: Any, amount: Any, known: bool) -> Any:
        if state is None or (state and state[0] == "moved"):
            moves = dict(state[1]) if state else {}
            moves[source] = moves.get(source, 0) - amount
            moves[target] = moves.get(target, 0) + amount
            return ("moved", _canonical(moves))
        balances = dict(state)
        if source not in balances or target not in balances:
            return REFUSED if known else state
        if balances[source] < amount and not self._negative:
            return REFUSED if known else state
        balances[source] -= amount
        balances[target] += amount
        return _canonical(balances)


def _settled(state: Any, told: tuple[tuple[Any, Any], ...]) -> Any:
    """After a read: what was moved before the first read needs no explanation but the read itself."""
    if state is None or (state and state[0] == "moved"):
        return told
    return state if state == told else REFUSED


def _balances(value: Any) -> tuple[tuple[Any, Any], ...] | None:
    if isinstance(value, Table):
        return _canonical(dict(value))
    if isinstance(value, dict):
        return _canonical(value)
    return None


def _canonical(balances: dict[Any, Any]) -> tuple[tuple[Any, Any], ...]:
    return tuple(sorted(balances.items(), key=lambda pair: (str(type(pair[0])), pair[0])))


class UniqueIds(DataType):
    """generate: an identifier that nobody else ever gets. The order of operations plays no part."""

    name = "unique-ids"

    def initial(self) -> bool:
        return True

    def split(self, operation: Operation) -> Hashable:
        return operation.key, operation.result if operation.outcome is Outcome.OK else None

    def counts(self, operation: Operation) -> bool:
        return operation.outcome is Outcome.OK

    def step(self, state: Any, operation: Operation) -> Any:
        if operation.f != "generate":
            raise self.unsuitable(operation, "unique-ids has generate")
        return False if state else REFUSED


class Kafka(DataType):
    """A log a key, like Kafka's: send [key, value] returns its offset, poll returns values from a key's log.

    What is sent is told by its result, [key, [offset, value]] or the offset; a poll's result maps keys to
    lists of [offset, value]. An offset holds one value, values come in the order of their offsets, and
    what was sent before is there when something after it was polled from the beginning of the poll on.
    """

    name = "kafka"

    def initial(self) -> Any:
        return ()

    def effect(self, operation: Operation) -> Hashable:
        return operation.f, operation.value

    def observes(self, operation: Operation) -> bool:
        return operation.f in {"assign", "subscribe", "crash"}

    def counts(self, operation: Operation) -> bool:
        return operation.f not in {"assign", "subscribe", "crash"} and super().counts(operation)

    def step(self, state: Any, operation: Operation) -> Any:
        log = {key: dict(entries) for key, entries in state}
        if operation.f == "send":
            sent = self._sent(operation)
            if sent is None:
                return state
            key, offset, value = sent
            entries = log.setdefault(key, {})
            if offset in entries and entries[offset] != value:
                return REFUSED
            if any(known >= offset for known in entries):
                return REFUSED
            entries[offset] = value
        elif operation.f == "poll":
            return state if self._agrees(log, operation) else REFUSED
        else:
            raise self.unsuitable(operation, "kafka has send and poll")
        return tuple((key, tuple(sorted(entries.items()))) for key, entries in sorted(log.items()))

    def _sent(self, operation: Operation) -> tuple[Any, int, Any] | None:
        if operation.outcome is not Outcome.OK:
            return None
        asked, told = operation.value, operation.result
        key, value = asked if isinstance(asked, tuple) and len(asked) == 2 else (operation.key, asked)
        if isinstance(told, int):
            return str(key), told, value
        if isinstance(told, tuple) and len(told) == 2 and isinstance(told[1], tuple) and len(told[1]) == 2:
            return str(told[0]), told[1][0], told[1][1]
        raise self.unsuitable(operation, "an ok send returns its offset, or [key, [offset, value]]")

    def _agrees(self, log: dict[Any, dict[int, Any]], operation: Operation) -> bool:
        if operation.outcome is not Outcome.OK or operation.result is None:
            return True
        if not isinstance(operation.result, Table):
            raise self.unsuitable(operation, "an ok poll returns {key: [[offset, value], ...]}")
        for key, pairs in operation.result:
            entries = log.get(str(key), {})
            offsets = [offset for offset, _ in pairs]
            if offsets != sorted(set(offsets)):
                return False
            if any(entries.get(offset, value) != value for offset, value in pairs):
                return False
            if offsets and any(
                offsets[0] < known < offsets[-1] and known not in offsets for known in entries
            ):
                return False
        return True


class MultiRegister(DataType):
    """Several registers that one operation reads and writes together: txn [[read|write, key, value], ...].

    initial: the value of every register, or a `Table` of them by key. nil_read: as for `Register`.
    """

    name = "multi-register"

    def __init__(self, *, initial: Any = None, nil_read: NilRead = "initial") -> None:
        self._each = None if isinstance(initial, Table) else initial
        self._known = dict(initial) if isinstance(initial, Table) else {}
        self._wildcard = nil_read == "wildcard"

    def initial(self) -> tuple[tuple[Any, Any], ...]:
        return ()

    def split(self, operation: Operation) -> Hashable:
        return None

    def _steps(self, operation: Operation) -> tuple[tuple[str, Any, Any], ...]:
        steps = operation.result if operation.outcome is Outcome.OK else operation.value
        if operation.f in {"read", "write"} and operation.key is not None:
            return ((operation.f, operation.key, steps),)
        if not isinstance(steps, tuple) or not all(
            isinstance(step, tuple) and len(step) == 3 and step[0] in {"read", "write", "r", "w"}
            for step in steps
        ):
            raise self.unsuitable(operation, "a multi-register has txn [[read|write, key, value], ...]")
        return steps

    def observes(self, operation: Operation) -> bool:
        return all(step[0] in {"read", "r"} for step in self._steps(operation))

    def effect(self, operation: Operation) -> Hashable:
        return operation.f, operation.value

    def step(self, state: Any, operation: Operation) -> Any:
        known = operation.outcome is Outcome.OK
        registers = dict(state)
        for f, key, value in self._steps(operation):
            if f in {"write", "w"}:
                registers[key] = value
            elif known and not (value is None and self._wildcard) and self._held(registers, key) != value:
                return REFUSED
        return tuple(sorted(registers.items(), key=lambda pair: str(pair[0])))

    def _held(self, registers: dict[Any, Any], key: Any) -> Any:
        return registers.get(key, self._known.get(key, self._each))

    def needless(self, operations: Sequence[Operation]) -> set[int]:
        read = {
            (step[1], step[2])
            for o in operations
            if o.outcome is Outcome.OK
            for step in self._steps(o)
            if step[0] in {"read", "r"}
        }
        return {
            place
            for place, o in enumerate(operations)
            if o.outcome is Outcome.INFO
            and all(step[0] in {"read", "r"} or (step[1], step[2]) not in read for step in self._steps(o))
        }
