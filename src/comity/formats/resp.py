"""RESP2 and RESP3."""

from __future__ import annotations

import hiredis

from comity.formats.errors import ProtocolError

OK = b"+OK\r\n"
_INTEGERS = [b":%d\r\n" % number for number in range(1024)]


class RequestParser:
    """Bytes of a client -> commands."""

    def __init__(self, max_request_bytes: int = 64 << 20, max_arguments: int = 1 << 20) -> None:
        self.max_request_bytes = max_request_bytes
        self.max_arguments = max_arguments
        self.error: ProtocolError | None = None
        self.pending_bytes = 0
        self._reader = hiredis.Reader()

    def feed(self, data: bytes) -> list[list[bytes]]:
        """Complete commands so far."""
        commands: list[list[bytes]] = []
        if self.error is not None:
            return commands
        reader = self._reader
        try:
            reader.feed(data)
            command = reader.gets()
            while command is not False:
                if command:
                    commands.append(command)
                command = reader.gets()
        except hiredis.ProtocolError as error:
            self.error = ProtocolError(f"Protocol error: {error}")
        self.pending_bytes = reader.len()
        return commands


def simple(text: str) -> bytes:
    """A status."""
    return b"+%b\r\n" % text.encode()


def error(text: str) -> bytes:
    """An error."""
    return b"-%b\r\n" % text.replace("\r", " ").replace("\n", " ").encode("utf-8", "surrogateescape")


def integer(number: int) -> bytes:
    """An integer."""
    return _INTEGERS[number] if 0 <= number < 1024 else b":%d\r\n" % number


def bulk(data: bytes) -> bytes:
    """A string."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


def null(protocol: int) -> bytes:
    """No value."""
    return b"$-1\r\n" if protocol == 2 else b"_\r\n"


def null_array(protocol: int) -> bytes:
    """No array."""
    return b"*-1\r\n" if protocol == 2 else b"_\r\n"


def array(items: list[bytes]) -> bytes:
    """An array of encoded items."""
    return b"*%d\r\n" % len(items) + b"".join(items)


def mapping(pairs: list[tuple[bytes, bytes]], protocol: int) -> bytes:
    """A map, or in RESP2 a flat array."""
    body = b"".join(part for pair in pairs for part in pair)
    return (b"*%d\r\n" % (2 * len(pairs)) if protocol == 2 else b"%%%d\r\n" % len(pairs)) + body


def verbatim(text: bytes, protocol: int) -> bytes:
    """Text for people."""
    return bulk(text) if protocol == 2 else b"=%d\r\ntxt:%b\r\n" % (len(text) + 4, text)
