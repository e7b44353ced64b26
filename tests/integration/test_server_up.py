"""`comity up` and what people see of a cluster: status, health, metrics."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.integration.nodes import PATIENCE_S, Talk, until

COMITY = [sys.executable, "-m", "comity.console.main"]


def free_base() -> int:
    """A base port whose Redis, peer and admin ports of three nodes are all free now."""
    base = 31_000 + (os.getpid() * 37) % 1_000
    while True:
        base = 31_000 + (base + 7 - 31_000) % 1_500
        sockets = [socket.socket() for _ in range(9)]
        try:
            for number, each in enumerate(sockets):
                each.bind(("127.0.0.1", base + 100 * (number // 3) + number % 3))
        except OSError:
            continue
        else:
            return base
        finally:
            for each in sockets:
                each.close()


class Up:
    """One `comity up` of three nodes; whatever it leaves behind is killed at the end."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.base = free_base()
        self.data = data
        self.process = subprocess.Popen(
            [*COMITY, "up", "--base-port", str(self.base), "--data", str(data), *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def admins(self) -> str:
        return ",".join(f"127.0.0.1:{self.base + 200 + each}" for each in range(3))

    def ready_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def node_process(self, node: int) -> int:
        """The process id of a node, as its directory's lock says."""
        return int((self.data / f"node-{node}" / "lock").read_text())

    def answering(self) -> list[int]:
        found = []
        for node in range(3):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.base + node), 1).close()
                found.append(node + 1)
        return found

    def end(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Up]:
    started = Up(tmp_path / "data")
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()
        until("no node outlives comity up", lambda: not started.answering())


def http(address: str, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE_S) as answer:
        return answer.status, answer.read().decode()


def status(cluster: Up, *flags: str) -> tuple[int, str]:
    done = subprocess.run(
        [*COMITY, "status", "--admin", cluster.admins, *flags],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    return done.returncode, done.stdout


def test_up_says_ready_serves_shows_itself_and_stops_cleanly(cluster: Up) -> None:
    line = cluster.ready_line()
    base = cluster.base
    redis = ",".join(f"127.0.0.1:{base + each}" for each in range(3))
    assert line.startswith(f"ready redis={redis} ")
    client = Talk(base + 1)
    assert client("SET", "k", "v") == b"OK"
    client.close()

    code, table = status(cluster)
    assert code == 0
    assert len(re.findall(r" leader +\d", table)) == 1
    assert len(re.findall(r" follower +\d", table)) == 2
    code, text = status(cluster, "--json")
    answers: dict[str, Any] = json.loads(text)
    assert code == 0
    assert {answer["node"] for answer in answers.values()} == {1, 2, 3}
    assert len({answer["groups"]["default"]["leader"] for answer in answers.values()}) == 1

    assert http(f"127.0.0.1:{base + 200}", "/health") == (200, "ready\n")
    metrics = http(f"127.0.0.1:{base + 201}", "/metrics")[1]
    figures = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    assert float(figures['comity_commands_total{command="set"}']) == 1
    assert float(figures["comity_journal_frames_total"]) > 0
    assert float(figures["process_resident_memory_bytes"]) > 1 << 20

    code, rest, err = cluster.end(signal.SIGTERM)
    assert (code, rest, err) == (0, "", "")
    assert cluster.answering() == []


def test_a_node_that_dies_is_reported_with_its_last_words_and_the_others_go_on(cluster: Up) -> None:
    assert cluster.ready_line().startswith("ready ")
    os.kill(cluster.node_process(3), signal.SIGKILL)
    assert cluster.process.stderr is not None
    assert "node 3 ended with code -9" in cluster.process.stderr.readline()
    client = Talk(cluster.base)
    assert client("INCR", "n") == 1
    client.close()
    assert cluster.end(signal.SIGINT)[0] == 1
    assert cluster.answering() == []


def test_nodes_do_not_outlive_an_up_that_is_killed(cluster: Up) -> None:
    assert cluster.ready_line().startswith("ready ")
    cluster.process.kill()
    until("every node gone", lambda: not cluster.answering())


def test_a_port_that_is_taken_ends_up_with_the_reason(tmp_path: Path) -> None:
    base = free_base()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 2))
        taken.listen()
        began = time.monotonic()
        done = subprocess.run(
            [*COMITY, "up", "--base-port", str(base), "--data", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"the Redis port 127.0.0.1:{base + 2} cannot be listened on: Address already in use" in done.stderr
    assert time.monotonic() - began < PATIENCE_S / 2


def test_the_memory_engine_says_that_it_forgets(tmp_path: Path) -> None:
    up = Up(tmp_path / "data", "--engine", "memory", "--nodes", "1")
    try:
        assert up.ready_line().startswith("ready ")
        code, _, err = up.end(signal.SIGTERM)
        assert code == 0
        assert "forgets" in err
    finally:
        up.process.kill()
        up.process.communicate()


def test_keyspaces_are_created_at_the_start_and_said_with_ready(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[keyspaces.bulk]\nreplication = "quorum"\n[keyspaces.bulk.options]\nr = 1\nw = 1\n')
    flags = ("--config", str(file), "--keyspace", "carts=gossip:session", "--keyspace", "chat=chain")
    first = Up(tmp_path / "data", *flags)
    try:
        line = first.ready_line()
        assert " keyspaces=bulk=quorum:eventual,carts=gossip:session,chat=chain:linearizable data=" in line
        for node in range(3):
            client = Talk(first.base + node)
            for name in ("bulk", "carts", "chat"):
                assert client("SET", f"{name}:{node}", "x") == b"OK"
            client.close()
        assert first.end(signal.SIGINT)[0] == 0
    finally:
        first.process.kill()
        first.process.communicate()
    file.write_text("[keyspaces.many]\nreplicas = 4\n")
    flags = ("--config", str(file), "--keyspace", "carts=chain", "--keyspace", "chat=chain")
    second = Up(tmp_path / "data", *flags)
    try:
        assert " keyspaces=carts=gossip:session,chat=chain:linearizable data=" in second.ready_line()
        client = Talk(second.base)
        assert client("SET", "carts:1", "x") == b"OK"
        client.close()
        code, table = status(second)
        assert code == 0
        assert (
            "node 3, keyspace 'carts' of its settings: it is gossip, not chain; nothing was changed" in table
        )
        _, _, err = second.end(signal.SIGINT)
        assert "comity up: keyspace 'carts': it is gossip, not chain; nothing was changed" in err
        assert "comity up: keyspace 'many': 4 replicas were asked for and the cluster has 3 members" in err
        assert "keyspace of the settings failed" in (tmp_path / "data" / "node-2.log").read_text()
    finally:
        second.process.kill()
        second.process.communicate()


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (("--keyspace", "carts"), "keyspace 'carts' is not NAME=REPLICATION"),
        (("--keyspace", "carts=nothing"), "there is no replication 'nothing'"),
        (("--keyspace", "carts=gossip:linearizable"), "gossip is not linearizable: "),
        (("--keyspace", "default=chain"), "the keyspace 'default' is there always"),
        (("--keyspace", "carts=gossip", "--keyspace", "carts=chain"), "names the keyspace 'carts' twice"),
    ],
)
def test_a_keyspace_that_cannot_be_ends_up_before_any_node_starts(
    tmp_path: Path, flags: tuple[str, ...], error: str
) -> None:
    done = subprocess.run(
        [*COMITY, "up", "--data", str(tmp_path / "data"), *flags],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("comity up: ")
    assert error in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()
