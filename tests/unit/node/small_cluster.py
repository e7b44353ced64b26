"""Hosts joined by perfect links and disks, in one thread: the smallest shell there is."""

from __future__ import annotations

from collections import deque

from comity.keyspaces.creation import Wish
from comity.node import Bounds, Host, HostConfig, Job, Journal, KeyspaceConfig
from comity.protocols import load
from comity.replica import Member
from comity.store.engines.memory import MemoryEngine

MILLISECOND_NS = 1_000_000


class Cluster:
    """Nodes 1..count. `run` lets virtual time pass; everything else happens at once."""

    def __init__(
        self,
        count: int = 3,
        keyspaces: tuple[str, ...] = ("default",),
        bounds: Bounds | None = None,
        wanted: dict[int, tuple[Wish, ...]] | None = None,
    ) -> None:
        self.wanted = wanted or {}
        self.notes: list[tuple[int, str, dict[str, object]]] = []
        self.now_ns = 0
        self.wall_ms = 1_700_000_000_000
        self.count = count
        self.bounds = bounds or Bounds()
        self.keyspaces = tuple(KeyspaceConfig(name=name) for name in keyspaces)
        self.members = tuple(Member(node, f"host{node}:1") for node in range(1, count + 1))
        self.segments: dict[int, dict[str, bytes]] = {node: {} for node in range(1, count + 1)}
        self.engines = {node: MemoryEngine() for node in range(1, count + 1)}
        self.hosts: dict[int, Host] = {}
        self.cut: set[tuple[int, int]] = set()
        self.replies: dict[tuple[int, int], bytes] = {}
        self.disk_full: set[int] = set()
        self.work: deque[tuple[int, object]] = deque()
        self.connections = 0
        for node in range(1, count + 1):
            self.start(node)

    def start(self, node: int) -> None:
        journal = Journal.recover(self.segments[node].items())
        for name, valid in journal.truncations:
            self.segments[node][name] = self.segments[node][name][:valid]
            if not valid:
                del self.segments[node][name]
        config = HostConfig(
            node=node,
            members=self.members,
            keyspaces=self.keyspaces,
            wanted=self.wanted.get(node, ()),
            bounds=self.bounds,
        )

        def note(event: str, **fields: object) -> None:
            self.notes.append((node, event, fields))

        host = Host(config, journal, self.engines[node], load(), 7, note)
        self.hosts[node] = host
        host.at(self.now_ns, self.wall_ms)
        host.start()
        for peer in self.hosts:
            if peer != node:
                host.peers.link_up(peer)
                self.hosts[peer].peers.link_up(node)
        self.turn(node)

    def kill(self, node: int) -> None:
        """A crash: what was written to the journal stays, what the engine had not synced goes."""
        del self.hosts[node]
        self.engines[node] = self.engines[node].crashed()
        for other in self.hosts.values():
            other.peers.link_down(node, refused=True)

    def turn(self, node: int) -> None:
        """One turn of a host, and everything it leads to at once."""
        pending = deque([node])
        while pending:
            at = pending.popleft()
            host = self.hosts.get(at)
            if host is None:
                continue
            host.at(self.now_ns, self.wall_ms)
            turn = host.turn()
            host.check()
            for connection, data in turn.replies:
                key = (at, connection)
                self.replies[key] = self.replies.get(key, b"") + data
            if turn.journal is not None:
                write = turn.journal
                if at in self.disk_full:
                    host.journal_failed(write.sequence, "No space left on device")
                else:
                    segments = self.segments[at]
                    segments[write.segment] = segments.get(write.segment, b"") + write.data
                    for name in write.removes:
                        del segments[name]
                    host.journal_written(write.sequence)
                    pending.append(at)
            for job in turn.jobs:
                self._run(host, job)
                pending.append(at)
            for peer, envelopes in turn.frames:
                if peer in self.hosts and (at, peer) not in self.cut:
                    self.hosts[peer].at(self.now_ns, self.wall_ms)
                    self.hosts[peer].peers.frame(at, envelopes)
                    pending.append(peer)

    def _run(self, host: Host, job: Job) -> None:
        job.run()
        host.job_done(job.number)

    def run(self, milliseconds: int) -> None:
        """Let time pass."""
        for _ in range(milliseconds):
            self.now_ns += MILLISECOND_NS
            self.wall_ms += 1
            for node in sorted(self.hosts):
                host = self.hosts[node]
                if host.deadline_ns <= self.now_ns:
                    host.at(self.now_ns, self.wall_ms)
                    host.wake()
                    self.turn(node)

    def elect(self) -> int:
        """Run until somebody leads every keyspace; who leads the default one."""
        for _ in range(300):
            self.run(10)
            hosts = self.hosts.values()
            for host in hosts:
                if host.health()[0] and all(
                    g.viewed or g.core.leader in self.hosts for g in host.groups.values()
                ):
                    leader = host.default.core.leader
                    if all(other.default.core.leader == leader for other in hosts):
                        return leader
        raise AssertionError("nobody was elected in 3 s")

    def connect(self, node: int) -> int:
        """A new client connection of a node."""
        self.connections += 1
        self.hosts[node].at(self.now_ns, self.wall_ms)
        self.hosts[node].connected(self.connections, "test")
        return self.connections

    def send(self, node: int, connection: int, *commands: tuple[bytes | str | int, ...]) -> None:
        """Commands of a client, pipelined."""
        data = b"".join(encode(command) for command in commands)
        self.hosts[node].at(self.now_ns, self.wall_ms)
        self.hosts[node].data(connection, data)
        self.turn(node)

    def received(self, node: int, connection: int) -> bytes:
        """What the client got since it last looked."""
        return self.replies.pop((node, connection), b"")

    def call(self, node: int, *commands: tuple[bytes | str | int, ...], within_ms: int = 50) -> bytes:
        """Commands on a connection of their own; all replies that come within the time."""
        connection = self.connect(node)
        self.send(node, connection, *commands)
        for _ in range(within_ms):
            if (node, connection) in self.replies:
                break
            self.run(1)
        return self.received(node, connection)


def encode(command: tuple[bytes | str | int, ...]) -> bytes:
    """A command as a client sends it."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
