"""Bytes of a client -> commands: RESP arrays of strings, and inline commands.

hiredis does the parsing. It was made for replies, so three things are looked after here: counts and
lengths over the limits are refused before hiredis sees them (it would reserve the memory they
claim), elements that are not strings are refused, and lines that are not arrays are inline commands.
"""

from __future__ import annotations

import re

import hiredis

from comity.formats.errors import ProtocolError

INLINE_BYTES = 64 << 10
_COUNT = re.compile(rb"\*\d{5}")
_CLAIM = re.compile(rb"[*$](\d{5,})")
_LENGTH = re.compile(rb"\$\d{8}")
_UNFINISHED_HEADER = re.compile(rb"[*$]\d*\r?\Z")
_SPACE = b" \t\v\f\r\n\0"
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


class RequestParser:
    """Commands out of a stream, in order; the first error ends it.

    max_request_bytes: of one command. max_arguments: of one command.
    error: set once the stream is malformed, after the commands before it were handed out.
    """

    __slots__ = (
        "_claimed",
        "_held",
        "_partial",
        "_reader",
        "_received",
        "error",
        "max_arguments",
        "max_request_bytes",
    )

    def __init__(self, max_request_bytes: int = 64 << 20, max_arguments: int = 1 << 20) -> None:
        self.max_request_bytes = max_request_bytes
        self.max_arguments = max_arguments
        self.error: ProtocolError | None = None
        self._reader = hiredis.Reader()
        self._partial = False
        self._received = 0
        self._claimed = 0
        self._held = b""

    @property
    def pending_bytes(self) -> int:
        """Memory taken by a command that is not complete yet."""
        return (self._received if self._partial else 0) + self._claimed + len(self._held)

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The commands these bytes complete, possibly none."""
        commands: list[list[bytes]] = []
        if (
            data[:1] == b"*"
            and data[-1:] == b"\n"
            and not self._partial
            and not self._held
            and self.error is None
            and _COUNT.search(data) is None
            and self._whole(data, commands)
        ):
            return commands
        if self.error is not None:
            return commands
        if self._held:
            data = self._held + data
            self._held = b""
        try:
            if self._partial or data[:1] == b"*":
                self._arrays(data, commands)
            elif data:
                self._mixed(data, commands)
        except ProtocolError as error:
            self.error = error
        return commands

    def _whole(self, data: bytes, commands: list[list[bytes]]) -> bool:
        """The common case, whole commands and nothing odd; False when it was not that case."""
        reader = self._reader
        gets = reader.gets
        reader.feed(data)
        try:
            command = gets()
            while command:
                for argument in command:
                    if argument.__class__ is not bytes:
                        raise hiredis.ProtocolError
                commands.append(command)
                if not reader.has_data():
                    return True
                command = gets()
        except (hiredis.ProtocolError, TypeError):
            pass
        # Read this chunk again from its start, by the careful way.
        self._reader = hiredis.Reader()
        commands.clear()
        return False

    # -- arrays, by hiredis

    def _arrays(self, data: bytes, commands: list[list[bytes]]) -> None:
        if data[-1:] != b"\n":
            # A header cut by the end of the chunk must not reach hiredis in two harmless halves.
            cut = _UNFINISHED_HEADER.search(data, max(0, len(data) - 24))
            if cut is not None:
                self._held = data[cut.start() :]
                data = data[: cut.start()]
                if not data:
                    return
        started_partial = self._partial
        before = len(commands)
        try:
            # A count makes hiredis reserve memory at once; a length only matters once it is waited for.
            if _COUNT.search(data) is None and _LENGTH.search(data, max(0, len(data) - 32)) is None:
                self._parse(data, commands)
            else:
                self._vetted(data, commands)
        except hiredis.ProtocolError as error:
            if started_partial:
                raise ProtocolError(_in_redis_words(str(error))) from error
            # Perhaps an inline command among arrays: read the chunk again, slowly and exactly.
            self._reader = hiredis.Reader()
            self._partial = False
            again: list[list[bytes]] = []
            try:
                self._mixed(data, again)
            finally:
                commands[before:] = again

    def _parse(self, data: bytes, commands: list[list[bytes]]) -> None:
        reader = self._reader
        gets = reader.gets
        more = reader.has_data
        reader.feed(data)
        while True:
            command = gets()
            if command is False:
                # An upper bound: what came with this command's beginning counts whole.
                self._received += len(data)
                self._partial = True
                if self._received > self.max_request_bytes:
                    raise ProtocolError(f"Protocol error: request larger than {self.max_request_bytes} bytes")
                return
            if command:
                for argument in command:
                    if argument.__class__ is not bytes:
                        raise ProtocolError(_not_a_string(command))
                commands.append(command)
            self._partial = False
            self._received = 0
            self._claimed = 0
            if not more():
                return

    def _vetted(self, data: bytes, commands: list[list[bytes]]) -> None:
        """The same for data that may hold a header over the limits, or a value that looks like one.

        Where hiredis has consumed everything before the header it is a header; while it keeps
        bytes back, they and what follows belong to a value.
        """
        position = 0
        for claim in _CLAIM.finditer(data):
            number = int(claim[1])
            is_count = data[claim.start()] == 42  # b"*"
            if claim.start() > position:
                self._parse(data[position : claim.start()], commands)
                position = claim.start()
            if self._reader.has_data():
                continue
            if is_count and number > self.max_arguments:
                raise ProtocolError("Protocol error: invalid multibulk length")
            if not is_count and number > self.max_request_bytes:
                raise ProtocolError("Protocol error: invalid bulk length")
            if is_count:
                self._claimed = 8 * number
        self._parse(data[position:], commands)

    # -- anything, by hand

    def _mixed(self, data: bytes, commands: list[list[bytes]]) -> None:
        """Inline commands and arrays; the chunk begins with a command."""
        position = 0
        while position < len(data):
            if data[position] == 42:  # b"*"
                position = self._array_at(data, position, commands)
                if position < 0:
                    return
                continue
            end = data.find(b"\n", position)
            if end < 0:
                if len(data) - position > INLINE_BYTES:
                    raise ProtocolError("Protocol error: too big inline request")
                self._held = data[position:]
                return
            if end - position > INLINE_BYTES:
                raise ProtocolError("Protocol error: too big inline request")
            command = split_inline(data[position:end])
            if command:
                commands.append(command)
            position = end + 1

    def _array_at(self, data: bytes, position: int, commands: list[list[bytes]]) -> int:
        """Where the array at position ends; -1 if it is not complete and hiredis goes on with it."""
        start = position
        end = data.find(b"\r\n", position)
        if end >= 0:
            count = _number(data[position + 1 : end], "invalid multibulk length")
            if count > self.max_arguments:
                raise ProtocolError("Protocol error: invalid multibulk length")
            position = end + 2
            command: list[bytes] = []
            while len(command) < count:
                end = data.find(b"\r\n", position)
                if end < 0:
                    break
                if data[position] != 36:  # b"$"
                    raise ProtocolError(f"Protocol error: expected '$', got '{chr(data[position])}'")
                length = _number(data[position + 1 : end], "invalid bulk length")
                if not 0 <= length <= self.max_request_bytes:
                    raise ProtocolError("Protocol error: invalid bulk length")
                after = end + 2 + length + 2
                if after > len(data):
                    break
                command.append(data[end + 2 : after - 2])
                position = after
            else:
                if command:
                    commands.append(command)
                return position
        rest = data[start:]
        if rest[-1:] != b"\n" and (cut := _UNFINISHED_HEADER.search(rest, max(0, len(rest) - 24))):
            self._held = rest[cut.start() :]
            rest = rest[: cut.start()]
        if rest:
            try:
                self._parse(rest, commands)
            except hiredis.ProtocolError as error:
                raise ProtocolError(_in_redis_words(str(error))) from error
        return -1


def _number(digits: bytes, complaint: str) -> int:
    try:
        if len(digits) > 20:
            raise ValueError
        return int(digits)
    except ValueError:
        raise ProtocolError(f"Protocol error: {complaint}") from None


def _in_redis_words(text: str) -> str:
    found = re.search(r'got "(.+?)" as reply type byte', text)
    if found is not None:
        return f"Protocol error: expected '$', got '{found[1]}'"
    if "Multi-bulk" in text:
        return "Protocol error: invalid multibulk length"
    if "Bulk string" in text or "bulk" in text:
        return "Protocol error: invalid bulk length"
    return f"Protocol error: {text}"


def _not_a_string(command: object) -> str:
    if not isinstance(command, list):
        return "Protocol error: expected '*'"
    kinds = {int: ":", list: "*", type(None): "$-1", float: ",", bool: "#", dict: "%", set: "~", str: "="}
    found = next(argument for argument in command if argument.__class__ is not bytes)
    return f"Protocol error: expected '$', got '{kinds.get(found.__class__, '?')}'"


def split_inline(line: bytes) -> list[bytes]:
    """An inline command's words, with Redis's quoting. Raises `ProtocolError` for unbalanced quotes."""
    if b'"' not in line and b"'" not in line:
        return line.split()
    words: list[bytes] = []
    position = 0
    while True:
        while position < len(line) and line[position] in _SPACE:
            position += 1
        if position >= len(line):
            return words
        word, position = _inline_word(line, position)
        words.append(word)


def _inline_word(line: bytes, position: int) -> tuple[bytes, int]:
    word = bytearray()
    quote = 0
    while position < len(line):
        byte = line[position]
        if quote == 34 and byte == 92 and position + 1 < len(line):  # a backslash between double quotes
            hexadecimal = line[position + 2 : position + 4]
            if line[position + 1] == 120 and re.fullmatch(rb"[0-9a-fA-F]{2}", hexadecimal):
                word.append(int(hexadecimal, 16))
                position += 4
                continue
            escaped = line[position + 1 : position + 2]
            word += _ESCAPES.get(escaped, escaped)
            position += 2
            continue
        if quote == 39 and line[position : position + 2] == b"\\'":
            word += b"'"
            position += 2
            continue
        if quote:
            if byte == quote:
                if position + 1 < len(line) and line[position + 1] not in _SPACE:
                    raise ProtocolError("Protocol error: unbalanced quotes in request")
                return bytes(word), position + 1
            word.append(byte)
        elif byte in _SPACE:
            return bytes(word), position
        elif byte in (34, 39):
            quote = byte
        else:
            word.append(byte)
        position += 1
    if quote:
        raise ProtocolError("Protocol error: unbalanced quotes in request")
    return bytes(word), position
