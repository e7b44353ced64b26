"""What a host is told when it is built: who it is, whom it serves with, and every bound it keeps."""

from __future__ import annotations

from typing import Any

import msgspec

from comity.keyspaces.creation import Wish
from comity.replica import NEVER, Member

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000


class ConfigError(ValueError):
    """A setting that cannot be: says which, why, and what would do."""


class KeyspaceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One keyspace: its name, the protocol that replicates it and that protocol's options."""

    name: str
    replication: str = "raft"
    options: dict[str, Any] = {}


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Every queue, buffer and wait of a host has its bound here; bytes, counts and nanoseconds.

    request_deadline_ns: how long a command may wait for its answer before it is refused (when it
        certainly did not happen) or reported as indeterminate.
    batch_bytes, batch_commands: a batch is closed at either.
    batches_in_flight: batches of one keyspace sent and not yet applied; more wait their turn.
    batch_ahead_commands: while a batch is in flight, another is sent once it has so many commands: small
        ones cost more than the time they save.
    apply_later_bytes: so much that is committed is applied after what the turn sends and writes has left.
    commands_waiting: commands of all clients not yet in a batch; beyond it -TRYAGAIN.
    connection_commands: commands of one connection not yet answered; beyond it its socket is not
        read. connection_output_bytes: answers a client has not taken; beyond it the connection is
        closed. transaction_commands, transaction_bytes: what MULTI may queue.
    """

    request_deadline_ns: int = 5 * SECOND_NS
    resend_ns: int = 400 * MILLISECOND_NS
    batch_bytes: int = 1 << 20
    batch_commands: int = 4096
    batches_in_flight: int = 2
    batch_ahead_commands: int = 256
    apply_later_bytes: int = 64 << 10
    commands_waiting: int = 200_000
    waiting_bytes: int = 256 << 20
    connections: int = 10_000
    connection_commands: int = 4096
    connection_output_bytes: int = 64 << 20
    request_bytes: int = 64 << 20
    request_arguments: int = 1 << 20
    transaction_commands: int = 10_000
    transaction_bytes: int = 16 << 20
    watched_keys: int = 10_000
    frame_bytes: int = 8 << 20
    forwarded_bytes: int = 64 << 20
    segment_bytes: int = 64 << 20
    log_bytes: int = 128 << 20
    flush_bytes: int = 16 << 20
    flush_interval_ns: int = 5 * SECOND_NS
    snapshot_chunk_bytes: int = 256 << 10

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not 0 < value < NEVER:
                raise ConfigError(f"bounds.{name} is {value}; it must be 1 or more")


class HostConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The identity and settings of one node.

    node: this node's number, 1 or more. cluster: a name; nodes of other clusters are refused.
    members: the first membership, used only where the disk holds none.
    joining: this node is not in the first membership; it waits to be added.
    keyspaces: served from the start, "default" always among them. wanted: to be created, once, where the
        control group's catalogue lacks them.
    directory: what tells this node's data directory from any other it may ever have, "" where it keeps none.
    """

    node: int
    cluster: str = "comity"
    members: tuple[Member, ...] = ()
    joining: bool = False
    keyspaces: tuple[KeyspaceConfig, ...] = (KeyspaceConfig(name="default"),)
    wanted: tuple[Wish, ...] = ()
    bounds: Bounds = Bounds()
    version: str = ""
    directory: str = ""

    def __post_init__(self) -> None:
        if self.node < 1:
            raise ConfigError(f"node is {self.node}; node numbers start at 1")
        names = [keyspace.name for keyspace in self.keyspaces]
        if "default" not in names:
            raise ConfigError("keyspaces lack 'default', where keys without a keyspace of their own belong")
        names += [wish.name for wish in self.wanted]
        if len(set(names)) != len(names):
            raise ConfigError(f"keyspaces name one twice: {', '.join(sorted(names))}")
        for name in names:
            if not name or ":" in name or not name.isprintable() or len(name) > 64:
                raise ConfigError(f"keyspace name {name!r} must be 1 to 64 printable characters without ':'")
        nodes = [member.node for member in self.members]
        if len(set(nodes)) != len(nodes):
            raise ConfigError(f"members name a node twice: {sorted(nodes)}")
        if not self.joining and self.node not in nodes:
            raise ConfigError(
                f"node {self.node} is not among the members {sorted(nodes)}; "
                "add it there, or start it with joining"
            )
