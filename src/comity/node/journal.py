"""The node's one write-ahead log, shared by all groups: which segment gets what, and when it may go.

No I/O here: `Journal` says what to append (`JournalWrite`) and the shell appends it. One frame holds
all records of a turn, of every group, so one fdatasync serves them all. At most one write is
outstanding; what comes meanwhile waits for the next (group commit).

A segment begins with a checkpoint of every group (its hard state and compaction point), so older
segments are needed only for the entries they hold and go once those are compacted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from comity.formats import wal
from comity.node.turn import Envelope, JournalWrite
from comity.replica import Record

HOST_GROUP = 0xFFFF_FFFF
"""The pseudo-group under which the host keeps records of its own."""


class Boot(msgspec.Struct, frozen=True, array_like=True, tag="boot"):
    """The host's own record: which start of this node this is, counted from 1."""

    incarnation: int


_boot_encoder = msgspec.msgpack.Encoder()
_boot_decoder = msgspec.msgpack.Decoder(Boot)


class _Segment:
    __slots__ = ("highest", "name", "size")

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        self.highest: dict[int, int] = {}

    def note(self, group: int, index: int) -> None:
        if index > self.highest.get(group, 0):
            self.highest[group] = index


class _Batch:
    """Records that become durable together, and the messages that wait for them."""

    __slots__ = ("counts", "gated", "records", "size")

    def __init__(self) -> None:
        self.size = 0
        self.records: list[tuple[int, int, bytes]] = []
        self.counts: dict[int, int] = {}
        self.gated: list[tuple[int, Envelope]] = []


class Written(msgspec.Struct, frozen=True):
    """What a durable write means: records written so far per group, and the messages it frees."""

    counts: dict[int, int]
    freed: list[tuple[int, Envelope]]


class Journal:
    """The segments of one node and the write in flight.

    truncations: (segment, valid bytes) the shell has to cut to before anything is written; zero
    bytes means the file goes. removable segments travel with the next write.
    """

    def __init__(self) -> None:
        self.truncations: list[tuple[str, int]] = []
        self.incarnation = 0
        self.frames_recovered = 0
        self.bytes_written = 0
        self.frames_written = 0
        self._recovered: dict[int, list[Record]] = {}
        self._segments: list[_Segment] = []
        self._current: _Segment | None = None
        self._next_sequence = 1
        self._open = _Batch()
        self._flying: _Batch | None = None
        self._flying_sequence = 0
        self._totals: dict[int, int] = {}
        self._forgotten: dict[int, None] = {}
        self._opening = False

    @classmethod
    def recover(cls, segments: Iterable[tuple[str, bytes]]) -> Journal:
        """Read what a data directory holds. Raises `formats.errors.CorruptLog`."""
        journal = cls()
        ordered = sorted(segments)
        expected: int | None = None
        for position, (name, data) in enumerate(ordered):
            last = position == len(ordered) - 1
            scan = wal.scan(name, data, expected, last)
            if scan.torn_bytes or not scan.frames:
                journal.truncations.append((name, scan.valid_bytes if scan.frames else 0))
            if not scan.frames:
                continue
            segment = _Segment(name)
            segment.size = scan.valid_bytes
            for frame in scan.frames:
                expected = frame.sequence + 1
                journal.frames_recovered += 1
                for group, index, record in frame.records:
                    segment.note(group, index)
                    journal._restore(group, index, record)
            journal._segments.append(segment)
            journal._next_sequence = expected if expected is not None else 1
        if not journal._segments and ordered:
            # Only torn first segments: never reuse a sequence that may have been seen.
            journal._next_sequence = max(wal.first_sequence(name) for name, _ in ordered)
        return journal

    def _restore(self, group: int, index: int, record: bytes) -> None:
        if group == HOST_GROUP:
            self.incarnation = max(self.incarnation, _boot_decoder.decode(record).incarnation)
        else:
            self._recovered.setdefault(group, []).append(Record(index, record))

    def recovered(self, group: int) -> Sequence[Record]:
        """The records of a group found on disk, oldest first; handed out once."""
        return self._recovered.pop(group, ())

    def unclaimed(self) -> Sequence[int]:
        """Groups with records on disk that nobody has asked for."""
        return tuple(sorted(self._recovered))

    def forget(self, group: int) -> None:
        """A group is no more, nor will be: its records, those on their way too, pin no segment."""
        self._forgotten[group] = None
        self._recovered.pop(group, None)
        for segment in self._segments:
            segment.highest.pop(group, None)

    def begin(self) -> None:
        """Start a new incarnation; its record is part of the first segment opened."""
        self.incarnation += 1
        self._current = None
        self._opening = True

    # -- writing

    def add(self, group: int, records: Sequence[Record]) -> None:
        """Queue records of a group, in order, for the next write."""
        batch = self._open
        for record in records:
            batch.records.append((group, record.index, record.data))
            batch.size += len(record.data)
        total = self._totals.get(group, 0) + len(records)
        self._totals[group] = total
        batch.counts[group] = total

    def gate(self, peer: int, envelope: Envelope) -> bool:
        """Hold a message until every record queued so far is durable. False: nothing to wait for."""
        if self._open.records:
            self._open.gated.append((peer, envelope))
        elif self._flying is not None:
            self._flying.gated.append((peer, envelope))
        else:
            return False
        return True

    @property
    def idle(self) -> bool:
        """Nothing queued and nothing in flight."""
        return self._flying is None and not self._open.records

    @property
    def flying(self) -> bool:
        """Whether a write is in flight."""
        return self._flying is not None

    @property
    def waiting_bytes(self) -> int:
        """What waits for the next write."""
        return self._open.size

    @property
    def due(self) -> bool:
        """Whether the next write can begin."""
        return self._flying is None and bool(self._open.records or self._opening)

    def write(
        self,
        segment_bytes: int,
        checkpoint: Callable[[], Sequence[tuple[int, Record]]],
        compacted: Callable[[int], int],
    ) -> JournalWrite | None:
        """The next write, if one is due and none is in flight.

        checkpoint: every group's checkpoint records, asked for when a segment opens.
        compacted: the compaction index of a group.
        """
        if not self.due:
            return None
        self._opening = False
        batch, self._open = self._open, _Batch()
        sequence = self._next_sequence
        self._next_sequence += 1
        current = self._current
        creates = current is None or current.size >= segment_bytes
        removes: tuple[str, ...] = ()
        records = batch.records
        if current is None or creates:
            boot = _boot_encoder.encode(Boot(self.incarnation))
            head = [(HOST_GROUP, 0, boot)]
            head.extend((group, record.index, record.data) for group, record in checkpoint())
            records = head + records
            current = self._current = _Segment(wal.segment_name(sequence))
            removes = self._removable(compacted)
            self._segments.append(current)
        for group, index, _ in records:
            if group not in self._forgotten:
                current.note(group, index)
        data = wal.encode_frame(sequence, records)
        current.size += len(data)
        self.bytes_written += len(data)
        self.frames_written += 1
        self._flying = batch
        self._flying_sequence = sequence
        return JournalWrite(sequence, current.name, data, creates, removes)

    def written(self, sequence: int) -> Written | None:
        """A write is durable; None for a sequence that is not in flight."""
        batch = self._flying
        if batch is None or sequence != self._flying_sequence:
            return None
        self._flying = None
        return Written(batch.counts, batch.gated)

    def _removable(self, compacted: Callable[[int], int]) -> tuple[str, ...]:
        """Oldest segments that no group needs. Only a prefix may go: replay needs the order."""
        names = []
        for segment in self._segments:
            if any(
                index > compacted(group)
                for group, index in segment.highest.items()
                if group != HOST_GROUP and index
            ):
                break
            names.append(segment.name)
        del self._segments[: len(names)]
        return tuple(names)

    # -- looking inside

    @property
    def segments(self) -> int:
        """How many segments are on disk."""
        return len(self._segments)

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)
