"""Reading a journal back: what was durable comes back, whatever else the crash left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.protocols.raft.log import Log
from comity.protocols.raft.messages import Entry
from comity.protocols.raft.records import hard_state_record, recover
from comity.replica import Record, Recovered, UnusableRecord
from comity.replica.logged import base_record, entry_record


def entries(*terms: int, first: int = 1) -> list[Record]:
    return [
        entry_record(index, Entry(term, 0, f"{index}/{term}".encode()))
        for index, term in enumerate(terms, first)
    ]


def terms(log: Log) -> tuple[int, list[int]]:
    return log.base, [entry.term for entry in log.entries]


def test_an_empty_journal_is_an_empty_replica() -> None:
    durable = recover(Recovered())
    assert (durable.term, durable.vote, terms(durable.log)) == (0, 0, (0, []))


def test_the_last_hard_state_holds() -> None:
    durable = recover(Recovered(records=[hard_state_record(1, 2), hard_state_record(3, 0)]))
    assert (durable.term, durable.vote) == (3, 0)


def test_a_later_entry_replaces_that_index_and_all_after_it() -> None:
    records = [hard_state_record(2, 0), *entries(1, 1, 1, 1), *entries(2, first=3)]
    assert terms(recover(Recovered(records=records)).log) == (0, [1, 1, 2])


def test_a_base_drops_what_it_covers() -> None:
    records = [hard_state_record(2, 0), *entries(1, 1, 2), base_record(2, 1)]
    durable = recover(Recovered(records=records, applied=2, applied_term=1))
    assert terms(durable.log) == (2, [2])
    assert durable.recorded_base == (2, 1)


def test_a_base_the_log_does_not_hold_drops_everything() -> None:
    records = [hard_state_record(5, 0), *entries(1, 1, 1, 1), base_record(3, 2), *entries(5, first=4)]
    durable = recover(Recovered(records=records, applied=3, applied_term=2))
    assert terms(durable.log) == (3, [5])


def test_a_snapshot_without_its_record_is_the_new_base() -> None:
    records = [hard_state_record(5, 0), *entries(1, 1, 1, 1)]
    for applied in (3, 9):  # the log conflicts with the snapshot; the log ends before it
        durable = recover(Recovered(records=records, applied=applied, applied_term=4))
        assert terms(durable.log) == (applied, [])
        assert durable.log.last_term == 4
        assert durable.recorded_base != (applied, 4), "it has to be written before anything else is"


def test_a_state_machine_within_the_log_leaves_it_whole() -> None:
    records = [hard_state_record(2, 0), *entries(1, 1, 2)]
    durable = recover(Recovered(records=records, applied=2, applied_term=1))
    assert terms(durable.log) == (0, [1, 1, 2])


def test_removed_segments_leave_a_gap_that_the_state_machine_covers() -> None:
    records = [hard_state_record(3, 0), base_record(2, 1), *entries(2, 2, 3, first=7)]
    durable = recover(Recovered(records=records, applied=8, applied_term=2))
    assert terms(durable.log) == (7, [2, 3])
    durable = recover(Recovered(records=records, applied=6, applied_term=1))
    assert terms(durable.log) == (6, [2, 2, 3])
    assert durable.log.base_term == 1


def test_a_gap_that_nothing_covers_is_refused() -> None:
    records = [hard_state_record(3, 0), *entries(2, 2, first=7)]
    with pytest.raises(UnusableRecord, match="durable up to 4, the log starts after 6"):
        recover(Recovered(records=records, applied=4, applied_term=1))


def test_a_state_machine_that_contradicts_the_base_is_refused() -> None:
    records = [hard_state_record(3, 0), base_record(4, 2)]
    with pytest.raises(UnusableRecord, match="term 2 in the log and 1"):
        recover(Recovered(records=records, applied=4, applied_term=1))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x09\x01", b"\x93\x01\x01", b"\x93\x01\xff\x00"])
def test_a_record_of_something_else_is_refused_by_position(data: bytes) -> None:
    with pytest.raises(UnusableRecord, match="record 1 is not one of raft's"):
        recover(Recovered(records=[hard_state_record(1, 0), Record(0, data)]))


def test_a_term_is_never_behind_the_log() -> None:
    durable = recover(Recovered(records=[hard_state_record(1, 2), *entries(1, 4)]))
    assert (durable.term, durable.vote, durable.recorded_term) == (4, 0, 1)


class Writer:
    """A replica that writes as a core does, and remembers what it held after every record."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.log = Log()
        self.term = 1
        self.applied = (0, 0)
        self.records: list[Record] = []
        self.segments = [0]
        self.held: list[tuple[int, list[Entry], tuple[int, int]]] = []
        self.least = 0
        self.write(hard_state_record(1, 0))

    def write(self, record: Record) -> None:
        self.records.append(record)
        self.held.append((self.log.base, list(self.log.entries), self.applied))

    def new_term(self) -> None:
        self.term += 1
        self.write(hard_state_record(self.term, 0))

    def append(self) -> None:
        self.log.append(Entry(self.term, 0, b"%d" % len(self.records)))
        self.write(entry_record(self.log.last, self.log.entries[-1]))

    def overwrite(self) -> None:
        if self.log.last > self.applied[0]:
            self.new_term()
            self.log.truncate(self.data.draw(st.integers(self.applied[0] + 1, self.log.last)))
            self.append()

    def apply(self) -> None:
        if self.log.last > self.applied[0]:
            index = self.data.draw(st.integers(self.applied[0] + 1, self.log.last))
            self.applied = (index, self.log.term(index))

    def compact(self) -> None:
        if self.applied[0] > self.log.base:
            self.log.compact(self.data.draw(st.integers(self.log.base + 1, self.applied[0])))
            self.write(base_record(self.log.base, self.log.base_term))

    def snapshot(self) -> None:
        self.new_term()
        index = self.applied[0] + self.data.draw(st.integers(1, 4))
        self.log.reset(index, self.term)
        self.applied = (index, self.term)
        self.write(base_record(index, self.term))

    def segment(self) -> None:
        """A new segment begins with a checkpoint; then older ones go that nobody needs."""
        self.segments.append(len(self.records))
        self.write(hard_state_record(self.term, 0))
        self.write(base_record(self.log.base, self.log.base_term))
        removable = 0
        while removable < len(self.segments) - 1:
            first, after = self.segments[removable], self.segments[removable + 1]
            if any(record.index > self.log.base for record in self.records[first:after]):
                break
            removable += 1
        if removable and self.data.draw(st.booleans()):
            self.least = len(self.records)
            gone = self.segments[removable]
            self.records = self.records[gone:]
            self.held = self.held[gone:]
            self.least -= gone
            self.segments = [start - gone for start in self.segments[removable:]]


@given(st.data())
def test_a_journal_torn_anywhere_gives_the_log_as_it_was_then(data: st.DataObject) -> None:
    writer = Writer(data)
    steps = [writer.append, writer.append, writer.overwrite, writer.apply, writer.compact]
    for _ in range(data.draw(st.integers(0, 30))):
        data.draw(st.sampled_from([*steps, writer.snapshot, writer.segment]))()
    torn = data.draw(st.integers(max(writer.least, 1), len(writer.records)))
    base, held, applied_then = writer.held[torn - 1]
    # The state machine may be flushed before the journal is.
    index, term = data.draw(st.sampled_from([applied_then, writer.applied]))
    durable = recover(Recovered(records=writer.records[:torn], applied=index, applied_term=term))
    log = durable.log
    last = base + len(held)
    if index <= last and (index <= base or held[index - base - 1].term == term):
        assert log.last == last
        assert log.base <= max(index, base)
        for position in range(max(base, log.base) + 1, last + 1):
            assert log.entry(position) == held[position - base - 1]
    else:
        assert (log.base, log.base_term, log.entries) == (index, term, [])
    assert durable.term >= log.last_term
