"""Histories in EDN: Jepsen's, Maelstrom's, Knossos's, Elle's and Porcupine's, each a map an event."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from comity.checkers.errors import HistoryError
from comity.checkers.history import NEMESIS, Event, EventType, freeze
from comity.checkers.inputs.edn import EdnReader
from comity.checkers.inputs.lines import Format, text_lines
from comity.checkers.semantics import Semantics

_TYPES = {kind.value: kind for kind in EventType}
_MICRO_OPERATIONS = frozenset({"r", "w", "append", "read", "write"})


class _Events:
    """Turns the maps of one file into events; names what has no process of its own."""

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self._open: list[str] = []
        self._unnamed = 0

    def of(self, fields: Any) -> Iterator[Event]:
        """The events of one map: one, or two where only a completion was written down."""
        if not isinstance(fields, Mapping):
            raise HistoryError(f"an event is a map, not {str(fields)[:60]!r}")
        if any("/" in str(name) for name in fields):
            fields = {str(name).rpartition("/")[2]: value for name, value in fields.items()}
        kind = _TYPES.get(fields.get("type"))
        if kind is None:
            raise HistoryError(
                f"an event's :type is :invoke, :ok, :fail or :info, not {fields.get('type')!r}"
            )
        value = fields.get("value")
        if value is not None and not isinstance(value, str | int | float | tuple | frozenset):
            value = freeze(value)
        f = fields.get("f")
        if f is None:
            if not _is_transaction(value):
                raise HistoryError("an event without :f")
            f = "txn"
        time = fields.get("time", fields.get("index"))
        if not isinstance(time, int):
            time = None
        key = fields.get("key")
        process = fields.get("process")
        if process is None:
            if self._strict:
                raise HistoryError("an event without :process")
            yield from self._unnamed_events(kind, str(f), key, value, time)
        elif process == NEMESIS:
            yield Event(NEMESIS, kind, str(f), None, None, time)
        elif isinstance(process, int | str):
            yield Event(process, kind, str(f), key, value, time)
        else:
            raise HistoryError(f"a process is a number or a keyword, not {process!r}")

    def _unnamed_events(
        self, kind: EventType, f: str, key: Any, value: Any, time: int | None
    ) -> Iterator[Event]:
        """Every operation without a process is a process of its own: nothing is known of its session."""
        if kind is EventType.INVOKE:
            self._unnamed += 1
            self._open.append(f"unnamed {self._unnamed}")
            yield Event(self._open[-1], kind, f, key, value, time)
            return
        if self._open:
            yield Event(self._open.pop(), kind, f, key, value, time)
            return
        self._unnamed += 1
        name = f"unnamed {self._unnamed}"
        yield Event(name, EventType.INVOKE, f, key, value, time)
        yield Event(name, kind, f, key, value, time)


def _is_transaction(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(step, tuple) and len(step) == 3 and step[0] in _MICRO_OPERATIONS for step in value
    )


def _events(strict: bool) -> Any:
    def events(stream: BinaryIO) -> Iterator[tuple[int, Event]]:
        maker = _Events(strict)
        for form in EdnReader().forms(text_lines(stream)):
            try:
                yield from ((form.line, event) for event in maker.of(form.value))
            except HistoryError as error:
                raise error.at("", form.line) from None

    return events


def first_map(head: bytes) -> str:
    """The text of the first event in the beginning of a file; "" where it does not begin with a map."""
    text = re.sub(r"^\s*;.*$", "", head.decode("utf-8", "replace"), flags=re.MULTILINE)
    text = text.lstrip("\ufeff \t\r\n,[(")
    text = re.sub(r"^#[\w.-]+\s*(?=\{)", "", text)
    if not re.match(r"\{\s*:", text):
        return ""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "{[(") - (character in "}])")
        if not depth:
            return text[: place + 1]
    return text


def _is_edn(head: bytes) -> bool:
    return bool(first_map(head))


def _is_porcupine(head: bytes) -> bool:
    first = first_map(head)
    return (
        re.search(r':key\s+"', first) is not None
        and re.search(r":f\s+:(get|put|append)\b", first) is not None
    )


def _is_elle(head: bytes) -> bool:
    first = first_map(head)
    return re.search(r"\[\s*[\[(]\s*:(r|w|append)\s", first) is not None and ":index" in first


def _is_jepsen(head: bytes) -> bool:
    return ":index" in first_map(head)


PORCUPINE_KV = Format(
    name="porcupine-kv",
    summary="Porcupine's key-value tests: maps with :key; a missing key reads as an empty text",
    recognises=_is_porcupine,
    events=_events(True),
    semantics=Semantics(initial=""),
    reuse=True,
)
ELLE_EDN = Format(
    name="elle-edn",
    summary="Elle's transactions of micro-operations; events may lack :process and :f",
    recognises=_is_elle,
    events=_events(False),
    reuse=True,
)
JEPSEN_EDN = Format(
    name="jepsen-edn",
    summary="Jepsen's and Maelstrom's history.edn: a map a line, or one vector of maps, with :index",
    recognises=_is_jepsen,
    events=_events(True),
    reuse=True,
)
KNOSSOS_EDN = Format(
    name="knossos-edn",
    summary="Knossos's tests: maps without :index; registers begin at 0, nil reads say nothing",
    recognises=_is_edn,
    events=_events(False),
    semantics=Semantics(initial=0, nil_read="wildcard", failed_cas="did-not-happen"),
    reuse=True,
)
