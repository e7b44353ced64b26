"""The clients of a host: what is read of them and when no more is, and how answers get back, in order."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING

from comity.formats import resp
from comity.node.connection import IDLE, Connection, Run
from comity.node.errors import OVERLOADED
from comity.node.remote import Relayed
from comity.node.turn import Turn

if TYPE_CHECKING:
    from comity.node.host import Host

TOO_MANY_CLIENTS = b"-ERR max number of clients reached\r\n"

QUEUE_BYTES = 1 << 20
"""So much of a connection may wait behind its unanswered commands before no more is read of it."""

PARTIAL_BYTES_FREE = 1 << 20
"""Half-received requests up to this size do not count against the bound on waiting bytes."""


class Clients(abc.ABC):
    """All connections of one host. Subclasses say what becomes of a command."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.bounds = host.config.bounds
        self.connections: dict[int, Connection] = {}
        self.resumable: dict[int, Connection] = {}
        """Those that can go on with what waits in their queues."""
        self._later: dict[int, Connection] = {}
        """Those that go on in the next turn."""
        self._touched: list[Connection] = []
        self._pause: list[int] = []
        self._unpause: list[int] = []

    @abc.abstractmethod
    def dispatch(self, connection: Connection) -> None:
        """Take commands from the queue until one has to wait for earlier answers."""

    @abc.abstractmethod
    def relayed(self, connection: Connection, relayed: Relayed) -> None:
        """There are answers for another node's client."""

    # -- connections

    def connected(self, number: int, address: str) -> None:
        """See `Host.connected`."""
        bounds = self.bounds
        parser = resp.RequestParser(bounds.request_bytes, bounds.request_arguments)
        connection = Connection(number, address, parser, self.host.now_ns)
        metrics = self.host.metrics
        metrics.connections_total += 1
        self.connections[number] = connection
        if len(self.connections) > bounds.connections:
            metrics.connections_refused += 1
            self.answer(connection, TOO_MANY_CLIENTS)
            self.close(connection)

    def disconnected(self, number: int) -> None:
        """See `Host.disconnected`."""
        connection = self.connections.pop(number, None)
        if connection is not None:
            connection.closed = True
            connection.queue.clear()
            connection.forget_transaction()
            self.resumable.pop(number, None)
            self._later.pop(number, None)

    def close(self, connection: Connection) -> None:
        """Close after what was answered so far; commands still queued are dropped unread."""
        connection.closing = True
        connection.queue.clear()
        if not connection.outstanding:
            self._touch(connection)

    def data(self, number: int, data: bytes) -> None:
        """See `Host.data`."""
        connection = self.connections.get(number)
        if connection is None or connection.closing:
            return
        parser = connection.parser
        partial = parser.pending_bytes
        commands = parser.feed(data)
        connection.last_ns = self.host.now_ns
        if commands:
            if not connection.queue:
                connection.queue_bytes = 0
            connection.queue.extend(commands)
            connection.queue_bytes += partial + len(data) - parser.pending_bytes
            self.dispatch(connection)
        if parser.error is not None or parser.pending_bytes > PARTIAL_BYTES_FREE:
            self._awkward(connection)
        if not self._takes_more(connection):
            self._hold(connection)

    def _takes_more(self, connection: Connection) -> bool:
        """Whether so little of a connection waits that more of it should be read."""
        queue = connection.queue
        return len(queue) + connection.outstanding <= self.bounds.connection_commands and (
            not queue or connection.queue_bytes <= QUEUE_BYTES
        )

    def _awkward(self, connection: Connection) -> None:
        """A malformed request, or half a request so large that the total must be looked at."""
        if connection.parser.error is not None:
            connection.refused = resp.error(f"ERR {connection.parser.error}")
            self.host.metrics.protocol_errors += 1
        else:
            partial = sum(
                other.parser.pending_bytes
                for other in self.connections.values()
                if other.parser.pending_bytes > PARTIAL_BYTES_FREE
            )
            if partial <= self.bounds.waiting_bytes:
                return
            connection.refused = OVERLOADED
        if not connection.outstanding and not connection.queue:
            self._refuse(connection)

    def _refuse(self, connection: Connection) -> None:
        """Say why, after everything before it was answered, and close."""
        assert connection.refused is not None
        self.answer(connection, connection.refused)
        self.close(connection)

    def writable(self, number: int, ok: bool) -> None:
        """See `Host.writable`: a client that does not take its answers is not read from."""
        connection = self.connections.get(number)
        if connection is None:
            return
        connection.writable = ok
        if not ok:
            self._hold(connection)
        else:
            self.resumable[number] = connection

    def _hold(self, connection: Connection) -> None:
        if not connection.paused:
            connection.paused = True
            self._pause.append(connection.number)

    def resume(self) -> None:
        """Go on with the connections whose earlier commands were answered."""
        while self.resumable:
            resumable, self.resumable = self.resumable, {}
            for connection in resumable.values():
                if connection.queue and connection.writable:
                    self.dispatch(connection)
                if connection.refused is not None and not connection.outstanding and not connection.queue:
                    self._refuse(connection)
                if (
                    connection.paused
                    and connection.writable
                    and len(connection.queue) + connection.outstanding
                    < self.bounds.connection_commands // 2 + 1
                    and self._takes_more(connection)
                ):
                    connection.paused = False
                    self._unpause.append(connection.number)

    # -- answers

    def answer(self, connection: Connection, reply: bytes) -> None:
        """An answer made on the spot; only while nothing earlier is unanswered."""
        if reply[:1] == b"-":
            self.host.metrics.error(reply)
        connection.output.append(reply)
        self._touch(connection)

    def deliver(self, runs: Sequence[Run], replies: list[bytes]) -> None:
        """Answers to runs of commands, in order: as many replies as the runs have commands."""
        position = 0
        now = self.host.now_ns
        metrics = self.host.metrics
        self._count_errors(replies)
        for run in runs:
            end = position + run.count
            if run.done:
                position = end
                continue
            run.done = True
            if run.finish is not None:
                run.finish(replies[position:end])
            else:
                connection = run.connection
                connection.outstanding -= run.count
                metrics.observe(run.route.name, now - run.arrived_ns, run.count)
                if not connection.closed:
                    connection.output.extend(replies[position:end])
                    self._answered(connection)
            position = end

    def deliver_error(self, runs: Sequence[Run], error: bytes) -> None:
        """The same error to every command of these runs."""
        for run in runs:
            if run.done:
                continue
            self.deliver([run], [error] * run.count)

    def _count_errors(self, replies: list[bytes]) -> None:
        for reply in replies:
            if reply[0] == 45:  # b"-"
                self.host.metrics.error(reply)

    def _answered(self, connection: Connection) -> None:
        if not connection.outstanding:
            connection.mode = IDLE
            connection.whole = None
            if connection.queue or connection.paused or connection.refused is not None:
                self.resumable[connection.number] = connection
        elif connection.paused:
            self.resumable[connection.number] = connection
        self._touch(connection)

    def _touch(self, connection: Connection) -> None:
        if not connection.touched:
            connection.touched = True
            self._touched.append(connection)

    @property
    def restless(self) -> bool:
        """Whether a turn has something to do for clients."""
        return bool(self._touched or self.resumable or self._later or self._pause or self._unpause)

    def collect(self, turn: Turn) -> None:
        """Everything for the clients, into the turn."""
        for connection in self._touched:
            connection.touched = False
            if connection.closed:
                continue
            if connection.relayed is not None:
                self.relayed(connection, connection.relayed)
                continue
            output = connection.output
            if output:
                turn.replies.append((connection.number, output[0] if len(output) == 1 else b"".join(output)))
                connection.output = []
            if connection.closing and not connection.outstanding:
                turn.close.append(connection.number)
        self._touched.clear()
        if self._later:
            # By the next turn it is known whether the client takes what it got in this one.
            self.resumable.update(self._later)
            self._later.clear()
        if self._pause or self._unpause:
            turn.pause, self._pause = self._pause, []
            turn.resume, self._unpause = self._unpause, []

    def check(self) -> None:
        """Audit the bookkeeping of connections."""
        for connection in self.connections.values():
            assert connection.outstanding >= 0, f"connection {connection.number} was answered too often"
            assert connection.outstanding or connection.mode == IDLE, (
                f"connection {connection.number} waits for nothing in mode {connection.mode}"
            )
