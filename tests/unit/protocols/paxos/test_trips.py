"""Waiting follows the round trips observed."""

from __future__ import annotations

from tests.unit.protocols.paxos.cluster import MS, Cluster
from tests.unit.protocols.paxos.semantics import command, result

from comity.protocols.paxos import PaxosOptions
from comity.protocols.paxos.learner import Watcher
from comity.protocols.paxos.trips import LONGEST_NS, Trip, Trips, until_quorum
from comity.replica import Answered, Outcome


def test_the_estimate_is_that_of_tcp() -> None:
    trip = Trip(80 * MS)
    assert (trip.smoothed_ns, trip.timeout_ns) == (80 * MS, 240 * MS)
    trip.add(160 * MS)
    assert (trip.smoothed_ns, trip.deviation_ns) == (90 * MS, 50 * MS)
    for _ in range(200):
        trip.add(100 * MS)
    assert 99 * MS < trip.smoothed_ns <= 100 * MS
    assert 100 * MS < trip.timeout_ns < 102 * MS


def test_impossible_times_are_no_observations() -> None:
    trips = Trips()
    trips.add(2, -1)
    trips.add(2, LONGEST_NS + 1)
    assert trips.timeout_ns(2) == 0


def test_a_quorum_takes_as_long_as_its_furthest_member_needs() -> None:
    trips = {2: 30, 3: 10, 4: 20, 5: 40}
    assert until_quorum(1, trips, trips.__getitem__, lambda nodes: len(nodes) >= 3) == 20
    assert until_quorum(1, (), trips.__getitem__, lambda nodes: len(nodes) >= 1) == 0


def test_a_watcher_adds_up_what_was_named_at_different_times() -> None:
    watcher = Watcher(lambda nodes: len(nodes) >= 2)
    assert not watcher.learn(1, (5, 1))
    assert not watcher.learn(1, (7, 1))
    assert watcher.learn(2, (5, 1))
    assert watcher.chosen == (5, 1)


def test_far_apart_several_proposers_of_one_key_all_get_through() -> None:
    cluster = Cluster(1, options=PaxosOptions())
    cluster.delay_ns = (140 * MS, 160 * MS)
    outcomes: list[Outcome] = []
    for _ in range(10):
        for number in (1, 2, 3):
            cluster.execute(number, b"key", command("INCR"), outcomes.append, deadline_ns=20_000 * MS)
        cluster.run(200 * MS)
    assert cluster.run(20_000 * MS, lambda: len(outcomes) == 30)
    got = sorted(result(each.reply) for each in outcomes if isinstance(each, Answered))
    assert got == list(range(1, 31))
    core = cluster[1]
    assert 280 * MS < core.quorum_trip_ns() < 340 * MS
    assert core.patience_ns() > 280 * MS
    assert max(core.backoff_ns(9) for _ in range(20)) > PaxosOptions().backoff_max_ns
