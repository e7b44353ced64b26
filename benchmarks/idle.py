"""What a node costs while nothing happens: 1,000 idle connections and 100 idle keyspaces."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from benchmarks.machine import cpu_seconds, resident_bytes
from benchmarks.systems import Comity

SETTLE_S = 3.0


def run(connections: int, groups: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """CPU (percent of one core) and memory of each node of three, all connections on every node."""
    with (
        Comity(keyspaces=[f"idle{number}" for number in range(groups)]) as comity,
        contextlib.ExitStack() as held,
    ):
        comity.start()
        for node in comity.cluster.nodes:
            for _ in range(connections):
                address = (node.endpoint.host, node.endpoint.redis_port)
                client = held.enter_context(socket.create_connection(address, timeout=10))
                client.sendall(b"*1\r\n$4\r\nPING\r\n")
                assert client.recv(64) == b"+PONG\r\n"
        time.sleep(SETTLE_S)
        nodes = {}
        before = {node.number: cpu_seconds([node.pid]) for node in comity.cluster.nodes if node.pid}
        time.sleep(seconds)
        for node in comity.cluster.nodes:
            assert node.pid is not None
            percent = 100 * (cpu_seconds([node.pid]) - before[node.number]) / seconds
            mebibytes = resident_bytes(node.pid) / 2**20
            nodes[node.name] = {"cpu_percent": percent, "rss_mib": mebibytes}
            say(f"  {node.name}: {percent:.1f} % of a core, {mebibytes:.0f} MiB")
    return {
        "connections_per_node": connections,
        "groups": groups,
        "nodes": nodes,
        "cpu_percent": max(node["cpu_percent"] for node in nodes.values()),
        "rss_mib": max(node["rss_mib"] for node in nodes.values()),
    }
