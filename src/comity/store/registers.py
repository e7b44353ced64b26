"""The commands on one key as functions from a value to a value, for protocols that replicate registers.

The same functions of the command table that the state machine runs are run here on a key alone. What a
register holds beside the value: when it expires, and the latest time it was changed at, so that time never
runs backwards for a key whoever changes it. kind u8 | changed_ms u64 | expires_ms u64 | data.

A payload never leaves the node that was asked: what travels are the values. So it is no bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from comity.formats.resp import OK, bulk
from comity.store.clients import ClientTable
from comity.store.engines.memory import MemoryEngine
from comity.store.expiry import ExpiryIndex
from comity.store.keyspace import Context
from comity.store.layout import ABSENT, KIND_STRING, Cell
from comity.store.limits import ReplicatedLimits
from comity.store.machine import execute
from comity.store.working_set import Created

_HEADER = Struct(">BQQ")
_KEEPS_OR_ASKS = frozenset({b"NX", b"XX", b"GET", b"KEEPTTL"})
_SETS = frozenset({b"SETEX", b"PSETEX"})

MAX_REGISTER_BYTES = 16 << 20
"""Unlike commands in a log, registers travel as a whole, and several of them in one message."""

TOO_LARGE = (
    b"-ERR the value would have more than %d bytes, the most where keys are replicated one by one; use "
    b"a keyspace replicated by raft, chain or primary-backup\r\n" % MAX_REGISTER_BYTES
)

Payload = tuple[int, Sequence[list[bytes]], bytes]
"""(RESP version of the replies, commands on one key, that key)."""


def payload_of(protocol: int, commands: Sequence[list[bytes]], key: bytes) -> Payload:
    """The payload of commands on one key, carried out in this order and at once."""
    return protocol, commands, key


def client_data(value: bytes) -> bytes:
    """The string in a register's value."""
    return value[_HEADER.size :]


def expires_ms(value: bytes) -> int:
    """When what is in a register expires, Unix milliseconds; 0 for never."""
    expires: int = _HEADER.unpack_from(value)[2]
    return expires


class _Nothing(ExpiryIndex):
    """An expiry index of a register: the register itself knows when it expires."""

    def __init__(self) -> None:
        super().__init__(MemoryEngine(), b"")

    def add(self, expires_ms: int, key: bytes) -> None:
        """Nothing to remember."""

    def remove(self, expires_ms: int, key: bytes) -> None:
        """Nothing to forget."""


class _Nowhere(Created):
    """What came into being: nobody lists the keys of a register."""

    def add(self, key: bytes) -> None:
        """Nothing to remember."""


class Registers:
    """`replica.RegisterSemantics`: what commands do to one key. Not for several threads at once."""

    def __init__(self) -> None:
        limits = ReplicatedLimits()
        self._context = Context(MemoryEngine(), b"", 0, ClientTable(limits))
        self._context.expiry = _Nothing()
        self._context.created = _Nowhere()
        self._context.execute = execute

    def change(self, payload: Payload, value: bytes | None, now_ms: int) -> tuple[bytes | None, bytes]:
        """(value after, reply): see `replica.RegisterSemantics.change`. Raises `ValueError` for a value that
        is none."""
        protocol, commands, key = payload
        if len(commands) == 1:
            done = _at_once(commands[0], key, value, now_ms)
            if done is not None:
                return done
        changed_ms, before = _cell_of(value)
        context = self._context
        context.now_ms = max(now_ms, changed_ms)
        context.index = 1
        context.speak(protocol)
        context.dirty = {key: before}
        replies = [execute(context, args) for args in commands]
        after = context.dirty[key]
        if len(context.dirty) > 1:
            raise ValueError(f"a payload for {key!r} changes other keys")
        reply = replies[0] if len(replies) == 1 else b"".join(replies)
        if after is before:
            return value, reply
        data, _, expires_ms = after
        if data is None:
            return None, reply
        if len(data) > MAX_REGISTER_BYTES:
            return value, TOO_LARGE
        return _HEADER.pack(KIND_STRING, context.now_ms, expires_ms) + data, reply

    def blind(self, payload: Payload) -> bool:
        """Whether value after and reply are the same whatever the value before."""
        commands = payload[1]
        return _is_blind(commands[0]) if len(commands) == 1 else all(map(_is_blind, commands))


def _at_once(
    args: list[bytes], key: bytes, value: bytes | None, now_ms: int
) -> tuple[bytes | None, bytes] | None:
    """What the most frequent commands do, as they would in `execute`; None for all others."""
    name = args[0]
    if len(args) < 2 or args[1] != key:
        return None
    if name == b"GET" and len(args) == 2 and value is not None and len(value) >= _HEADER.size:
        _, changed_ms, expires_ms = _HEADER.unpack_from(value)
        if not 0 < expires_ms <= max(now_ms, changed_ms):
            return value, bulk(value[_HEADER.size :])
    elif name == b"SET" and len(args) == 3 and len(args[2]) <= MAX_REGISTER_BYTES:
        if value is None:
            return _HEADER.pack(KIND_STRING, now_ms, 0) + args[2], OK
        if len(value) >= _HEADER.size:
            changed_ms = _HEADER.unpack_from(value)[1]
            return _HEADER.pack(KIND_STRING, max(now_ms, changed_ms), 0) + args[2], OK
    return None


def _cell_of(value: bytes | None) -> tuple[int, Cell]:
    if value is None:
        return 0, ABSENT
    if len(value) < _HEADER.size:
        raise ValueError(f"a register of {len(value)} bytes")
    _, changed_ms, expires_ms = _HEADER.unpack_from(value)
    return changed_ms, (value[_HEADER.size :], 0, expires_ms)


def _is_blind(args: list[bytes]) -> bool:
    """Whether a command overwrites, with a reply that tells nothing of what was there."""
    name = args[0].upper() if args else b""
    if name == b"SET":
        return len(args) >= 3 and not any(option.upper() in _KEEPS_OR_ASKS for option in args[3:])
    return name in _SETS


__all__ = ["Payload", "Registers", "client_data", "expires_ms", "payload_of"]
