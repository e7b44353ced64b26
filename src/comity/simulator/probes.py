"""Probes: clients that stay with their node and ask at a steady rate, whatever becomes of what they asked.

Requests are sent by the clock and not after the answer to the one before, each on a connection of its own, so
a slow or silent node is asked as often as a quick one. Each key has one writer, with one write under way at a
time, so its versions have an order and a read tells which of them it saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import hiredis
import msgspec

from comity.simulator.clients import encode

if TYPE_CHECKING:
    from comity.simulator.cluster import Cluster

OK = "ok"
REFUSED = "refused"
"""Certainly not done, and said so."""
UNKNOWN = "unknown"
"""May have been done, and said so."""
SILENT = "silent"
"""No answer."""

READ = "read"
WRITE = "write"


class Sample(msgspec.Struct, kw_only=True):
    """One request: who asked, when, and what came of it.

    version: written; or seen, 0 for none. ended_ns: -1 while there is no answer.
    """

    kind: str
    node: int
    key: str
    sent_ns: int
    version: int = 0
    ended_ns: int = -1
    outcome: str = SILENT
    answer: str = ""

    @property
    def took_ns(self) -> int:
        """Until the answer."""
        return self.ended_ns - self.sent_ns


class Line:
    """One connection from a client beside a node to that node; one request at a time."""

    def __init__(self, cluster: Cluster, node: int, level: str) -> None:
        self.cluster = cluster
        self.node = node
        self.level = level
        self.connection = 0
        self.life = 0
        self.reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        self.sample: Sample | None = None
        self._skip = 0
        self._done: Callable[[Sample], None] = _ignore

    @property
    def free(self) -> bool:
        """Whether it can carry a request."""
        return self.sample is None

    def ask(self, sample: Sample, command: bytes, done: Callable[[Sample], None]) -> None:
        """Send a request; `done` is called with its sample once it has an outcome."""
        process = self.cluster.processes[self.node]
        if not process.listening or process.host is None:
            sample.ended_ns = self.cluster.world.now_ns
            sample.answer = "the node does not listen"
            sample.outcome = REFUSED
            done(sample)
            return
        self.sample = sample
        self._done = done
        greeting = b""
        if not self.connection or self.life != process.life:
            self.connection = self.cluster.new_connection(self)
            self.life = process.life
            self.reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
            process.stimulus(process.life, process.host.connected, self.connection, f"probe{self.node}")
            self._skip = 0
            if self.level:
                greeting = encode("COMITY.CONSISTENCY", self.level)
                self._skip = 1
        self.cluster.send_bytes(process, self.life, self.connection, greeting + command)

    def received(self, connection: int, data: bytes) -> None:
        """Bytes from the node."""
        if connection != self.connection:
            return
        self.reader.feed(data)
        while (reply := self.reader.gets()) is not False:
            if self._skip:
                self._skip -= 1
            else:
                self._answered(reply)

    def _answered(self, reply: Any) -> None:
        sample, self.sample = self.sample, None
        if sample is None:
            return
        sample.ended_ns = self.cluster.world.now_ns
        if isinstance(reply, hiredis.ReplyError):
            sample.answer = str(reply)
            sample.outcome = UNKNOWN if sample.answer.startswith("INDETERMINATE") else REFUSED
        else:
            sample.outcome = OK
            if sample.kind == READ:
                sample.version = int(reply or 0)
        self._done(sample)

    def disconnected(self) -> None:
        """The node is gone: what was asked may have been done."""
        self.connection = 0
        sample, self.sample = self.sample, None
        if sample is not None:
            sample.ended_ns = self.cluster.world.now_ns
            sample.outcome = UNKNOWN
            sample.answer = "the connection broke"
            self._done(sample)


class Key:
    """A key of one writer, and which of its versions were acknowledged when."""

    __slots__ = ("acknowledged", "name", "version", "writing")

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = 0
        self.writing = False
        self.acknowledged: list[tuple[int, int]] = []
        """(time, version), both rising."""


class Probes:
    """All probes of one simulation: at every node a reader and a writer.

    prefix: of their keys. level: of their connections, "" for the keyspace's own. keys: of each writer.
    """

    def __init__(self, cluster: Cluster, *, prefix: str, level: str, keys: int) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.prefix = prefix
        self.level = level
        self.samples: list[Sample] = []
        self.marks: dict[str, Sample] = {}
        """Writes of keys of their own, by key: whether each is still there is looked at in the end."""
        self.keys: dict[int, list[Key]] = {}
        self.named: dict[str, Key] = {}
        self._lines: dict[int, list[Line]] = {node: [] for node in cluster.processes}
        self._turn: dict[tuple[str, int], int] = {}
        self._made = 0
        self.reading = self.writing = self.marking = True
        for node in cluster.processes:
            self.keys[node] = [self._new_key(node) for _ in range(keys)]

    def _new_key(self, node: int) -> Key:
        self._made += 1
        key = Key(f"{self.prefix}n{node}.{self._made}")
        self.named[key.name] = key
        return key

    def start(self, period_ns: int) -> None:
        """Read and write at every node, once in a period each; the nodes take turns within it."""
        nodes = sorted(self.cluster.processes)
        for position, node in enumerate(nodes):
            first = period_ns * position // len(nodes)
            self.world.after(first, self._tick, WRITE, node, period_ns)
            self.world.after(first + period_ns // 2, self._tick, READ, node, period_ns)

    def _tick(self, kind: str, node: int, period_ns: int) -> None:
        self.world.after(period_ns, self._tick, kind, node, period_ns)
        if kind == READ and self.reading:
            self.read(node)
        elif kind == WRITE and self.writing:
            self.write(node)

    def _next(self, kind: str, node: int, count: int) -> int:
        turn = self._turn.get((kind, node), 0)
        self._turn[kind, node] = turn + 1
        return turn % count

    def read(self, node: int) -> Sample:
        """Of every key in turn."""
        keys = [key for keys in self.keys.values() for key in keys]
        key = keys[self._next(READ, node, len(keys))]
        sample = Sample(kind=READ, node=node, key=key.name, sent_ns=self.world.now_ns)
        self._send(sample, encode("GET", key.name), _ignore)
        return sample

    def write(self, node: int) -> Sample:
        """Of its own keys in turn; while all of them are being written, or every other time where that is
        asked for, of a new one that is written only once."""
        keys = self.keys[node]
        turn = self._next(WRITE, node, 2 * len(keys))
        free = [key for key in keys[turn // 2 % len(keys) :] + keys if not key.writing]
        if not free or (self.marking and turn % 2):
            return self._mark(node)
        key = free[0]
        key.version += 1
        key.writing = True
        sample = Sample(kind=WRITE, node=node, key=key.name, sent_ns=self.world.now_ns, version=key.version)
        self._send(sample, encode("SET", key.name, key.version), self._written)
        return sample

    def _mark(self, node: int) -> Sample:
        name = f"{self.prefix}m{len(self.marks)}"
        sample = Sample(kind=WRITE, node=node, key=name, sent_ns=self.world.now_ns, version=1)
        self.marks[name] = sample
        self._send(sample, encode("SET", name, 1), _ignore)
        return sample

    def _written(self, sample: Sample) -> None:
        key = self.named[sample.key]
        key.writing = False
        if sample.outcome == OK:
            key.acknowledged.append((sample.ended_ns, sample.version))
        elif sample.outcome != REFUSED:
            # It may come yet, after the next version: nobody writes this key any more.
            keys = self.keys[sample.node]
            keys[keys.index(key)] = self._new_key(sample.node)

    def _send(self, sample: Sample, command: bytes, done: Callable[[Sample], None]) -> None:
        self.samples.append(sample)
        lines = self._lines[sample.node]
        line = next((line for line in lines if line.free), None)
        if line is None:
            line = Line(self.cluster, sample.node, self.level)
            lines.append(line)
        line.ask(sample, command, done)

    @property
    def waiting(self) -> int:
        """Requests without an outcome."""
        return sum(not line.free for lines in self._lines.values() for line in lines)

    def ask_once(self, node: int, key: str) -> Sample:
        """One read of a key, not among the samples."""
        sample = Sample(kind=READ, node=node, key=key, sent_ns=self.world.now_ns)
        line = Line(self.cluster, node, self.level)
        line.ask(sample, encode("GET", key), _ignore)
        return sample


def _ignore(sample: Sample) -> None:
    """The sample itself is all there is."""
