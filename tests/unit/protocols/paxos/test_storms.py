"""Any schedule of faults leaves a linearizable keyspace that recovers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.protocols.paxos.storm import run_storm

PLANS = ("any", "bounces", "views", "returns", "removals")


@pytest.mark.parametrize("plan", PLANS)
def test_whatever_happens_registers_are_linearizable_and_everybody_recovers(plan: str) -> None:
    answered = 0
    for seed in range(12):
        answered += run_storm(seed, plan=plan).outcomes["ok"]
    assert answered > 100


@pytest.mark.soak
@pytest.mark.parametrize("plan", PLANS)
def test_many_storms(plan: str) -> None:
    for seed in range(1_000, 2_000):
        run_storm(seed, plan=plan)


def test_one_seed_gives_the_same_messages_twice() -> None:
    traces = [run_storm(3, plan="any").cluster.trace.hexdigest() for _ in range(2)]
    assert traces[0] == traces[1]
    assert traces[0] != run_storm(4, plan="any").cluster.trace.hexdigest()


def test_the_messages_do_not_depend_on_the_hash_seed_of_the_process() -> None:
    root = Path(__file__).parents[4]
    script = (
        "from tests.unit.protocols.paxos.storm import run_storm\n"
        "print(*(run_storm(seed, plan='any').cluster.trace.hexdigest() for seed in (1, 3)))"
    )
    traces = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{root}:{root / 'src'}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert traces[0] == traces[1] != ""
