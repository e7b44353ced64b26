"""Commands of a connection that a transaction may contain; outside of one the node answers them itself."""

from __future__ import annotations

from comity.formats.resp import OK
from comity.store.commands.arguments import WRONG_DATABASE, arity_error, integer
from comity.store.errors import CommandError
from comity.store.keyspace import Context
from comity.store.replies import bulk


def ping(ctx: Context, args: list[bytes]) -> bytes:
    """Whether anybody is there."""
    if len(args) > 2:
        raise arity_error(args[0])
    return bulk(args[1]) if len(args) == 2 else b"+PONG\r\n"


def echo(ctx: Context, args: list[bytes]) -> bytes:
    """The argument."""
    return bulk(args[1])


def select(ctx: Context, args: list[bytes]) -> bytes:
    """Choose a database, of which there is one."""
    if integer(args[1]) != 0:
        raise CommandError(WRONG_DATABASE)
    return OK


def unwatch(ctx: Context, args: list[bytes]) -> bytes:
    """Nothing: EXEC has looked at the watched keys already."""
    return OK


def elsewhere(ctx: Context, args: list[bytes]) -> bytes:
    """A command that means something only to the node a client is connected to."""
    raise CommandError(b"ERR '%b' concerns a connection and cannot be in the log" % args[0].lower())
