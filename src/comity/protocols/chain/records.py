"""What a replica of a chain writes to its journal, and how it reads it back after a crash.

The rules of reading back are those of the log itself: a later entry at an index replaces that entry
and all after it; a base (compaction, or a snapshot taken over) drops what is at or below it, and
everything where the log does not hold exactly that entry.
"""

from __future__ import annotations

import msgspec

from comity.protocols.chain.log import Log
from comity.protocols.chain.messages import Entry, Natural
from comity.replica import NodeId, Record, Recovered, UnusableRecord, View


class Adopted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The view in force. It is written before anything is said under it."""

    epoch: Natural
    nodes: tuple[Natural, ...]
    joining: tuple[Natural, ...]


class Appended(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """An entry of the log; its index is the record's."""

    epoch: Natural
    kind: Natural
    payload: bytes


class Base(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The log starts after `index`, whose entry has `epoch`."""

    index: Natural
    epoch: Natural


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


def entry_record(index: int, entry: Entry) -> Record:
    """The record of an entry."""
    return Record(index, _encode(Appended(entry.epoch, entry.kind, entry.payload)))


def base_record(index: int, epoch: int) -> Record:
    """The record of a compaction point."""
    return Record(0, _encode(Base(index, epoch)))


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
    log: Log
    recorded_base: tuple[int, int]


def recover(recovered: Recovered) -> Durable:
    """Read records back and fit the log to the durable state machine.

    The state machine may be ahead of the log: a snapshot was taken over and the crash came before
    its record. Its position is committed, so the log then starts there. Raises `UnusableRecord` for
    bytes that are no record, and where entries between the state machine and the log are missing.
    """
    view = View(0, ())
    counted = Counted(0, ())
    base = (0, 0)
    replay = _Replay()
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
                replay.entry(record.index, Entry(body.epoch, body.kind, body.payload))
            case Base():
                base = max(base, (body.index, body.epoch))
                replay.rebase(body.index, body.epoch)
            case Counted():
                counted = body
    log = replay.fitted(recovered.applied, recovered.applied_term)
    if view.epoch < log.last_epoch:
        view = View(0, ())  # a state machine without its journal: a later view is needed
    nodes = counted.nodes if counted.epoch == view.epoch else ()
    return Durable(view, nodes, log, base)


class _Replay:
    """The log as its records build it. `known`: whether the base's epoch is."""

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

    def rebase(self, index: int, epoch: int) -> None:
        log = self.log
        if index < log.base:
            return
        if log.base < index <= log.last and log.epoch(index) == epoch:
            log.compact(index)
        elif index != log.base or (self.known and log.base_epoch != epoch):
            log.reset(index, epoch)
        else:
            log.base_epoch = epoch
            if not log.entries:
                log.last_epoch = epoch
        self.known = True

    def fitted(self, applied: int, applied_epoch: int) -> Log:
        log = self.log
        if applied < log.base:
            raise UnusableRecord(
                f"the state machine is durable up to {applied}, the log starts after {log.base}: "
                "what lies between is missing"
            )
        if applied == log.base:
            if self.known and log.base_epoch != applied_epoch:
                raise UnusableRecord(
                    f"entry {applied} has epoch {log.base_epoch} in the log and {applied_epoch} in the "
                    "state machine"
                )
            self.rebase(applied, applied_epoch)
            return log
        if applied <= log.last and log.epoch(applied) == applied_epoch:
            if not self.known:
                log.compact(log.base + 1)
            return log
        log.reset(applied, applied_epoch)
        return log
