"""Many seeds over many processes: what is run, where, and what it adds up to."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import joblib
import msgspec

from comity.simulator.cluster import Result
from comity.simulator.errors import Violation
from comity.simulator.generate import case_of, mutant_case, run_case
from comity.simulator.mutants import mutant_named
from comity.simulator.settings import Case

BACKENDS = ("loky", "dask", "ray")
COLLECT_EVERY = 50_000
"""Objects made between two collections of garbage: a simulation leaves few cycles."""
BATCH_SEEDS = 8
"""Most seeds in one task: enough to hide a task's cost, few enough that results keep coming."""


class BackendMissing(Exception):
    """The backend is an extra that is not installed; the text says which."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which case a seed becomes.

    mutant: the name of a deliberate bug, whose own mixture of faults is used then. bug: False runs
    that mixture without the bug. nodes, duration_ms and per_second are a mutant's own where it is named.
    """

    protocol: str = "raft"
    nodes: int = 5
    duration_ms: int = 8_000
    per_second: int = 50
    mutant: str = ""
    bug: bool = True

    def case(self, seed: int) -> Case:
        """The case of a seed; the same for ever. Raises `KeyError` for an unknown mutant."""
        if not self.mutant:
            return case_of(
                seed,
                nodes=self.nodes,
                duration_ms=self.duration_ms,
                per_second=self.per_second,
                protocol=self.protocol,
            )
        case = mutant_case(mutant_named(self.mutant), seed)
        return case if self.bug else msgspec.structs.replace(case, mutant="")


class Summary(msgspec.Struct, kw_only=True):
    """What many simulations came to.

    failures: the violation of each seed that had one. wall_ns: from the first seed to the last.
    cpu_ns: spent inside simulations, over all cores. unknown_keys: keys on which the checker gave up.
    """

    cores: int = 1
    seeds: int = 0
    failures: dict[int, Violation] = {}
    simulated_ms: int = 0
    wall_ns: int = 0
    cpu_ns: int = 0
    events: int = 0
    elections: int = 0
    entries: int = 0
    messages: int = 0
    restarts: int = 0
    refused_logs: int = 0
    unknown_keys: int = 0
    operations: dict[str, int] = {}
    faults: dict[str, int] = {}

    def add(self, result: Result, cpu_ns: int) -> None:
        """One more seed. The order in which seeds arrive makes no difference."""
        self.seeds += 1
        if result.violation is not None:
            self.failures = dict(sorted({**self.failures, result.seed: result.violation}.items()))
        self.cpu_ns += cpu_ns
        for name in ("simulated_ms", "events", "elections", "entries", "messages", "restarts"):
            setattr(self, name, getattr(self, name) + getattr(result, name))
        self.refused_logs += result.refused_logs
        self.unknown_keys += result.unknown_keys
        self.operations = _sum(self.operations, result.operations)
        self.faults = _sum(self.faults, result.faults)

    @property
    def passed(self) -> int:
        """Seeds without a violation."""
        return self.seeds - len(self.failures)

    @property
    def speed(self) -> float:
        """Simulated seconds per wall second and core."""
        return self.simulated_ms * 1e6 / (self.wall_ns * self.cores) if self.wall_ns else 0.0

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        words: dict[str, Any] = msgspec.to_builtins(self)
        words["failures"] = [
            {"seed": seed, **msgspec.to_builtins(violation)} for seed, violation in self.failures.items()
        ]
        words["passed"] = self.passed
        words["simulated_seconds_per_wall_second_and_core"] = round(self.speed, 2)
        return words


def _sum(total: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    keys = sorted({*total, *more})
    return {key: total.get(key, 0) + more.get(key, 0) for key in keys}


def cores() -> int:
    """How many processes can run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_seeds(plan: Plan, seeds: Sequence[int]) -> list[tuple[Result, int]]:
    """One task: (result, CPU nanoseconds) of each seed, in order."""
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 20, 50)
    results = []
    for seed in seeds:
        before = time.process_time_ns()
        result = run_case(plan.case(seed))
        results.append((result, time.process_time_ns() - before))
    return results


def campaign(
    plan: Plan, seeds: Sequence[int], *, jobs: int, backend: str = "loky"
) -> Iterator[tuple[Result, int]]:
    """(result, CPU nanoseconds) of every seed, as they come, in no particular order.

    Closing the iterator ends the campaign. Raises `BackendMissing` before anything runs.
    """
    with use_backend(backend, jobs):
        tasks = (joblib.delayed(run_seeds)(plan, part) for part in batches(seeds, jobs))
        for batch in parallel(jobs)(tasks):
            yield from batch


def parallel(jobs: int) -> Any:
    """The pool: a callable from delayed calls to an iterator over their results, as they come."""
    return joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)


def batches(seeds: Sequence[int], jobs: int) -> list[Sequence[int]]:
    """Tasks of several seeds each; at least four tasks for every process where there are enough."""
    size = max(1, min(BATCH_SEEDS, len(seeds) // (4 * jobs)))
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def use_backend(backend: str, jobs: int) -> AbstractContextManager[Any]:
    """Within it, joblib spreads over processes here (loky) or over a Dask or Ray cluster.

    Dask: the cluster at DASK_SCHEDULER_ADDRESS, else one on this machine. Ray: the cluster at
    RAY_ADDRESS, else one on this machine. Raises `BackendMissing`, or `ValueError` for another name.
    """
    if backend == "loky":
        return nullcontext()
    if backend == "dask":
        return _dask(jobs)
    if backend == "ray":
        return _ray(jobs)
    raise ValueError(f"there is no backend {backend!r}; there are {', '.join(BACKENDS)}")


def _dask(jobs: int) -> AbstractContextManager[Any]:
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise BackendMissing("the dask backend is not installed: pip install comity[dask]") from error
    if os.environ.get("DASK_SCHEDULER_ADDRESS"):
        Client()
    else:
        # One thread a worker: a mutant replaces methods of classes while it runs.
        Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
    context: AbstractContextManager[Any] = joblib.parallel_config(backend="dask")
    return context


def _ray(jobs: int) -> AbstractContextManager[Any]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise BackendMissing("the ray backend is not installed: pip install comity[ray]") from error
    if not ray.is_initialized():
        ray.init(**({} if os.environ.get("RAY_ADDRESS") else {"num_cpus": jobs}), log_to_driver=False)
    register_ray()
    context: AbstractContextManager[Any] = joblib.parallel_config(backend="ray")
    return context


class Hunt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one mutant.

    seed: the first that caught it, None where it survived. seeds: how many were run. healthy: the
    seeds on which its mixture of faults failed although the bug was not there; must be empty.
    """

    mutant: str
    seed: int | None
    violation: Violation | None
    seeds: int
    healthy: dict[int, Violation] = {}
    simulated_ms: int = 0


def hunt(mutant: str, *, first: int = 0, seeds: int = 300, healthy: int = 3) -> Hunt:
    """Run a mutant seed by seed until it is caught, and its world without the bug for a few seeds."""
    simulated_ms = 0
    wrong: dict[int, Violation] = {}
    sound = Plan(mutant=mutant, bug=False)
    for seed in range(first, first + healthy):
        result = run_case(sound.case(seed))
        simulated_ms += result.simulated_ms
        if result.violation is not None:
            wrong[seed] = result.violation
    plan = Plan(mutant=mutant)
    for seed in range(first, first + seeds):
        result = run_case(plan.case(seed))
        simulated_ms += result.simulated_ms
        if result.violation is not None:
            return Hunt(
                mutant=mutant,
                seed=seed,
                violation=result.violation,
                seeds=seed - first + 1,
                healthy=wrong,
                simulated_ms=simulated_ms,
            )
    return Hunt(
        mutant=mutant, seed=None, violation=None, seeds=seeds, healthy=wrong, simulated_ms=simulated_ms
    )


def hunts(
    mutants: Sequence[str], *, jobs: int, backend: str = "loky", first: int = 0, seeds: int = 300
) -> Iterator[Hunt]:
    """`hunt` for each of several mutants, in parallel, as they end."""
    with use_backend(backend, jobs):
        yield from parallel(jobs)(joblib.delayed(hunt)(name, first=first, seeds=seeds) for name in mutants)
