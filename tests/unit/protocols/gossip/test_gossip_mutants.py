"""Every wrong variant of gossip is caught by the random runs; the right one passes the same ones."""

from __future__ import annotations

import pytest
from tests.unit.protocols.gossip.storm import PLANS, Storm, Violation

from comity.checkers import UnsuitableHistory
from comity.protocols.gossip import GossipCore
from comity.replica import InvariantBroken
from comity.simulator.mutants import gossip

CAUGHT_BY = (
    (gossip.DeliversEffectsFirst, "causes"),
    (gossip.TellsNoDependencies, "causes"),
    (gossip.SkipsLostDeltas, "faults"),
    (gossip.OverwritesInsteadOfJoining, "faults"),
    (gossip.AnswersBeforeSync, "faults"),
    (gossip.ReadsWhatIsNotDurable, "faults"),
    (gossip.GossipsBeforeSync, "faults"),
    (gossip.IgnoresTokens, "faults"),
    (gossip.StableByHearsay, "removals"),
    (gossip.StableAlone, "bounds"),
    (gossip.ServesTornState, "joins"),
    (gossip.ReturnsWithItsOldState, "views"),
    (gossip.KeepsOldCells, "views"),
    (gossip.NeverAsks, "faults"),
    (gossip.IgnoresFullState, "absences"),
)


@pytest.mark.parametrize(("core", "plan"), CAUGHT_BY, ids=lambda value: getattr(value, "__name__", value))
def test_the_mutant_is_caught_within_100_seeds(core: type[GossipCore], plan: str) -> None:
    for seed in range(100):
        try:
            Storm(seed, core, **PLANS[plan]).judge()
        except (Violation, InvariantBroken, UnsuitableHistory):
            return
    pytest.fail(f"{core.__name__} passed 100 seeds of {plan}")
