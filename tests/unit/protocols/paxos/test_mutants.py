"""A guarantee counts as tested when the storms notice that it is missing."""

from __future__ import annotations

import pytest
from tests.unit.protocols.paxos.storm import run_storm

from comity.protocols.paxos import PaxosCore
from comity.simulator.mutants import paxos

CAUGHT_BY: tuple[tuple[type[PaxosCore], str], ...] = (
    (paxos.AnswersBeforeSync, "bounces"),
    (paxos.CountsItselfBeforeSync, "bounces"),
    (paxos.ReusesBallots, "any"),
    (paxos.BreaksPromises, "any"),
    (paxos.BuildsOnAnyValue, "any"),
    (paxos.AcceptedByOne, "any"),
    (paxos.AppliesAgain, "any"),
    (paxos.ReadsTheHighest, "any"),
    (paxos.ReadsFromOne, "any"),
    (paxos.SkipsPrepareWithoutPromises, "any"),
    (paxos.FalseRefusal, "any"),
    (paxos.RemovesAtMajority, "any"),
    (paxos.RemovesWithoutFloor, "removals"),
    (paxos.RemovesWhateverIsThere, "removals"),
    (paxos.RemovesUndecided, "removals"),
    (paxos.OneQuorumWhileMoving, "any"),
    (paxos.ListensToOldViews, "views"),
    (paxos.SettlesAtOnce, "any"),
    (paxos.KeepsOldRegisters, "returns"),
    (paxos.KeepsPromisesOverViews, "views"),
)


@pytest.mark.parametrize(("variant", "plan"), CAUGHT_BY, ids=lambda value: getattr(value, "__name__", value))
def test_the_storms_notice(variant: type[PaxosCore], plan: str) -> None:
    for seed in range(100):
        try:
            run_storm(seed, variant, plan=plan)
        except AssertionError:
            return
    pytest.fail("no seed noticed")
