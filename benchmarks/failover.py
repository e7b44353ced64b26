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
    """Seconds until the next acknowledged write on a node left, so many times.

    killed: kill -9, where the system closes the leader's connections and the others notice at once.
    silent: SIGSTOP, where nothing closes and only silence tells, as when a machine dies.
    """
    killed: list[float] = []
    silent: list[float] = []
    with Comity() as comity:
        comity.start()
        for number in range(times):
            leader, survivor = _pair(comity)
            killed.append(_one(leader.kill, survivor, f"killed {number}"))
            say(f"  kill -9 {number + 1:2}: {killed[-1]:.3f} s")
            leader.start()
            comity.cluster.wait_ready()
        for number in range(max(1, times // 2)):
            leader, survivor = _pair(comity)
            silent.append(_one(leader.pause, survivor, f"silent {number}"))
            say(f"  SIGSTOP {number + 1:2}: {silent[-1]:.3f} s")
            leader.resume()
            comity.cluster.wait_ready()
    return _summary(killed) | {"silent": _summary(silent)}


def _summary(seconds: list[float]) -> dict[str, Any]:
    return {
        "median_s": statistics.median(seconds),
        "worst_s": max(seconds),
        "best_s": min(seconds),
        "times": seconds,
    }


def _pair(comity: Comity) -> tuple[Node, Node]:
    """The leader and another node, whose client will not be cut off."""
    leader = comity.cluster.wait_leader()
    return leader, next(node for node in comity.cluster.nodes if node is not leader)


def _one(strike: Callable[[], None], survivor: Node, name: str) -> float:
    host, port = survivor.endpoint.host, survivor.endpoint.redis_port
    client = connect(host, port, CLIENT_TIMEOUT_S)
    try:
        client.set("failover", f"before {name}")
        strike()
        struck = time.perf_counter()
        while True:
            try:
                client.set("failover", f"after {name}")
            except redis.RedisError:
                if time.perf_counter() - struck > PATIENCE_S:
                    raise
                time.sleep(REFUSED_PAUSE_S)
            else:
                return time.perf_counter() - struck
    finally:
        client.close()
