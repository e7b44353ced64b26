"""What a replica writes to its journal, and how it reads it back after a crash.

The rules of reading back are those of the log itself: a later entry at an index replaces that entry and all
after it; a base (compaction, or a snapshot taken over) drops what is at or below it, and everything where
the log does not hold exactly that entry.
"""

from __future__ import annotations

import msgspec

from comity.protocols.primary_backup.log import Log
from comity.protocols.primary_backup.messages import Entry, Natural
from comity.protocols.primary_backup.reigns import epoch_of
from comity.replica import Record, Recovered, UnusableRecord, View

Nodes = tuple[Natural, ...]


class HardState(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The view adopted, the last reign heard of in it, and the joining nodes that count."""

    reign: Natural
    nodes: Nodes
    joining: Nodes
    outgoing: Nodes
    counted: Nodes


class Appended(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """An entry of the log; its index is the record's."""

    reign: Natural
    kind: Natural
    payload: bytes


class Base(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The log starts after `index`, whose entry is of `reign`."""

    index: Natural
    reign: Natural


class Replacing(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """The state machine is about to be replaced by a snapshot of another history, which stands there."""

    index: Natural
    reign: Natural


class Replaced(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """It was: the log holds nothing and starts after `index`, which may be lower than where it stood."""

    index: Natural
    reign: Natural


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(HardState | Appended | Base | Replacing | Replaced).decode
"""The body of a record's data; raises `msgspec.DecodeError` for anything else."""


def hard_state_record(reign: int, view: View, counted: tuple[int, ...]) -> Record:
    """The record of a view adopted."""
    return Record(0, _encode(HardState(reign, view.nodes, view.joining, view.outgoing, counted)))


def entry_record(index: int, entry: Entry) -> Record:
    """The record of an entry."""
    return Record(index, _encode(Appended(entry.reign, entry.kind, entry.payload)))


def base_record(index: int, reign: int) -> Record:
    """The record of a compaction point."""
    return Record(0, _encode(Base(index, reign)))


def replacing_record(index: int, reign: int) -> Record:
    """The record that announces the replacement of the state machine."""
    return Record(0, _encode(Replacing(index, reign)))


def replaced_record(index: int, reign: int) -> Record:
    """The record of a log that begins anew."""
    return Record(0, _encode(Replaced(index, reign)))


class Durable(msgspec.Struct):
    """A replica's durable state, consistent with its state machine.

    reign: 0 where no view was ever adopted. recorded_base: what the records themselves say; where it differs
    from the log's base, that must be written before anything else is.
    """

    reign: int
    view: View
    counted: tuple[int, ...]
    log: Log
    recorded_base: tuple[int, int]


def recover(recovered: Recovered) -> Durable:
    """Read records back and fit the log to the durable state machine.

    The state machine may be ahead of the log: a snapshot was taken over and the crash came before its
    record, or it was flushed before the journal was. Its position is committed, so the log then starts
    there. Raises `UnusableRecord` for bytes that are no record, and where entries between the state machine
    and the log are missing.
    """
    hard_state = HardState(0, (), (), (), ())
    replay = _Replay()
    for position, record in enumerate(recovered.records):
        try:
            body = decode(record.data)
        except msgspec.DecodeError as error:
            raise UnusableRecord(f"record {position} is not one of primary-backup's: {error}") from None
        match body:
            case HardState():
                hard_state = body
            case Appended():
                replay.entry(record.index, Entry(body.reign, body.kind, body.payload))
            case Base():
                replay.rebase(body.index, body.reign)
                replay.recorded = max(replay.recorded, (body.index, body.reign))
            case Replacing():
                replay.replacing = (body.index, body.reign)
            case Replaced():
                replay.replaced(body.index, body.reign)
    log = replay.fitted(recovered.applied, recovered.applied_term)
    reign = hard_state.reign
    if max(log.last_reign, recovered.applied_term) > reign:
        raise UnusableRecord(
            f"the state is of epoch {epoch_of(max(log.last_reign, recovered.applied_term))}, the last view "
            f"adopted of epoch {epoch_of(reign)}: records are missing"
        )
    view = View(epoch_of(reign), hard_state.nodes, hard_state.joining, hard_state.outgoing)
    return Durable(reign, view, hard_state.counted, log, replay.recorded)


class _Replay:
    """The log as its records build it. `known`: whether the base's reign is. `replacing`: a snapshot of
    another history that was about to be taken over; anything appended since shows that it was not."""

    def __init__(self) -> None:
        self.log = Log()
        self.known = True
        self.recorded = (0, 0)
        self.replacing: tuple[int, int] | None = None

    def entry(self, index: int, entry: Entry) -> None:
        self.replacing = None
        log = self.log
        if index <= log.base and self.known:
            return  # a base that was written first covers it
        if index > log.last + 1 or index <= log.base:
            # What lies between was compacted and its segments removed; a base or the state machine must
            # cover it, which `fitted` sees to.
            log.reset(index - 1, 0)
            self.known = False
        elif index <= log.last:
            log.truncate(index)
        log.append(entry)

    def rebase(self, index: int, reign: int) -> None:
        log = self.log
        if index < log.base:
            return
        if log.base < index <= log.last and log.reign(index) == reign:
            log.compact(index)
        elif index != log.base or (self.known and log.base_reign != reign):
            log.reset(index, reign)
        else:
            log.base_reign = reign
            if not log.entries:
                log.last_reign = reign
        self.known = True

    def replaced(self, index: int, reign: int) -> None:
        self.log.reset(index, reign)
        self.known = True
        self.recorded = (index, reign)
        self.replacing = None

    def fitted(self, applied: int, applied_reign: int) -> Log:
        log = self.log
        if self.replacing is not None and self.replacing == (applied, applied_reign):
            log.reset(applied, applied_reign)
            return log
        if applied < log.base:
            raise UnusableRecord(
                f"the state machine is durable up to {applied}, the log starts after {log.base}: "
                "what lies between is missing"
            )
        if applied == log.base:
            if self.known and log.base_reign != applied_reign:
                raise UnusableRecord(
                    f"entry {applied} is of reign {log.base_reign} in the log and {applied_reign} in the "
                    "state machine"
                )
            self.rebase(applied, applied_reign)
            return log
        if applied <= log.last and log.reign(applied) == applied_reign:
            if not self.known:
                log.compact(log.base + 1)
            return log
        log.reset(applied, applied_reign)
        return log
