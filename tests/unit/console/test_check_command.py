"""`comity check`: what it says, and the exit status scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from comity.checkers import Recorder, write_history
from comity.console.check import check

app = typer.Typer()
app.command()(check)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def linearizable(tmp_path: Path) -> Path:
    recorder = Recorder()
    recorder.invoke(1, "SET", "a", "1")
    recorder.ok(1, "OK")
    recorder.invoke(2, "GET", "a")
    recorder.ok(2, "1")
    write_history(recorder.history(), tmp_path / "good.jsonl")
    return tmp_path / "good.jsonl"


@pytest.fixture
def stale(tmp_path: Path) -> Path:
    recorder = Recorder()
    for value in ("1", "2"):
        recorder.invoke(1, "SET", "a", value)
        recorder.ok(1, "OK")
    recorder.invoke(2, "GET", "a")
    recorder.ok(2, "1")
    write_history(recorder.history(), tmp_path / "stale.jsonl")
    return tmp_path / "stale.jsonl"


def test_a_linearizable_history_is_valid_and_exits_0(linearizable: Path) -> None:
    done = run(str(linearizable))
    assert done.exit_code == 0
    assert "2 operations" in done.output
    assert "the strongest that holds: linearizable" in done.output


def test_a_stale_read_is_a_violation_and_exits_1(stale: Path) -> None:
    done = run(str(stale))
    assert done.exit_code == 1
    assert "not linearizable" in done.output


def test_json_says_the_same(linearizable: Path, stale: Path) -> None:
    good, bad = run(str(linearizable), "--json"), run(str(stale), "--json")
    assert json.loads(good.output)["status"] == "valid"
    assert json.loads(bad.output)["status"] == "violation"
    assert (good.exit_code, bad.exit_code) == (0, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("this is no history\n", "bad.jsonl"),
        ('{"process": 1, "type": "ok", "f": "GET"}\n', "bad.jsonl:1: process 1 completes GET"),
        ('{"process": 1, "type": "done", "f": "GET"}\n', "bad.jsonl:1: not an event"),
        ('{"process": 1, "type": "invoke", "f": "LPUSH", "key": "a"}\n', "LPUSH"),
    ],
)
def test_what_is_no_history_is_refused_with_its_place_and_exits_2(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    done = run(str(file))
    assert done.exit_code == 2
    assert said in done.output
    as_json = run(str(file), "--json")
    assert as_json.exit_code == 2
    assert json.loads(as_json.output)["status"] == "unusable"


def test_a_missing_file_and_an_unknown_model_exit_2(tmp_path: Path, linearizable: Path) -> None:
    assert run(str(tmp_path / "absent.jsonl")).exit_code == 2
    done = run(str(linearizable), "--model", "abacus")
    assert done.exit_code == 2
    assert "abacus" in done.output


def test_a_check_that_may_not_remember_anything_is_unknown_and_exits_3(tmp_path: Path) -> None:
    recorder = Recorder()
    for process, letter in enumerate("abcdefghijkl"):
        recorder.invoke(process, "append", "a", letter)
    for process in range(12):
        recorder.ok(process)
    recorder.invoke(99, "get", "a")
    recorder.ok(99, "lkjihgfedcbaa")
    write_history(recorder.history(), tmp_path / "wide.jsonl")
    done = run(str(tmp_path / "wide.jsonl"), "--states", "1")
    assert done.exit_code == 3
    assert "unknown" in done.output
