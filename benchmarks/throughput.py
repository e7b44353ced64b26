"""Operations a second and latency: every system in turn, several rounds, so that noise hits all alike."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load import KEYS, Load, LoadFailed, NotInstalled
from benchmarks.machine import cpu_seconds
from benchmarks.systems import Comity, Etcd, PySyncObj, Redis, System


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of load. name: what --only takes. systems: those that have it."""

    name: str
    title: str
    systems: tuple[str, ...]


ROWS = (
    Row("set64", "SET, 64 clients", ("comity", "etcd", "redis", "pysyncobj")),
    Row("get64", "GET (linearizable), 64 clients", ("comity", "etcd", "redis")),
    Row("set64p16", "SET, 64 clients pipelining 16", ("comity", "redis", "pysyncobj")),
    Row("set1", "SET, 1 client", ("comity", "etcd", "redis", "pysyncobj")),
    Row("get1", "GET (linearizable), 1 client", ("comity", "etcd", "redis")),
    Row("incr64", "INCR, 64 clients", ("comity", "redis")),
    Row("mset64", "MSET of 10, 64 clients", ("comity", "redis")),
    Row("set64-leader", "SET, 64 clients, all on the leader", ("comity", "etcd")),
    Row("get64-leader", "GET (linearizable), 64 clients, all on the leader", ("comity", "etcd")),
    Row("set64-follower", "SET, 64 clients, on a follower", ("comity",)),
    Row("get64-follower", "GET (linearizable), 64 clients, on a follower", ("comity",)),
)

SYSTEMS: dict[str, Callable[[], System]] = {
    "comity": Comity,
    "etcd": Etcd,
    "redis": Redis,
    "pysyncobj": PySyncObj,
}

GUESSED_PER_SECOND = {"comity": 2000, "etcd": 1000, "redis": 10_000, "pysyncobj": 100}
"""What the unmeasured first run of a row assumes; it lasts about a second and sets the next one's size."""


@dataclass(slots=True)
class Cell:
    """What one system did in one row, round by round."""

    loads: list[Load] = field(default_factory=list)
    cpu_s_per_100k: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Medians over the rounds, and the rounds themselves."""
        return {
            "per_second": statistics.median(load.per_second for load in self.loads),
            "p50_ms": statistics.median(load.p50_ms for load in self.loads),
            "p99_ms": statistics.median(load.p99_ms for load in self.loads),
            "cpu_s_per_100k": statistics.median(self.cpu_s_per_100k) if self.cpu_s_per_100k else None,
            "rounds": [
                {"operations": load.operations, "per_second": load.per_second, "p50_ms": load.p50_ms}
                for load in self.loads
            ],
        }


class Throughput:
    """Runs the rows. say: told what happens, for people. skipped: systems that are not here, and why."""

    def __init__(self, rounds: int, seconds: float, say: Callable[[str], None]) -> None:
        self.cells: dict[tuple[str, str], Cell] = defaultdict(Cell)
        self.skipped: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self._rounds = rounds
        self._seconds = seconds
        self._say = say
        self._rates: dict[tuple[str, str], float] = {}

    def run(self, rows: Sequence[Row], names: Sequence[str]) -> None:
        """All rounds of all rows on all systems named."""
        with ExitStack() as running:
            systems = self._start(running, [n for n in names if any(n in row.systems for row in rows)])
            for number in range(self._rounds + 1):
                if number:
                    self._say(f"round {number} of {self._rounds}")
                else:
                    self._say("warming up and finding out how many operations fill a row")
                for row in rows:
                    turn = number % max(len(systems), 1)
                    for system in [*systems[turn:], *systems[:turn]]:
                        if system.name in row.systems:
                            self._one(system, row, measured=number > 0)

    def _start(self, running: ExitStack, names: Sequence[str]) -> list[System]:
        systems = []
        for name in names:
            system = running.enter_context(SYSTEMS[name]())
            try:
                system.start()
            except NotInstalled as missing:
                self.skipped[name] = str(missing)
                self._say(f"skipped: {name}: not installed: {missing}")
                continue
            self.versions[name] = system.version()
            system.run("set64", 3 * KEYS if name != "pysyncobj" else 100)
            systems.append(system)
        return systems

    def _one(self, system: System, row: Row, measured: bool) -> None:
        place = (row.name, system.name)
        rate = self._rates.get(place, GUESSED_PER_SECOND[system.name])
        operations = max(64, int(rate * (self._seconds if measured else 1.0)))
        # What the one before has not yet written to disk must not slow this one's fsyncs down.
        os.sync()
        pids = system.pids()
        before = cpu_seconds(pids)
        try:
            load = system.run(row.name, operations)
        except LoadFailed as failure:
            self._say(f"{row.name} {system.name}: {failure}")
            raise
        if load is None:
            return
        self._rates[place] = load.per_second
        self._say(
            f"  {row.name:16} {system.name:10} {load.per_second:>10,.0f}/s  p50 {load.p50_ms:8.3f} ms  "
            f"p99 {load.p99_ms:8.3f} ms{'' if measured else '  (not counted)'}"
        )
        if measured:
            cell = self.cells[place]
            cell.loads.append(load)
            if pids:
                used = cpu_seconds(pids) - before
                cell.cpu_s_per_100k.append(used * 100_000 / load.operations)
