"""A guarantee counts as tested when the storms notice that it is missing."""

from __future__ import annotations

import pytest
from tests.unit.protocols.paxos.storm import run_storm

from comity.protocols.paxos import PaxosCore
from comity.simulator.mutants import paxos

CAUGHT_BY: tuple[tuple[type[PaxosCore], str, int], ...] = (
    # the variant, the plan, and the first seed of 0..99 that notices: tried first, so that this is quick
    (paxos.AnswersBeforeSync, "bounces", 2),
    (paxos.CountsItselfBeforeSync, "bounces", 0),
    (paxos.ReusesBallots, "any", 25),
    (paxos.BreaksPromises, "any", 0),
    (paxos.BuildsOnAnyValue, "any", 1),
    (paxos.AcceptedByOne, "any", 0),
    (paxos.AppliesAgain, "any", 1),
    (paxos.ReadsTheHighest, "any", 0),
    (paxos.ReadsFromOne, "any", 0),
    (paxos.SkipsPrepareWithoutPromises, "any", 6),
    (paxos.FalseRefusal, "any", 0),
    (paxos.RemovesAtMajority, "any", 0),
    (paxos.RemovesWithoutFloor, "removals", 1),
    (paxos.RemovesWhateverIsThere, "removals", 1),
    (paxos.RemovesUndecided, "removals", 31),
    (paxos.OneQuorumWhileMoving, "any", 4),
    (paxos.ListensToOldViews, "views", 17),
    (paxos.SettlesAtOnce, "any", 4),
    (paxos.KeepsOldRegisters, "returns", 1),
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
