r"""Jepsen's old text log: `INFO  jepsen.util - 3\t:invoke\t:write\t4`, among other lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from comity.checkers.errors import HistoryError
from comity.checkers.history import NEMESIS, Event, EventType
from comity.checkers.inputs.edn import read_value
from comity.checkers.inputs.lines import Format, text_lines
from comity.checkers.semantics import Semantics

_EVENT = re.compile(
    r"(?:.*?jepsen\.\S+\s+-\s+)?(\d+|:?nemesis)\s+:(invoke|ok|fail|info)\s+:(\S+)(?:\s+(.*?))?\s*\Z",
    re.DOTALL,
)
_LOG_LINE = re.compile(r".*?(?:INFO|WARN|ERROR|DEBUG)\b|.*\bjepsen\.|\s*at |\s*Caused by|\s*\Z", re.DOTALL)


def _events(stream: BinaryIO) -> Iterator[tuple[int, Event]]:
    values: dict[str, Any] = {}
    for number, line in text_lines(stream):
        found = _EVENT.match(line)
        if found is None:
            if not _LOG_LINE.match(line) or re.search(r":(invoke|ok|fail)\s+:", line):
                raise HistoryError(f"not a line of Jepsen's log: {line.strip()[:60]!r}", "", number)
            continue
        process, kind, f, text = found.groups()
        if process.endswith("nemesis"):
            yield number, Event(NEMESIS, EventType(kind), f)
            continue
        # What stands in the place of a value after :info (and mostly :fail) is the reason, not a value.
        if kind in {"info", "fail"}:
            yield number, Event(int(process), EventType(kind), f)
            continue
        try:
            value = values[text] if text in values else values.setdefault(text, read_value(text or "nil"))
        except HistoryError as error:
            raise error.at("", number) from None
        yield number, Event(int(process), EventType(kind), f, None, value)


def _recognises(head: bytes) -> bool:
    return (
        re.search(rb"^(?:.*jepsen\.\S+\s+-\s+)?(?:\d+|:nemesis)\s+:(?:invoke|info)\s+:", head, re.MULTILINE)
        is not None
    )


JEPSEN_LOG = Format(
    name="jepsen-log",
    summary="Jepsen's old text log; a failed compare-and-set compared with another value",
    recognises=_recognises,
    events=_events,
    semantics=Semantics(failed_cas="compare-failed"),
    reuse=True,
)
