"""Pictures: every label fits, nothing overlaps, the order is one, and what is wrong is marked."""

from __future__ import annotations

import io
import json
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from tests.unit.checkers.registers.random_registers import random_history
from tests.unit.checkers.transactions import random_transactions

from comity.checkers import (
    Analysis,
    Event,
    EventType,
    History,
    Limits,
    Operation,
    Outcome,
    Status,
    analyse,
    freeze,
    write_history,
)
from comity.checkers.datatypes import REFUSED, Register
from comity.checkers.report.picture import MOST_OPERATIONS, picture, telling
from comity.checkers.report.picture.arrows import Arrow, Box, route
from comity.checkers.report.picture.labels import CHARACTER, label_of
from comity.checkers.report.picture.order import order_of
from comity.console.main import main

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script>\x00\ud800&"


def history(*lines: str) -> History:
    """ "process type f key value": a value of - is none."""
    events = []
    for line in lines:
        process, kind, f, key, value = line.split(" ", 4)
        parsed = None if value == "-" else freeze(json.loads(value))
        events.append(Event(int(process), EventType(kind), f, None if key == "-" else key, parsed))
    return History.of(events)


STALE = history(
    "0 invoke write x 1",
    "0 ok write x 1",
    "1 invoke read x -",
    "1 ok read x -",
    "2 invoke read x -",
    "2 ok read x 1",
)
SKEW = history(
    '0 invoke txn - [["r","x",null],["append","y",1]]',
    '1 invoke txn - [["r","y",null],["append","x",1]]',
    '0 ok txn - [["r","x",[]],["append","y",1]]',
    '1 ok txn - [["r","y",[]],["append","x",1]]',
)


def analysed(chosen: History, data_type: str) -> Analysis:
    return analyse(chosen, data_type, limits=Limits(clock_ns=lambda: 0))


def drawn(chosen: History, data_type: str = "register") -> ET.Element:
    return ET.fromstring(picture(chosen, analysed(chosen, data_type)))


def bars(root: ET.Element) -> Iterator[tuple[ET.Element, Box]]:
    """Every operation's group, with the box of its bar."""
    for group in root.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is None:
            continue
        bar = group.find(f"{SVG}rect")
        if bar is not None:
            x, y, width, height = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
            yield group, Box(x, y, x + width, y + height)
        else:
            path = group.find(f"{SVG}path")
            assert path is not None
            numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.attrib["d"])]
            right, top, left = numbers[:3]
            bottom = numbers[7] + 7
            yield group, Box(left - 7, top, right, bottom)


def labels(group: ET.Element) -> list[str]:
    return [t.text or "" for t in group.findall(f"{SVG}text") if t.get("class") == "label"]


def chips(root: ET.Element) -> list[str]:
    """The labels of arrows, without those of the legend."""
    return [t.text or "" for t in root.findall(f"{SVG}text") if t.get("class") == "kind"]


def numbers(root: ET.Element) -> list[tuple[int, float, float]]:
    """(number, x, y) of the order."""
    found = [t for t in root.findall(f"{SVG}text") if t.get("class") == "number"]
    return sorted((int(t.text or ""), float(t.attrib["x"]), float(t.attrib["y"])) for t in found)


def histories() -> Iterator[tuple[History, str]]:
    for seed in range(60):
        yield random_history(seed), "register"
        yield random_history(seed, 14, reuse=True, quiesce=True), "register"
    for seed in range(40):
        yield random_transactions.random_history(random.Random(seed), "list-append"), "list-append"


def test_every_label_fits_its_bar_and_no_two_bars_overlap() -> None:
    for chosen, data_type in histories():
        root = drawn(chosen, data_type)
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        boxes: list[Box] = []
        for group, box in bars(root):
            assert labels(group)
            for line in labels(group):
                assert CHARACTER * len(line) <= box.right - box.left
            assert not any(box.meets(other) for other in boxes)
            assert Box(0, 0, width, height).holds(box.left, box.top)
            assert Box(0, 0, width, height).holds(box.right, box.bottom)
            boxes.append(box)
        assert len(boxes) == len(chosen)


def test_the_numbers_grow_to_the_right_each_inside_its_operation() -> None:
    seen = 0
    for chosen, data_type in histories():
        root = drawn(chosen, data_type)
        found = numbers(root)
        seen += len(found)
        assert [number for number, _, _ in found] == list(range(1, len(found) + 1))
        assert all(x <= later for (_, x, _), (_, later, _) in pairwise(found))
        boxes = [box for _, box in bars(root)]
        for _, x, y in found:
            assert any(box.left < x < box.right and abs(y - box.top) < 6 for box in boxes)
    assert seen > 200


def test_the_order_of_a_linearizable_history_is_a_linearization() -> None:
    seen = 0
    for seed in range(400):
        chosen = random_history(seed)
        order = order_of(Register(), chosen)
        if analyse(chosen, "register", models=["linearizable"]).status is not Status.VALID:
            assert not order
            continue
        seen += 1
        placed = {o.index for o in order}
        assert {o.index for o in chosen.operations if o.outcome is Outcome.OK} <= placed
        states: dict[object, object] = {}
        for place, o in enumerate(order):
            assert not any(before(later, o) for later in order[place + 1 :])
            states[o.key] = Register().step(states.get(o.key), o)
            assert states[o.key] is not REFUSED
    assert seen > 50


def before(first: Operation, second: Operation) -> bool:
    ended = first.completed if first.outcome is Outcome.OK else None
    return ended is not None and ended < second.invoked


def test_what_cannot_be_ordered_is_red_and_the_order_that_gets_furthest_is_numbered() -> None:
    root = drawn(STALE)
    stuck = [labels(group) for group, _ in bars(root) if "stuck" in group.attrib["class"].split()]
    assert stuck == [["read x → nil"]]
    assert len(numbers(root)) == 1
    assert len([c for c in root.findall(f"{SVG}circle") if c.get("class") == "cross"]) == 1


def test_a_cycle_is_marked_and_its_arrows_are_named() -> None:
    root = drawn(SKEW, "list-append")
    assert chips(root) == ["rw", "rw"]
    marked = [labels(group) for group, _ in bars(root) if group.get("class") == "marked"]
    assert marked == [["r x []  append y 1"], ["r y []  append x 1"]]
    words = " ".join(root.itertext())
    assert "write-skew" in words
    assert "B overwrites what A read" in words


def test_an_unknown_outcome_is_open_and_dashed_and_a_failure_is_struck() -> None:
    chosen = history(
        "0 invoke write x 1",
        "0 info write x -",
        "1 invoke write x 2",
        "1 fail write x 2",
        "2 invoke write x 3",
    )
    classes = {labels(group)[0]: group.attrib["class"] for group, _ in bars(drawn(chosen))}
    assert classes == {"write x 1": "info", "write x 2": "fail", "write x 3": "info"}
    words = " ".join(drawn(chosen).itertext())
    assert "no answer" in words
    assert "outcome unknown" in words
    assert "did not happen" in words


def test_of_a_long_history_the_witness_is_drawn_with_what_lies_around_it() -> None:
    lines = []
    for number in range(2000):
        lines += [f"0 invoke write x {number}", f"0 ok write x {number}"]
    lines[2001:2001] = ["1 invoke read x -", "1 ok read x 3"]
    chosen = history(*lines)
    root = drawn(chosen)
    told = [labels(group) for group, _ in bars(root)]
    assert ["read x → 3"] in told or ["read x", "→ 3"] in told
    assert len(told) <= MOST_OPERATIONS
    assert "of 2,001 operations" in " ".join(root.itertext())
    assert ["write x", "3"] in told
    assert "operations left out" in " ".join(root.itertext())
    valid = history(*lines[:2000])
    assert len(list(bars(drawn(valid)))) == MOST_OPERATIONS


def test_faults_stand_above_the_lanes_where_they_struck() -> None:
    events = [*STALE.events()]
    events.insert(2, Event("nemesis", EventType.INFO, "partition"))
    events.insert(3, Event("nemesis", EventType.INFO, "heal"))
    root = drawn(History.of(events))
    words = [t for t in root.findall(f"{SVG}text") if t.get("class") == "faultword"]
    assert [t.text for t in words] == ["partition", "heal"]
    assert float(words[1].attrib["x"]) - float(words[0].attrib["x"]) > CHARACTER * len("partition")


def test_a_verdict_alone_and_nothing_at_all_can_be_drawn() -> None:
    analysis = analysed(SKEW, "list-append")
    verdict = telling(analysis)
    assert verdict is not None
    root = ET.fromstring(picture(SKEW, verdict, title="Skewed"))
    assert "Skewed" in " ".join(root.itertext())
    assert chips(root) == ["rw", "rw"]
    assert list(bars(drawn(History.of([])))) == []
    unknown = analyse(STALE, "register", models=["sequential"], limits=Limits(time_ns=-1))
    assert "sequential unknown" in " ".join(ET.fromstring(picture(STALE, unknown)).itertext())


def test_a_picture_needs_nothing_beside_itself_and_no_value_can_break_out_of_it() -> None:
    operations = [
        msgspec.structs.replace(
            o, key=HOSTILE, value=HOSTILE if o.value else None, process=HOSTILE + str(o.index)
        )
        for o in STALE.operations
    ]
    hostile = History(operations, (), STALE.event_count)
    text = picture(hostile, analysed(hostile, "register"), title=HOSTILE)
    root = ET.fromstring(text)
    assert not list(root.iter(f"{SVG}script"))
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert text == picture(hostile, analysed(hostile, "register"), title=HOSTILE)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (None, "read k → nil"),
        ([1, 2], "read k → [1 2]"),
        (list(range(5000)), "read k → [… 4997 4998 4999]"),
        ({"a": 1}, "read k → {a 1}"),
        ("two words", 'read k → "two words"'),
        ("x" * 900, "read k → " + "x" * 19 + "…"),
    ],
)
def test_values_are_as_short_as_they_may_be(value: object, label: str) -> None:
    events = [Event(0, EventType.INVOKE, "read", "k"), Event(0, EventType.OK, "read", "k", value)]
    chosen = History.of([events[0], msgspec.structs.replace(events[1], value=freeze(value))])
    assert label_of(chosen.operations[0], narrow=False) == [label]


def test_arrows_keep_their_labels_apart() -> None:
    boxes = {n: Box(60 + 200 * (n % 3), 100 * n, 220 + 200 * (n % 3), 100 * n + 30) for n in range(4)}
    arrows = [Arrow(a, b, "real-time") for a in boxes for b in boxes if a != b]
    ways = route(arrows[:8], boxes)
    placed = [way.chip for way in ways]
    assert len(placed) == 8
    for place, chip in enumerate(placed):
        assert not any(chip.meets(other) for other in placed[:place])
        assert not any(chip.meets(box) for box in boxes.values())


def test_the_command_draws_the_picture_and_says_where(tmp_path: Path) -> None:
    file, svg = tmp_path / "h.jsonl", tmp_path / "h.svg"
    write_history(STALE, file)
    output = io.StringIO()
    with redirect_stdout(output), pytest.raises(SystemExit) as ended:
        main(["check", str(file), "--svg", str(svg)])
    assert ended.value.code == 1
    assert str(svg) in output.getvalue()
    assert len(list(bars(ET.fromstring(svg.read_text(encoding="utf-8"))))) == 3
