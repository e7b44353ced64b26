r"""Redis's glob patterns, as KEYS and SCAN ... MATCH use them, compiled to regular expressions.

`*` any bytes, `?` one byte, `[abc]`, `[a-z]`, `[^a]` one byte of (or not of) a set, `\` takes the next byte
as it is. An unfinished set ends at the end of the pattern; a range may be written backwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=256)
def matcher(pattern: bytes) -> Callable[[bytes], object | None]:
    """A function that is truthy for the keys that match."""
    # Redis 7.0 matches the empty key with nothing but the empty pattern and a single star.
    some = b"" if pattern in (b"", b"*") else b"(?=.)"
    return re.compile(some + _translate(pattern), re.DOTALL).fullmatch


def _translate(pattern: bytes) -> bytes:
    # Between two stars the first match is as good as any later one, so each stretch is taken atomically:
    # a pattern of many stars then costs no more than length times length.
    stretches: list[list[bytes]] = [[]]
    position = 0
    while position < len(pattern):
        byte = pattern[position : position + 1]
        position += 1
        if byte == b"*":
            stretches.append([])
            continue
        if byte == b"?":
            piece = b"."
        elif byte == b"[":
            piece, position = _set(pattern, position)
        else:
            if byte == b"\\" and position < len(pattern):
                byte = pattern[position : position + 1]
                position += 1
            piece = re.escape(byte)
        stretches[-1].append(piece)
    first, *rest = [b"".join(stretch) for stretch in stretches]
    if not rest:
        return first
    middle = b"".join(b"(?>.*?" + stretch + b")" for stretch in rest[:-1] if stretch)
    return first + middle + b".*" + rest[-1]


def _set(pattern: bytes, position: int) -> tuple[bytes, int]:
    members = bytearray(256)
    negated = pattern[position : position + 1] == b"^"
    if negated:
        position += 1
    while position < len(pattern):
        byte = pattern[position]
        if byte == 0x5C and position + 1 < len(pattern):
            members[pattern[position + 1]] = 1
            position += 2
        elif byte == 0x5D:
            position += 1
            break
        elif position + 2 < len(pattern) and pattern[position + 1] == 0x2D:
            low, high = sorted((byte, pattern[position + 2]))
            members[low : high + 1] = b"\1" * (high + 1 - low)
            position += 3
        else:
            members[byte] = 1
            position += 1
    wanted = [byte for byte in range(256) if bool(members[byte]) != negated]
    if not wanted:
        return b"(?!)", position
    return b"[" + b"".join(b"\\x%02x" % byte for byte in wanted) + b"]", position
