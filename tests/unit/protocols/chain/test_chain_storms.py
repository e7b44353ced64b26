"""Chains under faults: what clients saw is linearizable, and the chain becomes whole again by itself."""

from __future__ import annotations

import pytest
from tests.unit.protocols.chain.plans import PLANS, Plan, TakesOverAtOnce, storm
from tests.unit.protocols.chain.storm import Storm

from comity.protocols.chain import ChainCore
from comity.replica import InvariantBroken
from comity.simulator.mutants.chain import MUTANTS

SEEDS = 100


@pytest.mark.parametrize("seed", range(12))
def test_a_storm_leaves_a_linearizable_history_and_a_whole_chain(seed: int) -> None:
    storm(seed, ChainCore)


@pytest.mark.soak
@pytest.mark.parametrize("batch", range(30))
def test_many_storms(batch: int) -> None:
    for seed in range(1000 + 20 * batch, 1020 + 20 * batch):
        storm(seed, ChainCore)


@pytest.mark.parametrize("plan", list(PLANS.values()), ids=lambda plan: plan.__name__)
def test_the_plays_written_for_one_rule_pass_with_the_right_core(plan: Plan) -> None:
    for seed in range(3):
        plan(seed, ChainCore)


@pytest.mark.parametrize("mutant", [*MUTANTS, TakesOverAtOnce], ids=lambda mutant: mutant.__name__)
def test_a_wrong_variant_is_caught(mutant: type[ChainCore]) -> None:
    plan = PLANS.get(mutant.__name__, storm)
    for seed in range(SEEDS):
        try:
            plan(seed, mutant)
        except (AssertionError, InvariantBroken):
            return
    raise AssertionError(f"{mutant.__name__} went unnoticed for {SEEDS} seeds")


def test_the_same_seed_gives_the_same_messages() -> None:
    first, second, other = Storm(7).run(), Storm(7).run(), Storm(8).run()
    assert first.trace.digest() == second.trace.digest()
    assert first.trace.digest() != other.trace.digest()


def test_storms_see_what_they_are_meant_to_see() -> None:
    seen: dict[str, int] = {}
    events: set[str] = set()
    for seed in range(7):
        world = Storm(seed).run()
        for name, count in world.messages.items():
            seen[name] = seen.get(name, 0) + count
        for number in world.nodes:
            events.update(str(event[0]) for event in world[number].history)
    assert {"Append", "AppendReply", "Heartbeat", "ReadIndex", "ReadIndexReply"} <= set(seen)
    assert {"InstallSnapshot", "SnapshotReply"} <= set(seen)
    assert {"view", "count", "truncate", "reject", "snapshot installed"} <= events
