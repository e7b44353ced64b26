"""What a replica of a chain writes to its journal, and how it reads it back after a crash; of the log's own
records see `comity.replica.logged`."""

from __future__ import annotations

import msgspec

from comity.protocols.chain.messages import Entry
from comity.replica import NodeId, Record, Recovered, UnusableRecord, View
from comity.replica.logged import Appended, Base, Log, Natural, Replay


class Adopted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The view in force. It is written before anything is said under it."""

    epoch: Natural
    nodes: tuple[Natural, ...]
    joining: tuple[Natural, ...]


class Counted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """As the tail of `epoch`: the joining nodes that count for commits from now on."""

    epoch: Natural
    nodes: tuple[Natural, ...]


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Adopted | Appended | Base | Counted).decode
"""The body of a record's data; raises `msgspec.DecodeError` for anything else."""


def view_record(view: View) -> Record:
    """The record of a view."""
    return Record(0, _encode(Adopted(view.epoch, view.nodes, view.joining)))


def counted_record(epoch: int, nodes: tuple[NodeId, ...]) -> Record:
    """The record of who counts besides the chain."""
    return Record(0, _encode(Counted(epoch, nodes)))


class Durable(msgspec.Struct):
    """A replica's durable state: view, log, and who counts, consistent with its state machine.

    recorded_base: what the records themselves say; where it differs from the log's base, that must be
    written before anything else is.
    """

    view: View
    counted: tuple[NodeId, ...]
    log: Log[Entry]
    recorded_base: tuple[int, int]


def recover(recovered: Recovered) -> Durable:
    """Read records back and fit the log to the durable state machine.

    The state machine may be ahead of the log: a snapshot was taken over and the crash came before
    its record. Its position is committed, so the log then starts there. Raises `UnusableRecord` for
    bytes that are no record, and where entries between the state machine and the log are missing.
    """
    view = View(0, ())
    counted = Counted(0, ())
    log: Log[Entry] = Log()
    replay = Replay(log)
    for position, record in enumerate(recovered.records):
        try:
            body = decode(record.data)
        except msgspec.DecodeError as error:
            raise UnusableRecord(f"record {position} is not one of a chain's: {error}") from None
        match body:
            case Adopted():
                if body.epoch >= view.epoch:
                    view = View(body.epoch, body.nodes, body.joining)
            case Appended():
                replay.entry(record.index, Entry(body.term, body.kind, body.payload))
            case Base():
                replay.base(body.index, body.term)
            case Counted():
                counted = body
    replay.fit(recovered.applied, recovered.applied_term)
    if view.epoch < log.last_term:
        view = View(0, ())  # a state machine without its journal: a later view is needed
    nodes = counted.nodes if counted.epoch == view.epoch else ()
    return Durable(view, nodes, log, replay.recorded)
