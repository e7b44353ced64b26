"""Every deliberate bug is caught, and the faults that catch it break nothing without it."""

from __future__ import annotations

from types import ModuleType

import pytest

from comity.simulator.campaign import hunt
from comity.simulator.mutants import (
    MUTANTS,
    catalogue_quorums,
    catalogue_views,
    chain,
    gossip,
    mutant_named,
    paxos,
    primary_backup,
    quorum,
    raft,
)

QUICK_OF_VIEWS = frozenset(
    {
        "chain-forwards-before-fsync",
        "chain-dirty-reads",
        "chain-tail-too-soon",
        "chain-serves-when-cut-out",
        "chain-no-fence",
        "chain-matches-across-epochs",
        "primary-backup-ack-before-fsync",
        "primary-backup-commits-alone",
        "primary-backup-reads-unconfirmed",
        "primary-backup-joiner-declared-early",
        "primary-backup-truncates-matched",
        "gossip-skips-lost-deltas",
        "gossip-overwrites",
        "gossip-ignores-tokens",
        "gossip-serves-torn-state",
    }
)
"""Of chain, primary-backup and gossip those that take less than a second; the others are in `make soak`."""

QUICK_OF_QUORUMS = frozenset(
    {
        "paxos-builds-on-any-value",
        "paxos-accepted-by-one",
        "paxos-reads-from-one",
        "paxos-removes-whatever-is-there",
        "paxos-one-quorum-while-moving",
        "quorum-skips-write-back",
        "quorum-trusts-agreeing-readers",
        "quorum-writes-without-asking",
        "quorum-takes-what-comes-last",
        "quorum-leaves-trees-behind",
        "quorum-own-ack-before-sync",
        "quorum-forgets-hints-when-sent",
        "quorum-forgets-its-view",
    }
)
"""Likewise, of paxos and quorum."""

SLOW = (
    frozenset({"commits-old-terms", "vote-not-persisted"})
    | {mutant.name for mutant in catalogue_views.MUTANTS if mutant.name not in QUICK_OF_VIEWS}
    | {mutant.name for mutant in catalogue_quorums.MUTANTS if mutant.name not in QUICK_OF_QUORUMS}
)
"""Mutants that need more than about five seconds, or are many; in `make soak`."""

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


@pytest.mark.parametrize("module", [raft, paxos, primary_backup, chain, quorum, gossip])
def test_every_wrong_core_is_in_the_catalogue(module: ModuleType) -> None:
    protocol = module.__name__.rpartition(".")[2].replace("_", "-")
    written = {
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "receive")
    }
    registered = {
        core.__name__
        for mutant in MUTANTS
        if mutant.protocol == protocol and (core := getattr(mutant.mutation(), "_core", None)) is not None
    }
    assert written == registered


def test_an_unknown_mutant_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="there is no mutant 'nobody'"):
        mutant_named("nobody")
