"""What one connection or one request asks for beside its keyspace: a level, and quorums of its own."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from comity.formats import resp
from comity.node.connection import LEVELS, Connection
from comity.node.keyed import KeyedGroup
from comity.node.routes import ROUTE_HERE
from comity.store.registers import client_data

if TYPE_CHECKING:
    from comity.node.dispatch import Dispatcher

MOST_REPLICAS = 1000


def at(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes | None:
    """COMITY.AT level [QUORUM read write] command [argument ...]: one command at a level, or with quorums, of
    its own. What is answered later is answered later; an error is returned."""
    level = args[1].decode("latin-1").lower()
    if level not in LEVELS:
        return resp.error(f"ERR unknown consistency level; use one of {', '.join(LEVELS)}")
    inner, quorums = args[2:], (connection.read_quorum, connection.write_quorum)
    if len(inner) > 3 and inner[0].upper() == b"QUORUM":
        found = _quorums(inner[1], inner[2])
        if found is None:
            return resp.error(f"ERR a quorum is a number of replicas, 0 to {MOST_REPLICAS}")
        inner, quorums = inner[3:], found
    route = dispatcher.routes.find(inner[0])
    if route is None or route.kind == ROUTE_HERE:
        return resp.error("ERR COMITY.AT takes a command on keys")
    before = (connection.level, connection.read_quorum, connection.write_quorum)
    rest, connection.queue = connection.queue, deque([inner])
    connection.level, (connection.read_quorum, connection.write_quorum) = level, quorums
    try:
        dispatcher.dispatch(connection)
    finally:
        left, connection.queue = connection.queue, rest
        connection.level, connection.read_quorum, connection.write_quorum = before
    if left and not connection.closing:
        connection.queue.appendleft(args)  # It has to wait: all of it, then.
    elif connection.outstanding:
        connection.whole = args
    return None


def quorum(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    """COMITY.QUORUM [read write]: how many replicas must answer this connection; 0 for the keyspace's own."""
    if len(args) == 1:
        return resp.array([resp.integer(connection.read_quorum), resp.integer(connection.write_quorum)])
    if len(args) != 3:
        return resp.error("ERR wrong number of arguments for 'comity.quorum' command")
    found = _quorums(args[1], args[2])
    if found is None:
        return resp.error(f"ERR a quorum is a number of replicas, 0 to {MOST_REPLICAS}")
    connection.read_quorum, connection.write_quorum = found
    return resp.OK


def _quorums(read: bytes, write: bytes) -> tuple[int, int] | None:
    if not (read.isdigit() and write.isdigit() and len(read) < 5 and len(write) < 5):
        return None
    found = int(read), int(write)
    return found if max(found) <= MOST_REPLICAS else None


def siblings(dispatcher: Dispatcher, connection: Connection, args: list[bytes]) -> bytes:
    """COMITY.SIBLINGS key: every value that no other has superseded, as far as this replica knows."""
    group = dispatcher.group_of_key(args[1])
    if group.closed:
        return resp.error(group.closed)
    found = getattr(group.core, "siblings", None) if isinstance(group, KeyedGroup) else None
    if found is None:
        return resp.error(
            f"ERR keyspace '{group.name}' ({group.protocol.name}) has one value for a key; siblings are kept "
            "by quorum keyspaces with the option conflicts siblings, at the nodes that hold them"
        )
    values, _ = found(args[1])
    return resp.array([resp.bulk(client_data(value)) for value in values])
