"""Batches are applied once, and in order: what the state machine remembers of the nodes they come from.

A node numbers its batches from 1 in each of its incarnations and may send one as often as it likes. Its
answers are kept until the node says that it has them, so that a node that skipped the entry (because it
was sent a snapshot instead) can still answer its clients.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from comity.store.batches import Batch
from comity.store.limits import ReplicatedLimits


class OriginRecord(msgspec.Struct, array_like=True, gc=False):
    """A row as the engine holds it."""

    incarnation: int
    last: int
    used: int
    answers: dict[int, list[bytes]]


class OriginRow:
    """One node: its newest incarnation, the highest sequence applied of it, and answers not yet collected.

    used: the log index of its last batch. size: the bytes of the answers.
    """

    __slots__ = ("answers", "incarnation", "last", "size", "used")

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.last = 0
        self.used = 0
        self.answers: dict[int, list[bytes]] = {}
        self.size = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(OriginRecord).decode


class OriginTable:
    """The nodes whose batches one group has applied, by node number."""

    __slots__ = ("_limits", "changed", "rows")

    def __init__(self, limits: ReplicatedLimits) -> None:
        self._limits = limits
        self.rows: dict[int, OriginRow] = {}
        self.changed: dict[int, None] = {}

    def admit(self, batch: Batch, index: int) -> OriginRow | None:
        """The row of the batch's origin; None where the batch is of an incarnation that is over."""
        row = self.rows.get(batch.origin)
        if row is None or batch.incarnation > row.incarnation:
            row = self.rows[batch.origin] = OriginRow(batch.incarnation)
            row.used = index
            self.changed[batch.origin] = None
            if len(self.rows) > self._limits.origins:
                self._forget_one(batch.origin)
        elif batch.incarnation < row.incarnation:
            return None
        return row

    def applied(self, row: OriginRow, batch: Batch, index: int, replies: list[bytes]) -> None:
        """The batch was applied with these replies."""
        limits = self._limits
        sequence = batch.sequence
        answers = row.answers
        row.last = sequence
        row.used = index
        answers[sequence] = replies
        row.size += sum(map(len, replies))
        self.changed[batch.origin] = None
        floor = min(sequence, batch.floor)
        while answers:
            first = next(iter(answers))
            if (
                first >= floor
                and len(answers) <= limits.origin_batches
                and row.size <= limits.origin_answer_bytes
            ):
                return
            row.size -= sum(map(len, answers.pop(first)))

    def _forget_one(self, spared: int) -> None:
        _, origin = min((row.used, origin) for origin, row in self.rows.items() if origin != spared)
        del self.rows[origin]
        self.changed[origin] = None

    # -- in the engine

    def change_all(self) -> None:
        """Have the next flush write every row."""
        self.changed = dict.fromkeys(self.rows)

    def begin_flush(self) -> list[tuple[int, bytes | None]]:
        """The encoded rows that changed since the last time, None for those that are gone."""
        changed, self.changed = self.changed, {}
        return [(origin, self._encoded(origin)) for origin in changed]

    def _encoded(self, origin: int) -> bytes | None:
        row = self.rows.get(origin)
        return (
            None if row is None else _encode(OriginRecord(row.incarnation, row.last, row.used, row.answers))
        )

    def load(self, records: Iterator[tuple[int, bytes]]) -> None:
        """Take over what the engine holds."""
        for origin, data in records:
            record = _decode(data)
            row = self.rows[origin] = OriginRow(record.incarnation)
            row.last, row.used, row.answers = record.last, record.used, record.answers
            row.size = sum(sum(map(len, replies)) for replies in record.answers.values())

    def records(self) -> Iterator[tuple[int, bytes]]:
        """(origin, encoded row) of all, by node number."""
        for origin in sorted(self.rows):
            encoded = self._encoded(origin)
            assert encoded is not None
            yield origin, encoded
