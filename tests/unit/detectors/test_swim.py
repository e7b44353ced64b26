"""SWIM rule by rule (Das, Gupta & Motivala 2002), with Lifeguard (Dadgar, Phillips & Currey 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from comity.detectors import PLAIN_SWIM, Status, Swim, SwimOptions, Transition, Update
from comity.detectors.messages import MAX_INCARNATION, Ack, Heartbeat, Nack, Ping, PingRequest
from comity.replica import Stream

SECOND = 1_000_000_000
MS = 1_000_000
ALIVE, SUSPECT, DEAD = Status.ALIVE, Status.SUSPECT, Status.DEAD


class Alone:
    """One member of a group whose others are the test."""

    def __init__(self, members: int = 6, options: SwimOptions | None = None, seed: int = 1) -> None:
        self.swim = Swim(1, range(1, members + 1), Stream(seed, "node 1"), options)
        self.swim.start(0)
        self.now_ns = 0

    def until(self, end_ns: int) -> list[tuple[int, Any]]:
        """Wake it whenever it wants; what it sent."""
        sent = []
        while self.swim.deadline_ns <= end_ns:
            self.now_ns = self.swim.deadline_ns
            self.swim.wake(self.now_ns)
            self.swim.check()
            sent += self.taken()
        self.now_ns = end_ns
        return sent

    def taken(self) -> list[tuple[int, Any]]:
        taken = self.swim.take(self.now_ns)
        self.changes = getattr(self, "changes", []) + taken.transitions
        return [(send.peer, send.message) for send in taken.send]

    def get(self, sender: int, message: Any) -> list[tuple[int, Any]]:
        self.swim.receive(self.now_ns, sender, message)
        self.swim.check()
        return self.taken()

    def probe(self) -> tuple[int, Ping]:
        """On to the next probe: whom, and with what."""
        while True:
            for peer, message in self.until(self.swim.deadline_ns):
                if isinstance(message, Ping):
                    return peer, message


def answer_all(alone: Alone, probes: int) -> list[int]:
    """Acknowledge so many probes; whom they went to."""
    targets = []
    for _ in range(probes):
        target, ping = alone.probe()
        alone.get(target, Ack(ping.number))
        targets.append(target)
    return targets


# -- failure detection (SWIM 3.1, 4.3)


def test_every_member_is_probed_once_a_round_in_an_order_that_changes() -> None:
    alone = Alone(members=8)
    rounds = [answer_all(alone, 7) for _ in range(6)]
    assert all(sorted(each) == list(range(2, 9)) for each in rounds)
    assert len({tuple(each) for each in rounds}) > 3
    assert alone.swim.suspects(alone.now_ns) == ()


def test_a_silent_member_is_pinged_by_k_others_before_it_is_suspected() -> None:
    alone = Alone()
    target, ping = alone.probe()
    began_ns = alone.now_ns
    assert alone.until(began_ns + 500 * MS - 1) == []
    asked = alone.until(began_ns + 500 * MS)
    assert len({peer for peer, _ in asked}) == 3
    assert {message for _, message in asked} == {PingRequest(ping.number, target, True)}
    assert target not in {peer for peer, _ in asked}
    alone.until(began_ns + SECOND - 1)
    assert alone.swim.state(target) is ALIVE
    assert alone.swim.level(alone.now_ns, target) == 0.5
    alone.until(began_ns + SECOND)
    assert alone.changes == [Transition(target, SUSPECT, 0)]
    assert alone.swim.suspects(alone.now_ns) == (target,)


@pytest.mark.parametrize("how", ["late ack", "ack of a helper", "other traffic"])
def test_any_sign_of_life_within_the_period_keeps_it_alive(how: str) -> None:
    alone = Alone()
    target, ping = alone.probe()
    end_ns = alone.now_ns + SECOND
    (helper, _), *_ = alone.until(alone.now_ns + 500 * MS)
    alone.until(end_ns - 1)
    if how == "late ack":
        alone.get(target, Ack(ping.number))
    elif how == "ack of a helper":
        alone.get(helper, Nack(ping.number))
        alone.get(helper, Ack(ping.number))
    else:
        alone.swim.heard(alone.now_ns, target)
    alone.until(end_ns)
    assert alone.swim.state(target) is ALIVE


def test_an_ack_of_an_earlier_probe_or_of_a_stranger_to_the_probe_counts_for_nothing() -> None:
    alone = Alone()
    target, ping = alone.probe()
    other = next(node for node in range(2, 7) if node != target)
    alone.get(target, Ack(ping.number - 1))
    alone.get(other, Ack(ping.number))
    alone.until(alone.now_ns + SECOND)
    assert alone.swim.state(target) is SUSPECT


def test_who_is_asked_pings_the_target_and_passes_its_ack_on() -> None:
    alone = Alone()
    ((target, ping),) = alone.get(2, PingRequest(77, 3, False))
    assert (target, type(ping)) == (3, Ping)
    assert alone.get(3, Ack(ping.number)) == [(2, Ack(77))]
    assert alone.get(3, Ack(ping.number)) == [], "once"


def test_who_is_asked_says_nack_before_the_one_who_asks_gives_up() -> None:
    """Lifeguard: at four fifths of the timeout, if it was asked to."""
    alone = Alone(seed=3)
    alone.get(2, PingRequest(77, 3, True))
    alone.get(4, PingRequest(78, 5, False))
    start_ns = alone.now_ns
    sent = alone.until(start_ns + 400 * MS)
    assert [each for each in sent if isinstance(each[1], Nack)] == [(2, Nack(77))]


def test_pings_for_others_are_bounded() -> None:
    alone = Alone(options=SwimOptions(max_relays=2))
    for number in range(5):
        alone.get(2, PingRequest(number, 3, False))
    assert alone.swim.dropped == 3
    alone.until(alone.now_ns + 2 * SECOND)
    assert len(alone.get(2, PingRequest(9, 3, False))) == 1, "they end"


def test_a_ping_is_answered_with_its_number() -> None:
    assert Alone().get(2, Ping(123)) == [(2, Ack(123))]


# -- suspicion (SWIM 4.2)


def hear(alone: Alone, status: Status, incarnation: int, *, node: int = 3, source: int = 2) -> None:
    alone.get(2, Ping(1, (Update(node, status, incarnation, source),)))


@pytest.mark.parametrize(
    ("news", "held"),
    [
        ([(SUSPECT, 0)], SUSPECT),
        ([(SUSPECT, 0), (ALIVE, 0)], SUSPECT),
        ([(SUSPECT, 0), (ALIVE, 1)], ALIVE),
        ([(ALIVE, 1), (SUSPECT, 0)], ALIVE),
        ([(ALIVE, 1), (SUSPECT, 1)], SUSPECT),
        ([(SUSPECT, 0), (DEAD, 0), (SUSPECT, 0)], DEAD),
        ([(DEAD, 0), (ALIVE, 0)], DEAD),
        ([(DEAD, 0), (ALIVE, 1)], ALIVE),
        ([(ALIVE, 1), (DEAD, 0)], ALIVE),
    ],
)
def test_news_overrides_by_incarnation_then_by_status(
    news: Sequence[tuple[Status, int]], held: Status
) -> None:
    alone = Alone()
    for status, incarnation in news:
        hear(alone, status, incarnation)
    assert alone.swim.state(3) is held


def test_a_suspect_that_does_not_refute_is_dead_after_the_timeout() -> None:
    alone = Alone(options=PLAIN_SWIM)
    hear(alone, SUSPECT, 0)
    start_ns = alone.now_ns
    answered(alone, start_ns + 5 * SECOND - 1, but=3)
    assert alone.swim.state(3) is SUSPECT
    assert 1.9 < alone.swim.level(alone.now_ns, 3) < 2
    answered(alone, start_ns + 5 * SECOND, but=3)
    assert alone.swim.state(3) is DEAD
    assert alone.swim.level(alone.now_ns, 3) == 2


def answered(alone: Alone, end_ns: int, *, but: int) -> None:
    """Time passes, and everyone but one acknowledges its probes."""
    while alone.swim.deadline_ns <= end_ns:
        for peer, message in alone.until(alone.swim.deadline_ns):
            if isinstance(message, Ping) and peer != but:
                alone.get(peer, Ack(message.number))
    alone.now_ns = end_ns


def test_the_timeout_grows_with_the_logarithm_of_the_group() -> None:
    for members, seconds in ((3, 5), (10, 5), (100, 10), (1000, 15)):
        alone = Alone(members=members, options=PLAIN_SWIM)
        hear(alone, SUSPECT, 0)
        alone.swim.check()
        expires_ns = alone.swim._suspicions[3].expires_ns
        assert expires_ns == seconds * SECOND


def test_only_the_suspect_itself_refutes_with_a_greater_incarnation() -> None:
    alone = Alone()
    ((_, ack),) = alone.get(2, Ping(1, (Update(1, SUSPECT, 0, 3),)))
    assert alone.swim.incarnation == 1
    assert ack == Ack(1, (Update(1, ALIVE, 1, 1),))
    hear(alone, SUSPECT, 0, node=1)
    assert alone.swim.incarnation == 1, "it refuted that before"
    hear(alone, DEAD, 7, node=1)
    assert alone.swim.incarnation == 8, "what an earlier life left behind is refuted too"


def test_signs_of_life_do_not_clear_a_suspicion_of_others() -> None:
    alone = Alone()
    hear(alone, SUSPECT, 0)
    alone.get(3, Ping(5))
    alone.swim.heard(alone.now_ns, 3)
    assert alone.swim.state(3) is SUSPECT


def test_a_refutation_no_number_is_left_for_is_not_asked_for() -> None:
    alone = Alone()
    hear(alone, SUSPECT, MAX_INCARNATION, node=1)
    hear(alone, DEAD, MAX_INCARNATION)
    assert (alone.swim.incarnation, alone.swim.state(3), alone.swim.dropped) == (0, ALIVE, 2)


# -- dissemination (SWIM 4.1)


def test_news_rides_on_every_message_lambda_log_n_times() -> None:
    alone = Alone(members=6)
    alone.get(2, Ping(0, (Update(3, SUSPECT, 4, 2),)))
    carried = 1 + sum(bool(alone.get(4, Ping(number))[0][1].updates) for number in range(30))
    assert carried == 6, "ceil(3 ln 7)"


def test_what_was_sent_least_goes_first_and_a_message_is_bounded() -> None:
    alone = Alone(members=300, options=SwimOptions(max_piggyback_bytes=64))
    news = tuple(Update(node, SUSPECT, 0, 2) for node in range(10, 60))
    told = [update.node for update in alone.get(2, Ping(0, news))[0][1].updates]
    while len(told) < 50:
        ((_, ack),) = alone.get(2, Ping(1))
        assert 1 < len(ack.updates) <= 64 // 5
        told += [update.node for update in ack.updates]
    assert sorted(told[:50]) == list(range(10, 60)), "all once before any is told twice"
    ((_, ack),) = alone.get(2, Ping(2, (Update(70, SUSPECT, 0, 2),)))
    assert ack.updates[0].node == 70, "fresh news overtakes what was told before"


def test_newer_news_of_a_member_replaces_the_older() -> None:
    alone = Alone()
    hear(alone, SUSPECT, 0)
    hear(alone, ALIVE, 1)
    ((_, ack),) = alone.get(4, Ping(9))
    assert ack.updates == (Update(3, ALIVE, 1, 2),)


# -- Lifeguard


def test_failed_probes_missed_nacks_and_refutations_stretch_timeouts_and_period() -> None:
    alone = Alone(options=SwimOptions(alpha=1000))
    alone.probe()
    alone.until(alone.now_ns + SECOND)
    assert alone.swim.health.score == 2, "one for the probe, one for the nacks"
    assert alone.swim.deadline_ns == alone.now_ns + 3 * 500 * MS
    hear(alone, SUSPECT, 0, node=1)
    assert alone.swim.health.score == 3
    for _ in range(20):
        alone.until(alone.now_ns + 9 * SECOND)
    assert alone.swim.health.score == 8, "it saturates"
    answer_all(alone, 1)
    assert alone.swim.health.score == 7


def test_nacks_say_that_the_target_is_to_blame() -> None:
    alone = Alone()
    _, ping = alone.probe()
    began_ns = alone.now_ns
    for helper, _ in alone.until(began_ns + 500 * MS):
        alone.get(helper, Nack(ping.number))
    alone.until(began_ns + SECOND)
    assert alone.swim.health.score == 1


def test_plain_swim_never_doubts_itself() -> None:
    alone = Alone(options=PLAIN_SWIM)
    alone.until(20 * SECOND)
    assert alone.swim.health.score == 0


def test_independent_confirmations_bring_the_timeout_down_from_the_greatest_to_the_least() -> None:
    """Min 5 s, Max 30 s, K 3: Max - (Max - Min) log(C + 1) / log(K + 1)."""
    alone = Alone(members=10)
    hear(alone, SUSPECT, 0)
    trial = alone.swim._suspicions[3]
    waits = [trial.expires_ns]
    for source in (4, 4, 5, 6, 7):
        hear(alone, SUSPECT, 0, source=source)
        waits.append(trial.expires_ns)
    assert [round(wait / SECOND, 2) for wait in waits] == [30, 17.5, 17.5, 10.19, 5, 5]


def test_the_first_k_independent_suspicions_are_passed_on() -> None:
    alone = Alone(members=10)
    for source in (2, 4, 5, 6, 7):
        hear(alone, SUSPECT, 0, source=source)
    ((_, ack),) = alone.get(8, Ping(1))
    assert sorted(update.source for update in ack.updates) == [2, 4, 5, 6]


def test_among_three_one_confirmation_is_all_there_is_to_wait_for() -> None:
    alone = Alone(members=3)
    hear(alone, SUSPECT, 0)
    assert alone.swim._suspicions[3].expires_ns == 30 * SECOND
    hear(alone, SUSPECT, 0, source=1)
    assert alone.swim._suspicions[3].expires_ns == 5 * SECOND


def test_whoever_speaks_to_a_suspect_tells_it_first_of_all() -> None:
    """The buddy system; without it the news may have been told often enough already."""
    for options, told in ((SwimOptions(), True), (PLAIN_SWIM, False)):
        alone = Alone(options=options)
        hear(alone, SUSPECT, 0)
        for number in range(10):
            alone.get(4, Ping(number))
        ((_, ack),) = alone.get(3, Ping(50))
        assert (ack == Ack(50, (Update(3, SUSPECT, 0, 1),))) is told


# -- members


def test_a_dead_member_is_not_probed_but_pinged_now_and_then_and_told() -> None:
    alone = Alone(members=4)
    hear(alone, DEAD, 2)
    pings = []
    while alone.swim._period < 40:
        for peer, message in alone.until(alone.swim.deadline_ns):
            if isinstance(message, Ping):
                pings.append((peer, message))
                if peer != 3:
                    alone.get(peer, Ack(message.number))
    told = [message for peer, message in pings if peer == 3]
    assert len(told) == 4, "each tenth period"
    assert all(Update(3, DEAD, 2, 1) in message.updates for message in told)
    hear(alone, ALIVE, 3)
    assert alone.swim.state(3) is ALIVE


def test_who_leaves_is_dead_at_once_and_does_not_refute() -> None:
    alone = Alone()
    alone.swim.leave(0)
    ((_, ack),) = alone.get(2, Ping(1))
    assert ack.updates == (Update(1, DEAD, 0, 1),)
    hear(alone, DEAD, 0, node=1)
    assert alone.swim.incarnation == 0


def test_a_closed_group_knows_who_it_was_told_and_an_open_one_learns() -> None:
    closed, opened = Alone(), Alone(options=SwimOptions(open_group=True, max_members=7))
    for alone in (closed, opened):
        alone.get(9, Ping(1))
        hear(alone, ALIVE, 0, node=8)
        hear(alone, DEAD, 0, node=10)
        hear(alone, ALIVE, 0, node=11)
    assert closed.swim.members == (2, 3, 4, 5, 6)
    assert closed.swim.dropped == 1
    assert opened.swim.members == (2, 3, 4, 5, 6, 8, 9), "it is full now"


def test_a_removed_member_is_forgotten() -> None:
    alone = Alone()
    hear(alone, SUSPECT, 0)
    alone.get(3, PingRequest(1, 4, True))
    alone.swim.view(alone.now_ns, (1, 2, 5))
    alone.swim.check()
    assert alone.swim.members == (2, 5)
    alone.until(alone.now_ns + 30 * SECOND)
    assert [change.node for change in alone.changes if change.status is DEAD].count(3) == 0
    alone.swim.view(alone.now_ns, ())
    alone.until(alone.now_ns + 30 * SECOND)


def test_what_a_peer_may_not_send_is_dropped() -> None:
    alone = Alone()
    for sender, message in (
        (99, Ping(1)),
        (1, Ping(1)),
        (2, Heartbeat(0, 1)),
        (2, None),
        (2, PingRequest(1, 77, True)),
    ):
        assert alone.get(sender, message) == []
    assert alone.swim.dropped == 5


def test_options_that_make_no_sense_say_so() -> None:
    with pytest.raises(ValueError, match="indirect pings need time"):
        SwimOptions(timeout_ns=600 * MS)
    with pytest.raises(ValueError, match="one piece of news must fit"):
        SwimOptions(max_piggyback_bytes=10)
    with pytest.raises(ValueError, match="a nack must arrive before it is missed"):
        SwimOptions(nack_percent=100)
    with pytest.raises(ValueError, match="raise max_members"):
        Alone(members=10, options=SwimOptions(max_members=3))
