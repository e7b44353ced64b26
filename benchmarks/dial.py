"""Every kind of keyspace on one cluster, beside etcd: SET and GET, and how reads grow with the nodes asked.

The clients are spread over all nodes, as etcd's are over its endpoints: what needs a leader pays for the way
there. The read rows ask one, two and three nodes, with the same number of clients in all. Where all nodes and
the load share few cores, that cannot grow; so each of these rows has another beside it, where what was read
is divided by the processor time of the node that used most of it: what nodes with a machine each could give.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from benchmarks.load import KEYS, VALUE_BYTES, Load, NotInstalled, redis_benchmark_command
from benchmarks.machine import cpu_seconds
from benchmarks.systems import Comity, Etcd, System
from benchmarks.throughput import Cell
from comity.simulator.trials import TRIALS

CLIENTS = 64
TITLES = {
    "dial-set64": "SET by kind of keyspace, 64 clients over all nodes",
    "dial-get64": "GET by kind of keyspace (at its level), 64 clients over all nodes",
    "reads-chain": "GET from a chain (CRAQ, linearizable), 64 clients on 1, 2 or 3 nodes",
    "reads-chain-each": "The same, for each second of the processor of the busiest node",
    "reads-session": "GET from raft at session level, 64 clients on 1, 2 or 3 nodes",
    "reads-session-each": "The same, for each second of the processor of the busiest node",
}
SESSION = "raft-session"
FIRST_GUESS = 1500
SHORTEST_S = 0.01
"""Processor time is counted in ticks of this."""


class _Dial:
    """One cluster with a keyspace of every kind, and etcd if it is here."""

    def __init__(self, say: Callable[[str], None], seconds: float) -> None:
        self.say = say
        self.seconds = seconds
        self.rates: dict[tuple[str, str], float] = {}
        self.cells: dict[str, dict[str, Cell]] = {name: {} for name in TITLES}
        self.kinds = list(TRIALS)

    def create(self, comity: Comity) -> None:
        """The keyspaces."""
        with comity.cluster.node(1).client(10.0) as client:
            for trial in TRIALS.values():
                words = trial.create({}, 0)
                words[2] = trial.name
                client.execute_command(*words)
            client.execute_command(
                "KEYSPACE", "CREATE", SESSION, "REPLICATION", "raft", "CONSISTENCY", "session"
            )

    def one(self, row: str, system: str, run: Callable[[int], Load], pids: list[int], measured: bool) -> None:
        """One run of one cell."""
        rate = self.rates.get((row, system), FIRST_GUESS)
        operations = max(CLIENTS * 3, int(rate * (self.seconds if measured else 1.0)))
        os.sync()
        before = [cpu_seconds([pid]) for pid in pids]
        load = run(operations)
        used = [cpu_seconds([pid]) - already for pid, already in zip(pids, before, strict=True)]
        self.rates[row, system] = load.per_second
        self.say(
            f"  {row:14} {system:22} {load.per_second:>10,.0f}/s  p50 {load.p50_ms:8.3f} ms"
            f"{'' if measured else '  (not counted)'}"
        )
        if measured:
            cell = self.cells[row].setdefault(system, Cell())
            cell.loads.append(load)
            cell.cpu_s_per_100k.append(sum(used) * 100_000 / load.operations)
            each = self.cells.get(f"{row}-each")
            if each is not None:
                cell = each.setdefault(system, Cell())
                busiest = max(*used, SHORTEST_S)
                cell.loads.append(Load(load.operations, load.operations / busiest, load.p50_ms, load.p99_ms))
                cell.cpu_s_per_100k.append(busiest * 100_000 / load.operations)


def _spread(comity: Comity, words: list[str], nodes: int, operations: int) -> Load:
    """The same load on several nodes at once, the clients divided among them."""
    chosen = comity.cluster.nodes[:nodes]
    with ThreadPoolExecutor(len(chosen)) as pool:
        loads = list(
            pool.map(
                lambda node: redis_benchmark_command(
                    (node.endpoint.host, node.endpoint.redis_port),
                    words,
                    operations // len(chosen),
                    CLIENTS // len(chosen),
                ),
                chosen,
            )
        )
    done = sum(load.operations for load in loads)
    return Load(
        done,
        sum(load.per_second for load in loads),
        statistics.fmean(load.p50_ms for load in loads),
        max(load.p99_ms for load in loads),
    )


def run(rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Summaries by row and system, as the other rows have it; etcd is left out where it is not installed."""
    dial = _Dial(say, seconds)
    value = "x" * VALUE_BYTES
    with Comity() as comity, Etcd() as etcd:
        comity.start()
        dial.create(comity)
        beside: list[System] = []
        try:
            etcd.start()
            beside.append(etcd)
        except NotInstalled as missing:
            say(f"skipped: etcd: not installed: {missing}")
        for name in (*dial.kinds, SESSION):
            _spread(comity, ["SET", f"{name}:__rand_int__", value], 3, 3 * KEYS // 2)
        for number in range(rounds + 1):
            say(f"round {number} of {rounds}" if number else "warming up")
            measured = number > 0
            kinds = dial.kinds[number % len(dial.kinds) :] + dial.kinds[: number % len(dial.kinds)]
            for row, command in (("dial-set64", "SET"), ("dial-get64", "GET")):
                for kind in kinds:
                    words = [command, f"{kind}:__rand_int__", *([value] if command == "SET" else [])]
                    dial.one(row, kind, partial(_spread, comity, words, 3), comity.pids(), measured)
                for system in beside:
                    name = row.removeprefix("dial-")
                    dial.one(row, "etcd", partial(_load, system, name), system.pids(), measured)
            for row, name in (("reads-chain", "chain"), ("reads-session", SESSION)):
                for nodes in (1, 2, 3):
                    words = ["GET", f"{name}:__rand_int__"]
                    label = f"{nodes} node{'s' if nodes > 1 else ''}"
                    dial.one(row, label, partial(_spread, comity, words, nodes), comity.pids(), measured)
    return {
        row: {system: cell.summary() for system, cell in cells.items()} for row, cells in dial.cells.items()
    }


def _load(system: System, row: str, operations: int) -> Load:
    load = system.run(row, operations)
    assert load is not None
    return load
