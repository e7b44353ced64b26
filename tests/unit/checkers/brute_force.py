"""The slow, obviously correct twin: every order is tried, straight from the definition.

Nothing of the product's search, models or splitting is used: only its history type. A specification is
one function, (state, f, value) -> (next state, result), that does what the object does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comity.checkers import History, Operation, Outcome, freeze

Specification = Callable[[Any, str, Any], tuple[Any, Any]]


ERROR = freeze({"error": "ERR value is not an integer or out of range"})


class Impossible(Exception):
    """The object answers with an error, changing nothing."""


def is_linearizable(history: History, initial: Any, specification: Specification) -> bool:
    """Does some order explain the whole history, one object a key?"""
    return all(
        _has_order(initial, [o for o in history.operations if o.key == key], specification, set())
        for key in history.all_keys()
    )


def _has_order(
    state: Any, left: list[Operation], specification: Specification, failed: set[tuple[Any, frozenset[int]]]
) -> bool:
    """Is there an order of `left` from `state` on that has every operation that happened, and any
    selection of those of unknown outcome? failed: what has been tried before, with all that was left."""
    tried = (state, frozenset(operation.index for operation in left))
    if tried in failed:
        return False
    happened = [o for o in left if o.outcome is Outcome.OK]
    if not happened:
        return True
    for operation in left:
        if operation.outcome is Outcome.FAIL:
            continue
        if any(other.completed < operation.invoked for other in happened):  # type: ignore[operator]
            continue
        try:
            after, result = specification(state, operation.f, operation.value)
        except Impossible:
            after, result = state, ERROR
        if operation.outcome is Outcome.OK and result != expected_result(operation):
            continue
        if _has_order(after, [other for other in left if other is not operation], specification, failed):
            return True
    failed.add(tried)
    return False


def expected_result(operation: Operation) -> Any:
    """What the specification must answer: lower-case writes record nothing of interest."""
    if operation.f in {"write", "put", "append", "delete"}:
        return None
    if operation.f == "cas":
        return True
    return operation.result


def register(state: Any, f: str, value: Any) -> tuple[Any, Any]:
    """read, write, cas."""
    if f == "read":
        return state, state
    if f == "write":
        return value, None
    assert f == "cas"
    return (value[1], True) if state == value[0] else (state, False)


def key_value(state: Any, f: str, value: Any) -> tuple[Any, Any]:
    """The lower-case operations and the string commands, on one key."""
    if f == "get":
        return state, state
    if f == "put":
        return value, None
    if f == "append":
        return (state or "") + value, None
    if f == "delete":
        return None, None
    if f == "cas":
        return register(state, f, value)
    if f == "txn":
        filled = []
        for micro, key, argument in value:
            if micro == "r":
                filled.append((micro, key, state))
            else:
                state = argument if micro == "w" else (state or "") + argument
                filled.append((micro, key, argument))
        return state, tuple(filled)
    if f == "EXEC":
        replies = []
        for name, *arguments in value:
            try:
                state, reply = redis_command(state, name, arguments)
            except Impossible:
                reply = ERROR
            replies.append(reply)
        return state, tuple(replies)
    arguments = [] if value is None else list(value) if isinstance(value, tuple) else [value]
    return redis_command(state, f, arguments)


def redis_command(state: Any, name: str, arguments: list[Any]) -> tuple[Any, Any]:
    """One string command as the Redis documentation describes it."""
    exists = state is not None
    if name == "GET":
        return state, state
    if name == "SET":
        value, options = str(arguments[0]), arguments[1:]
        does = not (("NX" in options and exists) or ("XX" in options and not exists))
        if "GET" in options:
            return (value if does else state), state
        return (value, "OK") if does else (state, None)
    if name == "SETNX":
        return (state, 0) if exists else (str(arguments[0]), 1)
    if name == "GETSET":
        return str(arguments[0]), state
    if name == "GETDEL":
        return None, state
    if name == "APPEND":
        whole = (state if exists else "") + arguments[0]
        return whole, len(whole)
    if name == "STRLEN":
        return state, len(state) if exists else 0
    if name in {"DEL", "UNLINK"}:
        return None, int(exists)
    if name == "EXISTS":
        return state, int(exists)
    amount = int(arguments[0]) if arguments else 1
    try:
        number = int(state) if exists else 0
    except ValueError:
        raise Impossible from None
    if exists and str(number) != state:
        raise Impossible  # such as 07
    number += amount if name.startswith("INCR") else -amount
    return str(number), number
