"""The reference of commands in the documentation, made from the table.

Run as `python -m comity.store.reference > docs/reference/commands.md`.
"""

from __future__ import annotations

import sys

from comity.store.command import Command
from comity.store.table import TABLE

_GROUPS = {
    "string": "Strings",
    "generic": "Keys",
    "server": "Server",
    "transactions": "Transactions",
    "connection": "Connection",
    "comity": "comity's own",
}

_INTRODUCTION = """\
# Commands

Every node takes every command. Replies and errors are those of Redis 7.0, byte for byte, in RESP2 and RESP3.
There is one database, 0. This page is made from the command table
(`python -m comity.store.reference`).

*Way* says how a command is carried out: **log** (replicated before it is answered), **read** (at the level of
the connection, see `COMITY.CONSISTENCY`), **node** (answered by the node the client is connected to).
Commands whose answer depends on the time, such as `TTL`, go through the log, because the time that counts
is the one the leader stamps into it.

Differences from Redis:

- `KEYS`, `SCAN` and `RANDOMKEY` order keys by their own hash. A `SCAN` cursor is a place in that order: it
  never becomes invalid, on any node. `RANDOMKEY` takes the first key after a random place.
- Commands without a key concern the keyspace `default`. But a pattern whose part before the first colon is
  literal names a keyspace: `KEYS carts:*` and `SCAN 0 MATCH carts:*` list the keys of `carts`, if there is
  such a keyspace (give every `SCAN` of one iteration the same pattern). Where keys are replicated one by one
  (`paxos`, `quorum`, `gossip`) the answer is what the replica that is asked holds by itself, at any level:
  a key just written elsewhere may be missing, `paxos` may show one whose write is not decided yet, and of
  `quorum` with fewer copies (`n`) than nodes a replica holds a part.
- `DBSIZE`, `RANDOMKEY` and `FLUSHALL` are about `default` alone. `KEYSPACE INFO name` counts the keys that
  the asked node holds (`keys`; beyond 10,000 an estimate where keys are replicated one by one, `keys_exact`
  false); `KEYSPACE DROP` and `CREATE` empty a keyspace.
- Where keys are replicated one by one a value has at most 16 MB: it travels as a whole with every change. An
  answer of more than 64 MB is not brought from the nodes that hold a keyspace to one that does not.
- `DBSIZE` counts keys that are expired but not yet reclaimed; they are invisible to everything else. A time
  to live that is over when it is set deletes the key at once.
- `INCRBYFLOAT` computes in 80-bit extended precision on every machine, which is what Redis does on x86-64.
- `WATCH` of a key that does not exist may abort a transaction that Redis would carry out: when another key
  whose hash falls in the same one of 1,024 buckets is deleted between `WATCH` and `EXEC`, or everything is.
- `COPY ... DB n` and `SELECT n` know database 0 only.
"""


def render() -> str:
    """The whole page, as Markdown."""
    parts = [_INTRODUCTION]
    for group, title in _GROUPS.items():
        entries = [entry for entry in TABLE.values() if entry.group == group]
        lines = [f"## {title}\n", "| command | way | since | complexity | |", "|---|---|---|---|---|"]
        for entry in entries:
            lines += [_row(each) for each in (entry.subcommands or (entry,))]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _row(entry: Command) -> str:
    usage = f"{entry.title} {entry.syntax}".strip().replace("|", "\\|")
    summary = entry.summary + "."
    if entry.slow_on:
        summary += f" Slow when {entry.slow_on}."
    return f"| `{usage}` | {_way(entry)} | {entry.since} | {entry.complexity} | {summary} |"


def _way(entry: Command) -> str:
    if entry.name in (b"EXEC", b"CLIENT|ONCE") or "write" in entry.flags or "timed" in entry.flags:
        return "log"
    return "node" if "connection" in entry.flags else "read"


if __name__ == "__main__":
    sys.stdout.write(render())
