"""Every data type agrees, on random small histories, with the object itself run in every order."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from comity.checkers import (
    Event,
    EventType,
    History,
    HistoryBuilder,
    Limits,
    Operation,
    Outcome,
    Semantics,
    Status,
    UnsuitableHistory,
    analyse,
    check_history,
    data_type_named,
    freeze,
)
from comity.checkers.linearizability import sequential

Object = Callable[[Any, Operation], tuple[Any, Any] | None]
"""(state, operation) -> (next state, what it returns); None where it cannot happen now."""


def queue(state: tuple[Any, ...], o: Operation) -> tuple[Any, Any]:
    if o.f == "enqueue":
        return (*state, o.value), o.value
    return (state[1:], state[0]) if state else (state, None)


def stack(state: tuple[Any, ...], o: Operation) -> tuple[Any, Any]:
    if o.f == "push":
        return (*state, o.value), o.value
    return (state[:-1], state[-1]) if state else (state, None)


def counter(state: int, o: Operation) -> tuple[Any, Any]:
    return (state, state) if o.f == "read" else (state + (o.value if o.f == "add" else -1), o.value)


def elements(state: frozenset[Any], o: Operation) -> tuple[Any, Any]:
    if o.f == "add":
        return state | {o.value}, o.value
    if o.f == "remove":
        return state - {o.value}, o.value
    return (state, o.value in state) if o.f == "contains" else (state, tuple(sorted(state)))


def mutex(state: Any, o: Operation) -> tuple[Any, Any] | None:
    if o.f == "acquire":
        return None if state is not None else (o.process, None)
    return (None, None) if state == o.process else None


def numbers(state: tuple[Any, ...], o: Operation) -> tuple[Any, Any]:
    if o.f == "append":
        return (*state, o.value), o.value
    if o.f == "pop":
        return state[:-1], state[-1] if state else None
    return state, state if o.f == "read" else len(state)


def registers(state: dict[str, Any], o: Operation) -> tuple[Any, Any]:
    after, told = dict(state), []
    for f, key, value in o.value:
        if f == "write":
            after[key] = value
        told.append((f, key, after.get(key) if f == "read" else value))
    return after, tuple(told)


def bank(state: dict[str, int], o: Operation) -> tuple[Any, Any] | None:
    if o.f == "read":
        return state, freeze(state)
    moved = dict(o.value)
    after = dict(state)
    if after[moved["from"]] < moved["amount"]:
        return None
    after[moved["from"]] -= moved["amount"]
    after[moved["to"]] += moved["amount"]
    return after, o.value


def transfer(rng: random.Random) -> tuple[str, Any]:
    return "transfer", freeze({"from": rng.choice("ab"), "to": rng.choice("ab"), "amount": rng.randint(1, 2)})


def micro(rng: random.Random) -> tuple[str, Any]:
    steps = []
    for _ in range(rng.randint(1, 2)):
        key = rng.choice("xy")
        steps.append(("read", key, None) if rng.random() < 0.5 else ("write", key, rng.randint(1, 2)))
    return "txn", tuple(steps)


TYPES: dict[str, tuple[Any, Object, Callable[[random.Random], tuple[str, Any]]]] = {
    "queue": ((), queue, lambda rng: rng.choice([("enqueue", rng.randint(1, 3)), ("dequeue", None)])),
    "stack": ((), stack, lambda rng: rng.choice([("push", rng.randint(1, 3)), ("pop", None)])),
    "counter": (0, counter, lambda rng: rng.choice([("add", 1), ("add", 2), ("dec", None), ("read", None)])),
    "set": (
        frozenset(),
        elements,
        lambda rng: (
            (rng.choice(["add", "remove", "contains"]), rng.randint(1, 2))
            if rng.random() < 0.7
            else ("read", None)
        ),
    ),
    "mutex": (None, mutex, lambda rng: (rng.choice(["acquire", "release"]), None)),
    "list": (
        (),
        numbers,
        lambda rng: rng.choice([("append", rng.randint(1, 3)), ("pop", None), ("read", None), ("len", None)]),
    ),
    "multi-register": ({}, registers, micro),
    "bank": ({"a": 2, "b": 2}, bank, lambda rng: transfer(rng) if rng.random() < 0.6 else ("read", None)),
}


def random_history(name: str, rng: random.Random) -> History:
    """Nearly what the object does: operations take effect in some order; a few answers are wrong."""
    initial, behaves, draw = TYPES[name]
    state = initial
    builder = HistoryBuilder()
    pending: dict[int, tuple[Operation, Any, bool]] = {}
    begun, processes = 0, rng.randint(2, 4)
    total = rng.randint(2, 8)
    alive = list(range(processes))
    wrong = rng.choice([0.0, 0.1, 0.3])
    while (begun < total or pending) and alive:
        process = rng.choice(alive)
        if process not in pending:
            if begun == total:
                continue
            f, value = draw(rng)
            begun += 1
            builder.add(Event(process, EventType.INVOKE, f, None, value))
            asked = Operation(begun, process, f, None, value, None, Outcome.OK, 0, 0)
            done = behaves(state, asked)
            if done is not None:
                state = done[0]
            pending[process] = (asked, None if done is None else done[1], done is not None)
            continue
        asked, result, happened = pending.pop(process)
        roll = rng.random()
        if roll < 0.12:
            builder.add(Event(process, EventType.INFO, asked.f, None, asked.value))
            alive.remove(process)
        elif not happened and roll < 0.9:
            builder.add(Event(process, EventType.FAIL, asked.f, None, asked.value))
        else:
            if rng.random() < wrong:
                other = behaves(rng.choice([initial, state]), asked)
                result = result if other is None else other[1]
            builder.add(Event(process, EventType.OK, asked.f, None, result))
    return builder.build()


def has_order(history: History, initial: Any, behaves: Object, real_time: bool) -> bool:
    """Every order of what happened, with any of what may have."""
    sure = [o for o in history.operations if o.outcome is Outcome.OK]
    maybe = [o for o in history.operations if o.outcome is Outcome.INFO]
    dead: set[tuple[frozenset[int], str]] = set()

    def before(a: Operation, b: Operation) -> bool:
        if a.outcome is not Outcome.OK:
            return False
        assert a.completed is not None
        return a.completed < b.invoked and (real_time or a.process == b.process)

    def extend(left: frozenset[int], state: Any) -> bool:
        open_ones = [o for o in (*sure, *maybe) if o.index in left]
        if not any(o.outcome is Outcome.OK for o in open_ones):
            return True
        if (left, repr(state)) in dead:
            return False
        for o in open_ones:
            if any(before(other, o) for other in open_ones if other is not o):
                continue
            done = behaves(state, o)
            if done is None:
                continue
            told = done[1] == o.result or (o.f in {"add", "remove", "dec", "acquire", "release", "transfer"})
            if (o.outcome is Outcome.INFO or told) and extend(left - {o.index}, done[0]):
                return True
        dead.add((left, repr(state)))
        return False

    return extend(frozenset(o.index for o in (*sure, *maybe)), initial)


@pytest.mark.slow
@pytest.mark.parametrize("name", TYPES)
def test_a_data_type_agrees_with_the_object_run_in_every_order(name: str) -> None:
    initial, behaves, _ = TYPES[name]
    semantics = Semantics(initial=freeze(initial)) if name == "bank" else Semantics()
    data_type = data_type_named(name, semantics)
    rng = random.Random(name)
    seen = set()
    for number in range(700):
        history = random_history(name, rng)
        expected = has_order(history, initial, behaves, real_time=True)
        seen.add(expected)
        report = check_history(history, data_type)
        told = [(o.process, o.f, o.value, o.result, o.outcome.value) for o in history.operations]
        assert report.valid is expected, (number, report.explanation, told)
        ordered = has_order(history, initial, behaves, real_time=False)
        assert (sequential.check(history, data_type, Limits()).status is Status.VALID) is ordered, told
    assert seen == {True, False}


def test_an_identifier_given_twice_is_a_violation() -> None:
    def ids(*given: int) -> History:
        events = []
        for process, each in enumerate(given):
            events += [
                Event(process, EventType.INVOKE, "generate"),
                Event(process, EventType.OK, "generate", None, each),
            ]
        return History.of(events)

    assert analyse(ids(1, 2, 3), "unique-ids").exit_status == 0
    assert analyse(ids(1, 2, 1), "unique-ids").exit_status == 1


def test_a_fencing_token_must_grow() -> None:
    def locks(*tokens: int) -> History:
        events = []
        for process, token in enumerate(tokens):
            for f, result in (("acquire", token), ("release", None)):
                events += [Event(process, EventType.INVOKE, f), Event(process, EventType.OK, f, None, result)]
        return History.of(events)

    assert analyse(locks(1, 5, 9), "mutex").models["linearizable"] is Status.VALID
    assert analyse(locks(1, 9, 5), "mutex").models["linearizable"] is Status.VIOLATION


def test_an_offset_of_a_log_holds_one_value_and_polls_skip_none() -> None:
    def log(polled: list[Any]) -> History:
        events = []
        for offset, value in enumerate("abc"):
            events.append(Event(0, EventType.INVOKE, "send", None, ("k", value)))
            events.append(Event(0, EventType.OK, "send", None, freeze(["k", [offset, value]])))
        events.append(Event(1, EventType.INVOKE, "poll"))
        events.append(Event(1, EventType.OK, "poll", None, freeze({"k": polled})))
        return History.of(events)

    assert analyse(log([[0, "a"], [1, "b"], [2, "c"]]), "kafka").exit_status == 0
    for polled in ([[0, "a"], [2, "c"]], [[1, "b"], [0, "a"]], [[0, "z"]]):
        assert analyse(log(polled), "kafka").exit_status == 1, polled


def test_operations_that_a_type_has_not_are_refused() -> None:
    history = History.of([Event(0, EventType.INVOKE, "fly"), Event(0, EventType.OK, "fly")])
    for name in ("queue", "stack", "counter", "set", "mutex", "list", "bank", "kafka", "register"):
        with pytest.raises(UnsuitableHistory, match=r"fly|poll|takes"):
            check_history(history, name)
