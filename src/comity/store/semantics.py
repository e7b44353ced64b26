"""What the commands mean to protocols that replicate registers: which are possible, and how they travel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comity.store.lattices import Lattices
from comity.store.lattices import payload_of as lattice_payload_of
from comity.store.lattices import refusal as lattice_refusal
from comity.store.registers import Registers, expires_ms, payload_of
from comity.store.table import find

OVERWRITES = frozenset({b"SET", b"SETEX", b"PSETEX", b"MSET", b"DEL", b"UNLINK"})
"""Commands that change a key whatever it held: all that is safe where a write does not see other writes."""

_OPTIONS_THAT_LOOK = frozenset({b"NX", b"XX", b"GET", b"KEEPTTL"})

READS_FIRST = (
    "it decides by what is there, and of two at once one would be lost; use a keyspace replicated by raft, "
    "paxos, chain or primary-backup"
)
NO_KEY = "it concerns no key"


class Semantics:
    """The commands as one kind of protocol sees them. kind: "register" or "lattice"; meaning: what the core
    is given."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.meaning: Any = Registers() if kind == "register" else Lattices()

    def payload(self, protocol: int, commands: list[list[bytes]], key: bytes) -> Any:
        """The payload of commands on one key."""
        if self.kind == "lattice":
            return lattice_payload_of(protocol, commands)
        return payload_of(protocol, commands, key)

    def exists(self, value: bytes, now_ms: int) -> bool:
        """Whether a client sees a key that holds this at that time."""
        if self.kind == "lattice":
            return self.meaning.value(value, now_ms) is not None
        return not 0 < expires_ms(value) <= now_ms

    def refusal(self, atomic: bool, args: Sequence[bytes]) -> str | None:
        """Why a command cannot be carried out here, None where it can. atomic: whether the protocol changes
        a register in one step."""
        command = find(args[0])
        if self.kind == "lattice":
            return lattice_refusal(args[0].upper())
        if command is None or not command.first_key:
            return NO_KEY
        if atomic or "write" not in command.flags:
            return None
        if command.name not in OVERWRITES:
            return READS_FIRST
        if command.name == b"SET" and any(option.upper() in _OPTIONS_THAT_LOOK for option in args[3:]):
            return READS_FIRST
        return None
