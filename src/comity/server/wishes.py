"""Keyspaces that settings ask for: `carts=gossip:causal` as a flag, `[keyspaces.carts]` in a file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from comity.keyspaces.creation import Wish, check
from comity.keyspaces.definition import KeyspaceError
from comity.server.errors import SettingsError

FORM = "NAME=REPLICATION or NAME=REPLICATION:LEVEL, such as carts=gossip:causal"
FIELDS = ("replication", "consistency", "replicas", "options")


def wishes_from(value: object, source: str) -> dict[str, dict[str, Any]]:
    """{name: its table} from any of the forms. Raises `SettingsError`."""
    if isinstance(value, str):
        return _from_words(value.split(","), source)
    if isinstance(value, Mapping):
        return {str(name): _table(str(name), table, source) for name, table in value.items()}
    if isinstance(value, Sequence) and all(isinstance(each, str) for each in value):
        return _from_words([part for each in value for part in each.split(",")], source)
    raise SettingsError(f"keyspace from {source} is {value!r}; give {FORM}, or a table [keyspaces.NAME]")


def _from_words(words: Sequence[str], source: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for word in filter(None, map(str.strip, words)):
        name, equals, rest = word.partition("=")
        replication, colon, level = rest.partition(":")
        if not (equals and name.strip() and replication.strip()) or (colon and not level.strip()):
            raise SettingsError(f"keyspace {word!r} from {source} is not {FORM}")
        name = name.strip()
        if name in found:
            raise SettingsError(f"{source} names the keyspace {name!r} twice")
        found[name] = {"replication": replication.strip().lower()}
        if colon:
            found[name]["consistency"] = level.strip().lower()
    return found


def _table(name: str, table: object, source: str) -> dict[str, Any]:
    where = f"keyspaces.{name} from {source}"
    if not isinstance(table, Mapping):
        raise SettingsError(f"{where} is {table!r}; it must be a table with {', '.join(FIELDS)}")
    for field in table:
        if field not in FIELDS:
            close = difflib.get_close_matches(str(field), FIELDS, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(FIELDS)}"
            raise SettingsError(f"{where} has {field!r}, which is no setting{hint}")
    for field in ("replication", "consistency"):
        if not isinstance(table.get(field, ""), str):
            raise SettingsError(f"{where}: {field} is {table[field]!r}; it must be text")
    replicas = table.get("replicas", 1)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 1:
        raise SettingsError(f"{where}: replicas is {replicas!r}; it must be a number of nodes, 1 or more")
    options = table.get("options", {})
    if not isinstance(options, Mapping):
        raise SettingsError(f"{where}: options is {options!r}; it must be a table of the protocol's options")
    for option, value in options.items():
        if not isinstance(value, (str, int, float, bool)):
            raise SettingsError(
                f"{where}: option {option} is {value!r}; it must be text, a number or a boolean"
            )
    return dict(table)


def wish(name: str, table: Mapping[str, Any]) -> Wish:
    """The keyspace of a table. Raises `SettingsError` for one that no cluster could have."""
    from comity.protocols import load

    asked = Wish(
        name=name,
        replication=table.get("replication", "raft").lower(),
        level=table.get("consistency", "").lower(),
        replicas=table.get("replicas", 0),
        options={
            option.lower().replace("-", "_"): str(value).lower() if isinstance(value, bool) else str(value)
            for option, value in table.get("options", {}).items()
        },
    )
    try:
        check(load(), asked)
    except KeyspaceError as error:
        raise SettingsError(f"keyspace {name!r} of the settings cannot be: {error}") from error
    return asked
