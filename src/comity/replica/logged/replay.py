"""A log as its owner's journal brings it back.

The rules of reading back are those of the log itself: a later entry at an index replaces that entry and all
after it; a base (compaction, or a snapshot taken over) drops what is at or below it, and everything where
the log does not hold exactly that entry.
"""

from __future__ import annotations

from typing import Annotated, Generic

import msgspec

from comity.replica.effects import Record
from comity.replica.errors import UnusableRecord
from comity.replica.logged.log import EntryT, Log, LogEntry

Natural = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
"""A term, an index, a node or a number."""


class Appended(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """An entry of the log; its index is the record's."""

    term: Natural
    kind: Natural
    payload: bytes


class Base(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The log starts after `index`, whose entry has `term`."""

    index: Natural
    term: Natural


_encode = msgspec.msgpack.Encoder().encode


def entry_record(index: int, entry: LogEntry) -> Record:
    """The record of an entry."""
    return Record(index, _encode(Appended(entry.term, entry.kind, entry.payload)))


def base_record(index: int, term: int) -> Record:
    """The record of a compaction point."""
    return Record(0, _encode(Base(index, term)))


class Replay(Generic[EntryT]):
    """The log as its records build it.

    known: whether the base's term is. recorded: the highest base among the records; where the log's own is
    another, that must be written before anything else is.
    """

    def __init__(self, log: Log[EntryT]) -> None:
        self.log = log
        self.known = True
        self.recorded = (0, 0)

    def entry(self, index: int, entry: EntryT) -> None:
        """An entry's record comes next."""
        log = self.log
        if index <= log.base and self.known:
            return  # a base that was written first covers it
        if index > log.last + 1 or index <= log.base:
            # What lies between was compacted and its segments removed; a base or the state
            # machine must cover it, which `fit` sees to.
            log.reset(index - 1, 0)
            self.known = False
        elif index <= log.last:
            log.truncate(index)
        log.append(entry)

    def base(self, index: int, term: int) -> None:
        """A base's record comes next."""
        self.recorded = max(self.recorded, (index, term))
        self._rebase(index, term)

    def _rebase(self, index: int, term: int) -> None:
        log = self.log
        if index < log.base:
            return
        if log.base < index <= log.last and log.term(index) == term:
            log.compact(index)
        elif index != log.base or (self.known and log.base_term != term):
            log.reset(index, term)
        else:
            log.base_term = term
            if not log.entries:
                log.last_term = term
        self.known = True

    def fit(self, applied: int, applied_term: int) -> None:
        """There are no more: fit the log to the durable state machine.

        The state machine may be ahead of the log: a snapshot was taken over and the crash came before its
        record, or it was flushed before the journal was. Its position is committed, so the log then starts
        there. Raises `UnusableRecord` where entries between the state machine and the log are missing.
        """
        log = self.log
        if applied < log.base:
            raise UnusableRecord(
                f"the state machine is durable up to {applied}, the log starts after {log.base}: "
                "what lies between is missing"
            )
        if applied == log.base:
            if self.known and log.base_term != applied_term:
                raise UnusableRecord(
                    f"entry {applied} has term {log.base_term} in the log and {applied_term} in the "
                    "state machine"
                )
            self._rebase(applied, applied_term)
        elif applied <= log.last and log.term(applied) == applied_term:
            if not self.known:
                log.compact(log.base + 1)
        else:
            log.reset(applied, applied_term)
