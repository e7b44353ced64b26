"""Which commands are possible in a keyspace, and why others are not."""

from __future__ import annotations

import msgspec

from comity.replica import LINEARIZABLE, KeyedProtocol, Protocol
from comity.store.command import Command
from comity.store.semantics import Semantics
from comity.store.table import TABLE

KEY_BY_KEY = frozenset({"DEL", "UNLINK", "EXISTS", "TOUCH", "MGET", "MSET"})
"""Commands on several keys that mean something key by key."""

_ONE_KEY = "one key at a time: on several it would not be atomic"
_EACH_KEY = "on several keys they are as many commands, one a key"
_SEVERAL = "it takes several keys, and here each key is replicated on its own"
_TRANSACTIONS = (
    "keys are replicated one by one; use a keyspace replicated by raft, chain or primary-backup for "
    "transactions"
)
_SET_LOOKS = "SET with NX, XX, GET or KEEPTTL"
_CONDITIONS = "SET with NX or XX"
_PREFIX = " has no meaning in a gossip keyspace: "


class Possible(msgspec.Struct, frozen=True, kw_only=True):
    """The commands on data, by what becomes of them. possible: names. limited, refused: (why, names)."""

    possible: tuple[str, ...]
    limited: tuple[tuple[str, tuple[str, ...]], ...]
    refused: tuple[tuple[str, tuple[str, ...]], ...]


def possible_commands(protocol: Protocol | KeyedProtocol, level: str) -> Possible:
    """What becomes of every command that concerns keys, at that level."""
    names = [entry for entry in TABLE.values() if entry.first_key and "connection" not in entry.flags]
    if not isinstance(protocol, KeyedProtocol):
        return Possible(
            possible=(*(entry.title for entry in names), "MULTI", "EXEC", "WATCH"), limited=(), refused=()
        )
    semantics = Semantics(protocol.semantics)
    possible: list[str] = []
    limited: dict[str, list[str]] = {}
    refused: dict[str, list[str]] = {}
    for entry in names:
        reason = _reason(semantics, protocol, entry)
        if reason is not None:
            refused.setdefault(reason, []).append(entry.title)
        elif entry.title in KEY_BY_KEY:
            limited.setdefault(_ONE_KEY if level == LINEARIZABLE else _EACH_KEY, []).append(entry.title)
        else:
            possible.append(entry.title)
    conditions = _conditions(semantics, protocol)
    if conditions is not None:
        name, reason = conditions
        refused.setdefault(reason, []).append(name)
    refused.setdefault(_TRANSACTIONS, []).extend(["MULTI", "EXEC", "WATCH"])
    return Possible(
        possible=tuple(possible),
        limited=tuple((reason, tuple(titles)) for reason, titles in limited.items()),
        refused=tuple((reason, tuple(titles)) for reason, titles in refused.items()),
    )


def _reason(semantics: Semantics, protocol: KeyedProtocol, entry: Command) -> str | None:
    """Why a command is refused in its plainest form; None where it is not."""
    reason = semantics.refusal(protocol.atomic, [entry.name, b"key", b"value", b"value"])
    if reason is None and entry.last_key != entry.first_key and entry.title not in KEY_BY_KEY:
        return _SEVERAL
    if reason is not None:
        return reason.removeprefix(entry.title + _PREFIX)
    return None


def _conditions(semantics: Semantics, protocol: KeyedProtocol) -> tuple[str, str] | None:
    """SET decides by what is there when it is told to: (which options, why not); None where it may."""
    if protocol.semantics == "lattice":
        return _CONDITIONS, (_reason(semantics, protocol, TABLE[b"SETNX"]) or "")
    reason = semantics.refusal(protocol.atomic, [b"SET", b"key", b"value", b"NX"])
    return None if reason is None else (_SET_LOOKS, reason)
