"""Commands for keyspaces that other nodes hold: carried out there once, and answered once, with the truth."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.node.small_cluster import Cluster

from comity.node import messages
from comity.node.dispatch import MOVED
from comity.node.messages import KIND_RELAY, KIND_RELAYED, Relay, Relayed
from comity.node.remote import TOO_MUCH, Remote
from comity.node.turn import Turn


def cluster_with(*words: str, nodes: int = 3) -> Cluster:
    cluster = Cluster(nodes)
    cluster.elect()
    assert cluster.call(1, ("KEYSPACE", "CREATE", "k", *words), within_ms=3000) == b"+OK\r\n"
    cluster.run(500)
    return cluster


def away(cluster: Cluster) -> tuple[int, Remote]:
    """A node that does not hold the keyspace, and what it knows of it."""
    for node, host in cluster.hosts.items():
        group = host.by_name[b"k"]
        if isinstance(group, Remote):
            return node, group
    raise AssertionError("every node holds the keyspace")


def relayed_of(turn: Turn) -> list[Relayed]:
    return [
        messages.decode_relayed(body)
        for _, envelopes in turn.frames
        for _, kind, body in envelopes
        if kind == KIND_RELAYED
    ]


def test_an_answer_to_what_was_asked_before_a_restart_answers_nothing_asked_since() -> None:
    cluster = cluster_with("REPLICATION", "gossip", "REPLICAS", "1")
    node, _ = away(cluster)
    cluster.kill(node)
    cluster.start(node)
    cluster.run(1000)
    group = cluster.hosts[node].by_name[b"k"]
    assert isinstance(group, Remote)
    holder = group.holders[0]
    cluster.cut.add((holder, node))
    connection = cluster.connect(node)
    cluster.send(node, connection, ("GET", "k:a"))
    request = next(iter(group.requests))
    host = cluster.hosts[node]
    late = Relayed(host.incarnation - 1, request, [b"$5\r\nwrong\r\n"], b"")
    host.peers.frame(holder, [(group.number, KIND_RELAYED, messages.encode(late))])
    cluster.turn(node)
    assert cluster.received(node, connection) == b""
    now = Relayed(host.incarnation, request, [b"$5\r\nright\r\n"], b"")
    host.peers.frame(holder, [(group.number, KIND_RELAYED, messages.encode(now))])
    cluster.turn(node)
    assert cluster.received(node, connection) == b"$5\r\nright\r\n"


def test_a_relay_that_is_not_text_stops_no_node() -> None:
    cluster = cluster_with("REPLICATION", "gossip", "REPLICAS", "1")
    _, remote = away(cluster)
    host = cluster.hosts[remote.holders[0]]
    body = messages.encode(Relay(1, 1, 2, "name", b"", [[b"GET", b"k:a"]]))
    refused = host.metrics.peer_messages_refused
    host.peers.frame(9, [(remote.number, KIND_RELAY, body.replace(b"name", b"\xff\xfe\xff\xfe"))])
    assert host.metrics.peer_messages_refused == refused + 1
    for words in ((), (1,), ("a", 1, 2, "", b"", [[b"GET"]]), (1, 1, 4, "", b"", [[b"GET"]])):
        host.peers.frame(9, [(remote.number, KIND_RELAY, msgspec.msgpack.encode(words))])
        host.peers.frame(9, [(remote.number, KIND_RELAYED, msgspec.msgpack.encode(words))])
    host.turn()
    host.check()


def test_who_does_not_hold_a_keyspace_says_so_at_once() -> None:
    cluster = cluster_with("REPLICATION", "gossip", "REPLICAS", "1")
    node, remote = away(cluster)
    host = cluster.hosts[node]
    relay = messages.encode(Relay(1, 7, 2, "", b"", [[b"SET", b"k:a", b"1"], [b"GET", b"k:a"]]))
    host.peers.frame(remote.holders[0], [(remote.number, KIND_RELAY, relay)] * 2)
    assert relayed_of(host.turn()) == [Relayed(1, 7, [MOVED, MOVED], b"")]


def test_a_session_that_asks_one_holder_after_the_other_reads_its_writes() -> None:
    cluster = cluster_with("REPLICATION", "chain", "REPLICAS", "2")
    node, remote = away(cluster)
    connection = cluster.connect(node)
    cluster.send(node, connection, ("COMITY.CONSISTENCY", "session"), ("SET", "k:a", 1))
    cluster.run(50)
    assert cluster.received(node, connection) == b"+OK\r\n" * 2
    token = cluster.hosts[node].connections[connection].tokens[remote.number]
    applied = max(cluster.hosts[holder].groups[remote.number].machine.applied for holder in remote.holders)
    assert 0 < int.from_bytes(token, "big") <= applied
    # It goes with the next command, to whomever that is sent, and with the session to other nodes.
    other = cluster.connect(node)
    cluster.send(node, connection, ("COMITY.SESSION",))
    given = cluster.received(node, connection).split(b"\r\n")[1]
    cluster.send(node, other, ("COMITY.SESSION", given))
    assert cluster.received(node, other) == b"+OK\r\n"
    assert cluster.hosts[node].connections[other].tokens[remote.number] == token


def test_an_answer_too_large_for_a_frame_is_not_sent_in_one() -> None:
    cluster = cluster_with("REPLICATION", "chain", "REPLICAS", "1")
    node, _ = away(cluster)
    cluster.call(node, ("SETRANGE", "k:a", 40 << 20, "x"), within_ms=2000)
    connection = cluster.connect(node)
    cluster.send(node, connection, ("GET", "k:a"), ("GET", "k:a"), ("GET", "k:b"))
    cluster.run(100)
    replies = cluster.received(node, connection)
    assert replies.endswith(TOO_MUCH + b"$-1\r\n")
    assert replies.startswith(b"$%d\r\n" % ((40 << 20) + 1))


def exchange(cluster: Cluster, node: int, connection: int, *command: bytes | str | int) -> bytes:
    cluster.send(node, connection, command)
    cluster.run(100)
    return cluster.received(node, connection)


@pytest.mark.parametrize("kind", ["raft", "chain", "primary-backup"])
def test_a_transaction_is_carried_out_where_its_keyspace_is_held(kind: str) -> None:
    cluster = cluster_with("REPLICATION", kind, "REPLICAS", "1")
    node, remote = away(cluster)
    connection = cluster.connect(node)
    assert exchange(cluster, node, connection, "SET", "k:a", 1) == b"+OK\r\n"
    assert exchange(cluster, node, connection, "WATCH", "k:a", "k:b") == b"+OK\r\n"
    assert exchange(cluster, node, connection, "MULTI") == b"+OK\r\n"
    assert exchange(cluster, node, connection, "INCR", "k:a") == b"+QUEUED\r\n"
    assert exchange(cluster, node, connection, "GET", "k:a") == b"+QUEUED\r\n"
    assert exchange(cluster, node, connection, "EXEC") == b"*2\r\n:2\r\n$1\r\n2\r\n"
    holder = remote.holders[0]
    assert cluster.call(holder, ("GET", "k:a")) == b"$1\r\n2\r\n"


def test_a_transaction_whose_watched_key_changed_does_nothing_wherever_it_was_sent() -> None:
    cluster = cluster_with("REPLICATION", "raft", "REPLICAS", "1")
    node, remote = away(cluster)
    connection = cluster.connect(node)
    assert exchange(cluster, node, connection, "WATCH", "k:a") == b"+OK\r\n"
    assert cluster.call(remote.holders[0], ("SET", "k:a", "theirs")) == b"+OK\r\n"
    cluster.send(node, connection, ("MULTI",), ("SET", "k:a", "mine"))
    cluster.run(10)
    cluster.received(node, connection)
    assert exchange(cluster, node, connection, "EXEC") == b"*-1\r\n"
    assert cluster.call(remote.holders[0], ("GET", "k:a")) == b"$6\r\ntheirs\r\n"


def test_a_transaction_that_gets_no_answer_may_have_happened_and_a_watch_has_not() -> None:
    cluster = cluster_with("REPLICATION", "raft", "REPLICAS", "1")
    node, remote = away(cluster)
    connection = cluster.connect(node)
    cluster.cut.add((remote.holders[0], node))
    cluster.send(node, connection, ("MULTI",), ("SET", "k:a", 1), ("EXEC",))
    cluster.run(7000)
    assert cluster.received(node, connection).startswith(b"+OK\r\n+QUEUED\r\n-INDETERMINATE ")
    assert cluster.call(remote.holders[0], ("GET", "k:a")) == b"$1\r\n1\r\n"
    cluster.send(node, connection, ("WATCH", "k:a"))
    cluster.run(7000)
    assert cluster.received(node, connection).startswith(b"-CLUSTERDOWN ")


def test_registers_have_no_transactions_wherever_they_are_held() -> None:
    cluster = cluster_with("REPLICATION", "paxos", "REPLICAS", "1")
    for node in cluster.hosts:
        connection = cluster.connect(node)
        assert exchange(cluster, node, connection, "WATCH", "k:a").startswith(b"-ERR keyspace 'k' has no tr")
        cluster.send(node, connection, ("MULTI",), ("SET", "k:a", 1), ("EXEC",))
        cluster.run(100)
        assert b"-ERR keyspace 'k' has no transactions" in cluster.received(node, connection)
