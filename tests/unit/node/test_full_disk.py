"""A disk that is full: what the node does while it waits for room."""

from __future__ import annotations

from tests.unit.node.small_cluster import Cluster


def test_a_leader_that_cannot_write_its_log_hands_over_and_does_not_gather_the_log_in_memory() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    other = leader % 3 + 1
    cluster.disk_full.add(leader)
    connection = cluster.connect(other)
    for number in range(50):
        cluster.send(other, connection, ("SET", f"key{number}", b"x" * 100_000))
        cluster.run(20)
    assert cluster.received(other, connection) == b"+OK\r\n" * 50
    assert cluster.hosts[other].default.core.leader not in (0, leader)
    core = cluster.hosts[leader].default.core.status()
    assert core["role"] == "follower"
