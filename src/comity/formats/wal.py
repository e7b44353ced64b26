"""The write-ahead log: segments of frames, and how a torn end is told from damage.

A segment is a file named after the sequence of its first frame, `%020d.wal`. A frame is all records
that became durable together:

====== ======= =================================================
offset size    field, integers big-endian
====== ======= =================================================
0      4       magic, b"CWL1"
4      4       length of the body in bytes
8      8       sequence, one more than the frame before
16     4       crc32c of the body
20     4       crc32c of the first 20 bytes
24     length  body: msgpack, an array of [group, index, data]
====== ======= =================================================

A frame is written only after the one before it is durable. So at a crash at most the last frame of
the last segment is incomplete, and everything else that does not verify is damage:

- bytes that do not verify, with a frame that verifies behind them: damage;
- the last frame cut short by the end of the file, or with a block of 512 bytes (or the part of a
  block that belongs to it) never written, so all zeros: torn, and cut;
- the last frame complete and not verifying: damage.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
from crc32c import crc32c

from comity.formats.errors import CorruptLog

MAGIC = b"CWL1"
HEADER_BYTES = 24
MAX_BODY_BYTES = 1 << 30
BLOCK_BYTES = 512
SUFFIX = ".wal"

_HEADER = struct.Struct(">4sIQI")
_CRC = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, int, bytes]]).decode

LogRecord = tuple[int, int, bytes]
"""(group, log index or 0, data)."""


class LogFrame(msgspec.Struct, frozen=True):
    """A frame read back: its sequence, its offset in the segment, its records in order."""

    sequence: int
    offset: int
    records: list[LogRecord]


class Scan(msgspec.Struct, frozen=True):
    """A segment read back. valid_bytes: up to where it is whole; torn_bytes: what follows, to be cut."""

    frames: list[LogFrame]
    valid_bytes: int
    torn_bytes: int


def segment_name(sequence: int) -> str:
    """The file name of the segment whose first frame has that sequence."""
    return f"{sequence:020d}{SUFFIX}"


def first_sequence(name: str) -> int:
    """The inverse. Raises `CorruptLog` for a name that is not a segment's."""
    digits = name.removesuffix(SUFFIX)
    if len(digits) != 20 or not digits.isdigit() or not name.endswith(SUFFIX):
        raise CorruptLog(name, 0, "the file name is not that of a log segment")
    return int(digits)


def encode_frame(sequence: int, records: Sequence[LogRecord]) -> bytes:
    """The bytes of one frame."""
    body = _encode(records)
    head = _HEADER.pack(MAGIC, len(body), sequence, crc32c(body))
    return b"".join((head, _CRC.pack(crc32c(head)), body))


def scan(name: str, data: bytes, expected: int | None, is_last: bool) -> Scan:
    """Read a segment.

    expected: the sequence its first frame must have, None for the oldest segment.
    is_last: only the last segment may end in a torn frame.
    Raises `CorruptLog` with the name and the offset of what does not verify.
    """
    sequence = first_sequence(name)
    if expected is not None and sequence != expected:
        raise CorruptLog(name, 0, f"it begins with frame {sequence}, but frame {expected} comes next")
    frames: list[LogFrame] = []
    offset = 0
    while offset < len(data):
        found = _frame_at(data, offset)
        if isinstance(found, str):
            _judge(name, data, offset, found, is_last)
            return Scan(frames, offset, len(data) - offset)
        at_sequence, end = found
        if at_sequence != sequence:
            raise CorruptLog(name, offset, f"frame {at_sequence} stands where frame {sequence} belongs")
        try:
            records = _decode(memoryview(data)[offset + HEADER_BYTES : end])
        except msgspec.DecodeError as error:
            raise CorruptLog(
                name, offset, f"its checksum holds but its records cannot be read: {error}"
            ) from error
        frames.append(LogFrame(sequence, offset, records))
        sequence += 1
        offset = end
    return Scan(frames, offset, 0)


def _frame_at(data: bytes, offset: int) -> tuple[int, int] | str:
    """(sequence, end) of the frame at offset, or why there is none."""
    if len(data) - offset < HEADER_BYTES:
        return "the header is cut short"
    head = data[offset : offset + 20]
    if _CRC.unpack_from(data, offset + 20)[0] != crc32c(head):
        return "the header's checksum does not hold"
    magic, length, sequence, body_crc = _HEADER.unpack(head)
    if magic != MAGIC:
        return f"the magic is {magic!r}"
    end = offset + HEADER_BYTES + length
    if length > MAX_BODY_BYTES:
        return f"a body of {length} bytes is larger than any that is written"
    if end > len(data):
        return "the body is cut short"
    if crc32c(data[offset + HEADER_BYTES : end]) != body_crc:
        return "the body's checksum does not hold"
    return sequence, end


def _judge(name: str, data: bytes, offset: int, reason: str, is_last: bool) -> None:
    """Return if the bytes from offset on may be a torn end; raise if they are damage."""
    if not is_last:
        raise CorruptLog(name, offset, f"{reason}, and later segments exist")
    follower = _valid_frame_after(data, offset + 1)
    if follower is not None:
        raise CorruptLog(name, offset, f"{reason}, and a whole frame follows at byte {follower}")
    end = _claimed_end(data, offset)
    if end > len(data) or _unwritten(data, offset, end):
        return
    raise CorruptLog(name, offset, f"{reason}, though the last frame is complete")


def _claimed_end(data: bytes, offset: int) -> int:
    """Where the frame at offset would end: by its header if that verifies, else where its header ends."""
    if len(data) - offset < HEADER_BYTES:
        return offset + HEADER_BYTES
    head = data[offset : offset + 20]
    if _CRC.unpack_from(data, offset + 20)[0] != crc32c(head):
        return len(data)
    return offset + HEADER_BYTES + int(_HEADER.unpack(head)[1])


def _unwritten(data: bytes, start: int, end: int) -> bool:
    """Whether some block, as far as it lies in [start, end), holds only zeros."""
    position = start
    while position < end:
        block_end = min((position // BLOCK_BYTES + 1) * BLOCK_BYTES, end)
        if not any(data[position:block_end]):
            return True
        position = block_end
    return False


def _valid_frame_after(data: bytes, start: int) -> int | None:
    position = data.find(MAGIC, start)
    while position != -1:
        if not isinstance(_frame_at(data, position), str):
            return position
        position = data.find(MAGIC, position + 1)
    return None
