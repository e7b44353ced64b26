"""A guarantee counts as tested when the storms notice that it is missing."""

from __future__ import annotations

import pytest
from tests.unit.protocols.paxos.storm import run_storm

from comity.protocols.paxos import PaxosCore
from comity.simulator.mutants import paxos

CAUGHT_BY: tuple[tuple[type[PaxosCore], str, int], ...] = (
    # the variant, the plan, and the first seed of 0..99 that notices: tried first, so that this is quick
    (paxos.AnswersBeforeSync, "bounces", 4),
    (paxos.CountsItselfBeforeSync, "bounces", 4),
    (paxos.ReusesBallots, "any", 32),
    (paxos.BreaksPromises, "any", 0),
    (paxos.BuildsOnAnyValue, "any", 1),
    (paxos.AcceptedByOne, "any", 1),
    (paxos.AppliesAgain, "any", 1),
    (paxos.ReadsTheHighest, "any", 0),
    (paxos.ReadsFromOne, "any", 0),
    (paxos.SkipsPrepareWithoutPromises, "any", 46),
    (paxos.FalseRefusal, "any", 0),
    (paxos.RemovesAtMajority, "any", 1),
    (paxos.RemovesWithoutFloor, "removals", 12),
    (paxos.RemovesWhateverIsThere, "removals", 17),
    (paxos.RemovesUndecided, "removals", 28),
    (paxos.OneQuorumWhileMoving, "any", 4),
    (paxos.ListensToOldViews, "views", 13),
    (paxos.SettlesAtOnce, "any", 4),
    (paxos.KeepsOldRegisters, "returns", 16),
    (paxos.KeepsPromisesOverViews, "views", 0),
)


@pytest.mark.parametrize(
    ("variant", "plan", "first"), CAUGHT_BY, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_the_storms_notice(variant: type[PaxosCore], plan: str, first: int) -> None:
    for seed in (first, *range(100)):
        try:
            run_storm(seed, variant, plan=plan)
        except AssertionError:
            return
    pytest.fail("no seed noticed")
