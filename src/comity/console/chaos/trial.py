"""One trial: clients work while faults happen, everything is healed, and every promise is checked.

The steps are separate calls, so that `comity chaos` can let a nemesis loose between them and
`comity demo` can follow a script:

    with Trial(addresses, ...) as trial:
        trial.start()           # clients begin
        ...                     # faults, by whoever likes
        trial.finish()          # clients end
        trial.read_everything() # what does a client find now?
    judge(trial.history(), trial.final, ...)
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import redis

from comity.checkers.history import History, Outcome
from comity.checkers.inputs import JsonLinesWriter
from comity.checkers.recorder import Recorder
from comity.console.chaos.cluster import NotConverged, connect
from comity.console.chaos.keyspace import Keys
from comity.console.chaos.workload import Client, plain

READ_AT_ONCE = 500
READ_PATIENCE_S = 60.0
TIMEOUTS_S = (2.0, 7.0)
"""Clients give up after one of these: before, or after, a node gives up on a request by itself."""


class Trial:
    """Clients on any node, their history, and what they find at the end.

    addresses: (host, port) of every node. clients: how many. rate: operations a second of all of them
    together, at most. history_file: where the history is written while it happens.
    """

    def __init__(
        self,
        addresses: Sequence[tuple[str, int]],
        *,
        clients: int,
        rate: float,
        seed: int,
        history_file: Path | None = None,
        timeouts_s: Sequence[float] = TIMEOUTS_S,
    ) -> None:
        self.addresses = list(addresses)
        self.history_file = history_file
        self.began_ns = time.monotonic_ns()
        self.final: dict[str, str | None] = {}
        self.counts: Counter[Outcome] = Counter()
        self._stream: BinaryIO | None = history_file.open("wb") if history_file else None
        self._writer = JsonLinesWriter(self._stream) if self._stream else None
        self._recorder = Recorder(self._writer.write if self._writer else None)
        self._count_lock = threading.Lock()
        keys = Keys()
        self._clients = [
            Client(
                number,
                self.addresses,
                keys,
                self._recorder,
                seed=seed,
                pace_s=clients / rate,
                timeout_s=timeouts_s[number % len(timeouts_s)],
                on_outcome=self._count,
            )
            for number in range(clients)
        ]

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.finish()
        if self._stream is not None:
            self._stream.close()

    def _count(self, outcome: Outcome) -> None:
        with self._count_lock:
            self.counts[outcome] += 1

    def note(self, fault: str, detail: str) -> None:
        """Write down among the operations that something was done to the cluster."""
        self._recorder.fault(fault, detail, time_ns=time.monotonic_ns())

    def start(self) -> None:
        """Let the clients begin."""
        self.began_ns = time.monotonic_ns()
        for client in self._clients:
            client.start()

    def finish(self) -> None:
        """Let every client end the operation under way; raises what a client raised, if any did."""
        for client in self._clients:
            client.finish()
        for client in self._clients:
            if client.ident is not None:
                client.join()
        for client in self._clients:
            if client.error is not None:
                raise client.error

    def history(self) -> History:
        """All operations so far, the reads at the end among them once they are made."""
        return self._recorder.history()

    def unexpected(self) -> Counter[str]:
        """Error replies that no sound server gives to such commands."""
        total: Counter[str] = Counter()
        for client in self._clients:
            total += client.unexpected
        return total

    def read_everything(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read every key once, through one node after the other, and record the reads.

        Raises NotConverged when some are not answered for a minute.
        """
        keys = list(dict.fromkeys(str(operation.key) for operation in self.history().operations))
        deadline = time.monotonic() + READ_PATIENCE_S
        start = turn = 0
        while start < len(keys):
            chunk = keys[start : start + READ_AT_ONCE]
            host, port = self.addresses[turn % len(self.addresses)]
            turn += 1
            try:
                self._read(host, port, chunk)
            except redis.RedisError as error:
                if time.monotonic() > deadline:
                    raise NotConverged(
                        f"{host}:{port} does not answer reads after all faults are healed: {error}"
                    ) from None
                time.sleep(0.2)
                continue
            start += len(chunk)
            if progress is not None:
                progress(start, len(keys))

    def _read(self, host: str, port: int, keys: Sequence[str]) -> None:
        """One MGET; to the history, a read of each key by a process of its own."""
        with connect(host, port, 10.0) as client:
            client.ping()
            processes = [self._recorder.process_of(("reader", place)) for place in range(len(keys))]
            for process, key in zip(processes, keys, strict=True):
                self._recorder.invoke(process, "GET", key, time_ns=time.monotonic_ns())
            try:
                values = client.mget(keys)
            except redis.RedisError:
                for process in processes:
                    self._recorder.info(process, time_ns=time.monotonic_ns())
                raise
            assert isinstance(values, list)
            for process, key, value in zip(processes, keys, values, strict=True):
                self.final[key] = plain(value)
                self._recorder.ok(process, plain(value), time_ns=time.monotonic_ns())
