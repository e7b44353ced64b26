"""What gossip promises under random faults, and that it promises no more."""

from __future__ import annotations

import pytest
from tests.unit.protocols.gossip.cluster import Cluster
from tests.unit.protocols.gossip.storm import PLANS, Storm

from comity.checkers import Status, analyse
from comity.replica import Answered


@pytest.mark.parametrize("plan", PLANS)
def test_histories_are_causal_sessions_hold_replicas_converge_and_no_increment_is_lost(plan: str) -> None:
    for seed in range(5):
        Storm(1000 + seed, **PLANS[plan]).judge()


@pytest.mark.soak
@pytest.mark.parametrize("plan", PLANS)
def test_the_same_over_many_seeds(plan: str) -> None:
    for seed in range(300):
        Storm(2000 + seed, **PLANS[plan]).judge()


def test_the_dial_is_honest_some_history_is_causal_and_not_sequential() -> None:
    for seed in range(20):
        history = Storm(seed, **PLANS["causes"]).run()
        models = analyse(history, "register", models=("causal-convergence", "sequential")).models
        assert models["causal-convergence"] is Status.VALID
        if models["sequential"] is Status.VIOLATION:
            return
    pytest.fail("every history was sequential")


def test_the_dial_is_honest_where_writes_conflict_it_is_causal_plus_and_not_causal_memory() -> None:
    """A loser is hidden from who had read its rival: some history has no order a process for all it read."""
    for seed in range(20):
        history = Storm(seed, **PLANS["causes"]).run()
        models = analyse(history, "register", models=("causal", "causal-convergence")).models
        assert models["causal-convergence"] is Status.VALID
        if models["causal"] is Status.VIOLATION:
            return
    pytest.fail("every history was causal memory")


def test_both_sides_of_a_partition_answer_and_converge_after_it() -> None:
    cluster = Cluster(1, 5)
    cluster.run(300)
    cluster.partition((1, 2), (3, 4, 5))
    for number in range(1, 6):
        for _ in range(number):
            assert isinstance(cluster.do(number, "INCR", "hits"), Answered)
        assert isinstance(cluster.do(number, "SET", "who", f"n{number}"), Answered)
    cluster.run(500)
    assert cluster.read(1, "hits") == cluster.read(2, "hits") == b"$1\r\n3\r\n"
    assert cluster.read(3, "hits") == cluster.read(5, "hits") == b"$2\r\n12\r\n"
    cluster.heal()
    cluster.run(3000)
    digests = [cluster.digest(number) for number in range(1, 6)]
    assert digests[0][b"hits"] == b"15"
    assert all(digest == digests[0] for digest in digests)


def test_the_same_seed_gives_the_same_messages() -> None:
    def messages() -> list[tuple[int, int, int, bytes]]:
        storm = Storm(7, **PLANS["views"])
        storm.run()
        return storm.cluster.sent

    first = messages()
    assert len(first) > 500
    assert first == messages()
