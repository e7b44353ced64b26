"""Isolation levels agree with their definitions; anomalies are found, named and shown."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.unit.checkers.transactions.brute_force import holds
from tests.unit.checkers.transactions.random_transactions import random_history

from comity.checkers import Event, EventType, History, Limits, Status, transactions
from comity.checkers.models import TRANSACTIONAL, weaker_than


def agree(seed: int, data_type: str) -> None:
    history = random_history(random.Random(seed), data_type)
    found = transactions.check(history, data_type, Limits())
    for model in TRANSACTIONAL:
        expected = Status.VALID if holds(model, history, data_type) else Status.VIOLATION
        told = [verdict.explanation for verdict in found.anomalies]
        assert found.models[model] is expected, (seed, model, told)
        if expected is Status.VALID:
            assert all(found.models[weaker] is Status.VALID for weaker in weaker_than(model)), seed


@pytest.mark.slow
@pytest.mark.parametrize("data_type", ["list-append", "rw-register"])
def test_every_level_agrees_with_its_definition_and_the_lattice_is_respected(data_type: str) -> None:
    for seed in range(1_500):
        agree(seed, data_type)


@pytest.mark.soak
@pytest.mark.parametrize("data_type", ["list-append", "rw-register"])
@pytest.mark.parametrize("block", range(20))
def test_every_level_agrees_with_its_definition_on_many_more_histories(data_type: str, block: int) -> None:
    for seed in range(10_000 + 1_000 * block, 11_000 + 1_000 * block):
        agree(seed, data_type)


def one_by_one(*transactions_: tuple[Any, ...]) -> History:
    """Transactions that overlap: all invoked, then all completed, each by a process of its own."""
    events = []
    for process, steps in enumerate(transactions_):
        asked = tuple((f, key, None if f == "r" else value) for f, key, value in steps)
        events.append(Event(process, EventType.INVOKE, "txn", None, asked))
    events += [Event(p, EventType.OK, "txn", None, steps) for p, steps in enumerate(transactions_)]
    return History.of(events)


SHOWN: dict[str, tuple[History, str, str]] = {
    # anomaly: a history, its type, the strongest model that must not hold any more
    "G0": (
        one_by_one(
            (("append", "x", 1), ("append", "y", 1)),
            (("append", "x", 2), ("append", "y", 2)),
            (("r", "x", (1, 2)), ("r", "y", (2, 1))),
        ),
        "list-append",
        "read-uncommitted",
    ),
    "G1b": (
        one_by_one((("append", "x", 1), ("append", "x", 2)), (("r", "x", (1,)),)),
        "list-append",
        "read-committed",
    ),
    "G1c": (
        one_by_one(
            (("append", "x", 1), ("r", "y", (1,))),
            (("append", "y", 1), ("r", "x", (1,))),
        ),
        "list-append",
        "read-committed",
    ),
    "lost-update": (
        one_by_one(
            (("r", "x", None), ("w", "x", 1)),
            (("r", "x", None), ("w", "x", 2)),
        ),
        "rw-register",
        "cursor-stability",
    ),
    "fractured-read": (
        one_by_one((("w", "x", 1), ("w", "y", 1)), (("r", "y", None), ("r", "x", 1))),
        "rw-register",
        "read-atomic",
    ),
    "G-single": (
        one_by_one(
            (("append", "x", 1),),
            (("r", "x", (1,)), ("append", "y", 1)),
            (("r", "y", (1,)), ("r", "x", ())),
        ),
        "list-append",
        "parallel-snapshot-isolation",
    ),
    "write-skew": (
        one_by_one(
            (("r", "x", None), ("w", "y", 1)),
            (("r", "y", None), ("w", "x", 1)),
        ),
        "rw-register",
        "serializable",
    ),
    "internal": (
        one_by_one(
            (("append", "x", 1), ("r", "x", ())),
        ),
        "list-append",
        "read-uncommitted",
    ),
    "incompatible-order": (
        one_by_one((("append", "x", 1),), (("append", "x", 2),), (("r", "x", (1,)),), (("r", "x", (2, 1)),)),
        "list-append",
        "read-committed",
    ),
    "duplicate-elements": (
        one_by_one((("append", "x", 1),), (("r", "x", (1, 1)),)),
        "list-append",
        "read-uncommitted",
    ),
    "garbage-read": (one_by_one((("r", "x", 7),)), "rw-register", "read-uncommitted"),
    "cyclic-versions": (
        one_by_one((("r", "x", 2), ("w", "x", 1)), (("r", "x", 1), ("w", "x", 2))),
        "rw-register",
        "read-uncommitted",
    ),
    "future-read": (one_by_one((("r", "x", 1), ("w", "x", 1))), "rw-register", "read-committed"),
}


@pytest.mark.parametrize("anomaly", SHOWN)
def test_an_anomaly_is_named_and_breaks_its_model(anomaly: str) -> None:
    history, data_type, model = SHOWN[anomaly]
    found = transactions.check(history, data_type, Limits())
    named = {verdict.anomaly: verdict for verdict in found.anomalies}
    assert anomaly in named, named
    assert named[anomaly].witness
    assert found.models[model] is Status.VIOLATION


def test_the_steps_of_a_cycle_lead_round() -> None:
    found = transactions.check(SHOWN["G-single"][0], "list-append", Limits())
    cycle = next(v.cycle for v in found.anomalies if v.anomaly == "G-single")
    assert [edge.target for edge in cycle] == [edge.source for edge in (*cycle[1:], cycle[0])]
    assert sum(edge.kind == "rw" for edge in cycle) == 1


class Serial:
    """A strictly serializable store: transactions take effect one after the other, at their completion."""

    def __init__(self, seed: int, count: int) -> None:
        rng = random.Random(seed)
        lists: dict[str, list[int]] = {}
        self.events: list[Event] = []
        value = 0
        for _ in range(count):
            process = rng.randrange(8)
            steps: list[tuple[str, str, Any]] = []
            for _ in range(rng.randint(1, 4)):
                key = f"k{value // 100}-{rng.randrange(4)}"
                if rng.random() < 0.5:
                    steps.append(("r", key, tuple(lists.get(key, ()))))
                else:
                    value += 1
                    lists.setdefault(key, []).append(value)
                    steps.append(("append", key, value))
            self.add(process, *steps)

    def add(self, process: int, *steps: tuple[str, str, Any]) -> None:
        asked = tuple((f, key, None if f == "r" else value) for f, key, value in steps)
        self.events.append(Event(process, EventType.INVOKE, "txn", None, asked))
        self.events.append(Event(process, EventType.OK, "txn", None, tuple(steps)))


@pytest.mark.slow
def test_ten_thousand_sound_transactions_are_strictly_serializable() -> None:
    found = transactions.check(History.of(Serial(1, 10_000).events), "list-append", Limits())
    assert set(found.models.values()) == {Status.VALID}


@pytest.mark.slow
def test_one_stale_read_among_ten_thousand_transactions_breaks_real_time_alone_and_is_named() -> None:
    store = Serial(2, 10_000)
    before = len(store.events) // 2
    store.add(1, ("append", "a", -1))
    store.add(2, ("r", "a", ()))
    found = transactions.check(History.of(store.events), "list-append", Limits())
    assert found.models["strict-serializable"] is Status.VIOLATION
    assert found.models["strong-session-serializable"] is Status.VALID
    named = {o.index for verdict in found.anomalies for o in verdict.witness}
    assert {before, before + 1} <= named


@pytest.mark.slow
def test_planted_write_skew_among_ten_thousand_transactions_leaves_snapshot_isolation() -> None:
    store = Serial(3, 10_000)
    first = (("r", "a", ()), ("append", "b", -1))
    second = (("r", "b", ()), ("append", "a", -2))
    for process, steps in ((1, first), (2, second)):
        asked = tuple((f, key, None if f == "r" else value) for f, key, value in steps)
        store.events.append(Event(process, EventType.INVOKE, "txn", None, asked))
    store.events.append(Event(1, EventType.OK, "txn", None, first))
    store.events.append(Event(2, EventType.OK, "txn", None, second))
    found = transactions.check(History.of(store.events), "list-append", Limits())
    assert "write-skew" in {verdict.anomaly for verdict in found.anomalies}
    assert found.models["serializable"] is Status.VIOLATION
    assert found.models["snapshot-isolation"] is Status.VALID
