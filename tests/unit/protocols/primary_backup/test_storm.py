"""Random runs of the whole protocol: safe in the storm, whole after it, the same for the same seed."""

from __future__ import annotations

import pytest
from tests.unit.protocols.primary_backup.storm import Storm

from comity.checkers import Status, check_history
from comity.protocols.primary_backup import PrimaryBackupCore
from comity.replica import ReplicaError
from comity.simulator.mutants import primary_backup as mutants

SEEDS = 10
BATCH = 5


def judge(storm: Storm) -> None:
    """Every key must be a linearizable register."""
    report = check_history(storm.world.history(), "register")
    assert report.status is Status.VALID, report


def run(seed: int, mode: str, core: type[PrimaryBackupCore] = PrimaryBackupCore, reads: str = "") -> Storm:
    storm = Storm(seed, mode, core, reads)
    storm.run()
    if mode == "sync":
        judge(storm)
    storm.recover()
    return storm


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_a_sync_group_is_linearizable_in_any_storm_loses_nothing_and_recovers(first: int) -> None:
    for seed in range(first, first + BATCH):
        storm = run(seed, "sync")
        judge(storm)
        assert storm.lost == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_leases_are_never_served_beyond_a_later_view(first: int) -> None:
    for seed in range(first, first + BATCH):
        run(seed, "sync", reads="lease")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_an_async_group_loses_at_most_its_bound_at_each_failover_and_converges(first: int) -> None:
    for seed in range(first, first + BATCH):
        run(seed, "async")


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("first", range(100, 1100, 100))
def test_a_thousand_storms(first: int, mode: str) -> None:
    for seed in range(first, first + 100):
        run(seed, mode)


def test_async_storms_do_lose_and_do_replace_what_was_applied() -> None:
    storms = [run(seed, "async") for seed in range(6)]
    assert sum(len(storm.lost) for storm in storms) > 0, "otherwise the bound was not tried"
    assert sum(storm.world.lowered for storm in storms) > 0


def test_the_same_seed_gives_the_same_messages() -> None:
    for mode in ("sync", "async"):
        traces = []
        for _ in range(2):
            storm = Storm(7, mode)
            storm.run()
            traces.append((storm.world.trace.hexdigest(), storm.world.messages))
        assert traces[0] == traces[1]
        assert traces[0][1] > 1000


CAUGHT: dict[type[PrimaryBackupCore], tuple[str, str]] = {
    mutants.AcknowledgesOldEpochs: ("sync", ""),
    mutants.ConfirmsOldEpochs: ("sync", "confirm"),
    mutants.AcknowledgesBeforeSync: ("sync", ""),
    mutants.CountsItselfBeforeSync: ("sync", ""),
    mutants.CommitsWithoutBackups: ("sync", ""),
    mutants.CommitsWithMajority: ("sync", ""),
    mutants.ForgetsItsStarts: ("sync", ""),
    mutants.ViewNotPersisted: ("sync", ""),
    mutants.ReadsBeforeItsEntry: ("sync", ""),
    mutants.ReadsUnconfirmed: ("sync", "confirm"),
    mutants.LeaseIgnoresDrift: ("sync", "lease"),
    mutants.BreaksItsPromise: ("sync", "lease"),
    mutants.JoinsWithoutCounting: ("sync", ""),
    mutants.DeclaresTooEarly: ("sync", ""),
    mutants.TruncatesMatchedEntries: ("sync", ""),
    mutants.FollowsCommitBlindly: ("sync", ""),
    mutants.LosesWithoutBound: ("async", ""),
    mutants.TakesBackWhatItApplied: ("async", ""),
}
"""Mutant -> mode and kind of reads in which it can show."""


def test_every_mutant_is_tried() -> None:
    named = {
        value
        for value in vars(mutants).values()
        if isinstance(value, type) and issubclass(value, PrimaryBackupCore) and value is not PrimaryBackupCore
    }
    assert named == set(CAUGHT)


@pytest.mark.parametrize("mutant", list(CAUGHT), ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_caught_within_a_hundred_seeds(mutant: type[PrimaryBackupCore]) -> None:
    mode, reads = CAUGHT[mutant]
    likely = [25] if mutant is mutants.AcknowledgesBeforeSync else []
    for seed in [*likely, *range(100)]:
        try:
            run(seed, mode, mutant, reads)
        except (AssertionError, ReplicaError):
            return
    pytest.fail("no seed noticed")
