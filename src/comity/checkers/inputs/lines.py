"""What a history format is, and reading long files by lines without trusting their length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from comity.checkers.errors import HistoryError
from comity.checkers.history import Event

LINE_LIMIT_BYTES = 16 * 1024 * 1024


class Line(NamedTuple):
    """One unit of input and the number, from 1, of the line it begins at."""

    number: int
    text: bytes


class Format(msgspec.Struct, frozen=True):
    """A way to write histories.

    recognises: whether a file may be of this format, by its first bytes. lines: cuts a stream into the
    units that hold one event each. parse: a unit into its event; None where it holds none; raises
    `HistoryError` otherwise.
    """

    name: str
    recognises: Callable[[bytes], bool]
    lines: Callable[[BinaryIO, str], Iterator[Line]]
    parse: Callable[[bytes], Event | None]


def split_lines(stream: BinaryIO, source: str) -> Iterator[Line]:
    """The lines of a stream, without their ends. Raises `HistoryError` for one that is too long."""
    number = 0
    while text := stream.readline(LINE_LIMIT_BYTES + 1):
        number += 1
        if len(text) > LINE_LIMIT_BYTES:
            raise HistoryError(f"a line of more than {LINE_LIMIT_BYTES} bytes", source, number)
        yield Line(number, text)
