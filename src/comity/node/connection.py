"""One client connection: what it has sent, what it waits for, what it has chosen.

Commands of a connection are answered in the order they came. To keep that cheap a connection is in
one mode at a time: all its unanswered commands go through the log of one group, or all are reads of
one group. A command that does not fit waits in the queue until the others are answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from comity.formats.resp import RequestParser
from comity.node.routes import Route

if TYPE_CHECKING:
    from comity.node.reads import ReadRun
    from comity.node.remote import Relayed

IDLE = 0
LOG = 1
READ = 2

LINEARIZABLE = "linearizable"
SEQUENTIAL = "sequential"
CAUSAL = "causal"
SESSION = "session"
EVENTUAL = "eventual"
LEVELS = (LINEARIZABLE, SEQUENTIAL, CAUSAL, SESSION, EVENTUAL)


class Connection:
    """The state of one client, between its bytes and the groups."""

    __slots__ = (
        "address",
        "closed",
        "closing",
        "connected_ns",
        "group",
        "last_ns",
        "level",
        "library",
        "mode",
        "name",
        "number",
        "output",
        "output_waiting",
        "outstanding",
        "parser",
        "paused",
        "protocol",
        "queue",
        "queue_bytes",
        "queued",
        "queued_bytes",
        "queued_error",
        "read_quorum",
        "reading",
        "refused",
        "relayed",
        "tokens",
        "touched",
        "watches",
        "whole",
        "writable",
        "write_quorum",
    )

    def __init__(self, number: int, address: str, parser: RequestParser, now_ns: int) -> None:
        self.number = number
        self.address = address
        self.parser = parser
        self.connected_ns = now_ns
        self.last_ns = now_ns
        self.queue: deque[list[bytes]] = deque()
        self.queue_bytes = 0
        self.mode = IDLE
        self.group = -1
        self.outstanding = 0
        self.output: list[bytes] = []
        self.output_waiting = False
        self.touched = False
        self.protocol = 2
        self.level = ""
        """"" for what the keyspace promises."""
        self.name = b""
        self.library: dict[bytes, bytes] = {}
        self.queued: list[list[bytes]] | None = None
        self.queued_bytes = 0
        self.queued_error = False
        self.watches: dict[tuple[int, bytes], tuple[int, int]] = {}
        self.closing = False
        self.closed = False
        self.paused = False
        self.writable = True
        self.reading: ReadRun | None = None
        self.refused: bytes | None = None
        self.tokens: dict[int, bytes] = {}
        self.read_quorum = 0
        self.write_quorum = 0
        self.relayed: Relayed | None = None
        self.whole: list[bytes] | None = None
        """The command of which a part is under way: what is put back is all of it."""

    def forget_transaction(self) -> None:
        """Leave MULTI and forget what was watched."""
        self.queued = None
        self.queued_bytes = 0
        self.queued_error = False
        self.watches.clear()


class Run:
    """Successive commands of one connection that are answered together.

    done: answered already (its deadline passed); a later answer is dropped. finish: who wants the answers of
    a run of the host's own.
    """

    __slots__ = ("arrived_ns", "connection", "count", "done", "finish", "route")

    def __init__(
        self,
        connection: Connection,
        count: int,
        arrived_ns: int,
        route: Route,
        finish: Callable[[list[bytes]], None] | None = None,
    ) -> None:
        self.connection = connection
        self.count = count
        self.arrived_ns = arrived_ns
        self.route = route
        self.done = False
        self.finish = finish
