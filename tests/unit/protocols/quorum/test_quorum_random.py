"""What the protocol promises, over random faults; and that each wrong variant is noticed."""

from __future__ import annotations

import pytest
from tests.unit.protocols.quorum.plans import CLAIMS, LINEARIZABLE_MODEL, MUTANTS, Claim
from tests.unit.protocols.quorum.plans import SEEDS as VARIANT_SEEDS
from tests.unit.protocols.quorum.random_runs import SESSION_MODELS, Plan, Run, fast, violated

from comity.protocols.quorum import QuorumCore

FEW_SEEDS = 2
MANY_SEEDS = 200


@pytest.mark.parametrize("name", CLAIMS)
def test_histories_keep_the_level_and_replicas_converge_after_healing(name: str) -> None:
    for seed in range(FEW_SEEDS):
        assert CLAIMS[name].flaw(seed) == "", f"seed {seed}"


@pytest.mark.soak
@pytest.mark.parametrize("name", CLAIMS)
def test_many_histories_keep_the_level(name: str) -> None:
    for seed in range(FEW_SEEDS, MANY_SEEDS):
        assert CLAIMS[name].flaw(seed) == "", f"seed {seed}"


@pytest.mark.parametrize("core", MUTANTS, ids=lambda core: core.__name__)
def test_a_wrong_variant_is_noticed(core: type[QuorumCore]) -> None:
    seed = VARIANT_SEEDS.get(core, 0)
    assert MUTANTS[core].flaw(seed, core)
    assert MUTANTS[core].flaw(seed) == "", "the protocol itself fails there too"


@pytest.mark.soak
@pytest.mark.parametrize("core", MUTANTS, ids=lambda core: core.__name__)
def test_a_wrong_variant_is_noticed_within_a_hundred_seeds(core: type[QuorumCore]) -> None:
    assert any(MUTANTS[core].flaw(seed, core) for seed in range(100))


def first_violation(claim: Claim) -> tuple[int, list[str]]:
    for seed in range(50):
        bad = violated(Run(seed, claim.plan).history, claim.models)
        if bad:
            return seed, bad
    raise AssertionError("no history shows it")


@pytest.mark.parametrize(
    ("plan", "models"),
    [
        (Plan(level="eventual", options=fast(r=1, w=1)), SESSION_MODELS),
        (Plan(level="eventual", options=fast(r=1, w=1)), LINEARIZABLE_MODEL),
        (Plan(level="session"), LINEARIZABLE_MODEL),
        (Plan(level="eventual"), LINEARIZABLE_MODEL),
        (
            Plan(level="eventual", numbers=(1, 2, 3, 4, 5), options=fast(n=3, sloppy=True)),
            LINEARIZABLE_MODEL,
        ),
    ],
    ids=["R+W<=N: no session", "R+W<=N", "session", "eventual over majorities", "sloppy"],
)
def test_one_level_above_the_promise_some_history_fails(plan: Plan, models: tuple[str, ...]) -> None:
    _, bad = first_violation(Claim(plan, models))
    assert bad


def test_the_same_seed_gives_the_same_messages() -> None:
    plan = CLAIMS["three of four, views change"].plan
    first, second = Run(3, plan).cluster.trace, Run(3, plan).cluster.trace
    assert first == second
    assert first != Run(4, plan).cluster.trace
