"""From the bytes of clients to groups and back: order, back-pressure, transactions, levels.

The loop in `Dispatcher.dispatch` runs once for every command of every client, so it does little:
find the route, check the arity, put the command where it goes. The rest is done per run.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from comity.formats import resp
from comity.node import here, messages, requests
from comity.node.clients import Clients
from comity.node.connection import EVENTUAL, IDLE, LINEARIZABLE, LOG, READ, SESSION, Connection, Run
from comity.node.group import Group
from comity.node.keyed import RUN_COMMANDS, KeyedGroup, KeyedRun
from comity.node.reads import READ_BYTES_PER_TURN, ReadRun
from comity.node.remote import Relayed, Relays, Remote, connection_of
from comity.node.routes import ROUTE_HERE, ROUTE_LOG, Route, Routes
from comity.node.served import Served
from comity.node.transactions import Transactions
from comity.store.listing import LISTING, keyspace_of
from comity.store.table import keys_of

if TYPE_CHECKING:
    from comity.node.host import Host

LOADING = b"-LOADING comity is starting: its journal is not open yet\r\n"
CROSS_KEYSPACE = b"-CROSSSLOT Keys in request don't belong to the same keyspace\r\n"
DISK_FULL = (
    b"-MISCONF this node cannot write its log (%b): nothing was done; free some space and try again\r\n"
)
STOPPING = b"-TRYAGAIN this node is stopping: nothing was done; use another one\r\n"

MOVED = b"-TRYAGAIN this keyspace is not what it was: nothing was done; try again\r\n"

FEW = 4
"""So few commands are looked at one by one."""


class Dispatcher(Clients):
    """Where the commands of one host's clients go."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.routes = Routes()
        self.transactions = Transactions(self)
        self.disk_error = ""
        self._leaving: dict[int, Group] = {}
        """Connections that wait for answers of a replica here while others serve its keyspace already."""
        self._relays: dict[int, Relays] = {}
        self._only: Group | None = None
        self.groups_changed()

    def groups_changed(self) -> None:
        """Keyspaces came or went."""
        host = self.host
        keyspaces = host.keyspaces
        alone = len(host.by_name) == 1 and keyspaces.ready and not keyspaces.wanted.missing
        self._only = host.default if alone else None

    def disconnected(self, number: int) -> None:
        """See `Host.disconnected`."""
        super().disconnected(number)
        self._leaving.pop(number, None)

    def left(self, group: Group) -> None:
        """Others serve this keyspace from now on, and may have applied less than sessions have seen here."""
        for connection in self.connections.values():
            self._saw(connection, group)
            if connection.outstanding and connection.group == group.number:
                self.arrived(connection)  # What it waited for in another keyspace is answered.
                self._leaving[connection.number] = group

    def arrived(self, connection: Connection) -> None:
        """Nothing is under way any more: what a replica that was left has answered after all, is seen."""
        group = self._leaving.pop(connection.number, None)
        if group is not None:
            self._saw(connection, group)

    def _saw(self, connection: Connection, group: Group) -> None:
        """The session has seen everything that is applied here."""
        seen = connection.tokens.get(group.number, b"")
        connection.tokens[group.number] = group.join_tokens(seen, group.token())

    # -- on behalf of other nodes

    def relay(self, peer: int, number: int, relay: messages.Relay) -> None:
        """Carry out commands for another node's client; the answers go back once all are there."""
        relays = self._relays.get(peer)
        if relays is None:
            relays = self._relays[peer] = Relays()
        if not relays.is_new(relay):
            return
        connection = connection_of(self.host, peer, number, relay)
        group = self.host.groups.get(number)
        # Who is told so need not wait to see that no answer comes.
        if group is None or self.host.by_name.get(group.name.encode()) is not group:
            error: bytes | None = MOVED
        elif len(relay.commands) == 1 and relay.commands[0][0] in (b"EXEC", b"WATCH"):
            args = connection.queue.popleft()
            error = self.transactions.relayed(connection, group, args) if isinstance(group, Group) else MOVED
            if error is None:
                return
        else:
            error = self._not_ours(group, relay)
        if error is not None:
            connection.queue.clear()
            for _ in relay.commands:
                self.answer(connection, error)
            return
        self.dispatch(connection)

    def _not_ours(self, group: Served, relay: messages.Relay) -> bytes | None:
        for args in relay.commands:
            route = self.routes.find(args[0])
            if route is None or not route.least <= len(args) <= route.most:
                return resp.error("ERR malformed relay")
            once = route.name == "client" and here.is_once(args) and not here.check_once(self.routes, args)
            if route.kind == ROUTE_HERE and not once:
                return resp.error("ERR malformed relay")
            if self.group_of(route, args) is not group:
                return MOVED
        return None

    def relayed(self, connection: Connection, relayed: Relayed) -> None:
        """Send the answers back, once all are there."""
        output, connection.output = connection.output, []
        if not relayed.answered(output):
            return
        number = relayed.number
        group = self.host.groups.get(number)
        # The next of the session's commands may go to another holder, which has to have applied as much.
        token = connection.tokens.get(number, b"")
        if isinstance(group, Group):
            token = group.join_tokens(token, group.token())
        connection.closed = True
        self.host.send(relayed.peer, number, messages.KIND_RELAYED, relayed.message(token))

    # -- commands

    def dispatch(self, connection: Connection) -> None:
        """Take commands from the queue until one has to wait for earlier answers."""
        queue = connection.queue
        find = self.routes.find
        host = self.host
        while queue:
            args = queue[0]
            route = find(args[0])
            if route is None or not route.least <= len(args) <= route.most:
                if connection.outstanding:
                    return
                queue.popleft()
                self._mistake(connection, route, args)
                continue
            if connection.queued is not None:
                queue.popleft()
                self.transactions.inside(connection, route, args)
                continue
            kind = route.kind
            if kind == ROUTE_HERE and route.name == "comity.at":
                if connection.outstanding:
                    return
                queue.popleft()
                route.calls += 1
                error = requests.at(self, connection, args)
                if error is not None:
                    self.answer(connection, error)
                if connection.closing or connection.outstanding or connection.number in self._later:
                    return
                continue
            if kind == ROUTE_HERE:
                once = route.name == "client" and here.is_once(args)
                if not once:
                    if connection.outstanding:
                        return
                    queue.popleft()
                    route.calls += 1
                    here.answer(self, connection, args)
                    if connection.closing or connection.outstanding:
                        return
                    continue
                error = here.check_once(self.routes, args)
                if error is not None:
                    if connection.outstanding:
                        return
                    queue.popleft()
                    self.answer(connection, error)
                    continue
                kind = ROUTE_LOG
            group = self._only or self.group_of(route, args)
            refusal = self.refusal(group, kind == ROUTE_LOG)
            if group is None or refusal is not None:
                if connection.outstanding:
                    return
                queue.popleft()
                self.answer(connection, refusal or CROSS_KEYSPACE)
                continue
            if connection.outstanding and connection.group != group.number:
                return
            level = connection.level or group.level
            if level not in group.levels:
                if connection.outstanding:
                    return
                queue.popleft()
                self.answer(connection, _no_such_level(group, level))
                continue
            if isinstance(group, (KeyedGroup, Remote)):
                if connection.outstanding:
                    return
                self._keyed(connection, group, level)
                if connection.number in self._later:
                    return
                continue
            assert isinstance(group, Group)
            if kind == ROUTE_LOG or connection.mode == LOG or (level == LINEARIZABLE and group.expiry_due()):
                if connection.mode == READ:
                    return
                self._log(connection, group, route)
            elif level == LINEARIZABLE or connection.outstanding:
                # Reads of a weaker level stand behind linearizable ones not answered yet.
                if not self._read(connection, group, route):
                    return
            elif (level != EVENTUAL or connection.watches) and group.behind(connection.tokens):
                self._read_once_applied(connection, group, route)
            else:
                self._read_locally(connection, group)
                if connection.number in self._later:
                    return
            host.dirty(group)

    def _log(self, connection: Connection, group: Group, route: Route) -> None:
        """A run of commands for the log: as many as follow of the same group."""
        queue = connection.queue
        find = self.routes.find
        builder = group.builder(connection.protocol)
        room = self.bounds.batch_bytes - builder.size
        large = connection.queue_bytes > room
        if large and builder.commands and sum(map(len, queue[0])) > room:
            group.seal(builder)
            builder = group.builder(connection.protocol)
            room = self.bounds.batch_bytes
        commands = builder.commands
        before = len(commands)
        only = self._only
        total = len(queue)
        taken = size = 0
        first = route
        if (
            total >= FEW
            and only is not None
            and not large
            and route.kind == ROUTE_LOG
            and _alike(queue, route)
        ):
            route.calls += total
            commands.extend(queue)
            queue.clear()
        while queue:
            args = queue[0]
            following = find(args[0])
            if following is None or not following.least <= len(args) <= following.most:
                break
            if following.kind == ROUTE_HERE and not (
                following.name == "client"
                and here.is_once(args)
                and here.check_once(self.routes, args) is None
            ):
                break
            if only is None and taken and self.group_of(following, args) is not group:
                break
            if large:
                size += sum(map(len, args))
                if taken and size > room:
                    size -= sum(map(len, args))
                    break
            following.calls += 1
            commands.append(args)
            queue.popleft()
            taken += 1
        count = len(commands) - before
        connection.mode = LOG
        connection.group = group.number
        connection.outstanding += count
        share = size if large else connection.queue_bytes * count // total
        connection.queue_bytes -= min(share, connection.queue_bytes)
        builder.size += share
        group.added(builder, Run(connection, count, self.host.now_ns, first))

    def _keyed(self, connection: Connection, group: KeyedGroup | Remote, level: str) -> None:
        """Commands for a keyspace of registers, or one held elsewhere: as many as follow of it."""
        queue = connection.queue
        find = self.routes.find
        total = len(queue)
        taken: list[tuple[Route, list[bytes], list[bytes]]] = []
        first: Route | None = None
        asked = find(queue[0][0])
        if asked is not None and asked.name in LISTING and isinstance(group, KeyedGroup):
            asked.calls += 1
            self.answer(connection, group.listing(queue.popleft()))
            self._later[connection.number] = connection  # It is long work, and may be a long answer.
            return
        while queue and len(taken) < RUN_COMMANDS:
            args = queue[0]
            route = find(args[0])
            if (
                route is None
                or not route.least <= len(args) <= route.most
                or (taken and (route.kind == ROUTE_HERE or self.group_of(route, args) is not group))
            ):
                break
            keys = keys_of(route.command, args)
            error = group.unsuited(route, args, keys, level)
            if error is not None:
                if not taken:
                    queue.popleft()
                    self.answer(connection, error)
                    return
                break
            queue.popleft()
            route.calls += 1
            first = first or route
            taken.append((route, args, keys))
        connection.queue_bytes -= connection.queue_bytes * len(taken) // total
        if first is None:
            return
        self._submit(connection, group, level, Run(connection, len(taken), self.host.now_ns, first), taken)

    def elsewhere(
        self,
        connection: Connection,
        group: Remote,
        run: Run,
        commands: list[tuple[Route, list[bytes], list[bytes]]],
    ) -> None:
        """Have commands carried out where their keyspace is held."""
        self._submit(connection, group, connection.level or group.level, run, commands)

    def _submit(
        self,
        connection: Connection,
        group: KeyedGroup | Remote,
        level: str,
        run: Run,
        commands: list[tuple[Route, list[bytes], list[bytes]]],
    ) -> None:
        self.arrived(connection)
        if level == EVENTUAL and any(number == group.number for number, _ in connection.watches):
            level = SESSION  # What is read after WATCH is not older than what is watched, whoever answers.
        connection.mode = LOG
        connection.group = group.number
        connection.outstanding += len(commands)
        group.submit(KeyedRun(connection, len(commands), level, run), commands)
        self.host.dirty(group)

    def _read(self, connection: Connection, group: Group, route: Route) -> bool:
        """A run of reads that need an index to be read at; False when they have to wait."""
        before = connection.reading
        if connection.outstanding and (before is None or before.asked or before.finish is not None):
            return False
        commands = self._take_reads(connection, group)
        connection.mode = READ
        connection.group = group.number
        if connection.outstanding and before is not None:
            before.commands.extend(commands)
        else:
            connection.reading = ReadRun(connection, commands, self.host.now_ns, route)
            group.reads.add(connection.reading)
        connection.outstanding += len(commands)
        return True

    def _read_once_applied(self, connection: Connection, group: Group, route: Route) -> None:
        """Reads of a session that has seen more elsewhere than is applied here."""
        commands = self._take_reads(connection, group)
        connection.mode = READ
        connection.group = group.number
        connection.outstanding += len(commands)
        run = ReadRun(connection, commands, self.host.now_ns, route)
        run.asked = True
        group.reads.at.append((group.seen(connection.tokens), [run]))

    def _read_locally(self, connection: Connection, group: Group) -> None:
        """Reads of a weaker level: this replica's state is at or after all this session has seen."""
        commands = self._take_reads(connection, group)
        self.host.metrics.local_reads += len(commands)
        replies = group.machine.read(commands, connection.protocol, max_bytes=READ_BYTES_PER_TURN)
        connection.output.extend(replies)
        if len(replies) < len(commands):
            connection.outstanding += len(commands) - len(replies)
            self.hand_back(connection, commands[len(replies) :])
        self._count_errors(replies)
        self._touch(connection)

    def hand_back(self, connection: Connection, commands: list[list[bytes]]) -> None:
        """Reads that were taken from a connection's queue and not carried out: they wait for a later turn."""
        if not commands:
            return
        connection.outstanding -= len(commands)
        if not connection.outstanding:
            connection.mode = IDLE
        if not connection.closed and not connection.closing:
            whole, connection.whole = connection.whole, None
            connection.queue.extendleft(reversed(commands) if whole is None else [whole])
            self._later[connection.number] = connection

    def _take_reads(self, connection: Connection, group: Group) -> list[list[bytes]]:
        queue = connection.queue
        find = self.routes.find
        only = self._only
        commands = []
        total = len(queue)
        while queue:
            args = queue[0]
            route = find(args[0])
            if (
                route is None
                or route.kind in (ROUTE_LOG, ROUTE_HERE)
                or not route.least <= len(args) <= route.most
                or (only is None and self.group_of(route, args) is not group)
            ):
                break
            route.calls += 1
            commands.append(args)
            queue.popleft()
        connection.queue_bytes -= connection.queue_bytes * len(commands) // total
        return commands

    def refusal(self, group: Served | None, write: bool) -> bytes | None:
        """Why a command for this group is not taken now; None when it is."""
        host = self.host
        if group is None:
            return CROSS_KEYSPACE
        if not host.serving:
            return LOADING
        if host.stopping and (group.leader != host.config.node or group.alone or group.viewed):
            return STOPPING
        if group.closed:
            return resp.error(group.closed)
        if (write or group.keyed) and self.disk_error:
            reason = self.disk_error.replace("\r", " ").replace("\n", " ")
            return DISK_FULL % reason.encode("utf-8", "replace")
        return group.refusal(write)

    def _mistake(self, connection: Connection, route: Route | None, args: list[bytes]) -> None:
        """An unknown command or a wrong number of arguments, in Redis's words."""
        if route is None:
            error = here.unknown_command(args)
        else:
            error = resp.error(f"ERR wrong number of arguments for '{route.name}' command")
        if connection.queued is not None:
            connection.queued_error = True
        self.answer(connection, error)

    def group_of(self, route: Route, args: list[bytes]) -> Served | None:
        """The group of all keys of a command; None when they belong to several."""
        host = self.host
        if self._only is not None:
            return self._only
        if route.name == "client":
            inner = self.routes.find(args[4])
            return self.group_of(inner, args[4:]) if inner is not None else host.default
        if not route.first_key:
            name = keyspace_of(args) if route.name in LISTING else None
            return host.default if name is None else self.group_of_key(name + b":")
        if route.only_first:
            return self.group_of_key(args[route.first_key])
        groups = {self.group_of_key(key).number for key in keys_of(route.command, args)}
        if len(groups) > 1:
            return None
        return host.served(groups.pop()) if groups else host.default

    def group_of_key(self, key: bytes) -> Served:
        """The keyspace named before the first colon where there is one, else the default."""
        name, colon, _ = key.partition(b":")
        host = self.host
        if not colon:
            return host.default
        found = host.by_name.get(name)
        if found is not None:
            return found
        keyspaces = host.keyspaces
        return host.default if keyspaces.ready and name not in keyspaces.wanted.missing else keyspaces.unknown


def _no_such_level(group: Served, level: str) -> bytes:
    reason = group.refusals.get(level, "its protocol cannot give it")
    given = ", ".join(group.levels)
    return resp.error(
        f"ERR keyspace '{group.name}' ({group.protocol.name}) is not {level}: {reason}; it gives {given}"
    )


def _alike(queue: Collection[list[bytes]], route: Route) -> bool:
    """Whether all of these are the same command as the first, each with a possible number of arguments."""
    if len({args[0] for args in queue}) > 1:
        return False
    lengths = {len(args) for args in queue}
    return route.least <= min(lengths) and max(lengths) <= route.most
