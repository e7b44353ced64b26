"""What every kind of keyspace promises is what is measured of it, from one end of the dial to the other."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest

from comity.simulator.failover import MACHINE, PROCESS, WAYS, hit, summarise_gaps
from comity.simulator.measure import KINDS, Plan, ruler, run
from comity.simulator.measured import Measured, agrees, summarise
from comity.simulator.topologies import named

SEEDS = (0, 1)
"""In the first the node that leads is cut off, in the second another."""
DEADLINE_MS = 1_500


def plan_of(kind: str) -> Plan:
    return Plan(
        kind=KINDS[kind],
        topology=named("three-regions"),
        period_ms=150,
        warm_ms=1_000,
        steady_ms=2_500,
        partition_ms=7_000,
        settle_ms=4_500,
        deadline_ms=DEADLINE_MS,
    )


@cache
def measured(kind: str) -> Measured:
    plan = plan_of(kind)
    return summarise(plan, ruler(plan.kind, plan.replicas), [run(plan, seed) for seed in SEEDS])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_promised_is_what_is_measured(kind: str) -> None:
    plan = plan_of(kind)
    promise = plan.kind.promise(plan.replicas)
    assert promise is not None
    assert agrees(measured(kind), promise) == []


@pytest.mark.parametrize("kind", ["raft", "paxos", "primary-backup", "chain", "quorum"])
def test_c_keyspaces_refuse_on_the_minority_side_within_their_deadline(kind: str) -> None:
    side = measured(kind).minority
    for figures in (side.settled.reads, side.settled.writes):
        assert figures.count > 0
        assert figures.refused == 1.0
    assert side.slowest_refusal_ms <= DEADLINE_MS + 100


@pytest.mark.parametrize("kind", ["quorum-eventual", "gossip"])
def test_a_keyspaces_answer_on_both_sides_show_their_age_and_converge(kind: str) -> None:
    figures = measured(kind)
    for side in (figures.minority, figures.majority):
        assert side.whole.reads.available == side.whole.writes.available == 1.0
        assert side.whole.reads.stale > 0
        assert side.whole.reads.age_ms > 1_000
    assert figures.lost == 0
    assert figures.converged_ms >= 0


def test_an_asynchronous_primary_that_is_cut_off_loses_what_it_acknowledged() -> None:
    assert measured("primary-backup-async").lost > 0
    assert measured("primary-backup").lost == 0


def test_disagreement_is_told() -> None:
    """A keyspace measured against the promise of another."""
    gossip, raft = KINDS["gossip"].promise(3), KINDS["raft"].promise(3)
    assert gossip is not None
    assert raft is not None
    told = agrees(msgspec.structs.replace(measured("gossip"), level="linearizable"), raft)
    assert any("the minority is promised to refuse writes" in line for line in told)
    assert any("no read is promised to be stale" in line for line in told)
    told = agrees(msgspec.structs.replace(measured("raft"), level="causal"), gossip)
    assert any("the minority is promised to serve reads" in line for line in told)
    assert any("at best a write is promised to take 0 round trips; it took 1" in line for line in told)


def test_the_same_seed_is_the_same_run() -> None:
    plan = msgspec.structs.replace(plan_of("gossip"), steady_ms=1_000, partition_ms=2_000, after_ms=500)
    assert run(plan, 3) == run(plan, 3)


@pytest.mark.parametrize("victim", [1, 2, 3])
def test_paxos_has_no_gap_when_any_one_node_is_killed(victim: int) -> None:
    """Not even a tenth of a request's deadline."""
    for way in WAYS:
        seen = hit(KINDS["paxos"], named("lan"), victim, way, 0, deadline_ms=DEADLINE_MS, watch_ms=2_000)
        assert seen.errors == 0
        assert seen.gap_ms <= DEADLINE_MS / 10


def test_raft_has_its_failover_gap_when_its_leader_goes_silent() -> None:
    hits = [
        hit(KINDS["raft"], named("lan"), 1, way, 0, deadline_ms=DEADLINE_MS, watch_ms=2_000) for way in WAYS
    ]
    gaps = {gap.way: gap.worst_ms for gap in summarise_gaps(hits)}
    assert 400 < gaps[MACHINE] < 1_500
    assert gaps[PROCESS] < gaps[MACHINE]
