"""The labels of pictures: operations and values in few words, and how wide words will be."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any
from xml.sax.saxutils import escape

from comity.checkers.history import Operation, Outcome, Process, Table, thaw

CHARACTER = 7.85
"""The width of a character of a label: those of all usual monospaced fonts are 0.6 of their size, 13."""
PADDING = 12.0
LINE_CHARACTERS = 26
NARROW_CHARACTERS = 16
MOST_LINES = 3
VALUE_CHARACTERS = 20
NAME_CHARACTERS = 16
READS = frozenset({"read", "get", "r", "GET"})

_EMPTY_HANDED = READS | {"dequeue", "pop", "poll"}
"""Operations whose answer "nothing" says something."""
_NARROW = frozenset("ijl.,:;'|!()[]- ftr")
_WIDE = frozenset("mwMW@→")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def label_of(o: Operation, narrow: bool) -> list[str]:
    """An operation in as few words as will do: `write x 1`, `read x → 1`, `r x [1]  append y 2`."""
    ok = o.outcome is Outcome.OK
    steps = o.result if ok and isinstance(o.result, tuple) else o.value
    if o.f in {"txn", "transaction"} and isinstance(steps, tuple) and all(map(_is_step, steps)):
        return _lines([_step(step, ok) for step in steps] or ["txn"], narrow)
    first = shortened(o.f, NAME_CHARACTERS) + ("" if o.key is None else f" {_value(o.key)}")
    words = [] if o.value is None else [_value(o.value)]
    says = o.f in _EMPTY_HANDED if o.result is None else o.result != o.value
    if ok and says:
        words.append(f"→ {_value(o.result)}")
    said = " ".join(words)
    if narrow and said:
        return [first, said]
    return [f"{first} {said}".rstrip()]


def room_of(o: Operation, narrow: bool) -> float:
    """The width of a bar that holds the label."""
    return CHARACTER * max(map(_columns_of, label_of(o, narrow))) + 2 * PADDING


def name_of(process: Process) -> str:
    """The name of a lane."""
    return f"process {process}" if isinstance(process, int) else shortened(process, NAME_CHARACTERS)


def width_of(words: str, *, bold: bool = False) -> float:
    """How wide words are at size 12 or 13, in any usual font without serifs: rather too much."""
    width = 0.0
    for character in words:
        if character in _NARROW:
            width += 4.4
        elif character in _WIDE or unicodedata.east_asian_width(character) in "WF":
            width += 12.5
        else:
            width += 9.2 if character.isupper() else 7.3
    return width * (1.06 if bold else 1.0)


def xml(words: str) -> str:
    """Words as XML text; characters that XML has no place for are shown as such."""
    return escape(_NOT_XML.sub("\ufffd", words))


def _columns_of(text: str) -> int:
    """How many characters wide a text is: some scripts take twice the room."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _is_step(step: Any) -> bool:
    return isinstance(step, tuple) and len(step) == 3


def _step(step: Any, ok: bool) -> str:
    f, key, value = step
    asked = value is None and not ok
    return f"{shortened(str(f), NAME_CHARACTERS)} {_value(key)}" + ("" if asked else f" {_value(value)}")


def _lines(pieces: list[str], narrow: bool) -> list[str]:
    """Pieces side by side, in lines that are not too long; what does not fit is left out."""
    most = NARROW_CHARACTERS if narrow else LINE_CHARACTERS
    lines: list[str] = []
    for piece in pieces:
        if lines and _columns_of(lines[-1]) + 2 + _columns_of(piece) <= most:
            lines[-1] += "  " + piece
        else:
            lines.append(piece)
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "…"]
    return lines


def _value(value: Any) -> str:
    """A value as short as it may be: a word as it is, a list as `[1 2]`."""
    if value is None:
        return "nil"
    if isinstance(value, str):
        plain = value.isprintable() and value and " " not in value
        return shortened(value if plain else json.dumps(value, ensure_ascii=False), VALUE_CHARACTERS)
    if isinstance(value, Table):
        inside = "{" + " ".join(f"{_value(key)} {_value(item)}" for key, item in value[:6]) + "}"
        return shortened(inside, VALUE_CHARACTERS)
    if isinstance(value, tuple | frozenset):
        items = list(map(_value, (value if isinstance(value, tuple) else thaw(value))[-VALUE_CHARACTERS:]))
        left = len(value)
        while len(items) > 1 and len(" ".join(items)) > VALUE_CHARACTERS - 4:
            # The end of a list is where it is new.
            items = items[1:]
        return ("[" if len(items) == left else "[… ") + " ".join(items) + "]"
    return shortened(json.dumps(value, default=str), VALUE_CHARACTERS)


def shortened(text: str, most: int) -> str:
    """At most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
