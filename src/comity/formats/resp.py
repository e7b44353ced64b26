"""RESP2 and RESP3: replies as bytes, requests by `RequestParser`.

Specification: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from comity.formats.errors import ProtocolError
from comity.formats.requests import RequestParser

OK = b"+OK\r\n"
_INTEGERS = [b":%d\r\n" % number for number in range(1024)]


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


def double(number: float, protocol: int) -> bytes:
    """A float: a double in RESP3, a string in RESP2."""
    if number != number:  # noqa: PLR0124
        text = b"nan"
    elif number in (float("inf"), float("-inf")):
        text = b"inf" if number > 0 else b"-inf"
    else:
        text = repr(number).removesuffix(".0").encode()
    return bulk(text) if protocol == 2 else b",%b\r\n" % text


def boolean(value: bool, protocol: int) -> bytes:
    """A truth value: 1 or 0 in RESP2."""
    if protocol == 2:
        return integer(int(value))
    return b"#t\r\n" if value else b"#f\r\n"


def members(items: list[bytes], protocol: int) -> bytes:
    """A set of encoded items, in RESP2 an array."""
    return (b"*%d\r\n" if protocol == 2 else b"~%d\r\n") % len(items) + b"".join(items)


def push(items: list[bytes]) -> bytes:
    """An out-of-band message (RESP3 only)."""
    return b">%d\r\n" % len(items) + b"".join(items)


__all__ = [
    "OK",
    "ProtocolError",
    "RequestParser",
    "array",
    "boolean",
    "bulk",
    "double",
    "error",
    "integer",
    "mapping",
    "members",
    "null",
    "null_array",
    "push",
    "simple",
    "verbatim",
]
