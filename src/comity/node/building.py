"""Groups are built: from a node's settings, from the catalogue, and from what the disk has of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from comity.keyspaces.definition import Keyspace
from comity.node.config import KeyspaceConfig
from comity.node.group import Group
from comity.node.keyed import KeyedGroup
from comity.node.served import Served
from comity.replica import CoreContext, KeyedProtocol, Members, Protocol, Recovered, Stream, View
from comity.store import layout
from comity.store.cells import CellStore
from comity.store.machine import StateMachine
from comity.store.semantics import Semantics
from comity.store.touched import keys_of_payload

if TYPE_CHECKING:
    from comity.node.host import Host


def group_number(name: str) -> int:
    """The number of a keyspace on the wire and on disk: 0 for default, else from its name alone."""
    return 0 if name == "default" else 1 + crc32(name.encode()) % 0xFFFF_FFFD


def from_settings(host: Host, keyspace: KeyspaceConfig) -> Group:
    """A log that is there from the start, with the members of the settings."""
    name = keyspace.name
    number = group_number(name)
    if number in host.groups:
        raise ValueError(f"keyspaces {name} and {host.groups[number].name} collide; rename one")
    protocol = host.protocols[keyspace.replication]
    if not isinstance(protocol, Protocol) or protocol.views:
        raise ValueError(
            f"keyspace {name} cannot be {keyspace.replication} from the start; create it with KEYSPACE"
        )
    known = tuple(sorted(host.config.members))
    voters = () if host.config.joining else tuple(sorted(member.node for member in known))
    members = Members(voters=voters, known=known)
    return _log(host, name, protocol, keyspace.options, number, members, View(0, ()))


def from_catalogue(host: Host, keyspace: Keyspace) -> Served:
    """A replica of a keyspace of the catalogue."""
    protocol = host.protocols[keyspace.replication]
    number, name, view = keyspace.number, keyspace.name, keyspace.view
    # Who comes later is told by the log who votes; so is one whose disk has lost it.
    founds = view.epoch == 1 or holds(host, number)
    voters = tuple(sorted(keyspace.founders)) if founds else ()
    members = Members(voters=voters, known=host.default.core.members.known)
    if isinstance(protocol, Protocol):
        return _log(host, name, protocol, keyspace.options, number, members, view)
    return _registers(host, protocol, keyspace, members)


def _log(
    host: Host,
    name: str,
    protocol: Protocol,
    options: dict[str, Any],
    number: int,
    members: Members,
    view: View,
) -> Group:
    machine = StateMachine(number, host.engine, host.limits)
    context = _context_of(host, name, members, view)
    recovered = Recovered(
        records=host.journal.recovered(number),
        applied=machine.applied,
        applied_term=machine.applied_term,
        members=machine.members,
    )
    core = protocol.build(context, msgspec.convert(options, protocol.options), recovered)
    return Group(host, number, name, protocol, core, machine)


def _registers(host: Host, protocol: KeyedProtocol, keyspace: Keyspace, members: Members) -> KeyedGroup:
    number, name = keyspace.number, keyspace.name
    machine = CellStore(number, host.engine, host.limits)
    machine.restore((record.index, record.data) for record in host.journal.recovered(number))
    semantics = Semantics(protocol.semantics)
    options = msgspec.convert(keyspace.options, protocol.options)
    context = _context_of(host, name, members, keyspace.view)
    core = protocol.build(context, options, machine, semantics.meaning)
    return KeyedGroup(host, number, name, protocol, core, machine, semantics)


def _context_of(host: Host, name: str, members: Members, view: View) -> CoreContext:
    config = host.config

    def stream(label: str) -> Stream:
        return Stream(host.seed, f"{config.node}/{host.incarnation}/{name}/{label}")

    def note(event: str, **fields: object) -> None:
        host.note(event, group=name, **fields)

    return CoreContext(
        node=config.node,
        group=name,
        members=members,
        stream=stream,
        note=note,
        view=view,
        wall_ms=lambda: host.wall_ms,
        keys_of=keys_of_payload,
    )


# -- what the disk has


def holds(host: Host, number: int) -> bool:
    """Whether the disk has something of that keyspace."""
    return number in host.journal.unclaimed() or host.engine.get(layout.meta_key(number)) is not None


def clear_leftovers(host: Host, numbers: range) -> None:
    """Remove what the disk holds of keyspaces of these numbers that are no more: of one that was dropped
    while this node was away, or shortly before it crashed. Only once the catalogue is known."""
    for number in host.journal.unclaimed():
        if number in numbers:
            host.journal.forget(number)
    place, end = numbers.start, layout.group_start(numbers.stop)
    while place < numbers.stop:
        found = next(iter(host.engine.scan(layout.group_start(place), end)), None)
        if found is None:
            return
        place = layout.group_of(found[0])
        if place not in host.groups:
            host.note("leftover of a keyspace removed", number=place)
            host.jobs.erase(CellStore(place, host.engine).erase)
        place += 1
