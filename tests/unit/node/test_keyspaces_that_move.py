"""Moves and removals that come at the worst moment: nothing is lost, and every move ends."""

from __future__ import annotations

import base64

import msgspec
import pytest
from tests.unit.node.small_cluster import Cluster

from comity.keyspaces import definition
from comity.keyspaces.definition import Keyspace
from comity.node.group import Group
from comity.node.served import Served
from comity.replica import Done, Outcome, TransferLeadership
from comity.replica.members import RemoveMember

OK = b"+OK\r\n"
ONE = b"$1\r\n1\r\n"
KINDS = ["raft", "chain", "primary-backup", "gossip", "quorum", "paxos"]


def cluster_with(nodes: int = 4, replicas: int = 3, kind: str = "raft") -> Cluster:
    cluster = Cluster(nodes)
    cluster.elect()
    words = ("KEYSPACE", "CREATE", "k", "REPLICATION", kind, "REPLICAS", replicas)
    assert cluster.call(1, words, within_ms=3000) == OK
    cluster.run(500)
    assert cluster.call(1, ("SET", "k:a", 1), within_ms=500) == OK
    cluster.run(600)
    return cluster


def governor(cluster: Cluster) -> int:
    return next(node for node, host in cluster.hosts.items() if host.default.leads)


def keyspace(cluster: Cluster) -> Keyspace:
    return cluster.hosts[governor(cluster)].keyspaces.catalogue.keyspaces["k"]


def group(cluster: Cluster, node: int) -> Served:
    return cluster.hosts[node].groups[keyspace(cluster).number]


def log(cluster: Cluster, node: int) -> Group:
    found = group(cluster, node)
    assert isinstance(found, Group)
    return found


def leader(cluster: Cluster) -> int:
    """Of the keyspace's log."""
    return next(node for node in keyspace(cluster).view.nodes if log(cluster, node).leads)


def transfer(cluster: Cluster, name: str, source: int, target: int = 0) -> None:
    host = cluster.hosts[source]
    host.at(cluster.now_ns, cluster.wall_ms)
    host.administer(name, TransferLeadership(target), lambda outcome: None)
    cluster.turn(source)
    cluster.run(600)


def govern_from(cluster: Cluster, node: int) -> None:
    if governor(cluster) != node:
        transfer(cluster, "default", governor(cluster), node)
    assert governor(cluster) == node


def hold_on(cluster: Cluster, nodes: tuple[int, ...]) -> None:
    """As KEYSPACE ALTER would, with these nodes."""
    host = cluster.hosts[governor(cluster)]
    found = keyspace(cluster)
    after = definition.alter(host.keyspaces.catalogue, "k", found.level, nodes, len(nodes))
    host.at(cluster.now_ns, cluster.wall_ms)
    host.keyspaces.put(after, lambda replies: None)
    cluster.turn(host.config.node)


def remove(cluster: Cluster, node: int) -> Outcome:
    outcomes: list[Outcome] = []
    host = cluster.hosts[governor(cluster)]
    host.at(cluster.now_ns, cluster.wall_ms)
    host.administer("default", RemoveMember(node), outcomes.append)
    cluster.turn(host.config.node)
    for _ in range(2000):
        if outcomes:
            break
        cluster.run(1)
    return outcomes[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("replicas", [2, 3])
def test_holders_removed_in_a_row_do_not_take_the_data_with_them(kind: str, replicas: int) -> None:
    cluster = cluster_with(6, replicas, kind)
    govern_from(cluster, 6)
    for node in keyspace(cluster).nodes:
        if isinstance(remove(cluster, node), Done):
            cluster.kill(node)  # As somebody does who is told that it is done.
    cluster.run(20_000)
    assert cluster.call(6, ("GET", "k:a"), within_ms=8000) == ONE


def test_the_advice_of_who_refuses_a_removal_can_be_followed() -> None:
    cluster = cluster_with(4, 1)
    holder = keyspace(cluster).nodes[0]
    govern_from(cluster, next(node for node in cluster.hosts if node != holder))
    words = ("KEYSPACE", "ALTER", "k", "REPLICAS", 3)
    assert cluster.call(governor(cluster), words, within_ms=3000) == OK
    for _ in range(5000):
        if isinstance(remove(cluster, holder), Done):
            break
        cluster.run(1)
    cluster.kill(holder)
    cluster.run(30_000)
    assert cluster.call(governor(cluster), ("GET", "k:a"), within_ms=6000) == ONE


def test_nobody_is_removed_whom_the_log_still_needs_for_its_move() -> None:
    cluster = cluster_with(7)
    govern_from(cluster, 7)
    leading = leader(cluster)
    hold_on(cluster, (4, 5, 6))
    for _ in range(3000):
        view = keyspace(cluster).view
        if view.nodes == (4, 5, 6):
            break
        if view.joining and log(cluster, leading).core.members.learners == (4, 5, 6):
            cluster.cut.add((7, leading))  # The log's leader does not hear of the next view.
        cluster.run(1)
    for node in (1, 2, 3):
        if node != leading and isinstance(remove(cluster, node), Done):
            cluster.kill(node)
    cluster.cut = set()
    cluster.run(20_000)
    assert cluster.call(7, ("GET", "k:a"), within_ms=6000) == ONE
    assert not keyspace(cluster).view.outgoing


def test_a_log_led_by_who_is_no_member_any_more_gets_another_leader_and_moves() -> None:
    cluster = cluster_with(5)
    if leader(cluster) == governor(cluster):
        transfer(cluster, "k", leader(cluster))
    gone = leader(cluster)
    assert gone != governor(cluster)
    assert isinstance(remove(cluster, gone), Done)
    cluster.run(20_000)
    view = keyspace(cluster).view
    assert gone not in view.everyone()
    assert log(cluster, view.nodes[0]).core.members.voters == tuple(sorted(view.nodes))


def test_founders_that_never_met_found_their_keyspace_after_a_restart() -> None:
    cluster = Cluster(5)
    cluster.elect()
    founders = (1, 2, 3)
    govern_from(cluster, 5)
    cluster.cut = {(one, other) for one in founders for other in founders if one != other}
    assert cluster.call(5, ("KEYSPACE", "CREATE", "k", "REPLICAS", 3), within_ms=3000) == OK
    assert keyspace(cluster).nodes == founders
    connection = cluster.connect(5)
    cluster.send(5, connection, ("KEYSPACE", "ALTER", "k", "REPLICAS", 4))
    cluster.run(1000)
    for node in founders:
        cluster.kill(node)
    cluster.run(100)
    for node in founders:
        cluster.start(node)
    cluster.cut = set()
    cluster.run(15_000)
    assert cluster.call(5, ("SET", "k:a", 1), within_ms=6000) == OK
    assert len(keyspace(cluster).view.nodes) == 4


def test_a_node_that_joins_answers_all_the_while() -> None:
    cluster = cluster_with(4)
    joining = next(node for node in cluster.hosts if node not in keyspace(cluster).nodes)
    connection = cluster.connect(1)
    cluster.send(1, connection, ("KEYSPACE", "ALTER", "k", "REPLICAS", 4))
    answers = []
    for _ in range(400):
        answers.append(cluster.call(joining, ("GET", "k:a"), within_ms=5))
        cluster.run(1)
    assert set(answers) == {ONE}
    assert joining in keyspace(cluster).view.nodes


@pytest.mark.parametrize("kind", ["gossip", "quorum", "paxos", "chain"])
def test_a_node_to_come_has_others_answer_until_it_is_in_the_view(kind: str) -> None:
    cluster = cluster_with(5, kind=kind)
    govern_from(cluster, 1)
    assert keyspace(cluster).view.nodes == (1, 2, 3)
    cluster.cut = {pair for other in (1, 2, 3, 5) for pair in ((4, other), (other, 4))}
    hold_on(cluster, (1, 2, 3, 4))
    cluster.run(1500)
    hold_on(cluster, (1, 2, 3, 4, 5))
    cluster.run(20)
    for _ in range(10):
        # Some are asked of node 4, which is cut off; whoever else is asked knows.
        if cluster.call(5, ("SET", "k:b", 2), within_ms=3000) == OK:
            break
    assert cluster.call(1, ("GET", "k:b"), within_ms=3000) == b"$1\r\n2\r\n"


def session_of(cluster: Cluster, node: int, connection: int) -> dict[int, bytes]:
    cluster.send(node, connection, ("COMITY.SESSION",))
    cluster.run(10)
    token = cluster.received(node, connection).split(b"\r\n")[1]
    return msgspec.msgpack.decode(base64.urlsafe_b64decode(token), type=dict[int, bytes])


def test_what_a_replica_that_was_left_answers_after_all_is_in_the_session() -> None:
    cluster = cluster_with(4)
    govern_from(cluster, 4)
    leading = leader(cluster)
    node = next(node for node in keyspace(cluster).nodes if node != leading)
    connection = cluster.connect(node)
    cluster.cut = {(leading, node)}
    cluster.send(node, connection, ("SET", "k:s", "x"))
    cluster.run(5)
    host = cluster.hosts[node]
    # The view in which it has no part arrives before the answer does.
    host.serve_elsewhere(keyspace(cluster))
    cluster.cut = set()
    cluster.run(300)
    assert cluster.received(node, connection) == OK
    seen = session_of(cluster, node, connection)[keyspace(cluster).number]
    assert int.from_bytes(seen, "big") >= log(cluster, node).machine.applied


def test_what_is_read_after_a_watch_is_not_older_than_what_is_watched() -> None:
    cluster = cluster_with(4)
    leading = leader(cluster)
    node = next(node for node in cluster.hosts if node not in keyspace(cluster).nodes)
    lagging = next(node for node in keyspace(cluster).nodes if node != leading)
    cluster.cut = {(leading, lagging)}
    assert cluster.call(leading, ("SET", "k:x", "1"), within_ms=200) == OK
    host = cluster.hosts[node]
    connection = cluster.connect(node)
    up = set(host.peers.up)
    host.peers.up = {leading}
    cluster.send(node, connection, ("COMITY.CONSISTENCY", "eventual"), ("WATCH", "k:x"))
    cluster.run(20)
    assert cluster.received(node, connection) == OK * 2
    host.peers.up = {lagging}  # The link to the holder asked before went down.
    cluster.send(node, connection, ("GET", "k:x"))
    cluster.run(20)
    assert cluster.received(node, connection) == b""
    host.peers.up = up
    cluster.cut = set()
    cluster.run(400)
    assert cluster.received(node, connection) == ONE


@pytest.mark.parametrize("word", ["WATCH", "watch", "Watch"])
def test_a_watch_is_relayed_however_it_is_spelt(word: str) -> None:
    cluster = cluster_with()
    other = next(node for node in cluster.hosts if node not in keyspace(cluster).nodes)
    assert cluster.call(other, (word, "k:a"), within_ms=200) == OK
