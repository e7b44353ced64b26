"""Which random runs show what: for the protocol as it is, and for each wrong variant of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.unit.protocols.quorum.cluster import MS, SECOND
from tests.unit.protocols.quorum.random_runs import SESSION_MODELS, Plan, Run, fast, violated

from comity.protocols.quorum import QuorumCore
from comity.simulator.mutants import quorum as mutants

LINEARIZABLE_MODEL = ("linearizable",)
FIVE = (1, 2, 3, 4, 5)
SLOW_DISK: dict[str, Any] = {"sync": (20 * MS, 120 * MS), "loss": 0.2, "fault_ns": (20 * MS, 100 * MS)}
AGED: dict[str, Any] = {
    "removals": 0.6,
    "slow": 0.0,
    "clocks": False,
    "timeout_ns": 200 * MS,
    "operations": 60,
    "pause_ns": (10 * MS, 80 * MS),
    "fault_ns": (200 * MS, 800 * MS),
    "keys": 3,
    "options": fast(tombstone_grace_ns=600 * MS, hint_expiry_ns=100 * MS, collect_ns=20 * MS),
}
WIDE: dict[str, Any] = {"moves": True, "spare": (4, 5, 6, 7), "laggard": 7, "operations": 50, "keys": 4}
HINTED: dict[str, Any] = {
    "level": "eventual",
    "sessions": False,
    "numbers": FIVE,
    "loss": 0.3,
    "options": fast(n=3, w=3, sloppy=True, read_repair=False, anti_entropy_ns=100 * SECOND),
}


@dataclass(frozen=True)
class Claim:
    """Runs of a plan satisfy these models, and converge. Those without sessions lose nothing that was
    acknowledged, whether or not anti-entropy has made all copies the same."""

    plan: Plan
    models: tuple[str, ...] = LINEARIZABLE_MODEL

    def flaw(self, seed: int, core: type[QuorumCore] = QuorumCore) -> str:
        """What is wrong with a seed's run, "" for nothing."""
        try:
            run = Run(seed, replace(self.plan, core=core))
            run.audit()
        except Exception as error:  # noqa: BLE001  (whatever a variant breaks is a find)
            return f"{type(error).__name__}: {error}"
        if self.plan.sessions and (diverging := run.diverging()):
            return f"diverging: {diverging}"
        if not self.plan.sessions and (lost := run.lost()):
            return f"lost: {lost}"
        if self.models and (bad := violated(run.history, self.models)):
            return f"not {', '.join(bad)}"
        return ""


CLAIMS = {
    "majorities": Claim(Plan()),
    "removals": Claim(Plan(removals=0.4)),
    "three of five": Claim(Plan(numbers=FIVE, options=fast(n=3), keys=4)),
    "read one, write all": Claim(Plan(options=fast(r=1, w=3))),
    "write one, read all": Claim(Plan(options=fast(r=3, w=1), **SLOW_DISK)),
    "crashes before the disk": Claim(
        Plan(
            sync=(30 * MS, 150 * MS),
            loss=0.3,
            fault_ns=(5 * MS, 30 * MS),
            partitions=False,
            clocks=False,
            operations=40,
            options=fast(read_repair=False),
        )
    ),
    "views change": Claim(Plan(**WIDE)),
    "three of four, views change": Claim(
        Plan(numbers=(1, 2, 3, 4), spare=(5, 6), options=fast(n=3), keys=4, moves=True)
    ),
    "tombstones are collected": Claim(Plan(**AGED)),
    "sessions": Claim(Plan(level="session"), SESSION_MODELS),
    "sessions, three of five": Claim(Plan(level="session", numbers=FIVE, options=fast(n=3)), SESSION_MODELS),
    "sessions, views change": Claim(Plan(level="session", moves=True, spare=(4, 5)), SESSION_MODELS),
    "sessions over R+W <= N": Claim(Plan(level="session", options=fast(r=1, w=1)), SESSION_MODELS),
    "sessions with siblings": Claim(
        Plan(level="session", options=fast(conflicts="siblings")), SESSION_MODELS
    ),
    "eventual": Claim(Plan(level="eventual", options=fast(r=1, w=1)), ("eventual",)),
    "eventual, sloppy": Claim(
        Plan(level="eventual", numbers=FIVE, options=fast(n=3, sloppy=True)), ("eventual",)
    ),
    "eventual, sloppy siblings": Claim(
        Plan(
            level="eventual",
            numbers=FIVE,
            options=fast(n=3, r=1, w=1, conflicts="siblings", sloppy=True),
        ),
        ("eventual",),
    ),
    "hints": Claim(Plan(**HINTED), ()),
}

MUTANTS: dict[type[QuorumCore], Claim] = {
    mutants.SkipsWriteBack: Claim(
        Plan(
            numbers=FIVE,
            keys=1,
            clients=6,
            pause_ns=(0, 5 * MS),
            loss=0.2,
            slow=0.4,
            options=fast(read_repair=False),
        )
    ),
    mutants.TrustsAgreeingReaders: CLAIMS["read one, write all"],
    mutants.CountsItselfBeforeSync: Claim(Plan(sync=(5 * MS, 60 * MS), loss=0.3, options=fast(r=3, w=1))),
    mutants.AcknowledgesBeforeSync: CLAIMS["crashes before the disk"],
    mutants.ReadsTooFew: CLAIMS["majorities"],
    mutants.WritesTooFew: CLAIMS["majorities"],
    mutants.WritesWithoutAsking: CLAIMS["majorities"],
    mutants.TagsBelowWhatWasSeen: CLAIMS["majorities"],
    mutants.ForgetsTime: Claim(Plan(reset_clocks=True, operations=60, fault_ns=(10 * MS, 60 * MS))),
    mutants.TakesWhatComesLast: CLAIMS["majorities"],
    mutants.IgnoresEpochs: CLAIMS["views change"],
    mutants.CountsTheNewNodesOnly: CLAIMS["views change"],
    mutants.SettlesAtOnce: CLAIMS["views change"],
    mutants.ForgetsItsView: Claim(Plan(**WIDE, options=fast(r=1, w=3))),
    mutants.CollectsByTimeAlone: CLAIMS["tombstones are collected"],
    mutants.ForgetsTheSession: CLAIMS["sessions, three of five"],
    mutants.LeavesTreesBehind: CLAIMS["majorities"],
    mutants.ForgetsHintsWhenSent: CLAIMS["hints"],
}

SEEDS: dict[type[QuorumCore], int] = {
    mutants.SkipsWriteBack: 11,
    mutants.WritesTooFew: 15,
    mutants.WritesWithoutAsking: 25,
    mutants.ForgetsTime: 1,
    mutants.IgnoresEpochs: 2,
    mutants.CountsTheNewNodesOnly: 3,
    mutants.SettlesAtOnce: 3,
    mutants.ForgetsItsView: 1,
    mutants.ForgetsTheSession: 2,
}
"""The first seed that shows a variant, where it is not 0: with `make soak` all are looked for."""
