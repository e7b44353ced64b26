"""Commands of a gossip keyspace as delta-mutators of a join semilattice (Almeida, Shoker & Baquero 2018)."""

from __future__ import annotations

from collections.abc import Mapping

from comity.store import replies
from comity.store.errors import CommandError
from comity.store.lattices import cell
from comity.store.lattices.changes import Change
from comity.store.lattices.commands import OneKey
from comity.store.lattices.payloads import decode_payload
from comity.store.lattices.supported import SUPPORTED, refusal


class Lattices:
    """A `replica.LatticeSemantics`: what commands do to the state of one key.

    Whether a deadline has come is decided by the `now_ms` of whoever reads or writes: replicas whose clocks
    differ disagree for that long about whether a key is still there.
    """

    supported: Mapping[bytes, str] = SUPPORTED
    """Name -> what it means."""

    def refusal(self, name: bytes) -> str | None:
        """Why a command is refused, and what to use instead; None where it is not."""
        return refusal(name)

    def mutate(
        self, payload: bytes, state: bytes | None, node: int, counter: int, stamp: int, now_ms: int
    ) -> tuple[bytes | None, bytes]:
        """(delta, reply): the delta-mutation of these commands, None where they change nothing."""
        change = Change(cell.decode(state), node, counter, stamp, now_ms)
        reply = self._run(change, payload, writable=True)
        delta = change.delta()
        return (cell.encode(delta) if delta else None), reply

    def read(self, payload: bytes, state: bytes | None, now_ms: int) -> bytes:
        """The reply of commands that change nothing."""
        return self._run(Change(cell.decode(state), 1, 1, 0, now_ms), payload, writable=False)

    def _run(self, change: Change, payload: bytes, *, writable: bool) -> bytes:
        try:
            protocol, commands = decode_payload(payload)
        except CommandError as error:
            return replies.error(error.text)
        key = OneKey(change, protocol, writable=writable)
        return b"".join([key.run(args) for args in commands])

    def join(self, state: bytes | None, delta: bytes) -> bytes:
        """The least upper bound. Raises `ValueError` for bytes that are none of its own."""
        if state is None:
            return cell.encode(cell.decode(delta))
        return cell.encode(cell.join(cell.decode(state), cell.decode(delta)))

    def collect(self, state: bytes) -> bytes | None:
        """Without what only remembers removals; None where nothing is left."""
        entries = cell.decode(state)
        kept = cell.without_removals(entries)
        if len(kept) == len(entries):
            return state
        return cell.encode(kept) if kept else None

    def value(self, state: bytes, now_ms: int = 0) -> bytes | None:
        """The string a client sees at that time, 0 for whatever the time; None for no key."""
        seen = cell.visible(cell.decode(state), now_ms)
        return None if seen is None else seen[0]
