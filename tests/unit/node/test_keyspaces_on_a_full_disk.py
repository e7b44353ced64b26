"""A node that cannot write its log: keyspaces do without it, and nothing piles up in its memory."""

from __future__ import annotations

import pytest
from tests.unit.node.small_cluster import Cluster

from comity.node import peers

OK = b"+OK\r\n"


def cluster_with(kind: str) -> tuple[Cluster, int, int]:
    """A cluster; a node with a full disk that does not lead it; another node."""
    cluster = Cluster(3)
    leader = cluster.elect()
    assert cluster.call(1, ("KEYSPACE", "CREATE", "k", "REPLICATION", kind), within_ms=3000) == OK
    cluster.run(1000)
    victim = next(node for node in cluster.hosts if node != leader)
    cluster.disk_full.add(victim)
    return cluster, victim, leader


@pytest.mark.parametrize("kind", ["paxos", "quorum", "gossip"])
def test_what_peers_say_of_registers_does_not_pile_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "UNWRITTEN_BYTES", 50_000)
    cluster, victim, other = cluster_with(kind)
    for number in range(300):
        assert cluster.call(other, ("SET", f"k:{number}", "x" * 1000), within_ms=500) == OK
    assert cluster.hosts[victim].journal.waiting_bytes < 500_000
    assert cluster.call(victim, ("GET", "k:1")).startswith(b"-MISCONF")
    cluster.disk_full.clear()
    cluster.hosts[victim].journal_written(cluster.hosts[victim].journal._flying_sequence)
    cluster.run(20_000)
    assert cluster.call(victim, ("GET", "k:299"), within_ms=500).startswith(b"$1000\r\n")


@pytest.mark.parametrize("kind", ["chain", "primary-backup"])
def test_who_cannot_write_leaves_the_view(kind: str) -> None:
    cluster, victim, other = cluster_with(kind)
    for host in cluster.hosts.values():
        host.fsyncs_ns.extend([(host.now_ns, 1_000_000)] * 32)  # Disks here take no time.
    connection = cluster.connect(other)
    cluster.send(other, connection, ("SET", "k:a", 1))
    for _ in range(100):
        cluster.run(100)
        for node, host in cluster.hosts.items():
            if node != victim:
                host.fsyncs_ns.extend([(host.now_ns, 1_000_000)] * 32)
    assert cluster.call(other, ("SET", "k:a", 1), within_ms=500) == OK
    assert victim not in cluster.hosts[other].keyspaces.catalogue.keyspaces["k"].view.nodes
