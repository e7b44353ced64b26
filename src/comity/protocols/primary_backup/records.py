"""What a replica writes to its journal, and how it reads it back after a crash; of the log's own
records see `comity.replica.logged`."""

from __future__ import annotations

import msgspec

from comity.protocols.primary_backup.messages import Entry
from comity.protocols.primary_backup.reigns import epoch_of
from comity.replica import Record, Recovered, UnusableRecord, View
from comity.replica.logged import Appended, Base, Log, Natural, Replay

Nodes = tuple[Natural, ...]


class HardState(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The view adopted, the last reign heard of in it, and the joining nodes that count."""

    reign: Natural
    nodes: Nodes
    joining: Nodes
    outgoing: Nodes
    counted: Nodes


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
    log: Log[Entry]
    recorded_base: tuple[int, int]


def recover(recovered: Recovered) -> Durable:
    """Read records back and fit the log to the durable state machine.

    The state machine may be ahead of the log: a snapshot was taken over and the crash came before its
    record, or it was flushed before the journal was. Its position is committed, so the log then starts
    there. Raises `UnusableRecord` for bytes that are no record, and where entries between the state machine
    and the log are missing.
    """
    hard_state = HardState(0, (), (), (), ())
    log: Log[Entry] = Log()
    replay = _Replay(log)
    for position, record in enumerate(recovered.records):
        try:
            body = decode(record.data)
        except msgspec.DecodeError as error:
            raise UnusableRecord(f"record {position} is not one of primary-backup's: {error}") from None
        match body:
            case HardState():
                hard_state = body
            case Appended():
                replay.entry(record.index, Entry(body.term, body.kind, body.payload))
            case Base():
                replay.base(body.index, body.term)
            case Replacing():
                replay.replacing = (body.index, body.reign)
            case Replaced():
                replay.replaced(body.index, body.reign)
    replay.fit(recovered.applied, recovered.applied_term)
    reign = hard_state.reign
    if max(log.last_term, recovered.applied_term) > reign:
        raise UnusableRecord(
            f"the state is of epoch {epoch_of(max(log.last_term, recovered.applied_term))}, the last view "
            f"adopted of epoch {epoch_of(reign)}: records are missing"
        )
    view = View(epoch_of(reign), hard_state.nodes, hard_state.joining, hard_state.outgoing)
    return Durable(reign, view, hard_state.counted, log, replay.recorded)


class _Replay(Replay[Entry]):
    """With the one thing that takes a log back. `replacing`: a snapshot of another history that was about to
    be taken over; anything appended since shows that it was not."""

    def __init__(self, log: Log[Entry]) -> None:
        super().__init__(log)
        self.replacing: tuple[int, int] | None = None

    def entry(self, index: int, entry: Entry) -> None:
        self.replacing = None
        super().entry(index, entry)

    def replaced(self, index: int, reign: int) -> None:
        self.log.reset(index, reign)
        self.known = True
        self.recorded = (index, reign)
        self.replacing = None

    def fit(self, applied: int, applied_reign: int) -> None:
        if self.replacing == (applied, applied_reign):
            self.log.reset(applied, applied_reign)
        else:
            super().fit(applied, applied_reign)
