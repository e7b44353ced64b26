from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.simulator.clock import NodeClock

SECOND_NS = 10**9
drifts = st.integers(-200_000, 200_000)
times = st.integers(0, 3600 * SECOND_NS)


@given(drifts, times, times)
def test_due_is_the_earliest_time_at_which_the_clock_shows_it(drift: int, now: int, ahead: int) -> None:
    clock = NodeClock(0, 12_345, 0, drift)
    wanted = clock.monotonic(now) + ahead
    due = clock.due(wanted)
    assert clock.monotonic(due) >= wanted
    assert clock.monotonic(due - 1) < wanted


@given(drifts, drifts, times, times)
def test_monotonic_time_never_goes_back(drift: int, other: int, change: int, later: int) -> None:
    clock = NodeClock(0, 0, 0, drift)
    before = clock.monotonic(change)
    clock.drift(change, other)
    clock.jump(change, -10_000)
    assert clock.monotonic(change) == before
    assert clock.monotonic(change + later) >= before


def test_a_jump_moves_the_wall_clock_alone() -> None:
    clock = NodeClock(0, 7, 1_000, 0)
    monotonic = clock.monotonic(SECOND_NS)
    clock.jump(SECOND_NS, -400)
    assert clock.wall(SECOND_NS) == 1_600
    assert clock.wall(2 * SECOND_NS) == 2_600
    assert clock.monotonic(SECOND_NS) == monotonic


def test_drift_is_in_parts_per_million() -> None:
    assert NodeClock(0, 0, 0, 100).monotonic(SECOND_NS) == SECOND_NS + 100_000
    assert NodeClock(0, 0, 0, -100).monotonic(SECOND_NS) == SECOND_NS - 100_000
