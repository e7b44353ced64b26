"""Single cases of linearizability: what is said about them, limits, and types of one's own."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
from tests.unit.checkers.brute_force import register
from tests.unit.checkers.random_histories import random_history

from comity.checkers import (
    REFUSED,
    DataType,
    Event,
    EventType,
    History,
    KeyValue,
    Limits,
    Operation,
    Outcome,
    Refused,
    Register,
    Report,
    Status,
    UnsuitableHistory,
    check_history,
    freeze,
)


def history(*lines: str) -> History:
    """One event a line: process, type, f, value as JSON or nothing, key after @."""

    def events() -> Iterable[Event]:
        for line in lines:
            text, _, key = line.partition(" @")
            process, kind, f, *value = text.split(maxsplit=3)
            parsed = json.loads(value[0]) if value else None
            yield Event(
                int(process),
                EventType(kind),
                f,
                key or None,
                freeze(parsed),
            )

    return History.of(events())


STALE = history(
    "1 invoke write 1",
    "1 ok write 1",
    "2 invoke write 2",
    "2 ok write 2",
    "3 invoke read",
    "1 invoke write 3",
    "3 ok read 1",
    "1 ok write 3",
)


def test_a_stale_read_is_explained_in_words() -> None:
    report = check_history(STALE, "register")
    assert report.status is Status.VIOLATION
    assert report.exit_status == 1
    verdict = report.verdicts[0]
    assert [(o.index, o.outcome.value) for o in verdict.witness] == [
        (0, "ok"),
        (1, "ok"),
        (2, "ok"),
        (3, "info"),
    ]
    assert [o.index for o in verdict.linearization] == [0, 1]
    assert [o.index for o in verdict.stuck] == [2]
    assert verdict.explanation.splitlines() == [
        "the history is not linearizable as a register: its smallest failing prefix has 4 operations, "
        "and no order explains them.",
        "Numbers in brackets are the events an operation lies between.",
        "There is an order up to event 6, where the answer came of",
        "  process 3: read → 1 [4..6]",
        "The order that gets furthest places 2 of them and ends:",
        "  process 1: write 1 [0..1]",
        "  process 2: write 2 [2..3]",
        "The state is then 2. What should come next and cannot:",
        "  process 3: read → 1 [4..6]",
    ]


def test_a_read_of_a_value_from_nowhere_is_explained_as_that() -> None:
    for name in ("register", "cas-register", "kv"):
        report = check_history(
            history("1 invoke write 1", "1 ok write 1", "2 invoke read", "2 ok read 7"), name
        )
        assert report.status is Status.VIOLATION
        assert "Nothing that may have happened leaves behind" in report.explanation
        assert "process 2: read → 7 [2..3]" in report.explanation


def test_the_report_is_json() -> None:
    report = check_history(STALE, "register")
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["models"] == {"linearizable": "violation"}
    assert plain["verdicts"][0]["stuck"][0]["process"] == 3
    assert plain["verdicts"][0]["witness_operations"] == 4
    valid = json.loads(json.dumps(check_history(history(), "register").to_json()))
    assert (valid["status"], valid["operations"], valid["verdicts"]) == ("valid", 0, [])


def test_a_violation_names_the_key_and_only_that_keys_operations() -> None:
    report = check_history(
        history(
            "1 invoke write 1 @a",
            "1 ok write 1 @a",
            "1 invoke write 1 @b",
            "1 ok write 1 @b",
            "2 invoke read @a",
            "2 ok read null @a",
            "2 invoke read @b",
            "2 ok read 1 @b",
        ),
        "register",
    )
    assert [verdict.key for verdict in report.verdicts] == ["a"]
    assert {o.key for o in report.verdicts[0].witness} == {"a"}
    assert report.established == "1 of 2 keys are linearizable, 1 are not"


def test_later_operations_do_not_hide_in_a_smaller_prefix() -> None:
    # Read 2 is only wrong once the write that could explain it is known not to have come yet: the
    # smallest prefix ends where the read returns, whatever follows.
    tail = [line for n in range(50) for line in (f"1 invoke write {n + 10}", f"1 ok write {n + 10}")]
    report = check_history(
        history("1 invoke write 1", "1 ok write 1", "2 invoke read", "2 ok read 2", *tail), Register()
    )
    assert max(o.completed or 0 for o in report.verdicts[0].witness) == 3


def test_an_unknown_write_may_happen_long_after_everything_else() -> None:
    assert check_history(
        history(
            "1 invoke write 1",
            "1 info write 1",
            "2 invoke read",
            "2 ok read null",
            "2 invoke read",
            "2 ok read 1",
        ),
        "register",
    ).valid


def test_a_conditional_write_of_unknown_outcome_sees_whether_there_is_a_value() -> None:
    # b got there only if the append of 7, which nobody ever saw, had made the key first.
    lines = [
        '0 invoke SET ["b", "XX"]',
        '1 invoke SET ["7", "GET"]',
        '2 invoke APPEND "7"',
        '1 ok SET "b"',
    ]
    assert check_history(history(*lines), "kv").valid
    assert not check_history(history(*lines[:2], lines[3]), "kv").valid


def test_a_failed_write_did_not_happen() -> None:
    lines = ["1 invoke write 1", "1 fail write 1", "2 invoke read", "2 ok read 1"]
    assert check_history(history(*lines), "register").status is Status.VIOLATION


def test_five_thousand_unknown_writes_that_nobody_saw_cost_nothing() -> None:
    lines = [f"{n} invoke write {n}" for n in range(10, 5010)]
    for n in range(20):
        lines += [f"1 invoke cas [{json.dumps(n + 6000 if n else None)}, {n + 6001}]"]
        lines += [f"1 ok cas [{json.dumps(n + 6000 if n else None)}, {n + 6001}]"]
    report = check_history(history(*lines), "cas-register")
    assert report.valid
    assert report.statistics["states"] == 0
    lines += ["1 invoke read", "1 ok read 6001"]
    report = check_history(history(*lines), "cas-register")
    assert report.status is Status.VIOLATION
    assert report.statistics["states"] < 1000


def hard_history(operations: int = 60) -> History:
    """Many concurrent appends, and then a text that no order of them gives, though each letter fits."""
    random_ = random.Random(1)
    tails = [random_.choice("abcd") * (process % 3 + 1) for process in range(operations)]
    events = [Event(1000, EventType.INVOKE, "append", "x", "d!d")]
    events += [Event(p, EventType.INVOKE, "append", "x", tail) for p, tail in enumerate(tails)]
    events += [Event(p, EventType.OK, "append", "x", tail) for p, tail in enumerate(tails)]
    events.append(Event(0, EventType.INVOKE, "get", "x"))
    events.append(Event(0, EventType.OK, "get", "x", "".join(sorted(tails))[:-1] + "d!d"))
    return History.of(events)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(states=500, clock_ns=lambda: 0), "limit of remembered states"),
        (Limits(memory_bytes=1_000_000, clock_ns=lambda: 0), "memory limit"),
    ],
)
def test_a_limit_gives_unknown_and_says_which(limits: Limits, limit: str) -> None:
    report = check_history(hard_history(), "kv", limits)
    assert report.status is Status.UNKNOWN
    assert report.exit_status == 3
    assert limit in report.explanation
    assert report.verdicts[0].statistics["limit"] == limit
    assert "0 of 1 keys are linearizable, for 1 a limit was reached first" in report.established


def test_the_time_limit_is_that_of_the_clock_passed_in() -> None:
    now_ns = 0

    def clock_ns() -> int:
        nonlocal now_ns
        now_ns += 10
        return now_ns

    report = check_history(hard_history(), "kv", Limits(time_ns=50, clock_ns=clock_ns))
    assert report.status is Status.UNKNOWN
    assert "time limit" in report.explanation
    assert now_ns < 1000


def test_a_violation_elsewhere_outweighs_an_unknown() -> None:
    events = [*hard_history().events(), *STALE.events()]
    renamed = [Event(f"{e.process} {e.key}", e.type, e.f, e.key, e.value, e.time) for e in events]
    report = check_history(History.of(renamed), "kv", Limits(states=500, clock_ns=lambda: 0))
    assert report.status is Status.VIOLATION
    assert [verdict.status for verdict in report.verdicts] == [Status.VIOLATION, Status.UNKNOWN]


@pytest.mark.parametrize(
    ("lines", "name", "reason"),
    [
        (["1 invoke cas [1, 2]"], "register", "a register has read and write"),
        (["1 invoke cas 5"], "cas-register", "cas takes"),
        (['1 invoke SET ["v", "EX", 10]', '1 ok SET "OK"'], "kv", "time is not modelled"),
        (['1 invoke LPUSH "v"', "1 ok LPUSH 1"], "kv", "kv has get"),
        (['1 invoke GET "v"', "1 ok GET null"], "kv", "0 to 0 arguments"),
        (['1 invoke APPEND "v"', "1 ok APPEND null"], "kv", "is an integer, not nothing"),
        (['1 invoke EXEC [["GET"]]', "1 ok EXEC [1, 2]"], "kv", "one reply a command"),
        (["1 invoke read", "1 info read", "2 invoke dance"], "register", "a register has"),
        (["1 invoke read"], "log", "no data type is called 'log'"),
    ],
)
def test_what_a_type_cannot_judge_is_refused_never_called_valid(
    lines: list[str], name: str, reason: str
) -> None:
    with pytest.raises(UnsuitableHistory, match=reason):
        check_history(history(*lines), name)


def test_a_transaction_over_two_keys_is_refused() -> None:
    value = (("r", "x", None), ("w", "y", 1))
    with pytest.raises(UnsuitableHistory, match="one key at a time"):
        check_history(History.of([Event(1, EventType.INVOKE, "txn", None, value)]), "kv")


def test_missing_keys_may_read_as_empty_text() -> None:
    lines = [
        "1 invoke get",
        '1 ok get ""',
        '1 invoke append "x"',
        '1 ok append "x"',
        "1 invoke get",
        '1 ok get "x"',
    ]
    assert check_history(history(*lines), KeyValue(initial="")).valid
    assert not check_history(history(*lines), KeyValue()).valid


class Mutex(DataType):
    """A type of a user's own, from the two methods that are a must: who holds the lock."""

    name = "mutex"

    def initial(self) -> Any:
        return None

    def step(self, state: Any, operation: Operation) -> Any | Refused:
        if operation.f == "acquire":
            return operation.process if state is None else REFUSED
        return None if state == operation.process else REFUSED


def mutex_report(*lines: str) -> Report:
    return check_history(history(*lines), Mutex())


def test_a_type_of_ones_own_needs_two_methods() -> None:
    assert mutex_report(
        "1 invoke acquire",
        "2 invoke acquire",
        "1 ok acquire",
        "1 invoke release",
        "2 ok acquire",
        "1 ok release",
    ).valid
    report = mutex_report("1 invoke acquire", "1 ok acquire", "2 invoke acquire", "2 ok acquire")
    assert report.status is Status.VIOLATION
    assert "process 2: acquire" in report.explanation


def test_a_process_that_may_hold_the_lock_explains_nobody_else_having_it() -> None:
    assert mutex_report("1 invoke acquire", "1 info acquire", "2 invoke acquire", "2 ok acquire").valid
    assert not mutex_report(
        "1 invoke acquire", "1 ok acquire", "3 invoke release", "2 invoke acquire", "2 ok acquire"
    ).valid


@pytest.mark.slow
def test_a_hundred_thousand_operations_are_checked_with_a_handful_of_states() -> None:
    # Work is counted instead of time: one node an operation would be 100,000 of them.
    random_ = random.Random(5)

    def draw(random_: random.Random) -> tuple[str, Any]:
        return ("read", None) if random_.random() < 0.5 else ("write", random_.randrange(5))

    large = random_history(
        random_,
        register,
        None,
        draw,
        lambda *_: None,
        operations=100_000,
        processes=10,
        keys=100,
        trouble=0.0,
    )
    report = check_history(large, "register")
    assert report.valid
    assert report.keys == 100
    assert report.operations == 100_000
    assert report.statistics["nodes"] < 50_000


def test_outcomes_of_a_history_are_not_mixed_up_by_the_checker() -> None:
    before = [o.outcome for o in STALE.operations]
    check_history(STALE, "register")
    assert [o.outcome for o in STALE.operations] == before == [Outcome.OK] * 4
