"""A keyspace of every protocol on three real nodes, through stock redis-py and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from tests.integration.nodes import Nodes, served, until

from comity.keyspaces import choices, explain
from comity.protocols import load

KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "raft": ("raft", {}),
    "paxos": ("paxos", {}),
    "sync": ("primary-backup", {"mode": "sync"}),
    "async": ("primary-backup", {"mode": "async", "loss_entries": "100"}),
    "chain": ("chain", {}),
    "quorum": ("quorum", {}),
    "gossip": ("gossip", {}),
}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with served(tmp_path_factory.mktemp("keyspaces"), 3) as cluster:
        cluster.leader()
        client = connect(cluster, 0)
        for name, (replication, options) in KINDS.items():
            words = [word for option in options.items() for word in ("OPTION", *option)]
            created = until(
                f"keyspace {name}",
                lambda name=name, replication=replication, words=words: (  # type: ignore[misc]
                    client.execute_command("KEYSPACE", "CREATE", name, "REPLICATION", replication, *words)
                ),
            )
            assert created == "OK"
        yield cluster


def connect(nodes: Nodes, position: int) -> Any:
    return redis.Redis(port=nodes.all[position].port, decode_responses=True)


def comity(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "comity.console.main", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", KINDS)
def test_what_is_set_at_one_node_is_read_at_every_node(nodes: Nodes, name: str) -> None:
    assert until("a set", lambda: connect(nodes, 1).set(f"{name}:greeting", "hello"))
    for position in range(3):
        client = connect(nodes, position)
        until("the value", lambda client=client: client.get(f"{name}:greeting") == "hello")  # type: ignore[misc]


@pytest.mark.parametrize("name", KINDS)
def test_every_node_explains_a_keyspace_as_its_protocol_does(nodes: Nodes, name: str) -> None:
    replication, words = KINDS[name]
    protocol = load()[replication]
    options = choices.checked_options(protocol, words)
    level = choices.chosen_level(protocol, options, 3, None)
    expected = explain.explain(name, protocol, options, level, 3, 3)
    for position in range(3):
        client = connect(nodes, position)
        assert json.loads(client.execute_command("KEYSPACE", "EXPLAIN", name, "JSON")) == expected
        assert client.execute_command("KEYSPACE", "EXPLAIN", name) == explain.as_text(expected)


def test_the_default_keyspace_is_explained_too(nodes: Nodes) -> None:
    found = json.loads(connect(nodes, 0).execute_command("KEYSPACE", "EXPLAIN", "default", "json"))
    assert (found["replication"], found["level"], found["replicas"]) == ("raft", "linearizable", 3)


def test_a_keyspace_that_is_not_there_is_named(nodes: Nodes) -> None:
    with pytest.raises(redis.ResponseError, match="there is no keyspace 'nowhere'; there are: default"):
        connect(nodes, 0).execute_command("KEYSPACE", "EXPLAIN", "nowhere")


def test_what_a_keyspace_cannot_give_is_refused_on_creation_with_the_reason(nodes: Nodes) -> None:
    client = connect(nodes, 0)
    with pytest.raises(redis.ResponseError, match=r"gossip is not linearizable: .*CAP.*raft"):
        client.execute_command(
            "KEYSPACE", "CREATE", "x", "REPLICATION", "gossip", "CONSISTENCY", "linearizable"
        )
    with pytest.raises(redis.ResponseError, match=r"quorum is not session: R\+W = 2 <= N = 3"):
        client.execute_command(
            *("KEYSPACE", "CREATE", "x", "REPLICATION", "quorum", "CONSISTENCY", "session"),
            *("OPTION", "r", "1", "OPTION", "w", "1"),
        )
    with pytest.raises(redis.ResponseError, match=r"0 replicas"):
        client.execute_command("KEYSPACE", "CREATE", "x", "REPLICATION", "quorum", "REPLICAS", "0")


@pytest.mark.parametrize("name", KINDS)
def test_keys_and_scan_find_the_keys_of_a_keyspace_by_its_name(nodes: Nodes, name: str) -> None:
    client = connect(nodes, 2)
    wanted = {f"{name}:listed:{number}" for number in range(25)}
    for key in wanted:
        assert client.set(key, "x")
    for position in range(3):
        client = connect(nodes, position)
        until(
            "all keys",
            lambda client=client: set(client.keys(f"{name}:listed:*")) == wanted,  # type: ignore[misc]
        )
        assert sorted(client.scan_iter(f"{name}:listed:*", count=4)) == sorted(wanted)
        assert json.loads(client.execute_command("KEYSPACE", "INFO", name))["keys"] >= len(wanted)
        assert not set(client.keys("*")) & wanted


def test_the_command_line_creates_explains_alters_and_drops(nodes: Nodes) -> None:
    node = ("--node", f"127.0.0.1:{nodes.all[1].port}")
    code, out, err = comity("keyspace", "create", "carts", "--replication", "chain", "--replicas", "2", *node)
    assert (code, err) == (0, "")
    assert out.startswith("created: carts")
    code, out, _ = comity("keyspace", "list", "--json", *node)
    assert code == 0
    assert {
        "name": "carts",
        "replication": "chain",
        "level": "linearizable",
        "state": "active",
    } in json.loads(out)
    code, out, _ = comity("explain", "carts", *node)
    assert code == 0
    assert out.startswith("keyspace carts: chain, linearizable, 2 replicas")
    assert comity("keyspace", "alter", "carts", "--consistency", "session", *node)[0] == 0
    code, out, _ = comity("explain", "carts", "--json", *node)
    assert json.loads(out)["level"] == "session"
    code, out, _ = comity("keyspace", "info", "carts", *node)
    assert json.loads(out)["replication"] == "chain"
    assert comity("keyspace", "drop", "carts", *node)[0] == 0
    code, _, err = comity("explain", "carts", *node)
    assert code == 2
    assert err.startswith("comity explain: there is no keyspace 'carts'")
