from __future__ import annotations

import sys

import pytest

from comity.simulator.campaign import BackendMissing, Plan, Summary, batches, campaign, run_seeds
from comity.simulator.cluster import Result
from comity.simulator.errors import Violation


def result(seed: int, violation: Violation | None = None) -> Result:
    return Result(
        seed=seed,
        violation=violation,
        trace_hash="",
        simulated_ms=1_000,
        events=10,
        operations={"ok": seed, "info": 1},
        faults={"crash": 1} if seed % 2 else {"pause": 2},
        elections=2,
        entries=3,
        messages=4,
        restarts=5,
        refused_logs=1,
        unknown_keys=1,
    )


def test_a_summary_adds_up_whatever_the_order() -> None:
    bad = Violation(kind="digest", detail="")
    results = [result(1), result(2, bad), result(3), result(4, bad)]
    forwards, backwards = Summary(cores=2), Summary(cores=2)
    for each in results:
        forwards.add(each, 5)
    for each in reversed(results):
        backwards.add(each, 5)
    assert forwards == backwards
    assert (forwards.seeds, forwards.passed, list(forwards.failures)) == (4, 2, [2, 4])
    assert forwards.operations == {"info": 4, "ok": 10}
    assert forwards.faults == {"crash": 2, "pause": 4}
    assert (forwards.simulated_ms, forwards.cpu_ns, forwards.restarts) == (4_000, 20, 20)
    forwards.wall_ns = 10**9
    assert forwards.speed == 2.0
    assert forwards.to_json()["failures"][0]["seed"] == 2
    assert Summary().speed == 0.0


@pytest.mark.parametrize(("count", "jobs"), [(1, 2), (7, 3), (100, 2), (2_000, 2)])
def test_batches_hold_every_seed_once(count: int, jobs: int) -> None:
    seeds = range(10, 10 + count)
    parts = batches(seeds, jobs)
    assert [seed for part in parts for seed in part] == list(seeds)
    assert max(map(len, parts)) <= 8


@pytest.mark.slow
def test_a_campaign_over_processes_gives_what_each_seed_gives_alone() -> None:
    plan = Plan(nodes=3, duration_ms=1_000)
    spread = {each.seed: each for each, _ in campaign(plan, range(4), jobs=2)}
    assert spread == {each.seed: each for each, _ in run_seeds(plan, range(4))}


@pytest.mark.parametrize(("backend", "module"), [("dask", "dask"), ("ray", "ray")])
def test_a_backend_that_is_not_installed_is_named(
    backend: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (module, f"{module}.distributed"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendMissing, match=rf"pip install comity\[{backend}\]"):
        list(campaign(Plan(), [1], jobs=1, backend=backend))


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="loky, dask, ray"):
        list(campaign(Plan(), [1], jobs=1, backend="nonsense"))
