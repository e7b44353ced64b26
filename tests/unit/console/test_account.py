"""Plain bookkeeping names the write that was lost, doubled, or done although it was refused."""

from __future__ import annotations

from typing import Any

import pytest

from comity.checkers.history import History
from comity.checkers.recorder import Recorder
from comity.console.chaos.account import account_for, longest_silence_ns, slowest_recovery_ns


def history(*operations: tuple[str, str, Any, str, Any]) -> History:
    """Operations one after the other: (f, key, value, outcome, result)."""
    recorder = Recorder()
    for number, (f, key, value, outcome, result) in enumerate(operations):
        recorder.invoke(number, f, key, value, time_ns=10 * number)
        if outcome == "ok":
            recorder.ok(number, result, time_ns=10 * number + 5)
        elif outcome == "fail":
            recorder.fail(number, time_ns=10 * number + 5)
        elif outcome == "info":
            recorder.info(number, time_ns=10 * number + 5)
    return recorder.history()


def problems(final: dict[str, str | None], *operations: tuple[str, str, Any, str, Any]) -> tuple[str, ...]:
    return account_for(history(*operations), final).problems


def test_all_is_well_when_every_acknowledged_write_is_there() -> None:
    account = account_for(
        history(
            ("SET", "ledger:1", "a", "ok", "OK"),
            ("SET", "ledger:2", "b", "fail", None),
            ("SET", "ledger:3", "c", "info", None),
            ("APPEND", "log:4", "x;", "ok", 2),
            ("APPEND", "log:4", "y;", "info", None),
            ("INCR", "counter:5", None, "ok", 1),
            ("INCR", "counter:5", None, "open", None),
            ("SET", "register:6", "d", "ok", "OK"),
            ("cas", "register:6", ["d", "e"], "ok", "OK"),
            ("GET", "register:6", None, "ok", "e"),
        ),
        {
            "ledger:1": "a",
            "ledger:2": None,
            "ledger:3": None,
            "log:4": "x;y;",
            "counter:5": "2",
            "register:6": "e",
        },
    )
    assert account.problems == ()
    assert (account.acknowledged, account.refused, account.unknown) == (5, 1, 3)


@pytest.mark.parametrize(
    ("found", "operations", "said"),
    [
        (None, [("SET", "ledger:1", "a", "ok", "OK")], "SET 'a' by process 0 was acknowledged"),
        ("a", [("SET", "ledger:1", "a", "fail", None)], "was refused, and at the end its value is there"),
        ("z", [("SET", "ledger:1", "a", "ok", "OK")], "'z', which nobody wrote"),
        (
            "a",
            [("SET", "register:1", "a", "ok", "OK"), ("SET", "register:1", "b", "ok", "OK")],
            "SET 'b' by process 1 was acknowledged, and at the end the key holds the older 'a'",
        ),
        ("y;", [("APPEND", "log:1", "x;", "ok", 2)], "APPEND 'x;' by process 0 was acknowledged"),
        ("x;x;", [("APPEND", "log:1", "x;", "info", None)], "is in the log 2 times"),
        ("x;", [("APPEND", "log:1", "x;", "fail", None)], "was refused, and at the end it is in the log"),
        ("x;y;", [("APPEND", "log:1", "x;", "ok", 2)], "'y;', which nobody appended"),
        (
            "1",
            [("INCR", "counter:1", None, "ok", 1), ("INCR", "counter:1", None, "ok", 2)],
            "2 INCRs were acknowledged, and at the end it is 1: 1 lost",
        ),
        ("2", [("INCR", "counter:1", None, "ok", 1)], "at most 1 INCRs can have happened"),
        (
            "2",
            [("INCR", "counter:1", None, "ok", 1), ("INCR", "counter:1", None, "ok", 1)],
            "INCR answered 1 2 times",
        ),
    ],
)
def test_each_way_of_breaking_the_promise_is_said_in_a_sentence(
    found: str | None, operations: list[tuple[str, str, Any, str, Any]], said: str
) -> None:
    key = operations[0][1]
    sentences = problems({key: found}, *operations)
    assert any(said in sentence for sentence in sentences), sentences
    assert all(sentence.startswith(key) for sentence in sentences)


def test_a_key_that_was_not_looked_for_is_a_problem() -> None:
    assert "not looked for" in problems({}, ("SET", "ledger:1", "a", "ok", "OK"))[0]


def test_writes_that_overlap_may_end_in_either_order() -> None:
    recorder = Recorder()
    recorder.invoke(1, "SET", "register:1", "a")
    recorder.invoke(2, "SET", "register:1", "b")
    recorder.ok(1, "OK")
    recorder.ok(2, "OK")
    for found in ("a", "b"):
        assert account_for(recorder.history(), {"register:1": found}).problems == ()


def test_the_longest_silence_is_between_acknowledged_writes_of_anybody() -> None:
    recorder = Recorder()
    for process, (begun, ended) in enumerate([(0, 10), (5, 12), (13, 40), (20, 90)]):
        recorder.invoke(process, "SET", "ledger:1", str(process), time_ns=begun)
        recorder.ok(process, "OK", time_ns=ended)
    recorder.invoke(9, "GET", "ledger:1", time_ns=50)
    recorder.ok(9, "3", time_ns=60)
    assert longest_silence_ns(recorder.history()) == (50, 40)


def test_recovery_is_from_the_end_of_a_fault_to_the_next_acknowledged_write() -> None:
    recorder = Recorder()
    for process, (begun, ended) in enumerate([(0, 10), (100, 130), (200, 290), (295, 300)]):
        recorder.invoke(process, "SET", "ledger:1", str(process), time_ns=begun)
        recorder.ok(process, "OK", time_ns=ended)
    history = recorder.history()
    assert slowest_recovery_ns(history, [(20, 110)]) == 20
    assert slowest_recovery_ns(history, [(20, 110), (140, 220)]) == 70
    assert slowest_recovery_ns(history, [(20, 110), (140, 220), (280, 285)]) == 20, (
        "hit again before it recovered"
    )
    assert slowest_recovery_ns(history, [(400, 500)]) == 0
