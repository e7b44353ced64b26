"""Keyspaces created, moved and dropped, with nodes away and crashes in between: nothing of before remains."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.node.small_cluster import Cluster

from comity.keyspaces.definition import FIRST_NUMBER
from comity.node import Bounds
from comity.node.group import Group
from comity.node.remote import Remote
from comity.replica import Record
from comity.store import layout

OK = b"+OK\r\n"
SMALL = Bounds(segment_bytes=4 << 10, log_bytes=16 << 10, flush_interval_ns=50_000_000)
KINDS = ["raft", "paxos", "quorum", "gossip", "chain", "primary-backup"]


def ask(cluster: Cluster, *words: str | int, node: int = 1) -> bytes:
    return cluster.call(node, ("KEYSPACE", *words), within_ms=4000)


def info(cluster: Cluster, name: str, node: int = 1) -> dict[str, Any]:
    reply = cluster.call(node, ("KEYSPACE", "INFO", name))
    found: dict[str, Any] = json.loads(reply.split(b"\r\n", 1)[1])
    return found


def write_much(cluster: Cluster, prefix: str = "") -> None:
    for number in range(60):
        assert cluster.call(1, ("SET", f"{prefix}{number}", "x" * 1000), within_ms=500) == OK
        cluster.run(10)
    cluster.run(400)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_dropped_keyspace_logged_pins_no_segment(kind: str) -> None:
    cluster = Cluster(1, bounds=SMALL)
    cluster.elect()
    assert ask(cluster, "CREATE", "k", "REPLICATION", kind) == OK
    for number in range(20):
        assert cluster.call(1, ("SET", f"k:{number}", "x" * 500), within_ms=500) == OK
    assert ask(cluster, "DROP", "k") == OK
    cluster.run(200)
    write_much(cluster)
    write_much(cluster)
    segments = cluster.hosts[1].journal._segments
    assert all(FIRST_NUMBER not in segment.highest for segment in segments)


def test_records_on_their_way_when_a_keyspace_is_forgotten_pin_no_segment() -> None:
    cluster = Cluster(1)
    cluster.elect()
    journal = cluster.hosts[1].journal
    journal.add(FIRST_NUMBER, [Record(7, b"late")])
    journal.forget(FIRST_NUMBER)
    cluster.turn(1)
    assert all(FIRST_NUMBER not in segment.highest for segment in journal._segments)


@pytest.mark.parametrize("kind", ["raft", "gossip"])
def test_a_crash_right_after_a_drop_leaves_nothing_behind(kind: str) -> None:
    cluster = Cluster(1, bounds=SMALL)
    cluster.elect()
    assert ask(cluster, "CREATE", "k", "REPLICATION", kind) == OK
    write_much(cluster, "k:")
    engine = cluster.engines[1]
    assert engine.get(layout.meta_key(FIRST_NUMBER)) is not None
    engine.sync()
    assert ask(cluster, "DROP", "k") == OK
    cluster.kill(1)  # What was erased was not synced: it is there again.
    cluster.start(1)
    cluster.elect()
    cluster.run(500)
    engine = cluster.engines[1]
    first = layout.group_start(FIRST_NUMBER)
    assert next(iter(engine.scan(first, layout.group_start(FIRST_NUMBER + 5))), None) is None
    write_much(cluster)
    write_much(cluster)
    journal = cluster.hosts[1].journal
    assert all(FIRST_NUMBER not in segment.highest for segment in journal._segments)


def test_a_change_that_nobody_decides_is_given_up_once_and_keeps_nobody_busy() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    for node in cluster.hosts.copy():
        if node != leader:
            cluster.kill(node)
    connection = cluster.connect(leader)
    cluster.send(leader, connection, ("KEYSPACE", "CREATE", "k"))
    cluster.run(cluster.bounds.request_deadline_ns // 1_000_000 + 100)
    assert cluster.received(leader, connection).startswith(b"-")
    host = cluster.hosts[leader]
    assert host.default.oldest_ns() > cluster.now_ns
    assert not host.default.pending
    turns = 0
    for _ in range(1000):
        cluster.run(1)
        turns += host.deadline_ns <= cluster.now_ns
    assert turns < 100


@pytest.mark.parametrize("kind", KINDS[1:])
def test_replicas_down_and_up_again_and_every_node_serves_all_the_time(kind: str) -> None:
    cluster = Cluster(3)
    cluster.elect()
    assert ask(cluster, "CREATE", "k", "REPLICATION", kind) == OK
    cluster.run(500)
    assert cluster.call(3, ("SET", "k:a", 1), within_ms=500) == OK
    for replicas in (2, 1, 2, 3):
        assert ask(cluster, "ALTER", "k", "REPLICAS", replicas) == OK
        cluster.run(6000)
        view = info(cluster, "k")["view"]
        assert len(view["nodes"]) == replicas, view
        assert not view["joining"]
        assert not view["outgoing"]
        for node, host in cluster.hosts.items():
            assert isinstance(host.by_name[b"k"], Remote) == (node not in view["nodes"])
            assert cluster.call(node, ("GET", "k:a"), within_ms=500) == b"$1\r\n%d\r\n" % 1, node
            assert cluster.call(node, ("SET", f"k:{replicas}{node}", 1), within_ms=500) == OK
            assert host.health()[0]
            host.check()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_node_that_left_a_keyspace_restarts_without_it_and_comes_back_to_it(kind: str) -> None:
    cluster = Cluster(3, bounds=SMALL)
    cluster.elect()
    assert ask(cluster, "CREATE", "k", "REPLICATION", kind) == OK
    write_much(cluster, "k:")
    assert ask(cluster, "ALTER", "k", "REPLICAS", 2) == OK
    cluster.run(3000)
    left = next(node for node in cluster.hosts if node not in info(cluster, "k")["view"]["nodes"])
    cluster.kill(left)
    cluster.start(left)
    cluster.run(1500)
    host = cluster.hosts[left]
    assert isinstance(host.by_name[b"k"], Remote)
    write_much(cluster)
    write_much(cluster)
    # Its old records do not keep the log for ever.
    compacted = host.groups[FIRST_NUMBER].compaction_index()
    pins = [s for s in host.journal._segments if s.highest.get(FIRST_NUMBER, 0) > compacted]
    assert not pins or not host.groups[FIRST_NUMBER].keyed
    assert ask(cluster, "ALTER", "k", "REPLICAS", 3) == OK
    cluster.run(6000)
    assert left in info(cluster, "k")["view"]["nodes"]
    assert cluster.call(left, ("GET", "k:59"), within_ms=500) == b"$1000\r\n" + b"x" * 1000 + b"\r\n"
    cluster.kill(left)
    cluster.start(left)
    cluster.run(1500)
    assert cluster.call(left, ("GET", "k:59"), within_ms=500) == b"$1000\r\n" + b"x" * 1000 + b"\r\n"


def test_a_session_that_loses_its_replica_reads_its_writes_from_the_others() -> None:
    cluster = Cluster(3)
    cluster.elect()
    assert ask(cluster, "CREATE", "k", "REPLICATION", "chain", "REPLICAS", 3) == OK
    cluster.run(500)
    nodes = info(cluster, "k")["view"]["nodes"]
    connection = cluster.connect(nodes[-1])
    cluster.send(nodes[-1], connection, ("SET", "k:a", 1))
    cluster.run(50)
    assert cluster.received(nodes[-1], connection) == OK
    group = cluster.hosts[nodes[-1]].by_name[b"k"]
    assert isinstance(group, Group)
    assert ask(cluster, "ALTER", "k", "REPLICAS", 2) == OK
    cluster.run(3000)
    tokens = cluster.hosts[nodes[-1]].connections[connection].tokens
    assert int.from_bytes(tokens[group.number], "big") > 0


@pytest.mark.parametrize("first", KINDS)
def test_a_node_away_while_a_keyspace_goes_and_comes_under_the_same_name_serves_the_new_one(
    first: str,
) -> None:
    cluster = Cluster(3)
    cluster.elect()
    assert ask(cluster, "CREATE", "k", "REPLICATION", first) == OK
    cluster.run(300)
    assert cluster.call(3, ("SET", "k:a", "old"), within_ms=500) == OK
    cluster.cut = {(3, 1), (3, 2), (1, 3), (2, 3)}
    connection = cluster.connect(1)
    cluster.send(1, connection, ("KEYSPACE", "DROP", "k"))
    cluster.run(3000)
    # Nobody serves it, and it is not dropped, before the node that is away has said that it does not either.
    assert not cluster.received(1, connection).startswith(OK)
    assert b"k" in cluster.hosts[1].by_name
    cluster.cut.clear()
    cluster.run(4000)
    assert b"k" not in cluster.hosts[1].by_name
    cluster.kill(3)
    cluster.run(100)
    cluster.send(1, connection, ("KEYSPACE", "CREATE", "k", "REPLICATION", "gossip"))
    cluster.run(500)
    cluster.start(3)
    cluster.run(4000)
    for node in cluster.hosts:
        assert cluster.hosts[node].by_name[b"k"].protocol.name == "gossip"
        assert cluster.call(node, ("GET", "k:a"), within_ms=500) == b"$-1\r\n"


def test_a_node_that_stops_takes_no_more_for_keyspaces_it_cannot_hand_over() -> None:
    cluster = Cluster(3)
    cluster.elect()
    assert ask(cluster, "CREATE", "k", "REPLICATION", "chain") == OK
    cluster.run(500)
    head = info(cluster, "k")["view"]["nodes"][0]
    host = cluster.hosts[head]
    connection = cluster.connect(head)
    cluster.send(head, connection, ("SET", "k:a", 1))
    cluster.run(50)
    assert cluster.received(head, connection) == OK
    host.stop()
    cluster.send(head, connection, ("SET", "k:a", 2))
    cluster.run(50)
    assert cluster.received(head, connection).startswith(b"-TRYAGAIN this node is stopping")


def test_another_level_is_in_force_once_every_node_goes_by_it() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    assert ask(cluster, "CREATE", "k", "REPLICATION", "chain", "CONSISTENCY", "eventual") == OK
    cluster.run(500)
    away = next(node for node in cluster.hosts if node != leader)
    cut = {(away, other) for other in cluster.hosts if other != away}
    cluster.cut = cut | {(second, first) for first, second in cut}
    connection = cluster.connect(leader)
    cluster.send(leader, connection, ("KEYSPACE", "ALTER", "k", "CONSISTENCY", "linearizable"))
    cluster.run(2000)
    assert cluster.hosts[away].by_name[b"k"].level == "eventual"
    assert cluster.received(leader, connection) == b""
    cluster.cut.clear()
    cluster.run(2500)
    assert cluster.received(leader, connection) == OK
    assert all(host.by_name[b"k"].level == "linearizable" for host in cluster.hosts.values())


@pytest.mark.parametrize("kind", ["paxos", "quorum", "gossip"])
def test_with_fewer_replicas_those_who_are_away_go_first(kind: str) -> None:
    cluster = Cluster(3)
    cluster.elect()
    assert ask(cluster, "CREATE", "k", "REPLICATION", kind) == OK
    cluster.run(500)
    first = info(cluster, "k")["nodes"][0]
    others = [node for node in cluster.hosts if node != first]
    cluster.kill(first)
    cluster.run(4000)
    assert ask(cluster, "ALTER", "k", "REPLICAS", 2, node=others[0]) == OK
    assert sorted(info(cluster, "k", others[0])["nodes"]) == others
