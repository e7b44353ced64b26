"""One node as a process or as a part of one: directory, engine, host and shell put together."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

import comity
from comity.formats.errors import CorruptLog
from comity.node import Host, HostConfig, Journal
from comity.protocols import load as load_protocols
from comity.replica import ReplicaError
from comity.server.datadir import DataDirectory
from comity.server.errors import DataDirectoryError, SettingsError, StartError
from comity.server.links import bind, split_address
from comity.server.segments import NoFiles, SegmentFiles
from comity.server.settings import Settings
from comity.server.shell import Shell, settle_memory

if TYPE_CHECKING:
    from comity.store.engines import Engine

ADMIN_AFTER_S = 1.0
"""How long the admin port waits at the most for what it costs to start not to delay the first client."""

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may hold the interpreter while the loop waits for it."""


class Node:
    """Everything of one node on this machine. `open` it on an event loop, `close` it in the end."""

    def __init__(self, settings: Settings, note: Callable[..., None]) -> None:
        self.settings = settings
        self.note = note
        self.shell: Shell | None = None
        self.redis_port = 0
        self.peer_port = 0
        self.admin_port = 0
        self._directory: DataDirectory | None = None
        self._engine: Engine | None = None
        self._admin: Any = None
        self._bound: socket.socket | None = None

    async def open(self, *, listen: bool = True) -> Shell:
        """Recover what the directory holds, start the host, serve. Raises `StartError`."""
        settings = self.settings
        config = settings.host_config(comity.__version__)
        files, journal = self._recover(config)
        if self._directory is not None:
            config = msgspec.structs.replace(config, directory=self._directory.name)
        self._engine = self._open_engine()
        try:
            host = Host(
                config,
                journal,
                self._engine,
                load_protocols(),
                int.from_bytes(os.urandom(16), "big"),
                self.note,
                cache_bytes=settings.cache_bytes,
            )
        except (ReplicaError, ValueError, KeyError) as error:
            raise SettingsError(f"the node cannot be built: {error}") from error
        shell = self.shell = Shell(host, files, self.note, settings.peer)
        if listen:
            redis_host, redis_port = split_address(settings.redis)
            peer_host, peer_port = split_address(settings.peer)
            self.peer_port = await shell.peers.listen(peer_host, peer_port)
            self.redis_port = await shell.clients.listen(redis_host, redis_port)
            if settings.admin:
                self._bound = bind(*split_address(settings.admin))
        shell.start()
        return shell

    async def serving(self) -> None:
        """Wait until this node can serve every keyspace, or has failed."""
        assert self.shell is not None
        host = self.shell.host
        began = time.monotonic()
        while not host.health()[0] and not self.shell.ended.is_set():
            await asyncio.sleep(0.002 if time.monotonic() - began < 2 else 0.1)

    async def open_admin(self) -> None:
        """Serve the admin port, which `open` bound. Its libraries are slow to import: late, in a thread."""
        if self._bound is None:
            return
        assert self.shell is not None
        await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "comity.server.admin")
        from comity.server.admin import AdminPort

        self._admin = AdminPort(self.shell)
        self.admin_port = self._admin.serve(self._bound)
        self._bound = None

    def _recover(self, config: HostConfig) -> tuple[SegmentFiles | NoFiles, Journal]:
        if self.settings.engine == "memory":
            journal = Journal.recover([])
            # Nothing remembers how often this node was started; batches of two starts must not be confused.
            journal.incarnation = time.time_ns() // 1_000_000
            return NoFiles(), journal
        directory = self._directory = DataDirectory(self.settings.data, config.cluster, config.node)
        try:
            segments = directory.segments()
            journal = Journal.recover(segments)
        except CorruptLog as error:
            raise directory.corrupt(error.name, error.offset, error.reason) from error
        sizes = dict(segments)
        for name, valid in journal.truncations:
            torn = sizes[name][valid:].rstrip(b"\0")
            directory.truncate(name, valid)
            if torn:
                self.note("torn end of the log cut", segment=name, bytes=len(torn))
            if not valid:
                os.unlink(os.path.join(directory.wal_path, name))
        return SegmentFiles(directory.wal_path), journal

    def _open_engine(self) -> Engine:
        if self.settings.engine == "memory":
            from comity.store.engines.memory import MemoryEngine

            return MemoryEngine()
        from comity.store.engines.rocksdb import RocksEngine
        from comity.store.errors import EngineError

        assert self._directory is not None
        try:
            return RocksEngine(self._directory.state_path, self.settings.block_cache_bytes)
        except EngineError as error:
            raise DataDirectoryError(str(error)) from error

    async def ended(self) -> None:
        """Wait until the node has stopped or failed; raises `FatalError` in the latter case."""
        assert self.shell is not None
        await self.shell.ended.wait()

    async def stop(self) -> None:
        """A graceful stop: leadership handed over, state durable, bounded in time."""
        assert self.shell is not None
        self.shell.stop()
        try:
            await asyncio.wait_for(self.shell.ended.wait(), self.settings.stop_timeout_s)
        except TimeoutError:
            self.note("the graceful stop took too long; stopping at once, nothing acknowledged is lost")

    async def close(self) -> None:
        """Release everything, in whatever state."""
        if self._bound is not None:
            self._bound.close()
        if self._admin is not None:
            await self._admin.close()
        if self.shell is not None:
            await self.shell.close()
        if self._engine is not None and (self.shell is None or self.shell.settled):
            self._engine.close()
        if self._directory is not None:
            self._directory.close()


def serve(
    settings: Settings, note: Callable[..., None], ready: Callable[[Node], None], leash: int | None = None
) -> None:
    """Run a node until SIGINT or SIGTERM; `ready` is called once it serves. Raises `StartError`.

    leash: a file descriptor whose end of file stops the node too, however its writer died.
    """
    import signal

    import uvloop

    sys.setswitchinterval(SWITCH_INTERVAL_S)

    async def main() -> None:
        node = Node(settings, note)
        try:
            shell = await node.open()
            loop = asyncio.get_running_loop()
            stopping: list[asyncio.Task[None]] = []

            def on_signal() -> None:
                if not stopping:
                    stopping.append(loop.create_task(_stop(node)))

            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, on_signal)
            if leash is not None:
                loop.add_reader(leash, _on_leash, leash, on_signal)
            watcher = loop.create_task(_watch(node, ready))
            await node.ended()
            watcher.cancel()
            if stopping:
                await stopping[0]
            if shell.fatal is not None:
                raise StartError(
                    f"node {settings.node} failed: {shell.fatal}", "see the log before this line"
                )
        finally:
            await node.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def _on_leash(leash: int, stop: Callable[[], None]) -> None:
    if not os.read(leash, 4096):
        asyncio.get_running_loop().remove_reader(leash)
        stop()


async def _stop(node: Node) -> None:
    await node.stop()
    assert node.shell is not None
    node.shell.ended.set()


async def _watch(node: Node, ready: Callable[[Node], None]) -> None:
    """Say once that the node serves. Where that takes long, the admin port is there to say why."""
    assert node.shell is not None
    serving = asyncio.ensure_future(node.serving())
    await asyncio.wait({serving}, timeout=ADMIN_AFTER_S)
    if not node.shell.ended.is_set():
        await node.open_admin()
    await serving
    if not node.shell.ended.is_set():
        ready(node)
        settle_memory()
