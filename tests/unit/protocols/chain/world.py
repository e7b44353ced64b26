"""A few chains' worth of trouble in virtual time: real cores, a network, disks, clocks and clients.

Everything happens through one heap of events. Each node has a clock of its own that starts anywhere and
runs a little fast or slow, within what the options declare. Messages are lost, doubled, late and out of
order; nodes crash and come back with what was durable. `give` hands out a view the way the control group
would: each node hears of it when it hears of it.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from comity.checkers import Recorder
from comity.protocols.chain import ChainCore, ChainOptions
from comity.protocols.chain.messages import CODEC
from comity.replica import (
    Accepted,
    Committed,
    CoreContext,
    EntryKind,
    Member,
    Members,
    ReadAt,
    Record,
    Recovered,
    Refused,
    SnapshotChunk,
    SnapshotRead,
    Stream,
    View,
)

MS = 1_000_000
SECOND = 1000 * MS
CHUNK_ITEMS = 1
NOWHERE = View(0, ())
Builder = Callable[[CoreContext, ChainOptions, Recovered], ChainCore]


class Write(msgspec.Struct, array_like=True):
    """The payload of a proposal. vague: its keys cannot be told."""

    key: bytes
    value: int
    vague: bool = False


def keys_of(payload: bytes) -> Collection[bytes] | None:
    write = msgspec.msgpack.decode(payload, type=Write)
    return None if write.vague else (write.key,)


class Machine(msgspec.Struct):
    """The state machine: a register per key."""

    index: int = 0
    epoch: int = 0
    values: dict[bytes, int] = {}

    def copy(self) -> Machine:
        return Machine(self.index, self.epoch, dict(self.values))


@dataclass
class Node:
    number: int
    rate_ppm: int
    offset_ns: int
    core: ChainCore | None = None
    life: int = 0
    view: View = NOWHERE
    durable: list[Record] = field(default_factory=list)
    unsynced: list[Record] = field(default_factory=list)
    gated: list[tuple[int, Any]] = field(default_factory=list)
    written: int = 0
    synced: int = 0
    syncing: bool = False
    machine: Machine = field(default_factory=Machine)
    durable_machine: Machine = field(default_factory=Machine)
    staged: list[SnapshotChunk] = field(default_factory=list)
    answers: dict[int, Callable[[Any], None]] = field(default_factory=dict)
    waiting_reads: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    writes: dict[int, Callable[[], None]] = field(default_factory=dict)
    woken: int = 0


class World:
    """`core`: what the replicas are; tests pass wrong ones. Nothing is faulty until told so."""

    def __init__(
        self,
        seed: int,
        nodes: int = 3,
        options: ChainOptions | None = None,
        core: Builder = ChainCore,
        drift: bool = False,
        view: View | None = None,
    ) -> None:
        self.options = options or ChainOptions()
        self.core = core
        self.stream = Stream(seed, "world")
        self.seed = seed
        self.now_ns = 0
        self.sequence = 0
        self.heap: list[tuple[int, int, Callable[[], None]]] = []
        self.loss = self.double = self.late = 0.0
        self.cut: set[tuple[int, int]] = set()
        self.loses: Callable[[int, int, Any], bool] = lambda sender, receiver, message: False
        self.slow_disk = False
        self.recorder = Recorder()
        self.requests = 0
        self.committed: dict[int, tuple[int, int, bytes]] = {}
        self.index_of: dict[int | None, int] = {None: 0}
        """Where each value written stands in the log."""
        self.floors: dict[bytes, int] = {}
        """By key: the index of the newest version that a completed operation has written or seen."""
        self.trace = hashlib.blake2b(digest_size=16)
        self.messages: dict[str, int] = {}
        self.view = view or View(1, tuple(range(1, nodes + 1)))
        ppm = self.options.clock_drift_ppm if drift else 0
        self.nodes = {
            number: Node(
                number,
                self.stream.pick([-ppm, 0, ppm]),
                self.stream.below(1000) * SECOND,
                view=self.view if number in self.view.everyone() else NOWHERE,
            )
            for number in range(1, nodes + 1)
        }
        for number in self.nodes:
            self.start(number)

    def at(self, delay_ns: int, event: Callable[[], None]) -> None:
        self.sequence += 1
        heapq.heappush(self.heap, (self.now_ns + delay_ns, self.sequence, event))

    def run(self, duration_ns: int, until: Callable[[], bool] = lambda: False) -> bool:
        end_ns = self.now_ns + duration_ns
        while not until():
            if not self.heap or self.heap[0][0] > end_ns:
                self.now_ns = end_ns
                return until()
            self.now_ns, _, event = heapq.heappop(self.heap)
            event()
        return True

    # -- nodes

    def clock(self, node: Node) -> int:
        return node.offset_ns + self.now_ns * (1_000_000 + node.rate_ppm) // 1_000_000

    def start(self, number: int) -> None:
        """A host that comes back has not heard of the control group yet: the core knows its view itself."""
        node = self.nodes[number]
        node.life += 1
        view = node.view if node.life == 1 else NOWHERE
        if node.life > 1:
            known_view, life = node.view, node.life
            delay_ns = self.stream.below(200) * MS
            self.at(delay_ns, lambda: self.step(node, life, lambda core, now: core.view(now, known_view)))
        known = tuple(Member(other, f"host{other}:1", f"host{other}:2") for other in self.nodes)

        def stream(label: str) -> Stream:
            return Stream(self.seed, f"{number}/{node.life}/{label}")

        context = CoreContext(
            node=number,
            group="g",
            members=Members(voters=tuple(self.nodes), known=known),
            stream=stream,
            note=lambda event, **fields: None,
            view=view,
            keys_of=keys_of,
        )
        machine = node.durable_machine
        recovered = Recovered(records=list(node.durable), applied=machine.index, applied_term=machine.epoch)
        node.machine = machine.copy()
        node.written = node.synced = 0
        node.syncing = False
        node.core = self.core(context, self.options, recovered)
        node.core.start(self.clock(node))
        self.turn(node)

    def crash(self, number: int, keep: int = 0) -> None:
        node = self.nodes[number]
        if node.core is None:
            return
        node.core = None
        node.durable += node.unsynced[:keep]
        node.unsynced, node.gated, node.staged = [], [], []
        node.answers, node.waiting_reads, node.writes = {}, [], {}

    def give(self, view: View, delay_ns: Callable[[int], int] = lambda number: 0) -> None:
        """The control group's view, heard of by each node after a while."""
        self.view = view
        for number in sorted(self.nodes):
            self.at(delay_ns(number), partial(self.hear, number, view))

    def hear(self, number: int, view: View) -> None:
        node = self.nodes[number]
        if view.epoch > node.view.epoch:
            node.view = view
            if node.core is not None:
                node.core.view(self.clock(node), view)
                self.turn(node)

    def __getitem__(self, number: int) -> ChainCore:
        core = self.nodes[number].core
        assert core is not None, f"node {number} is down"
        return core

    # -- one step of a node

    def turn(self, node: Node) -> None:
        core = node.core
        assert core is not None
        effects = core.take(self.clock(node))
        for send in effects.send:
            self.post(node.number, send.peer, send.message)
        node.unsynced += effects.write
        node.written += len(effects.write)
        for send in effects.send_durable:
            if node.unsynced:
                node.gated.append((node.written, send))
            else:
                self.post(node.number, send.peer, send.message)
        for entry in effects.apply:
            self.apply(node, entry)
        for reply in effects.reply:
            answer = node.answers.pop(reply.request)
            answer(reply.outcome)
        life = node.life
        for request in effects.snapshot:
            if isinstance(request, SnapshotRead):
                self.at(1 * MS, partial(self.read_chunk, node, life, request))
            else:
                self.at(1 * MS, partial(self.stage, node, life, request.chunk))
        core.check()
        if node.unsynced and not node.syncing:
            node.syncing = True
            delay_ns = self.stream.between(100_000, 2 * MS)
            if self.slow_disk and self.stream.chance(0.05):
                delay_ns += self.stream.below(300) * MS
            count = len(node.unsynced)
            self.at(delay_ns, lambda: self.sync(node, life, count))
        self.release(node)
        if core.deadline_ns < 1 << 62:
            node.woken += 1
            woken = node.woken
            wait_ns = max(core.deadline_ns - self.clock(node), 0)
            wait_ns = wait_ns * 1_000_000 // (1_000_000 + node.rate_ppm) + 1
            self.at(wait_ns, lambda: self.wake(node, life, woken))

    def step(self, node: Node, life: int, act: Callable[[ChainCore, int], None]) -> None:
        if node.core is not None and node.life == life:
            act(node.core, self.clock(node))
            self.turn(node)

    def wake(self, node: Node, life: int, woken: int) -> None:
        if node.woken == woken:
            self.step(node, life, lambda core, now_ns: core.wake(now_ns))

    def sync(self, node: Node, life: int, count: int) -> None:
        if node.core is None or node.life != life:
            return
        node.syncing = False
        node.durable += node.unsynced[:count]
        del node.unsynced[:count]
        node.synced += count
        ready = [send for needs, send in node.gated if needs <= node.synced]
        node.gated = [(needs, send) for needs, send in node.gated if needs > node.synced]
        for send in ready:
            self.post(node.number, send.peer, send.message)
        self.step(node, life, lambda core, now_ns: core.persisted(now_ns, node.synced))

    def apply(self, node: Node, entry: Committed) -> None:
        machine = node.machine
        assert entry.index == machine.index + 1, f"applied {entry.index} after {machine.index}"
        facts = (entry.term, entry.kind, entry.payload)
        same = self.committed.setdefault(entry.index, facts)
        assert same == facts, f"node {node.number} applied another entry {entry.index}: {facts} for {same}"
        machine.index, machine.epoch = entry.index, entry.term
        if entry.kind == EntryKind.COMMAND:
            write = msgspec.msgpack.decode(entry.payload, type=Write)
            machine.values[write.key] = write.value
            self.index_of[write.value] = entry.index
            done = node.writes.pop(write.value, None)
            if done:
                done()

    def release(self, node: Node) -> None:
        ready = [done for index, done in node.waiting_reads if index <= node.machine.index]
        node.waiting_reads = [(at, done) for at, done in node.waiting_reads if at > node.machine.index]
        for done in ready:
            done()

    def flush(self, number: int) -> None:
        """The state machine becomes durable; the log may be compacted."""
        node = self.nodes[number]
        if node.core is not None and not node.core.installing:
            node.durable_machine = node.machine.copy()
            self.step(node, node.life, lambda core, now_ns: core.compact(now_ns, node.machine.index))

    # -- network and snapshots

    def post(self, sender: int, receiver: int, message: Any) -> None:
        data = CODEC.encode(message)
        self.messages[type(message).__name__] = self.messages.get(type(message).__name__, 0) + 1
        self.trace.update(b"%d %d %d " % (self.now_ns, sender, receiver) + data)
        stream = self.stream
        for _ in range(1 + (self.double > 0 and stream.chance(self.double))):
            if self.loses(sender, receiver, message):
                continue
            if (sender, receiver) in self.cut or (self.loss > 0 and stream.chance(self.loss)):
                continue
            delay_ns = stream.between(50_000, 2 * MS)
            if self.late > 0 and stream.chance(self.late):
                delay_ns += stream.below(1500) * MS
            self.at(delay_ns, lambda: self.deliver(sender, receiver, data))

    def deliver(self, sender: int, receiver: int, data: bytes) -> None:
        node = self.nodes[receiver]
        message = CODEC.decode(data)
        self.step(node, node.life, lambda core, now_ns: core.receive(now_ns, sender, message))

    def read_chunk(self, node: Node, life: int, request: SnapshotRead) -> None:
        machine = node.durable_machine
        chunk = None
        if machine.index and request.snapshot in {0, machine.index}:
            items = sorted(machine.values.items())
            first = int(request.cursor or b"0")
            after = first + CHUNK_ITEMS
            data = msgspec.msgpack.encode(items[first:after])
            rest = b"%d" % after if after < len(items) else b""
            chunk = SnapshotChunk(machine.index, machine.epoch, b"", request.cursor, rest, data)
        self.step(node, life, lambda core, now_ns: core.snapshot_chunk(now_ns, request, chunk))

    def stage(self, node: Node, life: int, chunk: SnapshotChunk) -> None:
        if node.core is None or node.life != life:
            return
        if not chunk.cursor:
            node.staged = []
        node.staged.append(chunk)
        if chunk.next_cursor:
            self.step(node, life, lambda core, now_ns: core.snapshot_staged(now_ns))
            return
        values: dict[bytes, int] = {}
        for part in node.staged:
            values.update(msgspec.msgpack.decode(part.data, type=list[tuple[bytes, int]]))
        node.machine = Machine(chunk.index, chunk.term, values)
        node.durable_machine = node.machine.copy()
        self.step(node, life, lambda core, now_ns: core.snapshot_installed(now_ns, chunk.index))

    # -- clients

    def request(self) -> int:
        self.requests += 1
        return self.requests

    def write(
        self, client: Any, number: int, key: bytes, vague: bool = False, timeout_ns: int = SECOND
    ) -> None:
        """A client of this node writes; the node has the head propose it and answers from its own apply."""
        node = self.nodes[number]
        if node.core is None:
            return
        value = self.request()
        process = self.recorder.process_of(client)
        self.recorder.invoke(process, "write", key.decode(), value, time_ns=self.now_ns)
        state = {"open": True}

        def end(how: str) -> None:
            if state["open"]:
                state["open"] = False
                getattr(self.recorder, how)(process, time_ns=self.now_ns)

        def done() -> None:
            self.floors[key] = max(self.floors.get(key, 0), self.index_of[value])
            end("ok")

        node.writes[value] = done
        self.at(timeout_ns, lambda: end("info"))
        payload = msgspec.msgpack.encode(Write(key, value, vague))
        head = self.nodes.get(node.core.leader)
        if head is None:
            end("fail")
            return
        answers = head.answers

        def answer(outcome: Any) -> None:
            if isinstance(outcome, Refused):
                end("fail")

        def propose(core: ChainCore, now_ns: int) -> None:
            request = self.request()
            answers[request] = answer
            core.propose(now_ns, request, payload)

        if head is node:
            self.step(node, node.life, propose)
        elif head.core is not None:
            self.at(self.stream.between(50_000, MS), partial(self.step, head, head.life, propose))

    def read(
        self, client: Any, number: int, key: bytes, timeout_ns: int = SECOND, plain: bool = False
    ) -> None:
        """A client of this node reads there."""
        node = self.nodes[number]
        if node.core is None:
            return
        process = self.recorder.process_of(client)
        self.recorder.invoke(process, "read", key.decode(), None, time_ns=self.now_ns)
        state = {"open": True}
        floor = self.floors.get(key, 0)

        def done() -> None:
            if state["open"]:
                state["open"] = False
                at = self.index_of[node.machine.values.get(key)]
                assert at >= floor, f"node {number} reads version {at} of {key!r}, after {floor} was seen"
                self.floors[key] = max(self.floors.get(key, 0), at)
                self.recorder.ok(process, node.machine.values.get(key), time_ns=self.now_ns)

        def fail() -> None:
            if state["open"]:
                state["open"] = False
                self.recorder.fail(process, time_ns=self.now_ns)

        def answer(outcome: Any) -> None:
            if isinstance(outcome, ReadAt):
                node.waiting_reads.append((outcome.index, done))
            else:
                fail()

        self.at(timeout_ns, fail)

        def ask(core: ChainCore, now_ns: int) -> None:
            request = self.request()
            node.answers[request] = answer
            if plain:
                core.read(now_ns, request)
            else:
                core.read_keys(now_ns, request, [key])

        self.step(node, node.life, ask)

    def propose(self, number: int, key: bytes = b"x", value: int = 0) -> list[Any]:
        """What the node says to a proposal, as a list that fills."""
        outcomes: list[Any] = []
        request = self.request()
        self.nodes[number].answers[request] = outcomes.append
        payload = msgspec.msgpack.encode(Write(key, value))
        node = self.nodes[number]
        self.step(node, node.life, lambda core, now_ns: core.propose(now_ns, request, payload))
        return outcomes

    def ask(self, number: int, keys: Collection[bytes] | None = None) -> list[Any]:
        """What the node says to a read, as a list that fills."""
        outcomes: list[Any] = []
        request = self.request()
        node = self.nodes[number]
        node.answers[request] = outcomes.append

        def act(core: ChainCore, now_ns: int) -> None:
            if keys is None:
                core.read(now_ns, request)
            else:
                core.read_keys(now_ns, request, keys)

        self.step(node, node.life, act)
        return outcomes


__all__ = ["MS", "SECOND", "Accepted", "Machine", "Node", "World", "Write", "keys_of"]
