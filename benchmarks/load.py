"""Load generators: redis-benchmark for comity and Redis, etcd's own Go client for etcd."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

VALUE_BYTES = 256
KEYS = 10_000
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "comity-benchmarks"
ETCDLOAD_SOURCE = Path(__file__).parent / "etcdload" / "main.go"
DEBIAN_GO_LIBRARIES = Path("/usr/share/gocode")


class LoadFailed(RuntimeError):
    """A load generator did not do what it was asked; the text is what it said."""


class NotInstalled(RuntimeError):
    """A program of the comparison is not here; the text names it and says how to get it."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a load generator measured."""

    operations: int
    per_second: float
    p50_ms: float
    p99_ms: float


def redis_benchmark(
    address: tuple[str, int], test: str, operations: int, clients: int = 64, pipeline: int = 1
) -> Load:
    """redis-benchmark -t test with 256-byte values over 10,000 random keys."""
    return _redis_benchmark(address, ["-t", test], [], operations, clients, pipeline)


def redis_benchmark_command(
    address: tuple[str, int], words: list[str], operations: int, clients: int = 64, pipeline: int = 1
) -> Load:
    """redis-benchmark of a command of one's own; __rand_int__ in it is one of 10,000 numbers. A reply that is
    an error fails."""
    return _redis_benchmark(address, ["-e"], words, operations, clients, pipeline)


def _redis_benchmark(
    address: tuple[str, int],
    options: list[str],
    words: list[str],
    operations: int,
    clients: int,
    pipeline: int,
) -> Load:
    if shutil.which("redis-benchmark") is None:
        raise NotInstalled("redis-benchmark (Debian: redis-tools)")
    host, port = address
    command = ["redis-benchmark", "-h", host, "-p", str(port), *options, "-n", str(operations)]
    command += ["-c", str(clients), "-P", str(pipeline), "-d", str(VALUE_BYTES), "-r", str(KEYS), "--csv"]
    command += words
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    rows = [line for line in done.stdout.splitlines() if line.startswith('"')]
    if done.returncode or len(rows) < 2:
        said = (done.stderr + done.stdout).strip()[-500:]
        raise LoadFailed(f"{' '.join(command)}: exit code {done.returncode}: {said}")
    measured = list(csv.DictReader(io.StringIO("\n".join(rows))))[-1]
    return Load(
        operations,
        float(measured["rps"]),
        float(measured["p50_latency_ms"]),
        float(measured["p99_latency_ms"]),
    )


def etcdload_program() -> Path:
    """The built generator, in a cache; built when missing or older than its source."""
    program = CACHE / "etcdload" / "etcdload"
    if program.exists() and program.stat().st_mtime > ETCDLOAD_SOURCE.stat().st_mtime:
        return program
    if shutil.which("go") is None:
        raise NotInstalled("go, to build etcd's load generator (Debian: golang-go)")
    if not (DEBIAN_GO_LIBRARIES / "src/go.etcd.io/etcd/clientv3").is_dir():
        raise NotInstalled("etcd's Go client (Debian: golang-etcd-server-dev)")
    source = program.parent / "src" / "etcdload"
    source.mkdir(parents=True, exist_ok=True)
    shutil.copy(ETCDLOAD_SOURCE, source / "main.go")
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": f"{program.parent}:{DEBIAN_GO_LIBRARIES}"}
    built = subprocess.run(
        ["go", "build", "-o", str(program), "etcdload"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if built.returncode:
        raise NotInstalled(f"etcd's load generator did not build: {built.stderr.strip()[-500:]}")
    return program


def etcdload(endpoints: list[str], mode: str, operations: int, clients: int = 64) -> Load:
    """Load by etcd's own client: mode put, get (linearizable) or sget; 16 connections for 64 clients."""
    connections = min(16, clients)
    command = [str(etcdload_program()), "-eps", ",".join(endpoints), "-mode", mode, "-clients", str(clients)]
    command += ["-conns", str(connections), "-n", str(operations), "-size", str(VALUE_BYTES)]
    command += ["-keys", str(KEYS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found = re.search(r"ops=(\d+) ops/s=(\d+) p50=(\S+) p99=(\S+)", done.stdout)
    if done.returncode or found is None:
        raise LoadFailed(
            f"etcdload {mode}: exit code {done.returncode}: {(done.stderr + done.stdout)[-500:]}"
        )
    return Load(int(found[1]), float(found[2]), go_duration_ms(found[3]), go_duration_ms(found[4]))


def go_duration_ms(text: str) -> float:
    """A duration as Go prints it ("1m2.5s", "17.097004ms", "814.5µs") in milliseconds."""
    units = {"h": 3_600_000.0, "m": 60_000.0, "s": 1000.0, "ms": 1.0, "µs": 1e-3, "us": 1e-3, "ns": 1e-6}
    parts = re.findall(r"([\d.]+)(ms|µs|us|ns|h|m|s)", text)
    return sum(float(number) * units[unit] for number, unit in parts)
