from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

import pytest

from comity.simulator.diagram import Window, draw, thin, window_of
from comity.simulator.generate import case_of, run_case
from comity.simulator.recording import Frame, Recording, record
from comity.simulator.settings import Case, Client, Fault, Operation, Settings


@pytest.fixture(scope="module")
def recording() -> Recording:
    operations = tuple(
        Operation(at_ms=at, client=0, kind="set", key="a<b", value=f"v{at}") for at in range(300, 2000, 100)
    )
    return record(
        Case(
            seed=1,
            nodes=3,
            duration_ms=2_500,
            settings=Settings(latency_us=5_000, loss=0.05),
            faults=(
                Fault(at_ms=800, kind="crash-leader", nodes=(1,), duration_ms=300),
                Fault(at_ms=1_400, kind="isolate", nodes=(3,), duration_ms=300),
                Fault(at_ms=1_900, kind="pause", nodes=(2,), duration_ms=200),
            ),
            clients=(Client(number=0, node=1),),
            operations=operations,
        )
    )


def test_watching_changes_nothing() -> None:
    case = case_of(3, nodes=3, duration_ms=2_000)
    assert record(case).result == run_case(case)


def test_a_recording_holds_what_happened(recording: Recording) -> None:
    assert len(recording.reigns) >= 2
    assert recording.reigns[0].end_ns > 0, "the leader's reign ended with its crash"
    assert {"vote", "append", "heartbeat"} <= {frame.kind for frame in recording.frames}
    assert [absence.node for absence in recording.absences] == [3]
    assert recording.absences[0].start_ns == 1_400_000_000
    assert len(recording.asked) == 17
    assert all(each.outcome for each in recording.asked)


def test_a_diagram_is_well_formed_and_shows_it(recording: Recording) -> None:
    svg = draw(recording, Window(0, 2_600), title="1 < 2 & so on")
    root = ElementTree.fromstring(svg)
    words = " ".join(text for text in root.itertext() if text.strip())
    for expected in (
        "1 < 2 & so on",
        "node 3",
        "leads term",
        "crash",
        "restart",
        "paused",
        "cut off",
        "lost",
    ):
        assert expected in words
    assert "set a<b" in words
    assert len(svg) < 200_000


def test_a_window_shows_only_its_part(recording: Recording) -> None:
    narrow = draw(recording, Window(100, 200))
    assert "crash" not in narrow
    assert len(narrow) < len(draw(recording, Window(0, 2_600))) / 3
    with pytest.raises(ValueError, match="shows nothing"):
        Window(200, 100)


def test_the_chosen_window_is_around_the_second_election(recording: Recording) -> None:
    window = window_of(recording)
    assert window.start_ms < 800 < window.end_ms


def test_busy_diagrams_stay_small() -> None:
    svg = draw(record(case_of(4, duration_ms=3_000)), Window(0, 3_000))
    ElementTree.fromstring(svg)
    assert len(svg) < 200_000
    assert "left out" in svg


def test_heartbeats_are_left_out_before_anything_else() -> None:
    frames = [
        Frame(1, 2, at, at + 1, "heartbeat" if at % 2 else "vote" if at % 100 == 0 else "append", "")
        for at in range(1_000)
    ]
    kinds = Counter(frame.kind for frame in thin(frames, 700))
    assert kinds == {"heartbeat": 200, "append": 490, "vote": 10}
    kinds = Counter(frame.kind for frame in thin(frames, 100))
    assert kinds == {"append": 90, "vote": 10}
    assert thin(frames, 5_000) == frames
