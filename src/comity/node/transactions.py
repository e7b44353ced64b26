"""MULTI, EXEC, DISCARD, WATCH, UNWATCH: optimistic transactions, decided in the log.

WATCH reads the version of each key at a linearizable index; EXEC travels as one command with those
versions, and the state machine runs it only if none of them has changed. So the check and the
commands are one step on every replica. Where other nodes hold the keyspace, both are relayed to one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from comity.formats import resp
from comity.node import here
from comity.node.connection import LOG, READ, Connection, Run
from comity.node.group import Group
from comity.node.reads import ReadRun
from comity.node.remote import Remote
from comity.node.routes import ROUTE_HERE, Route
from comity.node.served import Served
from comity.replica import Protocol
from comity.store.commands.transactions import encode_exec

if TYPE_CHECKING:
    from comity.node.dispatch import Dispatcher

QUEUED = b"+QUEUED\r\n"
ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
NO_LOG = (
    b"-ERR keyspace '%b' has no transactions: its keys are replicated one by one; use one replicated by "
    b"raft, chain or primary-backup\r\n"
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
        group = self._group(commands, watches)
        refusal = dispatcher.refusal(group, write=True) or _no_log(group)
        if group is None or refusal is not None:
            dispatcher.answer(connection, refusal or b"")
            return
        versions = [(key, version, bucket) for (_, key), (version, bucket) in watches.items()]
        command = encode_exec(versions, [self._known(connection, args) for args in commands])
        if isinstance(group, Remote):
            run = Run(connection, 1, dispatcher.host.now_ns, route)
            dispatcher.elsewhere(connection, group, run, [(route, command, [])])
        elif isinstance(group, Group):
            self._into_log(connection, group, route, command)

    def _into_log(self, connection: Connection, group: Group, route: Route, command: list[bytes]) -> None:
        builder = group.builder(connection.protocol)
        builder.commands.append(command)
        builder.size += sum(map(len, command))
        connection.mode = LOG
        connection.group = group.number
        connection.outstanding += 1
        group.added(builder, Run(connection, 1, self.dispatcher.host.now_ns, route))
        self.dispatcher.host.dirty(group)

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
        group = dispatcher.host.served(groups.pop()) if len(groups) == 1 else None
        refusal = dispatcher.refusal(group, write=False) or _no_log(group)
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
        arrived_ns = dispatcher.host.now_ns

        def watched(versions: Sequence[tuple[int, int]]) -> bytes:
            for key, version in zip(keys, versions, strict=True):
                connection.watches.setdefault((group.number, key), version)
            return resp.OK

        def told(replies: list[bytes]) -> None:
            reply = replies[0]
            if reply[:1] == b"$":
                reply = watched(_decode_versions(reply.partition(b"\r\n")[2][:-2]))
            dispatcher.deliver([Run(connection, 1, arrived_ns, route)], [reply])

        if isinstance(group, Remote):
            run = Run(connection, 1, arrived_ns, route, told)
            dispatcher.elsewhere(connection, group, run, [(route, [b"WATCH", *keys], keys)])
        elif isinstance(group, Group):
            self._read_versions(connection, group, args, watched)

    def _read_versions(
        self,
        connection: Connection,
        group: Group,
        args: list[bytes],
        reply: Callable[[Sequence[tuple[int, int]]], bytes],
    ) -> None:
        """Answer with what `reply` makes of the versions of watched keys, as of a linearizable read."""
        dispatcher = self.dispatcher
        route = dispatcher.routes.by_name[b"WATCH"]
        run = ReadRun(connection, [args], dispatcher.host.now_ns, route)

        def finish() -> None:
            answer = reply(group.machine.versions(args[1:]))
            dispatcher.deliver([Run(connection, 1, run.arrived_ns, route)], [answer])

        run.finish = finish
        connection.mode = READ
        connection.reading = run
        connection.group = group.number
        connection.outstanding += 1
        group.reads.add(run)
        dispatcher.host.dirty(group)

    # -- on behalf of other nodes

    def relayed(self, connection: Connection, group: Group, args: list[bytes]) -> bytes | None:
        """WATCH or EXEC of another node's client; an error where it is not carried out."""
        dispatcher = self.dispatcher
        exec_ = args[0] == b"EXEC"
        error = dispatcher.refusal(group, write=exec_)
        if error is not None:
            return error
        if exec_:
            self._into_log(connection, group, dispatcher.routes.by_name[b"EXEC"], args)
        else:
            self._read_versions(connection, group, args, _encode_versions)
        return None


def _no_log(group: Served | None) -> bytes | None:
    if group is None or isinstance(group.protocol, Protocol):
        return None
    return NO_LOG % group.name.encode()


_decode_versions = msgspec.msgpack.Decoder(list[tuple[int, int]]).decode


def _encode_versions(versions: Sequence[tuple[int, int]]) -> bytes:
    return resp.bulk(msgspec.msgpack.encode(versions))
