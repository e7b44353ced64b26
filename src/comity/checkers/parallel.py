"""Keys checked side by side: objects are independent (Herlihy & Wing 1990, locality)."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import joblib
import msgspec

from comity.checkers import linearizability
from comity.checkers.datatypes import DataType
from comity.checkers.errors import CheckerError
from comity.checkers.history import History, Operation
from comity.checkers.verdict import Limits, Report, Status, Verdict

CHUNKS_PER_JOB = 4
BACKENDS = ("loky", "dask", "ray")


class BackendError(CheckerError):
    """The backend is not installed, or not known; the text says what to do."""


def check_in_parallel(
    history: History, data_type: DataType, limits: Limits, jobs: int, backend: str = "loky"
) -> Report:
    """As `linearizability.check`, with the keys over `jobs` processes (0: one a core); the report is the
    same whichever finishes first."""
    jobs = jobs or os.cpu_count() or 1
    began_ns = limits.clock_ns()
    objects: dict[Hashable, list[Operation]] = {}
    for operation in history.operations:
        objects.setdefault(data_type.split(operation), []).append(operation)
    chunks = _chunks(list(objects.values()), jobs * CHUNKS_PER_JOB)
    share = msgspec.structs.replace(limits, memory_bytes=max(limits.memory_bytes // jobs, 1 << 20))
    with use_backend(backend):
        reports: list[Report] = joblib.Parallel(n_jobs=jobs)(
            joblib.delayed(_check)(chunk, history.event_count, data_type, share) for chunk in chunks
        )
    return _merged(history, data_type, reports, (limits.clock_ns() - began_ns) / 1e9)


def use_backend(backend: str) -> AbstractContextManager[Any]:
    """Where joblib's tasks run meanwhile. Raises `BackendError`."""
    if backend not in BACKENDS:
        raise BackendError(f"no backend is called {backend!r}: choose from {', '.join(BACKENDS)}")
    if backend == "loky":
        return nullcontext()
    try:
        if backend == "ray":
            from ray.util.joblib import register_ray

            register_ray()
        else:
            from dask.distributed import Client

            Client(processes=True)
    except ImportError:
        raise BackendError(
            f"the {backend} backend is not installed: pip install 'comity[{backend}]'"
        ) from None
    context: AbstractContextManager[Any] = joblib.parallel_config(backend)
    return context


def _chunks(objects: Sequence[list[Operation]], count: int) -> list[list[Operation]]:
    """Objects dealt out so that each chunk has about as many operations."""
    chunks: list[list[Operation]] = [[] for _ in range(min(count, len(objects)))]
    for operations in sorted(objects, key=len, reverse=True):
        min(chunks, key=len).extend(operations)
    return [sorted(chunk, key=lambda o: o.index) for chunk in chunks]


def _check(operations: list[Operation], events: int, data_type: DataType, limits: Limits) -> Report:
    return linearizability.check(History(operations, (), events), data_type, limits)


def _merged(history: History, data_type: DataType, reports: Sequence[Report], seconds: float) -> Report:
    verdicts: list[Verdict] = [verdict for report in reports for verdict in report.verdicts]
    verdicts.sort(
        key=lambda v: (v.status is Status.UNKNOWN, not v.witness, v.witness[-1].index if v.witness else 0)
    )
    statuses = {report.status for report in reports}
    status = next((s for s in (Status.VIOLATION, Status.UNKNOWN) if s in statuses), Status.VALID)
    statistics: dict[str, int] = {}
    for report in reports:
        for name, value in report.statistics.items():
            statistics[name] = statistics.get(name, 0) + value
    keys = sum(report.keys for report in reports)
    return Report(
        status=status,
        model=linearizability.MODEL,
        data_type=data_type.name,
        operations=len(history),
        keys=keys,
        verdicts=tuple(verdicts),
        established=f"{keys - len(verdicts)} of {keys} keys are linearizable",
        seconds=seconds,
        statistics=statistics,
    )
