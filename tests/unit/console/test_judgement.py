"""The verdict on a trial: each kind of broken promise alone makes it a violation."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from comity.checkers import History, Limits, Recorder, Status
from comity.console.chaos.judgement import Evidence, judge


def sound_history() -> History:
    recorder = Recorder()
    recorder.invoke(1, "SET", "ledger:1", "a", time_ns=10)
    recorder.ok(1, "OK", time_ns=20)
    recorder.invoke(1, "SET", "register:2", "b", time_ns=30)
    recorder.ok(1, "OK", time_ns=1_000_000_020)
    recorder.invoke(9, "GET", "ledger:1")
    recorder.ok(9, "a")
    return recorder.history()


SOUND: dict[str, Any] = {
    "final": {"ledger:1": "a", "register:2": "b"},
    "digests": {1: (7, "aa"), 2: (7, "aa"), 3: (7, "aa")},
}


def test_a_trial_that_kept_everything_is_valid() -> None:
    judgement = judge(Evidence(sound_history(), **SOUND))
    assert judgement.status is Status.VALID
    assert judgement.exit_status == 0
    assert judgement.problems == ()
    assert judgement.silence_ns == 1_000_000_000


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"final": {"ledger:1": None, "register:2": "b"}}, "ledger:1: SET 'a' by process 1 was acknowledged"),
        ({"digests": {1: (7, "aa"), 2: (7, "bb"), 3: (7, "aa")}}, "the replicas differ at index 7"),
        ({"crashes": ["node 2 ended by itself"]}, "node 2 ended by itself"),
        ({"missed": ["not ready within 60 s"]}, "not ready within 60 s"),
        ({"unexpected": Counter({"ERR oops": 3})}, "unexpected error reply, 3 times: ERR oops"),
    ],
)
def test_any_broken_promise_alone_is_a_violation(broken: dict[str, Any], said: str) -> None:
    judgement = judge(Evidence(sound_history(), **(SOUND | broken)))
    assert judgement.status is Status.VIOLATION
    assert judgement.exit_status == 1
    assert len(judgement.problems) == 1
    assert said in judgement.problems[0]
    assert json.loads(json.dumps(judgement.to_json()))["problems"] == list(judgement.problems)


def test_a_stale_read_is_a_violation_although_every_write_is_found() -> None:
    recorder = Recorder()
    for value in ("a", "b"):
        recorder.invoke(1, "SET", "register:1", value)
        recorder.ok(1, "OK")
    recorder.invoke(2, "GET", "register:1")
    recorder.ok(2, "a")
    judgement = judge(Evidence(recorder.history(), {"register:1": "b"}))
    assert judgement.account.problems == ()
    assert judgement.exit_status == 1
    assert "register:1" in judgement.problems[0]


def test_a_check_that_gave_up_is_unknown_not_valid() -> None:
    recorder = Recorder()
    for process, letter in enumerate("abcdefghijkl"):
        recorder.invoke(process, "append", "log:1", letter)
    for process in range(12):
        recorder.ok(process)
    recorder.invoke(99, "get", "log:1")
    recorder.ok(99, "lkjihgfedcbaa")
    judgement = judge(Evidence(recorder.history(), {}), Limits(states=1))
    assert judgement.status is Status.UNKNOWN
    assert judgement.exit_status == 3
