from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.clocks import ClockDriftExceeded, HybridTime
from comity.clocks.hybrid import COUNTER_LIMIT, TICK_NS

times = st.builds(
    HybridTime,
    st.integers(0, 40).map(lambda ticks: ticks * TICK_NS),
    st.integers(0, 3) | st.integers(COUNTER_LIMIT - 3, COUNTER_LIMIT - 1),
)
instants = st.integers(0, 41 * TICK_NS)


@given(times, instants)
def test_a_tick_moves_on_even_when_the_physical_clock_goes_back(time: HybridTime, now_ns: int) -> None:
    after = time.tick(now_ns)
    assert after > time
    assert after.drift_ns(now_ns) > -TICK_NS


@given(times, instants, times)
def test_receiving_moves_past_both(own: HybridTime, now_ns: int, sent: HybridTime) -> None:
    after = own.receive(now_ns, sent, max_drift_ns=100 * TICK_NS)
    assert after > own
    assert after > sent
    assert after.drift_ns(now_ns) > -TICK_NS


@given(times, instants, times, st.integers(0, 20 * TICK_NS))
def test_a_remote_time_too_far_ahead_is_refused(
    own: HybridTime, now_ns: int, sent: HybridTime, max_drift_ns: int
) -> None:
    if sent.wall_ns - now_ns > max_drift_ns:
        with pytest.raises(ClockDriftExceeded, match="more than") as caught:
            own.receive(now_ns, sent, max_drift_ns)
        assert caught.value.remote == sent
    else:
        # One tick more only where a full counter carried.
        bound_ns = max(own.wall_ns - now_ns, max_drift_ns) + TICK_NS
        assert own.receive(now_ns, sent, max_drift_ns).drift_ns(now_ns) <= bound_ns


def test_the_four_cases_of_figure_5() -> None:
    far = 10**12
    wall_ns, c = 5 * TICK_NS, 7
    own = HybridTime(wall_ns, c)
    assert own.receive(9 * TICK_NS, HybridTime(8 * TICK_NS, 3), far) == HybridTime(9 * TICK_NS, 0)
    assert own.receive(wall_ns, HybridTime(wall_ns, 9), far) == HybridTime(wall_ns, 10)
    assert own.receive(wall_ns, HybridTime(wall_ns, 2), far) == HybridTime(wall_ns, 8)
    assert own.receive(0, HybridTime(4 * TICK_NS, 9), far) == HybridTime(wall_ns, 8)
    assert own.receive(0, HybridTime(6 * TICK_NS, 9), far) == HybridTime(6 * TICK_NS, 10)
    assert own.tick(5 * TICK_NS + 1) == HybridTime(wall_ns, 8)
    assert own.tick(6 * TICK_NS) == HybridTime(6 * TICK_NS, 0)


def test_a_full_counter_carries_one_tick_ahead() -> None:
    assert HybridTime(TICK_NS, COUNTER_LIMIT - 1).tick(0) == HybridTime(2 * TICK_NS, 0)


@given(times, times)
def test_packing_keeps_the_order_and_comes_back(a: HybridTime, b: HybridTime) -> None:
    assert (a < b) == (a.pack() < b.pack())
    assert HybridTime.unpack(a.pack()) == a
    assert 0 <= a.pack() < 1 << 64
    assert 0 <= a.pack() - a.wall_ns < TICK_NS


@pytest.mark.parametrize("packed", [-1, 1 << 64])
def test_numbers_that_are_not_64_bits_are_refused(packed: int) -> None:
    with pytest.raises(ValueError, match="wall time"):
        HybridTime.unpack(packed)


@pytest.mark.parametrize(("wall_ns", "counter"), [(1, 0), (-TICK_NS, 0), (0, -1), (0, COUNTER_LIMIT)])
def test_times_out_of_range_are_refused(wall_ns: int, counter: int) -> None:
    with pytest.raises(ValueError, match=r"wall time|counter"):
        HybridTime(wall_ns, counter)
