"""What a Raft replica writes to its journal, and how it reads it back after a crash.

The rules of reading back are those of the log itself: a later entry at an index replaces that entry
and all after it; a base (compaction, or a snapshot taken over) drops what is at or below it, and
everything where the log does not hold exactly that entry.
"""

from __future__ import annotations

import msgspec

from comity.protocols.raft.log import Log
from comity.protocols.raft.messages import Entry, Natural
from comity.replica import Record, Recovered, UnusableRecord


class HardState(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The current term, and whom this replica voted for in it; 0 for nobody."""

    term: Natural
    vote: Natural


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
decode = msgspec.msgpack.Decoder(HardState | Appended | Base).decode
"""The body of a record's data; raises `msgspec.DecodeError` for anything else."""


def hard_state_record(term: int, vote: int) -> Record:
    """The record of a term and a vote."""
    return Record(0, _encode(HardState(term, vote)))


def entry_record(index: int, entry: Entry) -> Record:
    """The record of an entry."""
    return Record(index, _encode(Appended(entry.term, entry.kind, entry.payload)))


def base_record(index: int, term: int) -> Record:
    """The record of a compaction point."""
    return Record(0, _encode(Base(index, term)))


class Durable(msgspec.Struct):
    """A replica's durable state: term, vote and log, consistent with its state machine.

    recorded_term, recorded_base: what the records themselves say; where they differ from `term`
    and the log's base, those must be written before anything else is.
    """

    term: int
    vote: int
    log: Log
    recorded_term: int
    recorded_base: tuple[int, int]


def recover(recovered: Recovered) -> Durable:
    """Read records back and fit the log to the durable state machine.

    The state machine may be ahead of the log: a snapshot was taken over and the crash came before
    its record, or it was flushed before the journal was. Its position is committed, so the log
    then starts there. Raises `UnusableRecord` for bytes that are no record, and where entries
    between the state machine and the log are missing.
    """
    term = vote = 0
    base = (0, 0)
    replay = _Replay()
    for position, record in enumerate(recovered.records):
        try:
            body = decode(record.data)
        except msgspec.DecodeError as error:
            raise UnusableRecord(f"record {position} is not one of raft's: {error}") from None
        match body:
            case HardState():
                term, vote = body.term, body.vote
            case Appended():
                replay.entry(record.index, Entry(body.term, body.kind, body.payload))
            case Base():
                base = max(base, (body.index, body.term))
                replay.rebase(body.index, body.term)
    log = replay.fitted(recovered.applied, recovered.applied_term)
    recorded_term = term
    if max(log.last_term, recovered.applied_term) > term:
        # Nothing was ever sent in a term that is not durable, so no vote in it can have counted.
        term, vote = max(log.last_term, recovered.applied_term), 0
    return Durable(term, vote, log, recorded_term, base)


class _Replay:
    """The log as its records build it. `known`: whether the base's term is."""

    def __init__(self) -> None:
        self.log = Log()
        self.known = True

    def entry(self, index: int, entry: Entry) -> None:
        log = self.log
        if index <= log.base and self.known:
            return  # a base that was written first covers it
        if index > log.last + 1 or index <= log.base:
            # What lies between was compacted and its segments removed; a base or the state
            # machine must cover it, which `fitted` sees to.
            log.reset(index - 1, 0)
            self.known = False
        elif index <= log.last:
            log.truncate(index)
        log.append(entry)

    def rebase(self, index: int, term: int) -> None:
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

    def fitted(self, applied: int, applied_term: int) -> Log:
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
            self.rebase(applied, applied_term)
            return log
        if applied <= log.last and log.term(applied) == applied_term:
            if not self.known:
                log.compact(log.base + 1)
            return log
        log.reset(applied, applied_term)
        return log
