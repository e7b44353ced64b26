"""Models of registers are right both ways at size: what a store that keeps one model and nothing stronger did
passes it, and what is planted is named."""

from __future__ import annotations

import pytest
from tests.unit.checkers.registers.stores import STORES
from tests.unit.checkers.registers.test_models import PLANTS

from comity.checkers import Limits, Semantics, Status, registers
from comity.checkers.models import IMPLIES, weaker_than

OPERATIONS = 10_000
PLANTED = PLANTS | {
    # A read by itself: of a write that another one lies wholly after, and of nothing.
    model: [(1, "write", "a", -1, -1), (1, "write", "a", -2, -2), (2, "read", "a", None, -1)]
    for model in ("regular", "safe")
}
STRONGER = {model: [s for s, implied in IMPLIES.items() if model in implied] for model in STORES}
"""The next stronger models, of those that are judged where linearizability is not asked for."""
STRONGER["regular"] = []
STRONGER["causal"] = ["sequential", "causal-convergence"]
STRONGER["causal-convergence"] = ["sequential", "causal"]


def both_ways(model: str, seed: int, operations: int) -> None:
    store = STORES[model](seed, operations)
    expected = dict.fromkeys(weaker_than(model), Status.VALID)
    expected |= dict.fromkeys(STRONGER[model], Status.VIOLATION)
    found = registers.check(store.history(), list(expected), Semantics(), Limits())
    assert {name: verdict.status for name, verdict in found.items()} == expected

    operations = sum(event.type == "invoke" for event in store.events)
    for line in PLANTED[model]:
        store.add(*line)
    verdict = registers.check(store.history(), [model], Semantics(), Limits())[model]
    assert verdict.status is Status.VIOLATION
    named = {operation.index for operation in verdict.witness}
    assert named
    assert named <= set(range(operations, operations + len(PLANTED[model]))), verdict.explanation


@pytest.mark.slow
@pytest.mark.parametrize("model", STORES)
def test_a_store_of_the_model_passes_it_alone_and_one_planted_violation_is_named(model: str) -> None:
    both_ways(model, 1, OPERATIONS)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("model", STORES)
def test_so_it_is_with_other_seeds(model: str, seed: int) -> None:
    both_ways(model, seed, OPERATIONS)
