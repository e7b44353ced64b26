"""The phi accrual detector: its estimate, its numerics, its limits."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.detectors import PhiDetector, PhiOptions, Status, phi_of
from comity.detectors.messages import Heartbeat
from comity.detectors.phi import MILLIONTHS, Window, deviations_of
from comity.replica import Stream

SECOND = 1_000_000_000


def phi_detector(options: PhiOptions | None = None) -> PhiDetector:
    detector = PhiDetector(1, (1, 2), Stream(1, "node 1"), options)
    detector.start(0)
    return detector


def test_phi_is_minus_log10_of_the_chance_that_the_heartbeat_is_later_still() -> None:
    """Section 4: phi 1 is wrong about once in 10, phi 2 once in 100, phi 3 once in 1,000."""
    normal = statistics.NormalDist()
    for phi in (1, 2, 3, 8):
        deviations = deviations_of(phi) / MILLIONTHS
        assert normal.cdf(-deviations) == pytest.approx(10.0**-phi, rel=1e-5)
    assert phi_of(0) == pytest.approx(math.log10(2))


def test_phi_is_finite_rises_and_has_no_step_where_erfc_gives_way_to_its_series() -> None:
    before, after = phi_of(25 * math.sqrt(2) - 1e-9), phi_of(25 * math.sqrt(2) + 1e-9)
    assert after == pytest.approx(before, rel=1e-9)
    assert before <= after
    assert math.erfc(40) == 0
    far = [phi_of(float(deviations)) for deviations in (40, 100, 10_000, 10**9)]
    assert far == sorted(far)
    assert all(map(math.isfinite, far))
    assert phi_of(-100) == 0


@given(st.floats(-50, 1000), st.floats(-50, 1000))
def test_phi_never_falls_as_time_passes(one: float, other: float) -> None:
    assert phi_of(min(one, other)) <= phi_of(max(one, other))


@given(st.floats(0.5, 10_000))
def test_the_limit_in_deviations_is_the_first_millionth_at_which_phi_is_reached(phi: float) -> None:
    limit = deviations_of(phi)
    assert phi_of(limit / MILLIONTHS) >= phi
    assert phi_of((limit - 1) / MILLIONTHS) < phi


@given(st.lists(st.integers(0, 10**12), min_size=0, max_size=50), st.integers(2, 20))
def test_the_window_is_exact_however_long_it_runs(samples: list[int], size: int) -> None:
    window = Window(size, SECOND)
    for sample in samples:
        window.add(sample)
    kept = [SECOND * 3 // 4, SECOND * 5 // 4, *samples][-size:]
    assert len(window) == len(kept)
    assert window.mean_ns == sum(kept) // len(kept)
    square = sum(len(kept) ** 2 * each**2 for each in kept) // len(kept) - sum(kept) ** 2
    assert window.std_ns == math.isqrt(square // len(kept) ** 2)


def test_before_the_first_heartbeats_the_interval_is_guessed() -> None:
    detector = phi_detector()
    assert detector.estimate(2) == (SECOND, SECOND // 4)
    detector.wake(detector.deadline_ns)
    assert detector.state(2) is Status.ALIVE
    detector.wake(10 * SECOND)
    assert detector.state(2) is Status.DEAD, "a member that never spoke is noticed, too"


def test_limits_follow_the_network() -> None:
    """What the detector is for: the same settings wait longer where heartbeats come irregularly."""
    regular, irregular = phi_detector(), phi_detector()
    stream = Stream(5, "jitter")
    for sequence in range(1, 200):
        regular.receive(sequence * SECOND, 2, Heartbeat(0, sequence))
        late_ns = stream.below(2 * SECOND)
        irregular.receive(sequence * SECOND + late_ns, 2, Heartbeat(0, sequence))
    assert regular.limits(2)[1] < 2.5 * SECOND
    assert irregular.limits(2)[1] > 1.5 * regular.limits(2)[1]


def test_a_very_regular_network_does_not_make_it_expect_nanoseconds() -> None:
    detector = phi_detector()
    for sequence in range(1, 1200):
        detector.receive(sequence * SECOND, 2, Heartbeat(0, sequence))
    assert detector.estimate(2) == (SECOND, SECOND // 4)
    assert detector.phi(1199 * SECOND + 2 * SECOND, 2) < 8, "one lost heartbeat is no death"


def test_the_silence_of_a_dead_member_is_no_sample() -> None:
    detector = phi_detector()
    for sequence in range(1, 10):
        detector.receive(sequence * SECOND, 2, Heartbeat(0, sequence))
    before = detector.estimate(2)
    detector.wake(1000 * SECOND)
    assert detector.state(2) is Status.DEAD
    detector.receive(1001 * SECOND, 2, Heartbeat(0, 10))
    assert detector.estimate(2) == before


def test_another_life_of_a_member_starts_a_new_window() -> None:
    detector = phi_detector()
    for sequence in range(1, 50):
        detector.receive(sequence * 2 * SECOND, 2, Heartbeat(0, sequence))
        detector.wake(sequence * 2 * SECOND)
    assert detector.estimate(2)[0] > 1.5 * SECOND
    detector.receive(100 * SECOND, 2, Heartbeat(1, 1))
    assert detector.estimate(2)[0] == SECOND


def test_other_traffic_has_no_rhythm_to_learn() -> None:
    detector = phi_detector()
    for tick in range(1, 100):
        detector.heard(tick * SECOND // 100, 2)
    assert detector.estimate(2)[0] == SECOND


@given(st.lists(st.integers(1, 5 * SECOND), min_size=1, max_size=60), st.integers(0, 60 * SECOND))
def test_decisions_of_integers_are_those_of_phi(gaps: list[int], silence_ns: int) -> None:
    detector = phi_detector()
    now_ns = 0
    for sequence, gap_ns in enumerate(gaps, 1):
        now_ns += gap_ns
        detector.receive(now_ns, 2, Heartbeat(0, sequence))
        detector.check()
    phi = detector.phi(now_ns + silence_ns, 2)
    level = detector.level(now_ns + silence_ns, 2)
    for limit, threshold in ((1, 3.0), (2, 8.0)):
        if abs(phi - threshold) > 1e-3:
            assert (level >= limit) is (phi >= threshold)


def test_options_that_make_no_sense_say_so() -> None:
    with pytest.raises(ValueError, match="suspect <= dead"):
        PhiOptions(suspect=9)
    with pytest.raises(ValueError, match="on time is suspected"):
        PhiOptions(suspect=0.1)
    with pytest.raises(ValueError, match="window must be 2 or more"):
        PhiOptions(window=1)
