"""What the page of a checked history says, and that it stays small however large the history."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from comity.checkers import MODELS, Event, EventType, History, Status, Verdict, analyse, freeze
from comity.checkers.analysis import Analysis
from comity.checkers.report import html
from comity.checkers.report.html import page, page_data
from comity.checkers.report.page import PAGE
from comity.checkers.report.words import ANOMALY_MEANINGS, MODEL_MEANINGS, headline
from comity.checkers.transactions import BREAKS


def history(*lines: str, step_ns: int | None = None) -> History:
    """ "process type f key value": a key or value of - is none."""
    events = []
    for place, line in enumerate(lines):
        process, kind, f, key, value = line.split(None, 4)
        parsed = None if value == "-" else freeze(json.loads(value))
        time = None if step_ns is None else place * step_ns
        named = None if key == "-" else key
        events.append(Event(int(process), EventType(kind), f, named, parsed, time))
    return History.of(events)


STALE = (
    "0 invoke write x 1",
    "0 ok write x 1",
    "1 invoke read x -",
    "1 ok read x -",
    "2 invoke read x -",
    "2 ok read x 1",
)
SKEW = (
    '0 invoke txn - [["r","x",null],["append","y",1]]',
    '1 invoke txn - [["r","y",null],["append","x",2]]',
    '0 ok txn - [["r","x",[]],["append","y",1]]',
    '1 ok txn - [["r","y",[]],["append","x",2]]',
    '0 invoke txn - [["r","x",null],["r","y",null]]',
    '0 ok txn - [["r","x",[2]],["r","y",[1]]]',
)


def data(lines: tuple[str, ...], data_type: str, **options: Any) -> dict[str, Any]:
    chosen = history(*lines, **options)
    found: dict[str, Any] = page_data("h.jsonl", chosen, analyse(chosen, data_type))
    return found


def judged(models: dict[str, Status], strongest: list[str], operations: int = 1) -> str:
    analysis = Analysis(
        data_type="register",
        models=models,
        strongest=strongest,
        anomalies=[],
        verdicts=(),
        operations=operations,
        keys=1,
        seconds=0.0,
        established="",
    )
    return "".join(piece for piece, _ in headline(analysis))


VALID, VIOLATION, UNKNOWN = Status.VALID, Status.VIOLATION, Status.UNKNOWN


@pytest.mark.parametrize(
    ("models", "strongest", "words"),
    [
        ({"linearizable": VALID, "sequential": VALID}, ["linearizable"], "Linearizable"),
        (
            {"linearizable": VIOLATION, "sequential": VIOLATION, "causal": VALID, "pram": VALID},
            ["causal"],
            "Causal, but not sequential",
        ),
        ({"read-committed": VIOLATION, "read-uncommitted": VIOLATION}, [], "Not even read uncommitted"),
        ({"linearizable": VIOLATION}, [], "Not linearizable"),
        (
            {"linearizable": VIOLATION, "sequential": UNKNOWN, "pram": VALID},
            ["pram"],
            "PRAM, but not linearizable; undecided: sequential",
        ),
        ({"sequential": UNKNOWN}, [], "Undecided: sequential"),
        (
            {"sequential": UNKNOWN, "read-your-writes": VALID, "monotonic-reads": VALID},
            ["read-your-writes", "monotonic-reads"],
            "Read-your-writes and monotonic reads; undecided whether sequential",
        ),
    ],
)
def test_the_headline_says_what_holds_and_the_weakest_that_does_not(
    models: dict[str, Status], strongest: list[str], words: str
) -> None:
    assert judged(models, strongest) == words


def test_the_headline_of_an_empty_history_claims_no_guarantee() -> None:
    assert judged({"linearizable": VALID}, ["linearizable"], 0) == "Nothing was done, so nothing was broken"


def test_every_model_and_every_anomaly_has_a_meaning_and_every_model_a_place() -> None:
    assert set(MODEL_MEANINGS) == set(MODELS)
    assert set(BREAKS) <= set(ANOMALY_MEANINGS)
    places = PAGE.split("const PLACES=")[1].split("};")[0]
    assert all(f"{model}:[" in places or f'"{model}":[' in places for model in MODELS)


def test_the_lattice_draws_only_the_next_weaker_models() -> None:
    weaker = {name: below for name, _, below, _ in data(STALE, "register")["models"]}
    assert weaker["linearizable"] == ["sequential"]
    assert weaker["sequential"] == ["causal", "causal-convergence"]
    chosen = history(*STALE)
    asked = page_data("h", chosen, analyse(chosen, "register", models=["linearizable", "pram", "eventual"]))
    assert [below for _, _, below, _ in asked["models"]] == [["pram"], ["eventual"], []]


def test_operations_are_words_not_json() -> None:
    operations = data(SKEW, "list-append")["operations"]
    assert operations["asked"][0] == ["r x []", "append y 1"]
    assert operations["asked"][2] == ["r x [2]", "r y [1]"]
    stale = data(STALE, "register")["operations"]
    assert stale["asked"] == ["1", 0, 0]
    assert stale["answer"] == [0, "nil", "1"]


def test_what_a_transaction_of_unknown_outcome_read_is_not_called_nil() -> None:
    lines = (
        '0 invoke txn - [["r","x",null],["append","x",1]]',
        '0 info txn - [["r","x",null],["append","x",1]]',
    )
    assert data(lines, "list-append")["operations"]["asked"] == [["r x ?", "append x 1"]]


def test_long_values_keep_their_beginning_and_their_end() -> None:
    elements = json.dumps(list(range(500)))
    lines = (
        f'0 invoke txn - [["r","x",{elements}]]',
        f'0 ok txn - [["r","x",{elements}]]',
    )
    (read,) = data(lines, "list-append")["operations"]["asked"][0]
    assert read.startswith("r x [0 1 2 3 … ")
    assert read.endswith(" 498 499]")
    assert len(read) < 140


def test_texts_with_spaces_are_quoted_where_they_stand_beside_others() -> None:
    lines = ('0 invoke write x "a b"', '0 ok write x "a b"', '1 invoke write x ""', '1 ok write x ""')
    assert data(lines, "register")["operations"]["asked"] == ['"a b"', '""']


def test_a_finding_that_many_models_share_is_told_once() -> None:
    lines = ("0 invoke read x -", "0 ok read x 7")
    told = data(lines, "register")["verdicts"]
    thin = [finding for finding in told if finding["anomaly"] == "thin-air read"]
    assert len(thin) == 1
    assert {"sequential", "causal", "pram"} <= set(thin[0]["models"])


def test_write_skew_is_named_before_the_wider_name_it_also_goes_by() -> None:
    names = [finding["anomaly"] for finding in data(SKEW, "list-append")["verdicts"]]
    assert names == ["write-skew", "G2-item"]


def test_times_are_shown_only_where_they_are_times() -> None:
    operations = data(STALE, "register", step_ns=1_000_000)["operations"]
    assert operations["begun"] == [0, 2000, 4000]
    assert operations["ended"] == [1000, 3000, 5000]
    assert "begun" not in data(STALE, "register", step_ns=1)["operations"]
    assert "begun" not in data(STALE, "register")["operations"]


def test_of_a_long_history_what_is_around_the_finding_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "OPERATIONS", 10)
    lines = []
    for n in range(100):
        lines += [f"{n % 3} invoke write k{n} {n}", f"{n % 3} ok write k{n} {n}"]
    lines += ["4 invoke read k50 -", "4 ok read k50 -"]
    for n in range(100, 200):
        lines += [f"{n % 3} invoke write k{n} {n}", f"{n % 3} ok write k{n} {n}"]
    found = data(tuple(lines), "register")
    assert found["total"] == 201
    assert found["operations"]["index"] == [50, *range(95, 105)]
    assert all(len(found["operations"][name]) == 11 for name in ("row", "asked", "outcomes", "invoked"))


def test_a_long_witness_is_kept_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "WITNESS", 2)
    chosen = history(*STALE)
    analysis = analyse(chosen, "register")
    long = msgspec.structs.replace(
        analysis.verdicts[0], witness=chosen.operations, linearization=chosen.operations, stuck=()
    )
    found = page_data("h", chosen, msgspec.structs.replace(analysis, verdicts=(long,)))["verdicts"][0]
    assert (found["witness"], found["witness_operations"]) == ([1, 2], 3)
    assert (found["order"], found["order_begins"]) == ([1, 2], 2)


def test_findings_are_bounded_and_the_rest_is_counted() -> None:
    chosen = history(*STALE)
    analysis = analyse(chosen, "register")
    many = tuple(
        Verdict(
            status=VIOLATION,
            model="linearizable",
            data_type="register",
            key=f"k{n}",
            operations=1,
            explanation=f"k{n}",
        )
        for n in range(100)
    )
    found = page_data("h", chosen, msgspec.structs.replace(analysis, verdicts=many))
    assert (len(found["verdicts"]), found["more_verdicts"]) == (html.VERDICTS, 100 - html.VERDICTS)


def test_the_page_asks_the_network_for_nothing() -> None:
    chosen = history(*STALE)
    text = page("h", chosen, analyse(chosen, "register"))
    assert "default-src 'none'" in text
    outside = text.replace("http://www.w3.org/2000/svg", "")
    for word in ("http:", "https:", "src=", "@import", "fetch(", "XMLHttpRequest", "innerHTML", "eval("):
        assert word not in outside
    assert html.DATA_MARK not in text
