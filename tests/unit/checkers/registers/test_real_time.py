"""Regular and safe registers, and how stale a history is, agree with their definitions."""

from __future__ import annotations

import io
import json
import random
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from tests.unit.checkers.registers.random_registers import random_history
from tests.unit.checkers.registers.real_time_twins import holds, staleness
from tests.unit.checkers.registers.twins import holds as holds_otherwise

from comity.checkers import (
    Event,
    EventType,
    History,
    Limits,
    Semantics,
    Status,
    UnsuitableHistory,
    analyse,
    registers,
    write_history,
)
from comity.checkers.registers.staleness import at_least, at_most, clusters_of
from comity.checkers.registers.timeline import timelines
from comity.console.main import main

ON_REQUEST = ("regular", "safe")


def told(history: History) -> registers.Staleness | None:
    return registers.how_stale(history, Semantics(), Limits())


def stale_history(seed: int, writes: int, reads: int) -> History:
    """Overlapping writes and reads of one key by 4 processes; a read returns one of the last few writes."""
    rng = random.Random(seed)
    depth = rng.choice((1, 2, 3, 5))
    events: list[Event] = []
    written: list[int | None] = [None]
    open_ones: dict[int, tuple[str, int | None]] = {}
    todo = ["write"] * writes + ["read"] * reads
    rng.shuffle(todo)
    while todo or open_ones:
        process = rng.randrange(4)
        if process in open_ones:
            f, value = open_ones.pop(process)
            if f == "read":
                value = rng.choice(written[-depth:])
            elif rng.random() < 0.5:
                written.append(value)
            events.append(Event(process, EventType.OK, f, None, value))
        elif todo:
            f = todo.pop()
            argument = len(todo) + 1 if f == "write" else None
            if f == "write" and rng.random() < 0.5:
                written.append(argument)
            open_ones[process] = (f, argument)
            events.append(Event(process, EventType.INVOKE, f, None, argument))
    return History.of(events)


def agree(history: History, name: object) -> None:
    verdicts = registers.check(history, ON_REQUEST, Semantics(), Limits())
    truth = {model: holds(history, model) for model in ON_REQUEST}
    for model in ON_REQUEST:
        expected = Status.VALID if truth[model] else Status.VIOLATION
        assert verdicts[model].status is expected, (name, model, verdicts[model].explanation)
        assert (1 <= len(verdicts[model].witness) <= 3) is not truth[model], (name, model)
    linearizable = holds_otherwise(history, "linearizable")
    assert truth["regular"] or not linearizable, name
    assert truth["safe"] or not truth["regular"], name
    k = staleness(history)
    found = told(history)
    assert (found is None) is (k is None), name
    if k is not None and found is not None:
        assert found.at_least == k == found.at_most, (name, found, k)
        assert (k == 1) is linearizable, name
        for line in timelines(history, Semantics()):
            clusters = clusters_of(line)
            assert clusters is not None
            # Without a search the bounds are bounds: over all keys the truth lies between the worst of them.
            assert at_least(clusters) <= k, name
        most = max((at_most(clusters_of(line) or []) for line in timelines(history, Semantics())), default=1)
        assert most >= k, name


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_regular_safe_and_staleness_agree_with_their_definitions(block: int) -> None:
    for seed in range(block, 2_400, 4):
        agree(random_history(seed, reuse=seed % 4 == 3), seed)
        agree(stale_history(seed, 1 + seed % 5, 1 + seed % 4), ("stale", seed))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_they_agree_on_many_more_histories(block: int) -> None:
    for seed in range(10_000 + block * 1_000, 11_000 + block * 1_000):
        agree(random_history(seed, reuse=seed % 4 == 3), seed)
        agree(stale_history(seed, 1 + seed % 6, 1 + seed % 5), ("stale", seed))


def one_key(*steps: tuple[int, str, str, int | None]) -> History:
    return History.of(Event(p, EventType(kind), f, "x", value) for p, kind, f, value in steps)


TWO_BACK = one_key(
    *((0, kind, "write", value) for value in (1, 2, 3) for kind in ("invoke", "ok")),
    (1, "invoke", "read", None),
    (1, "ok", "read", 1),
)
NEW_THEN_OLD = one_key(
    (0, "invoke", "write", 1),
    (1, "invoke", "read", None),
    (1, "ok", "read", 1),
    (1, "invoke", "read", None),
    (1, "ok", "read", None),
    (0, "ok", "write", 1),
)
ANYTHING = one_key(
    (0, "invoke", "write", 1),
    (1, "invoke", "read", None),
    (1, "ok", "read", 7),
    (0, "ok", "write", 1),
)


def test_a_new_value_and_then_the_old_one_during_a_write_is_regular_and_not_linearizable() -> None:
    found = analyse(NEW_THEN_OLD, "register", models=["linearizable", "regular", "safe"])
    assert [found.models[name].value for name in found.models] == ["violation", "valid", "valid"]
    assert found.strongest == ["regular"]
    assert found.staleness == registers.Staleness(2, 2)


def test_during_a_write_a_safe_register_returns_anything() -> None:
    found = analyse(ANYTHING, "register", models=["regular", "safe"])
    assert found.models == {"regular": Status.VIOLATION, "safe": Status.VALID}
    assert found.staleness is None
    assert "never written" in found.explanation


def test_a_stale_read_is_told_by_the_write_that_lies_between() -> None:
    found = analyse(TWO_BACK, "register", models=["safe"])
    assert found.models == {"safe": Status.VIOLATION}
    assert found.staleness == registers.Staleness(3, 3)
    (verdict,) = found.verdicts
    assert [o.value or o.result for o in verdict.witness] == [1, 3, 1]
    assert "process 0's write of x=3 lies wholly after that write" in verdict.explanation


def test_regular_and_safe_are_told_only_where_they_are_asked_for() -> None:
    found = analyse(TWO_BACK, "register")
    assert set(found.models).isdisjoint(ON_REQUEST)
    assert set(found.strongest).isdisjoint(ON_REQUEST)
    assert found.to_json()["staleness"] == {"at_least": 3, "at_most": 3}
    assert analyse(TWO_BACK, "register", models=["sequential"]).to_json()["staleness"] is None
    twice = one_key((0, "invoke", "write", 1), (0, "ok", "write", 1), (0, "invoke", "write", 1))
    assert analyse(twice, "register").staleness is None
    with pytest.raises(UnsuitableHistory, match="regular cannot be asked"):
        analyse(twice, "register", models=["regular"])


def test_the_command_tells_regular_safe_and_how_stale(tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    write_history(NEW_THEN_OLD, file)

    def run(*options: str) -> tuple[int, str]:
        output = io.StringIO()
        with redirect_stdout(output), pytest.raises(SystemExit) as ended:
            main(["check", str(file), *options])
        return int(ended.value.code or 0), output.getvalue()

    code, output = run("--model", "regular", "--model", "safe", "--json")
    told_ = json.loads(output)
    assert (code, told_["models"]) == (0, {"regular": "valid", "safe": "valid"})
    assert (told_["strongest"], told_["staleness"]) == (["regular"], {"at_least": 2, "at_most": 2})
    assert "how stale: k = 2: " in run()[1]


def test_after_a_deadline_nothing_is_claimed() -> None:
    limits = Limits(clock_ns=lambda: 10)
    assert registers.how_stale(TWO_BACK, Semantics(), limits, 5) is None
    verdicts = registers.check(TWO_BACK, ON_REQUEST, Semantics(), limits, 5)
    assert {verdict.status for verdict in verdicts.values()} == {Status.UNKNOWN}


@pytest.mark.slow
def test_bounds_stay_bounds_where_everything_overlaps() -> None:
    history = stale_history(7, 20_000, 20_000)
    found = told(history)
    assert found is not None
    assert 2 <= found.at_least <= found.at_most <= 16
