"""The string commands of the Redis protocol on one key, as functions from a state.

A state is the text under the key, or None where there is no key. Redis keeps bytes; a history keeps
their text, and lengths count the bytes of its UTF-8 form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from comity.checkers.history import Table

Apply = Callable[[Any], tuple[Any, Any]]
"""state -> (next state, reply). Raises `ErrorReply` where the server answers with an error."""

READ_COMMANDS = frozenset({"GET", "STRLEN", "EXISTS"})

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1


class ErrorReply(Exception):
    """The server would have answered with an error, and changed nothing."""


class BadArguments(Exception):
    """Not a command of this table, or not one that can be judged; says why."""


def text_of(value: Any) -> Any:
    """A scalar as Redis stores it; None stays None. Raises `BadArguments` for anything else."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise BadArguments(f"{value!r} is not a string")


def as_integer(text: Any) -> int | None:
    """The 64-bit integer that `text` is in Redis's eyes, or None."""
    if isinstance(text, str) and _INTEGER.fullmatch(text):
        number = int(text)
        if _LOWEST <= number <= _HIGHEST:
            return number
    return None


def command(name: str, arguments: Sequence[Any]) -> Apply:
    """The command `name`, upper case, with its arguments after the key. Raises `BadArguments`."""
    make = _COMMANDS.get(name)
    if make is None:
        raise BadArguments(f"kv has get, put, append, delete, cas, txn, EXEC and {', '.join(_COMMANDS)}")
    make_with, least, most = make
    if not least <= len(arguments) <= most:
        raise BadArguments(f"{name} takes {least} to {most} arguments after its key, not {len(arguments)}")
    texts = [text_of(argument) for argument in arguments]
    if any(text is None for text in texts):
        raise BadArguments(f"{name} has a null among its arguments")
    return make_with(texts)


def transaction(commands: Sequence[Any]) -> Apply:
    """EXEC of [[name, argument, ...], ...], all on one key: the replies as a tuple.

    A command that is answered with an error does not stop the others.
    """
    steps = []
    for item in commands:
        if not isinstance(item, tuple) or not item or not isinstance(item[0], str):
            raise BadArguments("EXEC takes [[name, argument, ...], ...]")
        steps.append(command(item[0].upper(), item[1:]))

    def apply(state: Any) -> tuple[Any, Any]:
        replies = []
        for step in steps:
            try:
                state, reply = step(state)
            except ErrorReply:
                reply = _AN_ERROR
            replies.append(reply)
        return state, tuple(replies)

    return apply


def is_error(reply: Any) -> bool:
    """Whether a recorded reply is an error of the server: {"error": text}."""
    return isinstance(reply, Table) and len(reply) == 1 and reply[0][0] == "error"


class _AnError:
    """Equal to every error reply, whatever its text."""

    def __eq__(self, other: object) -> bool:
        return is_error(other)

    def __hash__(self) -> int:
        return 0


_AN_ERROR = _AnError()


def _get(_: list[str]) -> Apply:
    return lambda state: (state, state)


def _set(arguments: list[str]) -> Apply:
    value = arguments[0]
    options = {option.upper() for option in arguments[1:]}
    unknown = options - {"NX", "XX", "GET", "KEEPTTL"}
    if unknown:
        raise BadArguments(f"SET with {' '.join(sorted(unknown))} cannot be judged: time is not modelled")
    if {"NX", "XX"} <= options:
        raise BadArguments("SET with both NX and XX")
    only_new, only_old, returns_old = "NX" in options, "XX" in options, "GET" in options

    def apply(state: Any) -> tuple[Any, Any]:
        refused = (only_new and state is not None) or (only_old and state is None)
        if returns_old:
            return (state if refused else value), state
        return (state, None) if refused else (value, "OK")

    return apply


def _setnx(arguments: list[str]) -> Apply:
    value = arguments[0]
    return lambda state: (value, 1) if state is None else (state, 0)


def _getset(arguments: list[str]) -> Apply:
    value = arguments[0]
    return lambda state: (value, state)


def _getdel(_: list[str]) -> Apply:
    return lambda state: (None, state)


def _append(arguments: list[str]) -> Apply:
    tail = arguments[0]

    def apply(state: Any) -> tuple[Any, Any]:
        whole = (state or "") + tail
        return whole, len(whole.encode())

    return apply


def _strlen(_: list[str]) -> Apply:
    return lambda state: (state, len((state or "").encode()))


def _delete(_: list[str]) -> Apply:
    return lambda state: (None, 0 if state is None else 1)


def _exists(_: list[str]) -> Apply:
    return lambda state: (state, 0 if state is None else 1)


def _add(amount: int) -> Apply:
    def apply(state: Any) -> tuple[Any, Any]:
        number = 0 if state is None else as_integer(state)
        if number is None or not _LOWEST <= number + amount <= _HIGHEST:
            raise ErrorReply
        return str(number + amount), number + amount

    return apply


def _amount(text: str) -> int:
    amount = as_integer(text)
    if amount is None:
        raise BadArguments(f"{text!r} is not an integer")
    return amount


_COMMANDS: dict[str, tuple[Callable[[list[str]], Apply], int, int]] = {
    "GET": (_get, 0, 0),
    "SET": (_set, 1, 4),
    "SETNX": (_setnx, 1, 1),
    "GETSET": (_getset, 1, 1),
    "GETDEL": (_getdel, 0, 0),
    "APPEND": (_append, 1, 1),
    "STRLEN": (_strlen, 0, 0),
    "INCR": (lambda _: _add(1), 0, 0),
    "DECR": (lambda _: _add(-1), 0, 0),
    "INCRBY": (lambda arguments: _add(_amount(arguments[0])), 1, 1),
    "DECRBY": (lambda arguments: _add(-_amount(arguments[0])), 1, 1),
    "DEL": (_delete, 0, 0),
    "UNLINK": (_delete, 0, 0),
    "EXISTS": (_exists, 0, 0),
}
