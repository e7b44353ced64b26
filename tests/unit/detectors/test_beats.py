"""Heartbeats with fixed limits, and what they share with phi."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from comity.detectors import (
    Detector,
    HeartbeatDetector,
    HeartbeatOptions,
    PhiDetector,
    Status,
    Transition,
)
from comity.detectors.messages import Heartbeat, Ping
from comity.replica import Stream

SECOND = 1_000_000_000

Make = Callable[..., HeartbeatDetector | PhiDetector]
both = pytest.mark.parametrize("make", [HeartbeatDetector, PhiDetector])


def beat(
    detector: Detector, sender: int, first: int, count: int, start_ns: int, *, incarnation: int = 0
) -> int:
    """Heartbeats each second; returns the time of the last one."""
    at_ns = start_ns
    for sequence in range(first, first + count):
        at_ns = start_ns + (sequence - first) * SECOND
        detector.wake(at_ns)
        detector.receive(at_ns, sender, Heartbeat(incarnation, sequence))
        detector.check()
    return at_ns


def test_a_silent_member_is_suspected_then_dead_at_the_limits() -> None:
    detector = HeartbeatDetector(1, (1, 2), Stream(1, "node 1"))
    detector.start(0)
    last_ns = beat(detector, 2, 1, 5, SECOND)
    detector.wake(last_ns + 2_500_000_000 - 1)
    assert detector.take(last_ns).transitions == []
    detector.wake(last_ns + 2_500_000_000)
    assert detector.take(last_ns).transitions == [Transition(2, Status.SUSPECT, 0)]
    detector.wake(last_ns + 5 * SECOND - 1)
    assert detector.state(2) is Status.SUSPECT
    detector.wake(last_ns + 5 * SECOND)
    assert detector.take(last_ns).transitions == [Transition(2, Status.DEAD, 0)]
    detector.check()


@both
def test_the_deadline_is_never_later_than_the_next_change(make: Make) -> None:
    detector = make(1, (1, 2, 3), Stream(3, "node 1"))
    detector.start(0)
    last_ns = beat(detector, 2, 1, 5, SECOND)
    beat(detector, 3, 1, 2, last_ns)
    detector.take(0)
    while detector.state(2) is not Status.DEAD or detector.state(3) is not Status.DEAD:
        due_ns = detector.deadline_ns
        levels = [detector.level(due_ns - 1, node) for node in (2, 3)]
        states = [detector.state(node) for node in (2, 3)]
        assert [int(level) for level in levels] == states, "asking tells no more than waking would"
        detector.wake(due_ns)
        detector.check()
        assert due_ns < 30 * SECOND


@both
def test_a_dead_member_that_is_heard_again_is_alive(make: Make) -> None:
    detector = make(1, (1, 2), Stream(1, "node 1"))
    detector.start(0)
    detector.wake(60 * SECOND)
    assert detector.state(2) is Status.DEAD
    detector.take(60 * SECOND)
    detector.receive(61 * SECOND, 2, Heartbeat(4, 1))
    assert detector.take(61 * SECOND).transitions == [Transition(2, Status.ALIVE, 4)]
    assert detector.suspects(61 * SECOND) == ()
    detector.check()


@both
def test_other_traffic_ends_a_silence(make: Make) -> None:
    detector = make(1, (1, 2), Stream(1, "node 1"))
    detector.start(0)
    for second in range(1, 100):
        detector.heard(second * SECOND, 2)
        detector.wake(second * SECOND)
        detector.check()
    assert detector.state(2) is Status.ALIVE
    assert detector.level(99 * SECOND, 2) < 1


@both
def test_old_and_repeated_heartbeats_say_nothing(make: Make) -> None:
    detector = make(1, (1, 2), Stream(1, "node 1"))
    detector.start(0)
    detector.receive(SECOND, 2, Heartbeat(1, 7))
    before = detector.level(2 * SECOND, 2)
    for old in (Heartbeat(1, 7), Heartbeat(1, 6), Heartbeat(0, 99)):
        detector.receive(2 * SECOND, 2, old)
    assert detector.dropped == 3
    assert detector.level(2 * SECOND, 2) == before


@both
def test_what_a_peer_may_not_send_is_dropped(make: Make) -> None:
    detector = make(1, (1, 2), Stream(1, "node 1"))
    detector.start(0)
    for sender, message in ((9, Heartbeat(0, 1)), (2, Ping(1)), (2, None), (1, Heartbeat(0, 1))):
        detector.receive(0, sender, message)
    assert detector.dropped == 4
    assert not detector.busy


@both
def test_everyone_is_sent_one_heartbeat_each_interval_and_none_for_time_slept(make: Make) -> None:
    detector = make(1, (1, 2, 3), Stream(1, "node 1"))
    detector.start(0)
    sent: list[tuple[int, int]] = []
    while len(sent) < 10:
        now_ns = detector.deadline_ns
        detector.wake(now_ns)
        sent.extend((now_ns, send.peer) for send in detector.take(now_ns).send)
        detector.heard(now_ns, 2)
        detector.heard(now_ns, 3)
    first_ns = sent[0][0]
    assert 0 <= first_ns < SECOND
    assert sent == [(first_ns + beat * SECOND, peer) for beat in range(5) for peer in (2, 3)]
    detector.wake(first_ns + 60 * SECOND + 1)
    assert len(detector.take(0).send) == 2
    assert detector.deadline_ns == first_ns + 61 * SECOND


@both
def test_members_come_and_go(make: Make) -> None:
    detector = make(1, (1, 2), Stream(1, "node 1"))
    detector.start(0)
    detector.view(SECOND, (1, 3, 4))
    assert detector.members == (3, 4)
    assert detector.state(2) is Status.DEAD
    assert detector.level(SECOND, 2) == 2
    assert detector.state(1) is Status.ALIVE
    assert detector.level(SECOND, 1) == 0
    detector.view(2 * SECOND, (1, 2, 3))
    assert detector.members == (2, 3)
    assert detector.level(2 * SECOND, 2) < 0.5, "it was just admitted"
    detector.check()


def test_more_members_than_allowed_are_refused() -> None:
    detector = HeartbeatDetector(1, (1, 2), Stream(1, "node 1"), HeartbeatOptions(max_members=1))
    detector.start(0)
    with pytest.raises(ValueError, match="raise max_members"):
        detector.admit(0, 3)


def test_options_that_make_no_sense_say_so() -> None:
    with pytest.raises(ValueError, match="every member is suspected between two heartbeats"):
        HeartbeatOptions(interval_ns=3 * SECOND)
    with pytest.raises(ValueError, match="dead_ns"):
        HeartbeatOptions(dead_ns=SECOND)
    with pytest.raises(ValueError, match="interval_ns must be 1 or more"):
        HeartbeatOptions(interval_ns=0)
