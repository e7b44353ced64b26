"""Replies that the state machine gives most, made faster than a general encoder can."""

from __future__ import annotations

ZERO = b":0\r\n"
ONE = b":1\r\n"
EMPTY = b"$0\r\n\r\n"

_HEADERS = tuple(b"$%d\r\n" % size for size in range(4097))


def bulk(data: bytes) -> bytes:
    """A string: one lookup and one join."""
    size = len(data)
    return b"".join((_HEADERS[size] if size <= 4096 else b"$%d\r\n" % size, data, b"\r\n"))


def error(text: bytes) -> bytes:
    """An error, from a text with its prefix; line ends in it become spaces."""
    return b"-%b\r\n" % text.translate(_LINE)


_LINE = bytes(32 if byte in b"\r\n" else byte for byte in range(256))


def translated(reply: bytes, protocol: int) -> bytes:
    """The same reply for the other RESP version, as far as the replies of data commands differ: nulls."""
    out: list[bytes] = []
    position = 0
    while position < len(reply):
        end = reply.index(b"\r\n", position) + 2
        line = reply[position:end]
        position = end
        if line == b"_\r\n":
            line = b"$-1\r\n"
        if line in (b"$-1\r\n", b"*-1\r\n"):
            out.append(b"_\r\n" if protocol == 3 else line)
            continue
        out.append(line)
        if line[0] == 36:
            end = position + int(line[1:]) + 2
            out.append(reply[position:end])
            position = end
    return b"".join(out)
