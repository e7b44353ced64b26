"""Inline commands: a line of words, for people with telnet, quoted as Redis quotes them."""

from __future__ import annotations

import re

from comity.formats.errors import ProtocolError

_BLANK = b" \t\n\v\f\r"
_WORD_ENDS = b" \t\n\r"
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_SPECIAL = re.compile(rb"[\"'\v\f]")
_HEXADECIMAL = re.compile(rb"\\x([0-9a-fA-F]{2})")
_UNBALANCED = "Protocol error: unbalanced quotes in request"


def split_inline(line: bytes) -> list[bytes]:
    r"""The words of a line, without its line end; what follows a NUL does not count.

    "..." knows \n \r \t \b \a \xhh and \ before any other byte; '...' knows only \'.
    Raises `ProtocolError` for unbalanced quotes.
    """
    line = line.partition(b"\0")[0]
    if _SPECIAL.search(line) is None:
        return line.split()
    words: list[bytes] = []
    position = 0
    while True:
        while position < len(line) and line[position] in _BLANK:
            position += 1
        if position == len(line):
            return words
        word, position = _word(line, position)
        words.append(word)


def _word(line: bytes, position: int) -> tuple[bytes, int]:
    """The word at position and where it ends; a quote may open in its middle, and closes it."""
    word = bytearray()
    while position < len(line):
        byte = line[position]
        if byte in _WORD_ENDS:
            break
        position += 1
        if byte in b"\"'":
            position = _quoted(line, position, byte, word)
            if position < len(line) and line[position] not in _BLANK:
                raise ProtocolError(_UNBALANCED)
            break
        word.append(byte)
    return bytes(word), position


def _quoted(line: bytes, position: int, quote: int, word: bytearray) -> int:
    """Append what stands between quotes to word; returns where the closing quote ends."""
    while position < len(line):
        byte = line[position]
        if byte == quote:
            return position + 1
        following = line[position + 1 : position + 2]
        if byte == ord("\\") and quote == ord('"') and following:
            hexadecimal = _HEXADECIMAL.match(line, position)
            if hexadecimal is not None:
                word.append(int(hexadecimal[1], 16))
                position += 4
                continue
            word += _ESCAPES.get(following, following)
            position += 2
            continue
        if byte == ord("\\") and quote == ord("'") and following == b"'":
            position += 1
            byte = quote
        word.append(byte)
        position += 1
    raise ProtocolError(_UNBALANCED)
