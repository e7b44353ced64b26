"""Creating a keyspace from what somebody asks for: the same whether by command or by a node's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from comity.keyspaces import definition
from comity.keyspaces.choices import LEVELS, AnyProtocol, checked_options, chosen_level, find_protocol
from comity.keyspaces.definition import CLOSING, Catalogue, Keyspace, KeyspaceError

Edit = Callable[[Catalogue], Catalogue]

REPLICAS_TRIED = range(1, 10)
"""Where a definition leaves open how many replicas there are to be, these show whether it can be at all."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A keyspace as it is asked for. level: "" for the strongest. replicas: 0 for all members. options: of
    its protocol, as words."""

    name: str
    replication: str = "raft"
    level: str = ""
    replicas: int = 0
    options: dict[str, str] = {}


def creation(protocols: Mapping[str, AnyProtocol], members: Sequence[int], wish: Wish) -> Edit:
    """The change of the catalogue that announces a keyspace. Raises `KeyspaceError` where it cannot be, and
    so does the change itself."""
    protocol = find_protocol(protocols, wish.replication)
    options = checked_options(protocol, wish.options)
    replicas = wish.replicas or len(members)
    level = chosen_level(protocol, options, replicas, wish.level or None)

    def edit(catalogue: Catalogue) -> Catalogue:
        nodes = definition.choose_nodes(members, replicas, catalogue.numbers)
        return definition.create(
            catalogue, wish.name, replication=wish.replication, level=level, options=options, nodes=nodes
        )

    return edit


def check(protocols: Mapping[str, AnyProtocol], wish: Wish) -> None:
    """Raise `KeyspaceError` for a keyspace that no cluster could have."""
    definition.check_name(wish.name)
    if wish.name == definition.DEFAULT:
        raise KeyspaceError("the keyspace 'default' is there always, and replicated by raft")
    protocol = find_protocol(protocols, wish.replication)
    options = checked_options(protocol, wish.options)
    if wish.level and wish.level not in LEVELS:
        raise KeyspaceError(f"there is no level {wish.level!r}; there are: {', '.join(LEVELS)}")
    if wish.replicas < 0:
        raise KeyspaceError(f"{wish.replicas} replicas hold nothing; choose 1 or more")
    trouble: KeyspaceError | None = None
    # What speaks for three replicas, the usual number, is what is said.
    for replicas in (wish.replicas,) if wish.replicas else (3, *REPLICAS_TRIED):
        try:
            chosen_level(protocol, options, replicas, wish.level or None)
        except KeyspaceError as error:
            trouble = trouble or error
        else:
            return
    assert trouble is not None
    raise trouble


def contradiction(protocols: Mapping[str, AnyProtocol], found: Keyspace, wish: Wish) -> str:
    """In what a keyspace is not what is asked for, "" where it is; what is not asked for does not matter."""
    said: list[str] = []
    if found.state == CLOSING:
        said.append("is being dropped")
    if wish.replication != found.replication:
        said.append(f"is {found.replication}, not {wish.replication}")
    else:
        if wish.level and wish.level != found.level:
            said.append(f"is {found.level}, not {wish.level}")
        said += _options(protocols, found, wish)
    if wish.replicas and wish.replicas != found.replicas:
        said.append(f"has {found.replicas} replicas, not {wish.replicas}")
    return " and ".join(said)


def _options(protocols: Mapping[str, AnyProtocol], found: Keyspace, wish: Wish) -> list[str]:
    protocol = find_protocol(protocols, wish.replication)
    wanted: dict[str, Any] = checked_options(protocol, wish.options)
    has = msgspec.to_builtins(msgspec.convert(found.options, protocol.options))
    return [f"has {name}={has[name]}, not {value}" for name, value in wanted.items() if has[name] != value]
