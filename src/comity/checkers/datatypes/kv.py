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

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import msgspec

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
from comity.checkers.datatypes.commands import (
    READ_COMMANDS,
    Apply,
    BadArguments,
    ErrorReply,
    as_integer,
    command,
    is_error,
    text_of,
    transaction,
)
from comity.checkers.datatypes.register import READS, WRITES, FailedCas, NilRead, compare_and_set
from comity.checkers.history import Operation, Outcome

DELETES = frozenset({"delete", "del", "remove"})
ADDS = frozenset({"INCR", "DECR", "INCRBY", "DECRBY"})
APPENDS = frozenset({"append", "APPEND"})
RETURNS_OLD = frozenset({"GET", "GETSET", "GETDEL"})
SEARCH_BUDGET = 2_000_000


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
            options = _upper_options(operation)
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
        if operation.f == "GET" and known:
            return _read(text_of(reply))
        if operation.f == "SET" and len(arguments) == 1:
            return _write(text_of(arguments[0]))
        if operation.f in RETURNS_OLD or "GET" in _upper_options(operation):
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
        seen = _Seen.among(operations)
        return {
            place
            for place, operation in enumerate(operations)
            if operation.outcome is Outcome.INFO and seen.never_of(operation)
        }

    def goals(self, required: Sequence[Operation], optional: Sequence[Operation]) -> list[Goal | None] | None:
        if any(
            operation.f in {"cas", "txn", "EXEC"} or "XX" in _upper_options(operation)
            for operation in optional
        ):
            # These turn one value into another that has nothing in common with it.
            return None
        return [_goal(operation) for operation in required]

    def use(self, operation: Operation) -> Use:
        return _use(operation)

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


def arguments_of(operation: Operation) -> tuple[Any, ...]:
    """The arguments of an upper-case command: a list, or a single one."""
    if operation.value is None:
        return ()
    return operation.value if isinstance(operation.value, tuple) else (operation.value,)


def _upper_options(operation: Operation) -> set[str]:
    if operation.f != "SET":
        return set()
    return {option.upper() for option in arguments_of(operation)[1:] if isinstance(option, str)}


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


def _use(operation: Operation) -> Use:
    f, result, known = operation.f, operation.result, operation.outcome is Outcome.OK
    if f in READS or f == "GET":
        return Use(text_of(result) if f == "GET" else result, "nothing")
    if f in WRITES:
        return Use(ANYTHING, "value", operation.value)
    if f in DELETES:
        return Use(ANYTHING, "value", None)
    if f == "append":
        return _appending(operation.value)
    if f == "cas":
        if operation.outcome is Outcome.FAIL:
            return Use(ANYTHING, "nothing")
        return Use(operation.value[0] if known else ANYTHING, "value", operation.value[1])
    if f in {"txn", "EXEC"}:
        return Use(ANYTHING, "test", _always)
    if (known and is_error(result)) or f in READ_COMMANDS:
        return Use(ANYTHING, "nothing")
    arguments = arguments_of(operation)
    if f in ADDS:
        return Use(ANYTHING, "value", str(result)) if known else Use(ANYTHING, "test", _is_number)
    if f == "APPEND":
        return _appending(text_of(arguments[0]))
    # What is left writes its argument or deletes, and may return what it found.
    returns_old = f in RETURNS_OLD or "GET" in _upper_options(operation)
    makes = text_of(arguments[0]) if f in {"SET", "SETNX", "GETSET"} else None
    return Use(text_of(result) if known and returns_old else ANYTHING, "value", makes)


def _appending(tail: Any) -> Use:
    if isinstance(tail, str) and tail:
        return Use(ANYTHING, "ending", tail)
    return Use(ANYTHING, "test", _always)


def _is_number(state: Any) -> bool:
    return as_integer(state) is not None


def _goal(operation: Operation) -> Goal | None:
    f, result = operation.f, operation.result
    if f in WRITES or f in DELETES:
        return None
    if f in READS:
        return _grows_into(result)
    if f == "cas" and operation.outcome is Outcome.OK:
        return _grows_into(operation.value[0])
    if not f.isupper() or f == "EXEC" or is_error(result):
        return _always
    options = _upper_options(operation)
    if f in RETURNS_OLD or "GET" in options:
        return _grows_into(text_of(result))
    if f == "SET" and not options & {"NX", "XX"}:
        return None
    if f == "APPEND":
        return _grows_to(result - len(arguments_of(operation)[0].encode()))
    if f == "STRLEN":
        return _grows_to(result)
    if f in ADDS:
        return lambda state: state is None or as_integer(state) is not None
    absent = (
        result == 1
        if f == "SETNX"
        else (result is None) == ("XX" in options)
        if f == "SET"
        else result == 0  # DEL, UNLINK, EXISTS
    )
    return (lambda state: state is None) if absent else _always


def _always(_: Any) -> bool:
    return True


def _grows_into(value: Any) -> Goal:
    """Whether a state is `value`, or what may become it by appending and counting."""
    if not isinstance(value, str):
        return lambda state: state is None or state == value

    def goal(state: Any) -> bool:
        return state is None or not isinstance(state, str) or value.startswith(state) or _counts(state)

    return goal


def _grows_to(length: int) -> Goal:
    def goal(state: Any) -> bool:
        return not isinstance(state, str) or len(state.encode()) <= length or _counts(state)

    return goal


def _counts(state: str) -> bool:
    return as_integer(state) is not None


class _Seen(msgspec.Struct):
    """What operations on one key show of the values it has held.

    values: a value something may have found -> the last event at which it can have. presence: the last
    event at which something may have found only that there was a value, or its length. numbers, chains:
    whether anything adds to, or appends to, what it finds.
    """

    values: dict[Any, int | float]
    presence: int | float
    numbers: bool
    chains: bool
    affordable: bool

    @classmethod
    def among(cls, operations: Sequence[Operation]) -> _Seen:
        seen = cls({}, -1, False, False, True)
        indeterminate = 0
        for operation in operations:
            f = operation.f
            known = operation.outcome is not Outcome.INFO
            until: int | float = float("inf")
            if known and operation.completed is not None:
                until = operation.completed
            indeterminate += not known
            seen.numbers |= f in ADDS
            seen.chains |= f in APPENDS
            if f == "cas":
                seen.add(operation.value[0], until)
                if operation.outcome is Outcome.FAIL:
                    seen.presence = max(seen.presence, until)
            elif f in {"EXEC", "txn"} or (not known and "XX" in _upper_options(operation)):
                # What these do depends on what they find, of whatever outcome they are.
                seen.presence = float("inf")
            elif known:
                if f in READS or f in RETURNS_OLD or "GET" in _upper_options(operation):
                    seen.add(operation.result, until)
                if not _blind(operation):
                    seen.presence = max(seen.presence, until)
        if seen.chains:
            lengths = sum(len(value) for value in seen.values if isinstance(value, str))
            seen.affordable = indeterminate * (lengths + 1) <= SEARCH_BUDGET
        return seen

    def add(self, value: Any, until: int | float) -> None:
        text = str(value) if isinstance(value, int) else value
        self.values[text] = max(self.values.get(text, -1), until)

    def never_of(self, operation: Operation) -> bool:
        """Whether nothing after its invocation can have seen what this operation leaves behind."""
        left = _left_behind(operation)
        if left is None or self.presence > operation.invoked or not self.affordable:
            return False
        text = str(left) if isinstance(left, int) else left
        if self.numbers and (text == "" or as_integer(text) is not None or self.chains):
            return False
        if not self.chains:
            return self.values.get(text, -1) < operation.invoked
        if not isinstance(text, str):
            return False
        return not any(
            until > operation.invoked and (not isinstance(value, str) or text in value)
            for value, until in self.values.items()
            if value is not None
        )


_BLIND: dict[str, Callable[[Operation], bool]] = {
    "SET": lambda o: (
        "XX" not in _upper_options(o)
        and ("NX" not in _upper_options(o) or "GET" in _upper_options(o) or o.result is not None)
    ),
    "SETNX": lambda o: bool(o.result == 1),
    "GET": lambda _: True,
    "GETSET": lambda _: True,
    "GETDEL": lambda _: True,
    "DEL": lambda o: bool(o.result == 0),
    "UNLINK": lambda o: bool(o.result == 0),
    "EXISTS": lambda o: bool(o.result == 0),
}


def _blind(operation: Operation) -> bool:
    """Whether it shows nothing but values it has found as a whole, or that there was none."""
    if not operation.f.isupper():
        return True
    if is_error(operation.result):
        return False
    test = _BLIND.get(operation.f)
    # Additions find a number, and `numbers` stands for them.
    return operation.f in ADDS or (test is not None and test(operation))


def _left_behind(operation: Operation) -> Any:
    """The value an operation writes, or appends; None where it does something else."""
    if operation.f in WRITES or operation.f == "append":
        return operation.value
    if operation.f == "cas":
        return operation.value[1]
    if operation.f in {"SET", "SETNX", "GETSET", "APPEND"}:
        arguments = arguments_of(operation)
        return arguments[0] if arguments else None
    return None
