"""A slow, obviously right reading of requests, by Redis's rules, for whole inputs only."""

from __future__ import annotations

import re

LINE_BYTES = 65536
NUMBER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
LEAST_ARGUMENT = len(b"$0\r\n\r\n")


class _Refused(Exception):
    pass


class _Waiting(Exception):
    pass


def read_requests(data: bytes, max_request: int, max_arguments: int) -> tuple[list[list[bytes]], str | None]:
    """All commands in data, and the error that ended them."""
    commands: list[list[bytes]] = []
    try:
        while data:
            if data[:1] == b"*":
                command, taken = _array(data, max_request, max_arguments)
            else:
                command, taken = _inline(data, max_request, max_arguments)
            if command:
                commands.append(command)
            data = data[taken:]
    except _Waiting:
        return commands, None
    except _Refused as refused:
        return commands, f"Protocol error: {refused}"
    return commands, None


def _line(data: bytes, start: int, stop: bytes, most: int, complaint: str) -> bytes:
    end = data.find(stop, start)
    if (len(data) if end < 0 else end) - start > most:
        raise _Refused(complaint)
    if end < 0 or (stop == b"\r" and end + 1 == len(data)):
        raise _Waiting
    return data[start:end]


def _number(digits: bytes, complaint: str) -> int:
    if NUMBER.fullmatch(digits) is None or not -(2**63) <= int(digits) < 2**63:
        raise _Refused(complaint)
    return int(digits)


def _array(data: bytes, max_request: int, max_arguments: int) -> tuple[list[bytes], int]:
    line = _line(data, 0, b"\r", LINE_BYTES, "too big mbulk count string")
    count = _number(line[1:], "invalid multibulk length")
    position = len(line) + 2
    if count > max_arguments or (count > 0 and position + count * LEAST_ARGUMENT > max_request):
        raise _Refused("invalid multibulk length")
    command = []
    for left in range(count - 1, -1, -1):
        line = _line(data, position, b"\r", LINE_BYTES, "too big bulk count string")
        if line[:1] != b"$":
            # Without a line, what stands there is the carriage return itself.
            found = data[position : position + 1].decode("utf-8", "surrogateescape")
            raise _Refused(f"expected '$', got '{found}'")
        length = _number(line[1:], "invalid bulk length")
        if not 0 <= length <= max_request:
            raise _Refused("invalid bulk length")
        position += len(line) + 2
        if position + length + 2 + left * LEAST_ARGUMENT > max_request:
            raise _Refused(f"request larger than {max_request} bytes")
        if position + length + 2 > len(data):
            raise _Waiting
        command.append(data[position : position + length])
        position += length + 2
    return command, position


def _inline(data: bytes, max_request: int, max_arguments: int) -> tuple[list[bytes], int]:
    line = _line(data, 0, b"\n", LINE_BYTES, "too big inline request")
    text = line[:-1] if line.endswith(b"\r") else line
    words = split_words(text)
    if words is None:
        raise _Refused("unbalanced quotes in request")
    if len(words) > max_arguments:
        raise _Refused("too big inline request")
    return words, len(line) + 1


BLANK = b" \t\n\v\f\r"
PLAIN_WORD_ENDS = b" \t\n\r"
ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}


def split_words(line: bytes) -> list[bytes] | None:
    """Words with quotes, one character after the other; None for unbalanced quotes. A NUL ends the line."""
    text = line.split(b"\0")[0].decode("latin-1")
    blank, ends = BLANK.decode(), PLAIN_WORD_ENDS.decode()
    words: list[bytes] = []
    at = 0
    while True:
        while at < len(text) and text[at] in blank:
            at += 1
        if at == len(text):
            return words
        word = ""
        mode = "plain"
        while True:
            if at == len(text):
                if mode != "plain":
                    return None
                break
            character = text[at]
            if mode == "plain":
                if character in ends:
                    break
                if character in "\"'":
                    mode = character
                else:
                    word += character
                at += 1
            elif character == mode:
                if at + 1 < len(text) and text[at + 1] not in blank:
                    return None
                at += 1
                break
            elif mode == '"' and re.match(r"\\x[0-9a-fA-F]{2}", text[at:]):
                word += chr(int(text[at + 2 : at + 4], 16))
                at += 4
            elif mode == '"' and character == "\\" and at + 1 < len(text):
                word += ESCAPED.get(text[at + 1], text[at + 1])
                at += 2
            elif mode == "'" and text.startswith("\\'", at):
                word += "'"
                at += 2
            else:
                word += character
                at += 1
        words.append(word.encode("latin-1"))
