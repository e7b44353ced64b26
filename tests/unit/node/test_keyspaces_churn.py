"""One keyspace created, altered, dropped and created again at random, with crashes, cut links and snapshots
of the control group that jump over catalogues: no two nodes ever serve its keys under two definitions, every
client is answered, and in the end all nodes agree and serve it."""

from __future__ import annotations

import random

import pytest
from tests.unit.node import small_cluster
from tests.unit.node.small_cluster import Cluster

from comity.node import Bounds, Host, KeyspaceConfig

KINDS = ["raft", "paxos", "quorum", "gossip", "chain", "primary-backup"]
LEVELS = ["linearizable", "session", "eventual", "causal"]
NODES = (1, 2, 3)
DEADLINE_NS = 1_000_000_000
BOUNDS = Bounds(
    segment_bytes=8 << 10,
    log_bytes=32 << 10,
    flush_bytes=4 << 10,
    flush_interval_ns=50_000_000,
    request_deadline_ns=DEADLINE_NS,
)
ASKED: list[tuple[str | int, ...]] = [
    ("SET", "k:a", 1),
    ("SET", "large", "y" * 9000),
    ("GET", "k:a"),
    ("INCR", "k:n"),
    ("MGET", "k:a", "k:b"),
    ("DEL", "k:a", "k:b"),
    ("COMITY.AT", "session", "GET", "k:a"),
    ("COMITY.SESSION",),
    ("COMITY.STATUS",),
    ("KEYS", "k:*"),
    ("KEYSPACE", "LIST"),
    ("KEYSPACE", "INFO", "k"),
    ("KEYSPACE", "EXPLAIN", "k"),
]


def _served(host: Host) -> int | None:
    """The number of the keyspace under which a node would write a key now; None where it would refuse to."""
    group = host.dispatcher.group_of_key(b"k:a")
    return None if host.dispatcher.refusal(group, write=True) is not None else group.number


class Churn:
    """One random run."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.cluster = Cluster(len(NODES), bounds=BOUNDS)
        self.cluster.elect()
        self.waiting: dict[tuple[int, int], tuple[int, tuple[str | int, ...]]] = {}

    def ask(self, command: tuple[str | int, ...]) -> None:
        """A client of any node asks."""
        cluster = self.cluster
        node = self.draw.choice(sorted(cluster.hosts))
        connection = cluster.connect(node)
        cluster.send(node, connection, command)
        self.waiting[node, connection] = (cluster.now_ns, command)

    def change(self) -> None:
        """Somebody wants something else of the keyspace."""
        replicas = self.draw.choice(NODES)
        wishes: list[tuple[str | int, ...]] = [
            ("CREATE", "k", "REPLICATION", self.draw.choice(KINDS), "REPLICAS", replicas),
            ("DROP", "k"),
            ("ALTER", "k", "REPLICAS", replicas),
            ("ALTER", "k", "CONSISTENCY", self.draw.choice(LEVELS)),
        ]
        self.ask(("KEYSPACE", *self.draw.choice(wishes)))

    def fault(self) -> None:
        """A node crashes or comes back, a link is cut, or all are whole again."""
        cluster = self.cluster
        kind = self.draw.random()
        if kind < 0.2 and len(cluster.hosts) == len(NODES):
            node = self.draw.choice(NODES)
            cluster.kill(node)
            self.waiting = {key: asked for key, asked in self.waiting.items() if key[0] != node}
        elif kind < 0.6:
            self.repair()
        elif kind < 0.75:
            first, second = self.draw.sample(NODES, 2)
            cluster.cut.add((first, second))
            if self.draw.random() < 0.7:
                cluster.cut.add((second, first))
        else:
            cluster.cut.clear()

    def repair(self) -> None:
        """All nodes run."""
        for node in NODES:
            if node not in self.cluster.hosts:
                self.cluster.start(node)

    def let_pass(self, milliseconds: int) -> None:
        """Time, watching who serves what."""
        cluster = self.cluster
        for _ in range(0, milliseconds, 2):
            cluster.run(2)
            served = {_served(host) for host in cluster.hosts.values()} - {None}
            assert len(served) <= 1, f"keys are served by {served} at once"
        for key, (asked_ns, command) in list(self.waiting.items()):
            if cluster.received(*key):
                del self.waiting[key]
            else:
                assert cluster.now_ns - asked_ns < 2.5 * DEADLINE_NS, f"{command} was never answered"

    def settle(self) -> None:
        """Everything works for a while: then all agree."""
        cluster = self.cluster
        cluster.cut.clear()
        self.repair()
        cluster.run(6000)
        assert len({host.keyspaces.catalogue.version for host in cluster.hosts.values()}) == 1
        found = cluster.hosts[1].keyspaces.catalogue.keyspaces.get("k")
        if found is None:
            return
        assert found.state == "active"
        assert not found.altered
        assert found.replication == "raft" or set(found.view.nodes) == set(found.nodes)
        for node in NODES:
            assert cluster.call(node, ("GET", "k:a"), within_ms=1500)[:1] == b"$"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_a_key_is_served_under_one_definition(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def configured(name: str) -> KeyspaceConfig:
        return KeyspaceConfig(name=name, options={"keep_log_bytes": 2000})

    monkeypatch.setattr(small_cluster, "KeyspaceConfig", configured)
    churn = Churn(seed)
    for _ in range(100):
        kind = churn.draw.random()
        if kind < 0.3:
            churn.change()
        elif kind < 0.6:
            churn.ask(churn.draw.choice(ASKED))
        else:
            churn.fault()
        churn.let_pass(churn.draw.choice([2, 10, 50, 200]))
    churn.settle()
