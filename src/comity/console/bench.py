"""`comity bench`: how fast is whatever answers on a Redis port?

One process, one event loop, requests encoded once before the clock starts; on a machine shared with
the server it takes its own part of the processor, as every load generator does.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from typing import Annotated, Any, cast

import hiredis
import typer

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 30.0
PREPARED_REQUESTS = 2000


@dataclass(frozen=True, slots=True)
class Measured:
    """One test. latencies in milliseconds, of whole pipelines; errors: answers that were errors."""

    test: str
    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float

    @property
    def per_second(self) -> float:
        """Commands answered a second."""
        return self.requests / self.seconds if self.seconds else 0.0


class Unreachable(ConnectionError):
    """Nobody answers there, or the connection was lost under load."""


def bench(
    host: Annotated[str, typer.Option(help="Where a server listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its Redis port.")] = 7001,
    tests: Annotated[str, typer.Option(help="Commands to measure: set, get, incr, mset, ping.")] = "set,get",
    clients: Annotated[int, typer.Option(min=1, help="Connections.")] = 64,
    pipeline: Annotated[int, typer.Option(min=1, help="Requests in flight on each connection.")] = 1,
    requests: Annotated[int, typer.Option(min=1, help="Requests of each test.")] = 50_000,
    size: Annotated[int, typer.Option(min=0, help="Bytes of a value.")] = 256,
    keys: Annotated[int, typer.Option(min=1, help="Different keys, drawn at random.")] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Put load on a Redis port and print throughput and latency.

    Works with any server that speaks the Redis protocol. Keys are named bench:N and are left behind.
    Exit status 0: every request was answered without an error; 1: some were errors; 2: not reachable.
    """
    chosen = [name.strip().lower() for name in tests.split(",") if name.strip()]
    for name in chosen:
        if name not in _REQUESTS:
            raise typer.BadParameter(f"no test is called {name!r}: choose from {', '.join(_REQUESTS)}")
    load = Load(host, port, clients, pipeline, size, keys)
    try:
        measured = [_run(load.run(name, requests)) for name in chosen]
    except (OSError, TimeoutError) as error:
        typer.echo(f"comity bench: {host}:{port}: {error or 'no answer'}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in measured], indent=2))
    else:
        _print(measured)
    raise typer.Exit(1 if any(one.errors for one in measured) else 0)


def _run(coroutine: Any) -> Measured:
    import uvloop

    result = uvloop.run(coroutine)
    assert isinstance(result, Measured)
    return result


_REQUESTS = ("set", "get", "incr", "mset", "ping")


class Load:
    """A number of connections, each keeping `pipeline` requests in flight."""

    def __init__(self, host: str, port: int, clients: int, pipeline: int, size: int, keys: int) -> None:
        self._host = host
        self._port = port
        self._clients = clients
        self._pipeline = pipeline
        self._value = "x" * size
        self._keys = keys

    def _command(self, test: str, draw: random.Random) -> tuple[str, ...]:
        def key() -> str:
            return f"bench:{draw.randrange(self._keys):08d}"

        if test == "set":
            return ("SET", key(), self._value)
        if test == "get":
            return ("GET", key())
        if test == "incr":
            return ("INCR", f"bench:counter:{draw.randrange(self._keys):08d}")
        if test == "mset":
            return ("MSET", *(part for _ in range(10) for part in (key(), self._value)))
        return ("PING",)

    def _prepared(self, test: str) -> list[bytes]:
        """Whole pipelines, encoded."""
        draw = random.Random(test)
        count = min(PREPARED_REQUESTS, max(1, PREPARED_REQUESTS * 10 // self._pipeline))
        return [
            b"".join(hiredis.pack_command(self._command(test, draw)) for _ in range(self._pipeline))  # type: ignore[arg-type]
            for _ in range(count)
        ]

    async def run(self, test: str, requests: int) -> Measured:
        """Measure one test. Raises OSError when the server cannot be reached or goes away."""
        loop = asyncio.get_running_loop()
        turns = max(1, requests // (self._clients * self._pipeline))
        prepared = self._prepared(test)
        connections = []
        try:
            for number in range(self._clients):
                one = _Connection(prepared, number * 37, turns, self._pipeline, loop.create_future())
                connecting = loop.create_connection(lambda one=one: one, self._host, self._port)  # type: ignore[misc]
                await asyncio.wait_for(connecting, CONNECT_TIMEOUT_S)
                connections.append(one)
            began = time.perf_counter()
            for one in connections:
                one.send()
            done = asyncio.gather(*(one.done for one in connections))
            while not done.done():
                answered = sum(len(one.latencies_s) for one in connections)
                await asyncio.wait([done], timeout=ANSWER_TIMEOUT_S)
                if not done.done() and answered == sum(len(one.latencies_s) for one in connections):
                    raise Unreachable(f"no answer for {ANSWER_TIMEOUT_S:g} s")
            await done
            seconds = time.perf_counter() - began
        finally:
            for one in connections:
                one.close()
        latencies = sorted(latency for one in connections for latency in one.latencies_s)

        def percentile(share: float) -> float:
            return latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1e3

        return Measured(
            test,
            len(latencies) * self._pipeline,
            sum(one.errors for one in connections),
            seconds,
            percentile(0.5),
            percentile(0.95),
            percentile(0.99),
            latencies[-1] * 1e3,
        )


class _Connection(asyncio.Protocol):
    """Sends a pipeline, waits for all its answers, sends the next."""

    def __init__(
        self, prepared: list[bytes], start: int, turns: int, pipeline: int, done: asyncio.Future[None]
    ) -> None:
        self.latencies_s: list[float] = []
        self.errors = 0
        self.done = done
        self._prepared = prepared
        self._next = start
        self._left = turns
        self._pipeline = pipeline
        self._waiting = 0
        self._sent_at = 0.0
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are asyncio's in behaviour only.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(Unreachable(f"connection lost: {exc or 'closed by the server'}"))

    def send(self) -> None:
        """Send the next pipeline."""
        assert self._transport is not None
        self._waiting = self._pipeline
        self._sent_at = time.perf_counter()
        self._transport.write(self._prepared[self._next % len(self._prepared)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            self._waiting -= 1
            if isinstance(reply, hiredis.ReplyError):
                self.errors += 1
        if self._waiting:
            return
        self.latencies_s.append(time.perf_counter() - self._sent_at)
        self._left -= 1
        if self._left:
            self.send()
        elif not self.done.done():
            self.done.set_result(None)

    def close(self) -> None:
        """Close the connection; what is under way is given up."""
        self.done.cancel()
        if self._transport is not None:
            self._transport.abort()


def _plain(one: Measured) -> dict[str, Any]:
    return {
        "test": one.test,
        "requests": one.requests,
        "errors": one.errors,
        "per_second": round(one.per_second, 1),
        "p50_ms": round(one.p50_ms, 3),
        "p95_ms": round(one.p95_ms, 3),
        "p99_ms": round(one.p99_ms, 3),
        "worst_ms": round(one.worst_ms, 3),
    }


def _print(measured: list[Measured]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("test", "per second", "p50 ms", "p95 ms", "p99 ms", "worst ms", "requests", "errors")
    for one in measured:
        latencies = (one.p50_ms, one.p95_ms, one.p99_ms, one.worst_ms)
        table.add_row(
            one.test.upper(),
            f"{one.per_second:,.0f}",
            *(f"{latency:.2f}" for latency in latencies),
            f"{one.requests:,}",
            f"{one.errors:,}",
        )
    Console(highlight=False).print(table)
