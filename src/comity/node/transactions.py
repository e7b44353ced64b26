"""MULTI, EXEC, DISCARD, WATCH, UNWATCH: optimistic transactions, decided in the log.

WATCH reads the version of each key at a linearizable index; EXEC travels as one command with those
versions, and the state machine runs it only if none of them has changed. So the check and the
commands are one step on every replica.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.formats import resp
from comity.node import here
from comity.node.connection import LOG, READ, Connection, Run
from comity.node.group import Group
from comity.node.reads import ReadRun
from comity.node.remote import Remote
from comity.node.routes import ROUTE_HERE, Route
from comity.node.served import Served
from comity.store.commands.transactions import encode_exec

if TYPE_CHECKING:
    from comity.node.dispatch import Dispatcher

QUEUED = b"+QUEUED\r\n"
ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
NO_LOG = (
    b"-ERR keyspace '%b' has no transactions: its keys are replicated one by one; use one replicated by "
    b"raft, chain or primary-backup\r\n"
)
ELSEWHERE = (
    b"-ERR keyspace '%b' is held by other nodes: a transaction has to be sent to one of them, see KEYSPACE "
    b"INFO\r\n"
)
TOO_LARGE = b"-ERR transaction is too large: at most %d commands and %d bytes may be queued\r\n"


class Transactions:
    """The transaction commands of all clients of one host."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher

    def inside(self, connection: Connection, route: Route, args: list[bytes]) -> None:
        """A command between MULTI and EXEC."""
        dispatcher = self.dispatcher
        queued = connection.queued
        assert queued is not None
        route.calls += 1
        if route.name == "exec":
            self.execute(connection, route)
        elif route.name == "discard":
            connection.forget_transaction()
            dispatcher.answer(connection, resp.OK)
        elif route.name == "multi":
            dispatcher.answer(connection, resp.error("ERR MULTI calls can not be nested"))
        elif route.name == "watch":
            dispatcher.answer(connection, resp.error("ERR WATCH inside MULTI is not allowed"))
        elif route.name in ("quit", "reset"):
            here.answer(dispatcher, connection, args)
        elif route.kind == ROUTE_HERE and route.name not in ("ping", "echo", "unwatch", "select"):
            connection.queued_error = True
            dispatcher.answer(connection, resp.error("ERR Command not allowed inside a transaction"))
        else:
            bounds = dispatcher.bounds
            connection.queued_bytes += sum(map(len, args))
            if (
                len(queued) >= bounds.transaction_commands
                or connection.queued_bytes > bounds.transaction_bytes
            ):
                connection.queued_error = True
                queued.clear()
                error = TOO_LARGE % (bounds.transaction_commands, bounds.transaction_bytes)
                dispatcher.answer(connection, error)
                return
            queued.append(args)
            dispatcher.answer(connection, QUEUED)

    def execute(self, connection: Connection, route: Route) -> None:
        """EXEC: the queued commands as one command in the log."""
        dispatcher = self.dispatcher
        commands = connection.queued or []
        watches = connection.watches.copy()
        failed = connection.queued_error
        connection.forget_transaction()
        if failed:
            dispatcher.answer(connection, ABORTED)
            return
        if not commands and not watches:
            dispatcher.answer(connection, resp.array([]))
            return
        found = self._group(commands, watches)
        refusal = dispatcher.refusal(found, write=True)
        group = found if isinstance(found, Group) else None
        if found is not None and group is None:
            refusal = refusal or (ELSEWHERE if isinstance(found, Remote) else NO_LOG) % found.name.encode()
        if group is None or refusal is not None:
            dispatcher.answer(connection, refusal or b"")
            return
        versions = [(key, version, bucket) for (_, key), (version, bucket) in watches.items()]
        command = encode_exec(versions, [self._known(connection, args) for args in commands])
        builder = group.builder(connection.protocol)
        builder.commands.append(command)
        builder.size += sum(map(len, command))
        connection.mode = LOG
        connection.group = group.number
        connection.outstanding += 1
        group.added(builder, Run(connection, 1, dispatcher.host.now_ns, route))
        dispatcher.host.dirty(group)

    def _known(self, connection: Connection, args: list[bytes]) -> list[bytes] | bytes:
        """A queued command, or the reply of one that needs no log."""
        route = self.dispatcher.routes.find(args[0])
        assert route is not None
        if route.kind == ROUTE_HERE and route.name != "client":
            return here.immediate(self.dispatcher, connection, args)
        return args

    def _group(
        self, commands: list[list[bytes]], watches: dict[tuple[int, bytes], tuple[int, int]]
    ) -> Served | None:
        dispatcher = self.dispatcher
        numbers = {number for number, _ in watches}
        for args in commands:
            route = dispatcher.routes.find(args[0])
            if route is None or route.kind == ROUTE_HERE:
                continue
            # Commands without keys, FLUSHALL among them, are about `default` here as anywhere.
            group = dispatcher.group_of(route, args)
            if group is None:
                return None
            numbers.add(group.number)
        if len(numbers) > 1:
            return None
        return dispatcher.host.served(numbers.pop()) if numbers else dispatcher.host.default

    def watch(self, connection: Connection, args: list[bytes]) -> None:
        """WATCH: remember what the keys are now, as of a linearizable read."""
        dispatcher = self.dispatcher
        keys = args[1:]
        groups = {dispatcher.group_of_key(key).number for key in keys}
        found = dispatcher.host.served(groups.pop()) if len(groups) == 1 else None
        refusal = dispatcher.refusal(found, write=False)
        group = found if isinstance(found, Group) else None
        if found is not None and group is None:
            refusal = refusal or (ELSEWHERE if isinstance(found, Remote) else NO_LOG) % found.name.encode()
        if group is None or refusal is not None:
            dispatcher.answer(connection, refusal or b"")
            return
        if len(connection.watches) + len(keys) > dispatcher.bounds.watched_keys:
            limit = dispatcher.bounds.watched_keys
            dispatcher.answer(connection, resp.error(f"ERR too many watched keys: at most {limit}"))
            return
        size = sum(map(len, keys)) + sum(len(key) for _, key in connection.watches)
        if size > dispatcher.bounds.transaction_bytes:
            limit = dispatcher.bounds.transaction_bytes
            dispatcher.answer(
                connection, resp.error(f"ERR watched keys are too large: at most {limit} bytes")
            )
            return
        route = dispatcher.routes.by_name[b"WATCH"]
        run = ReadRun(connection, [args], dispatcher.host.now_ns, route)

        def finish() -> None:
            for key, version in zip(keys, group.machine.versions(keys), strict=True):
                connection.watches.setdefault((group.number, key), version)
            dispatcher.deliver([Run(connection, 1, run.arrived_ns, route)], [resp.OK])

        run.finish = finish
        connection.mode = READ
        connection.reading = run
        connection.group = group.number
        connection.outstanding += 1
        group.reads.add(run)
        dispatcher.host.dirty(group)
