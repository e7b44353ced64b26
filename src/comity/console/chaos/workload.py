"""Clients that behave as applications do: stock redis-py, one connection each, on any node.

Every operation is recorded when it is about to leave and when its outcome is known. Nothing is ever
sent twice. A client whose operation has an unknown outcome goes on as a new process, on a new
connection: the old operation may still happen.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from comity.checkers.history import Outcome
from comity.checkers.recorder import Recorder
from comity.console.chaos.cluster import connect
from comity.console.chaos.keyspace import Keys, Kind
from comity.console.chaos.outcomes import connection_usable, outcome_of, unexpected

PIPELINE = 6
KINDS = (Kind.REGISTER, Kind.COUNTER, Kind.LOG, Kind.LEDGER)
KIND_WEIGHTS = (45, 15, 15, 25)
OPERATIONS_PER_CONNECTION = 300
NOBODY_ANSWERS_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a pipeline and how it is recorded."""

    f: str
    key: str
    value: Any
    command: tuple[str, ...]


class Client(threading.Thread):
    """One application: draws operations, sends them, records what came back, until `finish`.

    addresses: (host, port) of every node; it starts with one and moves on when its connection is lost,
    and now and then for no reason. pace_s: the mean pause between operations. timeout_s: how long it
    waits for an answer. unexpected: error replies no sound server gives. nodes_used: by address.
    """

    def __init__(
        self,
        number: int,
        addresses: Sequence[tuple[str, int]],
        keys: Keys,
        recorder: Recorder,
        *,
        seed: int,
        pace_s: float,
        timeout_s: float,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.number = number
        self.unexpected: Counter[str] = Counter()
        self.error: Exception | None = None
        self._addresses = list(addresses)
        self._place = number % len(self._addresses)
        self._keys = keys
        self._recorder = recorder
        self._draw = random.Random(f"client {number} {seed}")
        self._pace_s = pace_s
        self._timeout_s = timeout_s
        self._on_outcome = on_outcome
        self._finish = threading.Event()
        self._client: redis.Redis | None = None
        self._left_on_connection = 0
        self._written = 0

    def run(self) -> None:
        """The thread's body."""
        try:
            while not self._finish.is_set():
                client = self._connected()
                if client is None:
                    self._finish.wait(NOBODY_ANSWERS_PAUSE_S)
                    continue
                try:
                    self._one(client)
                except redis.RedisError:
                    # Raised while redis-py tidied up after an operation that is already recorded.
                    self._drop()
                self._finish.wait(self._draw.expovariate(1 / self._pace_s))
        except Exception as error:  # noqa: BLE001 - handed to the caller, who reports it
            self.error = error
        finally:
            self._drop()

    def finish(self) -> None:
        """End after the operation under way; join it to be sure."""
        self._finish.set()

    # -- connections

    def _connected(self) -> redis.Redis | None:
        """A client whose connection stands, so that a failed connect is no operation; or None."""
        if self._client is not None and self._left_on_connection > 0:
            self._left_on_connection -= 1
            return self._client
        self._drop()
        host, port = self._addresses[self._place]
        client = connect(host, port, self._timeout_s)
        try:
            client.ping()
        except redis.RedisError:
            client.close()
            self._place = self._draw.randrange(len(self._addresses))
            return None
        self._client = client
        self._left_on_connection = self._draw.randrange(1, OPERATIONS_PER_CONNECTION)
        return client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
            self._place = self._draw.randrange(len(self._addresses))

    # -- operations

    def _one(self, client: redis.Redis) -> None:
        roll = self._draw.random()
        if roll < 0.15:
            self._compare_and_set(client, self._keys.pick(Kind.REGISTER, self._draw))
        elif roll < 0.25:
            self._pipeline(client, [self._step() for _ in range(PIPELINE)])
        else:
            step = self._step()
            self._record(self._process(), step, lambda: _send(client, step.command))

    def _step(self) -> Step:
        kind = self._draw.choices(KINDS, KIND_WEIGHTS)[0]
        key = self._keys.pick(kind, self._draw)
        if kind is not Kind.LEDGER and self._draw.random() < 0.35:
            return Step("GET", key, None, ("GET", key))
        if kind is Kind.COUNTER:
            return Step("INCR", key, None, ("INCR", key))
        value = self._unique()
        if kind is Kind.LOG:
            word = f"{value};"
            return Step("APPEND", key, word, ("APPEND", key, word))
        return Step("SET", key, value, ("SET", key, value))

    def _unique(self) -> str:
        self._written += 1
        return f"{self.number}.{self._written}"

    def _process(self, slot: int = 0) -> int:
        return self._recorder.process_of((self.number, slot))

    def _compare_and_set(self, client: redis.Redis, key: str) -> None:
        """WATCH, GET, MULTI, SET, EXEC. The GET is a read; the rest happens at EXEC or not at all."""
        with client.pipeline(transaction=True) as pipe:
            read = Step("GET", key, None, ())

            def watched_get() -> Any:
                pipe.watch(key)  # type: ignore[no-untyped-call]
                return pipe.get(key)

            found, seen = self._record(self._process(), read, watched_get)
            if not found:
                return
            old = seen.decode() if isinstance(seen, bytes) else None
            new = self._unique()

            def execute() -> Any:
                pipe.multi()
                pipe.set(key, new)
                return pipe.execute()[0]

            self._record(self._process(), Step("cas", key, (old, new), ()), execute)

    def _pipeline(self, client: redis.Redis, steps: Sequence[Step]) -> None:
        """Several commands in one go: to the history they are processes that act at the same time."""
        processes = [self._process(slot) for slot in range(len(steps))]
        with client.pipeline(transaction=False) as pipe:
            for process, step in zip(processes, steps, strict=True):
                self._invoke(process, step)
                _send(pipe, step.command)
            try:
                answers = pipe.execute(raise_on_error=False)
            except redis.RedisError as error:
                answers = [error] * len(steps)
        for process, answer in zip(processes, answers, strict=True):
            self._complete(process, answer)

    def _record(self, process: int, step: Step, send: Callable[[], Any]) -> tuple[bool, Any]:
        self._invoke(process, step)
        try:
            answer = send()
        except redis.RedisError as error:
            self._complete(process, error)
            return False, None
        self._complete(process, answer)
        return True, answer

    def _invoke(self, process: int, step: Step) -> None:
        self._recorder.invoke(process, step.f, step.key, step.value, time_ns=time.monotonic_ns())

    def _complete(self, process: int, answer: Any) -> None:
        now_ns = time.monotonic_ns()
        if not isinstance(answer, Exception):
            self._recorder.ok(process, plain(answer), time_ns=now_ns)
            self._on_outcome(Outcome.OK)
            return
        outcome = outcome_of(answer)
        if outcome is Outcome.FAIL:
            self._recorder.fail(process, time_ns=now_ns)
        else:
            self._recorder.info(process, time_ns=now_ns)
        self._on_outcome(outcome)
        strange = unexpected(answer)
        if strange is not None:
            self.unexpected[strange] += 1
        if not connection_usable(answer):
            self._drop()


def _send(client: redis.Redis, command: Sequence[str]) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


def plain(answer: Any) -> Any:
    """A reply as histories keep it: text for bytes, "OK" for what redis-py makes True of."""
    if answer is True:
        return "OK"
    return answer.decode() if isinstance(answer, bytes) else answer
