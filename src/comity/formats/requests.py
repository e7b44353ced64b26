"""Bytes of a client -> commands: RESP arrays of strings, and inline commands.

Two readers, one meaning. Where a chunk is whole arrays and nothing odd, hiredis reads it; it keeps
nothing from one chunk to the next. Everything else is walked by hand, header by header, in a buffer
that holds exactly the bytes of the one command that is not complete, so that a count or a length
takes no memory before the bytes it announces have come.

hiredis was made for replies. It reserves memory for counts before their elements come, and takes
types for strings and arrays that are none in a request; chunks that may hold such are walked by hand.
"""

from __future__ import annotations

import re

import hiredis

from comity.formats.errors import ProtocolError
from comity.formats.inline import split_inline

LINE_BYTES = 64 << 10
"""The longest header or inline command (Redis: PROTO_INLINE_MAX_SIZE)."""

_ARRAY, _NEWLINE = b"*\n"
_COUNT = re.compile(rb"\*(0|-?[1-9][0-9]{0,18})\r.", re.DOTALL).match
_LENGTH = re.compile(rb"\$(0|[1-9][0-9]{0,18})\r.", re.DOTALL).match
_LEAST_COUNT = -(2**63)
_LEAST_ARGUMENT_BYTES = len(b"$0\r\n\r\n")
# Lines that hiredis reads as a string or an array though they are neither in a request, where they are lines.
_FOREIGN = re.compile(rb"\n[+=(>~|%]").search
_FOREIGN_COUNT = re.compile(rb"\n[>~|%]\d\d").search
_PLUS, _EQUALS, _PARENTHESIS, _GREATER, _TILDE, _BAR, _PERCENT = b"+=(>~|%"
# hiredis reserves 8 bytes for each element a count announces, and arrays can be nested without end. So from
# two digits on counts are added up: in whole requests they are backed by bytes.
_COUNT_DIGITS = 2
# Joining is the fastest way to find out that all are bytes, while what it copies is small.
_join = b"".join
_CHEAP_TO_JOIN = 64 << 10


class RequestParser:
    """Commands out of a stream, in order; the first error ends it.

    max_request_bytes: of one command as sent, headers included. max_arguments: of one command.
    error: set once the stream is malformed, after the commands before it were handed out.
    """

    __slots__ = (
        "_buffer",
        "_large_count",
        "_large_counts",
        "_missing",
        "_needed",
        "_position",
        "_reader",
        "_searched",
        "error",
        "max_arguments",
        "max_request_bytes",
    )

    def __init__(self, max_request_bytes: int = 64 << 20, max_arguments: int = 1 << 20) -> None:
        self.max_request_bytes = max_request_bytes
        self.max_arguments = max_arguments
        self.error: ProtocolError | None = None
        self._reader = hiredis.Reader()
        # Every count over the limit has as many digits as the limit, or more.
        digits = min(_COUNT_DIGITS, len(str(max_arguments)))
        self._large_count = re.compile(rb"\*" + rb"\d" * digits).search
        self._large_counts = re.compile(rb"\*(\d{%d,19})" % digits).findall
        # The bytes of the command that is not complete, and how far it was walked:
        self._buffer = bytearray()
        self._needed = 0  # nothing can be done before the buffer holds this many
        self._position = 0  # where its next header begins; 0: at its beginning
        self._searched = 0  # up to here that header was searched for its end
        self._missing = 0  # arguments not complete

    @property
    def pending_bytes(self) -> int:
        """Bytes held of a command that is not complete: at most `max_request_bytes` and one line."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The commands these bytes complete, possibly none. Never raises; see `error`."""
        commands: list[list[bytes]] = []
        if data and data[-1] == _NEWLINE and not self._buffer and self._whole(data, commands):
            return commands
        if self.error is None:
            try:
                self._carefully(data, commands)
            except ProtocolError as error:
                # Its frames would keep the buffer.
                self.error = error.with_traceback(None)
                self._buffer = bytearray()
        return commands

    # -- whole arrays, by hiredis

    def _whole(self, data: bytes, commands: list[list[bytes]]) -> bool:
        """Read whole arrays into commands, which is empty; False, and nothing done, for anything else."""
        if data[0] != _ARRAY or len(data) > self.max_request_bytes or self.error is not None:
            return False
        if self._large_count(data) is not None and not self._backed(data):
            return False
        # Single bytes are looked for first, and as numbers, because that costs next to nothing.
        foreign = (
            _PLUS in data
            or _EQUALS in data
            or _PARENTHESIS in data
            or _GREATER in data
            or _TILDE in data
            or _BAR in data
            or _PERCENT in data
        ) and _FOREIGN(data) is not None
        if foreign and _FOREIGN_COUNT(data) is not None:
            return False
        reader = self._reader
        gets = reader.gets
        more = reader.has_data
        check = _join if len(data) < _CHEAP_TO_JOIN else _only_bytes
        try:
            reader.feed(data)
            command = gets()
            while command:
                check(command)
                commands.append(command)
                if not more():
                    if foreign and _encoded(commands) != data:
                        break
                    return True
                command = gets()
        except (hiredis.ProtocolError, TypeError):
            pass
        # The reader may be in the middle of something; the walk begins where it began.
        self._reader = hiredis.Reader()
        commands.clear()
        return False

    def _backed(self, data: bytes) -> bool:
        """Whether all counts in data are within the limit and their arguments can all be in data."""
        counts = [int(count) for count in self._large_counts(data)]
        return max(counts) <= self.max_arguments and sum(counts) * _LEAST_ARGUMENT_BYTES <= len(data)

    # -- anything, by hand

    def _carefully(self, data: bytes, commands: list[list[bytes]]) -> None:
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            end = self._one(self._buffer, 0, commands)
            if end < 0:
                return
            data = bytes(memoryview(self._buffer)[end:])
            self._buffer = bytearray()
        # The last array of a chunk is often cut; what stands before it is whole.
        start = data.rfind(b"\r\n*") + 2
        whole: list[list[bytes]] = []
        if start > 2 and self._whole(data[:start], whole):
            commands += whole
        else:
            start = 0
        while start < len(data):
            end = self._one(data, start, commands)
            if end < 0:
                self._buffer += memoryview(data)[start:]
                return
            start = end

    def _one(self, buffer: bytes | bytearray, start: int, commands: list[list[bytes]]) -> int:
        """Read the command at start. Where it ends, or -1 if it is not complete."""
        if buffer[start] == _ARRAY:
            return self._array(buffer, start, commands)
        end = self._line_end(buffer, start, start, b"\n", "too big inline request")
        if end < 0:
            return -1
        self._searched = 0
        words = split_inline(bytes(buffer[start:end]).removesuffix(b"\r"))
        if len(words) > self.max_arguments:
            raise _error("too big inline request")
        if words:
            commands.append(words)
        return end + 1

    def _array(self, buffer: bytes | bytearray, start: int, commands: list[list[bytes]]) -> int:
        limit = self.max_request_bytes
        position = start + self._position
        missing = self._missing
        command: list[bytes] | None = None
        if position == start:
            command = []
            header = _COUNT(buffer, start)
            if header is None:
                return self._no_header(buffer, start, start)
            position = header.end()
            count = int(header[1])
            least = position - start + count * _LEAST_ARGUMENT_BYTES
            if count > self.max_arguments or least > limit or count < _LEAST_COUNT:
                raise _error("invalid multibulk length")
            missing = max(count, 0)
        while missing:
            header = _LENGTH(buffer, position)
            if header is None:
                self._missing = missing
                return self._no_header(buffer, start, position)
            length = int(header[1])
            begin = header.end()
            after = begin + length + 2
            if after - start + (missing - 1) * _LEAST_ARGUMENT_BYTES > limit:
                raise _error(
                    "invalid bulk length" if length > limit else f"request larger than {limit} bytes"
                )
            if after > len(buffer):
                self._missing = missing
                self._position = self._searched = position - start
                self._needed = after - start
                return -1
            if command is not None:
                command.append(bytes(buffer[begin : after - 2]))
            position = after
            missing -= 1
        if command is None:
            command = _arguments(buffer)
        if command:
            commands.append(command)
        self._position = self._searched = self._missing = 0
        return position

    def _no_header(self, buffer: bytes | bytearray, start: int, position: int) -> int:
        """-1 if the header at position is not complete. Raises what is wrong with it otherwise."""
        first = position == start
        if position - start != self._position:
            self._position = self._searched = position - start
        complaint = "too big mbulk count string" if first else "too big bulk count string"
        end = self._line_end(buffer, start, position, b"\r", complaint)
        if end < 0:
            return -1
        if first:
            raise _error("invalid multibulk length")
        if buffer[position : position + 1] != b"$":
            found = buffer[position : position + 1].decode("utf-8", "surrogateescape")
            raise _error(f"expected '$', got '{found}'")
        raise _error("invalid bulk length")

    def _line_end(self, buffer: bytes | bytearray, start: int, line: int, stop: bytes, complaint: str) -> int:
        """Where the line's last byte is, -1 if it has not come. Raises for a line too long."""
        end = buffer.find(stop, start + self._searched)
        until = len(buffer) if end < 0 else end
        if until - line > LINE_BYTES:
            raise _error(complaint)
        if end < 0 or (stop == b"\r" and end + 1 == len(buffer)):
            self._searched = until - start
            self._needed = len(buffer) - start + 1
            return -1
        return end


def _error(text: str) -> ProtocolError:
    return ProtocolError(f"Protocol error: {text}")


def _only_bytes(command: list[bytes]) -> None:
    """Raise `TypeError` if hiredis read anything but strings."""
    for argument in command:
        if argument.__class__ is not bytes:
            raise TypeError


def _encoded(commands: list[list[bytes]]) -> bytes:
    """Commands as arrays of strings."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        parts += [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in command]
    return b"".join(parts)


def _arguments(buffer: bytes | bytearray) -> list[bytes]:
    """The strings of the array at the beginning of buffer, which is there whole and was walked."""
    header = _COUNT(buffer)
    assert header is not None
    position = header.end()
    command: list[bytes] = []
    with memoryview(buffer) as view:
        for _ in range(int(header[1])):
            header = _LENGTH(buffer, position)
            assert header is not None
            begin = header.end()
            position = begin + int(header[1]) + 2
            command.append(bytes(view[begin : position - 2]))
    return command
