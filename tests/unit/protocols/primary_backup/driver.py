"""A cluster of real cores in virtual time, driven by one seed.

Links lose, double, delay and reorder; disks take their time; nodes crash and come back with what was durable;
clocks drift. A stand-in for the control group gives out views by its rule: the nodes of the next view are
members of the last one, or were declared caught up in it. Clients write and read registers, and what they
were told is recorded for the checkers. After every step the core is audited, and across the cores: with sync,
no two apply another entry at one index, and no read may be answered below what was applied when it was asked.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec

from comity.checkers import History, Recorder
from comity.protocols.primary_backup import PrimaryBackupCore, PrimaryBackupOptions
from comity.protocols.primary_backup.messages import CODEC
from comity.protocols.primary_backup.state import PRIMARY
from comity.replica import (
    NEVER,
    Accepted,
    Committed,
    CoreContext,
    EntryKind,
    Member,
    Members,
    Outcome,
    ReadAt,
    Record,
    Recovered,
    Refused,
    SnapshotChunk,
    SnapshotRead,
    SnapshotWrite,
    Stream,
    View,
)

MS = 1_000_000
CHUNK_COMMANDS = 5
FIRST_VIEW = View(1, (1, 2, 3))


class State(msgspec.Struct):
    """A state machine: registers, and the ids of all commands applied, in order."""

    index: int = 0
    term: int = 0
    values: dict[str, int] = {}
    applied: list[int] = []

    def copy(self) -> State:
        return State(self.index, self.term, dict(self.values), list(self.applied))

    def apply(self, entry: Committed) -> None:
        assert entry.index == self.index + 1, f"applied {entry.index} after {self.index}"
        self.index, self.term = entry.index, entry.term
        if entry.kind == EntryKind.COMMAND:
            self.run(entry.payload)

    def run(self, payload: bytes) -> None:
        key, value = payload.decode().split("=")
        self.values[key] = int(value)
        self.applied.append(int(value))


@dataclass
class Node:
    number: int
    core: PrimaryBackupCore
    rate: float = 1.0
    up: bool = True
    life: int = 0
    durable: list[Record] = field(default_factory=list)
    unsynced: list[Record] = field(default_factory=list)
    gated: list[tuple[int, int, Any]] = field(default_factory=list)
    written: int = 0
    synced: int = 0
    syncing: bool = False
    state: State = field(default_factory=State)
    durable_state: State = field(default_factory=State)
    staged: list[SnapshotChunk] = field(default_factory=list)
    wake_ns: int = NEVER
    jobs_ns: int = 0
    writes: dict[int, int] = field(default_factory=dict)
    """value -> the process that waits for it to be applied here."""
    proposals: dict[int, int] = field(default_factory=dict)
    reads: dict[int, tuple[int, str, int]] = field(default_factory=dict)
    """request -> (process, key, the lowest index that may be answered)."""
    reads_at: list[tuple[int, int, str]] = field(default_factory=list)


class World:
    """Nodes 1..size; `run` lets time pass. Faults are rates that tests set."""

    def __init__(
        self,
        seed: int,
        *,
        size: int = 4,
        options: PrimaryBackupOptions | None = None,
        core: Callable[[CoreContext, PrimaryBackupOptions, Recovered], PrimaryBackupCore] = PrimaryBackupCore,
        view: View = FIRST_VIEW,
        drift: bool = True,
    ) -> None:
        self.stream = Stream(seed, "world")
        self.seed = seed
        self.options = options or PrimaryBackupOptions()
        self.build = core
        self.now_ns = 0
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.count = 0
        self.loss = self.double = self.slow = 0.0
        self.slow_ns = 60 * MS
        self.sync_ns = 1 * MS
        self.cut: set[tuple[int, int]] = set()
        self.current = view
        self.declared: set[int] = set()
        self.committed: dict[int, tuple[int, int, bytes]] = {}
        self.acknowledged: list[int] = []
        self.recorder = Recorder()
        self.next_request = 0
        self.trace = blake2b(digest_size=16)
        self.messages = 0
        self.snapshots = self.lowered = 0
        self.nodes: dict[int, Node] = {}
        self.drift = drift
        self.probe: Callable[[], None] = lambda: None
        """Called after every step."""
        for number in range(1, size + 1):
            self.nodes[number] = self._born(number)
        for number in range(1, size + 1):
            self._start(number)

    # -- time

    def at(self, delay_ns: int, action: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now_ns + delay_ns, self.count, action))

    def run(self, duration_ns: int, until: Callable[[], bool] = lambda: False) -> bool:
        end_ns = self.now_ns + duration_ns
        while self.events and self.events[0][0] <= end_ns:
            if until():
                return True
            self.now_ns, _, action = heapq.heappop(self.events)
            action()
        self.now_ns = end_ns
        return until()

    def local(self, node: Node) -> int:
        return int(self.now_ns * node.rate)

    # -- nodes

    def _born(self, number: int) -> Node:
        ppm = self.options.clock_drift_ppm if self.drift else 0
        rate = 1 + self.stream.pick([-1, -1, 0, 1, 1]) * ppm / 1_000_000
        return Node(number, self._core(number, 0, (), State(), self.current), rate)

    def _core(self, number: int, life: int, records: Any, state: State, view: View) -> PrimaryBackupCore:
        known = tuple(Member(node, f"host{node}:7101") for node in range(1, 9))
        context = CoreContext(
            node=number,
            group="g",
            members=Members(voters=(), known=known),
            stream=lambda label: Stream(self.seed, f"{number}/{life}/{label}"),
            note=lambda event, **fields: None,
            view=view,
        )
        recovered = Recovered(records=tuple(records), applied=state.index, applied_term=state.term)
        return self.build(context, self.options, recovered)

    def _start(self, number: int) -> None:
        node = self.nodes[number]
        node.core.start(self.local(node))
        self.turn(node)

    def crash(self, number: int) -> None:
        """What is on its way to the disk may or may not get there."""
        node = self.nodes[number]
        node.up = False
        node.durable += node.unsynced[: self.stream.below(len(node.unsynced) + 1)]
        node.unsynced, node.gated, node.staged, node.syncing = [], [], [], False
        node.life += 1
        for process in [*node.writes.values(), *(read[0] for read in node.reads.values())]:
            self.recorder.info(process)
        for _, process, _ in node.reads_at:
            self.recorder.info(process)
        node.writes, node.reads, node.reads_at, node.proposals = {}, {}, [], {}
        self.note("crash", number)

    def restart(self, number: int, view: View | None = None) -> None:
        node = self.nodes[number]
        node.core = self._core(number, node.life, node.durable, node.durable_state, view or View(0, ()))
        node.state = node.durable_state.copy()
        node.written = node.synced = 0
        node.wake_ns = NEVER
        node.up = True
        self.note("restart", number)
        self._start(number)

    # -- one step

    def turn(self, node: Node) -> None:
        core = node.core
        local_ns = self.local(node)
        while core.busy:
            self._carry_out(node, core.take(local_ns))
        core.check()
        if core.role is PRIMARY and core.current.epoch == self.current.epoch:
            self.declared.update(core.caught_up)
        self._set_alarm(node)
        self.probe()

    def _set_alarm(self, node: Node) -> None:
        deadline_ns = node.core.deadline_ns
        if deadline_ns == NEVER:
            return
        due_ns = max(self.now_ns + 1, int(deadline_ns / node.rate) + 1)
        if due_ns < node.wake_ns or node.wake_ns <= self.now_ns:
            node.wake_ns = due_ns
            life = node.life
            self.at(due_ns - self.now_ns, lambda: self._wake(node, life, due_ns))

    def _wake(self, node: Node, life: int, due_ns: int) -> None:
        if not node.up or node.life != life or node.wake_ns != due_ns:
            return
        node.wake_ns = NEVER
        if node.core.deadline_ns <= self.local(node):
            node.core.wake(self.local(node))
        self.turn(node)

    def _carry_out(self, node: Node, effects: Any) -> None:
        for send in effects.send:
            self._post(node.number, send.peer, send.message)
        node.unsynced += effects.write
        node.written += len(effects.write)
        for send in effects.send_durable:
            if node.synced < node.written:
                node.gated.append((node.written, send.peer, send.message))
            else:
                self._post(node.number, send.peer, send.message)
        for entry in effects.apply:
            self._apply(node, entry)
        for reply in effects.reply:
            self._answer(node, reply.request, reply.outcome)
        life = node.life
        for request in effects.snapshot:  # one job at a time, in order
            node.jobs_ns = max(node.jobs_ns, self.now_ns) + self.stream.below(3 * MS)
            self.at(node.jobs_ns - self.now_ns, partial(self._snapshot, node, life, request))
        if node.unsynced and not node.syncing:
            node.syncing = True
            delay_ns = self.stream.between(self.sync_ns // 4, self.sync_ns)
            if self.stream.chance(self.slow):
                delay_ns += self.stream.below(self.slow_ns)
            upto = node.written
            self.at(delay_ns, lambda: self._synced(node, life, upto))

    def _synced(self, node: Node, life: int, upto: int) -> None:
        if not node.up or node.life != life:
            return
        count = upto - node.synced
        node.durable += node.unsynced[:count]
        del node.unsynced[:count]
        node.synced = upto
        node.syncing = False
        freed = [item for item in node.gated if item[0] <= upto]
        node.gated = [item for item in node.gated if item[0] > upto]
        node.core.persisted(self.local(node), upto)
        for _, peer, message in freed:
            self._post(node.number, peer, message)
        self.turn(node)
        if node.unsynced and not node.syncing:
            node.syncing = True
            more = node.written
            self.at(self.sync_ns, lambda: self._synced(node, life, more))

    def _post(self, sender: int, receiver: int, message: Any) -> None:
        data = CODEC.encode(message)
        assert CODEC.decode(data) == message
        self.note(sender, receiver, data)
        self.messages += 1
        stream = self.stream
        if stream.chance(self.loss):
            return
        for _ in range(2 if stream.chance(self.double) else 1):
            delay_ns = stream.between(MS // 10, 2 * MS)
            if stream.chance(self.slow):
                delay_ns += stream.below(self.slow_ns)
            self.at(delay_ns, lambda: self._deliver(sender, receiver, data))

    def _deliver(self, sender: int, receiver: int, data: bytes) -> None:
        node = self.nodes.get(receiver)
        if node is None or not node.up or (sender, receiver) in self.cut:
            return
        node.core.receive(self.local(node), sender, CODEC.decode(data))
        self.turn(node)

    def _apply(self, node: Node, entry: Committed) -> None:
        node.state.apply(entry)
        if self.options.sync:
            facts = (entry.term, entry.kind, entry.payload)
            assert self.committed.setdefault(entry.index, facts) == facts, (
                f"node {node.number} applied another entry {entry.index}"
            )
        if entry.kind == EntryKind.COMMAND:
            self._applied_here(node, int(entry.payload.split(b"=")[1]))
        self._serve_reads(node)

    def _applied_here(self, node: Node, value: int) -> None:
        process = node.writes.pop(value, None)
        if process is not None:
            self.acknowledged.append(value)
            self.recorder.ok(process)

    def _snapshot(self, node: Node, life: int, request: SnapshotRead | SnapshotWrite) -> None:
        if not node.up or node.life != life:
            return
        local_ns = self.local(node)
        if isinstance(request, SnapshotRead):
            node.core.snapshot_chunk(local_ns, request, self._chunk(node, request))
        else:
            chunk = request.chunk
            if not chunk.cursor:
                node.staged = []
            assert not node.staged or node.staged[-1].next_cursor == chunk.cursor, "a chunk is missing"
            node.staged.append(chunk)
            if chunk.next_cursor:
                node.core.snapshot_staged(local_ns)
            else:
                self._install(node, chunk)
                node.core.snapshot_installed(local_ns, chunk.index)
                self._serve_reads(node)
        self.turn(node)

    def _install(self, node: Node, last: SnapshotChunk) -> None:
        state = State(last.index, last.term)
        for chunk in node.staged:
            for payload in msgspec.msgpack.decode(chunk.data, type=list[bytes]):
                state.run(payload)
        self.snapshots += 1
        self.lowered += state.index < node.state.index
        node.staged = []
        node.state = state
        node.durable_state = state.copy()
        for value in [value for value in node.writes if value in state.applied]:
            self._applied_here(node, value)

    @staticmethod
    def _chunk(node: Node, request: SnapshotRead) -> SnapshotChunk | None:
        """Chunks are commands that make the durable state."""
        state = node.durable_state
        if state.index == 0 or request.snapshot not in {0, state.index}:
            return None
        key_of = {value: key for key, value in state.values.items()}
        payloads = [f"{key_of.get(value, 'old')}={value}".encode() for value in state.applied]
        first = int(request.cursor or b"0")
        after = first + CHUNK_COMMANDS
        next_cursor = str(after).encode() if after < len(payloads) else b""
        data = msgspec.msgpack.encode(payloads[first:after])
        return SnapshotChunk(state.index, state.term, b"", request.cursor, next_cursor, data)

    def flush(self, number: int) -> None:
        """The state machine becomes durable; the log may be compacted."""
        node = self.nodes[number]
        if node.up and not node.core.installing:
            node.durable_state = node.state.copy()
            if node.durable_state.index > node.core.compaction_index():
                node.core.compact(self.local(node), node.durable_state.index)
            self.turn(node)

    # -- views

    def give(self, number: int, view: View) -> None:
        node = self.nodes[number]
        if node.up:
            node.core.view(self.local(node), view)
            self.turn(node)

    def change(
        self,
        nodes: tuple[int, ...],
        joining: tuple[int, ...] = (),
        spread_ns: int = 20 * MS,
        late: tuple[int, ...] = (),
    ) -> View:
        """The control group gives out the next view; each node hears of it in its own time, those in `late`
        not before they are told again."""
        assert set(nodes) <= {*self.current.nodes, *self.declared}, "not what a control group may do"
        view = View(self.current.epoch + 1, nodes, joining)
        self.current, self.declared = view, set()
        self.note("view", view)
        for number in self.nodes:
            if number in late:
                continue
            self.at(self.stream.below(spread_ns + 1), partial(self.give, number, view))
        return view

    # -- clients

    def write(self, number: int, key: str, process: int = 0) -> int:
        """Have a client write a value nobody else writes; the value."""
        node = self.nodes[number]
        self.next_request += 1
        value = self.next_request
        process = process or self.recorder.process_of(f"w{value}")
        self.recorder.invoke(process, "write", key, value)
        node.writes[value] = process
        node.proposals[value] = value
        node.core.propose(self.local(node), value, f"{key}={value}".encode())
        self.turn(node)
        return value

    def read(self, number: int, key: str) -> int:
        node = self.nodes[number]
        self.next_request += 1
        process = self.recorder.process_of(f"r{self.next_request}")
        self.recorder.invoke(process, "read", key)
        node.reads[self.next_request] = (process, key, max(self.committed, default=0))
        node.core.read(self.local(node), self.next_request)
        self.turn(node)
        return self.next_request

    def _answer(self, node: Node, request: int, outcome: Outcome) -> None:
        if request in node.proposals:
            value = node.proposals.pop(request)
            if isinstance(outcome, Refused):
                self.recorder.fail(node.writes.pop(value))
            else:
                assert isinstance(outcome, Accepted)
            return
        process, key, floor = node.reads.pop(request)
        if isinstance(outcome, ReadAt):
            if self.options.sync:
                assert outcome.index >= floor, (
                    f"node {node.number} reads at {outcome.index}, when it was asked {floor} was applied"
                )
            node.reads_at.append((outcome.index, process, key))
            self._serve_reads(node)
        else:
            assert isinstance(outcome, Refused)
            self.recorder.fail(process)

    def _serve_reads(self, node: Node) -> None:
        for item in [item for item in node.reads_at if item[0] <= node.state.index]:
            node.reads_at.remove(item)
            self.recorder.ok(item[1], node.state.values.get(item[2]))

    def history(self) -> History:
        return self.recorder.history()

    # -- looking

    def __getitem__(self, number: int) -> PrimaryBackupCore:
        return self.nodes[number].core

    def note(self, *what: Any) -> None:
        self.trace.update(repr((self.now_ns, what)).encode())

    def primary(self) -> int:
        """The node that leads the current view, 0 where it does not yet."""
        number = self.current.nodes[0]
        core = self[number]
        leads = self.nodes[number].up and core.role is PRIMARY and core.current.epoch == self.current.epoch
        return number if leads else 0
