"""What is tried for each kind of keyspace: its options, who asks what of it, and what is expected.

Raft is tried as the `default` keyspace, with everything that can be asked. Any other protocol is tried in a
keyspace of its own beside it, created before anything goes wrong; its keys have that keyspace's prefix.
"""

from __future__ import annotations

from typing import Any

import msgspec

NAME = "t"
"""Of the keyspace under trial."""

REGISTERS = (("set", 34), ("get", 40), ("setnx", 4), ("getset", 6), ("del", 5))
BLIND = (("set", 44), ("get", 50), ("delete", 6))
MEMBERSHIP = frozenset({"transfer", "remove", "replace"})


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of keyspace under simulation.

    replication, level, options: as KEYSPACE CREATE takes them. log: everything a replicated log can do is
    asked; else registers lists what is asked of registers, by weight, and counters and texts say whether
    INCR and APPEND are. levels: of the clients, one is drawn for each. converges: whether all replicas
    hold the same in the end. loses: whether acknowledged writes may be lost, so that only what is said
    about that is judged. without: faults that have no meaning here. keys: how many registers there are.
    shared: how many keys the clients of one weaker level have together.
    totals: counters are shared by all clients, and their sum is judged in the end. removals: counters are
    deleted while others count, of which only convergence is asked. moves: of the clients, see `Client`.
    """

    name: str
    replication: str
    level: str = "linearizable"
    options: dict[str, Any] = {}
    log: bool = False
    registers: tuple[tuple[str, int], ...] = REGISTERS
    counters: bool = True
    texts: bool = True
    levels: tuple[str, ...] = ("linearizable",)
    converges: bool = True
    loses: bool = False
    without: frozenset[str] = MEMBERSHIP
    keys: int = 4
    shared: int = 3
    totals: bool = False
    removals: bool = False
    moves: float = 0.0

    @property
    def prefix(self) -> str:
        """Of its keys."""
        return "" if self.name == "raft" else f"{NAME}:"

    def create(self, options: dict[str, Any], replicas: int) -> list[str]:
        """The command that creates it, with more options, on so many nodes (0: on all)."""
        words = ["KEYSPACE", "CREATE", NAME, "REPLICATION", self.replication, "CONSISTENCY", self.level]
        if replicas:
            words += ["REPLICAS", str(replicas)]
        for name, value in sorted({**self.options, **options}.items()):
            words += ["OPTION", name, str(value).lower() if isinstance(value, bool) else str(value)]
        return words


_STRONG = ("linearizable", "linearizable", "linearizable", "session", "sequential", "eventual")

TRIALS: dict[str, Trial] = {
    trial.name: trial
    for trial in (
        Trial(name="raft", replication="raft", log=True, levels=_STRONG, without=frozenset()),
        Trial(name="paxos", replication="paxos", converges=False),
        Trial(name="primary-backup", replication="primary-backup", log=True, levels=_STRONG),
        Trial(
            name="primary-backup-async",
            replication="primary-backup",
            level="eventual",
            options={"mode": "async", "loss_entries": 100},
            levels=("eventual",),
            loses=True,
        ),
        Trial(name="chain", replication="chain", log=True, levels=_STRONG),
        Trial(name="quorum", replication="quorum", registers=BLIND, counters=False, texts=False),
        Trial(
            name="quorum-eventual",
            replication="quorum",
            level="eventual",
            options={"r": 1, "w": 1},
            registers=BLIND,
            counters=False,
            texts=False,
            levels=("eventual",),
        ),
        Trial(
            name="gossip",
            replication="gossip",
            level="causal",
            levels=("causal", "causal", "session", "eventual"),
        ),
    )
}

_REMOVALS = (("set", 24), ("get", 34), ("setnx", 6), ("getset", 6), ("del", 30))

VARIANTS: dict[str, Trial] = {
    trial.name: trial
    for trial in (
        Trial(name="raft-keyspace", replication="raft", log=True, levels=_STRONG),
        Trial(
            name="paxos-one-key",
            replication="paxos",
            converges=False,
            registers=(("set", 34), ("get", 50), ("getset", 10), ("del", 6)),
            counters=False,
            texts=False,
            keys=1,
        ),
        Trial(
            name="paxos-removals",
            replication="paxos",
            converges=False,
            registers=_REMOVALS,
            counters=False,
            texts=False,
            keys=1,
        ),
        Trial(
            name="paxos-sessions",
            replication="paxos",
            converges=False,
            levels=("session",),
        ),
        Trial(
            name="quorum-one-key",
            replication="quorum",
            registers=BLIND,
            counters=False,
            texts=False,
            keys=1,
        ),
        Trial(
            name="quorum-many-keys",
            replication="quorum",
            registers=BLIND,
            counters=False,
            texts=False,
            keys=20,
        ),
        Trial(
            name="quorum-removals",
            replication="quorum",
            registers=(("set", 30), ("get", 35), ("delete", 35)),
            counters=False,
            texts=False,
            keys=2,
        ),
        Trial(
            name="quorum-churned",
            replication="quorum",
            registers=(("set", 30), ("get", 35), ("delete", 35)),
            counters=False,
            texts=False,
            keys=30,
        ),
        Trial(
            name="quorum-moved",
            # Where a key is on some nodes of the view only, no two replicas hold the same.
            converges=False,
            replication="quorum",
            registers=BLIND,
            counters=False,
            texts=False,
            keys=20,
        ),
        Trial(
            name="quorum-sessions",
            replication="quorum",
            level="session",
            levels=("session",),
            counters=False,
            texts=False,
            moves=0.3,
        ),
        *(
            # Every key is written once, and read in the end: an eventual keyspace loses nothing either.
            Trial(
                name=f"quorum-{name}",
                replication="quorum",
                level="eventual",
                registers=(("set", 100),),
                counters=False,
                texts=False,
                converges=converges,
                keys=1_000_000_000,
            )
            for name, converges in (("kept", True), ("handed", False))
        ),
        *(
            Trial(
                name=f"{name}-registers",
                replication=name,
                registers=(("set", 45), ("get", 55)),
                counters=False,
                texts=False,
                keys=2,
            )
            for name in ("chain", "primary-backup")
        ),
        Trial(
            name="primary-backup-loss",
            replication="primary-backup",
            level="eventual",
            options={"mode": "async", "loss_entries": 2},
            levels=("eventual",),
            loses=True,
            totals=True,
        ),
        Trial(
            name="chain-many-keys",
            replication="chain",
            registers=(("set", 45), ("get", 55)),
            counters=False,
            texts=False,
            keys=16,
        ),
        Trial(
            name="gossip-sessions",
            replication="gossip",
            level="causal",
            levels=("causal", "causal", "session"),
            totals=True,
            moves=0.3,
        ),
        Trial(
            name="gossip-causes",
            replication="gossip",
            level="causal",
            levels=("causal",),
            counters=False,
        ),
        Trial(
            name="gossip-joins",
            replication="gossip",
            level="causal",
            levels=("causal",),
            counters=False,
            shared=16,
        ),
        Trial(
            name="gossip-departures",
            replication="gossip",
            level="causal",
            levels=("causal",),
            removals=True,
            keys=150,
        ),
        Trial(
            name="gossip-removals",
            replication="gossip",
            level="causal",
            levels=("causal",),
            removals=True,
            keys=30,
        ),
    )
}
"""The same kinds asked in other ways, each to press one weak spot."""


def trial_of(name: str) -> Trial:
    """The trial of a kind of keyspace; of a protocol without one of its own, as a replicated log."""
    return TRIALS.get(name) or VARIANTS.get(name) or Trial(name=name, replication=name, log=True)
