"""Real nodes on free ports for the tests: started, spoken to, killed, always cleaned up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import hiredis

PATIENCE_S = 30.0
T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, below those the system hands out by itself."""
    found: list[int] = []
    sockets = []
    port = 11_000 + (os.getpid() * 131) % 18_000
    while len(found) < count:
        port = 11_000 + (port + 1 - 11_000) % 20_000
        candidate = socket.socket()
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            candidate.close()
            continue
        sockets.append(candidate)
        found.append(port)
    for used in sockets:
        used.close()
    return found


def until(what: str, probe: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
    """Ask again and again until the answer is true; fails, with what was waited for, when it never is."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(0.01)


class Talk:
    """One plain connection to a node: sends commands or raw bytes, reads replies."""

    def __init__(self, port: int, timeout_s: float = PATIENCE_S) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.reader = hiredis.Reader()

    def raw(self, data: bytes) -> Any:
        self.socket.sendall(data)
        return self.reply()

    def send(self, *words: str | bytes) -> None:
        encoded = [word.encode() if isinstance(word, str) else word for word in words]
        self.socket.sendall(
            b"*%d\r\n%b" % (len(encoded), b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in encoded))
        )

    def reply(self) -> Any:
        """The next reply; b"" when the node closed the connection."""
        while True:
            answer = self.reader.gets()
            if answer is not False:
                return str(answer) if isinstance(answer, hiredis.ReplyError) else answer
            data = self.socket.recv(1 << 16)
            if not data:
                return b""
            self.reader.feed(data)

    def __call__(self, *words: str | bytes) -> Any:
        self.send(*words)
        return self.reply()

    def close(self) -> None:
        self.socket.close()


class ServedNode:
    """One `comity serve`. Arguments override the flags; None leaves one out."""

    def __init__(self, directory: Path, number: int, ports: tuple[int, int, int], **flags: Any) -> None:
        self.directory = directory
        self.number = number
        self.port, self.peer, self.admin = ports
        self.flags: dict[str, Any] = {
            "node": number,
            "data": directory / f"node-{number}",
            "redis": f"127.0.0.1:{self.port}",
            "peer": f"127.0.0.1:{self.peer}",
            "admin": f"127.0.0.1:{self.admin}",
            **flags,
        }
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.out = directory / f"node-{number}.out"
        self.err = directory / f"node-{number}.err"

    @property
    def data(self) -> Path:
        return Path(self.flags["data"])

    def start(self) -> ServedNode:
        command = [sys.executable, "-m", "comity.console.main", "serve"]
        for name, value in self.flags.items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                command.append(flag)
            elif value is not None:
                command += [flag, str(value)]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **self.environment},
            )
        return self

    def ready(self) -> ServedNode:
        def said() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"node {self.number} ended: {self.err.read_text()[-2000:]}"
            return self.out.read_bytes().startswith(b"ready ")

        until(f"node {self.number} ready", said)
        return self

    def ended(self) -> tuple[int, str]:
        """Wait for the end of a node that cannot run: exit code and what it said on stderr."""
        assert self.process is not None
        code = self.process.wait(PATIENCE_S)
        return code, self.err.read_text()

    def talk(self) -> Talk:
        return Talk(self.port)

    def call(self, *words: str | bytes) -> Any:
        talk = self.talk()
        try:
            return talk(*words)
        finally:
            talk.close()

    def status(self) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/status", timeout=5) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except (OSError, urllib.error.URLError, ValueError):
            return None

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait(PATIENCE_S)

    def stop(self) -> int:
        """A graceful stop; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


class Nodes:
    """Some nodes of one cluster."""

    def __init__(self, directory: Path, count: int, **flags: Any) -> None:
        ports = free_ports(3 * count)
        triples = [(ports[3 * i], ports[3 * i + 1], ports[3 * i + 2]) for i in range(count)]
        self.members = ",".join(
            f"{i + 1}=127.0.0.1:{peer}/127.0.0.1:{redis}" for i, (redis, peer, _) in enumerate(triples)
        )
        self.all = [
            ServedNode(directory, i + 1, triple, members=self.members, **flags)
            for i, triple in enumerate(triples)
        ]

    def leader(self) -> ServedNode:
        """The node that all nodes which answer agree leads."""

        def agreed() -> ServedNode | None:
            found = {
                status["groups"]["default"]["leader"]
                for node in self.all
                if node.process is not None
                and node.process.poll() is None
                and (status := node.status()) is not None
            }
            if len(found) != 1 or not (number := found.pop()):
                return None
            return next((node for node in self.all if node.number == number), None)

        return until("one leader", agreed)

    def follower(self) -> ServedNode:
        leader = self.leader()
        return next(
            node
            for node in self.all
            if node is not leader and node.process is not None and node.process.poll() is None
        )


@contextmanager
def served(directory: Path, count: int = 1, **flags: Any) -> Iterator[Nodes]:
    """Nodes that are ready; killed at the end in any case."""
    nodes = Nodes(directory, count, **flags)
    try:
        for node in nodes.all:
            node.start()
        for node in nodes.all:
            node.ready()
        yield nodes
    finally:
        for node in nodes.all:
            node.kill()


@contextmanager
def one(directory: Path, **flags: Any) -> Iterator[ServedNode]:
    """One node, not started."""
    ports = free_ports(3)
    node = ServedNode(directory, int(flags.pop("node", 1)), (ports[0], ports[1], ports[2]), **flags)
    try:
        yield node
    finally:
        node.kill()
