"""Plain Redis, one server: what asyncio clients read and write is linearizable.

Starts its own redis-server (Debian: apt-get install redis-server). Run: python examples/redis_register.py
"""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import Any

import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from comity.checkers import History, Method, Recording

METHODS = {"get": Method("read"), "set": Method("write", 0, 1)}


class Integers:
    """Values as integers, so that the history says what was meant."""

    def __init__(self, port: int) -> None:
        self._redis: Any = redis.asyncio.Redis(port=port)

    async def get(self, key: str) -> int | None:
        value = await self._redis.get(key)
        return None if value is None else int(value)

    async def set(self, key: str, value: int) -> None:
        await self._redis.set(key, value)

    async def aclose(self) -> None:
        await self._redis.aclose()


async def work(h: Recording, port: int, clients: int = 8, operations: int = 250) -> None:
    """Every client is a task, and so a process of the history."""

    async def run(number: int) -> None:
        rng = random.Random(number)
        connection = Integers(port)
        client = h.wrap(connection, METHODS)
        for step in range(operations):
            key = f"k{rng.randrange(5)}"
            if rng.random() < 0.5:
                await client.set(key, number * 1_000_000 + step)
            else:
                await client.get(key)
        await connection.aclose()

    await asyncio.gather(*(run(number) for number in range(clients)))


async def run_against(port: int) -> None:
    """Wait for the server, then record and check."""
    probe: Any = redis.asyncio.Redis(port=port)
    for _ in range(500):
        try:
            await probe.ping()
            break
        except RedisConnectionError:
            await asyncio.sleep(0.02)
    await probe.aclose()
    async with History.recording() as h:
        await work(h, port)
    h.assert_holds("register", "linearizable")
    print(f"redis-server: {len(h.history)} operations of 8 clients, linearizable")


def main() -> int:
    """0 where it holds."""
    if shutil.which("redis-server") is None:
        print("redis-server is not installed: apt-get install redis-server; nothing was checked")
        return 0
    with socket.socket() as free, tempfile.TemporaryDirectory() as directory:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = ["redis-server", "--port", str(port), "--dir", directory, "--save", ""]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            asyncio.run(run_against(port))
        finally:
            server.terminate()
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
