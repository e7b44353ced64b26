"""The log in memory, against a plain list."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from comity.protocols.raft.log import Log
from comity.protocols.raft.messages import Entry
from comity.replica.logged import ENTRY_OVERHEAD_BYTES


class LogAgainstAList(RuleBasedStateMachine):
    """`terms[i]` is the term of entry i; what is at or below `base` is forgotten."""

    @initialize()
    def begin(self) -> None:
        self.log = Log()
        self.terms = [0]
        self.base = 0

    @rule(more=st.integers(0, 2), size=st.integers(0, 30))
    def append(self, more: int, size: int) -> None:
        self.terms.append(self.terms[-1] + more or 1)
        assert self.log.append(Entry(self.terms[-1], 0, b"x" * size)) == len(self.terms) - 1

    @precondition(lambda self: len(self.terms) - 1 > self.base)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(self.base + 1, len(self.terms) - 1))
        self.log.truncate(index)
        del self.terms[index:]

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        self.base = data.draw(st.integers(self.base, len(self.terms) - 1))
        self.log.compact(self.base)

    @rule(data=st.data())
    def last_at_or_below(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.terms) + 2))
        term = data.draw(st.integers(0, self.terms[-1] + 1))
        expected = [
            position
            for position in range(self.base + 1, min(index, len(self.terms) - 1) + 1)
            if self.terms[position] <= term
        ]
        assert self.log.last_at_or_below(index, term) == max(expected, default=self.base)

    @precondition(lambda self: len(self.terms) - 1 > self.base)
    @rule(data=st.data(), limit=st.integers(1, 500))
    def slice(self, data: st.DataObject, limit: int) -> None:
        first = data.draw(st.integers(self.base + 1, len(self.terms) - 1))
        entries, size = self.log.slice(first, self.log.last, limit)
        assert entries
        assert entries == [self.log.entry(first + offset) for offset in range(len(entries))]
        assert size == sum(len(entry.payload) + ENTRY_OVERHEAD_BYTES for entry in entries)
        assert size <= limit or len(entries) == 1
        if first + len(entries) <= self.log.last:
            following = self.log.entry(first + len(entries))
            assert size + len(following.payload) + ENTRY_OVERHEAD_BYTES > limit, "it stopped too soon"

    @invariant()
    def same(self) -> None:
        log = self.log
        assert not log.flaw()
        assert not log.flaw_within(self.terms[-1])
        assert (log.base, log.last) == (self.base, len(self.terms) - 1)
        assert log.last_term == self.terms[-1]
        for index in range(len(self.terms) + 1):
            known = self.base <= index < len(self.terms)
            assert log.term(index) == (self.terms[index] if known else -1)
        assert log.size_bytes == sum(len(entry.payload) + ENTRY_OVERHEAD_BYTES for entry in log.entries)


TestLogAgainstAList = LogAgainstAList.TestCase


def test_an_entry_outside_the_log_is_an_error() -> None:
    log = Log(3, 1)
    log.append(Entry(1, 0, b""))
    for index in (3, 5):
        with pytest.raises(IndexError, match=r"holds \(3, 4\]"):
            log.entry(index)


@pytest.mark.parametrize(
    ("index", "term", "covers"), [(2, 2, True), (1, 2, False), (1, 3, True), (9, 1, False), (3, 2, True)]
)
def test_up_to_date_compares_the_last_term_first(index: int, term: int, covers: bool) -> None:
    log = Log(1, 1)
    log.append(Entry(2, 0, b""))
    assert log.covers(index, term) == covers
