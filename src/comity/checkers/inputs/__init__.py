"""Files into histories: one module a format, one entry a format in `FORMATS`.

A format is recognised by its content. Adding one is adding a module with a `Format` and naming it here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from comity.checkers.errors import HistoryError
from comity.checkers.history import Event, History, HistoryBuilder
from comity.checkers.inputs.json_lines import JSON_LINES, JsonLinesWriter, write_history
from comity.checkers.inputs.lines import LINE_LIMIT_BYTES, Format, Line

__all__ = [
    "FORMATS",
    "JSON_LINES",
    "LINE_LIMIT_BYTES",
    "Format",
    "JsonLinesWriter",
    "Line",
    "detect",
    "read_events",
    "read_history",
    "write_history",
]

FORMATS: dict[str, Format] = {JSON_LINES.name: JSON_LINES}

SNIFF_BYTES = 4096
PROGRESS_EVERY = 10_000


def detect(head: bytes, source: str = "") -> Format:
    """The format of a file that begins with `head`. Raises `HistoryError` where none fits."""
    for candidate in FORMATS.values():
        if candidate.recognises(head):
            return candidate
    raise HistoryError(f"no known history format ({', '.join(FORMATS)}) begins like this file", source)


def read_events(
    path: str | os.PathLike[str],
    format_name: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, Event]]:
    """The events of a file with their line numbers, one after the other, in bounded memory.

    progress: called now and then with the number of bytes read so far. Raises `HistoryError` with file,
    line and reason for anything that is not an event, and OSError where the file cannot be read.
    """
    source = os.fspath(path)
    with open(source, "rb") as stream:
        if format_name is None:
            chosen = detect(stream.read(SNIFF_BYTES), source)
            stream.seek(0)
        elif format_name in FORMATS:
            chosen = FORMATS[format_name]
        else:
            raise HistoryError(f"no history format is called {format_name!r}: {', '.join(FORMATS)}", source)
        yield from _located(stream, chosen, source, progress)


def _located(
    stream: BinaryIO, chosen: Format, source: str, progress: Callable[[int], None] | None
) -> Iterator[tuple[int, Event]]:
    for count, line in enumerate(chosen.lines(stream, source), start=1):
        try:
            event = chosen.parse(line.text)
        except HistoryError as error:
            raise error.at(source, line.number) from None
        if event is not None:
            yield line.number, event
        if progress is not None and count % PROGRESS_EVERY == 0:
            progress(stream.tell())
    if progress is not None:
        progress(stream.tell())


def read_history(
    path: str | os.PathLike[str],
    format_name: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> History:
    """The whole history of a file. Errors as `read_events`, and where the events make no history."""
    builder = HistoryBuilder()
    for number, event in read_events(path, format_name, progress):
        try:
            builder.add(event)
        except HistoryError as error:
            raise error.at(os.fspath(path), number) from None
    return builder.build()
