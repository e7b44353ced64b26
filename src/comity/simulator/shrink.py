"""A failing case -> a smaller case that fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from comity.simulator.cluster import Result
from comity.simulator.errors import Violation
from comity.simulator.generate import run_case
from comity.simulator.settings import Case, Fault, Settings

Item = TypeVar("Item")
SLACK_MS = 50
MILD: tuple[tuple[str, Any], ...] = (
    ("lease", False),
    ("groups", 1),
    ("loss", 0.0),
    ("duplicate", 0.0),
    ("reorder", 0.0),
    ("misdirect", 0.0),
    ("in_turn", 0.0),
    ("torn", False),
    ("drift_ppm", 0),
    ("options", {}),
    ("bounds", {}),
    ("fsync_us", Settings().fsync_us),
    ("latency_us", Settings().latency_us),
    ("jitter_us", Settings().jitter_us),
)
"""Settings and the values at which they do least."""


class Shrunk(msgspec.Struct, frozen=True, kw_only=True):
    """A smaller case and how it fails. complete: nothing more could be removed; False where the
    runs or the time were used up."""

    case: Case
    violation: Violation
    trace_hash: str
    runs: int
    complete: bool


class NotFailing(Exception):
    """The case to be shrunk does not fail."""


class _Exhausted(Exception):
    pass


def shrink(
    case: Case,
    *,
    runs: int = 400,
    expired: Callable[[], bool] = lambda: False,
    progress: Callable[[int, Case], None] | None = None,
    run: Callable[[Case], Result] = run_case,
) -> Shrunk:
    """Remove what the failure does not need: time, faults, operations, clients, nodes, hard settings.

    Delta debugging (Zeller & Hildebrandt 2002) over each list in turn, until a whole round removes
    nothing. Every kept case was run and broke a promise of the same kind (`Violation.kind`). The
    outcome depends only on the case and `runs`, unless `expired` (asked before each run) ends it.
    progress: called after each run with the runs so far and the smallest case. Raises `NotFailing`.
    """
    first = run(case)
    if first.violation is None:
        raise NotFailing(f"the case of seed {case.seed} does not fail")
    work = _Work(case, first, runs, expired, progress, run)
    complete = True
    try:
        work.reduce()
    except _Exhausted:
        complete = False
    return Shrunk(
        case=work.case,
        violation=work.violation,
        trace_hash=work.trace_hash,
        runs=work.runs,
        complete=complete,
    )


class _Work:
    """The smallest failing case so far, and attempts to replace it by a smaller one."""

    def __init__(
        self,
        case: Case,
        result: Result,
        limit: int,
        expired: Callable[[], bool],
        progress: Callable[[int, Case], None] | None,
        run: Callable[[Case], Result],
    ) -> None:
        assert result.violation is not None
        self.case = case
        self.kind = result.violation.kind
        self.violation = result.violation
        self.trace_hash = result.trace_hash
        self.runs = 1
        self._limit = limit
        self._expired = expired
        self._progress = progress
        self._run = run
        self._seen: set[bytes] = set()

    def reduce(self) -> None:
        """Rounds of every reduction until one changes nothing."""
        while True:
            before = self.case
            self._cut_time()
            self._items("faults")
            self._nodes()
            self._clients()
            self._items("operations")
            self._settings()
            self._gentler_faults()
            self._plainer_operations()
            if self.case == before:
                return

    def _attempt(self, **changes: Any) -> bool:
        """Whether the case with these changes fails alike; it is kept then."""
        candidate = msgspec.structs.replace(self.case, **changes)
        if candidate == self.case:
            return False
        key = msgspec.json.encode(candidate)
        if key in self._seen:
            return False
        if self.runs >= self._limit or self._expired():
            raise _Exhausted
        self._seen.add(key)
        self.runs += 1
        result = self._run(candidate)
        kept = result.violation is not None and result.violation.kind == self.kind
        if kept:
            assert result.violation is not None
            self.case = candidate
            self.violation = result.violation
            self.trace_hash = result.trace_hash
        if self._progress is not None:
            self._progress(self.runs, self.case)
        return kept

    def _cut_time(self) -> None:
        """End the faulty phase where the failure is, or as early as keeps it."""
        case = self.case
        ends = [self.violation.time_ms + SLACK_MS, *(case.duration_ms * part // 4 for part in (1, 2, 3))]
        for end in sorted(end for end in ends if end < case.duration_ms):
            faults = tuple(fault for fault in case.faults if fault.at_ms <= end)
            operations = tuple(operation for operation in case.operations if operation.at_ms <= end)
            if self._attempt(duration_ms=end, faults=faults, operations=operations):
                return

    def _items(self, name: str) -> None:
        def fails(items: Sequence[Any]) -> bool:
            return self._attempt(**{name: tuple(items)})

        minimise(getattr(self.case, name), fails)

    def _nodes(self) -> None:
        for nodes in range(1, self.case.nodes):
            clients = tuple(
                msgspec.structs.replace(client, node=(client.node - 1) % nodes + 1)
                for client in self.case.clients
            )
            faults = tuple(fault for fault in self.case.faults if all(node <= nodes for node in fault.nodes))
            if nodes % 2 and self._attempt(nodes=nodes, clients=clients, faults=faults):
                return

    def _clients(self) -> None:
        """Leave clients out, with all they ask."""

        def fails(numbers: Sequence[int]) -> bool:
            return self._attempt(
                clients=tuple(client for client in self.case.clients if client.number in numbers),
                operations=tuple(each for each in self.case.operations if each.client in numbers),
            )

        minimise([client.number for client in self.case.clients], fails)

    def _settings(self) -> None:
        for name, value in MILD:
            self._attempt(settings=msgspec.structs.replace(self.case.settings, **{name: value}))

    def _gentler_faults(self) -> None:
        for position in range(len(self.case.faults)):
            for duration_ms in (10, 100, 500):
                if duration_ms >= self.case.faults[position].duration_ms:
                    break
                if self._fault(position, duration_ms=duration_ms):
                    break
            fault = self.case.faults[position]
            if fault.amount:
                self._fault(position, amount=fault.amount // 2)

    def _fault(self, position: int, **changes: Any) -> bool:
        faults: list[Fault] = list(self.case.faults)
        faults[position] = msgspec.structs.replace(faults[position], **changes)
        return self._attempt(faults=tuple(faults))

    def _plainer_operations(self) -> None:
        """No pipelining."""
        self._attempt(
            operations=tuple(
                msgspec.structs.replace(operation, pipelined=False) for operation in self.case.operations
            )
        )


def minimise(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """A part of `items` that still fails and from which no single item can be removed (ddmin).

    fails: whether a part, in the order of `items`, fails; it is not asked about all of them.
    """
    items = list(items)
    if items and fails([]):
        return []
    parts = 2
    while len(items) >= 2:
        size = -(-len(items) // parts)
        for start in range(0, len(items), size):
            rest = items[:start] + items[start + size :]
            if rest and fails(rest):
                items = rest
                parts = max(parts - 1, 2)
                break
        else:
            if parts >= len(items):
                break
            parts = min(len(items), 2 * parts)
    return items
