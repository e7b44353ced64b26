"""What the benchmarks make of what they measured: units, ratios, targets, the chart."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from benchmarks import chart, machine, targets  # noqa: E402
from benchmarks.load import Load, go_duration_ms  # noqa: E402
from benchmarks.throughput import ROWS, SYSTEMS, Cell  # noqa: E402


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("17.097004ms", 17.097004),
        ("814.5µs", 0.8145),
        ("1.5s", 1500.0),
        ("1m2.5s", 62_500.0),
        ("250ns", 0.00025),
    ],
)
def test_durations_as_go_prints_them(text: str, milliseconds: float) -> None:
    assert go_duration_ms(text) == pytest.approx(milliseconds)


def test_the_summary_of_a_cell_is_the_median_of_its_rounds() -> None:
    cell = Cell([Load(10, speed, 1.0, 2.0) for speed in (100.0, 900.0, 200.0)], [3.0, 1.0, 2.0])
    assert cell.summary()["per_second"] == 200.0
    assert cell.summary()["cpu_s_per_100k"] == 2.0
    assert len(cell.summary()["rounds"]) == 3


def figures(ours: float, theirs: float) -> dict[str, Any]:
    def cell(per_second: float) -> dict[str, Any]:
        return {
            "per_second": per_second,
            "p50_ms": 1e3 / per_second,
            "p99_ms": 9.0,
            "cpu_s_per_100k": 1e5 / per_second,
        }

    return {"throughput": {"set64": {"comity": cell(ours), "etcd": cell(theirs)}}}


def judged(what: str, document: dict[str, Any]) -> targets.Judged:
    return next(one for one in targets.judge(document) if one.what == what)


def test_a_target_is_reached_or_not_by_its_own_figure() -> None:
    what = "SET, 64 clients, by etcd's puts"
    assert judged(what, figures(35_000, 10_000)).reached is True
    short = judged(what, figures(34_000, 10_000))
    assert short.reached is False
    assert short.sentence() == "3.4x"


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert {one.reached for one in targets.judge({})} == {None}
    without_peer = figures(35_000, 10_000)
    del without_peer["throughput"]["set64"]["etcd"]
    assert judged("SET, 64 clients, by etcd's puts", without_peer).reached is None


def test_every_target_of_throughput_names_a_row_that_exists() -> None:
    rows = {row.name: row for row in ROWS}
    full = {
        "throughput": {
            name: {
                system: {"per_second": 1.0, "p50_ms": 1.0, "cpu_s_per_100k": 1.0} for system in row.systems
            }
            for name, row in rows.items()
        },
        "failover": {"median_s": 1.0, "silent": {"median_s": 1.0}},
        "idle": {"cpu_percent": 1.0, "rss_mib": 1.0},
        "startup": {"keys": 1_000_000, "empty_s": 1.0, "full_s": 1.0, "full_after_kill_s": 1.0},
        "import": {"median_s": 1.0},
    }
    assert [one.what for one in targets.judge(full) if one.measured is None] == []
    assert {system for row in ROWS for system in row.systems} <= set(SYSTEMS)


def test_the_chart_is_well_formed_and_has_a_bar_for_every_figure() -> None:
    throughput = {
        row: {
            system: {"per_second": 10.0, "p50_ms": 1.0, "rounds": [{"per_second": 9.0, "p50_ms": 1.1}] * 5}
            for system in ("comity", "etcd <3>")
        }
        for row in ("set64", "set1")
    }
    document = chart.draw({"set64": "SET & more"}, throughput, ["a machine"])
    root = ElementTree.fromstring(document)
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 1 + 4
    assert len(root.findall(f"{space}circle")) == 20


def test_cpu_seconds_counts_what_a_process_burns() -> None:
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        while machine.cpu_seconds([child.pid]) < 0.3:
            os.sched_yield()
        assert 0.3 <= machine.cpu_seconds([child.pid]) < 30.0
        assert machine.resident_bytes(child.pid) > 1 << 20
    finally:
        child.kill()
        child.wait()
