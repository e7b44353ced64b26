"""Commands that contain commands: transactions, and requests carried out exactly once.

EXEC, in the log: [EXEC, watches, commands], the latter two msgpack. watches: a list of [key, version,
deleted], as `StateMachine.versions` gave them. commands: a list of which each item is a command (a list
of arguments) or the bytes of a reply that the node knows already (PING and the like).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from comity.formats.resp import array
from comity.store.commands.arguments import INTEGER_MAX, arity_error, integer
from comity.store.errors import CommandError
from comity.store.keyspace import Context
from comity.store.replies import translated

MALFORMED = b"ERR malformed transaction"
NO_NESTING = b"ERR EXEC and CLIENT ONCE cannot be inside another"

_encode = msgspec.msgpack.Encoder().encode
_decode_watches = msgspec.msgpack.Decoder(list[tuple[bytes, int, int]]).decode
_decode_commands = msgspec.msgpack.Decoder(list[list[bytes] | bytes]).decode


def encode_exec(
    watches: Sequence[tuple[bytes, int, int]], commands: Sequence[Sequence[bytes] | bytes]
) -> list[bytes]:
    """The command that carries out a transaction."""
    return [b"EXEC", _encode(watches), _encode(commands)]


def exec_(ctx: Context, args: list[bytes]) -> bytes:
    """Carry out commands in one go, unless a watched key changed. One that fails does not stop the others."""
    if len(args) != 3:
        raise CommandError(MALFORMED)
    try:
        watches, commands = _decode_watches(args[1]), _decode_commands(args[2])
    except msgspec.MsgspecError:
        raise CommandError(MALFORMED) from None
    if not all(ctx.unchanged(*watch) for watch in watches):
        return ctx.null_array
    return array([command if isinstance(command, bytes) else _nested(ctx, command) for command in commands])


def _nested(ctx: Context, args: list[bytes]) -> bytes:
    if args and args[0].upper() in (b"EXEC", b"CLIENT"):
        return b"-%b\r\n" % NO_NESTING
    return ctx.execute(ctx, args)


def client(ctx: Context, args: list[bytes]) -> bytes:
    """CLIENT ONCE id sequence command [argument ...]: carry a command out, or repeat its answer."""
    if len(args) < 2 or args[1].upper() != b"ONCE":
        raise CommandError(b"ERR only CLIENT ONCE can be in the log")
    if len(args) < 5:
        raise arity_error(b"client|once")
    client_id, sequence, command = args[2], integer(args[3]), args[4:]
    if not 0 < len(client_id) <= ctx.clients.limits.client_id_bytes:
        raise CommandError(b"ERR a client id has 1 to %d bytes" % ctx.clients.limits.client_id_bytes)
    if not 1 <= sequence <= INTEGER_MAX:
        raise CommandError(b"ERR a sequence is 1 or more")
    if command[0].upper() == b"CLIENT":
        raise CommandError(NO_NESTING)
    kept = ctx.clients.find(client_id, sequence)
    if kept is not None:
        protocol, answer = kept
        assert answer is not None
        return answer if protocol == ctx.protocol else translated(answer, ctx.protocol)
    answer = ctx.execute(ctx, command)
    ctx.clients.keep(client_id, sequence, ctx.protocol, answer)
    return answer
