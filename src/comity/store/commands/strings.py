"""Strings: GET, SET and their kin."""

from __future__ import annotations

from comity.formats.resp import OK, array
from comity.formats.resp import integer as number
from comity.store import long_double
from comity.store.commands.arguments import (
    INTEGER_MAX,
    INTEGER_MIN,
    NOT_A_FLOAT,
    arity_error,
    expiry_error,
    integer,
    syntax_error,
)
from comity.store.errors import CommandError
from comity.store.keyspace import Context, checked_length
from comity.store.replies import EMPTY, ONE, ZERO, bulk

OVERFLOW = b"ERR increment or decrement would overflow"


def get(ctx: Context, args: list[bytes]) -> bytes:
    """The value of a key."""
    data = ctx.get(args[1])
    return ctx.null if data is None else bulk(data)


def set_(ctx: Context, args: list[bytes]) -> bytes:
    """Set a key, with conditions, a time to live, and the old value if wanted."""
    if len(args) == 3:
        ctx.put(args[1], args[2])
        return OK
    return _set_with_options(ctx, args)


def _set_with_options(ctx: Context, args: list[bytes]) -> bytes:
    condition = b""
    wants_old = False
    expiry: tuple[bytes, bytes] | None = None
    keeps = False
    position = 3
    while position < len(args):
        option = args[position].upper()
        if option in (b"NX", b"XX") and condition in (b"", option):
            condition = option
        elif option == b"GET":
            wants_old = True
        elif option == b"KEEPTTL" and expiry is None:
            keeps = True
        elif option in _EXPIRY_OPTIONS and not keeps and position + 1 < len(args):
            if expiry is not None and expiry[0] != option:
                raise syntax_error()
            position += 1
            expiry = option, args[position]
        else:
            raise syntax_error()
        position += 1
    expires_ms = 0 if expiry is None else expiry_time(ctx, b"set", *expiry)
    key = args[1]
    if not condition and not wants_old and not keeps:
        ctx.put(key, args[2], expires_ms)
        return OK
    cell = ctx.cell(key)
    old = None if cell is None else cell[0]
    reply = (ctx.null if old is None else bulk(old)) if wants_old else OK
    if (condition == b"NX" and cell is not None) or (condition == b"XX" and cell is None):
        return reply if wants_old else ctx.null
    if keeps and cell is not None:
        expires_ms = cell[2]
    ctx.put(key, args[2], expires_ms)
    return reply


_EXPIRY_OPTIONS = frozenset({b"EX", b"PX", b"EXAT", b"PXAT"})


def expiry_time(ctx: Context, name: bytes, option: bytes, text: bytes) -> int:
    """The time in unix milliseconds that EX, PX, EXAT or PXAT with this argument means."""
    time = integer(text)
    if time <= 0:
        raise expiry_error(name)
    if option in (b"EX", b"EXAT"):
        time *= 1000
    if option in (b"EX", b"PX"):
        time += ctx.now_ms
    if time > INTEGER_MAX:
        raise expiry_error(name)
    return time


def setnx(ctx: Context, args: list[bytes]) -> bytes:
    """Set a key that does not exist."""
    if ctx.cell(args[1]) is not None:
        return ZERO
    ctx.put(args[1], args[2])
    return ONE


def setex(ctx: Context, args: list[bytes]) -> bytes:
    """Set a key with a time to live in seconds."""
    ctx.put(args[1], args[3], expiry_time(ctx, b"setex", b"EX", args[2]))
    return OK


def psetex(ctx: Context, args: list[bytes]) -> bytes:
    """Set a key with a time to live in milliseconds."""
    ctx.put(args[1], args[3], expiry_time(ctx, b"psetex", b"PX", args[2]))
    return OK


def getset(ctx: Context, args: list[bytes]) -> bytes:
    """Set a key and reply with its old value."""
    reply = get(ctx, args)
    ctx.put(args[1], args[2])
    return reply


def getdel(ctx: Context, args: list[bytes]) -> bytes:
    """Reply with the value of a key and delete it."""
    reply = get(ctx, args)
    ctx.delete(args[1])
    return reply


def getex(ctx: Context, args: list[bytes]) -> bytes:
    """Reply with the value of a key and change when it expires."""
    persists = False
    expiry: tuple[bytes, bytes] | None = None
    position = 2
    while position < len(args):
        option = args[position].upper()
        if option == b"PERSIST" and expiry is None:
            persists = True
        elif option in _EXPIRY_OPTIONS and not persists and position + 1 < len(args):
            if expiry is not None and expiry[0] != option:
                raise syntax_error()
            position += 1
            expiry = option, args[position]
        else:
            raise syntax_error()
        position += 1
    key = args[1]
    cell = ctx.cell(key)
    if cell is None:
        return ctx.null
    data = cell[0] or b""
    if expiry is not None:
        ctx.put(key, data, expiry_time(ctx, b"getex", *expiry))
    elif persists and cell[2]:
        ctx.put(key, data)
    return bulk(data)


def mget(ctx: Context, args: list[bytes]) -> bytes:
    """The values of several keys."""
    ctx.prefetch(args[1:])
    values = [ctx.get(key) for key in args[1:]]
    return array([ctx.null if data is None else bulk(data) for data in values])


def mset(ctx: Context, args: list[bytes]) -> bytes:
    """Set several keys at once."""
    if len(args) % 2 == 0:
        raise arity_error(args[0])
    ctx.prefetch(args[1::2])
    for position in range(1, len(args), 2):
        ctx.put(args[position], args[position + 1])
    return OK


def msetnx(ctx: Context, args: list[bytes]) -> bytes:
    """Set several keys if none of them exists."""
    if len(args) % 2 == 0:
        raise arity_error(args[0])
    keys = args[1::2]
    ctx.prefetch(keys)
    if any(ctx.cell(key) is not None for key in keys):
        return ZERO
    mset(ctx, args)
    return ONE


def append(ctx: Context, args: list[bytes]) -> bytes:
    """Add to the end of a value."""
    cell = ctx.cell(args[1])
    if cell is None:
        ctx.put(args[1], args[2])
        return number(len(args[2]))
    data = cell[0] or b""
    checked_length(len(data) + len(args[2]))
    data += args[2]
    ctx.put(args[1], data, cell[2])
    return number(len(data))


def strlen(ctx: Context, args: list[bytes]) -> bytes:
    """The length of a value."""
    return number(len(ctx.get(args[1]) or b""))


def getrange(ctx: Context, args: list[bytes]) -> bytes:
    """A part of a value; negative positions count from its end."""
    start, end = integer(args[2]), integer(args[3])
    data = ctx.get(args[1])
    if not data or (start < 0 and end < 0 and start > end):
        return EMPTY
    size = len(data)
    if start < 0:
        start = max(size + start, 0)
    if end < 0:
        end = max(size + end, 0)
    return bulk(data[start : end + 1])


def setrange(ctx: Context, args: list[bytes]) -> bytes:
    """Overwrite a part of a value, which grows by zero bytes as needed."""
    offset, part = integer(args[2]), args[3]
    if offset < 0:
        raise CommandError(b"ERR offset is out of range")
    cell = ctx.cell(args[1])
    data = b"" if cell is None else cell[0] or b""
    if not part:
        return number(len(data))
    checked_length(offset + len(part))
    data = data[:offset].ljust(offset, b"\0") + part + data[offset + len(part) :]
    ctx.put(args[1], data, 0 if cell is None else cell[2])
    return number(len(data))


def _add(ctx: Context, key: bytes, amount: int) -> bytes:
    cell = ctx.cell(key)
    if cell is None:
        total, expires_ms = amount, 0
    else:
        total, expires_ms = integer(cell[0] or b"") + amount, cell[2]
    if not INTEGER_MIN <= total <= INTEGER_MAX:
        raise CommandError(OVERFLOW)
    text = b"%d" % total
    ctx.put(key, text, expires_ms)
    return b":%b\r\n" % text


def incr(ctx: Context, args: list[bytes]) -> bytes:
    """Add one."""
    return _add(ctx, args[1], 1)


def decr(ctx: Context, args: list[bytes]) -> bytes:
    """Subtract one."""
    return _add(ctx, args[1], -1)


def incrby(ctx: Context, args: list[bytes]) -> bytes:
    """Add a number."""
    return _add(ctx, args[1], integer(args[2]))


def decrby(ctx: Context, args: list[bytes]) -> bytes:
    """Subtract a number."""
    amount = integer(args[2])
    if amount == INTEGER_MIN:
        raise CommandError(b"ERR decrement would overflow")
    return _add(ctx, args[1], -amount)


def incrbyfloat(ctx: Context, args: list[bytes]) -> bytes:
    """Add a decimal number."""
    cell = ctx.cell(args[1])
    try:
        # Both are read before either is found infinite, as a text that is no number is told first.
        values = [_decimal(text) for text in ((cell[0] or b"") if cell else b"0", args[2])]
    except ValueError:
        raise CommandError(NOT_A_FLOAT) from None
    left, right = values
    try:
        if left is None or right is None:
            raise long_double.Infinite
        text = long_double.text_of(long_double.add(left, right))
    except long_double.Infinite:
        raise CommandError(b"ERR increment would produce NaN or Infinity") from None
    ctx.put(args[1], text, cell[2] if cell else 0)
    return bulk(text)


def _decimal(text: bytes) -> long_double.Value | None:
    try:
        return long_double.parse(text)
    except long_double.Infinite:
        return None
