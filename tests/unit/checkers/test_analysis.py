"""One history, every model that applies; the command line and the page that show it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import msgspec
import pytest

from comity.checkers import (
    Event,
    EventType,
    History,
    Limits,
    Semantics,
    Status,
    UnsuitableHistory,
    analyse,
    write_history,
)
from comity.checkers.datatypes import Register
from comity.checkers.parallel import check_in_parallel
from comity.checkers.report.html import page
from comity.console.main import main

HOSTILE = "</script><script>alert(1)</script>"


def history(*lines: str) -> History:
    """ "process type f key value": a value of - is none."""
    events = []
    for line in lines:
        process, kind, f, key, value = line.split()
        parsed = None if value == "-" else json.loads(value)
        events.append(Event(int(process), EventType(kind), f, key, parsed))
    return History.of(events)


STALE = history(
    "0 invoke write x 1",
    "0 ok write x 1",
    "1 invoke read x -",
    "1 ok read x -",
    "2 invoke read x -",
    "2 ok read x 1",
)
SOUND = history("0 invoke write x 1", "0 ok write x 1", "1 invoke read x -", "1 ok read x 1")


def saved(tmp_path: Path, chosen: History, name: str = "h.jsonl") -> Path:
    path = tmp_path / name
    write_history(chosen, path)
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output), pytest.raises(SystemExit) as ended:
        main(["check", *map(str, arguments)])
    return int(ended.value.code or 0), output.getvalue()


def test_a_stale_read_is_sequential_and_not_linearizable() -> None:
    analysis = analyse(STALE, "register")
    assert analysis.models["linearizable"] is Status.VIOLATION
    assert analysis.strongest == ["sequential"]
    assert analysis.exit_status == 1


def test_what_is_linearizable_needs_no_other_search() -> None:
    analysis = analyse(SOUND, "register")
    assert set(analysis.models.values()) == {Status.VALID}
    assert analysis.strongest == ["linearizable"]
    assert analysis.exit_status == 0


def test_values_written_twice_leave_the_models_that_need_them_apart_out() -> None:
    twice = history("0 invoke write x 1", "0 ok write x 1", "0 invoke write x 1", "0 ok write x 1")
    assert set(analyse(twice, "register").models) == {"linearizable", "sequential"}
    with pytest.raises(UnsuitableHistory, match="causal cannot be asked"):
        analyse(twice, "register", models=["causal"])
    with pytest.raises(UnsuitableHistory, match="no model is called"):
        analyse(twice, "register", models=["casual"])


def test_keys_checked_side_by_side_give_the_same_report() -> None:
    lines = []
    for key in range(40):
        lines += [f"0 invoke write k{key} 1", f"0 ok write k{key} 1", f"1 invoke read k{key} -"]
        lines += [f"1 ok read k{key} {'-' if key == 17 else 1}"]
    report = check_in_parallel(history(*lines), Register(), Limits(), jobs=2)
    assert (report.status, report.keys, [v.key for v in report.verdicts]) == (
        Status.VIOLATION,
        40,
        ["k17"],
    )


def test_files_give_one_line_of_json_each_and_the_worst_exit_status(tmp_path: Path) -> None:
    stale, sound = saved(tmp_path, STALE, "stale.jsonl"), saved(tmp_path, SOUND, "sound.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"process": 1}')
    code, output = run(stale, sound, "--json")
    lines = [json.loads(line) for line in output.splitlines()]
    assert code == 1
    assert [line["file"] for line in lines] == [str(stale), str(sound)]
    assert lines[0]["models"]["linearizable"] == "violation"
    assert lines[1]["strongest"] == ["linearizable"]
    assert {"anomalies", "operations", "seconds"} <= set(lines[0])
    code, output = run(broken, sound, "--json")
    assert code == 2
    assert "not an event" in json.loads(output.splitlines()[0])["error"]
    assert json.loads(output.splitlines()[1])["models"]["linearizable"] == "valid"


def test_a_model_that_was_asked_for_decides_the_exit_status(tmp_path: Path) -> None:
    stale = saved(tmp_path, STALE)
    assert run(stale, "--model", "sequential")[0] == 0
    code, output = run(stale, "--model", "linearizable", "--model", "sequential", "--json")
    assert code == 1
    assert set(json.loads(output)["models"]) == {"linearizable", "sequential"}
    assert run(stale, "--model", "casual")[0] == 2
    assert run(stale, "--nil-read", "perhaps")[0] == 2
    assert run(tmp_path / "none")[0] == 2


def test_a_limit_that_is_reached_is_unknown_and_exit_status_3(tmp_path: Path) -> None:
    stale = saved(tmp_path, STALE)
    code, output = run(stale, "--model", "sequential", "--seconds", "0", "--json")
    assert (code, json.loads(output)["models"]) == (3, {"sequential": "unknown"})
    unknown = analyse(STALE, "register", limits=Limits(time_ns=-1), models=["sequential"])
    assert unknown.exit_status == 3
    assert "limit" in unknown.established


def test_options_say_what_sources_mean(tmp_path: Path) -> None:
    nothing = saved(tmp_path, history("1 invoke read x -", "1 ok read x 7"))
    assert run(nothing, "--type", "register")[0] == 1
    assert run(nothing, "--type", "register", "--initial", "7")[0] == 0
    failed = saved(tmp_path, history("1 invoke cas x [0,1]", "1 fail cas x [0,1]"), "failed.jsonl")
    assert run(failed, "--initial", "0")[0] == 0
    assert run(failed, "--initial", "0", "--failed-cas", "compare-failed")[0] == 1
    assert analyse(STALE, "register", semantics=Semantics(nil_read="wildcard")).exit_status == 0


def test_the_terminal_says_what_holds_and_what_to_do_next(tmp_path: Path) -> None:
    code, output = run(saved(tmp_path, STALE))
    assert code == 1
    assert "the strongest that holds: sequential" in output
    assert "--html" in output


def test_the_page_holds_everything_and_no_value_can_break_out_of_it(tmp_path: Path) -> None:
    operations = [
        msgspec.structs.replace(o, key=HOSTILE, value=HOSTILE if o.value else None) for o in STALE.operations
    ]
    hostile = History(operations, (), STALE.event_count)
    text = page(HOSTILE, hostile, analyse(hostile, "register"))
    assert text.count("</script>") == 2
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    data = text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["name"] == HOSTILE
    out = tmp_path / "page.html"
    assert run(saved(tmp_path, STALE), "--html", out)[0] == 1
    assert out.read_text().startswith("<!doctype html>")
