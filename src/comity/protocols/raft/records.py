"""What a Raft replica writes to its journal, and how it reads it back after a crash; of the log's own
records see `comity.replica.logged`."""

from __future__ import annotations

import msgspec

from comity.protocols.raft.log import Log
from comity.protocols.raft.messages import Entry
from comity.replica import Record, Recovered, UnusableRecord
from comity.replica.logged import Appended, Base, Natural, Replay


class HardState(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The current term, and whom this replica voted for in it; 0 for nobody."""

    term: Natural
    vote: Natural


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(HardState | Appended | Base).decode
"""The body of a record's data; raises `msgspec.DecodeError` for anything else."""


def hard_state_record(term: int, vote: int) -> Record:
    """The record of a term and a vote."""
    return Record(0, _encode(HardState(term, vote)))


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
    log = Log()
    replay = Replay(log)
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
                replay.base(body.index, body.term)
    replay.fit(recovered.applied, recovered.applied_term)
    recorded_term = term
    if max(log.last_term, recovered.applied_term) > term:
        # Nothing was ever sent in a term that is not durable, so no vote in it can have counted.
        term, vote = max(log.last_term, recovered.applied_term), 0
    return Durable(term, vote, log, recorded_term, replay.recorded)
