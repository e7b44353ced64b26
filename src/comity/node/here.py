"""Commands answered on the spot by the node a client is connected to.

Each function takes the dispatcher, the connection and the arguments, and returns the reply, or None
where it arranges for one. They run only when nothing earlier of the connection is unanswered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from comity.formats import resp
from comity.node import keyspace_commands, requests
from comity.node.connection import LEVELS, Connection
from comity.node.information import information
from comity.node.routes import ROUTE_HERE, Routes

if TYPE_CHECKING:
    from comity.node.dispatch import Dispatcher

REDIS_VERSION = b"7.0.0"
"""The version of Redis whose replies are given; clients choose their features by it."""


SEQUENCE_DIGITS = 19
PATTERN_BYTES = 1 << 10
"""CONFIG GET takes no longer pattern: compiled ones are kept, and settings have short names."""


def unknown_command(args: list[bytes]) -> bytes:
    """Redis's own words, arguments cut as Redis cuts them."""
    shown = ""
    for argument in args[1:]:
        if len(shown) >= 128:
            break
        shown += f"'{argument[: 128 - len(shown)].decode('latin-1')}' "
    name = args[0][:128].decode("latin-1")
    return resp.error(f"ERR unknown command '{name}', with args beginning with: {shown}")


def is_once(args: list[bytes]) -> bool:
    """Whether this is CLIENT ONCE, which goes through the log."""
    return len(args) > 1 and args[1].upper() == b"ONCE"


def check_once(routes: Routes, args: list[bytes]) -> bytes | None:
    """The error of a malformed CLIENT ONCE, None when it may go on."""
    if len(args) < 5:
        return resp.error("ERR wrong number of arguments for 'client|once' command")
    client, sequence = args[2], args[3]
    if not 1 <= len(client) <= 128:
        return resp.error("ERR client id must be 1 to 128 bytes")
    # int() refuses thousands of digits in its own way.
    if len(sequence) > SEQUENCE_DIGITS or not sequence.isdigit() or not 1 <= int(sequence) < 1 << 63:
        return resp.error("ERR sequence is not an integer or out of range")
    route = routes.find(args[4])
    inner = args[4:]
    if route is None:
        return unknown_command(inner)
    if route.kind == ROUTE_HERE:
        return resp.error(f"ERR '{route.name}' cannot be used with CLIENT ONCE")
    if not route.least <= len(inner) <= route.most:
        return resp.error(f"ERR wrong number of arguments for '{route.name}' command")
    return None


def answer(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> None:
    """Carry out a command of this kind."""
    name = args[0].upper()
    reply = HANDLERS[name](dispatcher, connection, args)
    if reply is not None:
        dispatcher.answer(connection, reply)


def immediate(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    """The reply of one of the commands above that may stand in a transaction."""
    reply = HANDLERS[args[0].upper()](dispatcher, connection, args)
    assert reply is not None
    return reply


def _ping(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    if len(args) > 2:
        return resp.error("ERR wrong number of arguments for 'ping' command")
    return resp.bulk(args[1]) if len(args) == 2 else b"+PONG\r\n"


def _echo(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.bulk(args[1])


def _time(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    wall_ms = dispatcher.host.wall_ms
    seconds, milliseconds = divmod(wall_ms, 1000)
    return resp.array([resp.bulk(b"%d" % seconds), resp.bulk(b"%d" % (milliseconds * 1000))])


def _select(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    try:
        index = int(args[1])
    except ValueError:
        return resp.error("ERR value is not an integer or out of range")
    return resp.OK if index == 0 else resp.error("ERR DB index is out of range")


def _quit(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> None:
    dispatcher.answer(connection, resp.OK)
    dispatcher.close(connection)


def _reset(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    connection.forget_transaction()
    connection.protocol = 2
    connection.name = b""
    connection.level = ""
    connection.tokens.clear()
    connection.read_quorum = connection.write_quorum = 0
    return b"+RESET\r\n"


def _auth(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.error(
        "ERR AUTH <password> called without any password configured for the default user. "
        "Are you sure your configuration is correct?"
    )


def _hello(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    protocol = connection.protocol
    name = connection.name
    position = 1
    if len(args) > 1:
        if args[1] not in (b"2", b"3"):
            try:
                int(args[1])
            except ValueError:
                return resp.error("ERR Protocol version is not an integer or out of range")
            return resp.error("NOPROTO unsupported protocol version")
        protocol = int(args[1])
        position = 2
    while position < len(args):
        option = args[position].upper()
        if option == b"AUTH" and position + 2 < len(args):
            return _auth(dispatcher, connection, args)
        if option == b"SETNAME" and position + 1 < len(args):
            name = args[position + 1]
            if _bad_name(name):
                return resp.error("ERR Client names cannot contain spaces, newlines or special characters.")
            position += 2
        else:
            shown = args[position].decode("latin-1")
            return resp.error(f"ERR Syntax error in HELLO option '{shown}'")
    connection.protocol = protocol
    connection.name = name
    leads = dispatcher.host.default.core.leader == dispatcher.host.config.node
    pairs = [
        (resp.bulk(b"server"), resp.bulk(b"redis")),
        (resp.bulk(b"version"), resp.bulk(REDIS_VERSION)),
        (resp.bulk(b"proto"), resp.integer(protocol)),
        (resp.bulk(b"id"), resp.integer(connection.number)),
        (resp.bulk(b"mode"), resp.bulk(b"standalone")),
        # Every node takes every command: to a Redis client each of them is a master.
        (resp.bulk(b"role"), resp.bulk(b"master")),
        (resp.bulk(b"modules"), resp.array([])),
        (resp.bulk(b"comity"), resp.bulk(dispatcher.host.config.version.encode())),
        (resp.bulk(b"comity-role"), resp.bulk(b"leader" if leads else b"follower")),
    ]
    return resp.mapping(pairs, protocol)


def _bad_name(name: bytes) -> bool:
    return any(not 33 <= byte <= 126 for byte in name)


def _multi(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    connection.queued = []
    return resp.OK


def _exec(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.error("ERR EXEC without MULTI")


def _discard(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.error("ERR DISCARD without MULTI")


def _watch(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> None:
    dispatcher.transactions.watch(connection, args)


def _unwatch(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    connection.watches.clear()
    return resp.OK


def _command(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    from comity.store import introspection

    return introspection.command(args, connection.protocol)


def _info(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    sections = {section.lower().decode("latin-1") for section in args[1:]}
    text = information(dispatcher, sections)
    return resp.verbatim(text.encode(), connection.protocol)


def _config(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    sub = args[1].upper()
    if sub == b"GET" and len(args) >= 3:
        settings = _settings(dispatcher)
        chosen: dict[str, str] = {}
        for pattern in args[2:]:
            if len(pattern) > PATTERN_BYTES:
                continue
            lowered = pattern.decode("latin-1").lower()
            chosen.update((name, value) for name, value in settings.items() if fnmatchcase(name, lowered))
        pairs = [(resp.bulk(name.encode()), resp.bulk(value.encode())) for name, value in chosen.items()]
        return resp.mapping(pairs, connection.protocol)
    if sub == b"RESETSTAT" and len(args) == 2:
        for route in dispatcher.routes.by_name.values():
            route.calls = 0
        return resp.OK
    if sub in (b"SET", b"REWRITE"):
        return resp.error(
            f"ERR CONFIG {sub.decode()} is not supported: settings are given when a node starts"
        )
    return _unknown_subcommand("CONFIG", args)


def _settings(dispatcher: Dispatcher) -> dict[str, str]:
    """Redis's names where Redis has the setting, comity's own after them."""
    bounds = dispatcher.bounds
    settings = {
        "appendonly": "yes",
        "appendfsync": "always",
        "databases": "1",
        "maxclients": str(bounds.connections),
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
        "proto-max-bulk-len": str(bounds.request_bytes),
        "save": "",
        "timeout": "0",
    }
    for name, value in msgspec.structs.asdict(bounds).items():
        settings[f"comity-{name.replace('_', '-')}"] = str(value)
    return settings


def _unknown_subcommand(command: str, args: list[bytes]) -> bytes:
    shown = args[1][:128].decode("latin-1")
    return resp.error(f"ERR unknown subcommand '{shown}'. Try {command} HELP.")


def _client(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    sub = args[1].upper()
    handler = CLIENT_HANDLERS.get(sub)
    if handler is None:
        return _unknown_subcommand("CLIENT", args)
    return handler(dispatcher, connection, args)


def _client_id(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.integer(connection.number)


def _client_setname(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    if len(args) != 3:
        return resp.error("ERR wrong number of arguments for 'client|setname' command")
    if _bad_name(args[2]):
        return resp.error("ERR Client names cannot contain spaces, newlines or special characters.")
    connection.name = args[2]
    return resp.OK


def _client_getname(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.bulk(connection.name) if connection.name else resp.null(connection.protocol)


def _client_setinfo(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    if len(args) != 4:
        return resp.error("ERR wrong number of arguments for 'client|setinfo' command")
    attribute = args[2].upper()
    if attribute not in (b"LIB-NAME", b"LIB-VER"):
        return resp.error(f"ERR Unrecognized option '{args[2][:64].decode('latin-1')}'")
    connection.library[attribute] = args[3][:128]
    return resp.OK


def _describe(dispatcher: Dispatcher, connection: Connection) -> str:
    now = dispatcher.host.now_ns
    fields = {
        "id": connection.number,
        "addr": connection.address,
        "name": connection.name.decode("latin-1"),
        "age": (now - connection.connected_ns) // 1_000_000_000,
        "idle": (now - connection.last_ns) // 1_000_000_000,
        "db": 0,
        "multi": len(connection.queued) if connection.queued is not None else -1,
        "watch": len(connection.watches),
        "qbuf": connection.parser.pending_bytes,
        "resp": connection.protocol,
        "level": connection.level or "default",
        "lib-name": connection.library.get(b"LIB-NAME", b"").decode("latin-1"),
        "lib-ver": connection.library.get(b"LIB-VER", b"").decode("latin-1"),
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())


def _client_list(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    lines = [_describe(dispatcher, other) for other in dispatcher.connections.values()]
    return resp.verbatim(("\n".join(lines) + "\n").encode(), connection.protocol)


def _client_info(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.verbatim((_describe(dispatcher, connection) + "\n").encode(), connection.protocol)


def _client_ok(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.OK


CLIENT_HELP = (
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "LIST",
    "    Return information about client connections of this node.",
    "NO-EVICT (ON|OFF)",
    "    Accepted; comity does not evict clients.",
    "ONCE <client-id> <sequence> <command> [<arg> ...]",
    "    Run a command at most once for this client id and sequence, and return the same answer to",
    "    every repetition. Sequences start at 1.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr: LIB-NAME or LIB-VER.",
    "HELP",
    "    Print this help.",
)


def _client_help(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.array([resp.simple(line) for line in CLIENT_HELP])


def _consistency(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    """COMITY.CONSISTENCY [level]: what reads of this connection promise."""
    if len(args) == 1:
        return resp.bulk((connection.level or dispatcher.host.default.level).encode())
    level = args[1].decode("latin-1").lower()
    if level == "default":
        connection.level = ""
        return resp.OK
    if level not in LEVELS:
        return resp.error(f"ERR unknown consistency level; use one of {', '.join(LEVELS)}, or default")
    connection.level = level
    return resp.OK


def _digest(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    """COMITY.DIGEST [keyspace]: applied index and a digest of the whole state of this replica."""
    host = dispatcher.host
    group = host.by_name.get(args[1] if len(args) > 1 else b"default")
    if group is None:
        return resp.error("ERR no such keyspace")
    position, digest = group.digest()
    return resp.array([resp.integer(position), resp.bulk(digest.hex().encode())])


def _status(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.bulk(json.dumps(dispatcher.host.status(), indent=1).encode())


Handler = Callable[["Dispatcher", Connection, list[bytes]], bytes | None]

CLIENT_HANDLERS: dict[bytes, Callable[[Dispatcher, Connection, list[bytes]], bytes]] = {
    b"ID": _client_id,
    b"SETNAME": _client_setname,
    b"GETNAME": _client_getname,
    b"SETINFO": _client_setinfo,
    b"LIST": _client_list,
    b"INFO": _client_info,
    b"NO-EVICT": _client_ok,
    b"NO-TOUCH": _client_ok,
    b"HELP": _client_help,
}

HANDLERS: dict[bytes, Handler] = {
    b"PING": _ping,
    b"ECHO": _echo,
    b"TIME": _time,
    b"SELECT": _select,
    b"QUIT": _quit,
    b"RESET": _reset,
    b"AUTH": _auth,
    b"HELLO": _hello,
    b"MULTI": _multi,
    b"EXEC": _exec,
    b"DISCARD": _discard,
    b"WATCH": _watch,
    b"UNWATCH": _unwatch,
    b"COMMAND": _command,
    b"INFO": _info,
    b"CONFIG": _config,
    b"CLIENT": _client,
    b"COMITY.CONSISTENCY": _consistency,
    b"COMITY.DIGEST": _digest,
    b"COMITY.STATUS": _status,
    b"COMITY.SESSION": keyspace_commands.session,
    b"COMITY.QUORUM": requests.quorum,
    b"COMITY.SIBLINGS": requests.siblings,
    b"KEYSPACE": keyspace_commands.keyspace,
}
