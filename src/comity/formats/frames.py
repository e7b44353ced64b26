"""What peers send one another: a hello, then frames of messages, each frame with a checksum.

====== ======= ===============================================================
offset size    field, integers big-endian
====== ======= ===============================================================
0      4       length of the body in bytes
4      4       crc32c of the body
8      length  body: msgpack, an array of [group, kind, message bytes]
====== ======= ===============================================================

The first frame of each direction is the hello: one message of group 0 and kind `HELLO_KIND`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
from crc32c import crc32c

from comity.formats.errors import FrameError

HEADER_BYTES = 8
MAX_FRAME_BYTES = 64 << 20
HELLO_KIND = 255
PROTOCOL_VERSION = 1

_HEADER = struct.Struct(">II")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, int, bytes]]).decode

Message = tuple[int, int, bytes]
"""(group, kind, message bytes)."""


class Hello(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Who is speaking: the first frame each way. directory: the name of its data directory, if it has one."""

    version: int = PROTOCOL_VERSION
    cluster: str
    node: int
    incarnation: int
    peer: str = ""
    redis: str = ""
    directory: str = ""


class _Opening(msgspec.Struct, frozen=True, array_like=True):
    """What every version of a hello begins with."""

    version: int


_hello = msgspec.msgpack.Decoder(Hello).decode
_opening = msgspec.msgpack.Decoder(_Opening).decode


def encode_frame(messages: Sequence[Message]) -> bytes:
    """The bytes of one frame."""
    body = _encode(messages)
    return _HEADER.pack(len(body), crc32c(body)) + body


def encode_hello(hello: Hello) -> bytes:
    """The frame that opens a stream."""
    return encode_frame([(0, HELLO_KIND, _encode(hello))])


def decode_hello(messages: Sequence[Message]) -> Hello:
    """The hello in a first frame; raises `FrameError` where it is not one."""
    if len(messages) != 1 or messages[0][:2] != (0, HELLO_KIND):
        raise FrameError("the peer did not say hello first; is this a comity peer port?")
    try:
        version = _opening(messages[0][2]).version
        if version != PROTOCOL_VERSION:
            raise FrameError(
                f"the peer speaks version {version}, this node {PROTOCOL_VERSION}; upgrade the older"
            )
        return _hello(messages[0][2])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"the peer's hello cannot be read: {error}") from error


class FrameParser:
    """A peer's stream -> frames. After an error it takes nothing more."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._parts: list[bytes] = []
        self._have = 0
        self._need = HEADER_BYTES
        self._failed = False

    def feed(self, data: bytes) -> list[list[Message]]:
        """The frames completed by these bytes. Raises `FrameError`, and again ever after."""
        if self._failed:
            raise FrameError("the stream was given up after an earlier error")
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return []
        buffer = b"".join(self._parts) if len(self._parts) > 1 else data
        frames: list[list[Message]] = []
        offset = 0
        try:
            while True:
                self._need = HEADER_BYTES
                if len(buffer) - offset < HEADER_BYTES:
                    break
                length, checksum = _HEADER.unpack_from(buffer, offset)
                if length > self.max_frame_bytes:
                    raise FrameError(f"a frame of {length} bytes is over the limit of {self.max_frame_bytes}")
                self._need = HEADER_BYTES + length
                end = offset + self._need
                if end > len(buffer):
                    break
                body = buffer[offset + HEADER_BYTES : end]
                if crc32c(body) != checksum:
                    raise FrameError("a frame's checksum does not hold")
                try:
                    frames.append(_decode(body))
                except msgspec.DecodeError as error:
                    raise FrameError(f"a frame cannot be read: {error}") from error
                offset = end
        except FrameError:
            self._failed = True
            self._parts = []
            self._have = 0
            raise
        rest = buffer[offset:] if offset else buffer
        self._parts = [rest] if rest else []
        self._have = len(rest)
        return frames

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame not complete yet."""
        return self._have
