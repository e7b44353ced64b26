"""Quorum cores in one process, in virtual time, over a network and disks that a seed makes unreliable.

Messages are encoded and decoded on their way; they are lost, doubled, delayed and overtake each other; nodes
crash, keeping only what was durable, and come back; clocks jump. Every core is audited after every step.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sortedcontainers import SortedDict
from tests.unit.protocols.quorum.register import Register
from xxhash import xxh3_64_intdigest

from comity.protocols.quorum import QuorumCore, QuorumOptions
from comity.protocols.quorum.messages import CODEC, Turn
from comity.protocols.quorum.versions import decode_copy
from comity.replica import (
    NEVER,
    CoreContext,
    KeyOperation,
    Members,
    Outcome,
    Stream,
    View,
)

MS = 1_000_000
SECOND = 1000 * MS
EPOCH_MS = 1_700_000_000_000


class MemoryCells:
    """The durable state of a replica: `base` survives a crash, `content` is what is read."""

    def __init__(self) -> None:
        self.base: dict[bytes, bytes] = {}
        self.content: SortedDict = SortedDict()
        self.turn: list[tuple[bytes, bytes | None]] = []
        self.unsynced: list[list[tuple[bytes, bytes | None]]] = []

    def get(self, key: bytes) -> bytes | None:
        found: bytes | None = self.content.get((xxh3_64_intdigest(key), key))
        return found

    def put(self, key: bytes, value: bytes | None) -> None:
        place = (xxh3_64_intdigest(key), key)
        if value is None:
            self.content.pop(place, None)
        else:
            self.content[place] = value
        self.turn.append((key, value))

    def walk(self, position: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        size = len(self.content)
        for place in self.content.irange((position, b"")):
            yield *place, self.content[place]
            assert len(self.content) == size, "put while walking"

    def __len__(self) -> int:
        return len(self.content)

    def end_turn(self) -> bool:
        """Whether anything was put in it."""
        if not self.turn:
            return False
        self.unsynced.append(self.turn)
        self.turn = []
        return True

    def sync(self) -> None:
        """The oldest turn becomes durable."""
        for key, value in self.unsynced.pop(0):
            if value is None:
                self.base.pop(key, None)
            else:
                self.base[key] = value

    def after_crash(self) -> MemoryCells:
        cells = MemoryCells()
        cells.base = dict(self.base)
        for key, value in self.base.items():
            cells.content[xxh3_64_intdigest(key), key] = value
        return cells


@dataclass
class Faults:
    """Chances of a message; delays in nanoseconds; how long a turn takes to be durable."""

    loss: float = 0.0
    double: float = 0.0
    delay: tuple[int, int] = (MS // 2, 2 * MS)
    slow: float = 0.0
    slow_delay: tuple[int, int] = (20 * MS, 300 * MS)
    sync: tuple[int, int] = (MS // 10, MS)


@dataclass
class Node:
    number: int
    cells: MemoryCells
    core: QuorumCore
    view: View
    first_view: View
    life: int = 0
    alive: bool = True
    clock_ms: int = 0
    synced: int = 0
    gated: list[tuple[int, int, Any]] = field(default_factory=list)
    turns: int = 0
    waiting: dict[int, Callable[[Outcome], None]] = field(default_factory=dict)


class Cluster:
    """numbers: of the nodes. The view holds them all unless another is given."""

    def __init__(
        self,
        seed: int,
        numbers: tuple[int, ...] = (1, 2, 3),
        options: QuorumOptions | None = None,
        core: type[QuorumCore] = QuorumCore,
        view: View | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.seed = seed
        self.random = Stream(seed, "cluster")
        self.options = options or QuorumOptions()
        self.core_class = core
        self.faults = faults or Faults()
        self.now_ns = SECOND
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.count = 0
        self.cut: dict[tuple[int, int], bool] = {}
        self.trace: list[tuple[int, int, int, bytes]] = []
        self.requests = 0
        self.register = Register()
        self.tags: dict[tuple[bytes, int, int], bytes | None] = {}
        self.numbers: dict[tuple[int, int], tuple[bytes, bytes | None]] = {}
        self.messages = 0
        view = view or View(1, numbers)
        self.nodes: dict[int, Node] = {}
        for number in numbers:
            self.add(number, view)

    # -- nodes

    def add(self, number: int, view: View) -> None:
        cells = MemoryCells()
        node = Node(number, cells, self.core_of(number, cells, view, 0), view, view)
        self.nodes[number] = node
        node.core.start(self.now_ns)
        self.end_turn(node)

    def core_of(self, number: int, cells: MemoryCells, view: View, life: int) -> QuorumCore:
        context = CoreContext(
            node=number,
            group="test",
            members=Members(voters=tuple(view.nodes)),
            stream=lambda label: Stream(self.seed, f"{number} {life} {label}"),
            note=lambda *_, **__: None,
            view=view,
            wall_ms=lambda: self.wall_ms(number),
        )
        return self.core_class(context, self.options, cells, self.register)

    def wall_ms(self, number: int) -> int:
        node = self.nodes.get(number)
        return EPOCH_MS + self.now_ns // MS + (node.clock_ms if node is not None else 0)

    def crash(self, number: int) -> None:
        node = self.nodes[number]
        if not node.alive:
            return
        node.alive = False
        node.gated.clear()
        node.life += 1
        for answer in list(node.waiting.values()):
            answer(_LOST)
        node.waiting.clear()
        node.cells = node.cells.after_crash()

    def restart(self, number: int) -> None:
        node = self.nodes[number]
        if node.alive:
            return
        node.alive = True
        node.synced = node.turns = 0
        node.core = self.core_of(number, node.cells, node.first_view, node.life)
        node.core.start(self.now_ns)
        self.end_turn(node)
        view = node.view
        self.after(self.random.between(0, 300 * MS), lambda: self.give_view(number, view))

    def give_view(self, number: int, view: View) -> None:
        """As the control group would, to one node."""
        node = self.nodes[number]
        node.view = view if view.epoch > node.view.epoch else node.view
        if node.alive:
            node.core.view(self.now_ns, view)
            self.end_turn(node)

    # -- requests

    def execute(
        self,
        number: int,
        operation: KeyOperation,
        answer: Callable[[Outcome], None],
        timeout_ns: int = SECOND,
    ) -> None:
        node = self.nodes[number]
        if not node.alive:
            answer(_DOWN)
            return
        self.requests += 1
        request = self.requests
        node.waiting[request] = answer
        life = node.life

        def expire() -> None:
            if node.alive and node.life == life and request in node.waiting:
                outcome = node.core.abandon(self.now_ns, request)
                node.waiting.pop(request)(outcome)
                self.end_turn(node)

        self.after(timeout_ns, expire)
        node.core.execute(self.now_ns, request, operation)
        self.end_turn(node)

    def do(self, number: int, payload: bytes, **fields: Any) -> Any:
        """Execute and run until it is answered."""
        found: list[Outcome] = []
        writes = not payload.startswith(b"GET")
        fields = {"key": b"x", "level": "linearizable"} | fields
        self.execute(number, KeyOperation(payload=payload, writes=writes, **fields), found.append)
        for _ in range(100_000):
            if found:
                return found[0]
            self.step()
        raise AssertionError("not answered")

    # -- the world

    def after(self, delay_ns: int, do: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now_ns + delay_ns, self.count, do))

    def end_turn(self, node: Node) -> None:
        effects = node.core.take(self.now_ns)
        if node.cells.end_turn():
            node.turns += 1
            life, turn = node.life, node.turns
            self.after(self.random.between(*self.faults.sync), lambda: self.sync(node, life, turn))
        for send in effects.send:
            self.transmit(node.number, send.peer, send.message)
        for send in effects.send_durable:
            if node.synced >= node.turns:
                self.transmit(node.number, send.peer, send.message)
            else:
                node.gated.append((node.turns, send.peer, send.message))
        assert not effects.write
        assert not effects.apply
        for reply in effects.reply:
            answer = node.waiting.pop(reply.request, None)
            if answer is not None:
                answer(reply.outcome)
        node.core.check()

    def sync(self, node: Node, life: int, turn: int) -> None:
        if node.life != life or not node.alive or node.synced >= turn:
            return
        while node.synced < turn:
            node.cells.sync()
            node.synced += 1
        ready = [gated for gated in node.gated if gated[0] <= turn]
        node.gated = [gated for gated in node.gated if gated[0] > turn]
        for _, peer, message in ready:
            self.transmit(node.number, peer, message)
        node.core.persisted(self.now_ns, turn)
        self.end_turn(node)

    def transmit(self, sender: int, peer: int, message: Any) -> None:
        data = CODEC.encode(message)
        self.messages += 1
        self.trace.append((self.now_ns, sender, peer, data))
        if isinstance(message, Turn):
            self.audit(sender, message)
        faults, random = self.faults, self.random
        copies = 2 if random.chance(faults.double) else 1
        for _ in range(copies):
            if random.chance(faults.loss):
                continue
            delay = faults.slow_delay if random.chance(faults.slow) else faults.delay
            self.after(random.between(*delay), lambda: self.arrive(sender, peer, data))

    def audit(self, sender: int, turn: Turn) -> None:
        """A tag is never given to two values, nor a number to two phases, over restarts too."""
        for store in turn.stores:
            for node, stamp, values in decode_copy(store.cell).entries:
                for value in values:
                    first = self.tags.setdefault((store.key, node, stamp), value)
                    assert first == value, f"tag ({stamp}, {node}) is that of {first!r} and {value!r}"
        phases: list[tuple[int, tuple[bytes, bytes | None]]] = [
            (ask.number, (ask.key, None)) for ask in turn.asks
        ]
        phases += [(store.number, (store.key, store.cell)) for store in turn.stores if store.number]
        for number, what in phases:
            assert self.numbers.setdefault((sender, number), what) == what, "a number used twice"

    def arrive(self, sender: int, peer: int, data: bytes) -> None:
        node = self.nodes.get(peer)
        if node is None or not node.alive or self.cut.get((sender, peer)):
            return
        node.core.receive(self.now_ns, sender, CODEC.decode(data))
        self.end_turn(node)

    def step(self) -> None:
        """The next event: a message, a disk, a client, or a core's deadline."""
        due, node = min(
            ((max(node.core.deadline_ns, self.now_ns), node) for node in self.nodes.values() if node.alive),
            key=lambda pair: (pair[0], pair[1].number),
            default=(NEVER, None),
        )
        if self.events and self.events[0][0] <= due:
            self.now_ns, _, do = heapq.heappop(self.events)
            do()
        elif node is not None and due < NEVER:
            self.now_ns = due
            node.core.wake(self.now_ns)
            self.end_turn(node)

    def run(self, duration_ns: int) -> None:
        end = self.now_ns + duration_ns
        self.after(duration_ns, lambda: None)
        while self.now_ns < end:
            self.step()

    def partition(self, *sides: tuple[int, ...]) -> None:
        """Only nodes of one side hear each other; no sides: heal."""
        self.cut = {
            (a, b): True
            for side in sides
            for a in side
            for other in sides
            if other is not side
            for b in other
        }

    # -- looking

    def placed(self) -> list[int]:
        """The nodes of the latest view that any of them has."""
        latest = max((node.core.current for node in self.nodes.values()), key=lambda view: view.epoch)
        return list(latest.nodes)

    def copies(self, key: bytes = b"x") -> dict[int, Any]:
        return {number: node.core.copy_of(key) for number, node in self.nodes.items()}

    def values(self, key: bytes = b"x") -> dict[int, bytes | None]:
        return {number: node.core.copy_of(key).value for number, node in self.nodes.items()}


class Lost:
    """The node crashed: nobody knows."""


class Down:
    """The node was not there: nothing happened."""


_LOST: Any = Lost()
_DOWN: Any = Down()
