"""The nemesis breaks, holds, heals and reports; what it draws depends on its seed only."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from comity.console.chaos import faults
from comity.console.chaos.cluster import Cluster
from comity.console.chaos.faults import FAMILIES, Fault, FaultEvent, Nemesis, draw_fault
from comity.console.chaos.keyspace import Keys, Kind, kind_of
from comity.console.chaos.processes import ProcessFailed, ServerProcess, wait_until


class FakeNode:
    def __init__(self, number: int, did: list[str]) -> None:
        self.number = number
        self.name = f"node {number}"
        self.exit_code = 70
        self.crash_once = False
        self._did = did

    def kill(self) -> None:
        self._did.append(f"kill {self.number}")

    def pause(self) -> None:
        self._did.append(f"pause {self.number}")

    def stop(self) -> int:
        self._did.append(f"stop {self.number}")
        return 0

    def crashed(self) -> bool:
        crashed, self.crash_once = self.crash_once, False
        return crashed

    def tail(self) -> str:
        return "broken invariant"


class FakeCluster:
    """Writes down what is done to it."""

    def __init__(self, nodes: int = 3) -> None:
        self.did: list[str] = []
        self.nodes = [FakeNode(number, self.did) for number in range(1, nodes + 1)]
        self.quorum = nodes // 2 + 1
        self.network = self

    def leader(self) -> FakeNode:
        return self.nodes[0]

    def cut(self, source: int, target: int) -> None:
        self.did.append(f"cut {source}>{target}")

    def heal(self) -> None:
        self.did.append("heal")

    def restore(self) -> None:
        self.did.append("restore")

    def wait_ready(self, timeout_s: float) -> None:
        self.did.append("ready")


def cluster_of(fake: FakeCluster) -> Cluster:
    return cast("Cluster", fake)


def injected(fault: Fault, nodes: int = 3, seed: int = 1) -> list[str]:
    fake = FakeCluster(nodes)
    fault.inject(cluster_of(fake), random.Random(seed))
    return fake.did


def fault_named(kind: str) -> Fault:
    return next(fault for family in FAMILIES.values() for fault in family if fault.kind == kind)


def test_faults_of_the_leader_hit_the_leader() -> None:
    assert injected(fault_named("kill -9 leader")) == ["kill 1"]
    assert injected(fault_named("pause leader")) == ["pause 1"]
    assert injected(fault_named("restart leader")) == ["stop 1"]


@pytest.mark.parametrize("nodes", [3, 5])
def test_a_majority_is_one_more_than_half(nodes: int) -> None:
    assert len(set(injected(fault_named("kill -9 majority"), nodes))) == nodes // 2 + 1
    assert len(set(injected(fault_named("pause majority"), nodes))) == nodes // 2 + 1


def test_a_leader_cut_off_loses_both_directions_to_everybody() -> None:
    assert set(injected(fault_named("cut off leader"))) == {"cut 1>2", "cut 2>1", "cut 1>3", "cut 3>1"}


@pytest.mark.parametrize("seed", range(6))
def test_a_one_way_cut_goes_one_way(seed: int) -> None:
    for kind in ("cut one way: mute", "cut one way: deaf"):
        links = {tuple(did.removeprefix("cut ").split(">")) for did in injected(fault_named(kind), seed=seed)}
        assert len(links) == 2
        assert not links & {(target, source) for source, target in links}


@pytest.mark.parametrize("seed", range(6))
def test_a_partial_cut_leaves_both_sides_a_way_through_the_third(seed: int) -> None:
    links = injected(fault_named("cut partly"), seed=seed)
    assert len(links) == 2
    assert len({end for link in links for end in link.removeprefix("cut ").split(">")}) == 2


def test_a_split_leaves_a_majority_on_one_side() -> None:
    for nodes, links in ((3, 2 * 1 * 2), (5, 2 * 2 * 3)):
        assert len(set(injected(fault_named("split"), nodes))) == links


def test_the_same_seed_draws_the_same_faults() -> None:
    def drawn(seed: int) -> list[str]:
        draw = random.Random(seed)
        return [draw_fault(["kill", "pause", "cut"], draw).kind for _ in range(50)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_only_the_families_asked_for_are_drawn() -> None:
    draw = random.Random(1)
    kinds = {draw_fault(["pause"], draw).kind for _ in range(100)}
    assert kinds == {fault.kind for fault in FAMILIES["pause"]}


def run_nemesis(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch, until: Any, **options: Any) -> Nemesis:
    """A nemesis in a hurry."""
    quick = {
        name: tuple(Fault(f.kind, f.inject, (0.0, 0.01), f.weight, f.flaps) for f in family)
        for name, family in FAMILIES.items()
    }
    monkeypatch.setattr(faults, "FAMILIES", quick)
    monkeypatch.setattr(random.Random, "uniform", lambda self, low, high: min(low, 0.001))
    nemesis = Nemesis(cluster_of(fake), ["kill", "pause", "restart", "cut"], 3, **options)
    nemesis.start()
    wait_until(lambda: until(nemesis), 20, "the nemesis", pause_s=0.001)
    nemesis.finish()
    return nemesis


def test_every_fault_is_healed_and_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCluster()
    told: list[FaultEvent] = []
    nemesis = run_nemesis(fake, monkeypatch, lambda n: len(n.events) >= 20, on_event=told.append)
    assert nemesis.error is None
    assert fake.did[-1] == "restore"
    assert all(event.healed_ns >= event.began_ns > 0 for event in nemesis.events)
    assert Counter(map(id, told)) == {id(event): 2 for event in nemesis.events}
    assert fake.did.count("ready") > 5


def test_a_node_that_ends_by_itself_is_reported_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCluster()
    fake.nodes[1].crash_once = True
    nemesis = run_nemesis(fake, monkeypatch, lambda n: len(n.events) >= 3)
    assert nemesis.crashes == ["node 2 ended by itself with exit code 70\nbroken invariant"]


# -- processes


def sleeper(tmp_path: Path, code: str) -> ServerProcess:
    return ServerProcess("sleeper", [sys.executable, "-uc", code], tmp_path / "log")


SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def state_of(pid: int | None) -> str:
    return subprocess.run(
        ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()


def test_a_process_is_paused_resumed_killed_and_started_again(tmp_path: Path) -> None:
    process = sleeper(tmp_path, SLEEP)
    process.start()
    try:
        wait_until(lambda: process.tail(1) == "up", 10, "the process")
        first = process.pid
        process.start()
        assert process.pid == first, "starting what runs changes nothing"
        process.pause()
        wait_until(lambda: state_of(first) == "T", 5, "SIGSTOP")
        process.resume()
        wait_until(lambda: state_of(first) == "S", 5, "SIGCONT")
        process.pause()
        process.kill()
        assert not process.running
        assert not process.crashed(), "killed is not crashed"
        process.start()
        assert process.pid not in {None, first}
        assert process.starts == 2
    finally:
        process.kill()


def test_a_process_that_ends_by_itself_is_a_crash_once(tmp_path: Path) -> None:
    process = sleeper(tmp_path, "raise SystemExit('the last words')")
    process.start()
    wait_until(lambda: not process.running, 10, "its end")
    assert process.crashed()
    assert not process.crashed()
    assert process.tail(1) == "the last words"
    with pytest.raises(ProcessFailed, match="the last words"):
        process.expect_running()


def test_a_process_that_does_not_stop_is_killed_and_reported(tmp_path: Path) -> None:
    process = sleeper(tmp_path, STUBBORN)
    process.start()
    wait_until(lambda: process.tail(1) == "up", 10, "the process")
    began = time.monotonic()
    with pytest.raises(ProcessFailed, match="did not stop"):
        process.stop(timeout_s=0.3)
    assert time.monotonic() - began < 10
    assert not process.running


# -- keys


def test_ledger_keys_are_never_given_twice_and_others_retire() -> None:
    keys, draw = Keys(active=2, operations_per_key=10), random.Random(1)
    ledger = [keys.pick(Kind.LEDGER, draw) for _ in range(100)]
    assert len(set(ledger)) == 100
    used = Counter(keys.pick(Kind.REGISTER, draw) for _ in range(200))
    assert max(used.values()) <= 10
    assert len(used) >= 20
    assert {kind_of(key) for key in used} == {Kind.REGISTER}
