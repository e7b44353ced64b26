"""Every deliberate bug is caught, and the faults that catch it break nothing without it."""

from __future__ import annotations

import pytest

from comity.simulator.campaign import hunt
from comity.simulator.mutants import MUTANTS, mutant_named

SLOW = frozenset({"commits-old-terms", "vote-not-persisted"})
"""Mutants that need more than about five seconds; in `make soak`."""

QUICK = [mutant.name for mutant in MUTANTS if mutant.name not in SLOW]


def check(name: str) -> None:
    hunted = hunt(name, seeds=300, healthy=1)
    assert not hunted.healthy, "the faults break a promise although the bug is not there"
    assert hunted.seed is not None, f"survived {hunted.seeds} seeds"


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_caught(name: str) -> None:
    check(name)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(SLOW))
def test_a_rarer_mutant_is_caught(name: str) -> None:
    check(name)


def test_there_are_many_and_each_says_what_it_breaks() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names)) >= 14
    assert all(mutant.wrong and mutant.rule for mutant in MUTANTS)
    assert set(names) >= SLOW


def test_an_unknown_mutant_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="there is no mutant 'nobody'"):
        mutant_named("nobody")
