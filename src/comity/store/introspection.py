"""The replies to COMMAND and its sub-commands, made from the table."""

from __future__ import annotations

from comity.formats.resp import array, bulk, integer, mapping, members, null, simple
from comity.store.command import Command
from comity.store.glob import matcher
from comity.store.replies import error
from comity.store.syntax import Argument, parse
from comity.store.table import (
    TABLE,
    arity_fits,
    find,
    find_subcommand,
    keys_of,
    unknown_subcommand,
    wrong_arity,
)

_FLAGS = (
    "write",
    "readonly",
    "denyoom",
    "admin",
    "noscript",
    "loading",
    "stale",
    "skip_slowlog",
    "fast",
    "no_auth",
    "allow_busy",
)
"""In the order in which Redis lists them."""

_NO_KEYS = b"ERR The command has no key arguments"

HELP = (
    "COMMAND (no subcommand)",
    "    Describe all commands.",
    "COUNT",
    "    Count the commands.",
    "LIST",
    "    List the names of the commands.",
    "INFO [<command-name> ...]",
    "    Describe commands for programs.",
    "DOCS [<command-name> ...]",
    "    Describe commands for people.",
    "GETKEYS <full-command>",
    "    Find the keys among the arguments of a command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Find the keys among the arguments of a command, and what happens to each.",
    "HELP",
    "    Print this help.",
)


def command(args: list[bytes], protocol: int) -> bytes:
    """The reply to COMMAND with these arguments (its name the first) for a RESP version."""
    if len(args) == 1:
        return array([_info(entry, protocol) for entry in _public()])
    container = TABLE[b"COMMAND"]
    sub = find_subcommand(container, args[1])
    if sub is None:
        return unknown_subcommand(container, args[1])
    if not arity_fits(sub, len(args)):
        return wrong_arity(sub)
    return _REPLIES[sub.name](args, protocol)


def _public() -> list[Command]:
    return [entry for entry in TABLE.values() if "internal" not in entry.flags]


def _named(name: bytes) -> Command | None:
    container, bar, sub = name.partition(b"|")
    entry = find(container)
    if entry is None or "internal" in entry.flags:
        return None
    return find_subcommand(entry, sub) if bar else entry


def _count(args: list[bytes], protocol: int) -> bytes:
    return integer(len(_public()))


def _list(args: list[bytes], protocol: int) -> bytes:
    names = [
        name
        for entry in _public()
        for name in (entry.name.lower(), *(sub.name.lower() for sub in entry.subcommands))
    ]
    if len(args) == 2:
        return members([bulk(name) for name in names], protocol)
    kind = args[3].upper() if len(args) == 5 and args[2].upper() == b"FILTERBY" else b""
    if kind == b"MODULE":
        names = []
    elif kind == b"ACLCAT":
        wanted = args[4].decode("latin-1").lower()
        names = [name for name in names if wanted in _categories_of(name)]
    elif kind == b"PATTERN":
        matches = matcher(args[4].lower())
        names = [name for name in names if matches(name)]
    else:
        return error(b"ERR syntax error")
    return array([bulk(name) for name in names])


def _categories_of(name: bytes) -> list[str]:
    entry = _named(name)
    return [] if entry is None else _categories(entry)


def _info_of(args: list[bytes], protocol: int) -> bytes:
    if len(args) == 2:
        return array([_info(entry, protocol) for entry in _public()])
    entries = [_named(name) for name in args[2:]]
    missing = null(protocol)
    return array([missing if entry is None else _info(entry, protocol) for entry in entries])


def _info(entry: Command, protocol: int) -> bytes:
    flags = [flag for flag in _FLAGS if flag in entry.flags]
    return array(
        [
            bulk(entry.name.lower()),
            integer(entry.arity),
            members([simple(flag) for flag in flags], protocol),
            integer(entry.first_key),
            integer(entry.last_key),
            integer(entry.step),
            members([simple(f"@{category}") for category in _categories(entry)], protocol),
            members([bulk(tip.encode()) for tip in entry.tips], protocol),
            members(_key_specs(entry, protocol), protocol),
            array([_info(sub, protocol) for sub in entry.subcommands]),
        ]
    )


def _categories(entry: Command) -> list[str]:
    flags = entry.flags
    data = "write" in flags or "readonly" in flags
    chosen = {
        "keyspace": data and entry.group in ("generic", "server"),
        "read": "readonly" in flags,
        "write": "write" in flags,
        "string": entry.group == "string",
        "admin": "admin" in flags,
        "fast": "fast" in flags,
        "slow": "fast" not in flags,
        "dangerous": "dangerous" in flags,
        "connection": (entry.group == "connection" and entry.name != b"CLIENT")
        or entry.name.startswith(b"COMMAND"),
        "transaction": entry.group == "transactions",
    }
    return [category for category, is_one in chosen.items() if is_one]


def _key_specs(entry: Command, protocol: int) -> list[bytes]:
    specs = []
    apart = len(entry.key_access) > 1
    for position, access in enumerate(entry.key_access):
        last = min(0, entry.last_key)
        search = [
            (bulk(b"type"), bulk(b"index")),
            (
                bulk(b"spec"),
                mapping([(bulk(b"index"), integer(entry.first_key + position * apart))], protocol),
            ),
        ]
        find_keys = [
            (bulk(b"type"), bulk(b"range")),
            (
                bulk(b"spec"),
                mapping(
                    [
                        (bulk(b"lastkey"), integer(last)),
                        (bulk(b"keystep"), integer(entry.step)),
                        (bulk(b"limit"), integer(0)),
                    ],
                    protocol,
                ),
            ),
        ]
        specs.append(
            mapping(
                [
                    (bulk(b"flags"), members([simple(word) for word in access.split()], protocol)),
                    (bulk(b"begin_search"), mapping(search, protocol)),
                    (bulk(b"find_keys"), mapping(find_keys, protocol)),
                ],
                protocol,
            )
        )
    return specs


def _docs_of(args: list[bytes], protocol: int) -> bytes:
    if len(args) == 2:
        entries = _public()
    else:
        entries = [entry for name in args[2:] if (entry := _named(name)) is not None]
    return mapping([(bulk(entry.name.lower()), _docs(entry, protocol)) for entry in entries], protocol)


def _docs(entry: Command, protocol: int) -> bytes:
    pairs = [
        (bulk(b"summary"), bulk(entry.summary.encode())),
        (bulk(b"since"), bulk(entry.since.encode())),
        (bulk(b"group"), bulk(entry.group.encode())),
        (bulk(b"complexity"), bulk(entry.complexity.encode())),
    ]
    arguments = parse(entry.syntax)
    if arguments:
        pairs.append((bulk(b"arguments"), array([_argument(each, protocol) for each in arguments])))
    if entry.subcommands:
        subs = [(bulk(sub.name.lower()), _docs(sub, protocol)) for sub in entry.subcommands]
        pairs.append((bulk(b"subcommands"), mapping(subs, protocol)))
    return mapping(pairs, protocol)


def _argument(argument: Argument, protocol: int) -> bytes:
    pairs = [
        (bulk(b"name"), bulk(argument.name.encode())),
        (bulk(b"type"), bulk(argument.kind.encode())),
    ]
    if argument.kind == "key":
        pairs.append((bulk(b"key_spec_index"), integer(argument.key_index)))
    if argument.token:
        pairs.append((bulk(b"token"), bulk(argument.token.encode())))
    if argument.flags:
        pairs.append((bulk(b"flags"), members([simple(flag) for flag in argument.flags], protocol)))
    if argument.parts:
        pairs.append((bulk(b"arguments"), array([_argument(part, protocol) for part in argument.parts])))
    return mapping(pairs, protocol)


def _with_keys(args: list[bytes]) -> tuple[Command, list[bytes]] | bytes:
    inner = args[2:]
    entry = find(inner[0])
    if entry is None:
        return error(b"ERR Invalid command specified")
    if not arity_fits(entry, len(inner)):
        return error(b"ERR Invalid number of arguments specified for command")
    keys = keys_of(entry, inner)
    return (entry, keys) if keys else error(_NO_KEYS)


def _getkeys(args: list[bytes], protocol: int) -> bytes:
    found = _with_keys(args)
    return found if isinstance(found, bytes) else array([bulk(key) for key in found[1]])


def _getkeysandflags(args: list[bytes], protocol: int) -> bytes:
    found = _with_keys(args)
    if isinstance(found, bytes):
        return found
    entry, keys = found
    access = entry.key_access
    return array(
        [
            array(
                [
                    bulk(key),
                    members(
                        [simple(word) for word in access[min(position, len(access) - 1)].split()], protocol
                    ),
                ]
            )
            for position, key in enumerate(keys)
        ]
    )


def _help(args: list[bytes], protocol: int) -> bytes:
    return array([simple(line) for line in HELP])


_REPLIES = {
    b"COMMAND|COUNT": _count,
    b"COMMAND|LIST": _list,
    b"COMMAND|INFO": _info_of,
    b"COMMAND|DOCS": _docs_of,
    b"COMMAND|GETKEYS": _getkeys,
    b"COMMAND|GETKEYSANDFLAGS": _getkeysandflags,
    b"COMMAND|HELP": _help,
}
