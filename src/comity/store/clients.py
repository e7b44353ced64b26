"""Exactly once: what the state machine remembers of clients that number their requests.

After RIFL (Lee, Park, Kejriwal, Matsushita, Ousterhout: "Implementing Linearizability at Large Scale and
Low Latency", 2015): a request carries a client id and a sequence number; the first time it is carried
out and its answer kept beside the data, afterwards it is answered from there. What is kept is bounded,
and what falls out of the bounds is answered as unknown, never carried out again.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from comity.store.errors import CommandError
from comity.store.limits import ReplicatedLimits

UNKNOWN_CLIENT = (
    b"INDETERMINATE this client id is not known, or no longer: whether the request was carried out before "
    b"cannot be told; nothing was done now, begin again with a new client id and sequence 1"
)
BELOW_WINDOW = (
    b"INDETERMINATE this sequence is older than the answers kept for this client: whether the request was "
    b"carried out before cannot be told; nothing was done now"
)
ANSWER_DROPPED = b"INDETERMINATE the request was carried out once, but its answer is no longer kept"

Kept = tuple[int, bytes | None]
"""The RESP version and bytes of an answer; None where it was too large to keep."""


class ClientRecord(msgspec.Struct, array_like=True, gc=False):
    """A row as the engine holds it."""

    last: int
    used: int
    answers: dict[int, Kept]


class ClientRow:
    """One client: its highest sequence so far, when it was last used, and its last answers.

    answers: by sequence, in the order they were given. size: their bytes.
    """

    __slots__ = ("answers", "last", "size", "used")

    def __init__(self) -> None:
        self.last = 0
        self.used = 0
        self.answers: dict[int, Kept] = {}
        self.size = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ClientRecord).decode


class ClientTable:
    """The clients of one group, least recently used first. uses: how often any was used."""

    __slots__ = ("changed", "limits", "rows", "size", "uses")

    def __init__(self, limits: ReplicatedLimits) -> None:
        self.limits = limits
        self.rows: dict[bytes, ClientRow] = {}
        self.uses = 0
        self.size = 0
        self.changed: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, client: bytes, sequence: int) -> Kept | None:
        """The kept answer to a request; None where it is to be carried out now.

        Raises `CommandError` where it must not be, and what happened to it cannot be told.
        """
        row = self.rows.get(client)
        if row is None:
            if sequence != 1:
                raise CommandError(UNKNOWN_CLIENT)
            return None
        kept = row.answers.get(sequence)
        if kept is not None:
            if kept[1] is None:
                raise CommandError(ANSWER_DROPPED)
            return kept
        if sequence <= row.last - self.limits.client_answers:
            raise CommandError(BELOW_WINDOW)
        return None

    def keep(self, client: bytes, sequence: int, protocol: int, answer: bytes) -> None:
        """A request was carried out with this answer."""
        limits = self.limits
        row = self.rows.pop(client, None) or ClientRow()
        self.rows[client] = row
        self.uses += 1
        row.used = self.uses
        self.changed[client] = None
        before = row.size
        row.answers[sequence] = (protocol, answer)
        row.size += len(answer)
        if sequence > row.last:
            row.last = sequence
            self._slide(row, sequence - limits.client_answers)
        if row.size > limits.client_answer_bytes:
            self._forget_answers(row)
        self.size += row.size - before
        while len(self.rows) > limits.clients or (
            self.size > limits.clients_answer_bytes and len(self.rows) > 1
        ):
            self._forget_client()

    def _slide(self, row: ClientRow, below: int) -> None:
        for sequence in [sequence for sequence in row.answers if sequence <= below]:
            _, answer = row.answers.pop(sequence)
            row.size -= len(answer or b"")

    def _forget_answers(self, row: ClientRow) -> None:
        for sequence, (protocol, answer) in row.answers.items():
            if answer is not None:
                row.answers[sequence] = (protocol, None)
                row.size -= len(answer)
                if row.size <= self.limits.client_answer_bytes:
                    return

    def _forget_client(self) -> None:
        client = next(iter(self.rows))
        self.size -= self.rows.pop(client).size
        self.changed[client] = None

    # -- in the engine

    def change_all(self) -> None:
        """Have the next flush write every row."""
        self.changed = dict.fromkeys(self.rows)

    def begin_flush(self) -> list[tuple[bytes, ClientRecord | None]]:
        """Copies of the rows that changed since the last time, None for those that are gone."""
        changed, self.changed = self.changed, {}
        return [(client, self._record(client)) for client in changed]

    def _record(self, client: bytes) -> ClientRecord | None:
        row = self.rows.get(client)
        return None if row is None else ClientRecord(row.last, row.used, row.answers.copy())

    def load(self, records: Iterator[tuple[bytes, bytes]], uses: int) -> None:
        """Take over what the engine holds: (client id, encoded record) in any order."""
        self.uses = uses
        rows = [(client, _decode(data)) for client, data in records]
        for client, record in sorted(rows, key=lambda row: row[1].used):
            row = self.rows[client] = ClientRow()
            row.last, row.used, row.answers = record.last, record.used, record.answers
            row.size = sum(len(answer or b"") for _, answer in record.answers.values())
            self.size += row.size

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """(client id, encoded record) of all, least recently used first."""
        for client, row in self.rows.items():
            yield client, _encode(ClientRecord(row.last, row.used, row.answers))


def encode_record(record: ClientRecord) -> bytes:
    """The bytes of a row in the engine."""
    return _encode(record)
