from __future__ import annotations

import threading

import pytest

from comity.checkers import (
    NEMESIS,
    Event,
    EventType,
    History,
    HistoryBuilder,
    HistoryError,
    Outcome,
    Recorder,
    Status,
    check_history,
    freeze,
    thaw,
)


def invoke(process: int, f: str = "write", key: object = "x", value: object = 1) -> Event:
    return Event(process, EventType.INVOKE, f, key, value)


def complete(process: int, kind: str, f: str = "write", key: object = "x", value: object = 1) -> Event:
    return Event(process, EventType(kind), f, key, value)


def test_operations_pair_their_events_and_come_by_invocation() -> None:
    history = History.of(
        [
            invoke(1),
            invoke(2, "read", value=None),
            complete(2, "ok", "read", value=1),
            complete(1, "ok"),
            invoke(3, "read", value=None),
            invoke(2, value=5),
            complete(2, "info", value=5),
        ]
    )
    assert [(o.process, o.f, o.result, o.outcome, o.invoked, o.completed) for o in history.operations] == [
        (1, "write", 1, Outcome.OK, 0, 3),
        (2, "read", 1, Outcome.OK, 1, 2),
        (3, "read", None, Outcome.INFO, 4, None),
        (2, "write", None, Outcome.INFO, 5, 6),
    ]
    assert history.outcomes() == {"ok": 2, "fail": 0, "info": 2}
    assert history.event_count == 7
    assert history.all_processes() == [1, 2, 3]
    assert history.all_keys() == ["x"]


def test_the_events_come_back_as_they_were() -> None:
    events = [
        invoke(1),
        Event(NEMESIS, EventType.INFO, "kill", None, "node 2", 7),
        invoke(2, "cas", value=(1, 2)),
        complete(1, "ok"),
        complete(2, "fail", "cas", value=(1, 2)),
        invoke(1, "read", value=None),
    ]
    assert list(History.of(events).events()) == events


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([invoke(1), invoke(1)], "while its write is open"),
        ([complete(1, "ok")], "without having invoked it"),
        ([invoke(1), complete(1, "ok", "read")], "completes read but has invoked write"),
        ([invoke(1), complete(1, "ok", key="y")], "of key 'y'"),
        ([invoke(1), complete(1, "ok"), complete(1, "ok")], "without having invoked it"),
        ([invoke(1), complete(1, "info"), invoke(1)], "go on under a new process"),
    ],
)
def test_what_is_no_history_is_refused(events: list[Event], reason: str) -> None:
    with pytest.raises(HistoryError, match=reason):
        History.of(events)


def test_a_refused_event_leaves_the_builder_as_it_was() -> None:
    builder = HistoryBuilder()
    builder.add(invoke(1))
    with pytest.raises(HistoryError):
        builder.add(invoke(1, value=9))
    builder.add(complete(1, "ok"))
    assert [o.outcome for o in builder.build().operations] == [Outcome.OK]


def test_foreign_histories_may_go_on_under_a_process_of_unknown_outcome() -> None:
    builder = HistoryBuilder(reuse=True)
    for event in (invoke(1), complete(1, "info"), invoke(1), complete(1, "ok")):
        builder.add(event)
    assert [o.outcome for o in builder.build().operations] == [Outcome.INFO, Outcome.OK]


def test_frozen_values_are_hashable_and_thaw_to_json() -> None:
    value = [1, "a", None, [["r", "x", {"b": [2], "a": {"c": 1}}]], b"text"]
    frozen = freeze(value)
    hash(frozen)
    assert thaw(frozen) == [1, "a", None, [["r", "x", {"b": [2], "a": {"c": 1}}]], "text"]
    assert freeze({"a": 1, "b": 2}) == freeze({"b": 2, "a": 1})
    assert thaw(freeze({3, 1, 2})) == [1, 2, 3]


@pytest.mark.parametrize("value", [b"\xff", object(), [b"\xff"]])
def test_values_without_a_json_form_are_refused(value: object) -> None:
    with pytest.raises(HistoryError):
        freeze(value)


def test_a_recorder_makes_the_history_of_its_calls() -> None:
    written: list[Event] = []
    recorder = Recorder(sink=written.append)
    recorder.invoke(1, "write", "x", 5, time_ns=10)
    recorder.fault("kill", "node 1", time_ns=11)
    recorder.invoke(2, "read", "x", time_ns=12)
    recorder.ok(1, 5, time_ns=13)
    recorder.ok(2, None, time_ns=14)
    recorder.invoke(1, "cas", "x", [5, 6], time_ns=15)
    recorder.fail(1, time_ns=16)
    history = recorder.history()
    assert list(history.events()) == written
    assert [(o.f, o.value, o.result, o.invoked_ns, o.completed_ns) for o in history.operations] == [
        ("write", 5, 5, 10, 13),
        ("read", None, None, 12, 14),
        ("cas", (5, 6), None, 15, 16),
    ]
    # The read found nothing and began before the write had returned.
    assert check_history(history, "cas-register").valid


def test_a_recorder_names_a_new_process_after_an_unknown_outcome() -> None:
    recorder = Recorder()
    first = recorder.process_of("client a")
    other = recorder.process_of("client b")
    recorder.invoke(first, "write", "x", 1)
    assert recorder.process_of("client a") == first
    recorder.info(first)
    second = recorder.process_of("client a")
    assert len({first, other, second}) == 3
    recorder.invoke(second, "write", "x", 2)
    recorder.ok(second, 2)
    assert recorder.process_of("client a") == second
    with pytest.raises(HistoryError, match="new process"):
        recorder.invoke(first, "read", "x")


def test_a_recorder_refuses_a_completion_without_an_invocation() -> None:
    with pytest.raises(HistoryError, match="without having invoked"):
        Recorder().ok(1, 2)


def test_a_recorder_may_be_called_from_many_threads() -> None:
    recorder = Recorder()

    def work(client: int) -> None:
        for number in range(200):
            process = recorder.process_of(client)
            recorder.invoke(process, "write", client, number)
            if number % 10 == 9:
                recorder.info(process)
            else:
                recorder.ok(process, number)

    threads = [threading.Thread(target=work, args=(client,)) for client in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = recorder.history()
    assert history.outcomes() == {"ok": 720, "fail": 0, "info": 80}
    assert check_history(history, "register").valid


def test_a_lost_acknowledged_write_is_a_violation_once_the_final_reads_are_known() -> None:
    recorder = Recorder()
    for key, value in (("x", 1), ("y", 2)):
        recorder.invoke(0, "write", key, value)
        recorder.ok(0, value)
    history = recorder.history()
    assert check_history(history, "register").valid
    assert check_history(history.with_final_reads({"x": 1, "y": 2}), "register").valid
    report = check_history(history.with_final_reads({"x": 1, "y": None}), "register")
    assert report.status is Status.VIOLATION
    assert report.verdicts[0].key == "y"


def test_a_write_of_unknown_outcome_may_be_missing_at_the_end_or_not() -> None:
    recorder = Recorder()
    recorder.invoke(0, "write", "x", 1)
    recorder.info(0)
    for found, expected in ((None, True), (1, True), (2, False)):
        assert check_history(recorder.history().with_final_reads({"x": found}), "register").valid is expected
