"""The node's log: what becomes durable together, what waits for it, when segments go."""

from __future__ import annotations

import pytest

from comity.formats.errors import CorruptLog
from comity.node.journal import Journal
from comity.node.turn import JournalWrite
from comity.replica import Record

SEGMENT_BYTES = 1 << 20


class Disk:
    """Segments as a shell would keep them."""

    def __init__(self) -> None:
        self.segments: dict[str, bytes] = {}

    def carry_out(self, write: JournalWrite) -> None:
        assert write.creates == (write.segment not in self.segments)
        self.segments[write.segment] = self.segments.get(write.segment, b"") + write.data
        for name in write.removes:
            del self.segments[name]


def write(journal: Journal, segment_bytes: int = SEGMENT_BYTES, compacted: int = 0) -> JournalWrite | None:
    return journal.write(segment_bytes, lambda: [(5, Record(0, b"checkpoint"))], lambda group: compacted)


def begun() -> tuple[Journal, Disk]:
    journal, disk = Journal.recover([]), Disk()
    journal.begin()
    first = write(journal)
    assert first is not None
    disk.carry_out(first)
    journal.written(first.sequence)
    return journal, disk


def test_records_of_all_groups_are_one_write_and_come_back_in_order() -> None:
    journal, disk = begun()
    journal.add(5, [Record(1, b"a"), Record(2, b"b")])
    journal.add(6, [Record(1, b"c")])
    journal.add(5, [Record(3, b"d")])
    only = write(journal)
    assert only is not None
    disk.carry_out(only)
    written = journal.written(only.sequence)
    assert written is not None
    assert written.counts == {5: 3, 6: 1}
    again = Journal.recover(disk.segments.items())
    assert again.recovered(5) == [Record(0, b"checkpoint"), Record(1, b"a"), Record(2, b"b"), Record(3, b"d")]
    assert again.recovered(6) == [Record(1, b"c")]


def test_only_one_write_is_in_flight_and_the_rest_waits_for_the_next() -> None:
    journal, _ = begun()
    journal.add(5, [Record(1, b"a")])
    first = write(journal)
    journal.add(5, [Record(2, b"b")])
    assert write(journal) is None
    assert first is not None
    journal.written(first.sequence)
    second = write(journal)
    assert second is not None
    assert second.sequence == first.sequence + 1


def test_a_gated_message_leaves_only_when_the_records_before_it_are_durable() -> None:
    journal, _ = begun()
    message = (5, 0, b"vote")
    assert not journal.gate(2, message), "nothing to wait for"
    journal.add(5, [Record(1, b"a")])
    assert journal.gate(2, message)
    first = write(journal)
    journal.add(5, [Record(2, b"b")])
    assert journal.gate(3, message)
    assert first is not None
    written = journal.written(first.sequence)
    assert written is not None
    assert written.freed == [(2, message)]
    second = write(journal)
    assert second is not None
    assert journal.gate(4, message), "a write in flight is waited for even when nothing is queued"
    written = journal.written(second.sequence)
    assert written is not None
    assert written.freed == [(3, message), (4, message)]


def test_each_start_has_a_higher_incarnation() -> None:
    journal, disk = begun()
    assert journal.incarnation == 1
    for expected in (2, 3):
        journal = Journal.recover(disk.segments.items())
        journal.begin()
        assert journal.incarnation == expected
        first = write(journal)
        assert first is not None
        disk.carry_out(first)


def test_segments_go_once_every_group_has_compacted_what_they_hold() -> None:
    journal, disk = begun()
    for index in range(1, 6):
        journal.add(5, [Record(index, b"x" * 100)])
        at = write(journal, segment_bytes=32, compacted=0)
        assert at is not None
        disk.carry_out(at)
        journal.written(at.sequence)
    assert len(disk.segments) == 5, "the first held nothing but a checkpoint"
    journal.add(5, [Record(6, b"y")])
    at = write(journal, segment_bytes=32, compacted=3)
    assert at is not None
    assert len(at.removes) == 3
    disk.carry_out(at)
    kept = [record.index for record in Journal.recover(disk.segments.items()).recovered(5) if record.index]
    assert kept == [4, 5, 6]


def test_a_torn_end_is_cut_and_the_next_start_writes_behind_it() -> None:
    journal, disk = begun()
    journal.add(5, [Record(1, b"kept")])
    at = write(journal)
    assert at is not None
    disk.carry_out(at)
    journal.written(at.sequence)
    journal.add(5, [Record(2, b"torn")])
    at = write(journal)
    assert at is not None
    whole = dict(disk.segments)
    for cut in range(1, len(at.data)):
        segments = {at.segment: whole[at.segment] + at.data[:cut]}
        again = Journal.recover(segments.items())
        assert again.truncations == [(at.segment, len(whole[at.segment]))]
        assert [record.data for record in again.recovered(5)] == [b"checkpoint", b"kept"]


def test_damage_before_the_end_is_refused_by_name_and_offset() -> None:
    journal, disk = begun()
    for index in (1, 2):
        journal.add(5, [Record(index, b"x")])
        at = write(journal)
        assert at is not None
        disk.carry_out(at)
        journal.written(at.sequence)
    name, data = next(iter(disk.segments.items()))
    damaged = data[:40] + bytes([data[40] ^ 1]) + data[41:]
    with pytest.raises(CorruptLog) as caught:
        Journal.recover([(name, damaged)])
    assert caught.value.name == name
    assert caught.value.offset == 0
