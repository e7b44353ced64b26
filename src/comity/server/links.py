"""The peer port: a link to every peer for sending, and the links of peers for receiving.

A link is one TCP connection in one direction of frames, opened by the sender with a hello. It is
re-dialled for ever, at first quickly. A frame for a peer that cannot take it is dropped and counted:
the protocols are made for loss, and a queue would only deliver stale messages late.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from comity.formats.errors import FrameError
from comity.formats.frames import (
    MAX_FRAME_BYTES,
    FrameParser,
    Hello,
    decode_hello,
    encode_frame,
    encode_hello,
)
from comity.node import Envelope
from comity.server.errors import AddressError

if TYPE_CHECKING:
    from comity.server.shell import Shell

BUFFER_BYTES = 64 << 20
FIRST_RETRY_S = 0.02
LAST_RETRY_S = 1.0
DIAL_TIMEOUT_S = 2.0
HELLO_TIMEOUT_S = 5.0
REASON_BYTES = 500
SILENCE_S = 5
"""A peer's system that acknowledges nothing for so long is not there: dialling anew finds it sooner than
TCP, whose pauses between attempts double."""


def split_address(address: str) -> tuple[str, int]:
    """host:port -> (host, port); IPv6 hosts in brackets. Raises `ValueError`."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is not host:port")
    return host.strip("[]"), int(port)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket for the admin port. Raises `AddressError`."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise AddressError(
            f"the admin port {host}:{port} cannot be listened on: {os.strerror(error.errno or 0)}",
            "stop what uses it, or choose another with --admin",
        ) from error
    return listener


def _tune(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(connection, SILENCE_S)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)


def keep_alive(connection: socket.socket, idle_s: int) -> None:
    """Find out that the other end is gone though nothing is sent: within about twice `idle_s` seconds."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, idle_s // 3))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


class Outbound(asyncio.Protocol):
    """The sending side of a link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Dialled: say hello."""
        self.transport = cast("asyncio.Transport", transport)
        _tune(self.transport)
        self.transport.write(encode_hello(self.link.port.hello))
        self.link.opened(self)

    def data_received(self, data: bytes) -> None:
        """A receiver has nothing to say, unless it refuses."""
        shell, peer = self.link.port.shell, self.link.peer
        reason = data[:REASON_BYTES].decode("utf-8", "replace")
        shell.note("peer refused the link", peer=peer, reason=reason)
        shell.now()
        shell.host.peers.refused(peer, reason)
        shell.stimulated()

    def connection_lost(self, exc: Exception | None) -> None:
        """The link broke."""
        self.link.closed(self)


class Link:
    """To one peer, kept open."""

    def __init__(self, port: PeerPort, peer: int, address: str) -> None:
        self.port = port
        self.peer = peer
        self.address = address
        self.current: Outbound | None = None
        self.ended = False
        self._retry_s = FIRST_RETRY_S
        self._opened_s = 0.0
        self._task = port.shell.loop.create_task(self._dial())

    async def _dial(self) -> None:
        loop = self.port.shell.loop
        while not self.ended:
            refused = False
            try:
                host, port = split_address(self.address)
                await asyncio.wait_for(
                    loop.create_connection(lambda: Outbound(self), host, port), DIAL_TIMEOUT_S
                )
                if self.current is not None:
                    return
            except ConnectionRefusedError:
                refused = True
            except (OSError, TimeoutError, ValueError) as error:
                self.port.shell.note("peer cannot be reached", peer=self.peer, error=str(error))
            self.port.down(self.peer, refused)
            await asyncio.sleep(self._retry_s * random.uniform(0.5, 1.0))
            self._retry_s = min(self._retry_s * 1.5, LAST_RETRY_S)

    def opened(self, outbound: Outbound) -> None:
        """The connection stands."""
        if self.ended or self.current is not None:
            # Dialled, though the dialling was given up: one link is enough.
            assert outbound.transport is not None
            outbound.transport.close()
            return
        self.current = outbound
        self._opened_s = self.port.shell.loop.time()
        self.port.up(self.peer)

    def closed(self, outbound: Outbound) -> None:
        """The connection is gone: dial again, which tells whether the process is gone too."""
        if self.current is not outbound:
            return
        self.current = None
        if self.port.shell.loop.time() - self._opened_s >= LAST_RETRY_S:
            self._retry_s = FIRST_RETRY_S
        self.port.down(self.peer, refused=False)
        if not self.ended and self._task.done():
            self._task = self.port.shell.loop.create_task(self._again())

    async def _again(self) -> None:
        # A peer that refuses us (another cluster, another version) must not be dialled in a tight loop.
        if self._retry_s > FIRST_RETRY_S:
            await asyncio.sleep(self._retry_s)
        self._retry_s = min(self._retry_s * 1.5, LAST_RETRY_S)
        await self._dial()

    def send(self, data: bytes) -> None:
        """One frame."""
        outbound = self.current
        if outbound is None or outbound.transport is None:
            self.port.dropped += 1
            return
        if outbound.transport.get_write_buffer_size() > BUFFER_BYTES:
            self.port.dropped += 1
            return
        outbound.transport.write(data)

    def end(self) -> None:
        """Close for good."""
        self.ended = True
        self._task.cancel()
        if self.current is not None and self.current.transport is not None:
            self.current.transport.close()


class Inbound(asyncio.Protocol):
    """The receiving side of a peer's link."""

    def __init__(self, port: PeerPort) -> None:
        self.port = port
        bounds = port.shell.host.config.bounds
        # The largest request travels in one message.
        self.parser = FrameParser(max(MAX_FRAME_BYTES, bounds.request_bytes + bounds.frame_bytes))
        self.peer = 0
        self.transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody dialled."""
        self.transport = cast("asyncio.Transport", transport)
        _tune(self.transport)
        self.port.inbound.add(self)
        self._timer = self.port.shell.loop.call_later(HELLO_TIMEOUT_S, self._silent)

    def _silent(self) -> None:
        if not self.peer:
            self._refuse("no hello came")

    def data_received(self, data: bytes) -> None:
        """Frames of a peer."""
        try:
            frames = self.parser.feed(data)
            if not self.peer and frames:
                self._greet(decode_hello(frames.pop(0)))
        except FrameError as error:
            self._refuse(str(error))
            return
        if not frames:
            return
        shell = self.port.shell
        shell.now()
        try:
            for frame in frames:
                shell.host.peers.frame(self.peer, frame)
        except Exception as error:  # noqa: BLE001 - a broken invariant
            shell.fail(f"{type(error).__name__}: {error}", error)
            return
        shell.stimulated()

    def _greet(self, hello: Hello) -> None:
        config = self.port.shell.host.config
        if hello.cluster != config.cluster:
            raise FrameError(f"this is cluster {config.cluster!r}, not {hello.cluster!r}")
        if hello.node == config.node:
            raise FrameError(f"this is node {config.node} itself; two nodes must not share a number")
        if hello.node < 1:
            raise FrameError("node numbers start at 1")
        self.peer = hello.node
        shell = self.port.shell
        shell.now()
        refusal = shell.host.peers.introduced(hello.node, hello.peer, hello.incarnation, hello.directory)
        shell.stimulated()
        if refusal:
            raise FrameError(refusal)

    def _refuse(self, reason: str) -> None:
        assert self.transport is not None
        self.port.refused += 1
        self.port.shell.note("peer link refused", peer=self.peer, reason=reason)
        self.transport.write(reason.encode())
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer's link is gone; its own end will dial again."""
        if self._timer is not None:
            self._timer.cancel()
        self.port.inbound.discard(self)


class PeerPort:
    """All links of a shell."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        config = shell.host.config
        own = next((member for member in config.members if member.node == config.node), None)
        self.hello = Hello(
            cluster=config.cluster,
            node=config.node,
            incarnation=shell.host.incarnation,
            peer=own.peer if own is not None else shell.advertised,
            redis=own.redis if own is not None else "",
            directory=config.directory,
        )
        self.links: dict[int, Link] = {}
        self.inbound: set[Inbound] = set()
        self.refused = 0
        """Links of others that were refused: not comity, another cluster, another version, rubbish."""
        self.dropped = 0
        """Frames for peers that had no link, or one that was full."""
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Accept peers on an address; the port in use. Raises `AddressError`."""
        try:
            self._server = await self.shell.loop.create_server(lambda: Inbound(self), host, port)
        except OSError as error:
            raise AddressError(
                f"the peer port {host}:{port} cannot be listened on: {os.strerror(error.errno or 0)}",
                "stop what uses it, or choose another with --peer",
            ) from error
        return int(self._server.sockets[0].getsockname()[1])

    def keep(self, links: dict[int, str]) -> None:
        """Have exactly these links."""
        for peer, link in list(self.links.items()):
            if links.get(peer) != link.address:
                link.end()
                del self.links[peer]
        for peer, address in links.items():
            if peer not in self.links:
                self.links[peer] = Link(self, peer, address)

    def send(self, peer: int, envelopes: Sequence[Envelope]) -> None:
        """One frame to a peer, if there is a link."""
        link = self.links.get(peer)
        if link is None:
            self.dropped += 1
        else:
            link.send(encode_frame(envelopes))

    def up(self, peer: int) -> None:
        """A link opened."""
        self.shell.now()
        self.shell.host.peers.link_up(peer)
        self.shell.stimulated()

    def down(self, peer: int, refused: bool) -> None:
        """A link broke, or could not be opened."""
        if self.shell.fatal is None:
            self.shell.now()
            self.shell.host.peers.link_down(peer, refused)
            self.shell.stimulated()

    def shut(self) -> None:
        """Close the port and every link."""
        if self._server is not None:
            self._server.close()
        for link in self.links.values():
            link.end()
        for inbound in list(self.inbound):
            if inbound.transport is not None:
                inbound.transport.close()
