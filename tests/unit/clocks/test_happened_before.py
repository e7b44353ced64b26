"""Each clock against happened-before itself, computed by reachability over random message histories."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from comity.clocks import Causality, HybridTime, LamportTime, VectorClock
from comity.clocks.hybrid import TICK_NS

NODES = 4
DRIFT_TICKS = 3


@dataclass(frozen=True)
class Happening:
    """One event: at `node`, at physical time `now_ns`, receiving the message of event `received`."""

    node: int
    now_ns: int
    received: int | None


@st.composite
def executions(draw: st.DrawFn) -> list[Happening]:
    """Events in an order of true time; physical clocks within DRIFT_TICKS of it, never going back,
    and moving on between two events of a node, as corollary 3 of the paper asks."""
    events: list[Happening] = []
    true_ticks = DRIFT_TICKS
    shown = dict.fromkeys(range(1, NODES + 1), 0)
    for _ in range(draw(st.integers(0, 24))):
        node = draw(st.integers(1, NODES))
        true_ticks += draw(st.integers(0, 2))
        if shown[node] + 1 > true_ticks + DRIFT_TICKS:
            true_ticks = shown[node] + 1 - DRIFT_TICKS
        lowest = max(shown[node] + 1, true_ticks - DRIFT_TICKS)
        shown[node] = draw(st.integers(lowest, max(lowest, true_ticks + DRIFT_TICKS)))
        choice = draw(st.integers(-len(events), len(events) - 1)) if events else -1
        received = choice if choice >= 0 else None
        noise_ns = draw(st.integers(0, TICK_NS - 1))
        events.append(Happening(node, shown[node] * TICK_NS + noise_ns, received))
    return events


def happened_before(events: list[Happening]) -> list[set[int]]:
    """For each event the events before it: program order and messages, closed by a plain graph search."""
    edges: list[list[int]] = []
    for index, event in enumerate(events):
        direct = [other for other in range(index) if events[other].node == event.node]
        if event.received is not None:
            direct.append(event.received)
        edges.append(direct)
    pasts: list[set[int]] = []
    for index in range(len(events)):
        past: set[int] = set()
        frontier = list(edges[index])
        while frontier:
            reached = frontier.pop()
            if reached not in past:
                past.add(reached)
                frontier.extend(edges[reached])
        pasts.append(past)
    return pasts


@given(executions())
@settings(max_examples=120)
def test_vector_clocks_give_exactly_the_happened_before_order(events: list[Happening]) -> None:
    pasts = happened_before(events)
    at_node: dict[int, VectorClock] = {}
    times: list[VectorClock] = []
    for event in events:
        own = at_node.get(event.node, VectorClock())
        time = (
            own.tick(event.node) if event.received is None else own.receive(event.node, times[event.received])
        )
        at_node[event.node] = time
        times.append(time)
    for first in range(len(events)):
        for second in range(len(events)):
            if first == second:
                expected = Causality.EQUAL
            elif first in pasts[second]:
                expected = Causality.BEFORE
            elif second in pasts[first]:
                expected = Causality.AFTER
            else:
                expected = Causality.CONCURRENT
            assert times[first].compare(times[second]) is expected


@given(executions())
@settings(max_examples=120)
def test_lamport_times_keep_happened_before_and_are_all_different(
    events: list[Happening],
) -> None:
    pasts = happened_before(events)
    at_node: dict[int, LamportTime] = {}
    times: list[LamportTime] = []
    for event in events:
        own = at_node.get(event.node, LamportTime(0, event.node))
        time = own.tick() if event.received is None else own.receive(times[event.received])
        at_node[event.node] = time
        times.append(time)
    assert len(set(times)) == len(times)
    for second, past in enumerate(pasts):
        assert all(times[first] < times[second] for first in past)


def hybrid_times(events: list[Happening]) -> list[HybridTime]:
    at_node: dict[int, HybridTime] = {}
    times: list[HybridTime] = []
    for event in events:
        own = at_node.get(event.node, HybridTime())
        if event.received is None:
            time = own.tick(event.now_ns)
        else:
            time = own.receive(event.now_ns, times[event.received], max_drift_ns=10**18)
        at_node[event.node] = time
        times.append(time)
    return times


@given(executions())
@settings(max_examples=120)
def test_hybrid_theorem_1_times_never_contradict_happened_before(events: list[Happening]) -> None:
    times = hybrid_times(events)
    for second, past in enumerate(happened_before(events)):
        assert all(times[first] < times[second] for first in past)
        assert all(times[first].pack() < times[second].pack() for first in past)


@given(executions())
@settings(max_examples=120)
def test_hybrid_theorems_2_and_3_wall_is_the_latest_physical_time_known(
    events: list[Happening],
) -> None:
    for index, (time, past) in enumerate(zip(hybrid_times(events), happened_before(events), strict=True)):
        known = [events[other].now_ns for other in (*past, index)]
        assert time.wall_ns == max(now_ns - now_ns % TICK_NS for now_ns in known)


@given(executions())
@settings(max_examples=120)
def test_hybrid_corollary_1_wall_stays_within_the_clock_bound(events: list[Happening]) -> None:
    for event, time in zip(events, hybrid_times(events), strict=True):
        # Two clocks, each within DRIFT_TICKS of true time, are within twice that of each other.
        assert -TICK_NS < time.drift_ns(event.now_ns) <= 2 * DRIFT_TICKS * TICK_NS


@given(executions())
@settings(max_examples=120)
def test_hybrid_corollaries_2_and_3_counter_is_bounded(events: list[Happening]) -> None:
    times = hybrid_times(events)
    for time, past in zip(times, happened_before(events), strict=True):
        assert time.counter <= sum(times[other].wall_ns == time.wall_ns for other in past)
        assert time.counter <= NODES * (2 * DRIFT_TICKS + 1)
