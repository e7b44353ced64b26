"""Recording a history while it happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from comity.checkers.history import NEMESIS, Event, EventType, History, HistoryBuilder, Process, freeze


class Recorder:
    """Collects the events of many clients, in the order of the calls. Any thread may call it.

    Call `invoke` before the request leaves and one of `ok`, `fail`, `info` after its answer is known.
    Times are nanoseconds from the caller's clock.

    sink: also given every event at once, in order, such as `JsonLinesWriter.write`, so that a history
        survives its recorder.

    A process whose operation ended in `info` must not be used again, since that operation may still
    happen. `process_of` takes care: it names the process a client acts as now, and another one after
    an `info`.
    """

    def __init__(self, sink: Callable[[Event], None] | None = None) -> None:
        self._builder = HistoryBuilder()
        self._sink = sink
        self._lock = threading.Lock()
        self._open: dict[Process, Event] = {}
        self._acting: dict[Hashable, int] = {}
        self._client_of: dict[Process, Hashable] = {}
        self._next_process = 0

    def process_of(self, client: Hashable) -> int:
        """The process number `client` acts as now: its own, and a new one after each `info`."""
        with self._lock:
            process = self._acting.get(client)
            if process is None:
                process = self._acting[client] = self._next_process
                self._client_of[process] = client
                self._next_process += 1
            return process

    def invoke(
        self, process: Process, f: str, key: Any = None, value: Any = None, *, time_ns: int | None = None
    ) -> None:
        """`process` begins operation `f`. Raises `HistoryError` if it has one open already."""
        event = Event(process, EventType.INVOKE, f, freeze(key), freeze(value), time_ns)
        with self._lock:
            self._add(event)
            self._open[process] = event

    def ok(self, process: Process, value: Any = None, *, time_ns: int | None = None) -> None:
        """The open operation of `process` happened and returned `value`."""
        self._end(process, EventType.OK, freeze(value), time_ns)

    def fail(self, process: Process, *, time_ns: int | None = None) -> None:
        """The open operation of `process` certainly did not happen and never will."""
        self._end(process, EventType.FAIL, None, time_ns)

    def info(self, process: Process, *, time_ns: int | None = None) -> None:
        """Nobody knows whether the open operation of `process` happened or will."""
        self._end(process, EventType.INFO, None, time_ns)

    def fault(self, f: str, value: Any = None, *, time_ns: int | None = None) -> None:
        """Something was done to the system, such as f="kill", value="node 2"."""
        event = Event(NEMESIS, EventType.INFO, f, None, freeze(value), time_ns)
        with self._lock:
            self._add(event)

    def history(self) -> History:
        """What has been recorded so far; operations still open are of unknown outcome."""
        with self._lock:
            return self._builder.build()

    def _end(self, process: Process, kind: EventType, value: Any, time_ns: int | None) -> None:
        with self._lock:
            asked = self._open.get(process)
            if asked is None:
                self._add(Event(process, kind, "an operation", None, value, time_ns))
                return
            if kind is not EventType.OK:
                value = asked.value
            self._add(Event(process, kind, asked.f, asked.key, value, time_ns))
            del self._open[process]
            if kind is EventType.INFO and process in self._client_of:
                self._acting.pop(self._client_of.pop(process), None)

    def _add(self, event: Event) -> None:
        self._builder.add(event)
        if self._sink is not None:
            self._sink(event)
