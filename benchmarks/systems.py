"""The systems compared: each starts its real processes, takes a load, and is stopped for certain."""

from __future__ import annotations

import importlib.metadata
import json
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from benchmarks.load import (
    CACHE,
    Load,
    LoadFailed,
    NotInstalled,
    etcdload,
    etcdload_program,
    redis_benchmark,
)
from benchmarks.machine import first_line_of
from comity.console.chaos.cluster import Cluster, connect
from comity.console.chaos.network import free_ports
from comity.console.chaos.processes import ServerProcess, wait_until

PYSYNCOBJ = "pysyncobj==0.3.17"
NODES = 3


class System:
    """One system under load: started, loaded by row name, asked for its processes, closed."""

    name = ""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"comity-bench-{self.name.split()[0]}-"))
        self.processes: list[ServerProcess] = []

    def version(self) -> str:
        """What it says it is."""
        raise NotImplementedError

    def start(self) -> None:
        """Start every process and wait until it serves; NotInstalled when it is not here."""
        raise NotImplementedError

    def run(self, row: str, operations: int) -> Load | None:
        """Put one row's load on it; None when it has no such operation."""
        raise NotImplementedError

    def pids(self) -> list[int]:
        """The processes of all its servers."""
        return [process.pid for process in self.processes if process.pid is not None]

    def close(self) -> None:
        """Kill every process and remove the data."""
        for process in self.processes:
            process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


REDIS_ROWS = {
    "set64": ("set", 64, 1),
    "get64": ("get", 64, 1),
    "set64p16": ("set", 64, 16),
    "set1": ("set", 1, 1),
    "get1": ("get", 1, 1),
    "incr64": ("incr", 64, 1),
    "mset64": ("mset", 64, 1),
}
"""row -> (redis-benchmark test, clients, pipeline)"""


def _redis_load(address: tuple[str, int], row: str, operations: int) -> Load | None:
    if row not in REDIS_ROWS:
        return None
    test, clients, pipeline = REDIS_ROWS[row]
    return redis_benchmark(address, test, operations, clients, pipeline)


class Comity(System):
    """Three nodes as a user runs them: RocksDB engine, fsync on. The load goes to the leader."""

    name = "comity"

    def __init__(self, nodes: int = NODES, keyspaces: Sequence[str] = ()) -> None:
        super().__init__()
        self.cluster = Cluster(nodes, engine="rocksdb", directory=self.directory, keyspaces=keyspaces)
        self.processes = list(self.cluster.nodes)

    def version(self) -> str:
        """The package's version."""
        return f"comity {importlib.metadata.version('comity')}"

    def start(self) -> None:
        """Start all nodes."""
        self.cluster.start()

    def run(self, row: str, operations: int) -> Load | None:
        """The row's load on the leader; on a follower when the row ends in -follower."""
        leader = self.cluster.wait_leader()
        row, _, where = row.partition("-")
        target = leader
        if where == "follower":
            target = next(node for node in self.cluster.nodes if node is not leader)
        endpoint = target.endpoint
        return _redis_load((endpoint.host, endpoint.redis_port), row, operations)


class Redis(System):
    """One unreplicated Redis that fsyncs every write: a reference, not a peer."""

    name = "redis"

    def version(self) -> str:
        """What redis-server says."""
        found = first_line_of("redis-server", "--version").split()
        return f"Redis {found[2].removeprefix('v=')}" if len(found) > 2 else "Redis"

    def start(self) -> None:
        """With appendonly yes, appendfsync always, no snapshots."""
        if shutil.which("redis-server") is None:
            raise NotInstalled("redis-server (Debian: redis-server)")
        self.port = free_ports(1)[0]
        command = [
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.directory),
        ]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self.processes = [ServerProcess("redis-server", command, self.directory / "log")]
        self.processes[0].start()
        wait_until(self._answers, 15, "redis-server to answer")

    def _answers(self) -> bool:
        self.processes[0].expect_running()
        try:
            with connect("127.0.0.1", self.port, 1.0) as client:
                return bool(client.ping())
        except OSError:
            return False
        except Exception as error:
            if type(error).__module__.startswith("redis."):
                return False
            raise

    def run(self, row: str, operations: int) -> Load | None:
        """The row's load."""
        return _redis_load(("127.0.0.1", self.port), row, operations)


class Etcd(System):
    """Three etcd members with fsync on and their own data directories, loaded through etcd's Go client."""

    name = "etcd"
    rows: ClassVar = {
        "set64": ("put", 64),
        "get64": ("get", 64),
        "set1": ("put", 1),
        "get1": ("get", 1),
    }

    def version(self) -> str:
        """What etcd says."""
        return f"etcd {first_line_of('etcd', '--version').rpartition(' ')[2]}"

    def start(self) -> None:
        """Start three members and wait until they have elected a leader."""
        if shutil.which("etcd") is None:
            raise NotInstalled("etcd (Debian: etcd-server)")
        etcdload_program()
        ports = free_ports(2 * NODES)
        clients, peers = ports[:NODES], ports[NODES:]
        self.endpoints = [f"http://127.0.0.1:{port}" for port in clients]
        cluster = ",".join(f"m{place}=http://127.0.0.1:{port}" for place, port in enumerate(peers))
        for place, (client, peer) in enumerate(zip(clients, peers, strict=True)):
            client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
            command = ["etcd", "--name", f"m{place}", "--data-dir", str(self.directory / f"m{place}")]
            command += ["--listen-client-urls", client_url, "--advertise-client-urls", client_url]
            command += ["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url]
            command += [
                "--initial-cluster",
                cluster,
                "--initial-cluster-state",
                "new",
                "--log-level",
                "error",
            ]
            process = ServerProcess(f"etcd m{place}", command, self.directory / f"m{place}.log")
            self.processes.append(process)
            process.start()
        wait_until(lambda: self.leader() is not None, 30, "etcd to elect a leader")

    def leader(self) -> int | None:
        """The place of the member that leads, as its own metrics say."""
        for place, endpoint in enumerate(self.endpoints):
            try:
                with urllib.request.urlopen(f"{endpoint}/metrics", timeout=2) as answer:
                    if "\netcd_server_is_leader 1" in answer.read().decode():
                        return place
            except OSError:
                continue
        return None

    def run(self, row: str, operations: int) -> Load | None:
        """The row's load on all members in turn, as etcd's client does given all its endpoints; on the
        leader alone when the row ends in -leader."""
        row, _, where = row.partition("-")
        if row not in self.rows:
            return None
        mode, clients = self.rows[row]
        leader = self.leader()
        endpoints = self.endpoints
        if where == "leader" and leader is not None:
            endpoints = [endpoints[leader]]
        return etcdload(endpoints, mode, operations, clients)


class PySyncObj(System):
    """PySyncObj's replicated dict over three processes: in memory, no fsync, and no client between.

    Its processes poll all the time, so they run only while they are measured. A call waits for the
    next batch, sent every 100 ms (its default), so throughput grows with the calls in flight.
    """

    name = "pysyncobj"
    rows: ClassVar = {"set64": 64, "set64p16": 1024, "set1": 1}

    def version(self) -> str:
        """The pinned release."""
        return PYSYNCOBJ.replace("pysyncobj==", "PySyncObj ")

    def start(self) -> None:
        """Find or fetch the package; the processes start with each row."""
        self.packages = CACHE / PYSYNCOBJ.replace("==", "-")
        if not (self.packages / "pysyncobj").is_dir():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            command += ["--no-deps", "--target", str(self.packages), PYSYNCOBJ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            if done.returncode:
                raise NotInstalled(f"{PYSYNCOBJ} (PyPI): {done.stderr.strip()[-200:]}")

    def run(self, row: str, operations: int) -> Load | None:
        """As many calls in flight as the row has clients times pipelined, made in the leader's process."""
        if row not in self.rows:
            return None
        ports = free_ports(NODES)
        program = Path(__file__).parent / "pysyncobj_node.py"
        children = []
        try:
            for port in ports:
                others = [str(other) for other in ports if other != port]
                command = [sys.executable, str(program), str(self.packages), str(port), *others]
                command += ["--calls", str(operations), "--in-flight", str(self.rows[row])]
                children.append(
                    subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                )
            return self._result(children)
        finally:
            for child in children:
                child.kill()
                child.wait()
                if child.stdout is not None:
                    child.stdout.close()

    def _result(self, children: list[subprocess.Popen[str]]) -> Load:
        deadline = time.monotonic() + 120
        outputs = [child.stdout for child in children if child.stdout is not None]
        with selectors.DefaultSelector() as selector:
            for output in outputs:
                selector.register(output, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    line = key.fileobj.readline()  # type: ignore[union-attr]
                    if line:
                        said = json.loads(line)
                        return Load(said["calls"], said["per_second"], said["p50_ms"], said["p99_ms"])
                    selector.unregister(key.fileobj)
        raise LoadFailed("PySyncObj: no result within 120 s")
