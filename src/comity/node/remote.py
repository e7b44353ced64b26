"""A keyspace that other nodes hold: its commands are carried out there, and the answers brought back.

A run of one connection's commands is one request to one node; a connection waits for its answer before it
goes on, so order is kept. A request is never sent twice: where no answer comes it is unknown whether it
was carried out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from comity.formats import resp
from comity.keyspaces.definition import Keyspace
from comity.node import messages
from comity.node.connection import Connection
from comity.node.errors import INDETERMINATE, NO_QUORUM, OVERLOADED
from comity.node.keyed import KeyedRun
from comity.node.routes import ROUTE_READ, Route
from comity.node.served import Served
from comity.replica import NEVER, Protocol, Record, Reply, View

if TYPE_CHECKING:
    from comity.node.host import Host

REMEMBERED = 4096
"""Relays of a node remembered beyond the newest ones: none is so late, for links are connections."""

TOO_MUCH = (
    b"-INDETERMINATE the command was carried out, and its answer is too large to be brought from the node "
    b"that holds the keyspace: ask that node, see KEYSPACE INFO\r\n"
)

GRACE_NS = 200_000_000
"""The holder gives up first, and knows more of what became of it."""


class Remote(Served):
    """The requests of this node's clients to a keyspace held elsewhere."""

    def __init__(self, host: Host, keyspace: Keyspace) -> None:
        super().__init__(host, keyspace.number, keyspace.name, host.protocols[keyspace.replication])
        self.key = keyspace.number | 1 << 32
        self.holders: tuple[int, ...] = ()
        self.requests: dict[int, tuple[KeyedRun, bool]] = {}
        self.waiting_bytes = 0
        self._epoch = 0

    def adopt(self, view: View) -> None:
        """Who holds it now."""
        self._epoch = view.epoch
        self.holders = view.nodes

    def join_tokens(self, first: bytes, second: bytes) -> bytes:
        """Positions in a log can be compared here, all others by a holder only."""
        return max(first, second) if isinstance(self.protocol, Protocol) else second or first

    # -- commands

    def unsuited(self, route: Route, args: list[bytes], keys: Sequence[bytes], level: str) -> bytes | None:
        """The holder knows."""
        return None

    def submit(self, run: KeyedRun, commands: list[tuple[Route, list[bytes], list[bytes]]]) -> None:
        """Have a holder carry out a run of commands."""
        host = self.host
        members = host.default.core.members.everyone()
        holders = [node for node in self.holders if node in members] or list(self.holders)
        linked = [node for node in holders if node in host.peers.up] or holders
        target = linked[run.connection.number % len(linked)]
        request = host.request()
        writes = any(route.kind != ROUTE_READ and route.name != "watch" for route, _, _ in commands)
        self.requests[request] = (run, writes)
        run.size = sum(len(word) for _, args, _ in commands for word in args)
        self.waiting_bytes += run.size
        relay = messages.Relay(
            host.incarnation,
            request,
            run.connection.protocol,
            run.level,
            run.connection.tokens.get(self.number, b""),
            [args for _, args, _ in commands],
            run.quorums,
        )
        host.send(target, self.number, messages.KIND_RELAY, messages.encode(relay))

    def relayed(self, relayed: messages.Relayed) -> None:
        """The holder's answers. What was asked before this node started anew has the same numbers."""
        if relayed.incarnation != self.host.incarnation:
            return
        found = self.requests.pop(relayed.request, None)
        if found is None:
            return
        run = found[0]
        self.waiting_bytes -= run.size
        if len(relayed.replies) != run.missing:
            self.host.deliver_error([run.run], INDETERMINATE)
            return
        if relayed.token:
            run.connection.tokens[self.number] = relayed.token
        self.host.deliver([run.run], relayed.replies)

    # -- time

    def oldest_ns(self) -> int:
        """When the first request under way arrived."""
        return next(iter(self.requests.values()))[0].run.arrived_ns if self.requests else NEVER

    def deadline_ns(self) -> int:
        """When the first request is given up."""
        if not self.requests:
            return NEVER
        return self.oldest_ns() + self.host.config.bounds.request_deadline_ns + GRACE_NS

    def wake(self, now_ns: int) -> None:
        """Give up on what was not answered."""
        while self.requests and self.deadline_ns() <= now_ns:
            request = next(iter(self.requests))
            run, writes = self.requests.pop(request)
            self.waiting_bytes -= run.size
            self.host.deliver_error([run.run], INDETERMINATE if writes else NO_QUORUM)

    def give_up(self) -> None:
        """The keyspace is to be held by this node itself, or is no more."""
        requests, self.requests = self.requests, {}
        self.waiting_bytes = 0
        for run, writes in requests.values():
            self.host.deliver_error([run.run], INDETERMINATE if writes else NO_QUORUM)

    # -- the rest of what is asked of keyspaces

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self.requests

    def refusal(self, write: bool) -> bytes | None:
        """Too much waits already."""
        bounds = self.host.config.bounds
        many = len(self.requests) >= bounds.commands_waiting or self.waiting_bytes >= bounds.waiting_bytes
        return OVERLOADED if many else None

    def push(self, now_ns: int) -> None:
        """Everything was sent as it came."""

    def on_reply(self, reply: Reply, now_ns: int) -> None:
        """There is no core."""

    def compact(self, now_ns: int) -> None:
        """There is no state."""

    def compaction_index(self) -> int:
        """There is no log."""
        return 0

    def checkpoint(self) -> Sequence[Record]:
        """There is no log."""
        return ()

    def digest(self) -> tuple[int, bytes]:
        """Of nothing."""
        return 0, b""

    def status(self) -> dict[str, Any]:
        """For /status."""
        return {
            "protocol": self.protocol.name,
            "held": False,
            "epoch": self._epoch,
            "nodes": list(self.holders),
            "waiting_commands": len(self.requests),
        }

    def check(self) -> None:
        """Nothing can be wrong."""


class Relays:
    """At the holder: which relays of a node came already, for a frame may come twice."""

    __slots__ = ("floor", "incarnation", "seen")

    def __init__(self) -> None:
        self.incarnation = 0
        self.floor = 0
        self.seen: dict[int, None] = {}

    def is_new(self, relay: messages.Relay) -> bool:
        """Whether it is the first of its kind. What is so late that it cannot be told counts as old."""
        if relay.incarnation > self.incarnation:
            self.incarnation, self.floor, self.seen = relay.incarnation, 0, {}
        request = relay.request
        if relay.incarnation < self.incarnation or request <= self.floor or request in self.seen:
            return False
        self.seen[request] = None
        if len(self.seen) > REMEMBERED:
            self.floor = max(self.floor, next(iter(self.seen)))
            del self.seen[next(iter(self.seen))]
        return True


class Relayed:
    """At the holder: a run of commands on behalf of another node's client, as a connection of its own."""

    __slots__ = ("answers", "number", "peer", "relay", "room")

    def __init__(self, peer: int, number: int, relay: messages.Relay, room: int) -> None:
        self.peer = peer
        self.number = number
        self.relay = relay
        self.answers: list[bytes] = []
        self.room = room

    def answered(self, replies: list[bytes]) -> bool:
        """Keep the next answers, as far as they are not too much for a frame; whether all are there."""
        for reply in replies:
            kept = reply if len(reply) <= self.room else TOO_MUCH
            self.room -= len(kept)
            self.answers.append(kept)
        return len(self.answers) >= len(self.relay.commands)

    def message(self, token: bytes) -> bytes:
        """All of them, for the node that asked."""
        relay = self.relay
        return messages.encode(messages.Relayed(relay.incarnation, relay.request, self.answers, token))


def connection_of(host: Host, peer: int, number: int, relay: messages.Relay) -> Connection:
    """The connection that carries out a relay."""
    connection = Connection(-host.request(), "", resp.RequestParser(), host.now_ns)
    connection.protocol = relay.protocol
    connection.level = relay.level
    connection.read_quorum, connection.write_quorum = relay.quorums
    if relay.token:
        connection.tokens[number] = relay.token
    connection.queue = deque(relay.commands)
    connection.queue_bytes = sum(len(word) for args in relay.commands for word in args)
    connection.relayed = Relayed(peer, number, relay, host.config.bounds.request_bytes)
    return connection
