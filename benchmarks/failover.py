"""How long no write is acknowledged after kill -9 of the leader, as a client on another node sees it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import redis

from benchmarks.systems import Comity
from comity.console.chaos.cluster import Node, connect

PATIENCE_S = 30.0
CLIENT_TIMEOUT_S = 10.0
REFUSED_PAUSE_S = 0.005


def run(times: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Kill the leader so many times; seconds until the next acknowledged write on a node left."""
    seconds: list[float] = []
    with Comity() as comity:
        comity.start()
        for number in range(times):
            leader = comity.cluster.wait_leader()
            survivor = next(node for node in comity.cluster.nodes if node is not leader)
            seconds.append(_one(leader, survivor, number))
            say(f"  failover {number + 1:2}: {seconds[-1]:.3f} s")
            leader.start()
            comity.cluster.wait_ready()
    return {
        "median_s": statistics.median(seconds),
        "worst_s": max(seconds),
        "best_s": min(seconds),
        "times": seconds,
    }


def _one(leader: Node, survivor: Node, number: int) -> float:
    host, port = survivor.endpoint.host, survivor.endpoint.redis_port
    client = connect(host, port, CLIENT_TIMEOUT_S)
    try:
        client.set("failover", f"before {number}")
        leader.kill()
        killed = time.perf_counter()
        while True:
            try:
                client.set("failover", f"after {number}")
            except redis.RedisError:
                if time.perf_counter() - killed > PATIENCE_S:
                    raise
                time.sleep(REFUSED_PAUSE_S)
            else:
                return time.perf_counter() - killed
    finally:
        client.close()
