"""Encoders of the replies that commands give most: one lookup and one join each."""

from __future__ import annotations

OK = b"+OK\r\n"
ZERO = b":0\r\n"
ONE = b":1\r\n"
EMPTY = b"$0\r\n\r\n"

_HEADERS = tuple(b"$%d\r\n" % size for size in range(4097))
_INTEGERS = tuple(b":%d\r\n" % number for number in range(1024))


def null(protocol: int) -> bytes:
    """No value."""
    return b"_\r\n" if protocol == 3 else b"$-1\r\n"


def null_array(protocol: int) -> bytes:
    """No array, such as the reply to a transaction that was not carried out."""
    return b"_\r\n" if protocol == 3 else b"*-1\r\n"


def bulk(data: bytes) -> bytes:
    """A string."""
    size = len(data)
    return b"".join((_HEADERS[size] if size <= 4096 else b"$%d\r\n" % size, data, b"\r\n"))


def integer(number: int) -> bytes:
    """A number."""
    return _INTEGERS[number] if 0 <= number < 1024 else b":%d\r\n" % number


def simple(text: bytes) -> bytes:
    """A word, such as OK."""
    return b"+%b\r\n" % text


def error(text: bytes) -> bytes:
    """An error, from a text with its prefix; line ends in it become spaces."""
    return b"-%b\r\n" % text.translate(_LINE)


def array(items: list[bytes]) -> bytes:
    """An array of encoded replies."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


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
