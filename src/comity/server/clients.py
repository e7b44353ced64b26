"""The Redis port: one asyncio protocol per client, which does as little as it can."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from comity.server.errors import AddressError
from comity.server.links import keep_alive

if TYPE_CHECKING:
    from comity.server.shell import Shell

HIGH_WATER_BYTES = 1 << 20
LOW_WATER_BYTES = 256 << 10
BACKLOG = 1024
CLIENT_SILENCE_S = 300
"""As Redis: a client whose machine is gone is found out in minutes, not in the system's two hours."""


class Client(asyncio.Protocol):
    """One client's socket."""

    def __init__(self, port: ClientPort, number: int) -> None:
        self.port = port
        self.number = number
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self.port.connected(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a client."""
        shell = self.port.shell
        shell.now()
        try:
            shell.host.data(self.number, data)
        except Exception as error:  # noqa: BLE001 - a defect: better no node than a wrong answer
            shell.fail(f"{type(error).__name__}: {error}", error)
            return
        shell.stimulated()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client is gone."""
        self.port.lost(self)

    def pause_writing(self) -> None:
        """The client does not take its answers."""
        self.port.writable(self, ok=False)

    def resume_writing(self) -> None:
        """The client takes its answers again."""
        self.port.writable(self, ok=True)


class Loopback:
    """A client in this process: no socket, otherwise treated as every other. It is its own transport."""

    def __init__(self, port: ClientPort, number: int, receive: Callable[[bytes], None]) -> None:
        self.port = port
        self.number = number
        self.transport = self
        self.write = receive
        self._held: list[bytes] | None = None

    def send(self, data: bytes) -> None:
        """Requests of this client; held while the host reads no more of it."""
        if self._held is not None:
            self._held.append(data)
            return
        shell = self.port.shell
        shell.now()
        try:
            shell.host.data(self.number, data)
        except Exception as error:  # noqa: BLE001 - a defect: better no node than a wrong answer
            shell.fail(f"{type(error).__name__}: {error}", error)
            return
        shell.stimulated()

    def get_write_buffer_size(self) -> int:
        """Answers are handed over at once."""
        return 0

    def pause_reading(self) -> None:
        """Hold what is sent from now on."""
        if self._held is None:
            self._held = []

    def resume_reading(self) -> None:
        """Send what was held."""
        held, self._held = self._held, None
        if held:
            self.send(b"".join(held))

    def close(self) -> None:
        """Leave."""
        self.port.lost(self)

    def abort(self) -> None:
        """Leave."""
        self.port.lost(self)


class ClientPort:
    """All clients of a shell."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.clients: dict[int, Client | Loopback] = {}
        self.output_limit = shell.host.config.bounds.connection_output_bytes
        self._next = 1
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Serve on an address; the port in use (0 asks for any). Raises `AddressError`."""
        try:
            self._server = await self.shell.loop.create_server(self._accept, host, port, backlog=BACKLOG)
        except OSError as error:
            raise AddressError(
                f"the Redis port {host}:{port} cannot be listened on: {os.strerror(error.errno or 0)}",
                "stop what uses it, or choose another with --redis",
            ) from error
        return int(self._server.sockets[0].getsockname()[1])

    def _accept(self) -> Client:
        number = self._next
        self._next += 1
        return Client(self, number)

    def loopback(self, receive: Callable[[bytes], None]) -> Loopback:
        """A client in this process; `receive` is called with its answers, on the loop."""
        number = self._next
        self._next += 1
        client = self.clients[number] = Loopback(self, number, receive)
        self.shell.now()
        self.shell.host.connected(number, "")
        self.shell.stimulated()
        return client

    def connected(self, client: Client) -> None:
        """A client's socket is open."""
        assert client.transport is not None
        self.clients[client.number] = client
        connection = client.transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(connection, CLIENT_SILENCE_S)
        address = client.transport.get_extra_info("peername")
        self.shell.now()
        self.shell.host.connected(client.number, f"{address[0]}:{address[1]}" if address else "")
        self.shell.stimulated()

    def lost(self, client: Client | Loopback) -> None:
        """A client's socket is closed."""
        if self.clients.pop(client.number, None) is not None:
            self.shell.now()
            self.shell.host.disconnected(client.number)

    def writable(self, client: Client, ok: bool) -> None:
        """A client's output is above or below its mark."""
        self.shell.now()
        self.shell.host.writable(client.number, ok)
        self.shell.stimulated()

    def write(self, number: int, data: bytes) -> None:
        """Answers for a client; one that lets too many pile up is closed."""
        client = self.clients.get(number)
        if client is None or client.transport is None:
            return
        client.transport.write(data)
        if len(data) >= LOW_WATER_BYTES and client.transport.get_write_buffer_size() > self.output_limit:
            self.shell.note("client closed: it does not take its answers", connection=number)
            client.transport.abort()

    def pause(self, number: int) -> None:
        """Stop reading from a client."""
        client = self.clients.get(number)
        if client is not None and client.transport is not None:
            client.transport.pause_reading()

    def resume(self, number: int) -> None:
        """Read from a client again."""
        client = self.clients.get(number)
        if client is not None and client.transport is not None:
            client.transport.resume_reading()

    def close(self, number: int) -> None:
        """Close a client after its answers are flushed."""
        client = self.clients.get(number)
        if client is not None and client.transport is not None:
            client.transport.close()

    async def shut(self) -> None:
        """Close the port and every client."""
        if self._server is not None:
            self._server.close()
        for client in list(self.clients.values()):
            if client.transport is not None:
                client.transport.close()
        for _ in range(20):
            if not self.clients:
                return
            await asyncio.sleep(0.01)
        for client in list(self.clients.values()):
            if client.transport is not None:
                client.transport.abort()
