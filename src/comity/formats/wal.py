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
24     length  body
====== ======= =================================================

The body is msgpack, an array of [group, index, data], and after it one byte 0xf0 + m. Every byte of
the msgpack is XORed with m * 0x11. m is the smallest for which the body has no run of 512 zeros, or
0 if there is none. So a block of 512 bytes that is all zeros, or the part of one in which a body
ends, was never written.

A frame is written only after the one before it is durable. So at a crash at most the last frame of
the last segment is incomplete, and everything else that does not verify is damage:

- bytes that do not verify, with a later frame that verifies behind them: damage;
- the last frame cut short by the end of the file, or with a block never written: torn, and cut;
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
_PLAIN = 0xF0
_MASKS = [bytes(byte ^ mask * 0x11 for byte in range(256)) for mask in range(16)]
_RUNS = [bytes([mask * 0x11]) * BLOCK_BYTES for mask in range(16)]
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
    if len(digits) != 20 or not (digits.isascii() and digits.isdigit()) or not name.endswith(SUFFIX):
        raise CorruptLog(name, 0, "the file name is not that of a log segment")
    return int(digits)


def encode_frame(sequence: int, records: Sequence[LogRecord]) -> bytes:
    """The bytes of one frame. Raises `ValueError` for records that are too much for one."""
    body = _encode(records)
    mask = 0
    if _RUNS[0] in body:
        mask = next((mask for mask, run in enumerate(_RUNS) if run not in body), 0)
        body = body.translate(_MASKS[mask])
    body += bytes((_PLAIN + mask,))
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"a frame of {len(body)} bytes; the log takes {MAX_BODY_BYTES}: write less at once")
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
        header = _header_at(data, offset)
        if header is None:
            reason = "the header is cut short"
            if len(data) - offset >= HEADER_BYTES:
                reason = "the header's checksum does not hold"
            torn = _header_torn(data, offset, sequence)
            _judge(name, data, offset, sequence, offset + 1, reason, torn, is_last)
            return Scan(frames, offset, len(data) - offset)
        length, at_sequence, checksum = header
        end = offset + HEADER_BYTES + length
        if length > MAX_BODY_BYTES:
            raise CorruptLog(name, offset, f"a body of {length} bytes is larger than any that is written")
        if at_sequence != sequence:
            raise CorruptLog(name, offset, f"frame {at_sequence} stands where frame {sequence} belongs")
        body = data[offset + HEADER_BYTES : end]
        if len(body) < length or crc32c(body) != checksum:
            cut = len(body) < length
            reason = "the body is cut short" if cut else "the body's checksum does not hold"
            torn = cut or _has_unwritten_block(data, offset + HEADER_BYTES, end)
            _judge(name, data, offset, sequence, end, reason, torn, is_last)
            return Scan(frames, offset, len(data) - offset)
        frames.append(LogFrame(sequence, offset, _records(name, offset, body)))
        sequence += 1
        offset = end
    return Scan(frames, offset, 0)


def _header_at(data: bytes, offset: int) -> tuple[int, int, int] | None:
    """(body length, sequence, body checksum) of the header at offset; None where there is none."""
    head = data[offset : offset + HEADER_BYTES]
    if len(head) < HEADER_BYTES or _CRC.unpack_from(head, 20)[0] != crc32c(head[:20]):
        return None
    magic, length, sequence, checksum = _HEADER.unpack_from(head)
    return (length, sequence, checksum) if magic == MAGIC else None


def _records(name: str, offset: int, body: bytes) -> list[LogRecord]:
    try:
        if not body or body[-1] < _PLAIN:
            raise msgspec.DecodeError("the last byte is not that of a body")
        mask = body[-1] - _PLAIN
        return _decode(body[:-1].translate(_MASKS[mask]) if mask else memoryview(body)[:-1])
    except msgspec.DecodeError as error:
        raise CorruptLog(
            name, offset, f"its checksum holds but its records cannot be read: {error}"
        ) from error


def _judge(
    name: str, data: bytes, offset: int, sequence: int, behind: int, reason: str, torn: bool, is_last: bool
) -> None:
    """Return if the frame at offset may be a torn end; raise if it is damage.

    behind: from where on later frames may begin.
    """
    if not is_last:
        raise CorruptLog(name, offset, f"{reason}, and later segments exist")
    follower = _later_frame(data, offset, sequence, behind)
    if follower is not None:
        raise CorruptLog(name, offset, f"{reason}, and a whole frame follows at byte {follower}")
    if not torn:
        raise CorruptLog(name, offset, f"{reason}, though no part of the last frame is missing")


def _later_frame(data: bytes, offset: int, sequence: int, start: int) -> int | None:
    """Where a whole frame that was written after this sequence begins, at or behind start."""
    position = data.find(MAGIC, start)
    while position != -1:
        header = _header_at(data, position)
        if header is not None:
            length, later, checksum = header
            body = data[position + HEADER_BYTES : position + HEADER_BYTES + length]
            # No more frames lie between than there is room for.
            between = (position - offset) // HEADER_BYTES
            if sequence < later <= sequence + between and len(body) == length and crc32c(body) == checksum:
                return position
        position = data.find(MAGIC, position + 1)
    return None


def _header_torn(data: bytes, offset: int, sequence: int) -> bool:
    """Whether the bytes at offset, which are no header, are what is left of one half written."""
    block_end = (offset // BLOCK_BYTES + 1) * BLOCK_BYTES
    if not any(data[offset:block_end]):
        return True
    # What was written of it is what had to be written.
    head = data[offset : min(block_end, offset + HEADER_BYTES)]
    if not MAGIC.startswith(head[:4]) or not sequence.to_bytes(8, "big").startswith(head[8:16]):
        return False
    if offset + HEADER_BYTES > len(data):
        return True
    return block_end < offset + HEADER_BYTES and not any(data[block_end : block_end + BLOCK_BYTES])


def _has_unwritten_block(data: bytes, start: int, end: int) -> bool:
    """Whether a block that begins in [start, end) is all zeros up to end. An earlier one holds a header."""
    first = -(-start // BLOCK_BYTES) * BLOCK_BYTES
    return any(
        not any(data[block : min(block + BLOCK_BYTES, end)]) for block in range(first, end, BLOCK_BYTES)
    )
