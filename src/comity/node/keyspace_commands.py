"""KEYSPACE and COMITY.SESSION: which keyspaces there are, what they promise, and what a session has seen."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from comity.formats import resp
from comity.keyspaces import definition, explain
from comity.keyspaces.choices import chosen_level, find_protocol
from comity.keyspaces.creation import Wish, creation
from comity.keyspaces.definition import ACTIVE, Catalogue, KeyspaceError
from comity.node.connection import LOG, Connection, Run
from comity.node.group import Group
from comity.node.keyed import KeyedGroup
from comity.node.remote import Remote
from comity.node.served import Served
from comity.replica import Protocol

if TYPE_CHECKING:
    from comity.node.dispatch import Dispatcher

TOKEN_BYTES = 64 << 10
TOKEN_INDEX_BYTES = 8

HELP = (
    "KEYSPACE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <name> [REPLICATION <protocol>] [CONSISTENCY <level>] [REPLICAS <count>]",
    "       [OPTION <name> <value>]...",
    "    Keys that begin with '<name>:' are replicated in this way from now on.",
    "LIST",
    "    List the keyspaces: name, protocol, level, state.",
    "INFO <name>",
    "    Describe a keyspace, as JSON.",
    "EXPLAIN <name> [TEXT|JSON]",
    "    Spell out what a keyspace promises.",
    "ALTER <name> [CONSISTENCY <level>] [REPLICAS <count>]",
    "    Change what a keyspace promises unless asked for less, or how many nodes hold it.",
    "DROP <name>",
    "    Delete a keyspace with everything in it.",
    "HELP",
    "    Print this help.",
)


def keyspace(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes | None:
    """KEYSPACE: see `HELP`."""
    handler = HANDLERS.get(args[1].upper())
    if handler is None:
        shown = args[1][:128].decode("latin-1")
        return resp.error(f"ERR unknown subcommand '{shown}'. Try KEYSPACE HELP.")
    try:
        return handler(dispatcher, connection, args)
    except KeyspaceError as error:
        return resp.error(f"ERR {error}")


def _create(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes | None:
    host = dispatcher.host
    name = _name(args)
    words, options = _options(args)
    replicas = _count(words["REPLICAS"]) if "REPLICAS" in words else 0
    if "REPLICAS" in words and not replicas:
        raise KeyspaceError("0 replicas hold nothing; choose 1 or more")
    wish = Wish(
        name=name,
        replication=words.get("REPLICATION", "raft"),
        level=words.get("CONSISTENCY", ""),
        replicas=replicas,
        options=options,
    )
    edit = creation(host.protocols, host.default.core.members.voters, wish)

    def holds(catalogue: Catalogue) -> bool:
        found = catalogue.keyspaces.get(name)
        return found is not None and found.state == ACTIVE

    if name.encode() in host.by_name:
        raise KeyspaceError(f"there is a keyspace {name!r} already; choose another name, or drop it first")
    return _change(dispatcher, connection, edit, f"keyspace '{name}'", holds)


def _alter(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes | None:
    host = dispatcher.host
    name = _name(args)
    words, options = _options(args)
    if "REPLICATION" in words or options:
        raise KeyspaceError(
            "the protocol of a keyspace and its options cannot be changed while it holds data; create "
            "another keyspace and copy the keys"
        )
    found = definition.find(host.keyspaces.catalogue, name)
    protocol = find_protocol(host.protocols, found.replication)
    members = host.default.core.members.voters
    replicas = _count(words["REPLICAS"]) if "REPLICAS" in words else found.replicas
    fixed = isinstance(protocol, Protocol) and not protocol.views and not protocol.members
    if replicas != found.replicas and fixed:
        raise KeyspaceError(
            f"keyspace {name!r} stays where it is: {found.replication} cannot change its members; create "
            "another keyspace and copy the keys"
        )
    if "REPLICAS" in words and not 1 <= replicas <= len(members):
        definition.choose_nodes(members, replicas, 0)
    # Who holds it now stays, a primary before its backups.
    holding = [*found.view.nodes, *(node for node in found.nodes if node not in found.view.nodes)]
    kept = [node for node in holding if node in members and node in found.nodes]
    others = [node for node in members if node not in kept]

    def away(node: int) -> bool:
        return node != host.config.node and node not in host.peers.up

    # A move ends when everybody who is to hold it has everything: rather not with one that is away.
    others.sort(key=away)
    if not isinstance(protocol, Protocol) or not protocol.views:
        kept.sort(key=away)
    nodes = found.nodes if fixed else tuple((kept + others)[:replicas])
    level = chosen_level(protocol, found.options, len(nodes), words.get("CONSISTENCY", found.level))

    def edit(catalogue: Catalogue) -> Catalogue:
        return definition.alter(catalogue, name, level, nodes, replicas)

    def holds(catalogue: Catalogue) -> bool:
        now = catalogue.keyspaces.get(name)
        return now is not None and now.level == level and now.nodes == nodes and not now.altered

    return _change(dispatcher, connection, edit, f"the change of keyspace '{name}'", holds)


def _drop(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes | None:
    name = _name(args)
    definition.drop(dispatcher.host.keyspaces.catalogue, name)

    def edit(catalogue: Catalogue) -> Catalogue:
        return definition.drop(catalogue, name)

    def holds(catalogue: Catalogue) -> bool:
        return name not in catalogue.keyspaces

    return _change(dispatcher, connection, edit, f"the end of keyspace '{name}'", holds)


def _change(
    dispatcher: Dispatcher,
    connection: Connection,
    edit: Callable[[Catalogue], Catalogue],
    what: str,
    holds: Callable[[Catalogue], bool],
) -> bytes | None:
    """Ask the control group; the connection is answered when it is in force."""
    host = dispatcher.host
    refusal = dispatcher.refusal(host.default, write=True)
    if refusal is not None:
        return refusal
    connection.mode = LOG
    connection.group = 0
    connection.outstanding += 1
    run = Run(connection, 1, host.now_ns, dispatcher.routes.by_name[b"KEYSPACE"])
    host.keyspaces.change(edit, what, holds, lambda reply: host.deliver([run], [reply]))
    return None


def _list(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    host = dispatcher.host
    states = {name: found.state for name, found in host.keyspaces.catalogue.keyspaces.items()}
    rows = [
        (name.decode(), group.protocol.name, group.level, states.get(name.decode(), ACTIVE))
        for name, group in host.by_name.items()
    ]
    rows.sort(key=lambda row: (row[0] != definition.DEFAULT, row[0]))
    return resp.array([resp.array([resp.bulk(word.encode()) for word in row]) for row in rows])


def _info(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    host = dispatcher.host
    name = _name(args)
    group = host.by_name.get(name.encode())
    if group is None:
        definition.find(host.keyspaces.catalogue, name)
        raise KeyspaceError(f"keyspace {name!r} is not known here yet; try again")
    found = host.keyspaces.catalogue.keyspaces.get(name)
    words: dict[str, Any] = {
        "name": name,
        "replication": group.protocol.name,
        "level": group.level,
        "levels": list(group.levels),
        "refusals": group.refusals,
        "number": group.number,
    }
    if found is not None:
        words.update(host.keyspaces.describe(found))
        if found.state != ACTIVE and host.keyspaces.governor.governs:
            words["unconfirmed"] = host.keyspaces.governor.unconfirmed(found.since)
    words["keys"], words["keys_exact"] = _count_keys(group)
    words["here"] = group.status()
    return resp.bulk(json.dumps(words, indent=1, default=str).encode())


def _count_keys(group: Served) -> tuple[int | None, bool]:
    """(how many keys this node's replica has, whether that is exact); None where it holds none."""
    if isinstance(group, KeyedGroup):
        return group.count_keys()
    return (group.machine.stats()["keys"], True) if isinstance(group, Group) else (None, False)


def _explain(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    host = dispatcher.host
    name = _name(args)
    form = _text(args[3]).upper() if len(args) > 3 else "TEXT"
    if len(args) > 4 or form not in ("TEXT", "JSON"):
        raise KeyspaceError("EXPLAIN takes a name and TEXT or JSON; see KEYSPACE HELP")
    voters = len(host.default.core.members.voters)
    found = host.keyspaces.catalogue.keyspaces.get(name)
    options: dict[str, Any] = {}
    if found is not None:
        replication, level, options, replicas = (
            found.replication,
            found.level,
            found.options,
            len(found.nodes),
        )
    else:
        group = host.by_name.get(name.encode())
        if not isinstance(group, Group):
            definition.find(host.keyspaces.catalogue, name)
            raise KeyspaceError(f"keyspace {name!r} is not known here yet; try again")
        replication, level, replicas = group.protocol.name, group.level, len(group.core.members.voters)
        options = next((each.options for each in host.config.keyspaces if each.name == name), {})
    protocol = find_protocol(host.protocols, replication)
    explained = explain.explain(name, protocol, options, level, replicas, voters)
    text = json.dumps(explained, indent=1) if form == "JSON" else explain.as_text(explained)
    return resp.bulk(text.encode())


def _help(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    return resp.array([resp.simple(line) for line in HELP])


HANDLERS: dict[bytes, Callable[[Dispatcher, Connection, list[bytes]], bytes | None]] = {
    b"CREATE": _create,
    b"LIST": _list,
    b"INFO": _info,
    b"EXPLAIN": _explain,
    b"ALTER": _alter,
    b"DROP": _drop,
    b"HELP": _help,
}


# -- reading the words of a command


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise KeyspaceError(f"{data!r} is not text") from None


def _name(args: Sequence[bytes]) -> str:
    if len(args) < 3:
        raise KeyspaceError("the name of a keyspace is missing; see KEYSPACE HELP")
    return _text(args[2])


def _options(args: Sequence[bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """({word: value}, {option of the protocol: value}) after the name."""
    words: dict[str, str] = {}
    options: dict[str, str] = {}
    position = 3
    while position < len(args):
        word = _text(args[position]).upper()
        if word in ("REPLICATION", "CONSISTENCY", "REPLICAS") and position + 1 < len(args):
            words[word] = _text(args[position + 1]).lower()
            position += 2
        elif word == "OPTION" and position + 2 < len(args):
            options[_text(args[position + 1]).lower().replace("-", "_")] = _text(args[position + 2])
            position += 3
        else:
            raise KeyspaceError(f"syntax error at {word!r}; see KEYSPACE HELP")
    return words, options


def _count(text: str) -> int:
    # Some characters are digits to isdigit() and not to int().
    if not (text.isascii() and text.isdigit()) or len(text) > 4:
        raise KeyspaceError(f"REPLICAS is {text!r}; it must be a number of nodes")
    return int(text)


# -- sessions


def session(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    """COMITY.SESSION [token]: what this session has seen in each keyspace, to be taken elsewhere."""
    if len(args) == 1:
        dispatcher.arrived(connection)
        for number, log in dispatcher.host.groups.items():
            if isinstance(log, Group) and number not in dispatcher.host.elsewhere:
                seen = connection.tokens.get(number, b"")
                connection.tokens[number] = log.join_tokens(seen, log.token())
        return resp.bulk(base64.urlsafe_b64encode(msgspec.msgpack.encode(connection.tokens)))
    if len(args) != 2:
        return resp.error("ERR wrong number of arguments for 'comity.session' command")
    if len(args[1]) > TOKEN_BYTES:
        return resp.error(f"ERR a session token is at most {TOKEN_BYTES} bytes")
    try:
        data = base64.b64decode(args[1], altchars=b"-_", validate=True)
        tokens = msgspec.msgpack.decode(data, type=dict[int, bytes])
    except (binascii.Error, msgspec.MsgspecError):
        return resp.error("ERR that is no session token; COMITY.SESSION without arguments gives one")
    host = dispatcher.host
    joined = connection.tokens.copy()
    for number, token in tokens.items():
        group = host.groups.get(number) or host.elsewhere.get(number)
        before = joined.get(number, b"")
        if group is None:
            if not host.keyspaces.ready:
                joined[number] = token  # Its keyspace may be known soon.
            continue
        if isinstance(group.protocol, Protocol) and len(token) != TOKEN_INDEX_BYTES:
            return resp.error("ERR that session token is not of this cluster")
        comparable = isinstance(group.protocol, Protocol) or not isinstance(group, Remote)
        if not comparable and before not in (b"", token):
            return resp.error(
                f"ERR this connection has seen something of keyspace '{group.name}', which other nodes hold: "
                "give the token to a new connection, or to one of those nodes"
            )
        joined[number] = group.join_tokens(before, token)
    connection.tokens = joined
    return resp.OK
