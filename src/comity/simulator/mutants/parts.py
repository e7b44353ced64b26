"""Wrong journals, hosts and stores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comity.node import Envelope, Host, Journal, messages
from comity.node.waiting import Pending
from comity.node.writes import Writes
from comity.simulator.cluster import Mutation
from comity.store import layout
from comity.store.batches import Answer, Batch, decode_proposal, encode_proposal
from comity.store.machine import StateMachine
from comity.store.origins import OriginRow, OriginTable


class TornTailAccepted(Mutation):
    """A torn end of the log is left where it is."""

    def recover(self, segments: Iterable[tuple[str, bytes]]) -> Journal:
        """Nothing is cut."""
        journal = Journal.recover(segments)
        journal.truncations.clear()
        return journal


def gate_open(self: Journal, peer: int, envelope: Envelope) -> bool:
    """Gated messages leave at once."""
    return False


class LocalClockHost(Host):
    """Expiry is decided by the clock of whoever applies."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for group in self.groups.values():
            self._bend(group.machine)

    def _bend(self, machine: StateMachine) -> None:
        apply = machine.apply

        def bent(index: int, term: int, payload: bytes) -> list[Answer]:
            proposal = decode_proposal(payload)
            return apply(index, term, encode_proposal(max(self.wall_ms, 1), proposal.batches))

        machine.apply = bent  # type: ignore[method-assign]


class LocalClock(Mutation):
    """Hosts that read their own clock."""

    host = LocalClockHost


_admit = OriginTable.admit


def admit_again(self: OriginTable, batch: Batch, index: int) -> OriginRow | None:
    """A batch that was applied before is applied again."""
    row = _admit(self, batch, index)
    if row is not None and batch.sequence <= row.last:
        row.last = batch.sequence - 1
    return row


_skipped: dict[int, set[int]] = {}


def admit_gaps(self: OriginTable, batch: Batch, index: int) -> OriginRow | None:
    """A batch is applied although the one it must follow is missing, and that one when it comes."""
    row = _admit(self, batch, index)
    if row is None:
        return None
    skipped = _skipped.setdefault(id(row), set())
    if row.last < batch.after:
        skipped.update(range(row.last + 1, batch.after + 1))
        row.last = batch.after
    elif batch.sequence in skipped:
        skipped.discard(batch.sequence)
        row.last = batch.sequence - 1
    return row


def forward_only_new(self: Writes, leader: int, now_ns: int) -> None:
    """Only batches not sent before are sent; one that was lost is sent again after those behind it."""
    if now_ns >= self.resend_ns:
        self.resend_ns = now_ns + self.resend_wait_ns
        batches = [pending.payload for pending in self.pending.values()][::-1]
    else:
        batches = [pending.payload for pending in self.pending.values() if not pending.sent]
    for pending in self.pending.values():
        pending.sent = pending.exposed = True
    if batches:
        self.resend_ns = min(self.resend_ns, now_ns + self.resend_wait_ns)
        body = messages.encode(messages.Forward(batches))
        self.host.send(leader, self.number, messages.KIND_FORWARD, body)


class Unexposed:
    """A flag that never notices that a batch was sent."""

    def __get__(self, pending: Pending | None, owner: type) -> bool:
        return False

    def __set__(self, pending: Pending, value: bool) -> None:
        """Forgotten."""


_stage = StateMachine.stage_chunk


def stage_without_clients(
    self: StateMachine, index: int, term: int, members: bytes, cursor: bytes, next_cursor: bytes, data: bytes
) -> None:
    """A snapshot without the table of clients and of origins."""
    from comity.formats.snapshots import decode_chunk, encode_chunk

    kept = [
        (key, value)
        for key, value in decode_chunk(data)
        if not key or key[0] not in (layout.FAMILY_CLIENTS, layout.FAMILY_ORIGINS)
    ]
    _stage(self, index, term, members, cursor, next_cursor, encode_chunk(kept))


def synced_too_early(self: StateMachine) -> None:
    """What was applied counts as durable, though only what was flushed is."""
    self.durable = self.applied
