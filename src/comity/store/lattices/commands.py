"""Redis's commands on a lattice: the command functions of the store, above a key that is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from comity.store import replies
from comity.store.commands import expiry, keys, strings
from comity.store.errors import CommandError
from comity.store.keyspace import Context, checked_length
from comity.store.lattices.cell import visible
from comity.store.lattices.changes import Change
from comity.store.lattices.supported import CONDITIONS_REFUSED, refusal
from comity.store.layout import Cell
from comity.store.table import TABLE, arity_fits, unknown_command, wrong_arity

Write = Callable[[Change, bytes | None, bytes, int], None]
"""(change, string now, string to be, deadline to be): what `put` of a command means for a lattice."""

_ONE_KEY = b"ERR a gossip keyspace carries out a command on several keys one key at a time"
_NO_WRITE = b"ERR '%b' is not a read"


def _overwrite(change: Change, before: bytes | None, data: bytes, expires_ms: int) -> None:
    checked_length(len(data))
    change.overwrite(data, expires_ms)


def _expire(change: Change, before: bytes | None, data: bytes, expires_ms: int) -> None:
    change.expire(expires_ms)


def _count(change: Change, before: bytes | None, data: bytes, expires_ms: int) -> None:
    change.count(int(data) - int(before or b"0"))


_WRITES: dict[bytes, Write] = {
    **dict.fromkeys(
        (b"SET", b"GETSET", b"MSET", b"SETEX", b"PSETEX", b"GETDEL", b"DEL", b"UNLINK"), _overwrite
    ),
    **dict.fromkeys((b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT", b"PERSIST", b"GETEX"), _expire),
    **dict.fromkeys((b"INCR", b"DECR", b"INCRBY", b"DECRBY"), _count),
}
"""Commands that write, and how."""

_APPLY: dict[bytes, Callable[[Context, list[bytes]], bytes]] = {
    b"GET": strings.get,
    b"STRLEN": strings.strlen,
    b"GETRANGE": strings.getrange,
    b"SUBSTR": strings.getrange,
    b"MGET": strings.mget,
    b"EXISTS": keys.exists,
    b"TOUCH": keys.exists,
    b"TYPE": keys.type_,
    b"TTL": expiry.ttl,
    b"PTTL": expiry.pttl,
    b"EXPIRETIME": expiry.expiretime,
    b"PEXPIRETIME": expiry.pexpiretime,
    b"SET": strings.set_,
    b"GETSET": strings.getset,
    b"MSET": strings.mset,
    b"SETEX": strings.setex,
    b"PSETEX": strings.psetex,
    b"GETDEL": strings.getdel,
    b"DEL": keys.delete,
    b"UNLINK": keys.delete,
    b"INCR": strings.incr,
    b"DECR": strings.decr,
    b"INCRBY": strings.incrby,
    b"DECRBY": strings.decrby,
    b"EXPIRE": expiry.expire,
    b"PEXPIRE": expiry.pexpire,
    b"EXPIREAT": expiry.expireat,
    b"PEXPIREAT": expiry.pexpireat,
    b"PERSIST": expiry.persist,
    b"GETEX": strings.getex,
}


class OneKey:
    """One key of a gossip keyspace as command functions see a keyspace: the part of `Context` they use."""

    def __init__(self, change: Change, protocol: int, *, writable: bool) -> None:
        self.change = change
        self.protocol = protocol
        self.now_ms = change.now_ms
        self.null = b"_\r\n" if protocol == 3 else b"$-1\r\n"
        self.null_array = b"_\r\n" if protocol == 3 else b"*-1\r\n"
        self._writable = writable
        self._name = b""
        self._key: bytes | None = None

    def run(self, args: list[bytes]) -> bytes:
        """Carry out a command; the reply may be an error."""
        if not args:
            return b"-ERR empty command\r\n"
        name = args[0].upper()
        entry = TABLE.get(name)
        if entry is None:
            return unknown_command(args)
        reason = refusal(name)
        if reason is not None:
            return replies.error(b"ERR " + reason.encode())
        if not arity_fits(entry, len(args)):
            return wrong_arity(entry)
        if name in _WRITES and not self._writable:
            return replies.error(_NO_WRITE % name)
        if name == b"SET" and _has_condition(args):
            return replies.error(CONDITIONS_REFUSED)
        self._name = name
        try:
            return _APPLY[name](cast(Context, self), args)
        except CommandError as error:
            return replies.error(error.text)

    def prefetch(self, wanted: list[bytes]) -> None:
        """There is one key, and it is here."""

    def cell(self, key: bytes) -> Cell | None:
        """The key as a client sees it now."""
        if self._key is None:
            self._key = key
        elif key != self._key:
            raise CommandError(_ONE_KEY)
        seen = visible(self.change.entries, self.now_ms)
        return None if seen is None else (seen[0], 0, seen[1])

    def get(self, key: bytes) -> bytes | None:
        """The string, None where there is none."""
        cell = self.cell(key)
        return None if cell is None else cell[0]

    def put(self, key: bytes, data: bytes, expires_ms: int = 0) -> None:
        """What the command being carried out means by a new string and deadline."""
        write = _WRITES[self._name]
        self._key = self._key or key
        before = None if write is _overwrite and key == self._key else self.get(key)
        if 0 < expires_ms <= self.now_ms:
            self.change.remove()
        else:
            write(self.change, before, data, expires_ms)

    def delete(self, key: bytes) -> bool:
        """Remove what is seen; whether there was a key."""
        existed = self.cell(key) is not None
        self.change.remove()
        return existed


def _has_condition(args: list[bytes]) -> bool:
    position = 3
    while position < len(args):
        option = args[position].upper()
        if option in (b"NX", b"XX"):
            return True
        position += 2 if option in (b"EX", b"PX", b"EXAT", b"PXAT") else 1
    return False


assert _APPLY.keys() >= _WRITES.keys()
