"""A keyspace of every kind on one cluster: each driven by stock clients, each judged at its stated level."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from comity.checkers import Analysis, Limits, Status, analyse
from comity.checkers.history import History, Outcome
from comity.checkers.inputs import write_history
from comity.checkers.models import LEVELS
from comity.checkers.recorder import Recorder
from comity.console.chaos.cluster import Cluster, NotConverged, connect
from comity.console.chaos.levels import LevelClient
from comity.console.chaos.outcomes import outcome_of
from comity.simulator.trials import TRIALS, Trial

CLIENTS = 3
PACE_S = 0.03
TIMEOUT_S = 7.0
CHECK_LIMIT_NS = 60_000_000_000
CREATE_PATIENCE_S = 30.0
CONVERGE_PATIENCE_S = 60.0

MODELS = {
    "linearizable": ("linearizable",),
    "causal": LEVELS["causal"],
    "eventual": ("eventual",),
}
"""Level of a keyspace -> what a history of its clients must be."""


class Counting(threading.Thread):
    """Counts up a counter of its own in a keyspace that may lose acknowledged writes: how many?"""

    def __init__(self, trial: Trial, number: int, addresses: Sequence[tuple[str, int]], seed: int) -> None:
        super().__init__(name=f"{trial.name} counter {number}", daemon=True)
        self.key = f"{trial.name}:counter{number}"
        self.acknowledged = 0
        self.unknown = 0
        self.error: Exception | None = None
        self._addresses = list(addresses)
        self._draw = random.Random(f"{trial.name} counter {number} {seed}")
        self._finish = threading.Event()

    def run(self) -> None:
        """The thread's body: one connection after another."""
        try:
            while not self._finish.is_set():
                host, port = self._draw.choice(self._addresses)
                with connect(host, port, TIMEOUT_S) as client:
                    while not self._finish.is_set() and self._one(client):
                        self._finish.wait(self._draw.expovariate(1 / PACE_S))
                self._finish.wait(PACE_S)
        except Exception as error:  # noqa: BLE001 - handed to the caller, who reports it
            self.error = error

    def _one(self, client: redis.Redis) -> bool:
        try:
            client.incr(self.key)
        except redis.RedisError as error:
            if outcome_of(error) is not Outcome.FAIL:
                self.unknown += 1
            return False
        self.acknowledged += 1
        return True

    def finish(self) -> None:
        """End after the operation under way."""
        self._finish.set()


class Dial:
    """All kinds of keyspace: their clients, their histories, and what is said of them."""

    def __init__(self, addresses: Sequence[tuple[str, int]], seed: int) -> None:
        self.addresses = list(addresses)
        self.trials = list(TRIALS.values())
        self.recorders = {trial.name: Recorder() for trial in self.trials}
        self._clients: list[LevelClient | Counting] = []
        for trial in self.trials:
            for number in range(CLIENTS):
                self._clients.append(
                    LevelClient(
                        "",
                        number,
                        addresses,
                        self.recorders[trial.name],
                        seed,
                        prefix=f"{trial.name}:key-",
                        timeout_s=TIMEOUT_S,
                    )
                )
            if trial.loses:
                self._clients += [Counting(trial, number, addresses, seed) for number in range(CLIENTS)]

    def create(self) -> None:
        """Create every keyspace. Raises `NotConverged` where one is not there in time."""
        host, port = self.addresses[0]
        deadline = time.monotonic() + CREATE_PATIENCE_S
        with connect(host, port, 10.0) as client:
            for trial in self.trials:
                words = trial.create({}, 0)
                words[2] = trial.name
                while True:
                    try:
                        client.execute_command(*words)
                    except redis.RedisError as error:
                        if "there is a keyspace" in str(error):
                            break
                        if time.monotonic() > deadline:
                            raise NotConverged(f"keyspace {trial.name} was not created: {error}") from None
                        time.sleep(0.2)
                    else:
                        break

    def start(self) -> None:
        """Let the clients begin."""
        for client in self._clients:
            client.start()

    def finish(self) -> None:
        """Let every client end; raises what a client raised, if any did."""
        for client in self._clients:
            client.finish()
        for client in self._clients:
            if client.ident is not None:
                client.join()
            if client.error is not None:
                raise client.error

    def histories(self) -> dict[str, History]:
        """What was recorded, by keyspace."""
        return {name: recorder.history() for name, recorder in self.recorders.items()}

    def save(self, history_file: Path) -> dict[str, Path]:
        """Write each beside the main history, for `comity check`."""
        paths = {}
        for name, history in self.histories().items():
            paths[name] = history_file.with_name(f"{history_file.stem}-{name}.jsonl")
            write_history(history, paths[name])
        return paths

    # -- what came of it

    def apart(self, cluster: Cluster) -> list[str]:
        """Keyspaces whose replicas do not come to hold the same, though nothing is wrong any more."""
        problems = []
        deadline = time.monotonic() + CONVERGE_PATIENCE_S
        for trial in self.trials:
            if not trial.converges:
                continue
            found: dict[int, str] = {}
            while True:
                try:
                    found = {node.number: _digest(node.client(10.0), trial.name) for node in cluster.nodes}
                except redis.RedisError as error:
                    found = {0: str(error), 1: ""}
                if len(set(found.values())) == 1 or time.monotonic() > deadline:
                    break
                time.sleep(0.3)
            if len(set(found.values())) != 1:
                each = ", ".join(f"node {number}: {digest[:40]}" for number, digest in found.items())
                problems.append(f"keyspace {trial.name}: the replicas differ in the end: {each}")
        return problems

    def losses(self) -> tuple[list[str], dict[str, str]]:
        """Of keyspaces that may lose acknowledged writes: (promises broken, what was lost in words)."""
        problems: list[str] = []
        told: dict[str, str] = {}
        counters = [client for client in self._clients if isinstance(client, Counting)]
        for trial in self.trials:
            if not trial.loses:
                continue
            host, port = self.addresses[0]
            lost = acknowledged = 0
            with connect(host, port, 10.0) as client:
                info = _info(client, trial.name)
                for counter in counters:
                    value = int(client.get(counter.key) or 0)
                    lost += max(0, counter.acknowledged - value)
                    acknowledged += counter.acknowledged
                    if value > counter.acknowledged + counter.unknown:
                        problems.append(f"{counter.key} is {value}, more than was ever asked for")
            failovers = info["epoch"] - 1
            bound = info["loss_bound_entries"]
            words = f"{acknowledged:,} acknowledged INCRs, {lost} lost in {failovers} changes of view"
            told[trial.name] = f"{words}; stated: at most {bound} entries each" if bound else words
            if bound and lost > bound * max(1, failovers) * CLIENTS:
                problems.append(f"keyspace {trial.name} lost more than it states: {told[trial.name]}")
        return problems, told


def judge_dial(histories: dict[str, History]) -> dict[str, Analysis]:
    """What each keyspace's history turns out to be, asked for what the keyspace promises."""
    limits = Limits(time_ns=CHECK_LIMIT_NS)
    return {
        name: analyse(history, "register", models=MODELS[TRIALS[name].level], limits=limits)
        for name, history in histories.items()
    }


def broken(analyses: dict[str, Analysis]) -> list[str]:
    """What does not hold, in words."""
    return [
        f"keyspace {name} ({TRIALS[name].level}): not {model}. {analysis.explanation}"
        for name, analysis in analyses.items()
        for model, status in analysis.models.items()
        if status is Status.VIOLATION
    ]


def _digest(client: redis.Redis, keyspace: str) -> str:
    with client:
        digest: Any = client.execute_command("COMITY.DIGEST", keyspace)[1]  # type: ignore[no-untyped-call]
        return digest.decode() if isinstance(digest, bytes) else str(digest)


def _info(client: redis.Redis, keyspace: str) -> dict[str, int]:
    words = json.loads(client.execute_command("KEYSPACE", "INFO", keyspace))  # type: ignore[no-untyped-call]
    bound = words["here"].get("loss_bound_entries", 0)
    return {"epoch": words["view"]["epoch"], "loss_bound_entries": bound}
