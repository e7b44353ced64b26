"""Structured events on stderr: JSON lines for machines, plain lines for people."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FORMATS = ("auto", "json", "console")

_BURST = 20
_WINDOW_NS = 10_000_000_000


class EventLog:
    """Writes events, at most 20 of a kind in 10 seconds; what was held back is counted and said.

    A peer that sends rubbish at full speed must not fill the disk with lines about it.
    """

    def __init__(self, level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        if style == "auto":
            style = "console" if stream.isatty() else "json"
        render: Any = structlog.processors.JSONRenderer() if style == "json" else _plain
        self._threshold = LEVELS[level]
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(stream),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                render,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(self._threshold),
        )
        self._counts: dict[str, tuple[int, int]] = {}

    def bind(self, **fields: Any) -> None:
        """Add fields to every event from now on."""
        self._log = self._log.bind(**fields)

    def emit(self, level: str, event: str, now_ns: int, **fields: Any) -> None:
        """One event; `now_ns` is any monotonic clock, for the limit."""
        number = LEVELS[level]
        if number < self._threshold:
            return
        began_ns, count = self._counts.get(event, (now_ns, 0))
        if now_ns - began_ns > _WINDOW_NS:
            if count > _BURST:
                fields["held_back"] = count - _BURST
            began_ns, count = now_ns, 0
        self._counts[event] = (began_ns, count + 1)
        if count < _BURST or number >= logging.ERROR:
            self._log.log(number, event, **fields)


def _plain(_logger: object, _method: str, event: dict[str, Any]) -> str:
    """2024-05-01T10:00:00Z info    listening redis=127.0.0.1:7001"""
    when, level, name = event.pop("timestamp", ""), event.pop("level", ""), event.pop("event", "")
    trouble = event.pop("exception", None)
    fields = " ".join(f"{key}={value}" for key, value in event.items())
    return f"{when} {level:7} {name} {fields}".rstrip() + (f"\n{trouble}" if trouble else "")
