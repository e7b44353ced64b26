"""A few seeds of every kind of keyspace on every commit, and those that once failed."""

from __future__ import annotations

import pytest

from comity.simulator.generate import case_of, run_case
from comity.simulator.trials import TRIALS

SEEDS = 3

ONCE_FAILED = [
    # The slow disk of a node that was left out for it counted for ever, for such a node writes nothing new.
    ("chain", 308),
    ("primary-backup", 417),
    # A governor that did not hold the keyspace took its quorums for an order, and left nodes out of them.
    ("quorum", 5),
    ("quorum", 19),
    # The log of the only node left in the chain was damaged for good: nothing survives that.
    ("chain", 943),
]


@pytest.mark.parametrize("kind", list(TRIALS))
def test_the_first_seeds_keep_every_promise_and_recover(kind: str) -> None:
    for seed in range(SEEDS):
        result = run_case(case_of(seed, protocol=kind, duration_ms=5000))
        assert result.violation is None, (seed, result.violation)


@pytest.mark.parametrize(("kind", "seed"), ONCE_FAILED)
def test_seeds_that_once_failed_keep_every_promise_and_recover(kind: str, seed: int) -> None:
    result = run_case(case_of(seed, protocol=kind))
    assert result.violation is None, result.violation


@pytest.mark.parametrize("kind", list(TRIALS))
def test_the_same_seed_is_the_same_run_for_every_kind(kind: str) -> None:
    first, second = (run_case(case_of(7, protocol=kind, duration_ms=1500)) for _ in range(2))
    assert first.trace_hash == second.trace_hash
