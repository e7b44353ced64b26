"""JSON lines: one event a line, an object with process, type, f, key, value and time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from comity.checkers.errors import HistoryError
from comity.checkers.history import Event, History, freeze, thaw
from comity.checkers.inputs.lines import Format, split_lines

_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()


def parse_event(text: bytes) -> Event | None:
    """The event of one line; None for a blank line. Raises `HistoryError` without a place.

    Fields that are not named above are ignored.
    """
    try:
        event = _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise HistoryError(f"not an event: {error}") from None
    except msgspec.DecodeError as error:
        if not text.strip():
            return None
        raise HistoryError(f"not JSON: {error}") from None
    except UnicodeDecodeError:
        raise HistoryError("not UTF-8 text") from None
    value, key = event.value, event.key
    if isinstance(value, list | dict) or isinstance(key, list | dict):
        return Event(event.process, event.type, event.f, freeze(key), freeze(value), event.time)
    return event


def encode_event(event: Event) -> bytes:
    """One line, with its end."""
    fields: dict[str, Any] = {
        "process": event.process,
        "type": event.type.value,
        "f": event.f,
        "key": thaw(event.key),
        "value": thaw(event.value),
        "time": event.time,
    }
    return _encoder.encode(fields) + b"\n"


def _recognises(head: bytes) -> bool:
    start = head.lstrip()
    if not start:
        return True
    # EDN maps begin with a brace too, but their keys are keywords.
    return start.startswith(b"{") and start[1:].lstrip()[:1] in {b'"', b"}"}


class JsonLinesWriter:
    """Writes events to a binary stream as they come. The stream is the caller's to flush and close."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, event: Event) -> None:
        """Append one event."""
        self._stream.write(encode_event(event))


def write_history(history: History, path: str | os.PathLike[str]) -> None:
    """Write a whole history to a new file, or over an old one."""
    with open(path, "wb") as stream:
        writer = JsonLinesWriter(stream)
        for event in history.events():
            writer.write(event)


def _events(stream: BinaryIO) -> Iterator[tuple[int, Event]]:
    for number, text in split_lines(stream):
        try:
            event = parse_event(text)
        except HistoryError as error:
            raise error.at("", number) from None
        if event is not None:
            yield number, event


JSON_LINES = Format(
    name="json-lines",
    summary="one JSON object an event: process, type, f, key, value, time",
    recognises=_recognises,
    events=_events,
    reuse=True,
)
