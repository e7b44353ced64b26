"""What clients ask of keyspaces that cannot be: it is refused in words, and no node stops."""

from __future__ import annotations

import pytest
from tests.unit.node.small_cluster import Cluster, encode

from comity.node import Bounds, reads
from comity.node.dispatch import CROSS_KEYSPACE
from comity.node.errors import INDETERMINATE, NO_QUORUM, OVERLOADED, PARTLY
from comity.node.keyed import KeyedGroup
from comity.store.registers import MAX_REGISTER_BYTES, TOO_LARGE

CREATE = ("KEYSPACE", "CREATE")
EVENTUAL = ("REPLICATION", "quorum", "CONSISTENCY", "eventual", "OPTION", "r", "1", "OPTION", "w", "1")


def cluster_with(*keyspaces: tuple[str, ...], nodes: int = 3) -> Cluster:
    cluster = Cluster(nodes)
    cluster.elect()
    for words in keyspaces:
        assert cluster.call(1, (*CREATE, *words), within_ms=3000) == b"+OK\r\n"
    cluster.run(300)
    return cluster


@pytest.mark.parametrize(
    "words",
    [
        ("x", "REPLICAS", "\u00b2"),
        ("x", "REPLICAS", "-1"),
        ("x", "OPTION", "retry_ns", "9" * 30),
        ("x", "REPLICATION", "gossip", "OPTION", "idle_ns", "18446744073709551615"),
        ("x", "CONSISTENCY", "a\r\n+OK"),
        ("x", "OPTION", "heartbeat_ns", "nan"),
        ("\u200b", "REPLICATION", "gossip"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(words: tuple[str, ...]) -> None:
    cluster = Cluster(1)
    cluster.elect()
    reply = cluster.call(1, (*CREATE, *words))
    assert reply.startswith(b"-ERR")
    assert reply.count(b"\r\n") == 1


@pytest.mark.parametrize("kind", [("REPLICATION", "gossip"), EVENTUAL])
def test_mset_without_the_last_value_is_refused(kind: tuple[str, ...]) -> None:
    cluster = cluster_with(("k", *kind))
    assert cluster.call(1, ("MSET", "k:a", 1, "k:b")) == (
        b"-ERR wrong number of arguments for 'mset' command\r\n"
    )
    assert cluster.call(1, ("MSET", "k:a", 1, "k:b", 2)) == b"+OK\r\n"


def _group(cluster: Cluster, name: bytes = b"k") -> KeyedGroup:
    group = cluster.hosts[1].by_name[name]
    assert isinstance(group, KeyedGroup)
    return group


def test_a_command_done_on_some_keys_is_not_reported_as_not_done() -> None:
    cluster = cluster_with(("k", *EVENTUAL))
    group = _group(cluster)
    connection = cluster.connect(1)
    host = cluster.hosts[1]
    host.data(connection, b"*5\r\n$4\r\nMSET\r\n$3\r\nk:a\r\n$1\r\n1\r\n$3\r\nk:b\r\n$1\r\n2\r\n")
    first, second = list(group.requests)
    group._answer(group.requests[first], NO_QUORUM)
    group._answer(group.requests[second], b"+OK\r\n")
    group.requests.clear()
    assert b"".join(host.connections[connection].output) == PARTLY


def test_operations_behind_others_end_with_their_deadline_whatever_comes_after_them() -> None:
    cluster = cluster_with(("k", "REPLICATION", "quorum"))
    cluster.cut = {(1, 2), (1, 3), (2, 1), (3, 1)}
    deadline_ms = cluster.bounds.request_deadline_ns // 1_000_000
    early, late = cluster.connect(1), cluster.connect(1)
    cluster.send(1, early, ("SET", "k:a", 1), ("SET", "k:a", 2), ("SET", "k:a", 3))
    arrived_ns = cluster.now_ns
    cluster.run(100)
    cluster.send(1, late, ("SET", "k:b", 1))
    assert _group(cluster).oldest_ns() == arrived_ns
    cluster.run(deadline_ms - 90)
    replies = cluster.received(1, early)
    assert replies.count(b"\r\n") == 3
    assert replies.endswith(NO_QUORUM * 2)
    assert cluster.received(1, late) == b""
    cluster.run(100)
    assert cluster.received(1, late) in (NO_QUORUM, INDETERMINATE)
    assert _group(cluster).idle


def test_what_a_session_pipelines_is_carried_out_in_order() -> None:
    """Else another could see the second write and not the first, which no session level allows."""
    cluster = cluster_with(("k", "REPLICATION", "quorum"))
    cluster.cut = {(1, 2), (1, 3), (2, 1), (3, 1)}
    connection = cluster.connect(1)
    cluster.send(1, connection, ("COMITY.CONSISTENCY", "session"), ("SET", "k:a", 1), ("SET", "k:b", 2))
    assert len(_group(cluster).requests) == 1
    cluster.cut.clear()
    cluster.run(300)
    assert cluster.received(1, connection) == b"+OK\r\n" * 3


def test_a_read_put_back_keeps_the_level_it_was_asked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a linearizable read whose answer had to wait for others would be answered from what is here."""
    monkeypatch.setattr(reads, "READ_BYTES_PER_TURN", 3000)
    cluster = Cluster(3)
    node = cluster.elect() % 3 + 1
    assert cluster.call(node, ("SET", "a", "x" * 2000)) == b"+OK\r\n"
    connections = [cluster.connect(node) for _ in range(6)]
    for connection in connections:
        cluster.send(node, connection, ("COMITY.CONSISTENCY", "eventual"))
        cluster.received(node, connection)
    host = cluster.hosts[node]
    for connection in connections:
        host.data(connection, encode(("COMITY.AT", "linearizable", "GET", "a")))
    cluster.turn(node)
    cluster.run(100)
    assert all(len(cluster.received(node, connection)) == 2009 for connection in connections)
    assert host.metrics.local_reads == 0


def test_no_value_becomes_too_large_to_be_sent() -> None:
    cluster = cluster_with(("k", "REPLICATION", "paxos"))
    assert cluster.call(1, ("SETRANGE", "k:a", MAX_REGISTER_BYTES, "x"), within_ms=500) == TOO_LARGE
    assert cluster.call(1, ("GET", "k:a"), within_ms=500) == b"$-1\r\n"
    size = MAX_REGISTER_BYTES - 1
    assert cluster.call(1, ("SETRANGE", "k:a", size, "x"), within_ms=500) == b":%d\r\n" % (size + 1)
    assert cluster.call(1, ("APPEND", "k:a", "x"), within_ms=500) == TOO_LARGE


@pytest.mark.parametrize("replicas", [3, 1])
def test_what_waits_for_registers_is_bounded_by_its_bytes(replicas: int) -> None:
    cluster = Cluster(3, bounds=Bounds(waiting_bytes=10_000))
    cluster.elect()
    words = (*CREATE, "k", "REPLICATION", "quorum", "REPLICAS", replicas)
    assert cluster.call(1, words, within_ms=3000) == b"+OK\r\n"
    cluster.run(300)
    node = next(node for node, host in cluster.hosts.items() if host.by_name[b"k"].keyed == (replicas == 3))
    cluster.cut = {(first, second) for first in cluster.hosts for second in cluster.hosts}
    connections = [cluster.connect(node) for _ in range(6)]
    for connection in connections:
        cluster.send(node, connection, ("SET", "k:a", "x" * 4000))
    replies = [cluster.received(node, connection) for connection in connections]
    assert replies == [b""] * 3 + [OVERLOADED] * 3
    cluster.run(6000)
    assert all(cluster.received(node, connection) for connection in connections[:3])
    cluster.hosts[node].check()


def test_flushall_in_a_transaction_on_another_keyspace_does_not_empty_that() -> None:
    cluster = cluster_with(("k", "REPLICATION", "chain"))
    assert cluster.call(1, ("SET", "k:a", 1), within_ms=500) == b"+OK\r\n"
    connection = cluster.connect(1)
    cluster.send(1, connection, ("MULTI",), ("SET", "k:b", 1), ("FLUSHALL",), ("EXEC",))
    cluster.run(100)
    assert cluster.received(1, connection).endswith(CROSS_KEYSPACE)
    cluster.send(1, connection, ("MULTI",), ("SET", "b", 1), ("FLUSHALL",), ("DBSIZE",), ("EXEC",))
    cluster.run(100)
    assert cluster.received(1, connection).endswith(b"*3\r\n+OK\r\n+OK\r\n:0\r\n")
    assert cluster.call(1, ("MGET", "k:a", "k:b"), within_ms=500) == b"*2\r\n$1\r\n1\r\n$-1\r\n"


@pytest.mark.parametrize("kind", [("REPLICATION", "gossip"), EVENTUAL])
def test_a_value_too_large_to_be_sent_is_refused_wherever_keys_travel_as_a_whole(
    kind: tuple[str, ...],
) -> None:
    cluster = cluster_with(("k", *kind))
    large = b"x" * (MAX_REGISTER_BYTES + 1)
    assert cluster.call(1, ("SET", "k:a", large), within_ms=500) == TOO_LARGE
    assert cluster.call(1, ("GET", "k:a"), within_ms=500) == b"$-1\r\n"
