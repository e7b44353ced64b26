"""What operations of a key-value map need, leave behind and give away, without running them.

Everything here only spares the search work: it says what cannot help or cannot have been seen, and is
checked against trying every order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from comity.checkers.datatypes.base import ANYTHING, Goal, Use
from comity.checkers.datatypes.commands import READ_COMMANDS, as_integer, is_error, text_of
from comity.checkers.datatypes.register import READS, WRITES
from comity.checkers.history import Operation, Outcome

DELETES = frozenset({"delete", "del", "remove"})
ADDS = frozenset({"INCR", "DECR", "INCRBY", "DECRBY"})
APPENDS = frozenset({"append", "APPEND"})
RETURNS_OLD = frozenset({"GET", "GETSET", "GETDEL"})
SEARCH_BUDGET = 2_000_000


def arguments_of(operation: Operation) -> tuple[Any, ...]:
    """The arguments of an upper-case command: a list, or a single one."""
    if operation.value is None:
        return ()
    return operation.value if isinstance(operation.value, tuple) else (operation.value,)


def set_options(operation: Operation) -> set[str]:
    """The options of a SET, in upper case; none of any other operation."""
    if operation.f != "SET":
        return set()
    return {option.upper() for option in arguments_of(operation)[1:] if isinstance(option, str)}


def use_of(operation: Operation) -> Use:
    """See `DataType.use`."""
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
        return _adding(operation)
    if f == "APPEND":
        return _appending(text_of(arguments[0]))
    # What is left writes its argument or deletes, and may return what it found.
    returns_old = f in RETURNS_OLD or "GET" in set_options(operation)
    makes = text_of(arguments[0]) if f in {"SET", "SETNX", "GETSET"} else None
    return Use(text_of(result) if known and returns_old else ANYTHING, "value", makes)


def _appending(tail: Any) -> Use:
    if isinstance(tail, str) and tail:
        return Use(ANYTHING, "ending", tail, "text")
    return Use(ANYTHING, "test", _always)


def _adding(operation: Operation) -> Use:
    arguments = arguments_of(operation)
    amount = int(arguments[0]) if arguments else 1
    amount = -amount if operation.f.startswith("DECR") else amount
    grows: Literal["", "number"] = "number" if amount > 0 else ""
    if operation.outcome is not Outcome.OK:
        return Use(ANYTHING, "test", _is_number, grows)
    before = operation.result - amount
    # No value counts as 0, so that 1 may come from either.
    return Use(str(before) if before else ANYTHING, "value", str(operation.result), grows)


def _is_number(state: Any) -> bool:
    return as_integer(state) is not None


def goal_of(operation: Operation) -> Goal | None:
    """See `DataType.goals`; not where an optional operation turns one value into an unrelated one."""
    f, result = operation.f, operation.result
    if f in WRITES or f in DELETES:
        return None
    if f in READS:
        return _grows_into(result)
    if f == "cas" and operation.outcome is Outcome.OK:
        return _grows_into(operation.value[0])
    if not f.isupper() or f == "EXEC" or is_error(result):
        return _always
    options = set_options(operation)
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


class Seen(msgspec.Struct):
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
    def among(cls, operations: Sequence[Operation]) -> Seen:
        """What these operations on one key show."""
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
            elif f in {"EXEC", "txn"} or (not known and "XX" in set_options(operation)):
                # What these do depends on what they find, of whatever outcome they are.
                seen.presence = float("inf")
            elif known:
                if f in READS or f in RETURNS_OLD or "GET" in set_options(operation):
                    seen.add(operation.result, until)
                if not _blind(operation):
                    seen.presence = max(seen.presence, until)
        if seen.chains:
            lengths = sum(len(value) for value in seen.values if isinstance(value, str))
            seen.affordable = indeterminate * (lengths + 1) <= SEARCH_BUDGET
        return seen

    def add(self, value: Any, until: int | float) -> None:
        """The value may have been found up to the event `until`."""
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
        "XX" not in set_options(o)
        and ("NX" not in set_options(o) or "GET" in set_options(o) or o.result is not None)
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
