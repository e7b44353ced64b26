"""KEYS and SCAN go to the keyspace that their pattern names, whatever replicates it, whoever holds it."""

from __future__ import annotations

import json
from typing import Any

import hiredis
import pytest
from tests.unit.node.small_cluster import Cluster

KINDS = ("raft", "paxos", "primary-backup", "chain", "quorum", "gossip")


def value(data: bytes) -> Any:
    reader = hiredis.Reader()
    reader.feed(data)
    return reader.gets()


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    cluster = Cluster(3)
    cluster.elect()
    for name, replication, replicas in (*((name, name, 3) for name in KINDS), ("two", "gossip", 2)):
        words = ("KEYSPACE", "CREATE", name, "REPLICATION", replication, "REPLICAS", replicas)
        assert cluster.call(1, words, within_ms=2000) == b"+OK\r\n"
    cluster.run(500)
    for name in (*KINDS, "two"):
        for number in range(30):
            said = cluster.call(1, ("SET", f"{name}:{number}", number), within_ms=1000)
            assert said == b"+OK\r\n", (name, said)
        assert cluster.call(1, ("DEL", f"{name}:29"), within_ms=1000) == b":1\r\n"
        assert cluster.call(1, ("SET", f"{name}:28", "x", "PX", "5"), within_ms=1000) == b"+OK\r\n"
    assert cluster.call(1, ("SET", "plain", "x")) == b"+OK\r\n"
    assert cluster.call(1, ("SET", "nowhere:1", "x")) == b"+OK\r\n"
    cluster.run(2000)
    return cluster


def wanted(name: str) -> list[bytes]:
    return sorted(b"%s:%d" % (name.encode(), number) for number in range(28))


@pytest.mark.parametrize("node", [1, 2, 3])
@pytest.mark.parametrize("name", [*KINDS, "two"])
def test_keys_with_the_name_of_a_keyspace_are_its_own_at_every_node(
    cluster: Cluster, name: str, node: int
) -> None:
    # Time passes for a log by what is written to it.
    cluster.call(node, ("SET", f"{name}:0", "0"), within_ms=1000)
    cluster.run(100)
    assert sorted(value(cluster.call(node, ("KEYS", f"{name}:*"), within_ms=1000))) == wanted(name)
    some = value(cluster.call(node, ("KEYS", f"{name}:1[0-3]"), within_ms=1000))
    assert len(some) == 4


@pytest.mark.parametrize("node", [1, 2, 3])
@pytest.mark.parametrize("name", [*KINDS, "two"])
def test_scan_with_the_name_of_a_keyspace_finds_each_key_once(cluster: Cluster, name: str, node: int) -> None:
    cursor, found = b"0", []
    while True:
        words = ("SCAN", cursor, "MATCH", f"{name}:*", "COUNT", "7")
        cursor, some = value(cluster.call(node, words, within_ms=1000))
        found += some
        if cursor == b"0":
            break
    assert sorted(found) == wanted(name)


def test_other_patterns_and_commands_without_a_key_concern_default(cluster: Cluster) -> None:
    assert sorted(value(cluster.call(1, ("KEYS", "*")))) == [b"nowhere:1", b"plain"]
    assert value(cluster.call(2, ("KEYS", "nowhere:*"))) == [b"nowhere:1"]
    assert value(cluster.call(2, ("SCAN", "0", "MATCH", "*:1"))) == [b"0", [b"nowhere:1"]]
    assert value(cluster.call(3, ("DBSIZE",))) == 2
    assert value(cluster.call(3, ("RANDOMKEY",))) in (b"nowhere:1", b"plain")


@pytest.mark.parametrize("name", KINDS)
def test_a_listing_stands_in_its_place_among_the_commands_of_a_connection(
    cluster: Cluster, name: str
) -> None:
    words = (("SET", f"{name}:x", "1"), ("KEYS", f"{name}:x"), ("DEL", f"{name}:x"), ("KEYS", "plain"))
    connection = cluster.connect(1)
    cluster.send(1, connection, *words)
    cluster.run(200)
    said = cluster.received(1, connection)
    shown = b"$%d\r\n%b\r\n" % (len(name) + 2, f"{name}:x".encode())
    assert said == b"+OK\r\n*1\r\n" + shown + b":1\r\n*1\r\n$5\r\nplain\r\n"


def test_a_listing_in_a_transaction_is_of_the_transactions_keyspace_or_refused(cluster: Cluster) -> None:
    said = cluster.call(1, ("MULTI",), ("SET", "raft:0", "0"), ("KEYS", "raft:2"), ("EXEC",), within_ms=500)
    assert said.endswith(b"*2\r\n+OK\r\n*1\r\n$6\r\nraft:2\r\n")
    said = cluster.call(1, ("MULTI",), ("SET", "raft:0", "0"), ("KEYS", "chain:*"), ("EXEC",), within_ms=500)
    assert said.endswith(b"-CROSSSLOT Keys in request don't belong to the same keyspace\r\n")
    said = cluster.call(1, ("MULTI",), ("KEYS", "gossip:*"), ("EXEC",), within_ms=500)
    assert b"-ERR keyspace 'gossip' has no transactions" in said


@pytest.mark.parametrize("name", KINDS)
def test_a_keyspace_says_how_many_keys_it_has_here(cluster: Cluster, name: str) -> None:
    found = json.loads(value(cluster.call(2, ("KEYSPACE", "INFO", name))))
    assert (found["keys"], found["keys_exact"]) == (28, True)


def test_a_node_that_holds_none_of_a_keyspace_does_not_count_its_keys(cluster: Cluster) -> None:
    counts = []
    for node in (1, 2, 3):
        found = json.loads(value(cluster.call(node, ("KEYSPACE", "INFO", "two"))))
        counts.append((found["keys"], found["keys_exact"]))
    assert sorted(counts, key=str) == [(28, True), (28, True), (None, False)]


@pytest.mark.parametrize("name", KINDS)
def test_a_malformed_scan_is_refused_in_redis_words(cluster: Cluster, name: str) -> None:
    said = cluster.call(1, ("SCAN", "0", "MATCH", f"{name}:*", "COUNT", "0"))
    assert said == b"-ERR syntax error\r\n"
    said = cluster.call(1, ("SCAN", "x", "MATCH", f"{name}:*"))
    assert said == b"-ERR invalid cursor\r\n"


def test_a_command_and_a_level_that_a_keyspace_does_not_give_are_named_with_the_reason(
    cluster: Cluster,
) -> None:
    said = cluster.call(1, ("INCR", "quorum:1"))
    assert said.startswith(b"-ERR INCR is not possible in keyspace 'quorum' (quorum): it decides by ")
    said = cluster.call(1, ("COMITY.CONSISTENCY", "causal"), ("GET", "quorum:1"))
    assert said.startswith(b"+OK\r\n-ERR keyspace 'quorum' (quorum) is not causal: ")
    said = cluster.call(1, ("CLIENT", "ONCE", "c", "1", "KEYS", "gossip:*"))
    assert said.startswith(b"-ERR CLIENT is not possible in keyspace 'gossip' (gossip): ")


@pytest.mark.parametrize("name", KINDS)
def test_a_listing_may_be_asked_for_at_a_level_of_its_own(cluster: Cluster, name: str) -> None:
    said = cluster.call(2, ("COMITY.AT", "eventual", "KEYS", f"{name}:1"), within_ms=500)
    assert value(said) == [b"%b:1" % name.encode()]
    said = cluster.call(2, ("COMITY.AT", "linearizable", "KEYS", f"{name}:1"), within_ms=500)
    if name == "gossip":
        assert said.startswith(b"-ERR keyspace 'gossip' (gossip) is not linearizable: ")
    else:
        assert value(said) == [b"%b:1" % name.encode()]


@pytest.mark.parametrize("name", ["paxos", "quorum", "gossip"])
def test_listings_of_one_client_take_a_turn_each_so_that_others_are_served_between_them(
    cluster: Cluster, name: str
) -> None:
    connection = cluster.connect(1)
    listing = ("KEYS", f"{name}:1")
    cluster.send(1, connection, listing, listing, ("COMITY.AT", "eventual", *listing), listing, ("PING",))
    one = b"*1\r\n$%d\r\n%b:1\r\n" % (len(name) + 2, name.encode())
    assert cluster.received(1, connection) == one
    cluster.run(20)
    assert cluster.received(1, connection) == 3 * one + b"+PONG\r\n"
