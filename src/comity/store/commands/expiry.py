"""Times to live. Whether one is over is decided by the time stamped into the log, never by a local clock."""

from __future__ import annotations

from comity.formats.resp import integer as number
from comity.store.commands.arguments import INTEGER_MAX, INTEGER_MIN, expiry_error, integer
from comity.store.errors import CommandError
from comity.store.keyspace import Context
from comity.store.replies import ONE, ZERO

NO_KEY = b":-2\r\n"
NO_EXPIRY = b":-1\r\n"

_OPTIONS = frozenset({b"NX", b"XX", b"GT", b"LT"})


def _options(args: list[bytes]) -> set[bytes]:
    chosen = set()
    for text in args[3:]:
        option = text.upper()
        if option not in _OPTIONS:
            raise CommandError(b"ERR Unsupported option %b" % text)
        chosen.add(option)
    if b"NX" in chosen and len(chosen) > 1:
        raise CommandError(b"ERR NX and XX, GT or LT options at the same time are not compatible")
    if b"GT" in chosen and b"LT" in chosen:
        raise CommandError(b"ERR GT and LT options at the same time are not compatible")
    return chosen


def _expire(ctx: Context, args: list[bytes], base_ms: int, unit_ms: int) -> bytes:
    options = _options(args)
    time = integer(args[2]) * unit_ms
    if not INTEGER_MIN <= time <= INTEGER_MAX - base_ms:
        raise expiry_error(args[0])
    time += base_ms
    key = args[1]
    cell = ctx.cell(key)
    if cell is None:
        return ZERO
    if options:
        # A key that never expires counts as expiring later than any time.
        current = cell[2]
        if (
            (b"NX" in options and current)
            or (b"XX" in options and not current)
            or (b"GT" in options and (not current or time <= current))
            or (b"LT" in options and current and time >= current)
        ):
            return ZERO
    if time <= ctx.now_ms:
        ctx.delete(key)
    else:
        ctx.put(key, cell[0] or b"", time)
    return ONE


def expire(ctx: Context, args: list[bytes]) -> bytes:
    """Expire in some seconds."""
    return _expire(ctx, args, ctx.now_ms, 1000)


def pexpire(ctx: Context, args: list[bytes]) -> bytes:
    """Expire in some milliseconds."""
    return _expire(ctx, args, ctx.now_ms, 1)


def expireat(ctx: Context, args: list[bytes]) -> bytes:
    """Expire at a unix time in seconds."""
    return _expire(ctx, args, 0, 1000)


def pexpireat(ctx: Context, args: list[bytes]) -> bytes:
    """Expire at a unix time in milliseconds."""
    return _expire(ctx, args, 0, 1)


def _time(ctx: Context, key: bytes, base_ms: int, unit_ms: int) -> bytes:
    cell = ctx.cell(key)
    if cell is None:
        return NO_KEY
    if not cell[2]:
        return NO_EXPIRY
    return number((cell[2] - base_ms + unit_ms // 2) // unit_ms)


def ttl(ctx: Context, args: list[bytes]) -> bytes:
    """Seconds left, rounded."""
    return _time(ctx, args[1], ctx.now_ms, 1000)


def pttl(ctx: Context, args: list[bytes]) -> bytes:
    """Milliseconds left."""
    return _time(ctx, args[1], ctx.now_ms, 1)


def expiretime(ctx: Context, args: list[bytes]) -> bytes:
    """When, in unix seconds, rounded."""
    return _time(ctx, args[1], 0, 1000)


def pexpiretime(ctx: Context, args: list[bytes]) -> bytes:
    """When, in unix milliseconds."""
    return _time(ctx, args[1], 0, 1)


def persist(ctx: Context, args: list[bytes]) -> bytes:
    """Never expire."""
    cell = ctx.cell(args[1])
    if cell is None or not cell[2]:
        return ZERO
    ctx.put(args[1], cell[0] or b"")
    return ONE
