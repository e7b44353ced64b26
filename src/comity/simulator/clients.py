"""Simulated clients: RESP over a connection to one node, a history of what was asked and answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import hiredis

from comity.checkers import Recorder
from comity.replica import Stream
from comity.simulator.errors import ViolationFound
from comity.simulator.settings import Client, Operation

if TYPE_CHECKING:
    from comity.simulator.cluster import Cluster

MILLISECOND_NS = 1_000_000
TIMEOUT_NS = 6_000 * MILLISECOND_NS
RECONNECT_NS = 20 * MILLISECOND_NS
REFUSALS = ("CLUSTERDOWN", "TRYAGAIN", "LOADING", "MISCONF", "CROSSSLOT")
ONCE_ATTEMPTS = 12


def encode(*words: str | int) -> bytes:
    """A command as a client sends it."""
    parts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


class Connected(Protocol):
    """Who is at the other end of a node's connection to a client."""

    node: int
    connection: int

    def received(self, connection: int, data: bytes) -> None:
        """Bytes from the node."""

    def disconnected(self) -> None:
        """The node closed it, or is gone."""


class Request:
    """One operation under way: its commands, and what is done with the replies."""

    __slots__ = ("attempt", "data", "found", "operation", "process", "replies", "session", "wanted")

    def __init__(self, operation: Operation, process: int, commands: list[bytes]) -> None:
        self.operation = operation
        self.process = process
        self.data = b"".join(commands)
        self.wanted = len(commands)
        self.replies: list[Any] = []
        self.attempt = 1
        self.found: Any = None
        self.session = -1
        """The process of its level's history that it is recorded under; -1 where it is not."""


class SimulatedClient:
    """One client. Operations wait their turn: one request at a time, pipelined ones sent together."""

    def __init__(self, cluster: Cluster, plan: Client) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.recorder: Recorder = cluster.recorder
        self.plan = plan
        self.node = plan.node
        self.stream = Stream(cluster.case.seed, f"client {plan.number}")
        self.waiting: deque[Operation] = deque()
        self.sent: deque[Request] = deque()
        self.connection = 0
        self.life = 0
        self.reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        self.attempts = 0
        self.once_sequence = 0
        self.session: dict[str, int] = {}
        self.numbers: dict[str, int] = {}
        """The same of counters, whatever the session."""
        self.outcomes: dict[str, int] = {}
        self.last: Any = None
        """The last answer."""
        self.acting = -1
        """The process of its level's history: another in every session."""
        self.token = ""
        """Of the session that goes on at another node; "" where none does."""
        self.moving = False

    # -- connection

    def connect(self) -> None:
        """To the node of now; the next one if it does not listen."""
        process = self.cluster.processes[self.node]
        if not process.listening or process.host is None:
            self._next_node()
            self.world.after(RECONNECT_NS, self._reconnect, self.attempts)
            return
        self.connection = self.cluster.new_connection(self)
        self.life = process.life
        self.reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        process.stimulus(process.life, process.host.connected, self.connection, f"client{self.plan.number}")
        hello = []
        if self.plan.protocol == 3:
            hello.append(encode("HELLO", 3))
        if self.plan.level != "linearizable":
            hello.append(encode("COMITY.CONSISTENCY", self.plan.level))
        if self.token:
            hello.append(encode("COMITY.SESSION", self.token))
        if hello:
            request = Request(Operation(at_ms=0, client=0, kind="hello", key=""), -1, hello)
            self._send(request)
        if not self.token:
            self.session.clear()
            self.acting = self.cluster.new_process()
        self.token = ""
        self._go()

    def _reconnect(self, attempts: int) -> None:
        if attempts == self.attempts and not self.connection:
            self.attempts += 1
            self.connect()

    def _next_node(self) -> None:
        nodes = sorted(self.cluster.processes)
        self.node = nodes[(nodes.index(self.node) + 1) % len(nodes)]

    def disconnected(self) -> None:
        """The connection broke: every request under way is of unknown outcome."""
        self.connection = 0
        self.moving = False
        self.attempts += 1
        requests, self.sent = list(self.sent), deque()
        self._next_node()
        again: list[Request] = []
        for request in requests:
            if request.process >= 0:
                if self._repeatable(request):
                    again.append(request)
                else:
                    self._end(request, "info")
        for request in reversed(again):
            self.waiting.appendleft(request.operation)
            self.cluster.retries[id(request.operation)] = request
        self.world.after(RECONNECT_NS + self.stream.below(RECONNECT_NS), self._reconnect, self.attempts)

    def _repeatable(self, request: Request) -> bool:
        return request.operation.kind == "once" and request.attempt < ONCE_ATTEMPTS

    # -- operations

    def ask(self, operation: Operation) -> None:
        """An operation's time has come."""
        self.waiting.append(operation)
        self._go()

    def _go(self) -> None:
        while self.waiting and self.connection and not self.moving:
            operation = self.waiting[0]
            if self.sent and not operation.pipelined:
                return
            if self.sent and any(request.wanted > 1 for request in self.sent):
                return
            self.waiting.popleft()
            again = self.cluster.retries.pop(id(operation), None)
            if again is not None:
                again.attempt += 1
                again.replies.clear()
                self._send(again)
            else:
                self._start(operation)

    def _start(self, operation: Operation) -> None:
        kind, key, value = operation.kind, operation.key, operation.value
        recorder = self.recorder
        process = self.cluster.new_process()
        weak = self.plan.level != "linearizable"
        words: list[str]
        if kind in PLAIN and not weak:
            words, f, argument = PLAIN[kind](key, value)
            recorder.invoke(process, f, key, argument, time_ns=self.world.now_ns)
            self._send(Request(operation, process, [encode(*words)]))
        elif kind == "create":
            settings = self.cluster.case.settings
            words = self.cluster.trial.create(settings.options, settings.replicas)
            self._send(Request(operation, process, [encode(*words)]))
        elif kind == "once" and not weak:
            self.once_sequence += 1
            command = encode("CLIENT", "ONCE", f"c{self.plan.number}", self.once_sequence, "INCR", key)
            recorder.invoke(process, "INCR", key, None, time_ns=self.world.now_ns)
            self._send(Request(operation, process, [command]))
        elif kind == "cas" and not weak:
            recorder.invoke(process, "GET", key, None, time_ns=self.world.now_ns)
            self._send(Request(operation, process, [encode("WATCH", key), encode("GET", key)]))
        elif kind == "pair":
            words = ["MSET", f"{key}.a", value, f"{key}.b", value]
            self._send(Request(operation, process, [encode(*words)]))
        elif kind == "ttl":
            self._send(Request(operation, process, [encode("SET", key, value, "PX", operation.amount)]))
        elif kind == "gone":
            self._send(Request(operation, process, [encode("GET", key)]))
        elif kind == "both":
            self._send(Request(operation, process, [encode("MGET", f"{key}.a", f"{key}.b")]))
        elif kind in ("put", "look"):
            self._send(self._of_level(operation, process))
        elif kind == "count":
            self._send(Request(operation, process, [encode("INCR", key)]))
        elif kind == "see":
            self._send(Request(operation, process, [encode("GET", key)]))
        elif kind in ("bump", "tally"):
            self._send(Request(operation, process, [encode("INCR", key)]))
        elif kind == "drop":
            self._send(Request(operation, process, [encode("DEL", key)]))
        else:  # a linearizable kind on a weak connection: its reads are judged as a session's
            self._send(Request(operation, process, [encode("GET", key)]))

    def _of_level(self, operation: Operation, process: int) -> Request:
        """A read or write in the history of this client's level, unless one of it is under way already."""
        key, value = operation.key, operation.value
        writes = operation.kind == "put"
        request = Request(operation, process, [encode("SET", key, value) if writes else encode("GET", key)])
        if not any(other.session >= 0 for other in self.sent):
            request.session = self.acting
            f, argument = ("write", value) if writes else ("read", None)
            recorder = self.cluster.level(self.plan.level, key)
            recorder.invoke(self.acting, f, key, argument, time_ns=self.world.now_ns)
        elif writes:
            # A write that no history has would be a value out of thin air.
            request.data = encode("GET", key)
        return request

    def _end_of_level(self, request: Request, outcome: str) -> None:
        recorder = self.cluster.level(self.plan.level, request.operation.key)
        now = self.world.now_ns
        if outcome == "ok":
            writes = request.operation.kind == "put"
            recorder.ok(
                request.session, request.operation.value if writes else request.replies[-1], time_ns=now
            )
        elif outcome == "fail":
            recorder.fail(request.session, time_ns=now)
        else:
            recorder.info(request.session, time_ns=now)
            self.acting = self.cluster.new_process()

    def _send(self, request: Request) -> None:
        self.sent.append(request)
        process = self.cluster.processes[self.node]
        self.cluster.send_bytes(process, self.life, self.connection, request.data)
        self.world.after(TIMEOUT_NS, self._timed_out, self.connection, request)

    def _timed_out(self, connection: int, request: Request) -> None:
        if connection == self.connection and request in self.sent:
            self._leave()

    # -- replies

    def received(self, connection: int, data: bytes) -> None:
        """Bytes from the node."""
        if connection != self.connection:
            return
        self.reader.feed(data)
        while (reply := self.reader.gets()) is not False:
            if not self.sent:
                raise ViolationFound(
                    "order", f"client {self.plan.number} got an answer to nothing: {reply!r}"
                )
            self.last = reply
            request = self.sent[0]
            request.replies.append(reply)
            if len(request.replies) == request.wanted:
                self.sent.popleft()
                self._answered(request)
        if self.plan.moves and not self.moving and not self.sent and self.connection:
            self._consider_moving()
        self._go()

    def _consider_moving(self) -> None:
        """Fetch the token of this session, to go on with it at another node."""
        if self.stream.chance(self.plan.moves):
            self.moving = True
            asked = Operation(at_ms=0, client=0, kind="token", key="")
            self._send(Request(asked, -1, [encode("COMITY.SESSION")]))

    def _move(self, request: Request) -> None:
        """The token is here."""
        token = request.replies[0]
        self.moving = False
        if isinstance(token, str):
            for _ in range(self.stream.below(len(self.cluster.processes))):
                self._next_node()
            self.token = token
            self._leave()

    def _answered(self, request: Request) -> None:
        if request.process < 0:
            if request.operation.kind == "token":
                self._move(request)
            return
        errors = [str(reply) for reply in request.replies if isinstance(reply, hiredis.ReplyError)]
        if request.operation.kind == "cas" and not errors:
            self._cas(request)
            return
        if any(error.startswith("INDETERMINATE") for error in errors):
            if self._repeatable(request):
                self.waiting.appendleft(request.operation)
                self.cluster.retries[id(request.operation)] = request
                return
            self._end(request, "info")
        elif any(error.startswith(REFUSALS) for error in errors):
            if request.operation.kind == "once" and request.attempt > 1:
                # An earlier attempt may have happened: a refusal of this one says nothing of that.
                if self._repeatable(request):
                    self.waiting.append(request.operation)
                    self.cluster.retries[id(request.operation)] = request
                    return
                self._end(request, "info")
            else:
                self._end(request, "fail")
            if not self.sent:
                self._leave()
        else:
            self._end(request, "ok")

    def _leave(self) -> None:
        """Try another node, as a client with a list of addresses does after a refusal."""
        connection = self.connection
        if connection:
            process = self.cluster.processes[self.node]
            self.cluster.forget(connection)
            if process.host is not None:
                process.stimulus(self.life, process.host.disconnected, connection)
            self.disconnected()

    def _cas(self, request: Request) -> None:
        """The second half of a compare-and-set, or its end."""
        operation = request.operation
        now = self.world.now_ns
        if request.wanted == 2:
            found = request.replies[1]
            self.recorder.ok(request.process, found, time_ns=now)
            process = self.cluster.new_process()
            self.recorder.invoke(process, "cas", operation.key, [found, operation.value], time_ns=now)
            second = Request(
                operation,
                process,
                [encode("MULTI"), encode("SET", operation.key, operation.value), encode("EXEC")],
            )
            second.found = found
            self._send(second)
            return
        if request.replies[2] is None:
            self._count("fail")
            self.recorder.fail(request.process, time_ns=now)
        else:
            self._count("ok")
            self.recorder.ok(request.process, [request.found, operation.value], time_ns=now)

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def _end(self, request: Request, outcome: str) -> None:
        self._count(outcome)
        operation = request.operation
        if request.session >= 0:
            self._end_of_level(request, outcome)
            return
        recorded = operation.kind in RECORDED and self.plan.level == "linearizable"
        now = self.world.now_ns
        if operation.kind in ("count", "tally") and outcome != "fail":
            self.cluster.totals.setdefault(operation.key, [0, 0])[outcome != "ok"] += 1
        if recorded:
            if outcome == "ok":
                reply = request.replies[-1]
                if isinstance(reply, hiredis.ReplyError):
                    reply = {"error": str(reply)}
                self.recorder.ok(request.process, reply, time_ns=now)
            elif outcome == "fail":
                self.recorder.fail(request.process, time_ns=now)
            else:
                self.recorder.info(request.process, time_ns=now)
        elif outcome == "ok":
            self._judge(operation, request.replies[-1])

    def _judge(self, operation: Operation, reply: Any) -> None:
        """What a reply promises that no linearizability check sees."""
        if operation.kind == "both":
            if reply[0] != reply[1]:
                raise ViolationFound(
                    "linearizability", f"MSET of {operation.key} was seen half done: {reply}"
                )
        elif operation.kind in ("count", "see"):
            number = int(reply or 0)
            before = self.session.get(operation.key, 0)
            if number < before or (operation.kind == "count" and number == before):
                raise ViolationFound(
                    "session", f"client {self.plan.number} saw {operation.key} at {before}, then at {number}"
                )
            self.session[operation.key] = self.numbers[operation.key] = number


def _set(key: str, value: str) -> tuple[list[str], str, Any]:
    return ["SET", key, value], "SET", [value]


def _get(key: str, value: str) -> tuple[list[str], str, Any]:
    return ["GET", key], "GET", None


def _incr(key: str, value: str) -> tuple[list[str], str, Any]:
    return ["INCR", key], "INCR", None


def _append(key: str, value: str) -> tuple[list[str], str, Any]:
    return ["APPEND", key, value], "APPEND", [value]


def _setnx(key: str, value: str) -> tuple[list[str], str, Any]:
    return ["SET", key, value, "NX"], "SET", [value, "NX"]


def _getset(key: str, value: str) -> tuple[list[str], str, Any]:
    return ["GETSET", key, value], "GETSET", [value]


def _delete(key: str, value: str) -> tuple[list[str], str, Any]:
    return ["DEL", key], "DEL", None


def _delete_blindly(key: str, value: str) -> tuple[list[str], str, Any]:
    """Of two removals at a time both may say that they removed it: only their effect is judged."""
    return ["DEL", key], "delete", None


PLAIN: dict[str, Callable[[str, str], tuple[list[str], str, Any]]] = {
    "set": _set,
    "get": _get,
    "incr": _incr,
    "append": _append,
    "setnx": _setnx,
    "getset": _getset,
    "del": _delete,
    "delete": _delete_blindly,
}
RECORDED = frozenset({*PLAIN, "once", "cas"})
