"""A streaming reader of EDN, Clojure's data notation, as far as histories use it.

https://github.com/edn-format/edn. Keywords and symbols become their names as text (without the colon),
characters one-letter texts, sets frozensets, vectors and lists tuples, maps `Table`s. A tagged literal is
the value behind its tag. Ratios stay texts, for JSON has no place for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple

from comity.checkers.errors import HistoryError
from comity.checkers.history import Table, canonical

DEPTH_LIMIT = 200
FORM_LIMIT_BYTES = 64 << 20
"""Of one form: a text or a map that is never closed must not eat the machine."""

_TOKEN = re.compile(
    r"""[\s,]+                            # white space
    |;[^\n]*                              # comment
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<open>\#\{|[\[({])
    |(?P<close>[\])}])
    |(?P<discard>\#_)
    |(?P<special>\#\#(?:Inf|-Inf|NaN))
    |(?P<character>\\(?:newline|return|space|tab|formfeed|backspace|u[0-9a-fA-F]{4}|.))
    |(?P<atom>[^\s,;"\[\](){}\\]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_INTEGER = re.compile(r"[+-]?\d+N?\Z")
_FLOAT = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?M?\Z")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}
_CHARACTERS = {
    "newline": "\n",
    "return": "\r",
    "space": " ",
    "tab": "\t",
    "formfeed": "\f",
    "backspace": "\b",
}
_CONSTANTS: dict[str, Any] = {"nil": None, "true": True, "false": False}
_SPECIAL = {"##Inf": math.inf, "##-Inf": -math.inf, "##NaN": math.nan}
_CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}


class Form(NamedTuple):
    """One value and the number, from 1, of the line it begins at."""

    line: int
    value: Any


class _Open:
    """A collection that is not closed yet."""

    __slots__ = ("items", "kind", "line", "pending")

    def __init__(self, kind: str, line: int) -> None:
        self.kind = kind
        self.line = line
        self.items: list[Any] = []
        self.pending: list[str] = []
        """Tags and discards that wait for the next value."""


class EdnReader:
    """Lines in, values out, without recursion and with bounded memory.

    The maps of one outermost vector or list are handed out one by one, as if they stood alone: that is
    how long histories are written.
    """

    def __init__(self) -> None:
        self._stack: list[_Open] = [_Open("", 1)]
        self._atoms: dict[str, Any] = dict(_CONSTANTS)
        self._size = 0

    def forms(self, lines: Iterable[tuple[int, str]]) -> Iterator[Form]:
        """The values of these numbered lines. Raises `HistoryError` with a line for what is no EDN."""
        held, held_line = "", 0
        number = 0
        for number, text in lines:
            if held:
                text = held + text
                if len(text) > FORM_LIMIT_BYTES:
                    raise HistoryError("a text that is never closed", "", held_line)
            rest = yield from self._line(text, number)
            if rest and not held:
                held_line = number
            held = rest
        if held:
            raise HistoryError("a text that is never closed", "", held_line)
        open_one = self._stack[-1]
        if len(self._stack) > 1:
            raise HistoryError(f"the {open_one.kind} is never closed: the file is cut", "", open_one.line)
        if open_one.pending:
            raise HistoryError(f"{open_one.pending[-1]} has no value behind it", "", number)

    def _line(self, text: str, number: int) -> Generator[Form, None, str]:
        """The values completed by one line; returns an unfinished text at its end."""
        match = _TOKEN.match
        position, end = 0, len(text)
        atoms = self._atoms
        self._size += end
        while position < end:
            found = match(text, position)
            if found is None:
                if text[position] == '"':
                    return text[position:]
                raise HistoryError(f"no EDN from {text[position : position + 20]!r} on", "", number)
            position = found.end()
            kind = found.lastgroup
            if kind is None:
                continue
            token = found.group(kind)
            if kind == "atom":
                try:
                    value = atoms[token]
                except KeyError:
                    if token[0] == "#":
                        self._stack[-1].pending.append(token)
                        continue
                    value = self._atom(token, number)
            elif kind == "open":
                if len(self._stack) > DEPTH_LIMIT:
                    raise HistoryError(f"more than {DEPTH_LIMIT} collections in one another", "", number)
                self._stack.append(_Open(token, number))
                continue
            elif kind == "close":
                begun = self._close(token, number)
                value = self._collection(begun, number)
                if self._is_event(begun):
                    if not self._drop_pending():
                        yield Form(begun.line, value)
                    self._size = 0
                    continue
                number_of_form = begun.line
                if len(self._stack) == 1:
                    self._size = 0
                    wrapper = begun.kind in "[(" and not begun.items
                    if not wrapper and not self._drop_pending():
                        yield Form(number_of_form, value)
                    continue
            elif kind == "text":
                value = _unescape(token[1:-1], number) if "\\" in token else token[1:-1]
            elif kind == "discard":
                self._stack[-1].pending.append(token)
                continue
            elif kind == "character":
                name = token[1:]
                value = (
                    chr(int(name[1:], 16))
                    if len(name) == 5 and name[0] == "u"
                    else _CHARACTERS.get(name, name)
                )
            else:
                value = _SPECIAL[token]
            top = self._stack[-1]
            if top.pending and self._drop_pending():
                continue
            if len(self._stack) == 1:
                yield Form(number, value)
                self._size = 0
            else:
                top.items.append(value)
        if self._size > FORM_LIMIT_BYTES:
            raise HistoryError(f"a form of more than {FORM_LIMIT_BYTES} bytes", "", self._stack[-1].line)
        return ""

    def _is_event(self, begun: _Open) -> bool:
        return begun.kind == "{" and len(self._stack) == 2 and self._stack[1].kind in "[("

    def _drop_pending(self) -> bool:
        """A value has come: whether it is discarded. Its tags say nothing that matters here."""
        pending = self._stack[-1].pending
        while pending and pending[-1] != "#_":
            pending.pop()
        if pending:
            pending.pop()
            return True
        return False

    def _close(self, token: str, number: int) -> _Open:
        if len(self._stack) == 1:
            raise HistoryError(f"a {token} that closes nothing", "", number)
        begun = self._stack.pop()
        if _CLOSES[begun.kind] != token:
            raise HistoryError(f"a {token} closes the {begun.kind} of line {begun.line}", "", number)
        if begun.pending:
            raise HistoryError(f"{begun.pending[-1]} has no value behind it", "", number)
        return begun

    def _collection(self, begun: _Open, number: int) -> Any:
        items = begun.items
        if begun.kind in "[(":
            return tuple(items)
        try:
            if begun.kind == "#{":
                return frozenset(items)
            if len(items) % 2:
                raise HistoryError("a map with a key that has no value", "", number)
            pairs = dict(zip(items[::2], items[1::2], strict=True))
        except TypeError:
            raise HistoryError("a key that cannot be one", "", number) from None
        if self._is_event(begun) or len(self._stack) == 1:
            return pairs
        return Table(sorted(pairs.items(), key=canonical))

    def _atom(self, token: str, number: int) -> Any:
        first = token[0]
        value: Any
        if first == ":":
            value = token[1:]
            if not value:
                raise HistoryError("a keyword without a name", "", number)
        elif first.isdigit() or (first in "+-" and len(token) > 1 and token[1].isdigit()):
            if len(token) > 4000:
                raise HistoryError("a number of more than 4,000 digits", "", number)
            if _INTEGER.match(token):
                value = int(token.removesuffix("N"))
            elif _FLOAT.match(token):
                value = float(token.removesuffix("M"))
            else:
                value = token
        else:
            value = token
        if len(self._atoms) < 100_000 and len(token) < 64:
            self._atoms[token] = value
        return value


def _character(name: str) -> str:
    if len(name) == 5 and name[0] == "u":
        return chr(int(name[1:], 16))
    return _CHARACTERS.get(name, name)


def _unescape(text: str, number: int) -> str:
    def replaced(found: re.Match[str]) -> str:
        name = found.group(1)
        if len(name) == 5:
            return chr(int(name[1:], 16))
        if name not in _ESCAPES:
            raise HistoryError(f"no escape \\{name} in texts", "", number)
        return _ESCAPES[name]

    return _ESCAPE.sub(replaced, text)


def read_value(text: str) -> Any:
    """The one value of a text. Raises `HistoryError` where there is none or more than one."""
    reader = EdnReader()
    forms = list(reader.forms([(1, f"[[{text}\n]]")]))
    if len(forms) != 1 or len(forms[0].value) != 1 or len(forms[0].value[0]) != 1:
        raise HistoryError(f"not one value: {text[:60]!r}")
    return forms[0].value[0][0]
