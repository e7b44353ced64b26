"""What the figures should reach, each judged by itself and said plainly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]
"""The JSON document of a run: "throughput" row -> system -> summary, "failover", "idle", "startup", ..."""


@dataclass(frozen=True, slots=True)
class Target:
    """value: the figure, or None when the run does not have it. good: whether it is good enough."""

    what: str
    wanted: str
    value: Callable[[Figures], float | None]
    good: Callable[[float], bool]
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A target with what was measured. reached: None when it was not measured."""

    what: str
    wanted: str
    measured: float | None
    unit: str
    reached: bool | None

    def sentence(self) -> str:
        """The figure in words."""
        if self.measured is None:
            return "not measured"
        return (
            f"{self.measured:,.0f}{self.unit}" if self.measured >= 1000 else f"{self.measured:.3g}{self.unit}"
        )


def cell(figures: Figures, row: str, system: str, name: str) -> float | None:
    """One figure of the throughput table."""
    value = figures.get("throughput", {}).get(row, {}).get(system, {}).get(name)
    return float(value) if value is not None else None


def ratio(row: str, name: str, other: str = "etcd", other_row: str = "") -> Callable[[Figures], float | None]:
    """The figure of comity by that of another system."""

    def value(figures: Figures) -> float | None:
        ours, theirs = cell(figures, row, "comity", name), cell(figures, other_row or row, other, name)
        return ours / theirs if ours is not None and theirs else None

    return value


def figure(*path: str) -> Callable[[Figures], float | None]:
    """A figure of another part of the document."""

    def value(figures: Figures) -> float | None:
        found: Any = figures
        for step in path:
            found = found.get(step) if isinstance(found, Mapping) else None
        return float(found) if found is not None else None

    return value


def with_a_million_keys(name: str) -> Callable[[Figures], float | None]:
    """A start-up figure, of a run that had as many keys as the target speaks of."""

    def value(figures: Figures) -> float | None:
        startup = figures.get("startup", {})
        return float(startup[name]) if startup.get("keys") == 1_000_000 else None

    return value


TARGETS = (
    Target(
        "SET, 64 clients, by etcd's puts",
        "at least 3.5x",
        ratio("set64", "per_second"),
        lambda x: x >= 3.5,
        "x",
    ),
    Target(
        "GET, 64 clients, by etcd's gets", "at least 5x", ratio("get64", "per_second"), lambda x: x >= 5, "x"
    ),
    Target(
        "SET, 64 clients pipelining 16",
        "at least 100,000/s",
        figure("throughput", "set64p16", "comity", "per_second"),
        lambda x: x >= 100_000,
        "/s",
    ),
    Target(
        "SET, 1 client: latency by etcd's put", "at most 1x", ratio("set1", "p50_ms"), lambda x: x <= 1, "x"
    ),
    Target(
        "CPU of all servers for 100,000 SETs, by etcd's puts",
        "below 1x",
        ratio("set64", "cpu_s_per_100k"),
        lambda x: x < 1,
        "x",
    ),
    Target(
        "CPU of all servers for 100,000 GETs, by etcd's gets",
        "below 1x",
        ratio("get64", "cpu_s_per_100k"),
        lambda x: x < 1,
        "x",
    ),
    Target(
        "next write acknowledged after kill -9 of the leader (median)",
        "within 1.0 s",
        figure("failover", "median_s"),
        lambda x: x <= 1.0,
        " s",
    ),
    Target(
        "the same when the leader falls silent (SIGSTOP; median)",
        "within 1.0 s",
        figure("failover", "silent", "median_s"),
        lambda x: x <= 1.0,
        " s",
    ),
    Target(
        "CPU of an idle node, 1,000 connections and 100 keyspaces",
        "under 5 % of a core",
        figure("idle", "cpu_percent"),
        lambda x: x < 5,
        " %",
    ),
    Target("memory of that node", "under 200 MiB", figure("idle", "rss_mib"), lambda x: x < 200, " MiB"),
    Target("ready on an empty directory", "under 1 s", figure("startup", "empty_s"), lambda x: x < 1, " s"),
    Target("ready with 1,000,000 keys", "under 3 s", with_a_million_keys("full_s"), lambda x: x < 3, " s"),
    Target(
        "ready with 1,000,000 keys after kill -9",
        "under 3 s",
        with_a_million_keys("full_after_kill_s"),
        lambda x: x < 3,
        " s",
    ),
    Target("import comity", "under 0.1 s", figure("import", "median_s"), lambda x: x < 0.1, " s"),
)


def judge(figures: Figures) -> list[Judged]:
    """Every target with what was measured."""
    judged = []
    for target in TARGETS:
        measured = target.value(figures)
        reached = None if measured is None else target.good(measured)
        judged.append(Judged(target.what, target.wanted, measured, target.unit, reached))
    return judged
