"""Commands of a gossip keyspace as delta-mutators of a join semilattice (Almeida, Shoker & Baquero 2018)."""

from __future__ import annotations

from collections.abc import Mapping

from comity.store.lattices import cell
from comity.store.lattices.changes import Change
from comity.store.lattices.commands import OneKey
from comity.store.lattices.payloads import Payload
from comity.store.lattices.supported import SUPPORTED, refusal

KNOWN_STATES = 32
"""One operation decodes its states several times in a row; later ones find others."""
KNOWN_STATE_BYTES = 4096
"""Larger states are decoded each time: they are seldom."""
SPARE_REMOVALS = 8
"""So many nodes' removals may be remembered beside what is alive: forgetting them costs a write of all."""


class Lattices:
    """A `replica.LatticeSemantics`: what commands do to the state of one key.

    Whether a deadline has come is decided by the `now_ms` of whoever reads or writes: replicas whose clocks
    differ disagree for that long about whether a key is still there.
    """

    supported: Mapping[bytes, str] = SUPPORTED
    """Name -> what it means."""

    def __init__(self) -> None:
        self._known: dict[bytes, cell.Entries] = {}
        """States used lately, decoded; nobody changes them. One operation needs the same ones often."""

    def refusal(self, name: bytes) -> str | None:
        """Why a command is refused, and what to use instead; None where it is not."""
        return refusal(name)

    def mutate(
        self, payload: Payload, state: bytes | None, node: int, counter: int, stamp: int, now_ms: int
    ) -> tuple[bytes | None, bytes]:
        """(delta, reply): the delta-mutation of these commands, None where they change nothing."""
        change = Change(self._decode(state), node, counter, stamp, now_ms)
        reply = self._run(change, payload, writable=True)
        delta = change.delta()
        return (self._encode(delta) if delta else None), reply

    def read(self, payload: Payload, state: bytes | None, now_ms: int) -> bytes:
        """The reply of commands that change nothing."""
        return self._run(Change(self._decode(state), 1, 1, 0, now_ms), payload, writable=False)

    def _run(self, change: Change, payload: Payload, *, writable: bool) -> bytes:
        protocol, commands = payload
        key = OneKey(change, protocol, writable=writable)
        if len(commands) == 1:
            return key.run(commands[0])
        return b"".join([key.run(args) for args in commands])

    def _decode(self, state: bytes | None) -> cell.Entries:
        """The entries of a state, not to be changed."""
        if state is None:
            return {}
        entries = self._known.get(state)
        if entries is None:
            entries = cell.decode(state)
            self._remember(state, entries)
        return entries

    def _encode(self, entries: cell.Entries) -> bytes:
        """The state with these entries, which will not change any more."""
        state = cell.encode(entries)
        self._remember(state, entries)
        return state

    def _remember(self, state: bytes, entries: cell.Entries) -> None:
        if len(state) <= KNOWN_STATE_BYTES:
            if len(self._known) >= KNOWN_STATES:
                self._known.clear()
            self._known[state] = entries

    def join(self, state: bytes | None, delta: bytes) -> bytes:
        """The least upper bound. Raises `ValueError` for bytes that are none of its own."""
        # What others have sent is joined once, and then neither is needed any more.
        known = self._known
        arrived = known.get(delta) or cell.decode(delta)
        if state is None:
            return self._encode(arrived)
        return self._encode(cell.join(known.get(state) or cell.decode(state), arrived))

    def collect(self, state: bytes) -> bytes | None:
        """Without what only remembers removals; None where nothing is left."""
        entries = self._decode(state)
        kept = cell.without_removals(entries)
        if len(kept) == len(entries):
            return state
        return self._encode(kept) if kept else None

    def worth_collecting(self, state: bytes) -> bool:
        """Whether nothing else is left, or more than a few removals are remembered beside what is alive."""
        entries = self._decode(state)
        for entry in entries.values():
            if entry.register is not None or entry.alive:
                break
        else:
            return True
        if len(entries) <= SPARE_REMOVALS:
            return False
        return sum(1 for entry in entries.values() if not entry.alive) > SPARE_REMOVALS

    def value(self, state: bytes, now_ms: int = 0) -> bytes | None:
        """The string a client sees at that time, 0 for whatever the time; None for no key."""
        seen = cell.visible(self._decode(state), now_ms)
        return None if seen is None else seen[0]
