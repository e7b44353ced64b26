"""Real Paxos cores in virtual time: seeded delays, loss, duplication, partitions, crashes, views.

A disk keeps what was put in the turns that were synced; a crash loses the rest, but for a prefix. The test
plays the host and the control group. Everything that happens is an event in one heap, so a seed decides all.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any

from tests.unit.protocols.paxos.semantics import Commands

from comity.protocols.paxos import PaxosCore, PaxosOptions
from comity.protocols.paxos.messages import CODEC
from comity.replica import (
    NEVER,
    Cells,
    CoreContext,
    KeyOperation,
    Members,
    Outcome,
    RegisterSemantics,
    Stream,
    Unknown,
    View,
)

MS = 1_000_000
Build = Callable[[CoreContext, PaxosOptions, Cells, RegisterSemantics], PaxosCore]


def place(key: bytes) -> int:
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


class Disk:
    """Cells of one node: what is read back at once, and which turns of it are durable."""

    def __init__(self) -> None:
        self.cells: dict[bytes, bytes] = {}
        self.durable: dict[bytes, bytes] = {}
        self.turn: dict[bytes, bytes | None] = {}
        self.unsynced: list[dict[bytes, bytes | None]] = []
        self.written = self.synced = 0

    def get(self, key: bytes) -> bytes | None:
        return self.cells.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        self.turn[key] = value
        apply(self.cells, {key: value})

    def walk(self, position: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        ordered = sorted((place(key), key, value) for key, value in self.cells.items())
        return (item for item in ordered if item[0] >= position)

    def __len__(self) -> int:
        return len(self.cells)

    def end_turn(self) -> bool:
        """Whether anything was put."""
        if not self.turn:
            return False
        self.unsynced.append(self.turn)
        self.turn = {}
        self.written += 1
        return True

    def sync(self, written: int) -> None:
        while self.synced < written:
            apply(self.durable, self.unsynced.pop(0))
            self.synced += 1

    def crash(self, keep: int) -> None:
        for turn in self.unsynced[:keep]:
            apply(self.durable, turn)
        self.cells = dict(self.durable)
        self.turn, self.unsynced = {}, []
        self.written = self.synced = 0


def apply(cells: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            cells.pop(key, None)
        else:
            cells[key] = value


@dataclass
class Node:
    number: int
    disk: Disk = field(default_factory=Disk)
    core: PaxosCore | None = None
    lives: int = 0
    gated: list[tuple[int, list[tuple[int, bytes]]]] = field(default_factory=list)
    open: dict[int, Callable[[Outcome], None]] = field(default_factory=dict)


class Cluster:
    """Nodes 1..n of one keyspace."""

    def __init__(
        self,
        seed: int = 1,
        nodes: int | Iterable[int] = 3,
        *,
        core: Build = PaxosCore,
        options: PaxosOptions | None = None,
        view: View | None = None,
    ) -> None:
        numbers = range(1, nodes + 1) if isinstance(nodes, int) else nodes
        self.seed = seed
        self.stream = Stream(seed, "cluster")
        self.build = core
        self.options = options or PaxosOptions(
            retry_ns=20 * MS,
            retry_max_ns=80 * MS,
            backoff_ns=4 * MS,
            backoff_max_ns=32 * MS,
            collect_ns=30 * MS,
            sweep_ns=50 * MS,
            sweep_keys=4,
            move_window=4,
        )
        self.now_ns = 0
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.numbered = 0
        self.loss = self.duplication = 0.0
        self.delay_ns = (MS // 10, MS)
        self.straggling = 0.0
        self.straggling_ns = (100 * MS, 600 * MS)
        self.sync_ns = (MS // 20, MS // 2)
        self.cut: dict[tuple[int, int], bool] = {}
        self.trace = blake2b()
        self.messages = 0
        self.requests = 0
        self.notes: list[str] = []
        self.nodes = {number: Node(number) for number in numbers}
        self.latest = view or View(1, tuple(self.nodes))
        for number in self.nodes:
            self.start(number)

    # -- events

    def at(self, delay_ns: int, event: Callable[[], None]) -> None:
        self.numbered += 1
        heapq.heappush(self.events, (self.now_ns + delay_ns, self.numbered, event))

    def run(self, duration_ns: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; whether `until` came true."""
        end_ns = self.now_ns + duration_ns
        while not until():
            if not self.events or self.events[0][0] > end_ns:
                self.now_ns = end_ns
                return until()
            self.now_ns, _, event = heapq.heappop(self.events)
            event()
        return True

    # -- nodes

    def start(self, number: int) -> None:
        node = self.nodes[number]
        node.lives += 1
        life = node.lives

        def stream(label: str) -> Stream:
            return Stream(self.seed, f"{number}/{life}/{label}")

        context = CoreContext(
            node=number,
            group="g",
            members=Members(voters=()),
            stream=stream,
            note=lambda event, **fields: self.notes.append(event),
            view=self.latest,
            wall_ms=lambda: self.now_ns // MS,
        )
        node.core = self.build(context, self.options, node.disk, Commands())
        node.core.start(self.now_ns)
        self.turn(number)

    def crash(self, number: int, keep: int | None = None) -> None:
        node = self.nodes[number]
        node.core = None
        node.lives += 1
        node.gated = []
        waiting = len(node.disk.unsynced)
        node.disk.crash(self.stream.below(waiting + 1) if keep is None else keep)
        for end in list(node.open.values()):
            end(Unknown("the node died"))
        node.open = {}

    def __getitem__(self, number: int) -> PaxosCore:
        core = self.nodes[number].core
        assert core is not None, f"node {number} is down"
        return core

    def up(self) -> list[int]:
        return [number for number, node in self.nodes.items() if node.core is not None]

    def alive(self, number: int, life: int) -> bool:
        node = self.nodes[number]
        return node.core is not None and node.lives == life

    def turn(self, number: int) -> None:
        """End the node's turn and carry out its effects."""
        node = self.nodes[number]
        core = self[number]
        effects = core.take(self.now_ns)
        life = node.lives
        for send in effects.send:
            self.send(number, send.peer, CODEC.encode(send.message))
        put = node.disk.end_turn()
        gated = [(send.peer, CODEC.encode(send.message)) for send in effects.send_durable]
        if gated:
            node.gated.append((node.disk.written, gated))
        if put:
            written = node.disk.written
            self.at(self.stream.between(*self.sync_ns), lambda: self.sync(number, life, written))
        self.open_gate(number)
        for reply in effects.reply:
            end = node.open.pop(reply.request, None)
            if end is not None:
                end(reply.outcome)
        if core.deadline_ns != NEVER:
            due_ns = core.deadline_ns
            self.at(max(due_ns - self.now_ns, 0), lambda: self.wake(number, life, due_ns))
        core.check()

    def sync(self, number: int, life: int, written: int) -> None:
        node = self.nodes[number]
        if self.alive(number, life) and written > node.disk.synced:
            node.disk.sync(written)
            self.open_gate(number)
            self[number].persisted(self.now_ns, written)
            self.turn(number)

    def open_gate(self, number: int) -> None:
        node = self.nodes[number]
        while node.gated and node.gated[0][0] <= node.disk.synced:
            for peer, data in node.gated.pop(0)[1]:
                self.send(number, peer, data)

    def wake(self, number: int, life: int, due_ns: int) -> None:
        if self.alive(number, life) and self[number].deadline_ns == due_ns:
            self[number].wake(self.now_ns)
            self.turn(number)

    # -- network

    def send(self, sender: int, receiver: int, data: bytes) -> None:
        self.messages += 1
        self.trace.update(b"%d %d %d %s" % (self.now_ns, sender, receiver, data))
        copies = 1 + self.stream.chance(self.duplication)
        if self.stream.chance(self.loss):
            copies -= 1
        for _ in range(copies):
            late = self.stream.chance(self.straggling)
            delay_ns = self.stream.between(*(self.straggling_ns if late else self.delay_ns))
            self.at(delay_ns, lambda: self.deliver(sender, receiver, data))

    def deliver(self, sender: int, receiver: int, data: bytes) -> None:
        if (sender, receiver) in self.cut or receiver not in self.up():
            return
        self[receiver].receive(self.now_ns, sender, CODEC.decode(data))
        self.turn(receiver)

    def isolate(self, *numbers: int) -> None:
        """These reach nobody outside, and nobody reaches them."""
        for one in self.nodes:
            for other in self.nodes:
                if (one in numbers) != (other in numbers):
                    self.cut[(one, other)] = True

    def heal(self) -> None:
        self.cut = {}

    # -- the control group

    def give(self, view: View, slowest_ns: int = 0) -> None:
        """A new view, which reaches each node in its own time; a node that is down learns it at its start."""
        self.latest = view
        for number in self.nodes:
            delay_ns = self.stream.below(slowest_ns + 1)
            if self.stream.chance(0.5):
                delay_ns //= 20
            self.at(delay_ns, partial(self.adopt, number, view))

    def adopt(self, number: int, view: View) -> None:
        if self.nodes[number].core is not None:
            self[number].view(self.now_ns, view)
            self.turn(number)

    def has_settled(self) -> bool:
        """All that come in have settled, and a majority of those before: the next view may be given."""
        view = self.latest
        settled = [number for number in self.up() if self[number].settled >= view.epoch]
        entering = [number for number in view.nodes if number not in view.outgoing]
        old = sum(number in settled for number in view.outgoing)
        return all(number in settled for number in entering) and old * 2 > len(view.outgoing)

    # -- clients

    def execute(
        self,
        number: int,
        key: bytes,
        payload: bytes,
        end: Callable[[Outcome], None],
        *,
        writes: bool = True,
        level: str = "linearizable",
        token: bytes = b"",
        deadline_ns: int = 150 * MS,
    ) -> int:
        """Ask a node; `end` is called with the outcome, after the deadline with that of abandoning."""
        self.requests += 1
        request = self.requests
        node = self.nodes[number]
        life = node.lives
        node.open[request] = end
        operation = KeyOperation(key=key, payload=payload, writes=writes, level=level, token=token)
        self[number].execute(self.now_ns, request, operation)
        self.turn(number)

        def expire() -> None:
            if self.alive(number, life) and request in node.open:
                node.open.pop(request)(self[number].abandon(self.now_ns, request))
                self.turn(number)

        self.at(deadline_ns, expire)
        return request

    def ask(self, number: int, key: bytes, payload: bytes, **how: Any) -> Outcome | None:
        """Ask, and let time pass until there is an outcome."""
        outcomes: list[Outcome] = []
        self.execute(number, key, payload, outcomes.append, **how)
        self.run(1_000 * MS, lambda: bool(outcomes))
        return outcomes[0] if outcomes else None
