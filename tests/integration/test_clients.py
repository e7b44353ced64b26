"""Stock clients against three real nodes: the leader and a follower answer alike."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from tests.integration.nodes import Nodes, ServedNode, free_ports, served, until

OK = {b"OK", "OK"}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with served(tmp_path_factory.mktemp("clients"), 3) as cluster:
        yield cluster


@pytest.fixture(params=["leader", "follower"])
def node(request: pytest.FixtureRequest, nodes: Nodes) -> ServedNode:
    chosen: Callable[[], ServedNode] = getattr(nodes, request.param)
    return chosen()


@pytest.fixture
def other(nodes: Nodes, node: ServedNode) -> ServedNode:
    """A node that is not the one under test."""
    return next(each for each in nodes.all if each is not node)


def run(*words: str) -> str:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_redis_cli(node: ServedNode) -> None:
    def cli(*words: str) -> str:
        return run("redis-cli", "-p", str(node.port), *words).strip()

    assert cli("SET", "cli", "1") == "OK"
    assert cli("INCR", "cli") == "2"
    assert cli("GET", "cli") == "2"
    assert cli("-3", "GET", "cli") == "2"
    assert "wrong number of arguments" in cli("GET")
    assert "comity_role:" in cli("INFO", "replication")
    assert cli("--scan", "--pattern", "cli*") == "cli"


def test_redis_benchmark(node: ServedNode) -> None:
    said = run(
        *("redis-benchmark", "-p", str(node.port), "-t", "set,get,incr,mset", "-n", "2000"),
        *("-c", "20", "-P", "4", "-r", "100", "-q"),
    )
    for name in ("SET", "GET", "INCR", "MSET (10 keys)"):
        assert re.search(rf"{re.escape(name)}: \d+", said), said
    assert "Error" not in said


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(node: ServedNode, other: ServedNode, protocol: int) -> None:
    with redis.Redis(port=node.port, protocol=protocol) as client:
        assert client.ping()
        assert client.set("py", "1", ex=100)
        assert client.incrby("py", 4) == 5
        assert 90 < client.ttl("py") <= 100
        assert client.mset({"m1": b"\x00", "m2": "2"})
        assert client.mget("m1", "none", "m2") == [b"\x00", None, b"2"]
        assert client.delete("m1", "m2", "none") == 2
        assert client.set("py", "2", nx=True) is None
        client.set("text", "x")
        with pytest.raises(redis.ResponseError, match="not an integer"):
            client.incr("text")
        assert client.info("server")["redis_version"] == "7.0.0"
        assert client.config_get("maxclients")["maxclients"] == "10000"
        assert client.client_setname("tester")
        assert client.client_getname() in {"tester", b"tester"}
        with redis.Redis(port=other.port) as elsewhere:
            assert elsewhere.get("py") == b"5"


def test_redis_py_asyncio(node: ServedNode) -> None:
    async def work() -> list[int]:
        async with redis.asyncio.Redis(port=node.port) as client:
            await client.delete("async")
            answers = await asyncio.gather(*(client.incr("async") for _ in range(50)))
            async with client.pipeline(transaction=True) as pipeline:
                pipeline.incr("async")
                pipeline.get("async")
                assert await pipeline.execute() == [51, b"51"]
            return sorted(answers)

    assert asyncio.run(work()) == list(range(1, 51))


def test_pipelines_are_answered_in_order(node: ServedNode) -> None:
    with redis.Redis(port=node.port) as client:
        for transaction in (False, True):
            client.delete("pipe")
            pipeline = client.pipeline(transaction=transaction)
            for number in range(500):
                pipeline.incr("pipe")
                pipeline.get("pipe")
                pipeline.set(f"pipe{number % 7}", number)
            answers = pipeline.execute()
            for number in range(500):
                assert answers[3 * number] == number + 1
                assert answers[3 * number + 1] == b"%d" % (number + 1)
                assert answers[3 * number + 2] is True


def test_a_watched_key_changed_through_another_node_aborts_the_transaction(
    node: ServedNode, other: ServedNode
) -> None:
    with redis.Redis(port=node.port) as client, redis.Redis(port=other.port) as elsewhere:
        client.set("watched", 1)
        with client.pipeline() as pipeline:
            pipeline.watch("watched")
            assert pipeline.get("watched") == b"1"
            elsewhere.set("watched", 2)
            pipeline.multi()
            pipeline.set("watched", 3)
            with pytest.raises(redis.WatchError):
                pipeline.execute()
            assert client.get("watched") == b"2"
            pipeline.watch("watched")
            pipeline.multi()
            pipeline.set("watched", 4)
            assert pipeline.execute() == [True]
        assert elsewhere.get("watched") == b"4"


def test_counters_of_many_clients_through_all_nodes_add_up(nodes: Nodes) -> None:
    with redis.Redis(port=nodes.all[0].port) as first:
        first.delete("sum")

    def count(port: int) -> None:
        with redis.Redis(port=port) as client:
            for _ in range(40):
                client.incr("sum")

    threads = [threading.Thread(target=count, args=(each.port,)) for each in nodes.all for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert nodes.all[2].call("GET", "sum") == b"240"


def test_resp3_gives_its_own_types(node: ServedNode) -> None:
    talk = node.talk()
    hello = talk("HELLO", "3", "SETNAME", "three")
    assert hello[b"proto"] == 3 if b"proto" in hello else hello["proto"] == 3
    assert talk("GET", "none") is None
    assert isinstance(talk("CONFIG", "GET", "maxclients"), dict)
    assert isinstance(talk("HELLO", "2"), list)


@pytest.mark.parametrize("level", ["linearizable", "sequential", "session", "eventual"])
def test_every_level_reads_what_its_own_connection_wrote(node: ServedNode, level: str) -> None:
    talk = node.talk()
    assert talk("COMITY.CONSISTENCY", level) in OK
    assert talk("COMITY.CONSISTENCY") == level.encode()
    for number in range(30):
        assert talk("SET", f"level-{level}", str(number)) in OK
        assert talk("GET", f"level-{level}") == b"%d" % number


def test_a_linearizable_read_sees_what_another_node_acknowledged(node: ServedNode, other: ServedNode) -> None:
    here, there = node.talk(), other.talk()
    for number in range(50):
        assert there("SET", "seen", str(number)) in OK
        assert here("GET", "seen") == b"%d" % number


def test_a_command_with_a_client_id_happens_once_through_whatever_node(
    node: ServedNode, other: ServedNode
) -> None:
    client = f"once-{node.number}"
    node.call("DEL", client)
    assert node.call("CLIENT", "ONCE", client, "1", "INCRBY", client, "7") == 7
    assert other.call("CLIENT", "ONCE", client, "1", "INCRBY", client, "7") == 7
    assert other.call("CLIENT", "ONCE", client, "2", "INCRBY", client, "1") == 8
    assert node.call("CLIENT", "ONCE", client, "2", "INCRBY", client, "1") == 8
    assert node.call("GET", client) == b"8"


def test_inline_commands(node: ServedNode) -> None:
    talk = node.talk()
    assert talk.raw(b'\r\nSET inline "a b\\x41"\r\n') in OK
    assert talk.raw(b"get inline\r\n") == b"a bA"


def test_a_scan_finds_every_key_that_stays(node: ServedNode) -> None:
    with redis.Redis(port=node.port) as client:
        wanted = {b"scan:%d" % number for number in range(500)}
        client.mset(dict.fromkeys(wanted, b"x"))
        assert set(client.scan_iter(match="scan:*", count=50)) == wanted
        client.delete(*wanted)


def test_a_key_expires_on_every_node(nodes: Nodes, node: ServedNode) -> None:
    assert node.call("SET", "brief", "1", "PX", "150") in OK
    assert node.call("PTTL", "brief") <= 150
    for each in nodes.all:
        until("expired", lambda each=each: each.call("GET", "brief") is None)  # type: ignore[misc]
        assert each.call("EXISTS", "brief") == 0


@pytest.mark.parametrize("level", ["linearizable", "eventual"])
def test_a_client_that_does_not_read_holds_little_memory(node: ServedNode, level: str) -> None:
    assert node.process is not None

    def resident() -> int:
        assert node.process is not None
        text = Path(f"/proc/{node.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) << 10

    assert node.call("SET", "large", b"x" * (1 << 20)) in OK
    before = resident()
    talk = node.talk()
    talk("COMITY.CONSISTENCY", level)
    for _ in range(400):
        talk.send("GET", "large")
    for _ in range(20):
        # Others are served meanwhile, so the node has time to do too much.
        assert node.call("GET", "none") is None
        grown = resident() - before
        assert grown < 120 << 20, f"{grown >> 20} MiB more"
    # What it asked for it gets, once it reads.
    for _ in range(400):
        assert len(talk.reply()) == 1 << 20
    assert talk("PING") in {b"PONG", "PONG"}
    talk.close()
    node.call("DEL", "large")


# -- from here on the cluster changes


def member(nodes: Nodes, *words: str) -> str:
    admins = ",".join(f"127.0.0.1:{each.admin}" for each in nodes.all)
    done = subprocess.run(
        [sys.executable, "-m", "comity.console.main", "member", *words, "--admin", admins],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout if done.returncode == 0 else f"failed {done.returncode}: {done.stderr}"


def test_a_fourth_node_joins_is_promoted_leads_and_is_removed(tmp_path: Path) -> None:
    with served(tmp_path, 3) as nodes:
        assert nodes.all[0].call("SET", "before", "1") in OK
        redis_port, peer_port, admin_port = free_ports(3)
        fourth = ServedNode(
            tmp_path, 4, (redis_port, peer_port, admin_port), members=nodes.members, joining=True
        )
        try:
            fourth.start()
            words = ("add", "4", f"127.0.0.1:{peer_port}", f"127.0.0.1:{redis_port}")
            assert member(nodes, *words) == "done: add 4\n"
            fourth.ready()
            nodes.all.append(fourth)
            until("promoted", lambda: member(nodes, "promote", "4") == "done: promote 4\n")
            assert member(nodes, "transfer", "4") == "done: transfer 4\n"
            assert nodes.leader() is fourth
            assert fourth.call("GET", "before") == b"1"
            assert fourth.call("SET", "after", "2") in OK
            assert "failed 2" in member(nodes, "remove", "0")
            assert member(nodes, "transfer", "1") == "done: transfer 1\n"
            assert member(nodes, "remove", "4") == "done: remove 4\n"
            assert nodes.all[1].call("MGET", "before", "after") == [b"1", b"2"]
            until("the removed node says so", lambda: str(fourth.call("GET", "a")).startswith("CLUSTERDOWN"))
        finally:
            fourth.kill()


def test_a_graceful_stop_of_the_leader_is_not_noticed_by_clients_of_other_nodes(tmp_path: Path) -> None:
    with served(tmp_path, 3) as nodes:
        leader = nodes.leader()
        other = next(each for each in nodes.all if each is not leader)
        stop = threading.Event()
        answers: list[Any] = []

        def work() -> None:
            talk = other.talk()
            while not stop.is_set():
                answers.append(talk("INCR", "n"))

        worker = threading.Thread(target=work)
        worker.start()
        until("some answers", lambda: len(answers) > 20)
        assert leader.stop() == 0
        after = len(answers)
        until("answers after the stop", lambda: len(answers) > after + 20)
        stop.set()
        worker.join()
        assert answers == list(range(1, len(answers) + 1))
        assert nodes.leader() is not leader
