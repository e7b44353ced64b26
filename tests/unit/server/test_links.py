"""The link to a peer: one connection, dialled again without haste when the peer does not want it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from comity.formats.frames import Hello
from comity.server.links import Link, PeerPort


class Port:
    """What a link needs of its port."""

    def __init__(self) -> None:
        self.shell = SimpleNamespace(loop=asyncio.get_running_loop(), note=lambda *given, **fields: None)
        self.hello = Hello(cluster="test", node=1, incarnation=1)
        self.ups = 0
        self.dropped = 0

    def up(self, peer: int) -> None:
        self.ups += 1

    def down(self, peer: int, refused: bool) -> None:
        """Nobody listens."""


def link_to(port: Port, server: asyncio.Server) -> Link:
    number = server.sockets[0].getsockname()[1]
    return Link(cast("PeerPort", port), 2, f"127.0.0.1:{number}")


def test_a_peer_that_closes_every_link_is_not_dialled_in_a_tight_loop() -> None:
    async def run() -> int:
        dialled = 0

        async def accept(reader: Any, writer: Any) -> None:
            nonlocal dialled
            dialled += 1
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        link = link_to(Port(), server)
        await asyncio.sleep(0.5)
        link.end()
        server.close()
        return dialled

    assert 2 <= asyncio.run(run()) <= 12


def test_a_second_connection_of_a_link_is_closed_and_not_dialled_anew() -> None:
    async def run() -> tuple[int, int]:
        opened: set[object] = set()
        most = 0

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal most
            opened.add(writer)
            most += 1
            while await reader.read(1 << 16):
                pass
            opened.discard(writer)
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = Port()
        link = link_to(port, server)
        while not port.ups:
            await asyncio.sleep(0.001)
        # As when dialling was given up just as the connection came to stand.
        await link._dial()
        await asyncio.sleep(0.2)
        link_count = len(opened)
        link.end()
        server.close()
        return link_count, most

    assert asyncio.run(run()) == (1, 2)
