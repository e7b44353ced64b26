"""The table of commands. Adding a command is adding one entry here, and its function in `commands/`.

Whatever else needs to know a command asks this table: the state machine, the node that routes it, the
COMMAND replies, the reference in the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from comity.store.command import Command, command, subcommand
from comity.store.commands import catalogue, connection, expiry, keys, strings, transactions

__all__ = [
    "INTERNAL",
    "TABLE",
    "Command",
    "arity_fits",
    "find",
    "find_subcommand",
    "keys_of",
    "unknown_command",
    "unknown_subcommand",
    "wrong_arity",
]

ONE_KEY = (1, 1, 1)
TWO_KEYS = (1, 2, 1)
ALL_KEYS = (1, -1, 1)
PAIRS = (1, -1, 2)

READ = ("RO access",)
LOOK = ("RO",)
CHANGE = ("RW access update",)
OVERWRITE = ("OW update",)
INSERT = ("OW insert",)
UPDATE = ("RW update",)
REMOVE = ("RM delete",)

EACH_SHARD = "request_policy:all_shards"
BY_KEY = "request_policy:multi_shard"
SUM = "response_policy:agg_sum"
ALL_SUCCEED = "response_policy:all_succeeded"

LARGE_VALUE = "the value is large: all of it is copied and written again"
MANY_KEYS = "there are many keys: all of them are visited"

# fmt: off
_STRINGS = (
    command(
        "GET key", 2, "readonly fast", strings.get, "string", "1.0.0", "Reply with the value of a key",
        key=ONE_KEY, access=READ,
    ),
    command(
        "SET key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|"
        "PXAT unix-time-milliseconds|KEEPTTL]",
        -3, "write denyoom", strings.set_, "string", "1.0.0",
        "Set a key to a value, on conditions and with a time to live if wanted",
        key=ONE_KEY, access=("RW access update variable_flags",),
    ),
    command(
        "SETNX key value", 3, "write denyoom fast", strings.setnx, "string", "1.0.0",
        "Set a key to a value if the key does not exist", key=ONE_KEY, access=INSERT,
    ),
    command(
        "SETEX key seconds value", 4, "write denyoom", strings.setex, "string", "2.0.0",
        "Set a key to a value that expires in some seconds", key=ONE_KEY, access=OVERWRITE,
    ),
    command(
        "PSETEX key milliseconds value", 4, "write denyoom", strings.psetex, "string", "2.6.0",
        "Set a key to a value that expires in some milliseconds", key=ONE_KEY, access=OVERWRITE,
    ),
    command(
        "GETSET key value", 3, "write denyoom fast", strings.getset, "string", "1.0.0",
        "Set a key to a value and reply with the old one", key=ONE_KEY, access=CHANGE,
    ),
    command(
        "GETDEL key", 2, "write fast", strings.getdel, "string", "6.2.0",
        "Reply with the value of a key and delete the key", key=ONE_KEY, access=("RW access delete",),
    ),
    command(
        "GETEX key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]",
        -2, "write fast", strings.getex, "string", "6.2.0",
        "Reply with the value of a key and change when it expires", key=ONE_KEY, access=CHANGE,
        slow_on=LARGE_VALUE + ", when the time to live changes",
    ),
    command(
        "MGET key...", -2, "readonly fast", strings.mget, "string", "1.0.0",
        "Reply with the values of several keys", key=ALL_KEYS, access=READ,
        complexity="O(N) in the number of keys", tips=BY_KEY,
    ),
    command(
        "MSET {key value}...", -3, "write denyoom", strings.mset, "string", "1.0.1",
        "Set several keys, all at once", key=PAIRS, access=OVERWRITE,
        complexity="O(N) in the number of keys", tips=f"{BY_KEY} {ALL_SUCCEED}",
    ),
    command(
        "MSETNX {key value}...", -3, "write denyoom", strings.msetnx, "string", "1.0.1",
        "Set several keys, all at once, if none of them exists", key=PAIRS, access=INSERT,
        complexity="O(N) in the number of keys", tips=f"{BY_KEY} response_policy:agg_min",
    ),
    command(
        "APPEND key value", 3, "write denyoom fast", strings.append, "string", "2.0.0",
        "Add to the end of a value", key=ONE_KEY, access=("RW insert",),
        complexity="O(N) in the length of the whole value", slow_on=LARGE_VALUE,
    ),
    command(
        "STRLEN key", 2, "readonly fast", strings.strlen, "string", "2.2.0",
        "Reply with the length of a value in bytes", key=ONE_KEY, access=LOOK,
    ),
    command(
        "GETRANGE key start end", 4, "readonly", strings.getrange, "string", "2.4.0",
        "Reply with a part of a value", key=ONE_KEY, access=READ,
        complexity="O(N) in the length of the part",
    ),
    command(
        "SUBSTR key start end", 4, "readonly", strings.getrange, "string", "1.0.0",
        "The old name of GETRANGE", key=ONE_KEY, access=READ,
        complexity="O(N) in the length of the part",
    ),
    command(
        "SETRANGE key offset value", 4, "write denyoom", strings.setrange, "string", "2.2.0",
        "Overwrite a part of a value", key=ONE_KEY, access=UPDATE,
        complexity="O(N) in the length of the whole value", slow_on=LARGE_VALUE,
    ),
    command(
        "INCR key", 2, "write denyoom fast", strings.incr, "string", "1.0.0",
        "Add one to a number", key=ONE_KEY, access=CHANGE,
    ),
    command(
        "DECR key", 2, "write denyoom fast", strings.decr, "string", "1.0.0",
        "Subtract one from a number", key=ONE_KEY, access=CHANGE,
    ),
    command(
        "INCRBY key increment", 3, "write denyoom fast", strings.incrby, "string", "1.0.0",
        "Add to a number", key=ONE_KEY, access=CHANGE,
    ),
    command(
        "DECRBY key decrement", 3, "write denyoom fast", strings.decrby, "string", "1.0.0",
        "Subtract from a number", key=ONE_KEY, access=CHANGE,
    ),
    command(
        "INCRBYFLOAT key increment", 3, "write denyoom fast", strings.incrbyfloat, "string", "2.6.0",
        "Add to a decimal number, with 64 bits of precision", key=ONE_KEY, access=CHANGE,
    ),
)

_KEYS = (
    command(
        "DEL key...", -2, "write", keys.delete, "generic", "1.0.0",
        "Delete keys", key=ALL_KEYS, access=REMOVE,
        complexity="O(N) in the number of keys", tips=f"{BY_KEY} {SUM}",
    ),
    command(
        "UNLINK key...", -2, "write fast", keys.delete, "generic", "4.0.0",
        "Delete keys; the same as DEL", key=ALL_KEYS, access=REMOVE,
        complexity="O(N) in the number of keys", tips=f"{BY_KEY} {SUM}",
    ),
    command(
        "EXISTS key...", -2, "readonly fast", keys.exists, "generic", "1.0.0",
        "Count the keys that exist", key=ALL_KEYS, access=LOOK,
        complexity="O(N) in the number of keys", tips=f"{BY_KEY} {SUM}",
    ),
    command(
        "TYPE key", 2, "readonly fast", keys.type_, "generic", "1.0.0",
        "Reply with the type of a value", key=ONE_KEY, access=LOOK,
    ),
    command(
        "TOUCH key...", -2, "readonly fast", keys.exists, "generic", "3.2.1",
        "Count the keys that exist; nothing is evicted here, so nothing else happens",
        key=ALL_KEYS, access=LOOK, complexity="O(N) in the number of keys", tips=f"{BY_KEY} {SUM}",
    ),
    command(
        "RENAME key newkey", 3, "write", keys.rename, "generic", "1.0.0",
        "Give a value another key, replacing what is there", key=TWO_KEYS,
        access=("RW access delete", "OW update"), slow_on=LARGE_VALUE,
    ),
    command(
        "RENAMENX key newkey", 3, "write fast", keys.renamenx, "generic", "1.0.0",
        "Give a value another key that does not exist", key=TWO_KEYS,
        access=("RW access delete", "OW insert"), slow_on=LARGE_VALUE,
    ),
    command(
        "COPY source destination [DB destination-db] [REPLACE]", -3, "write denyoom", keys.copy,
        "generic", "6.2.0", "Copy a value to another key", key=TWO_KEYS,
        access=("RO access", "OW update"), complexity="O(N) in the length of the value",
        slow_on=LARGE_VALUE,
    ),
    command(
        "RANDOMKEY", 1, "readonly", keys.randomkey, "generic", "1.0.0", "Reply with some key",
        tips=f"{EACH_SHARD} nondeterministic_output",
    ),
    command(
        "KEYS pattern", 2, "readonly dangerous", keys.keys, "generic", "1.0.0",
        "List all keys that match a pattern", complexity="O(N) in the number of all keys",
        slow_on=MANY_KEYS, tips=f"{EACH_SHARD} nondeterministic_output_order",
    ),
    command(
        "SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]", -2, "readonly", keys.scan, "generic",
        "2.8.0", "List keys, a few at a time", complexity="O(N) in COUNT",
        slow_on="COUNT is large", tips="nondeterministic_output request_policy:special",
    ),
    command(
        "DBSIZE", 1, "readonly fast", keys.dbsize, "server", "1.0.0", "Count all keys",
        tips=f"{EACH_SHARD} {SUM}",
    ),
    command(
        "FLUSHALL [ASYNC|SYNC]", -1, "write dangerous", keys.flushall, "server", "1.0.0",
        "Delete all keys; the space is reclaimed afterwards in either mode",
        tips=f"{EACH_SHARD} {ALL_SUCCEED}",
    ),
    command(
        "FLUSHDB [ASYNC|SYNC]", -1, "write dangerous", keys.flushall, "server", "1.0.0",
        "The same as FLUSHALL: there is one database", tips=f"{EACH_SHARD} {ALL_SUCCEED}",
    ),
)

_EXPIRY = (
    command(
        "EXPIRE key seconds [NX|XX|GT|LT]", -3, "write fast", expiry.expire, "generic", "1.0.0",
        "Have a key expire in some seconds", key=ONE_KEY, access=UPDATE, slow_on=LARGE_VALUE,
    ),
    command(
        "PEXPIRE key milliseconds [NX|XX|GT|LT]", -3, "write fast", expiry.pexpire, "generic", "2.6.0",
        "Have a key expire in some milliseconds", key=ONE_KEY, access=UPDATE, slow_on=LARGE_VALUE,
    ),
    command(
        "EXPIREAT key unix-time-seconds [NX|XX|GT|LT]", -3, "write fast", expiry.expireat, "generic",
        "1.2.0", "Have a key expire at a time in seconds", key=ONE_KEY, access=UPDATE,
        slow_on=LARGE_VALUE,
    ),
    command(
        "PEXPIREAT key unix-time-milliseconds [NX|XX|GT|LT]", -3, "write fast", expiry.pexpireat,
        "generic", "2.6.0", "Have a key expire at a time in milliseconds", key=ONE_KEY, access=UPDATE,
        slow_on=LARGE_VALUE,
    ),
    command(
        "TTL key", 2, "readonly fast timed", expiry.ttl, "generic", "1.0.0",
        "Reply with the seconds until a key expires; -1 if never, -2 if it does not exist",
        key=ONE_KEY, access=READ, tips="nondeterministic_output",
    ),
    command(
        "PTTL key", 2, "readonly fast timed", expiry.pttl, "generic", "2.6.0",
        "Reply with the milliseconds until a key expires; -1 if never, -2 if it does not exist",
        key=ONE_KEY, access=READ, tips="nondeterministic_output",
    ),
    command(
        "EXPIRETIME key", 2, "readonly fast", expiry.expiretime, "generic", "7.0.0",
        "Reply with the time a key expires at, in seconds", key=ONE_KEY, access=READ,
    ),
    command(
        "PEXPIRETIME key", 2, "readonly fast", expiry.pexpiretime, "generic", "7.0.0",
        "Reply with the time a key expires at, in milliseconds", key=ONE_KEY, access=READ,
    ),
    command(
        "PERSIST key", 2, "write fast", expiry.persist, "generic", "2.2.0",
        "Have a key never expire", key=ONE_KEY, access=UPDATE, slow_on=LARGE_VALUE,
    ),
)

_TRANSACTION = "connection noscript loading stale fast allow_busy"

_TRANSACTIONS = (
    command(
        "MULTI", 1, _TRANSACTION, connection.elsewhere, "transactions", "1.2.0", "Begin a transaction",
    ),
    command(
        "EXEC", 1, "connection noscript loading stale skip_slowlog", transactions.exec_,
        "transactions", "1.2.0", "Carry out a transaction, unless a watched key changed",
        complexity="that of its commands", slow_on="its commands are",
    ),
    command(
        "DISCARD", 1, _TRANSACTION, connection.elsewhere, "transactions", "2.0.0", "Forget a transaction",
    ),
    command(
        "WATCH key...", -2, _TRANSACTION, connection.elsewhere, "transactions", "2.2.0",
        "Have the next transaction fail if one of these keys changes before it", key=ALL_KEYS,
        access=LOOK, complexity="O(N) in the number of keys",
    ),
    command(
        "UNWATCH", 1, _TRANSACTION, connection.unwatch, "transactions", "2.2.0",
        "Forget which keys are watched",
    ),
)

_SESSION = "connection noscript loading stale"
_ENTRY = f"{_SESSION} fast no_auth allow_busy"


_QUIET = "loading stale"
_UNSTABLE = "nondeterministic_output"

_CLIENT_SUBCOMMANDS = (
    subcommand("CLIENT ID", 2, _SESSION, "5.0.0", "Reply with the number of this connection"),
    subcommand("CLIENT GETNAME", 2, _SESSION, "2.6.9", "Reply with the name of this connection"),
    subcommand("CLIENT SETNAME connection-name", 3, _SESSION, "2.6.9", "Name this connection"),
    subcommand("CLIENT SETINFO attribute value", 4, _SESSION, "7.2.0",
         "Tell LIB-NAME or LIB-VER of the client library"),
    subcommand("CLIENT INFO", 2, _SESSION, "6.2.0", "Describe this connection", _UNSTABLE),
    subcommand("CLIENT LIST", -2, f"admin {_SESSION} dangerous", "2.4.0",
         "Describe all connections of this node", _UNSTABLE),
    subcommand("CLIENT NO-EVICT ON|OFF", 3, f"admin {_SESSION} dangerous", "7.0.0",
         "Accepted: nobody is evicted"),
    subcommand("CLIENT NO-TOUCH ON|OFF", 3, _SESSION, "7.2.0", "Accepted: nothing is evicted"),
    subcommand("CLIENT ONCE client-id sequence command [argument]...", -5, _SESSION, "7.0.0",
         "Carry out a command exactly once, however often it is sent"),
    subcommand("CLIENT HELP", 2, _QUIET, "5.0.0", "List the sub-commands"),
)

_CONFIG_SUBCOMMANDS = (
    subcommand("CONFIG GET parameter...", -3, f"admin {_SESSION} dangerous", "2.0.0",
         "Reply with settings whose names match"),
    subcommand("CONFIG SET {parameter value}...", -4, f"admin {_SESSION} dangerous", "2.0.0",
         "Refused: settings are given when a node starts"),
    subcommand("CONFIG RESETSTAT", 2, f"admin {_SESSION} dangerous", "2.0.0", "Set the counters to zero"),
    subcommand("CONFIG REWRITE", 2, f"admin {_SESSION} dangerous", "2.8.0",
         "Refused: settings are given when a node starts"),
    subcommand("CONFIG HELP", 2, _QUIET, "5.0.0", "List the sub-commands"),
)

_COMMAND_SUBCOMMANDS = (
    subcommand("COMMAND COUNT", 2, _QUIET, "2.8.13", "Count the commands"),
    subcommand("COMMAND DOCS [command-name]...", -2, _QUIET, "7.0.0", "Describe commands for people",
         "nondeterministic_output_order"),
    subcommand("COMMAND GETKEYS command [argument]...", -4, _QUIET, "2.8.13",
         "Find the keys among the arguments of a command"),
    subcommand("COMMAND GETKEYSANDFLAGS command [argument]...", -4, _QUIET, "7.0.0",
         "Find the keys among the arguments of a command, and what happens to each"),
    subcommand("COMMAND INFO [command-name]...", -2, _QUIET, "2.8.13", "Describe commands for programs",
         "nondeterministic_output_order"),
    subcommand("COMMAND LIST [FILTERBY {MODULE module-name|ACLCAT category|PATTERN pattern}]", -2, _QUIET,
         "7.0.0", "List the names of commands", "nondeterministic_output_order"),
    subcommand("COMMAND HELP", 2, _QUIET, "5.0.0", "List the sub-commands"),
)

_KEYSPACE_SUBCOMMANDS = (
    subcommand("KEYSPACE CREATE name [REPLICATION protocol] [CONSISTENCY level] [REPLICAS count] "
         "[OPTION name value]...", -3, f"admin {_SESSION}", "7.0.0",
         "Have keys with a prefix replicated in a way of their own"),
    subcommand("KEYSPACE LIST", 2, _SESSION, "7.0.0", "List the keyspaces"),
    subcommand("KEYSPACE INFO name", 3, _SESSION, "7.0.0", "Describe a keyspace, as JSON"),
    subcommand("KEYSPACE EXPLAIN name [TEXT|JSON]", -3, _SESSION, "7.0.0",
         "Spell out what a keyspace promises"),
    subcommand("KEYSPACE ALTER name [CONSISTENCY level] [REPLICAS count]", -3, f"admin {_SESSION}",
         "7.0.0", "Change what a keyspace promises, or who holds it"),
    subcommand("KEYSPACE DROP name", 3, f"admin {_SESSION} dangerous", "7.0.0",
         "Delete a keyspace with everything in it"),
    subcommand("KEYSPACE HELP", 2, _SESSION, "7.0.0", "List the sub-commands"),
)

_CONNECTION = (
    command(
        "PING [message]", -1, "connection fast", connection.ping, "connection", "1.0.0",
        "Reply with PONG, or the message", tips=f"{EACH_SHARD} {ALL_SUCCEED}",
    ),
    command(
        "ECHO message", 2, "connection loading stale fast", connection.echo, "connection", "1.0.0",
        "Reply with the message",
    ),
    command(
        "TIME", 1, "connection loading stale fast", connection.elsewhere, "server", "2.6.0",
        "Reply with this node's clock, seconds and microseconds", tips=_UNSTABLE,
    ),
    command(
        "HELLO [protover [AUTH username password] [SETNAME clientname]]", -1, _ENTRY,
        connection.elsewhere, "connection", "6.0.0", "Choose the protocol version",
    ),
    command(
        "SELECT index", 2, "connection loading stale fast", connection.select, "connection", "1.0.0",
        "Choose a database; there is one, 0",
    ),
    command(
        "QUIT", -1, _ENTRY, connection.elsewhere, "connection", "1.0.0", "Close the connection",
    ),
    command(
        "RESET", 1, _ENTRY, connection.elsewhere, "connection", "6.2.0",
        "Make the connection as it was when it opened",
    ),
    command(
        "AUTH [username] password", -2, _ENTRY, connection.elsewhere, "connection", "1.0.0",
        "Log in; there are no users yet",
    ),
    command(
        "COMMAND", -1, f"connection {_QUIET}", connection.elsewhere, "server", "2.8.13",
        "Describe all commands", complexity="O(N) in the number of commands",
        tips="nondeterministic_output_order", subcommands=_COMMAND_SUBCOMMANDS,
    ),
    command(
        "CLIENT", -2, "connection", transactions.client, "connection", "2.4.0",
        "What concerns connections", complexity="that of the sub-command",
        subcommands=_CLIENT_SUBCOMMANDS,
    ),
    command(
        "CONFIG", -2, "connection", connection.elsewhere, "server", "2.0.0",
        "What concerns settings", complexity="that of the sub-command", subcommands=_CONFIG_SUBCOMMANDS,
    ),
    command(
        "INFO [section]...", -1, f"connection {_QUIET} dangerous", connection.elsewhere, "server",
        "1.0.0", "Describe this node for people",
        tips=f"{_UNSTABLE} {EACH_SHARD} response_policy:special",
    ),
    command(
        "COMITY.CONSISTENCY [linearizable|sequential|causal|session|eventual|default]", -1,
        f"{_SESSION} fast", connection.elsewhere, "comity", "7.0.0",
        "Choose what this connection is promised, where its keyspace can give it",
    ),
    command(
        "COMITY.AT level [QUORUM read write] command [argument]...", -3, _SESSION, connection.elsewhere,
        "comity", "7.0.0", "Carry out one command at a level, or with quorums, of its own",
        complexity="that of the command",
    ),
    command(
        "COMITY.QUORUM [read write]", -1, f"{_SESSION} fast", connection.elsewhere, "comity", "7.0.0",
        "Choose how many replicas of a quorum keyspace must answer this connection; 0 for the keyspace's own",
    ),
    command(
        "COMITY.SIBLINGS key", 2, f"{_SESSION} fast", connection.elsewhere, "comity", "7.0.0",
        "Reply with every value of a key that no other has superseded, as far as this replica knows",
        key=ONE_KEY, access=LOOK,
    ),
    command(
        "COMITY.SESSION [token]", -1, f"{_SESSION} fast", connection.elsewhere, "comity", "7.0.0",
        "Reply with what this session has seen, or go on with a session from elsewhere",
    ),
    command(
        "KEYSPACE", -2, f"{_SESSION} admin", connection.elsewhere, "comity", "7.0.0",
        "What concerns keyspaces", complexity="that of the sub-command",
        subcommands=_KEYSPACE_SUBCOMMANDS,
    ),
    command(
        "COMITY.DIGEST [keyspace]", -1, _SESSION, connection.elsewhere, "comity", "7.0.0",
        "Reply with the applied index and a digest of all data of this replica",
        complexity="O(N) in the size of all data", slow_on=MANY_KEYS,
    ),
    command(
        "COMITY.STATUS", 1, _SESSION, connection.elsewhere, "comity", "7.0.0",
        "Describe this node and its groups, as JSON",
    ),
)

_INTERNAL = (
    command(
        "COMITY.CATALOGUE version catalogue", 3, "write", catalogue.catalogue, "comity", "7.0.0",
        "Replace the catalogue of keyspaces if it has that version still",
    ),
)
# fmt: on

TABLE: Mapping[bytes, Command] = MappingProxyType(
    {entry.name: entry for entry in (*_STRINGS, *_KEYS, *_EXPIRY, *_TRANSACTIONS, *_CONNECTION)}
)
"""All commands, by upper-case name."""

INTERNAL: Mapping[bytes, Command] = MappingProxyType({entry.name: entry for entry in _INTERNAL})
"""Commands that only nodes put into the log, never clients."""

_AS_WRITTEN: dict[bytes, Command] = {
    spelling: entry for name, entry in TABLE.items() for spelling in (name, name.lower(), name.capitalize())
}


def find(name: bytes) -> Command | None:
    """The command of that name in any letter case, None if there is none."""
    return _AS_WRITTEN.get(name) or TABLE.get(name.upper())


def find_subcommand(container: Command, name: bytes) -> Command | None:
    """The sub-command of that name in any letter case, None if there is none."""
    full = container.name + b"|" + name.upper()
    for entry in container.subcommands:
        if entry.name == full:
            return entry
    return None


def arity_fits(entry: Command, count: int) -> bool:
    """Whether a command takes that many arguments, its name (and its container's) counted."""
    return count == entry.arity if entry.arity > 0 else count >= -entry.arity


def keys_of(entry: Command, args: list[bytes]) -> list[bytes]:
    """The keys among the arguments."""
    if not entry.first_key:
        return []
    last = entry.last_key if entry.last_key >= 0 else len(args) + entry.last_key
    return args[entry.first_key : last + 1 : entry.step]


def unknown_command(args: list[bytes]) -> bytes:
    """The error reply for a command that is not in the table, in Redis's words."""
    shown = b""
    for argument in args[1:]:
        if len(shown) >= 128:
            break
        shown += b"'%b' " % _c_string(argument[: 128 - len(shown)])
    text = b"unknown command '%b', with args beginning with: %b" % (_c_string(args[0])[:128], shown)
    return b"-ERR %b\r\n" % text.translate(_ONE_LINE)


def wrong_arity(entry: Command) -> bytes:
    """The error reply for a command with too few or too many arguments."""
    return b"-ERR wrong number of arguments for '%b' command\r\n" % entry.name.lower()


def unknown_subcommand(container: Command, name: bytes) -> bytes:
    """The error reply for a sub-command that its container does not have."""
    text = b"unknown subcommand '%b'. Try %b HELP." % (_c_string(name)[:128], container.name)
    return b"-ERR %b\r\n" % text.translate(_ONE_LINE)


def _c_string(text: bytes) -> bytes:
    return text.partition(b"\0")[0]


_ONE_LINE = bytes(32 if byte in b"\r\n" else byte for byte in range(256))
