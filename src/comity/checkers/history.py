"""Histories: what processes asked of a system, and what they were told, in real-time order.

The shape is the one Jepsen made common: every operation begins with an `invoke` event and ends with
`ok` (it happened between the two events), `fail` (it did not happen) or `info` (nobody knows: it
happens at some time after its invocation, perhaps after everything else, or never). An operation
without a completion is indeterminate like an `info`. The order of events is the order they are given
in; their times are for people and are never used to sort.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from comity.checkers.errors import HistoryError

if TYPE_CHECKING:
    from comity.checkers.recording import Recording

NEMESIS = "nemesis"
"""The process under which faults are noted. Its events are kept beside the operations."""

Process = int | str


class EventType(enum.StrEnum):
    """The four kinds of event."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Outcome(enum.StrEnum):
    """What is known of an operation: it happened, it did not, or neither."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One line of a history.

    process: who; has at most one open operation. f: the operation's name, such as "read". key: the
    object, None where there is only one. value: an argument (invoke) or a result (ok); any JSON value,
    with lists as tuples (see `freeze`). time: nanoseconds, or an index; None where unknown.
    """

    process: Process
    type: EventType
    f: str
    key: Any = None
    value: Any = None
    time: int | None = None


class Operation(msgspec.Struct, frozen=True, gc=False):
    """An invocation and what became of it.

    index: its place among the operations of the history, by invocation, from 0.
    value: what it was asked with. result: what it returned; only an ok operation has one.
    invoked, completed: the places of its two events in the history, from 0; completed is None where
        no completion was ever seen. The completion of an indeterminate operation means nothing.
    invoked_ns, completed_ns: the times of those events, where known.
    """

    index: int
    process: Process
    f: str
    key: Any
    value: Any
    result: Any
    outcome: Outcome
    invoked: int
    completed: int | None
    invoked_ns: int | None = None
    completed_ns: int | None = None


class Table(tuple[tuple[Any, Any], ...]):
    """A frozen mapping inside a value: its (key, value) pairs in one canonical order."""

    __slots__ = ()


def freeze(value: Any) -> Any:
    """`value` in the hashable form histories keep: lists become tuples, mappings `Table`s, sets
    frozensets, bytes their UTF-8 text. Raises `HistoryError` for anything JSON has no place for."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Table | frozenset):
        return value
    if isinstance(value, list | tuple):
        return tuple([freeze(item) for item in value])
    if isinstance(value, Mapping):
        pairs = [(freeze(key), freeze(item)) for key, item in value.items()]
        return Table(sorted(pairs, key=canonical))
    if isinstance(value, set):
        return frozenset(freeze(item) for item in value)
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise HistoryError("a value of bytes that are not UTF-8 text: record it as text") from None
    raise HistoryError(f"a {type(value).__name__} is not a value of a history")


def thaw(value: Any) -> Any:
    """The JSON form of a frozen value: tuples as lists, sets as sorted lists, `Table`s as objects."""
    if isinstance(value, Table):
        return {str(key): thaw(item) for key, item in value}
    if isinstance(value, tuple):
        return [thaw(item) for item in value]
    if isinstance(value, frozenset):
        return [thaw(item) for item in sorted(value, key=canonical)]
    return value


def canonical(value: Any) -> tuple[str, str]:
    """A key that sorts any frozen values, of whatever types."""
    return type(value).__name__, repr(value)


class History:
    """A complete history. Make one with `HistoryBuilder`, `Recorder` or `read_history`.

    operations: by invocation. faults: the nemesis's events with the place each has among all events.
    events: how many events there are.
    """

    def __init__(
        self, operations: Sequence[Operation], faults: Sequence[tuple[int, Event]], events: int
    ) -> None:
        self.operations = operations
        self.faults = faults
        self.event_count = events

    @classmethod
    def of(cls, events: Iterable[Event]) -> History:
        """The history of these events. Raises `HistoryError` where they are none."""
        builder = HistoryBuilder()
        for event in events:
            builder.add(event)
        return builder.build()

    @staticmethod
    def recording(definite: tuple[type[BaseException], ...] = ()) -> Recording:
        """Record what happens inside `with` or `async with`: see `comity.checkers.recording`."""
        from comity.checkers.recording import Recording

        return Recording(definite)

    def __len__(self) -> int:
        return len(self.operations)

    def events(self) -> Iterator[Event]:
        """The events again, in order."""
        places: list[tuple[int, Event]] = list(self.faults)
        for o in self.operations:
            begun = Event(o.process, EventType.INVOKE, o.f, o.key, o.value, o.invoked_ns)
            places.append((o.invoked, begun))
            if o.completed is not None:
                value = o.result if o.outcome is Outcome.OK else o.value
                ended = Event(o.process, EventType(o.outcome.value), o.f, o.key, value, o.completed_ns)
                places.append((o.completed, ended))
        places.sort(key=lambda place: place[0])
        return (event for _, event in places)

    def all_processes(self) -> list[Process]:
        """Every process that did something, in order of its first invocation."""
        return list(dict.fromkeys(operation.process for operation in self.operations))

    def all_keys(self) -> list[Hashable]:
        """Every key, in order of its first invocation."""
        return list(dict.fromkeys(operation.key for operation in self.operations))

    def outcomes(self) -> dict[str, int]:
        """How many operations came to each outcome."""
        counts = {outcome.value: 0 for outcome in Outcome}
        for operation in self.operations:
            counts[operation.outcome.value] += 1
        return counts

    def with_final_reads(
        self, values: Mapping[Any, Any], f: str = "read", time_ns: int | None = None
    ) -> History:
        """A new history: these events, then one read of every key of `values` that returned its value.

        With the final reads in it, linearizability says that every acknowledged write is explained by
        what was found at the end: it is there, or was overwritten, or its loss is the violation.
        """
        known = {process for process in self.all_processes() if isinstance(process, int)}
        process = max(known, default=-1) + 1
        events = list(self.events())
        for key, value in values.items():
            events.append(Event(process, EventType.INVOKE, f, key, None, time_ns))
            events.append(Event(process, EventType.OK, f, key, freeze(value), time_ns))
        return History.of(events)


class _Open(msgspec.Struct, gc=False):
    """An operation that has no completion yet."""

    index: int
    event: Event
    place: int


class HistoryBuilder:
    """Events in, a `History` out; refuses what is not one at the event where it shows.

    reuse: whether a process may go on after an operation of unknown outcome. It should not: that
    operation is still open, and the order of the process's operations means nothing afterwards.
    """

    def __init__(self, reuse: bool = False) -> None:
        self._operations: list[Operation | None] = []
        self._faults: list[tuple[int, Event]] = []
        self._open: dict[Process, _Open] = {}
        self._indeterminate: set[Process] = set()
        self._reuse = reuse
        self._count = 0

    def add(self, event: Event) -> None:
        """The next event in real-time order. Raises `HistoryError`; the builder is then as before."""
        process = event.process
        if process == NEMESIS:
            self._faults.append((self._count, event))
        elif event.type is EventType.INVOKE:
            if process in self._open:
                raise HistoryError(
                    f"process {process} invokes {event.f} while its {self._open[process].event.f} is open"
                )
            if process in self._indeterminate:
                raise HistoryError(
                    f"process {process} invokes {event.f} after an operation of unknown outcome: "
                    "go on under a new process"
                )
            self._open[process] = _Open(len(self._operations), event, self._count)
            self._operations.append(None)
        else:
            self._complete(event)
        self._count += 1

    def _complete(self, event: Event) -> None:
        process = event.process
        begun = self._open.get(process)
        if begun is None:
            raise HistoryError(f"process {process} completes {event.f} without having invoked it")
        asked = begun.event
        if event.f != asked.f:
            raise HistoryError(f"process {process} completes {event.f} but has invoked {asked.f}")
        if event.key != asked.key and event.key is not None:
            raise HistoryError(
                f"process {process} completes {event.f} of key {event.key!r} but has invoked it "
                f"of key {asked.key!r}"
            )
        del self._open[process]
        outcome = Outcome(event.type.value)
        if outcome is Outcome.INFO and not self._reuse:
            self._indeterminate.add(process)
        self._operations[begun.index] = Operation(
            begun.index,
            process,
            asked.f,
            asked.key,
            asked.value,
            event.value if outcome is Outcome.OK else None,
            outcome,
            begun.place,
            self._count,
            asked.time,
            event.time,
        )

    def build(self) -> History:
        """Everything added so far; what is still open is of unknown outcome."""
        operations = list(self._operations)
        for process, begun in self._open.items():
            asked = begun.event
            operations[begun.index] = Operation(
                begun.index,
                process,
                asked.f,
                asked.key,
                asked.value,
                None,
                Outcome.INFO,
                begun.place,
                None,
                asked.time,
            )
        return History([o for o in operations if o is not None], list(self._faults), self._count)
