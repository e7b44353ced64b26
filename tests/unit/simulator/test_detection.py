"""Groups of detectors in virtual time: what they find, how often they are wrong, what they cost."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from comity.detectors import Status
from comity.simulator.detection import (
    CONTENDERS,
    CRASH,
    LOSS,
    PAUSES,
    SLOW,
    Contender,
    Links,
    Quantiles,
    Scenario,
    Seen,
    World,
    detections,
    markdown,
    measure,
    mistakes,
    plot,
    traffic,
)
from comity.simulator.detection.report import number
from comity.simulator.detection.scenarios import after

SECOND = 1_000_000_000
HEARTBEAT, PHI, PLAIN, LIFEGUARD = CONTENDERS
every = pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)


@every
@pytest.mark.parametrize("nodes", [3, 12])
def test_a_crash_comes_to_be_known_to_everyone(contender: Contender, nodes: int) -> None:
    for seed in range(3):
        for first, everyone in detections(contender, CRASH, nodes, 60 * SECOND, seed):
            assert first is not None
            assert everyone is not None
            assert 0 < first <= everyone < 25 * SECOND


@every
def test_every_detector_keeps_its_invariants_whatever_happens(contender: Contender) -> None:
    for scenario in (CRASH, LOSS, PAUSES, SLOW):
        World(contender, scenario, 7, 40 * SECOND, 3, audit=True).go()


@every
def test_the_same_seed_gives_the_same_run_and_another_one_another(contender: Contender) -> None:
    runs = [World(contender, LOSS, 6, 60 * SECOND, seed).go() for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_the_hash_seed_changes_nothing() -> None:
    code = (
        "from comity.simulator.detection import *\n"
        "print([World(c, s, 8, 30 * 10**9, 1).go() for c in CONTENDERS for s in (LOSS, SLOW)])"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 1000


@pytest.mark.parametrize("contender", [HEARTBEAT, PHI], ids=lambda contender: contender.name)
@pytest.mark.parametrize("scenario", [CRASH, LOSS, PAUSES, SLOW], ids=lambda scenario: scenario.name)
def test_links_by_themselves_give_exactly_what_the_whole_group_gives(
    contender: Contender, scenario: Scenario
) -> None:
    world = World(contender, scenario, 6, 90 * SECOND, 5, by_link=True)
    whole = world.go()
    links = Links(contender, scenario, 6, 90 * SECOND, 5)
    alone: list[Seen] = []
    for observer in range(1, 7):
        for subject in range(1, 7):
            if subject != observer:
                alone += links.watch(observer, (subject,))
    assert sorted(alone, key=key) == sorted(whole.seen, key=key)
    assert links.traffic() == (whole.messages, whole.size)
    assert scenario is CRASH or len(whole.seen) > 10


def key(seen: Seen) -> tuple[int, ...]:
    return (seen.time_ns, seen.observer, seen.subject, seen.status)


def test_lifeguard_has_fewer_false_positives_than_plain_swim_under_a_slow_member() -> None:
    """The claim of its paper, section V: by an order of magnitude."""
    plain, lifeguard = (mistakes(each, SLOW, 24, 3, 120 * SECOND, 1) for each in (PLAIN, LIFEGUARD))
    assert plain.deaths > 50
    assert lifeguard.deaths < plain.deaths / 20
    assert lifeguard.suspicions < plain.suspicions / 5


def test_lifeguard_does_not_pay_for_that_with_slower_detection() -> None:
    for nodes in (10, 40):
        plain, lifeguard = (
            Quantiles.of(
                times[1]
                for seed in range(6)
                for times in detections(each, CRASH, nodes, 60 * SECOND, seed)
                if times[1] is not None
            )
            for each in (PLAIN, LIFEGUARD)
        )
        assert lifeguard.median_ms < 1.5 * plain.median_ms


def test_all_to_all_costs_grow_with_the_group_and_those_of_swim_do_not() -> None:
    assert [round(traffic(HEARTBEAT, nodes, 1)[0]) for nodes in (3, 10, 40)] == [2, 9, 39]
    for contender in (PLAIN, LIFEGUARD):
        assert [round(traffic(contender, nodes, 1)[0]) for nodes in (3, 10, 40)] == [2, 2, 2]


def test_a_falsely_dead_member_comes_back() -> None:
    world = World(PLAIN, SLOW, 10, 120 * SECOND, 2)
    run = world.go()
    dead = [each for each in run.seen if each.status is Status.DEAD and each.subject != 1 != each.observer]
    assert dead
    assert {each.subject for each in dead} <= {
        each.subject for each in run.seen if each.status is Status.ALIVE
    }


def test_what_happens_in_a_stretch_is_put_off_to_its_end() -> None:
    windows = ([10, 40], [20, 50])
    assert [after(windows, time) for time in (0, 9, 10, 15, 20, 39, 40, 60)] == [0, 9, 20, 20, 20, 39, 50, 60]


def test_quantiles_are_times_that_occurred() -> None:
    assert Quantiles.of(range(1_000_000, 101_000_000, 1_000_000)) == Quantiles(50.0, 99.0)
    with pytest.raises(ValueError, match="run for longer"):
        Quantiles.of([])


def test_a_table_and_a_plot_are_made_of_rows() -> None:
    row = measure((3,), (LIFEGUARD,))[0]
    rows = [msgspec.structs.replace(row, detector=each.name) for each in CONTENDERS]
    table = markdown(rows)
    assert [line.split(" | ")[1] for line in table.splitlines()[2:]] == [each.name for each in CONTENDERS]
    picture = plot(rows)
    assert picture.startswith("<svg ")
    assert picture.count("<circle") == 4 + 6 * 4


def test_numbers_have_two_digits_that_mean_something() -> None:
    assert [number(value) for value in (0, 0.001, 0.314, 4.21, 57.3, 999, 123456.0)] == [
        "0",
        "0",
        "0.31",
        "4.2",
        "57",
        "1,000",
        "120,000",
    ]
