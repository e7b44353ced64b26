"""The state of one gossip replica: what is stored, what is durable of it, and what waits for that.

One class per concept, each a layer over `Replica`: membership, delivery, stability, exchange, transfer,
serving. `GossipCore` puts them together. What one concept asks of another is declared here, abstract.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Mapping
from typing import Any

from comity.clocks import ClockDriftExceeded, HybridTime
from comity.protocols.gossip.log import DeltaLog, Held
from comity.protocols.gossip.messages import Batch
from comity.protocols.gossip.options import GossipOptions
from comity.protocols.gossip.records import (
    BOOKKEEPING,
    Bookkeeping,
    Logged,
    Transfer,
    client_key,
    decode_bookkeeping,
    decode_logged,
    delta_key,
    encode_bookkeeping,
    encode_logged,
)
from comity.protocols.gossip.vectors import Counts, covers, encode_token, joined_tokens, merged
from comity.replica import (
    Answered,
    Cells,
    CoreContext,
    InvariantBroken,
    KeyedCore,
    LatticeSemantics,
    NodeId,
    Outcome,
    Reply,
    RequestId,
    View,
)

HISTORY_EVENTS = 40
NODE_BITS = 24
NODE_MASK = (1 << NODE_BITS) - 1
MILLISECOND_NS = 1_000_000


class Turn:
    """What one turn wrote, until it is durable. replies: (request, reply, what its session had seen)."""

    __slots__ = ("keys", "number", "replies", "vector")

    def __init__(self, number: int) -> None:
        self.number = number
        self.vector: Counts = {}
        self.keys: dict[bytes, None] = {}
        self.replies: list[tuple[RequestId, bytes, Counts]] = []


class Replica(KeyedCore):
    """Cells, turns and durability: the ground the other layers stand on."""

    def __init__(
        self, context: CoreContext, options: GossipOptions, cells: Cells, semantics: LatticeSemantics
    ) -> None:
        super().__init__()
        self.context = context
        self.options = options
        self.cells = cells
        self.semantics = semantics
        self.node: NodeId = context.node
        self.stream = context.stream("gossip")
        self.now_ns = 0

        data = cells.get(BOOKKEEPING)
        book = (
            Bookkeeping({}, context.node, 0, 0, 0, View(0, ()), 0, {}, None, 0, {})
            if data is None
            else decode_bookkeeping(data)
        )
        self.vector: dict[int, int] = book.vector
        """What has been delivered here, of every origin; of this one what it has published."""
        self.origin = book.origin
        """Under which name this replica's writes go: its node, or after it came back a name never used
        before."""
        self.counter = book.counter
        """The last own dot used."""
        self.clock = HybridTime.unpack(book.stamp)
        self.position = book.position
        self.in_force = book.view
        self.joined = book.joined
        """Since which epoch this replica has belonged without a break; 0 until it has a state to belong
        with."""
        self.admitted: dict[NodeId, int] = book.admitted
        """Who came, or came again, and in which epoch."""
        self.transfer: Transfer | None = book.transfer
        """The full state being received."""
        self.discarded = book.discarded

        self.logs: dict[int, DeltaLog] = {}
        self.touched: dict[bytes, int] = {}
        """Key -> in how many of the logged batches it is."""
        self.recover_logs()

        self.deltas: dict[bytes, bytes] = {}
        """The writes of this turn, joined a key."""
        self.deltas_bytes = 0
        self.published: Batch | None = None
        """The batch of this turn."""
        self.known_after: dict[int, int] = dict(self.vector)
        """What this replica had delivered when it published last."""

        self.turns = 0
        """Turns with anything written since the start."""
        self.durable_turns = 0
        self.durable_vector: Counts = dict(self.vector)
        self.durable_token = encode_token(self.durable_vector)
        self.open_turn = Turn(1)
        self.wrote = False
        self.book_changed = False
        self.unsynced: deque[Turn] = deque()
        self.dirty: dict[bytes, int] = {}
        """Key -> the turn that wrote it last, while that is not durable."""
        self.whole_turn = 0
        """The turn in which a transfer ended. Its cells may be durable before: the vector that names what
        they hold, and so the token of who reads them, is not until then."""
        self.unanswered: dict[RequestId, bool] = {}
        """Requests carried out and not answered yet, and whether they write."""

        self.stable: dict[int, int] = book.stable
        """What everyone in the view has delivered, and nothing concurrent to which is on its way."""
        self.tombstones: dict[bytes, None] = {}
        """Keys whose state remembers removals worth forgetting, as far as they have been looked at."""
        self.collectable: deque[bytes] = deque()
        self.dropped: dict[str, int] = {}
        self.clock_refusals = 0
        self.history: deque[tuple[Any, ...]] = deque(maxlen=HISTORY_EVENTS)

    def recover_logs(self) -> None:
        """Find the logged batches, each by the one after it."""
        for origin in sorted(self.vector):
            found: list[Logged] = []
            last = self.vector[origin]
            while last:
                data = self.cells.get(delta_key(origin, last))
                if data is None:
                    break
                logged = decode_logged(data)
                found.append(logged)
                last = logged.batch.previous
            log = self.logs[origin] = DeltaLog(origin, last)
            for logged in reversed(found):
                log.append(Held(logged.position, logged.batch, 0))
                self.touch(logged.batch)

    # -- what the layers ask of one another

    @property
    @abc.abstractmethod
    def ready(self) -> bool:
        """Whether the state here is causally consistent and may be served."""

    @abc.abstractmethod
    def begin_transfer(self, now_ns: int, *, wipe: bool) -> None:
        """Have the full state sent by whoever serves."""

    @abc.abstractmethod
    def deliver_buffered(self, now_ns: int) -> None:
        """Apply the buffered batches whose dependencies are here now."""

    @abc.abstractmethod
    def advanced(self, now_ns: int) -> None:
        """The vector grew."""

    @abc.abstractmethod
    def forget_reports(self) -> None:
        """Another view is in force: who has what must be told anew."""

    @abc.abstractmethod
    def ask_everyone(self, now_ns: int) -> None:
        """Hear from every peer as soon as can be."""

    # -- storing

    def put(self, key: bytes, value: bytes | None) -> None:
        """Into the cells, as part of this turn."""
        self.cells.put(key, value)
        self.wrote = True

    def store(self, key: bytes, state: bytes) -> None:
        """The state of a client's key."""
        self.put(client_key(key), state)
        self.open_turn.keys[key] = None
        if self.semantics.worth_collecting(state):
            self.tombstones[key] = None
        else:
            self.tombstones.pop(key, None)

    def remove(self, key: bytes) -> None:
        """Forget a client's key."""
        self.put(client_key(key), None)
        self.open_turn.keys[key] = None
        self.tombstones.pop(key, None)

    def state_of(self, key: bytes) -> bytes | None:
        """The state of a client's key."""
        return self.cells.get(client_key(key))

    def log_batch(self, now_ns: int, batch: Batch) -> None:
        """Keep a batch for those who lack it, in the order of delivery; it has been applied."""
        log = self.logs.get(batch.origin)
        if log is None:
            log = self.logs[batch.origin] = DeltaLog(batch.origin, batch.previous)
        self.position += 1
        log.append(Held(self.position, batch, now_ns))
        self.touch(batch)
        self.put(delta_key(batch.origin, batch.last), encode_logged(Logged(self.position, batch)))
        self.vector[batch.origin] = batch.last
        self.book_changed = True

    def forget_oldest(self, log: DeltaLog) -> None:
        """Drop the oldest batch of a log."""
        batch = log.pop().batch
        self.put(delta_key(batch.origin, batch.last), None)
        for key, _ in batch.deltas:
            count = self.touched[key] - 1
            if count:
                self.touched[key] = count
            else:
                del self.touched[key]
                if key in self.tombstones:
                    self.collectable.append(key)

    def touch(self, batch: Batch) -> None:
        """Its keys are in a logged batch."""
        for key, _ in batch.deltas:
            self.touched[key] = self.touched.get(key, 0) + 1

    # -- time

    def wall_ns(self) -> int:
        """The wall clock of this turn."""
        return max(self.context.wall_ms(), 0) * MILLISECOND_NS

    def next_stamp(self) -> int:
        """A hybrid time above every one seen."""
        self.clock = self.clock.tick(self.wall_ns())
        return self.clock.pack()

    def see_stamp(self, stamp: int) -> None:
        """Another's time: from now on ours are above it, unless its clock is badly wrong. Then its writes
        still count (on each key, what has seen them comes after them) but our clock does not follow."""
        try:
            self.clock = self.clock.receive(
                self.wall_ns(), HybridTime.unpack(stamp), self.options.max_drift_ns
            )
        except ClockDriftExceeded:
            self.clock_refusals += 1
            self.context.note("gossip.clock", stamp=stamp)

    # -- durability

    def close_turn(self) -> None:
        """The end of a turn: what it wrote is one unit from here on."""
        if self.book_changed:
            self.put(BOOKKEEPING, encode_bookkeeping(self.bookkeeping()))
            self.book_changed = False
        if not self.wrote:
            return
        self.wrote = False
        self.turns += 1
        turn = self.open_turn
        turn.vector = dict(self.vector)
        for key in turn.keys:
            self.dirty[key] = turn.number
        self.unsynced.append(turn)
        self.open_turn = Turn(self.turns + 1)

    def bookkeeping(self) -> Bookkeeping:
        """What must survive a crash beside cells and deltas."""
        return Bookkeeping(
            self.vector,
            self.origin,
            self.counter,
            self.clock.pack(),
            self.position,
            self.in_force,
            self.joined,
            self.admitted,
            self.transfer,
            self.discarded,
            self.stable,
        )

    def persisted(self, now_ns: int, writes: int) -> None:
        """Turns are durable: their answers may go, and reads need not wait for their keys."""
        self.now_ns = now_ns
        if not self.durable_turns <= writes <= self.turns:
            raise self.broken(f"{writes} turns durable of {self.turns}, {self.durable_turns} before")
        self.durable_turns = writes
        answerable: list[tuple[RequestId, bytes, Counts]] = []
        while self.unsynced and self.unsynced[0].number <= writes:
            turn = self.unsynced.popleft()
            self.durable_vector = turn.vector
            answerable.extend(turn.replies)
            for key in turn.keys:
                if self.dirty.get(key) == turn.number:
                    del self.dirty[key]
        self.durable_token = encode_token(self.durable_vector)
        for request, reply, seen in answerable:
            if self.unanswered.pop(request, None) is not None:
                self.answer(request, reply, seen)

    def turn_to_wait_for(self, key: bytes) -> Turn | None:
        """The turn that must be durable before anybody may be told what this key holds."""
        if key in self.open_turn.keys or self.whole_turn == self.open_turn.number:
            return self.open_turn
        number = max(self.dirty.get(key, 0), self.whole_turn)
        return self.unsynced[number - self.unsynced[0].number] if number > self.durable_turns else None

    def answer(self, request: RequestId, reply: bytes, seen: Counts) -> None:
        """What a session has seen now: all that is durable here, and what it had seen before."""
        token = self.durable_token
        if not covers(self.durable_vector, seen):
            token = encode_token(merged(self.durable_vector, seen))
        self.effects.reply.append(Reply(request, Answered(reply, token)))

    # -- looking inside

    def reply(self, request: RequestId, outcome: Outcome) -> None:
        """The outcome of a request."""
        self.effects.reply.append(Reply(request, outcome))

    def drop(self, sender: NodeId, message: Any, reason: str) -> None:
        """Illegal input from a peer: counted and noted, never raised."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.context.note("gossip.dropped", sender=sender, message=type(message).__name__, reason=reason)

    def client_value(self, cell: bytes) -> bytes | None:
        """The state of a key without what remembers removals, None for a removed one."""
        return self.semantics.collect(cell)

    def join_tokens(self, first: bytes, second: bytes) -> bytes:
        """A vector that covers both; what is no token covers nothing."""
        return joined_tokens(first, second)

    @property
    def current(self) -> View:
        """The view in force."""
        return self.in_force

    def remember(self, *event: Any) -> None:
        """Keep an event for the report of a broken invariant."""
        self.history.append(event)

    def broken(self, what: str) -> InvariantBroken:
        """The error to raise where an invariant does not hold."""
        events = tuple(" ".join(str(part) for part in event) for event in self.history)
        return InvariantBroken(f"gossip replica {self.node} of {self.context.group}: {what}", events)

    def dropped_counts(self) -> Mapping[str, int]:
        """Messages dropped, by reason."""
        return dict(sorted(self.dropped.items()))
