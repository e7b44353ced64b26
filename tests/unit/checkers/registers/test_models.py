"""The models of registers agree with their definitions, and are right both ways at size."""

from __future__ import annotations

import random

import pytest
from tests.unit.checkers.registers.random_registers import random_history
from tests.unit.checkers.registers.real_time_twins import holds as holds_in_real_time
from tests.unit.checkers.registers.twins import MODELS, holds

from comity.checkers import Event, EventType, History, Limits, Semantics, Status, analyse, registers
from comity.checkers.models import IMPLIES, ON_REQUEST, weaker_than

SMALL = range(3_000)


def agree(seed: int) -> None:
    history = random_history(seed, reuse=seed % 4 == 3, quiesce=seed % 5 == 4)
    told = registers.check(history, registers.MODELS, Semantics(), Limits())
    truth = {model: holds(history, model) for model in MODELS}
    truth |= {model: holds_in_real_time(history, model) for model in ON_REQUEST}
    for model in registers.MODELS:
        expected = Status.VALID if truth[model] else Status.VIOLATION
        assert told[model].status is expected, (seed, model, told[model].explanation)
    marked = bool(history.faults)
    for model, valid in truth.items():
        for weaker in weaker_than(model):
            if valid and not (weaker == "eventual" and marked):
                assert truth[weaker], f"seed {seed}: {model} without {weaker}"


@pytest.mark.slow
@pytest.mark.parametrize("block", range(6))
def test_every_model_agrees_with_its_definition_and_the_lattice_is_respected(block: int) -> None:
    for seed in SMALL[block::6]:
        agree(seed)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(50))
def test_every_model_agrees_with_its_definition_on_many_more_histories(block: int) -> None:
    for seed in range(10_000 + block * 1_000, 11_000 + block * 1_000):
        agree(seed)


class Store:
    """A sequentially consistent store: processes read a replica that lags, keys x0..x9, unique values."""

    def __init__(self, seed: int, operations: int) -> None:
        self.random = random.Random(seed)
        self.events: list[Event] = []
        log: list[tuple[str, int]] = []
        replicas: list[tuple[dict[str, int], int]] = [
            ({}, 0) for _ in range(6)
        ]  # values, how much of the log is in them
        for number in range(operations):
            process = self.random.randrange(6)
            values, upto = replicas[process]
            key = f"x{self.random.randrange(10)}"
            if self.random.random() < 0.4:
                log.append((key, number))
                upto = self._catch_up(values, log, upto, len(log))
                self.add(process, "write", key, number, number)
            else:
                upto = self._catch_up(values, log, upto, self.random.randint(upto, len(log)))
                self.add(process, "read", key, None, values.get(key))
            replicas[process] = (values, upto)

    def _catch_up(self, values: dict[str, int], log: list[tuple[str, int]], start: int, end: int) -> int:
        values.update(log[start:end])
        return end

    def add(self, process: int, f: str, key: str, value: int | None, result: int | None) -> None:
        self.events.append(Event(process, EventType.INVOKE, f, key, value))
        self.events.append(Event(process, EventType.OK, f, key, result))


PLANTS: dict[str, list[tuple[int, str, str, int | None, int | None]]] = {
    # process, f, key, value, result: at the end of a sound history, violating just this model first
    "read-your-writes": [(1, "write", "a", -1, -1), (1, "read", "a", None, None)],
    "monotonic-reads": [
        (1, "write", "a", -1, -1),
        (2, "read", "a", None, -1),
        (2, "read", "a", None, None),
    ],
    "monotonic-writes": [
        (1, "write", "a", -1, -1),
        (1, "write", "b", -2, -2),
        (2, "read", "b", None, -2),
        (2, "read", "a", None, None),
    ],
    "writes-follow-reads": [
        (1, "write", "a", -1, -1),
        (2, "read", "a", None, -1),
        (2, "write", "b", -2, -2),
        (3, "read", "b", None, -2),
        (3, "read", "a", None, None),
    ],
    "pram": [
        (1, "write", "a", -1, -1),
        (1, "write", "a", -2, -2),
        (2, "read", "a", None, -2),
        (2, "read", "a", None, -1),
    ],
    "causal": [
        (1, "write", "a", -1, -1),
        (2, "read", "a", None, -1),
        (2, "write", "b", -2, -2),
        (3, "read", "b", None, -2),
        (3, "read", "a", None, None),
    ],
    "causal-convergence": [
        (1, "write", "a", -1, -1),
        (2, "write", "a", -2, -2),
        (1, "read", "a", None, -2),
        (2, "read", "a", None, -1),
    ],
    "sequential": [
        (1, "write", "a", -1, -1),
        (1, "read", "b", None, None),
        (2, "write", "b", -2, -2),
        (2, "read", "a", None, None),
    ],
    "eventual": [(1, "read", "a", None, -99)],
}


@pytest.mark.slow
def test_ten_thousand_sound_operations_pass_every_model_but_real_time() -> None:
    history = History.of(Store(1, 10_000).events)
    analysis = analyse(history, "register")
    assert analysis.models["linearizable"] is Status.VIOLATION
    assert analysis.strongest == ["sequential", "eventual"] or analysis.strongest == ["sequential"]


@pytest.mark.slow
@pytest.mark.parametrize("model", PLANTS)
def test_one_planted_violation_among_ten_thousand_operations_is_found_and_named(model: str) -> None:
    store = Store(2, 10_000)
    before = len(store.events) // 2
    for planted in PLANTS[model]:
        store.add(*planted)
    verdict = registers.check(History.of(store.events), [model], Semantics(), Limits())[model]
    assert verdict.status is Status.VIOLATION
    named = {operation.index for operation in verdict.witness}
    assert named
    assert named <= set(range(before, before + len(PLANTS[model]))), verdict.explanation
    assert before + len(PLANTS[model]) - 1 in named or model == "causal-convergence"


def test_every_model_that_is_named_implies_only_models_that_are() -> None:
    for model, weaker in IMPLIES.items():
        assert all(name in IMPLIES for name in weaker), model


def test_a_deadline_that_has_passed_leaves_every_model_unknown_or_decided() -> None:
    history = History.of(Store(3, 2_000).events)
    verdicts = registers.check(history, registers.MODELS, Semantics(), Limits(clock_ns=lambda: 10), 5)
    assert {verdict.status for verdict in verdicts.values()} == {Status.UNKNOWN}
