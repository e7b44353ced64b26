"""Members that are removed: others take their place in keyspaces, and they serve no keyspace any more."""

from __future__ import annotations

import pytest
from tests.unit.node.small_cluster import Cluster

from comity.keyspaces.definition import Keyspace
from comity.node.errors import NO_MEMBER
from comity.replica import Done, Operation, Outcome, Refused
from comity.replica.members import AddMember, PromoteMember, RemoveMember, ReplaceMembers

OK = b"+OK\r\n"
KINDS = ["paxos", "quorum", "gossip", "chain", "primary-backup", "raft"]


def cluster_with(kind: str, nodes: int = 4) -> Cluster:
    cluster = Cluster(nodes)
    cluster.elect()
    words = ("KEYSPACE", "CREATE", "k", "REPLICATION", kind, "REPLICAS", 3)
    assert cluster.call(1, words, within_ms=3000) == OK
    cluster.run(500)
    assert cluster.call(1, ("SET", "k:a", 1), within_ms=500) == OK
    cluster.run(1000)
    return cluster


def leader(cluster: Cluster) -> int:
    return next(node for node, host in cluster.hosts.items() if host.default.leads)


def keyspace(cluster: Cluster) -> Keyspace:
    return cluster.hosts[leader(cluster)].keyspaces.catalogue.keyspaces["k"]


def remove(cluster: Cluster, node: int) -> None:
    outcomes: list[Outcome] = []
    host = cluster.hosts[leader(cluster)]
    host.at(cluster.now_ns, cluster.wall_ms)
    host.administer("default", RemoveMember(node), outcomes.append)
    cluster.turn(host.config.node)
    cluster.run(15_000)
    assert outcomes


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_another_takes_the_place_of_a_member_that_is_removed(kind: str, dead: bool) -> None:
    cluster = cluster_with(kind)
    gone = next(node for node in keyspace(cluster).nodes if node != leader(cluster))
    if dead:
        cluster.kill(gone)
        cluster.run(3000)
    remove(cluster, gone)
    found = keyspace(cluster)
    assert sorted(found.nodes) == sorted({1, 2, 3, 4} - {gone})
    assert sorted(found.view.nodes) == sorted(found.nodes)
    assert not found.view.outgoing
    for node in found.nodes:
        assert cluster.call(node, ("GET", "k:a"), within_ms=1000) == b"$1\r\n1\r\n"
        assert cluster.call(node, ("SET", f"k:{node}", 1), within_ms=1000) == OK
    if not dead:
        assert cluster.call(gone, ("SET", "k:b", 1), within_ms=6000) == NO_MEMBER
        # Whatever the catalogue says from now on, it would not know.
        assert cluster.call(found.nodes[0], ("KEYSPACE", "DROP", "k"), within_ms=3000) == OK
        assert cluster.call(gone, ("GET", "k:a"), within_ms=6000) == NO_MEMBER


def administer(cluster: Cluster, operation: Operation) -> None:
    outcomes: list[Outcome] = []
    host = cluster.hosts[leader(cluster)]
    host.at(cluster.now_ns, cluster.wall_ms)
    host.administer("default", operation, outcomes.append)
    cluster.turn(host.config.node)
    cluster.run(3_000)
    assert [type(outcome) for outcome in outcomes] == [Done]


@pytest.mark.parametrize("kind", KINDS)
def test_a_keyspace_has_as_many_replicas_as_it_ought_to_once_there_are_members_for_them(kind: str) -> None:
    cluster = Cluster(4)
    cluster.elect()
    assert cluster.call(1, ("KEYSPACE", "CREATE", "k", "REPLICATION", kind), within_ms=3000) == OK
    cluster.run(500)
    assert cluster.call(1, ("SET", "k:a", 1), within_ms=500) == OK
    gone = next(node for node in cluster.hosts if node != leader(cluster))
    remove(cluster, gone)
    assert sorted(keyspace(cluster).nodes) == sorted({1, 2, 3, 4} - {gone})
    administer(cluster, AddMember(cluster.members[gone - 1]))
    assert len(keyspace(cluster).nodes) == 3
    administer(cluster, PromoteMember(gone))
    cluster.run(10_000)
    found = keyspace(cluster)
    assert (sorted(found.nodes), sorted(found.view.nodes)) == ([1, 2, 3, 4], [1, 2, 3, 4])
    assert not found.view.outgoing
    for node in found.nodes:
        assert cluster.call(node, ("GET", "k:a"), within_ms=1000) == b"$1\r\n1\r\n"
        assert cluster.call(node, ("SET", f"k:{node}", 1), within_ms=1000) == OK


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_move_to_a_node_that_never_comes_is_begun_anew_without_it(kind: str) -> None:
    cluster = cluster_with(kind, 5)
    target = next(node for node in (1, 2, 3, 4, 5) if node not in keyspace(cluster).nodes)
    cluster.cut = {(target, other) for other in cluster.hosts} | {(other, target) for other in cluster.hosts}
    if target == leader(cluster):
        cluster.run(3000)
    connection = cluster.connect(leader(cluster))
    cluster.send(leader(cluster), connection, ("KEYSPACE", "ALTER", "k", "REPLICAS", 4))
    cluster.run(3000)
    assert keyspace(cluster).view.outgoing
    remove(cluster, target)
    found = keyspace(cluster)
    assert target not in found.view.everyone()
    assert not found.view.outgoing
    assert len(found.view.nodes) == 4
    for node in found.view.nodes:
        assert cluster.call(node, ("GET", "k:a"), within_ms=1000) == b"$1\r\n1\r\n"


@pytest.mark.parametrize("kind", KINDS)
def test_where_nobody_can_take_the_place_the_rest_goes_on(kind: str) -> None:
    cluster = cluster_with(kind, 3)
    gone = next(node for node in keyspace(cluster).nodes if node != leader(cluster))
    cluster.kill(gone)
    cluster.run(3000)
    remove(cluster, gone)
    epoch = keyspace(cluster).view.epoch
    cluster.run(3000)
    assert keyspace(cluster).view.epoch == epoch
    for node in cluster.hosts:
        assert cluster.call(node, ("GET", "k:a"), within_ms=1000) == b"$1\r\n1\r\n"


@pytest.mark.parametrize("kind", KINDS)
def test_who_alone_holds_a_keyspace_is_not_removed(kind: str) -> None:
    cluster = Cluster(3)
    cluster.elect()
    words = ("KEYSPACE", "CREATE", "k", "REPLICATION", kind, "REPLICAS", 1)
    assert cluster.call(1, words, within_ms=3000) == OK
    cluster.run(500)
    only = keyspace(cluster).nodes[0]
    outcomes: list[Outcome] = []
    for host in cluster.hosts.values():
        host.administer("default", RemoveMember(only), outcomes.append)
        host.administer(
            "default", ReplaceMembers(tuple(node for node in cluster.hosts if node != only)), outcomes.append
        )
        cluster.turn(host.config.node)
    cluster.run(1000)
    assert len(outcomes) == 6
    assert all(isinstance(outcome, Refused) and "'k' is held by" in outcome.detail for outcome in outcomes)
    # One that is gone for good may be: it would stand in the way of dropping the keyspace too.
    cluster.kill(only)
    cluster.run(3000)
    remove(cluster, only)
    assert cluster.call(leader(cluster), ("KEYSPACE", "DROP", "k"), within_ms=3000) == OK
