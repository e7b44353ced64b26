"""How long it takes to be ready: an empty directory, one with a million keys, and the import alone."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import hiredis

from benchmarks.load import VALUE_BYTES
from benchmarks.systems import Comity
from comity.console.chaos.cluster import Node
from comity.console.chaos.processes import wait_until

KEYS_PER_REQUEST = 100
REQUESTS_IN_FLIGHT = 50
EMPTY_STARTS = 5
FULL_STARTS = 3
IMPORT = "import time; began = time.perf_counter(); import comity; print(time.perf_counter() - began)"


def imports(times: int = 9) -> dict[str, Any]:
    """Median seconds of `import comity` in a new interpreter, the interpreter's own start left out."""
    seconds = []
    for _ in range(times):
        done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
        seconds.append(float(done.stdout))
    return {"median_s": statistics.median(seconds), "times": seconds}


def run(keys: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Seconds from starting the process of a one-node cluster to its first answered write."""
    empties = [_empty() for _ in range(EMPTY_STARTS)]
    say(f"  empty directory: ready in {statistics.median(empties):.2f} s (median of {EMPTY_STARTS})")
    with Comity(nodes=1) as comity:
        node = comity.cluster.nodes[0]
        _start(node)
        began = time.perf_counter()
        fill(node, keys)
        say(f"  {keys:,} keys of {VALUE_BYTES} bytes written in {time.perf_counter() - began:.1f} s")
        node.stop()
        stopped = [_start(node)]
        for _ in range(FULL_STARTS - 1):
            node.stop()
            stopped.append(_start(node))
        say(f"  {keys:,} keys, stopped gracefully: ready in {statistics.median(stopped):.2f} s")
        fill(node, keys // 20)
        node.kill()
        killed = _start(node)
        say(f"  {keys:,} keys, killed with -9 after {keys // 20:,} more writes: ready in {killed:.2f} s")
        with node.client() as client:
            found = int(client.dbsize())
        assert found == keys, f"{found} keys found instead of {keys}"
    return {
        "empty_s": statistics.median(empties),
        "full_s": statistics.median(stopped),
        "full_after_kill_s": killed,
        "keys": keys,
        "empty_times": empties,
        "full_times": stopped,
    }


def _empty() -> float:
    with Comity(nodes=1) as comity:
        return _start(comity.cluster.nodes[0])


def _start(node: Node) -> float:
    began = time.perf_counter()
    node.start()

    def answers() -> bool:
        node.expect_running()
        if not node.healthy():
            return False
        with node.client(timeout_s=5.0) as client:
            return bool(client.set("started", "yes"))

    wait_until(answers, 120, "the node to be ready", pause_s=0.005)
    return time.perf_counter() - began


def fill(node: Node, keys: int) -> None:
    """Write that many keys, `started` among them, in MSETs of 100 with many in flight."""
    address = (node.endpoint.host, node.endpoint.redis_port)
    reader = hiredis.Reader()
    waiting = 0
    with socket.create_connection(address, timeout=60) as connection:

        def take(until: int) -> None:
            nonlocal waiting
            while waiting > until:
                reader.feed(connection.recv(1 << 16))
                while (reply := reader.gets()) is not False:
                    if isinstance(reply, Exception):
                        raise reply
                    waiting -= 1

        for start in range(1, keys, KEYS_PER_REQUEST):
            numbers = range(start, min(start + KEYS_PER_REQUEST, keys))
            pairs = [part for number in numbers for part in (f"key:{number:010d}", "x" * VALUE_BYTES)]
            request: tuple[Any, ...] = ("MSET", *pairs)
            connection.sendall(hiredis.pack_command(request))
            waiting += 1
            take(REQUESTS_IN_FLIGHT)
        take(0)
