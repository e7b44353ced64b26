"""The demo and short chaos runs as a user starts them: real processes, real faults, real exit statuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity.checkers import check_history, read_history

pytestmark = pytest.mark.slow

tools = shutil.which("ip") and shutil.which("iptables")
can_cut = sys.platform.startswith("linux") and os.geteuid() == 0 and tools


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a failing run keeps goes here, and not into the machine's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    for kept in tmp_path.glob("comity-cluster-*"):
        shutil.rmtree(kept, ignore_errors=True)


def comity(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "comity.console.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)


def test_the_demo_keeps_its_promise_in_under_a_minute(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    done = comity("demo", "--history", str(history), timeout_s=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every one accounted for" in done.stdout
    assert "linearizable" in done.stdout
    assert "replicas are equal" in done.stdout
    recorded = read_history(history)
    assert [event.f for _, event in recorded.faults] == ["kill -9", "pause"]
    assert recorded.outcomes()["ok"] > 500
    assert check_history(recorded).valid
    assert not list(tmp_path.glob("comity-cluster-*")), "nothing is left behind"


def test_a_planted_violation_is_found_and_the_lost_write_named(tmp_path: Path) -> None:
    done = comity("demo", "--plant-violation", timeout_s=60)
    assert done.returncode == 1, done.stdout + done.stderr
    lost = re.search(r"✗ (ledger:\d+): SET '(\S+)' by process \d+ was acknowledged", done.stdout)
    assert lost, done.stdout
    assert f"{lost[1]}: not linearizable" in done.stdout
    kept = list(tmp_path.glob("comity-cluster-*"))
    assert kept
    assert str(kept[0]) in done.stdout


def test_chaos_finds_nothing_wrong_and_says_what_it_did(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    done = comity("chaos", "--minutes", "0.1", "--seed", "3", "--history", str(history), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "valid"
    assert result["seed"] == 3
    assert sum(result["faults"].values()) >= 1
    assert result["writes"]["acknowledged"] > 200
    assert len({tuple(digest) for digest in result["digests"].values()}) == 1
    assert len(result["digests"]) == 3
    assert comity("check", str(history)).returncode == 0


@pytest.mark.skipif(not can_cut, reason="needs Linux, root, ip and iptables")
def test_chaos_with_cut_links_finds_nothing_wrong_and_cleans_up(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    done = comity(
        *("chaos", "--minutes", "0.15", "--seed", "5", "--cut-links", "--faults", "cut"),
        *("--history", str(history), "--json"),
    )
    if done.returncode == 2:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert sum(result["faults"].values()) >= 1
    assert all(kind.startswith(("cut", "split")) for kind in result["faults"])


def test_faults_that_need_cut_links_or_do_not_exist_are_refused_by_name() -> None:
    done = comity("chaos", "--faults", "cut")
    assert done.returncode == 2
    assert "--cut-links" in done.stderr
    done = comity("chaos", "--faults", "earthquake")
    assert done.returncode == 2
    assert "earthquake" in done.stderr
