"""Keyspaces and the catalogue of them: values, and the changes that may be made to them.

The catalogue is part of the state of the `default` group, which is always Raft and is the control group of
its cluster; every change is one entry of its log. A change that moves a key from one keyspace to another
(creating one takes the keys with its prefix out of `default`; dropping gives them back) takes two steps:
first it is announced and every node stops serving those keys, and only when all nodes have confirmed that
does it come into force. So no node ever serves a key under a definition that is no longer in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from comity.replica import View

DEFAULT = "default"
ANNOUNCED = "announced"
"""Being created: nobody serves its keys."""
ACTIVE = "active"
CLOSING = "closing"
"""Being dropped: nobody serves its keys."""

MOST_KEYSPACES = 1000
NAME_CHARACTERS = 64
FIRST_NUMBER = 0x8000_0000


class KeyspaceError(ValueError):
    """A definition that cannot be: says which, why, and what would do."""


class Keyspace(msgspec.Struct, frozen=True, kw_only=True):
    """One keyspace. number: of its group, never used twice. level: what it promises unless asked for less.
    options: of its protocol. nodes: who is to hold it. replicas: how many those ought to be, once there are
    so many members. founders: who held it first, in the view of epoch 1. view: in force. state: see above.
    since: the version of the catalogue that its state is as of. altered: that its level is as of, until every
    node goes by it, then 0.
    """

    name: str
    number: int
    replication: str
    level: str
    nodes: tuple[int, ...]
    replicas: int
    founders: tuple[int, ...]
    view: View
    options: dict[str, Any] = {}
    state: str = ANNOUNCED
    since: int = 0
    altered: int = 0


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All keyspaces beside `default`, by name. version: one more with each change. numbers: given out."""

    version: int = 0
    numbers: int = 0
    keyspaces: dict[str, Keyspace] = {}


EMPTY = Catalogue()

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Catalogue).decode


def decode(data: bytes) -> Catalogue:
    """The inverse of `encode`; of nothing, the empty catalogue. Raises `msgspec.MsgspecError`."""
    return _decode(data) if data else EMPTY


def check_name(name: str) -> None:
    """Raise `KeyspaceError` for a name that keys cannot carry."""
    if not name or ":" in name or not name.isprintable() or len(name) > NAME_CHARACTERS:
        raise KeyspaceError(
            f"keyspace name {name!r} must be 1 to {NAME_CHARACTERS} printable characters without ':'"
        )


def create(
    catalogue: Catalogue,
    name: str,
    *,
    replication: str,
    level: str,
    options: dict[str, Any],
    nodes: Sequence[int],
) -> Catalogue:
    """Announce a keyspace. Raises `KeyspaceError` where it cannot be."""
    check_name(name)
    if name == DEFAULT or name in catalogue.keyspaces:
        raise KeyspaceError(
            f"there is a keyspace {name!r} already; choose another name, or drop that one first"
        )
    if len(catalogue.keyspaces) >= MOST_KEYSPACES:
        raise KeyspaceError(f"there are {MOST_KEYSPACES} keyspaces, which is the limit; drop one first")
    version = catalogue.version + 1
    keyspace = Keyspace(
        name=name,
        number=FIRST_NUMBER + catalogue.numbers,
        replication=replication,
        level=level,
        options=options,
        nodes=tuple(nodes),
        replicas=len(nodes),
        founders=tuple(nodes),
        view=View(1, tuple(nodes)),
        since=version,
    )
    keyspaces = {**catalogue.keyspaces, name: keyspace}
    return Catalogue(
        version=version, numbers=catalogue.numbers + 1, keyspaces=dict(sorted(keyspaces.items()))
    )


def find(catalogue: Catalogue, name: str) -> Keyspace:
    """The keyspace of that name. Raises `KeyspaceError` where there is none."""
    keyspace = catalogue.keyspaces.get(name)
    if keyspace is None:
        known = ", ".join([DEFAULT, *catalogue.keyspaces])
        raise KeyspaceError(f"there is no keyspace {name!r}; there are: {known}")
    return keyspace


def changed(catalogue: Catalogue, name: str, **fields: Any) -> Catalogue:
    """The catalogue with these fields of one keyspace changed."""
    version = catalogue.version + 1
    if "state" in fields:
        fields["since"] = version
    keyspace = msgspec.structs.replace(find(catalogue, name), **fields)
    keyspaces = {**catalogue.keyspaces, name: keyspace}
    return Catalogue(version=version, numbers=catalogue.numbers, keyspaces=keyspaces)


def alter(catalogue: Catalogue, name: str, level: str, nodes: tuple[int, ...], replicas: int) -> Catalogue:
    """The catalogue with another level of a keyspace, or other nodes for it. Raises `KeyspaceError`."""
    before = find(catalogue, name)
    altered = before.altered if level == before.level else catalogue.version + 1
    return changed(catalogue, name, level=level, nodes=nodes, replicas=replicas, altered=altered)


def drop(catalogue: Catalogue, name: str) -> Catalogue:
    """Announce that a keyspace goes, with everything in it. Raises `KeyspaceError`."""
    if name == DEFAULT:
        raise KeyspaceError("the keyspace 'default' cannot be dropped: it holds what belongs to no other")
    find(catalogue, name)
    return changed(catalogue, name, state=CLOSING)


def removed(catalogue: Catalogue, name: str) -> Catalogue:
    """The catalogue without a keyspace whose closing everybody has confirmed."""
    keyspaces = {other: keyspace for other, keyspace in catalogue.keyspaces.items() if other != name}
    return Catalogue(version=catalogue.version + 1, numbers=catalogue.numbers, keyspaces=keyspaces)


def with_view(catalogue: Catalogue, name: str, view: View) -> Catalogue:
    """The catalogue with the next view of a keyspace. Raises `KeyspaceError` where it is not the next."""
    keyspace = find(catalogue, name)
    if view.epoch != keyspace.view.epoch + 1:
        raise KeyspaceError(f"view {view.epoch} does not follow view {keyspace.view.epoch} of {name!r}")
    return changed(catalogue, name, view=view)


def choose_nodes(members: Sequence[int], replicas: int, number: int) -> tuple[int, ...]:
    """Where a new keyspace lives: `replicas` of the members, spread by the number of the keyspace.
    Raises `KeyspaceError` where there are not so many."""
    if not 1 <= replicas <= len(members):
        raise KeyspaceError(
            f"{replicas} replicas were asked for and the cluster has {len(members)} members; "
            f"choose 1 to {len(members)}, or add members first"
        )
    ordered = sorted(members)
    start = number % len(ordered)
    return tuple((ordered[start:] + ordered[:start])[:replicas])
