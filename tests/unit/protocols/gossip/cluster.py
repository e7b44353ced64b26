"""Gossip cores with a network, disks and clocks of virtual time, all decided by a seed.

A crash keeps only what is durable: turns not synced yet, gated messages and everything in memory are lost.
Every message goes through the codec; every core is audited after every step.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

from xxhash import xxh3_64_intdigest

from comity.protocols.gossip import GossipCore, GossipOptions
from comity.protocols.gossip.messages import CODEC
from comity.replica import (
    NEVER,
    Answered,
    CoreContext,
    KeyOperation,
    Member,
    Members,
    Outcome,
    Refused,
    Stream,
    Unknown,
    View,
)
from comity.store.lattices import Lattices, payload_of

MS = 1_000_000
EPOCH_MS = 1_700_000_000_000


class MemoryCells:
    """Durable cells in memory, with the puts of the turn and of turns not synced yet beside them."""

    def __init__(self, durable: dict[bytes, bytes] | None = None) -> None:
        self.durable = dict(durable or {})
        self.live = dict(self.durable)
        self.turn: list[tuple[bytes, bytes | None]] = []

    def get(self, key: bytes) -> bytes | None:
        return self.live.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        self.turn.append((key, value))
        _put(self.live, key, value)

    def walk(self, position: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        order = sorted((xxh3_64_intdigest(key), key) for key in self.live)
        return ((place, key, self.live[key]) for place, key in order if place >= position)

    def __len__(self) -> int:
        return len(self.live)


def _put(cells: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
    if value is None:
        cells.pop(key, None)
    else:
        cells[key] = value


class Node:
    def __init__(self, number: int) -> None:
        self.number = number
        self.cells = MemoryCells()
        self.core: GossipCore | None = None
        self.life = 0
        self.written = self.durable = 0
        self.unsynced: list[list[tuple[bytes, bytes | None]]] = []
        self.gated: list[tuple[int, int, bytes]] = []
        self.syncing = self.turning = False
        self.skew_ms = 0
        self.waiting: dict[int, Callable[[Outcome], None]] = {}


class Cluster:
    """seed: decides everything. cores: the class of the cores. loss, duplication: of messages, 0 to 1."""

    def __init__(
        self,
        seed: int,
        nodes: int = 3,
        cores: type[GossipCore] = GossipCore,
        options: GossipOptions | None = None,
        *,
        loss: float = 0.0,
        duplication: float = 0.0,
        slow: float = 0.0,
        sync_ms: int = 3,
        skew_ms: int = 0,
        audit: bool = True,
    ) -> None:
        self.stream = Stream(seed, "cluster")
        self.seed = seed
        self.cores, self.options = cores, options or GossipOptions()
        self.loss, self.duplication, self.slow, self.sync_ms = loss, duplication, slow, sync_ms
        self.audit = audit
        self.now_ns = 0
        self.sequence = 0
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.cut: set[tuple[int, int]] = set()
        self.sent: list[tuple[int, int, int, bytes]] = []
        self.requests = 0
        self.current = View(1, tuple(range(1, nodes + 1)))
        self.nodes: dict[int, Node] = {}
        for number in range(1, nodes + 1):
            self.add(number, skew_ms)

    # -- life

    def add(self, number: int, skew_ms: int = 0) -> None:
        """A new node with an empty disk, not in any view unless the current one names it."""
        node = self.nodes[number] = Node(number)
        node.skew_ms = self.stream.between(-skew_ms, skew_ms)
        self.start(number)

    def start(self, number: int) -> None:
        node = self.nodes[number]
        node.life += 1
        node.cells = MemoryCells(node.cells.durable)
        node.written = node.durable = 0
        node.unsynced, node.gated, node.waiting = [], [], {}
        node.syncing = node.turning = False
        life = f"{number}.{node.life}"
        node.core = self.cores(
            CoreContext(
                node=number,
                group="carts",
                members=Members(
                    tuple(sorted(self.nodes)), known=tuple(Member(n) for n in sorted(self.nodes))
                ),
                stream=lambda label: Stream(self.seed, f"{life}/{label}"),
                note=lambda *args, **fields: None,
                view=self.current,
                wall_ms=lambda: EPOCH_MS + self.now_ns // MS + node.skew_ms,
            ),
            self.options,
            node.cells,
            Lattices(),
        )
        node.core.start(self.now_ns)
        self.touched(node)

    def crash(self, number: int) -> None:
        node = self.nodes[number]
        node.core = None
        node.life += 1
        lost, node.waiting = node.waiting, {}
        for answer in lost.values():
            answer(Unknown("crashed"))

    def give_view(self, view: View, but: tuple[int, ...] = ()) -> None:
        """As the control group would, to every node that is up."""
        self.current = view
        for number, node in self.nodes.items():
            if node.core is not None and number not in but:
                node.core.view(self.now_ns, view)
                self.touched(node)

    # -- time

    def at(self, delay_ns: int, action: Callable[[], None]) -> None:
        self.sequence += 1
        heapq.heappush(self.events, (self.now_ns + delay_ns, self.sequence, action))

    def run(self, milliseconds: float) -> None:
        end = self.now_ns + int(milliseconds * MS)
        while self.events and self.events[0][0] <= end:
            self.now_ns, _, action = heapq.heappop(self.events)
            action()
        self.now_ns = end

    def touched(self, node: Node) -> None:
        """A stimulus was given: its turn ends soon, with whatever else comes until then."""
        if not node.turning:
            node.turning = True
            life = node.life
            self.at(self.stream.below(MS // 2), lambda: self.end_turn(node, life))

    def end_turn(self, node: Node, life: int) -> None:
        core = node.core
        if core is None or node.life != life:
            return
        node.turning = False
        effects = core.take(self.now_ns)
        if self.audit:
            core.check()
        if node.cells.turn:
            node.unsynced.append(node.cells.turn)
            node.cells.turn = []
            node.written += 1
            self.sync(node)
        for send in effects.send:
            self.transmit(node.number, send.peer, CODEC.encode(send.message))
        for send in effects.send_durable:
            node.gated.append((node.written, send.peer, CODEC.encode(send.message)))
        self.release(node)
        for reply in effects.reply:
            answer = node.waiting.pop(reply.request, None)
            if answer is not None:
                answer(reply.outcome)
        self.arm(node)

    def arm(self, node: Node) -> None:
        core, life = node.core, node.life
        if core is None or core.deadline_ns >= NEVER:
            return
        due = core.deadline_ns

        def ring() -> None:
            if node.life == life and core.deadline_ns <= self.now_ns:
                core.wake(self.now_ns)
                self.touched(node)

        self.at(max(due - self.now_ns, 0), ring)

    # -- disk

    def sync(self, node: Node) -> None:
        if node.syncing:
            return
        node.syncing = True
        life, upto = node.life, node.written

        def done() -> None:
            core = node.core
            if node.life != life or core is None:
                return
            node.syncing = False
            for _ in range(upto - node.durable):
                for key, value in node.unsynced.pop(0):
                    _put(node.cells.durable, key, value)
            node.durable = upto
            core.persisted(self.now_ns, upto)
            self.release(node)
            self.touched(node)
            if node.unsynced:
                self.sync(node)

        self.at(self.stream.between(MS // 5, self.sync_ms * MS), done)

    def release(self, node: Node) -> None:
        while node.gated and node.gated[0][0] <= node.durable:
            _, peer, data = node.gated.pop(0)
            self.transmit(node.number, peer, data)

    # -- network

    def transmit(self, sender: int, receiver: int, data: bytes) -> None:
        self.sent.append((self.now_ns, sender, receiver, data))
        copies = 2 if self.stream.chance(self.duplication) else 1
        for _ in range(copies):
            if self.stream.chance(self.loss):
                continue
            delay = self.stream.between(MS // 5, 5 * MS)
            if self.stream.chance(self.slow):
                delay += self.stream.below(300 * MS)
            self.at(delay, lambda: self.arrive(sender, receiver, data))

    def arrive(self, sender: int, receiver: int, data: bytes) -> None:
        node = self.nodes.get(receiver)
        if node is None or node.core is None or (sender, receiver) in self.cut:
            return
        node.core.receive(self.now_ns, sender, CODEC.decode(data))
        if self.audit:
            node.core.check()
        self.touched(node)

    def partition(self, *sides: tuple[int, ...]) -> None:
        self.cut = {
            (one, other) for side in sides for one in side for other in self.nodes if other not in side
        }
        self.cut |= {(other, one) for one, other in self.cut}

    def heal(self) -> None:
        self.cut = set()

    # -- clients

    def ask(
        self,
        number: int,
        commands: list[list[bytes]],
        answer: Callable[[Outcome], None],
        *,
        writes: bool,
        token: bytes = b"",
        level: str = "causal",
        timeout_ms: int = 500,
    ) -> None:
        node = self.nodes[number]
        if node.core is None:
            answer(Refused("down"))
            return
        self.requests += 1
        request, life = self.requests, node.life
        node.waiting[request] = answer
        node.core.execute(
            self.now_ns,
            request,
            KeyOperation(
                key=commands[0][1],
                payload=payload_of(2, commands),
                writes=writes,
                level=level,
                token=token,
            ),
        )
        self.touched(node)

        def expire() -> None:
            if node.life == life and request in node.waiting and node.core is not None:
                del node.waiting[request]
                answer(node.core.abandon(self.now_ns, request))

        self.at(timeout_ms * MS, expire)

    def do(self, number: int, *words: str, writes: bool = True, **how: Any) -> Outcome:
        """Ask, and let time pass until the answer is there."""
        outcomes: list[Outcome] = []
        self.ask(number, [[word.encode() for word in words]], outcomes.append, writes=writes, **how)
        while not outcomes:
            self.run(0.5)
        return outcomes[0]

    def read(self, number: int, key: str, **how: Any) -> bytes:
        outcome = self.do(number, "GET", key, writes=False, **how)
        assert isinstance(outcome, Answered), outcome
        return outcome.reply

    # -- looking

    def core(self, number: int) -> GossipCore:
        core = self.nodes[number].core
        assert core is not None
        return core

    def digest(self, number: int) -> dict[bytes, bytes]:
        """Every client's key and what a client sees of it."""
        lattices, found = Lattices(), {}
        for _, key, cell in self.nodes[number].cells.walk():
            if key[:1] == b"k":
                state = self.core(number).client_value(cell)
                value = None if state is None else lattices.value(state)
                if value is not None:
                    found[key[1:]] = value
        return found
