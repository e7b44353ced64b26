"""A few Raft cores in one process, with a network and disks that tests control.

Nothing happens by itself: messages lie in `network` until delivered, records are durable after
`sync`. `settle` and `run` do the obvious for tests that do not care. After every step each core is
audited, and so are the properties of figure 3 of the paper across the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from comity.protocols.raft import RaftCore, RaftOptions
from comity.protocols.raft.messages import CODEC, Entry, Message
from comity.protocols.raft.records import hard_state_record
from comity.protocols.raft.state import LEADER
from comity.replica import (
    NEVER,
    Committed,
    CoreContext,
    Effects,
    EntryKind,
    Member,
    Members,
    Outcome,
    ReadAt,
    Record,
    Recovered,
    SnapshotChunk,
    SnapshotRead,
    SnapshotWrite,
    Stream,
    encode_members,
)
from comity.replica.logged import entry_record

MS = 1_000_000
CHUNK_ITEMS = 4


class State(msgspec.Struct):
    """A state machine that is the list of commands it was given."""

    index: int = 0
    term: int = 0
    members: bytes = b""
    commands: list[bytes] = []

    def apply(self, entry: Committed) -> None:
        assert entry.index == self.index + 1, f"applied {entry.index} after {self.index}"
        self.index, self.term = entry.index, entry.term
        if entry.kind == EntryKind.MEMBERS:
            self.members = entry.payload
        elif entry.kind == EntryKind.COMMAND:
            self.commands = [*self.commands, entry.payload]

    def copy(self) -> State:
        return State(self.index, self.term, self.members, list(self.commands))


@dataclass
class Packet:
    sender: int
    receiver: int
    message: Any


@dataclass
class Node:
    """A replica with its disk: `durable` and `unsynced` records, a durable state machine."""

    number: int
    core: RaftCore
    durable: list[Record] = field(default_factory=list)
    unsynced: list[Record] = field(default_factory=list)
    written: int = 0
    gated: list[tuple[int, Packet]] = field(default_factory=list)
    state: State = field(default_factory=State)
    durable_state: State = field(default_factory=State)
    staged: list[SnapshotChunk] = field(default_factory=list)
    reads: list[SnapshotRead] = field(default_factory=list)
    installs: list[int] = field(default_factory=list)
    outcomes: dict[int, list[Outcome]] = field(default_factory=dict)
    up: bool = True
    lives: int = 0
    synced: int = 0


def members_of(voters: Iterable[int], learners: Iterable[int] = ()) -> Members:
    voters, learners = tuple(sorted(voters)), tuple(sorted(learners))
    known = tuple(Member(node, f"host{node}:7101", f"host{node}:7001") for node in sorted(voters + learners))
    return Members(voters=voters, learners=learners, known=known)


class Cluster:
    """Cores 1..n, or exactly the given voters."""

    def __init__(
        self,
        voters: int | Iterable[int] = 3,
        *,
        options: RaftOptions | None = None,
        seed: int = 1,
        core: Callable[[CoreContext, RaftOptions, Recovered], RaftCore] = RaftCore,
        started: bool = True,
    ) -> None:
        numbers = range(1, voters + 1) if isinstance(voters, int) else voters
        self.options = options or RaftOptions()
        self.seed = seed
        self.core = core
        self.now_ns = 0
        self.members = members_of(numbers)
        self.network: list[Packet] = []
        self.notes: list[tuple[int, str, dict[str, Any]]] = []
        self.committed: dict[int, tuple[int, int, bytes]] = {}
        self.leaders: dict[int, int] = {}
        self.requests = 0
        self.read_floors: dict[tuple[int, int], int] = {}
        self.nodes: dict[int, Node] = {}
        self.cut: set[tuple[int, int]] = set()
        for number in self.members.voters:
            self.add(number, started=started)

    # -- nodes

    def add(
        self,
        number: int,
        *,
        started: bool = True,
        records: Iterable[Record] = (),
        state: State | None = None,
        members: Members | None = None,
    ) -> Node:
        node = Node(number, self._build(number, list(records), state or State(), 0, members))
        node.durable = list(records)
        node.durable_state = state or State()
        node.state = node.durable_state.copy()
        self.nodes[number] = node
        if started:
            self.start(number)
        return node

    def _build(
        self, number: int, records: list[Record], state: State, lives: int, members: Members | None = None
    ) -> RaftCore:
        def stream(label: str) -> Stream:
            return Stream(self.seed, f"{number}/{lives}/{label}")

        def note(event: str, **fields: Any) -> None:
            self.notes.append((number, event, fields))

        context = CoreContext(
            node=number, group="g", members=members or self.members, stream=stream, note=note
        )
        recovered = Recovered(
            records=records, applied=state.index, applied_term=state.term, members=state.members
        )
        return self.core(context, self.options, recovered)

    def start(self, number: int) -> None:
        self.nodes[number].core.start(self.now_ns)
        self.turn(number)

    def crash(self, number: int, keep: int = 0) -> None:
        """Everything not durable is gone, but for the first `keep` records on their way to disk."""
        node = self.nodes[number]
        node.up = False
        node.durable += node.unsynced[:keep]
        node.unsynced, node.gated = [], []
        node.staged, node.reads, node.installs = [], [], []

    def restart(self, number: int) -> None:
        node = self.nodes[number]
        node.lives += 1
        node.core = self._build(number, node.durable, node.durable_state, node.lives)
        node.state = node.durable_state.copy()
        node.written = node.synced = 0
        node.up = True
        self.start(number)

    def __getitem__(self, number: int) -> RaftCore:
        return self.nodes[number].core

    # -- one step

    def turn(self, number: int) -> None:
        """End the node's turn: carry out its effects as far as they need neither disk nor network."""
        node = self.nodes[number]
        effects = node.core.take(self.now_ns)
        self.observe(number, effects)
        for send in effects.send:
            self.network.append(Packet(number, send.peer, self._wire(send.message)))
        node.unsynced += effects.write
        node.written += len(effects.write)
        for send in effects.send_durable:
            packet = Packet(number, send.peer, self._wire(send.message))
            if node.unsynced:
                node.gated.append((node.written, packet))
            else:
                self.network.append(packet)
        for entry in effects.apply:
            node.state.apply(entry)
            facts = (entry.term, entry.kind, entry.payload)
            assert self.committed.setdefault(entry.index, facts) == facts, (
                f"state machine safety: node {number} applied another entry {entry.index}"
            )
        for reply in effects.reply:
            node.outcomes.setdefault(reply.request, []).append(reply.outcome)
            if isinstance(reply.outcome, ReadAt):
                floor = self.read_floors[(number, reply.request)]
                assert reply.outcome.index >= floor, (
                    f"linearizable reads: node {number} reads at {reply.outcome.index}, when it was asked "
                    f"{floor} had been applied"
                )
        for request in effects.snapshot:
            if isinstance(request, SnapshotRead):
                node.reads.append(request)
            else:
                self._stage(node, request)
        self.audit(number)

    def observe(self, number: int, effects: Effects) -> None:
        """Called with the effects of every turn."""

    @staticmethod
    def _wire(message: Any) -> Message:
        decoded: Message = CODEC.decode(CODEC.encode(message))
        assert decoded == message
        return decoded

    def _stage(self, node: Node, request: SnapshotWrite) -> None:
        if not request.chunk.cursor:
            node.staged = []
        node.staged.append(request.chunk)
        if not request.chunk.next_cursor:
            node.installs.append(request.chunk.index)
        else:
            node.core.snapshot_staged(self.now_ns)

    def sync(self, number: int, records: int | None = None) -> None:
        """The first `records` records on their way to disk (all) are durable now."""
        node = self.nodes[number]
        count = len(node.unsynced) if records is None else records
        node.durable += node.unsynced[:count]
        del node.unsynced[:count]
        node.synced = node.written - len(node.unsynced)
        self.network += [packet for needs, packet in node.gated if needs <= node.synced]
        node.gated = [(needs, packet) for needs, packet in node.gated if needs > node.synced]
        node.core.persisted(self.now_ns, node.synced)
        self.turn(number)

    def deliver(self, packet: Packet) -> None:
        """One packet arrives, if link and receiver are up."""
        node = self.nodes.get(packet.receiver)
        if node is None or not node.up or (packet.sender, packet.receiver) in self.cut:
            return
        node.core.receive(self.now_ns, packet.sender, packet.message)
        self.turn(packet.receiver)

    def receive(self, receiver: int, sender: int, message: Message) -> None:
        self.deliver(Packet(sender, receiver, message))

    def wake(self, number: int) -> None:
        self.nodes[number].core.wake(self.now_ns)
        self.turn(number)

    def serve_snapshots(self, number: int) -> None:
        """The host's part of snapshots: read chunks of the durable state, install staged ones."""
        node = self.nodes[number]
        reads, node.reads = node.reads, []
        for request in reads:
            node.core.snapshot_chunk(self.now_ns, request, self.chunk(node, request))
            self.turn(number)
        installs, node.installs = node.installs, []
        for index in installs:
            commands: list[bytes] = []
            for chunk in node.staged:
                commands += msgspec.msgpack.decode(chunk.data, type=list[bytes])
            last = node.staged[-1]
            node.staged = []
            node.state = State(last.index, last.term, last.members, commands)
            node.durable_state = node.state.copy()
            node.core.snapshot_installed(self.now_ns, index)
            self.turn(number)

    @staticmethod
    def chunk(node: Node, request: SnapshotRead) -> SnapshotChunk | None:
        state = node.durable_state
        if state.index == 0 or request.snapshot not in {0, state.index}:
            return None
        first = int(request.cursor or b"0")
        after = first + CHUNK_ITEMS
        data = msgspec.msgpack.encode(state.commands[first:after])
        next_cursor = str(after).encode() if after < len(state.commands) else b""
        return SnapshotChunk(state.index, state.term, state.members, request.cursor, next_cursor, data)

    def flush(self, number: int, compact: bool = True) -> None:
        """The state machine becomes durable; the log may be compacted."""
        node = self.nodes[number]
        node.durable_state = node.state.copy()
        if compact and not node.installs:
            node.core.compact(self.now_ns, node.state.index)
            self.turn(number)

    # -- many steps

    def settle(self, disks: Iterable[int] | None = None, rounds: int = 10_000) -> None:
        """Deliver and sync until nothing is on its way; time stands still. disks: only these sync."""
        for _ in range(rounds):
            progress = False
            while self.network:
                progress = True
                self.deliver(self.network.pop(0))
            for number in sorted(self.nodes) if disks is None else disks:
                node = self.nodes[number]
                if not node.up:
                    continue
                if node.unsynced:
                    progress = True
                    self.sync(number)
                if node.reads or node.installs:
                    progress = True
                    self.serve_snapshots(number)
            if not progress:
                return
        raise AssertionError("the cores never came to rest")

    def run(self, duration_ns: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass with a perfect network and disk; whether `until` came true."""
        end_ns = self.now_ns + duration_ns
        self.settle()
        while not until():
            due_ns = min((node.core.deadline_ns for node in self.nodes.values() if node.up), default=NEVER)
            if due_ns > end_ns:
                self.now_ns = end_ns
                return until()
            self.now_ns = max(self.now_ns, due_ns)
            for number, node in sorted(self.nodes.items()):
                if node.up and node.core.deadline_ns <= self.now_ns:
                    self.wake(number)
            self.settle()
        return True

    def run_until_led(self, duration_ns: int) -> bool:
        """Let time pass until there is a leader; whether there is."""
        return self.run(duration_ns, lambda: self.leader() != 0)

    def partition(self, *sides: Iterable[int]) -> None:
        """Only nodes of one side reach each other."""
        side_of = {number: side for side, numbers in enumerate(sides) for number in numbers}
        self.cut = {
            (one, other)
            for one in self.nodes
            for other in self.nodes
            if one != other and side_of.get(one) != side_of.get(other)
        }

    def heal(self) -> None:
        self.cut = set()

    # -- requests

    def _request(self) -> int:
        self.requests += 1
        return self.requests

    def propose(self, number: int, payload: bytes = b"x") -> int:
        request = self._request()
        self[number].propose(self.now_ns, request, payload)
        self.turn(number)
        return request

    def read(self, number: int) -> int:
        request = self._request()
        self.read_floors[(number, request)] = max(self.committed, default=0)
        self[number].read(self.now_ns, request)
        self.turn(number)
        return request

    def administer(self, number: int, operation: Any) -> int:
        request = self._request()
        self[number].administer(self.now_ns, request, operation)
        self.turn(number)
        return request

    def outcome(self, number: int, request: int) -> Outcome | None:
        outcomes = self.nodes[number].outcomes.get(request, [])
        assert len(outcomes) <= 1, f"request {request} was answered twice: {outcomes}"
        return outcomes[0] if outcomes else None

    # -- looking

    def leader(self) -> int:
        """The leader of the latest term, 0 where there is none."""
        best = 0
        for number, node in sorted(self.nodes.items()):
            if node.up and node.core.role is LEADER and (not best or node.core.term > self[best].term):
                best = number
        return best

    def elect(self, number: int) -> RaftCore:
        """Make this node leader, all others following, with everything at rest."""
        self.settle()
        core = self[number]
        for other, node in self.nodes.items():
            if other != number and node.up:
                node.core.contact_ns = -(1 << 62)  # as if no leader had been heard of
        if core.role is not LEADER:
            core.contact_ns = -(1 << 62)
            core.campaign(self.now_ns)
            self.turn(number)
            self.settle()
        assert core.role is LEADER, f"node {number} was not elected: {core.status()}"
        return core

    def log(self, number: int) -> list[tuple[int, bytes]]:
        """(term, payload) of every entry held."""
        return [(entry.term, entry.payload) for entry in self[number].log.entries]

    def audit(self, number: int) -> None:
        """The core's own invariants; election safety and leader completeness (figure 3)."""
        core = self[number]
        core.check()
        if core.role is LEADER and self.leaders.get(core.term) != number:
            assert core.term not in self.leaders, (
                f"election safety: {self.leaders[core.term]} and {number} in {core.term}"
            )
            self.leaders[core.term] = number
            for index, (term, kind, payload) in self.committed.items():
                if index > core.log.base:
                    held = core.log.entry(index) if index <= core.log.last else None
                    assert held == Entry(term, kind, payload), (
                        f"leader completeness: {number} leads {core.term} without entry {index}"
                    )

    def check(self) -> None:
        """Everything, thoroughly: log matching too (figure 3)."""
        for node in self.nodes.values():
            if node.up:
                node.core.deep_check()
        held: dict[tuple[int, int], tuple[int, bytes, int]] = {}
        for number in self.nodes:
            log = self[number].log
            previous_term = log.base_term
            for index in range(log.base + 1, log.last + 1):
                entry = log.entry(index)
                facts = (entry.kind, entry.payload, previous_term)
                same = held.setdefault((index, entry.term), facts)
                assert same == facts, f"log matching: two entries {index} of term {entry.term}"
                previous_term = entry.term


def records_of(term: int, terms: Iterable[int], vote: int = 0) -> list[Record]:
    """The journal of a replica in `term` whose log has entries of these terms."""
    entries = [Entry(entry_term, 0, f"{entry_term}".encode()) for entry_term in terms]
    return [
        hard_state_record(term, vote),
        *(entry_record(index, entry) for index, entry in enumerate(entries, 1)),
    ]


def encoded(members: Members) -> bytes:
    return encode_members(members)


def with_logs(
    logs: dict[int, list[int]],
    term: int,
    *,
    options: RaftOptions | None = None,
    core: Callable[[CoreContext, RaftOptions, Recovered], RaftCore] = RaftCore,
) -> Cluster:
    """A cluster whose replicas restart in `term` with logs of these terms; nothing is committed."""
    cluster = Cluster(sorted(logs), options=options, core=core, started=False)
    for number, terms in logs.items():
        cluster.add(number, records=records_of(term, terms))
    return cluster


def sent(cluster: Cluster, kind: type, sender: int = 0, receiver: int = 0) -> list[Any]:
    """The messages of a kind on their way, of that sender to that receiver (0: any)."""
    return [
        packet.message
        for packet in cluster.network
        if type(packet.message) is kind and sender in {0, packet.sender} and receiver in {0, packet.receiver}
    ]


def terms_of(cluster: Cluster, number: int) -> list[int]:
    return [term for term, _ in cluster.log(number)]
