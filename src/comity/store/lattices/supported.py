"""Which commands have a meaning where every replica takes writes without asking another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_READ = "replies with what this replica holds: all it has delivered, and what the session has seen"
_ANY = "several nodes may do it at once: "
_LAST = "overwrites what this replica has seen; of concurrent SETs the last by (stamp, node) shows"
_TIMED = _LAST + "; the time to live goes with the value"
_ADD = "adds to the total; undone only by a SET or DEL that had seen it, and otherwise never lost"
_REMOVE = "removes what this replica has seen; a SET or INCR that it had not seen stays"
_EXPIRE = (
    "sets the deadline, the last word by (stamp, node); each reader's own clock decides if it has come. "
    "NX, XX, GT and LT compare with the deadline that this replica sees"
)

SUPPORTED: Mapping[bytes, str] = MappingProxyType(
    {
        b"GET": _READ,
        b"STRLEN": _READ,
        b"GETRANGE": _READ,
        b"SUBSTR": _READ,
        b"MGET": _READ + "; a key at a time",
        b"EXISTS": _READ,
        b"TOUCH": _READ,
        b"TYPE": _READ,
        b"TTL": _READ,
        b"PTTL": _READ,
        b"EXPIRETIME": _READ,
        b"PEXPIRETIME": _READ,
        b"SET": _LAST + "; GET replies with what this replica held; NX and XX are refused",
        b"GETSET": _LAST + "; the old value is what this replica held",
        b"MSET": _LAST + "; the writes of one turn of a node are delivered together",
        b"SETEX": _TIMED,
        b"PSETEX": _TIMED,
        b"INCR": _ADD,
        b"DECR": _ADD,
        b"INCRBY": _ADD,
        b"DECRBY": _ADD,
        b"DEL": _REMOVE,
        b"UNLINK": _REMOVE,
        b"GETDEL": _REMOVE + "; " + _ANY + "each may be given the same value",
        b"EXPIRE": _EXPIRE,
        b"PEXPIRE": _EXPIRE,
        b"EXPIREAT": _EXPIRE,
        b"PEXPIREAT": _EXPIRE,
        b"PERSIST": _EXPIRE,
        b"GETEX": _READ + "; and " + _EXPIRE,
    }
)
"""Name -> what it means on a gossip keyspace."""

_CONDITION = "it would be decided by what one replica sees, and another may decide otherwise at the same time"
_WHOLE = "it makes a new value of the whole old one, so of two at once one would be lost"
_PAIR = "it moves a value between keys, which concurrent writes to either would tear apart"
_STRONG = "use a keyspace of raft or paxos for it"

_REFUSED: Mapping[bytes, tuple[str, str]] = MappingProxyType(
    {
        b"SETNX": (_CONDITION, f"use SET, or {_STRONG}"),
        b"MSETNX": (_CONDITION, f"use MSET, or {_STRONG}"),
        b"APPEND": (_WHOLE, f"write to keys of your own and join them when you read, or {_STRONG}"),
        b"SETRANGE": (_WHOLE, _STRONG),
        b"INCRBYFLOAT": (
            "sums of floats depend on their order",
            f"count in a smaller unit with INCRBY, or {_STRONG}",
        ),
        b"RENAME": (_PAIR, f"GET, SET and DEL one after the other, or {_STRONG}"),
        b"RENAMENX": (_PAIR, _STRONG),
        b"COPY": (_PAIR, f"GET and SET, or {_STRONG}"),
        b"FLUSHALL": ("it can remove only what one replica has seen", "DROP the keyspace, or DEL its keys"),
        b"FLUSHDB": ("it can remove only what one replica has seen", "DROP the keyspace, or DEL its keys"),
        b"WATCH": (_CONDITION, _STRONG),
    }
)

CONDITIONS_REFUSED = b"ERR SET with NX or XX has no meaning in a gossip keyspace: %b; %b" % (
    _CONDITION.encode(),
    _STRONG.encode(),
)


def refusal(name: bytes) -> str | None:
    """Why a command is refused on a gossip keyspace and what to use instead; None where it is not."""
    name = name.upper()
    if name in SUPPORTED:
        return None
    reason, instead = _REFUSED.get(
        name, ("no meaning without an order of all writes is stated for it", _STRONG)
    )
    return f"{name.decode('utf-8', 'replace')} has no meaning in a gossip keyspace: {reason}; {instead}"
