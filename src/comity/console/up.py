"""`comity up`: a local cluster of real processes, in the foreground."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
KEYSPACES_TIMEOUT_S = 15.0


def up(
    nodes: Annotated[int, typer.Option(min=1, max=9, help="How many nodes.")] = 3,
    base_port: Annotated[
        int, typer.Option(min=1, max=65000, help="Redis ports from here; peers +100, admin +200.")
    ] = 7001,
    data: Annotated[Path, typer.Option(help="Where the nodes keep their data.")] = Path("comity-data"),
    engine: Annotated[str, typer.Option(help="rocksdb, or memory, which forgets.")] = "rocksdb",
    keyspaces: Annotated[
        str, typer.Option(help="Raft logs beside 'default', served from the start, comma separated.")
    ] = "",
    keyspace: Annotated[
        list[str] | None,
        typer.Option(
            help="A keyspace to be created if missing: NAME=REPLICATION[:LEVEL]; may be given several times."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with further settings for every node.")
    ] = None,
) -> None:
    """Start nodes 1..N, print a line beginning with 'ready' when all serve, stop them on a signal."""
    if engine == "memory":
        _say("the memory engine forgets everything when it stops")
    _check(keyspace)
    local = LocalCluster(nodes, host, base_port, data, engine, keyspaces, config, keyspace or ())
    raise typer.Exit(local.run())


def _check(keyspaces: list[str] | None) -> None:
    """Say what is wrong once, rather than in the log of every node."""
    if not keyspaces:
        return
    from comity.server.errors import SettingsError
    from comity.server.settings import load

    try:
        load(None, {"keyspace": keyspaces}, {})
    except SettingsError as error:
        _say(str(error).replace(" from the command line", ""))
        raise typer.Exit(2) from None


class LocalCluster:
    """The child processes of one `comity up`."""

    def __init__(
        self,
        nodes: int,
        host: str,
        base_port: int,
        data: Path,
        engine: str,
        keyspaces: str,
        config: Path | None,
        created: Sequence[str] = (),
    ) -> None:
        self.created = created
        self.numbers = range(1, nodes + 1)
        self.host = host
        self.base_port = base_port
        self.data = data
        self.engine = engine
        self.keyspaces = keyspaces
        self.config = config
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self.stopping = False

    def address(self, node: int, offset: int = 0) -> str:
        """host:port of a node; offset 0 Redis, 100 peers, 200 admin."""
        return f"{self.host}:{self.base_port + offset + node - 1}"

    def log(self, node: int) -> Path:
        """Where a node's log goes."""
        return self.data / f"node-{node}.log"

    def run(self) -> int:
        """Until a signal, or until a node dies; the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        try:
            self.data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _say(f"{self.data} cannot be created: {error.strerror}; choose another with --data")
            return 2
        try:
            for node in self.numbers:
                self._start(node)
            if not self._wait_ready():
                return 0 if self.stopping else 1
            self._say_ready(self._wait_keyspaces())
            return self._watch()
        finally:
            self._stop()

    def _on_signal(self, number: int, frame: object) -> None:
        self.stopping = True

    def _start(self, node: int) -> None:
        members = ",".join(f"{n}={self.address(n, 100)}/{self.address(n)}" for n in self.numbers)
        command = [sys.executable, "-m", "comity.console.main", "serve", "--node", str(node)]
        command += ["--data", str(self.data / f"node-{node}"), "--engine", self.engine, "--members", members]
        command += ["--redis", self.address(node), "--peer", self.address(node, 100)]
        command += ["--admin", self.address(node, 200), "--stop-with-stdin"]
        if self.keyspaces:
            command += ["--keyspaces", self.keyspaces]
        for keyspace in self.created:
            command += ["--keyspace", keyspace]
        if self.config is not None:
            command += ["--config", str(self.config)]
        with self.log(node).open("ab") as log:
            self.children[node] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def _wait_ready(self) -> bool:
        deadline = time.monotonic() + READY_TIMEOUT_S
        waiting = list(self.numbers)
        while waiting and not self.stopping:
            if self._report_dead():
                return False
            waiting = [node for node in waiting if not self._healthy(node)]
            if time.monotonic() > deadline:
                _say(f"not ready within {READY_TIMEOUT_S:g} s: nodes {waiting}")
                return False
            if waiting:
                time.sleep(0.02)
        return not self.stopping

    def _healthy(self, node: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address(node, 200)}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _wait_keyspaces(self) -> dict[str, str]:
        """Wait until every node serves the keyspaces of the settings; {name: replication:level} of those it
        does. What is wrong with the others is said."""
        deadline = time.monotonic() + KEYSPACES_TIMEOUT_S
        while True:
            found = [each for node in self.numbers for each in self._settled(node).items()]
            said = dict(found)
            # Who cannot be created is known to the leader alone.
            errors = {name: each["error"] for name, each in found if each["error"]}
            late = {name: "not created yet, see /status" for name, each in found if each["state"] != "active"}
            late = {name: reason for name, reason in late.items() if name not in errors}
            if not late or self.stopping or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        for name, reason in {**errors, **late}.items():
            _say(f"keyspace {name!r}: {reason}")
        return {
            name: f"{each['replication']}:{each['level']}"
            for name, each in said.items()
            if each["state"] == "active"
        }

    def _settled(self, node: int) -> dict[str, dict[str, str]]:
        """What a node says of the keyspaces of its settings."""
        try:
            with urllib.request.urlopen(f"http://{self.address(node, 200)}/status", timeout=5) as answer:
                status: dict[str, Any] = json.load(answer)
        except (OSError, urllib.error.URLError, ValueError):
            return {}
        settings: dict[str, dict[str, str]] = status["catalogue"]["settings"]
        return settings

    def _say_ready(self, keyspaces: dict[str, str]) -> None:
        parts = (("redis", 0), ("peer", 100), ("admin", 200))
        said = " ".join(
            f"{name}={','.join(self.address(node, offset) for node in self.numbers)}"
            for name, offset in parts
        )
        if keyspaces:
            said += " keyspaces=" + ",".join(f"{name}={kind}" for name, kind in keyspaces.items())
        print(f"ready {said} data={self.data}", flush=True)  # noqa: T201

    def _watch(self) -> int:
        dead: set[int] = set()
        while not self.stopping:
            for node, child in self.children.items():
                if child.poll() is not None and node not in dead:
                    dead.add(node)
                    self._tell(node, child.returncode)
            if len(dead) == len(self.children):
                return 1
            time.sleep(0.1)
        return 1 if dead else 0

    def _report_dead(self) -> bool:
        for node, child in self.children.items():
            if child.poll() is not None:
                self._tell(node, child.returncode)
                return True
        return False

    def _tell(self, node: int, code: int) -> None:
        try:
            tail = self.log(node).read_text(errors="replace").splitlines()[-5:]
        except OSError:
            tail = []
        shown = "".join(f"\n    {line}" for line in tail)
        _say(f"node {node} ended with code {code}; the end of {self.log(node)}:{shown}")

    def _stop(self) -> None:
        for child in self.children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for node, child in self.children.items():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _say(f"node {node} did not stop in {STOP_TIMEOUT_S:g} s; killed")
                child.kill()
                child.wait()


def _say(text: str) -> None:
    print(f"comity up: {text}", file=sys.stderr)  # noqa: T201
