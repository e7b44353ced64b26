"""Clients of the weaker levels: what a level promises is judged by that level's models.

A session is a connection: where it is lost, its client goes on as another process, on another node.
"""

from __future__ import annotations

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
from comity.console.chaos.cluster import connect
from comity.console.chaos.outcomes import outcome_of

KEYS = 6
CLIENTS = 3
PACE_S = 0.02
TIMEOUT_S = 4.0
CHECK_LIMIT_NS = 60_000_000_000


class LevelClient(threading.Thread):
    """Reads and writes a few keys of its level, each written value another.

    level: "" for what the keyspace promises. prefix: of its keys.
    """

    def __init__(
        self,
        level: str,
        number: int,
        addresses: Sequence[tuple[str, int]],
        recorder: Recorder,
        seed: int,
        *,
        prefix: str = "",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__(name=f"{prefix}{level} client {number}", daemon=True)
        self.prefix = prefix or f"{level}-"
        self.timeout_s = timeout_s
        self.level = level
        self.number = number
        self.error: Exception | None = None
        self._addresses = list(addresses)
        self._recorder = recorder
        self._draw = random.Random(f"{prefix}{level} {number} {seed}")
        self._finish = threading.Event()
        self._session = 0
        self._written = 0

    def run(self) -> None:
        """The thread's body: one session after another."""
        try:
            while not self._finish.is_set():
                self._session += 1
                self._one_session()
                self._finish.wait(PACE_S)
        except Exception as error:  # noqa: BLE001 - handed to the caller, who reports it
            self.error = error

    def finish(self) -> None:
        """End after the operation under way."""
        self._finish.set()

    def _one_session(self) -> None:
        host, port = self._draw.choice(self._addresses)
        with connect(host, port, self.timeout_s) as client:
            try:
                if self.level:
                    client.execute_command("COMITY.CONSISTENCY", self.level)
            except redis.RedisError:
                return
            while not self._finish.is_set() and self._one(client):
                self._finish.wait(self._draw.expovariate(1 / PACE_S))

    def _one(self, client: redis.Redis) -> bool:
        """One operation; False where the session is over."""
        key = f"{self.prefix}{self._draw.randrange(KEYS)}"
        writes = self._draw.random() < 0.4
        if writes:
            self._written += 1
        value = f"{self.number}.{self._written}" if writes else None
        process = self._recorder.process_of((self.number, self._session))
        self._recorder.invoke(process, "write" if writes else "read", key, value, time_ns=time.monotonic_ns())
        try:
            answer: Any = client.set(key, str(value)) if writes else client.get(key)
        except redis.RedisError as error:
            if outcome_of(error) is Outcome.FAIL:
                self._recorder.fail(process, time_ns=time.monotonic_ns())
                return True
            self._recorder.info(process, time_ns=time.monotonic_ns())
            return False
        result = value if writes else answer.decode() if isinstance(answer, bytes) else None
        self._recorder.ok(process, result, time_ns=time.monotonic_ns())
        return True


class Levels:
    """The clients of all weaker levels, a history each."""

    def __init__(self, addresses: Sequence[tuple[str, int]], seed: int) -> None:
        self.recorders = {level: Recorder() for level in LEVELS}
        self._clients = [
            LevelClient(level, number, addresses, recorder, seed)
            for level, recorder in self.recorders.items()
            for number in range(CLIENTS)
        ]

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
        """What was recorded, by level."""
        return {level: recorder.history() for level, recorder in self.recorders.items()}

    def save(self, history_file: Path) -> dict[str, Path]:
        """Write each beside the main history, for `comity check`."""
        paths = {}
        for level, history in self.histories().items():
            paths[level] = history_file.with_name(f"{history_file.stem}-{level}.jsonl")
            write_history(history, paths[level])
        return paths


def judge_levels(histories: dict[str, History]) -> dict[str, Analysis]:
    """What each level's history turns out to be, asked for what the level promises."""
    limits = Limits(time_ns=CHECK_LIMIT_NS)
    return {
        level: analyse(history, "register", models=LEVELS[level], limits=limits)
        for level, history in histories.items()
    }


def broken_promises(analyses: dict[str, Analysis]) -> list[str]:
    """What does not hold, in words."""
    return [
        f"level {level}: not {model}. {analysis.explanation}"
        for level, analysis in analyses.items()
        for model, status in analysis.models.items()
        if status is Status.VIOLATION
    ]
