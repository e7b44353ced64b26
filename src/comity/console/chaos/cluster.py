"""A cluster of real `comity serve` processes, each with a data directory, ports and a log of its own."""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from comity.console.chaos.network import Endpoint, Loopback, Network
from comity.console.chaos.processes import ProcessFailed, ServerProcess, wait_until


class NotConverged(RuntimeError):
    """The nodes did not become ready, catch up or agree in the time given."""


class Node(ServerProcess):
    """One node of a cluster."""

    def __init__(self, endpoint: Endpoint, command: Sequence[str], log: Path, data: Path) -> None:
        super().__init__(f"node {endpoint.node}", command, log)
        self.endpoint = endpoint
        self.data = data

    @property
    def number(self) -> int:
        """The node's number, from 1."""
        return self.endpoint.node

    def ask(self, path: str, timeout_s: float = 1.0) -> tuple[int, bytes] | None:
        """GET from the admin port: (HTTP status, body), or None when it does not answer."""
        connection = http.client.HTTPConnection(
            self.endpoint.host, self.endpoint.admin_port, timeout=timeout_s
        )
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def healthy(self) -> bool:
        """Whether the node says that it serves."""
        answer = self.ask("/health")
        return answer is not None and answer[0] == 200

    def status(self) -> dict[str, Any] | None:
        """What /status says, or None when it does not answer."""
        answer = self.ask("/status")
        if answer is None or answer[0] != 200:
            return None
        try:
            status = json.loads(answer[1])
        except ValueError:
            return None
        return status if isinstance(status, dict) else None

    def client(self, timeout_s: float = 5.0) -> redis.Redis:
        """A stock client of this node that never retries by itself."""
        return connect(self.endpoint.host, self.endpoint.redis_port, timeout_s)


def connect(host: str, port: int, timeout_s: float) -> redis.Redis:
    """A stock redis-py client with one connection and no retries: what it reports is what happened."""
    return redis.Redis(
        host=host,
        port=port,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, 2.0),
        single_connection_client=False,
        max_connections=1,
        retry=Retry(NoBackoff(), 0),
    )


def serve_command(
    endpoint: Endpoint, members: Sequence[Endpoint], data: Path, engine: str, keyspaces: Sequence[str] = ()
) -> list[str]:
    """The command line of one node."""
    peers = ",".join(f"{member.node}={member.peer_address}/{member.redis_address}" for member in members)
    return [
        *(sys.executable, "-m", "comity.console.main", "serve"),
        *("--node", str(endpoint.node)),
        *("--data", str(data)),
        *("--engine", engine),
        *("--redis", endpoint.redis_address),
        *("--peer", endpoint.peer_address),
        *("--admin", endpoint.admin_address),
        *("--members", peers),
        *(("--keyspaces", ",".join(keyspaces)) if keyspaces else ()),
    ]


class Cluster:
    """Nodes 1..N as child processes. Use as a context manager: whatever happens, nothing runs on.

    directory: holds node-N/ (data) and node-N.log; a temporary one by default, removed at the end
    unless `keep` was set meanwhile.
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        network: Network | None = None,
        engine: str = "rocksdb",
        directory: Path | None = None,
        keyspaces: Sequence[str] = (),
    ) -> None:
        numbers = range(1, nodes + 1)
        self.network: Network = network or Loopback(numbers)
        self.keep = directory is not None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="comity-cluster-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.endpoints = [self.network.endpoint(node) for node in numbers]
        self.nodes = [self._node(endpoint, engine, keyspaces) for endpoint in self.endpoints]

    def _node(self, endpoint: Endpoint, engine: str, keyspaces: Sequence[str]) -> Node:
        data = self.directory / f"node-{endpoint.node}"
        log = self.directory / f"node-{endpoint.node}.log"
        command = serve_command(endpoint, self.endpoints, data, engine, keyspaces)
        return Node(endpoint, self.network.command_prefix(endpoint.node) + command, log, data)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def node(self, number: int) -> Node:
        """Node by number."""
        return self.nodes[number - 1]

    @property
    def quorum(self) -> int:
        """How many nodes are a majority."""
        return len(self.nodes) // 2 + 1

    def start(self, timeout_s: float = 30.0) -> None:
        """Start every node and wait until all serve."""
        for node in self.nodes:
            node.start()
        self.wait_ready(timeout_s)

    def wait_ready(self, timeout_s: float = 30.0, nodes: Iterable[Node] | None = None) -> None:
        """Wait until the nodes (all by default) say that they serve; NotConverged when they do not."""
        waited = list(nodes if nodes is not None else self.nodes)

        def ready() -> bool:
            for node in waited:
                node.expect_running()
            return all(node.healthy() for node in waited)

        try:
            wait_until(ready, timeout_s, "")
        except TimeoutError:
            said = [f"{node.name}: {(node.ask('/health') or (0, b'no answer'))[1]!r}" for node in waited]
            raise NotConverged(f"not ready within {timeout_s:g} s; {'; '.join(said)}") from None

    def leader(self, group: str = "default") -> Node | None:
        """The node that leads in the highest term any node that answers knows of, if it still runs."""
        best: tuple[int, int] | None = None
        for node in self.nodes:
            if not node.running or node.paused:
                continue
            state = ((node.status() or {}).get("groups") or {}).get(group) or {}
            if state.get("leader"):
                claim = (int(state.get("term") or 0), int(state["leader"]))
                best = max(best, claim) if best else claim
        return self.node(best[1]) if best and 1 <= best[1] <= len(self.nodes) else None

    def wait_leader(self, timeout_s: float = 15.0) -> Node:
        """The leader, once there is one that runs."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            leader = self.leader()
            if leader is not None and leader.running and not leader.paused:
                return leader
            time.sleep(0.02)
        raise NotConverged(f"no leader within {timeout_s:g} s")

    def restore(self) -> None:
        """Undo every fault: links whole, paused nodes running, dead nodes started."""
        self.network.heal()
        for node in self.nodes:
            node.resume()
            node.start()

    def digests(self, timeout_s: float = 60.0) -> dict[int, tuple[int, str]]:
        """The state digest of every node at one index: node -> (applied index, hex digest).

        The cluster must be quiet. Raises NotConverged when the indices do not meet in time, naming them.
        """
        deadline = time.monotonic() + timeout_s
        found: dict[int, tuple[int, str]] = {}
        trouble = ""
        while time.monotonic() < deadline:
            try:
                found = {node.number: self._digest(node) for node in self.nodes}
                trouble = ""
            except redis.RedisError as error:
                trouble = f" ({type(error).__name__}: {error})"
            else:
                if len({index for index, _ in found.values()}) == 1:
                    return found
            time.sleep(0.1)
        indices = ", ".join(f"node {number} at {index}" for number, (index, _) in sorted(found.items()))
        raise NotConverged(f"the nodes did not reach one index within {timeout_s:g} s: {indices}{trouble}")

    @staticmethod
    def _digest(node: Node) -> tuple[int, str]:
        with node.client(timeout_s=30.0) as client:
            index, digest = client.execute_command("COMITY.DIGEST")
            return int(index), digest.decode() if isinstance(digest, bytes) else str(digest)

    def stop(self) -> list[str]:
        """Stop every node gracefully; what went wrong, node by node."""
        self.restore_paused()
        troubles = []
        for node in self.nodes:
            if not node.running:
                continue
            try:
                code = node.stop()
            except ProcessFailed as failure:
                troubles.append(str(failure))
            else:
                if code != 0:
                    troubles.append(f"{node.name} stopped with exit code {code}\n{node.tail()}")
        return troubles

    def restore_paused(self) -> None:
        """SIGCONT whatever is paused."""
        for node in self.nodes:
            node.resume()

    def close(self) -> None:
        """Kill what still runs, remove the network and, unless kept, the directory."""
        for node in self.nodes:
            node.kill()
        self.network.close()
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)
