"""The notation of a command's arguments, read into the form COMMAND DOCS gives them in.

    key                      an argument        [x]     may be left out
    EX seconds               a word and one     x...    once or more often
    NX|XX                    one of them        {x y}   together
Upper case is written as it is; anything else names a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_TOKEN = re.compile(r"\.\.\.|[][{}|]|[^][{}|\s.]+(?:\.[^][{}|\s.]+)*")

_KINDS = {
    "key": "key",
    "newkey": "key",
    "source": "key",
    "destination": "key",
    "pattern": "pattern",
    "unix-time-seconds": "unix-time",
    "unix-time-milliseconds": "unix-time",
    **dict.fromkeys(
        (
            "seconds",
            "milliseconds",
            "start",
            "end",
            "offset",
            "decrement",
            "cursor",
            "count",
            "index",
            "sequence",
        ),
        "integer",
    ),
    "protover": "integer",
    "destination-db": "integer",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument. kind: "key", "string", "integer", "pattern", "unix-time", "pure-token", "oneof" or
    "block"; token: the word before it; flags: "optional", "multiple"; parts: of a oneof or a block."""

    name: str
    kind: str
    token: str = ""
    flags: tuple[str, ...] = ()
    parts: tuple[Argument, ...] = ()
    key_index: int = 0


class _Reader:
    def __init__(self, syntax: str) -> None:
        self.words = _TOKEN.findall(syntax)
        self.position = 0
        self.keys = 0

    def peek(self) -> str:
        return self.words[self.position] if self.position < len(self.words) else ""

    def take(self) -> str:
        word = self.peek()
        self.position += 1
        return word

    def sequence(self, closing: str) -> list[Argument]:
        """Arguments up to the closing bracket; choices between bars become one."""
        choices: list[list[Argument]] = [[]]
        while self.peek() != closing:
            if self.peek() == "":
                raise ValueError(f"the notation ends before {closing!r}")
            if self.peek() == "|":
                self.take()
                choices.append([])
                continue
            choices[-1].append(self.one())
        self.take()
        if len(choices) == 1:
            return choices[0]
        parts = tuple(_together(choice) for choice in choices)
        return [Argument(_common_name(parts), "oneof", parts=parts)]

    def one(self) -> Argument:
        word = self.take()
        if word == "[":
            argument = _together(self.sequence("]"))
            argument = replace(argument, flags=(*argument.flags, "optional"))
        elif word == "{":
            argument = _together(self.sequence("}"))
        elif word.isupper():
            following = self.peek()
            if following and following not in "[]{}|..." and not following.isupper():
                argument = replace(self.one(), token=word)
                if "multiple" in argument.flags:
                    return argument
            else:
                argument = Argument(word.lower(), "pure-token", token=word)
        else:
            kind = _KINDS.get(word, "string")
            argument = Argument(word, kind, key_index=self.keys)
            self.keys += kind == "key"
        if self.peek() == "...":
            self.take()
            argument = replace(argument, flags=(*argument.flags, "multiple"))
        return argument


def parse(syntax: str) -> list[Argument]:
    """The arguments of a notation; [] for none."""
    return _Reader(syntax).sequence("")


def _together(arguments: list[Argument]) -> Argument:
    if len(arguments) == 1:
        return arguments[0]
    return Argument("-".join(part.name for part in arguments), "block", parts=tuple(arguments))


def _common_name(parts: tuple[Argument, ...]) -> str:
    return "-or-".join(part.name for part in parts) if len(parts) <= 2 else "choice"
