"""Files into histories: one module a family of formats, one entry a format in `FORMATS`.

A format is recognised by its content. Adding one is adding a `Format` and naming it here.
"""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, cast

from comity.checkers.errors import HistoryError
from comity.checkers.history import Event, History, HistoryBuilder
from comity.checkers.inputs.edn_events import ELLE_EDN, JEPSEN_EDN, KNOSSOS_EDN, PORCUPINE_KV
from comity.checkers.inputs.jepsen_log import JEPSEN_LOG
from comity.checkers.inputs.json_lines import JSON_LINES, JsonLinesWriter, write_history
from comity.checkers.inputs.lines import LINE_LIMIT_BYTES, Format
from comity.checkers.inputs.shape import guess_type, split_independent
from comity.checkers.semantics import Semantics

__all__ = [
    "FORMATS",
    "JSON_LINES",
    "LINE_LIMIT_BYTES",
    "Format",
    "JsonLinesWriter",
    "Reading",
    "detect",
    "open_history",
    "read_events",
    "read_history",
    "write_history",
]

FORMATS: dict[str, Format] = {
    each.name: each for each in (JSON_LINES, JEPSEN_LOG, PORCUPINE_KV, ELLE_EDN, JEPSEN_EDN, KNOSSOS_EDN)
}
"""By name, in the order in which they are tried."""
ALIASES = {"maelstrom": "jepsen-edn", "json": "json-lines", "porcupine": "porcupine-kv", "elle": "elle-edn"}
ALIASES |= {"knossos": "knossos-edn", "jepsen": "jepsen-edn"}

SNIFF_BYTES = 16384
PROGRESS_EVERY = 10_000
STANDARD_INPUT = "-"


class Reading(NamedTuple):
    """A history as it was read.

    format: the name of the format. data_type: what its operations are about, None where they do not tell.
    semantics: what is meant where sources differ, as this format has it.
    """

    history: History
    format: str
    data_type: str | None
    semantics: Semantics


def detect(head: bytes, source: str = "") -> Format:
    """The format of a file that begins with `head`. Raises `HistoryError` where none fits."""
    for candidate in FORMATS.values():
        if candidate.recognises(head):
            return candidate
    raise HistoryError(f"no known history format ({', '.join(FORMATS)}) begins like this file", source)


def format_named(name: str) -> Format:
    """The format of that name or alias. Raises `HistoryError`."""
    chosen = FORMATS.get(ALIASES.get(name, name))
    if chosen is None:
        raise HistoryError(f"no history format is called {name!r}: {', '.join([*FORMATS, *ALIASES])}")
    return chosen


def _open(source: str) -> BinaryIO:
    if source == STANDARD_INPUT:
        return cast(BinaryIO, sys.stdin.buffer)
    if source.endswith(".gz"):
        return cast(BinaryIO, gzip.open(source, "rb"))
    return open(source, "rb", buffering=1 << 18)


class _Peeked:
    """A stream whose beginning has been looked at already."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.head = stream.read(SNIFF_BYTES)
        self._left = self.head

    def readline(self, limit: int = -1) -> bytes:
        """As of a binary stream."""
        if not self._left:
            return self._stream.readline(limit)
        end = self._left.find(b"\n") + 1
        if end:
            line, self._left = self._left[:end], self._left[end:]
            return line
        line, self._left = self._left, b""
        return line + self._stream.readline(limit)


def _chosen(stream: BinaryIO, source: str, format_name: str | None) -> tuple[Format, _Peeked]:
    peeked = _Peeked(stream)
    chosen = format_named(format_name) if format_name is not None else detect(peeked.head, source)
    return chosen, peeked


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
    with _open(source) as stream:
        chosen, peeked = _chosen(stream, source, format_name)
        yield from _located(chosen, peeked, stream, source, progress)


def _located(
    chosen: Format,
    peeked: _Peeked,
    stream: BinaryIO,
    source: str,
    progress: Callable[[int], None] | None,
) -> Iterator[tuple[int, Event]]:
    count = 0
    try:
        for count, located in enumerate(chosen.events(cast(BinaryIO, peeked)), start=1):
            yield located
            if progress is not None and count % PROGRESS_EVERY == 0:
                progress(_position(stream))
    except HistoryError as error:
        raise error.at(source, error.line) from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise HistoryError(f"not a sound gzip file: {error}", source) from None
    if progress is not None:
        progress(_position(stream))


def _position(stream: BinaryIO) -> int:
    raw = getattr(stream, "fileobj", None) or stream
    try:
        return int(raw.tell())
    except (OSError, ValueError):
        return 0


def open_history(
    path: str | os.PathLike[str],
    format_name: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Reading:
    """The whole history of a file ("-" for standard input, gzip where the name ends with .gz), with what
    the file tells about it. Errors as `read_events`, and where the events make no history."""
    source = os.fspath(path)
    with _open(source) as stream:
        chosen, peeked = _chosen(stream, source, format_name)
        builder = HistoryBuilder(reuse=chosen.reuse)
        add = builder.add
        for number, event in _located(chosen, peeked, stream, source, progress):
            try:
                add(event)
            except HistoryError as error:
                raise error.at(source, number) from None
    history = split_independent(builder.build())
    return Reading(history, chosen.name, guess_type(history), chosen.semantics)


def read_history(
    path: str | os.PathLike[str],
    format_name: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> History:
    """Only the history of `open_history`."""
    return open_history(path, format_name, progress).history
