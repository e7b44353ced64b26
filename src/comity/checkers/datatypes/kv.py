"""A key-value map: get, put, append, delete and cas on a key, and the store's string commands.

Two spellings of operations, told apart by case:

- lower case, as other tools record them: `get`/`read` (ok value: what was read), `put`/`write`,
  `append` (concatenates; its ok value says nothing), `delete`, `cas` with [from, to], and `txn` with
  [[f, key, value], ...] (f: r, w, append) on a single key;
- upper case, Redis commands with Redis replies: value is the list of arguments after the key (or the
  only one), the ok value is the reply: text, an integer, null for nil, or {"error": text}. `EXEC` takes
  [[name, argument, ...], ...], all on the event's key, and its ok value is the list of replies, or null
  where a watched key had changed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from comity.checkers.datatypes.base import (
    REFUSED,
    Action,
    DataType,
    Goal,
    RegisterView,
    Step,
    Use,
    show,
)
from comity.checkers.datatypes.commands import (
    READ_COMMANDS,
    Apply,
    BadArguments,
    ErrorReply,
    command,
    is_error,
    text_of,
    transaction,
)
from comity.checkers.datatypes.kv_effects import (
    ADDS,
    DELETES,
    RETURNS_OLD,
    Seen,
    arguments_of,
    goal_of,
    set_options,
    use_of,
)
from comity.checkers.datatypes.register import READS, WRITES, FailedCas, NilRead, compare_and_set
from comity.checkers.history import Operation, Outcome

COUNTING = ADDS | {"APPEND", "STRLEN", "SETNX", "DEL", "UNLINK", "EXISTS"}


class KeyValue(DataType):
    """A map of keys to values, checked key by key.

    initial: what a key holds before anything is written: None for no key, "" where the source reads a
    missing key as empty. nil_read, failed_cas: as for `CasRegister`.
    """

    name = "kv"

    def __init__(
        self,
        *,
        initial: Any = None,
        nil_read: NilRead = "initial",
        failed_cas: FailedCas = "did-not-happen",
    ) -> None:
        self._initial = initial
        self._nil_read = nil_read
        self._failed_cas = failed_cas

    def initial(self) -> Any:
        return self._initial

    def step(self, state: Any, operation: Operation) -> Any:
        return self.action(operation).step(state)

    def split(self, operation: Operation) -> Hashable:
        if operation.f != "txn":
            key: Hashable = operation.key
            return key
        # A key of null means the operation's own.
        named = [operation.key, *(micro[1] for micro in self._micro_operations(operation))]
        keys = list(dict.fromkeys(key for key in named if key is not None))
        if len(keys) > 1:
            raise self.unsuitable(operation, f"one key at a time is checked, and it has {show(tuple(keys))}")
        return keys[0] if keys else None

    def observes(self, operation: Operation) -> bool:
        f, known = operation.f, operation.outcome is Outcome.OK
        if f in READS or f in READ_COMMANDS:
            return True
        if f == "cas":
            return operation.outcome is Outcome.FAIL
        if f == "SETNX":
            return known and operation.result == 0
        if f in {"DEL", "UNLINK"}:
            return known and operation.result == 0
        if f == "GETDEL":
            return known and operation.result is None
        if f == "EXEC":
            return known and operation.result is None
        if f == "SET":
            options = set_options(operation)
            return (
                known and operation.result is None and bool(options & {"NX", "XX"}) and "GET" not in options
            )
        return False

    def counts(self, operation: Operation) -> bool:
        if operation.f == "cas" and operation.outcome is Outcome.FAIL:
            return self._failed_cas == "compare-failed"
        if operation.f in READS and operation.result is None and self._nil_read == "wildcard":
            return False
        if operation.f == "EXEC" and operation.result is None and operation.outcome is Outcome.OK:
            # Aborted, because a watched key was touched: no effect, and nothing to be learned.
            return False
        return super().counts(operation)

    def effect(self, operation: Operation) -> Hashable:
        return operation.f, operation.value

    def action(self, operation: Operation) -> Action:
        f, value, outcome = operation.f, operation.value, operation.outcome
        if f in READS:
            if outcome is Outcome.INFO:
                return Action(lambda state: state, True)
            return _read(operation.result)
        if f in WRITES:
            return _write(value)
        if f in DELETES:
            return _write(None)
        if f == "append":
            return Action(_concatenate(value, outcome is Outcome.OK), False)
        if f == "cas":
            if not isinstance(value, tuple) or len(value) != 2:
                raise self.unsuitable(operation, f"cas takes [from, to], not {show(value)}")
            return compare_and_set(operation)
        if f == "txn":
            return Action(self._transaction(operation), False)
        try:
            return self._command(operation)
        except BadArguments as error:
            raise self.unsuitable(operation, str(error)) from None

    def _command(self, operation: Operation) -> Action:
        known = operation.outcome is Outcome.OK
        arguments = arguments_of(operation)
        if operation.f == "EXEC":
            if operation.value is None:
                raise BadArguments("EXEC takes [[name, argument, ...], ...]")
            apply = transaction(operation.value)
            replies = operation.result
            if known and not (isinstance(replies, tuple) and len(replies) == len(operation.value)):
                raise BadArguments("the reply of EXEC is a list with one reply a command, or null")
            return Action(_replying(apply, replies) if known else _silent(apply), False)
        apply = command(operation.f, arguments)
        reply = operation.result
        if known and is_error(reply):
            return Action(_erring(apply), True)
        if known and operation.f in COUNTING and (not isinstance(reply, int) or isinstance(reply, bool)):
            raise BadArguments(f"the reply of {operation.f} is an integer, not {show(reply)}")
        if operation.f == "GET" and known:
            return _read(text_of(reply))
        if operation.f == "SET" and len(arguments) == 1:
            return _write(text_of(arguments[0]))
        if operation.f in RETURNS_OLD or "GET" in set_options(operation):
            reply = text_of(reply)
        return Action(_replying(apply, reply) if known else _silent(apply), self.observes(operation))

    def _micro_operations(self, operation: Operation) -> tuple[tuple[str, Any, Any], ...]:
        micros = operation.value
        if not isinstance(micros, tuple) or not all(
            isinstance(micro, tuple) and len(micro) == 3 and micro[0] in {"r", "w", "append"}
            for micro in micros
        ):
            raise self.unsuitable(operation, "txn takes [[f, key, value], ...], f one of r, w, append")
        return micros

    def _transaction(self, operation: Operation) -> Step:
        known = operation.outcome is Outcome.OK
        asked = self._micro_operations(operation)
        filled = operation.result if known else asked
        if not isinstance(filled, tuple) or [m[:2] for m in filled] != [m[:2] for m in asked]:
            raise self.unsuitable(operation, "its ok value is not the same transaction with reads filled in")
        steps: list[Step] = []
        for f, _, value in filled:
            if f == "r":
                if known:
                    steps.append(_read(value).step)
            elif f == "w":
                steps.append(_write(value).step)
            else:
                steps.append(_concatenate(value, known))

        def step(state: Any) -> Any:
            for micro in steps:
                state = micro(state)
                if state is REFUSED:
                    return REFUSED
            return state

        return step

    def needless(self, operations: Sequence[Operation]) -> set[int]:
        if all(operation.outcome is not Outcome.INFO for operation in operations):
            return set()
        seen = Seen.among(operations)
        return {
            place
            for place, operation in enumerate(operations)
            if operation.outcome is Outcome.INFO and seen.never_of(operation)
        }

    def goals(self, required: Sequence[Operation], optional: Sequence[Operation]) -> list[Goal | None] | None:
        if any(
            operation.f in {"cas", "txn", "EXEC"} or "XX" in set_options(operation) for operation in optional
        ):
            # These turn one value into another that has nothing in common with it.
            return None
        return [goal_of(operation) for operation in required]

    def use(self, operation: Operation) -> Use:
        return use_of(operation)

    def describe(self, operation: Operation) -> str:
        if operation.f in READS and operation.outcome is Outcome.OK:
            return f"{operation.f} → {show(operation.result)}"
        if operation.f.isupper():
            words = [operation.f, *(show(argument) for argument in arguments_of(operation))]
            if operation.outcome is Outcome.OK:
                return f"{' '.join(words)} → {show(operation.result)}"
            return f"{' '.join(words)} (outcome unknown)"
        return super().describe(operation)

    def describe_state(self, state: Any) -> str:
        return "no value" if state is None else show(state)


def _read(value: Any) -> Action:
    return Action(lambda state: state if state == value else REFUSED, True, RegisterView(False, value))


def _write(value: Any) -> Action:
    return Action(lambda _: value, False, RegisterView(True, value))


def _concatenate(tail: Any, known: bool) -> Step:
    def step(state: Any) -> Any:
        if state is None:
            return tail
        if isinstance(state, str) and isinstance(tail, str):
            return state + tail
        return REFUSED if known else state

    return step


def _replying(apply: Apply, reply: Any) -> Step:
    def step(state: Any) -> Any:
        try:
            after, answer = apply(state)
        except ErrorReply:
            return REFUSED
        return after if answer == reply else REFUSED

    return step


def _erring(apply: Apply) -> Step:
    def step(state: Any) -> Any:
        try:
            apply(state)
        except ErrorReply:
            return state
        return REFUSED

    return step


def _silent(apply: Apply) -> Step:
    def step(state: Any) -> Any:
        try:
            return apply(state)[0]
        except ErrorReply:
            return state

    return step
