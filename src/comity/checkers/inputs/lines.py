"""What a history format is, and reading long files by lines without trusting their length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import msgspec

from comity.checkers.errors import HistoryError
from comity.checkers.history import Event
from comity.checkers.semantics import Semantics

LINE_LIMIT_BYTES = 16 * 1024 * 1024


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A way to write histories.

    recognises: whether a file may be of this format, by its first bytes. events: the events of a stream
    with the number, from 1, of the line each begins at, in bounded memory; raises `HistoryError` (without
    a source) for anything else. semantics: what its lines mean where sources differ. reuse: whether its
    processes may go on after an operation of unknown outcome.
    """

    name: str
    summary: str
    recognises: Callable[[bytes], bool]
    events: Callable[[BinaryIO], Iterator[tuple[int, Event]]]
    semantics: Semantics = Semantics()
    reuse: bool = False


def split_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a stream. Raises `HistoryError` for one that is too long."""
    number = 0
    while text := stream.readline(LINE_LIMIT_BYTES + 1):
        number += 1
        if len(text) > LINE_LIMIT_BYTES:
            raise HistoryError(f"a line of more than {LINE_LIMIT_BYTES} bytes", "", number)
        yield number, text


def text_lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """The same as text. Raises `HistoryError` where it is not UTF-8."""
    for number, line in split_lines(stream):
        try:
            yield number, line.decode()
        except UnicodeDecodeError:
            raise HistoryError("not UTF-8 text", "", number) from None
