"""Keys, whatever they hold."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from comity.formats.resp import OK, array
from comity.formats.resp import integer as number
from comity.store.commands.arguments import NO_SUCH_KEY, WRONG_DATABASE, integer, syntax_error
from comity.store.errors import CommandError
from comity.store.glob import matcher
from comity.store.keyspace import Context
from comity.store.layout import HASH_BYTES
from comity.store.replies import ONE, ZERO, bulk

SCAN_COUNT = 10
CURSOR_MAX = (1 << 64) - 1


def delete(ctx: Context, args: list[bytes]) -> bytes:
    """Delete keys."""
    if len(args) > 2:
        ctx.prefetch(args[1:])
    return number(sum(ctx.delete(key) for key in args[1:]))


def exists(ctx: Context, args: list[bytes]) -> bytes:
    """How many of the keys exist, counting repetitions."""
    ctx.prefetch(args[1:])
    return number(sum(ctx.cell(key) is not None for key in args[1:]))


def type_(ctx: Context, args: list[bytes]) -> bytes:
    """The type of the value of a key."""
    return b"+none\r\n" if ctx.cell(args[1]) is None else b"+string\r\n"


def rename(ctx: Context, args: list[bytes]) -> bytes:
    """Give a value another key, with its time to live."""
    _rename(ctx, args[1], args[2], replaces=True)
    return OK


def renamenx(ctx: Context, args: list[bytes]) -> bytes:
    """Rename, unless the new key exists."""
    return ONE if _rename(ctx, args[1], args[2], replaces=False) else ZERO


def _rename(ctx: Context, source: bytes, target: bytes, *, replaces: bool) -> bool:
    cell = ctx.cell(source)
    if cell is None:
        raise CommandError(NO_SUCH_KEY)
    if source == target or (not replaces and ctx.cell(target) is not None):
        return False
    ctx.put(target, cell[0] or b"", cell[2])
    ctx.delete(source)
    return True


def copy(ctx: Context, args: list[bytes]) -> bytes:
    """Copy a value, with its time to live."""
    replaces = False
    position = 3
    while position < len(args):
        option = args[position].upper()
        if option == b"REPLACE":
            replaces = True
        elif option == b"DB" and position + 1 < len(args):
            position += 1
            if integer(args[position]) != 0:
                raise CommandError(WRONG_DATABASE)
        else:
            raise syntax_error()
        position += 1
    source, target = args[1], args[2]
    if source == target:
        raise CommandError(b"ERR source and destination objects are the same")
    cell = ctx.cell(source)
    if cell is None or (not replaces and ctx.cell(target) is not None):
        return ZERO
    ctx.put(target, cell[0] or b"", cell[2])
    return ONE


def randomkey(ctx: Context, args: list[bytes]) -> bytes:
    """Some key: the first one at or after a random place in the order of hashes."""
    for start in (ctx.random_word(), 0):
        for place, _ in ctx.live(start):
            return bulk(place[HASH_BYTES:])
    return ctx.null


def keys(ctx: Context, args: list[bytes]) -> bytes:
    """All keys that match a pattern."""
    found = (place[HASH_BYTES:] for place, _ in ctx.live())
    if args[1] == b"*":
        return array([bulk(key) for key in found])
    matches = matcher(args[1])
    return array([bulk(key) for key in found if matches(key)])


class ScanOptions(msgspec.Struct, frozen=True, gc=False):
    """What SCAN was asked: from which place in the order of hashes on, which keys. type_name: b"" for any."""

    position: int
    pattern: bytes
    type_name: bytes
    count: int


def scan_options(args: Sequence[bytes]) -> ScanOptions:
    """The arguments of SCAN. Raises `CommandError`."""
    position = _cursor(args[1])
    pattern, type_name, count = b"*", b"", SCAN_COUNT
    for option_at in range(2, len(args), 2):
        option = args[option_at].upper()
        if option_at + 1 == len(args) or option not in (b"MATCH", b"COUNT", b"TYPE"):
            raise syntax_error()
        value = args[option_at + 1]
        if option == b"MATCH":
            pattern = value
        elif option == b"TYPE":
            type_name = value.lower()
        else:
            count = integer(value)
            if count < 1:
                raise syntax_error()
    return ScanOptions(position, pattern, type_name, count)


def scan(ctx: Context, args: list[bytes]) -> bytes:
    """Some keys from a cursor on, and the next cursor.

    A cursor is a place in the order of hashes, so none is ever stale, and whatever is there from the
    first call to the last is returned. Keys of one hash are returned together.
    """
    options = scan_options(args)
    type_name, count = options.type_name, options.count
    matches = matcher(options.pattern)
    found: list[bytes] = []
    following = 0
    last_hash = b""
    for seen, (place, cell) in enumerate(ctx.walk(options.position)):
        if seen >= count and place[:HASH_BYTES] != last_hash:
            following = int.from_bytes(place[:HASH_BYTES], "big")
            break
        last_hash = place[:HASH_BYTES]
        key = place[HASH_BYTES:]
        if not 0 < cell[2] <= ctx.now_ms and type_name in (b"", b"string") and matches(key):
            found.append(bulk(key))
    return array([bulk(b"%d" % following), array(found)])


def _cursor(text: bytes) -> int:
    # As C's strtoul reads it: a sign may be there, and nothing at all means 0.
    digits = text[1:] if text[:1] in (b"+", b"-") else text
    if not text:
        return 0
    if digits.isdigit() and len(digits) <= 20 and int(digits) <= CURSOR_MAX:
        return int(text) & CURSOR_MAX
    raise CommandError(b"ERR invalid cursor")


def dbsize(ctx: Context, args: list[bytes]) -> bytes:
    """How many keys there are, counting expired ones that are not reclaimed yet."""
    return number(ctx.keys)


def flushall(ctx: Context, args: list[bytes]) -> bytes:
    """Delete all keys."""
    if len(args) > 2 or (len(args) == 2 and args[1].upper() not in (b"SYNC", b"ASYNC")):
        raise syntax_error()
    ctx.flush_all()
    return OK
