"""The state of one Paxos replica, and what all parts of the core do with it: disk, messages, time.

The core is one state machine, written as one class per concept, each a layer over `Replica`: accepting,
proposing, reading, collecting, moving. `PaxosCore` puts them together. What one concept asks of another is
declared here.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from comity.protocols.paxos.acceptor import Acceptor
from comity.protocols.paxos.ballots import Counter
from comity.protocols.paxos.messages import Answer, Answers, Ask, Asks, Learn, size_of
from comity.protocols.paxos.options import PaxosOptions
from comity.protocols.paxos.quorums import is_quorum, participants
from comity.protocols.paxos.trips import Trips, until_quorum
from comity.replica import (
    NEVER,
    Cells,
    CoreContext,
    Effects,
    InvariantBroken,
    KeyedCore,
    NodeId,
    Outcome,
    RegisterSemantics,
    Reply,
    RequestId,
    Send,
    UnusableRecord,
    View,
)

HISTORY_EVENTS = 40

RESERVED = b"b"
"""Where the bound of ballots is stored; client keys begin with b"k"."""
FLOOR = b"f"
VIEW = b"v"
SETTLED = b"s"
WIPING = b"w"
CLIENT = b"k"

_encode = msgspec.msgpack.Encoder().encode
_number = msgspec.msgpack.Decoder(int)
_view = msgspec.msgpack.Decoder(View)


class Timed:
    """Something that wants to be looked at when `due_ns` comes, unless it was armed anew since."""

    __slots__ = ("due_ns",)

    def __init__(self) -> None:
        self.due_ns = NEVER


class Replica(KeyedCore):
    """State, durability, messages and deadlines: the ground the other layers stand on."""

    acceptor: Acceptor = Acceptor()
    """The rules by which this replica accepts."""

    def __init__(
        self, context: CoreContext, options: PaxosOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__()
        self.context = context
        self.options = options
        self.cells = cells
        self.semantics = semantics
        self.node: NodeId = context.node

        self.counter = Counter(self.first_counter(self.recovered_number(RESERVED)), options.reserve_ballots)
        self.floor = self.recovered_number(FLOOR)
        """Registers whose tombstone had a counter up to this were removed: where nothing is stored, nothing
        up to it is accepted."""
        self.settled_epoch = self.recovered_number(SETTLED)
        self.wiping = self.recovered_number(WIPING)
        """The epoch in which this replica came in anew and has not removed its old registers yet; 0: none."""
        self.view_in_force = self.recovered_view()
        self.voters: tuple[NodeId, ...] = ()
        self.peers: tuple[NodeId, ...] = ()
        self.trips = Trips()
        self.paces: tuple[int, int] | None = None
        """(round trip to a quorum, timeout of one) as far as observed; None: to be found out anew."""
        self.trips_noted = False
        """Whether an answer came in this turn that tells how long it took."""
        self.behind = 0
        """The highest epoch heard of that is not in force here."""
        self.take_part()

        self.dirty = False
        """Whether something was put into the cells in this turn."""
        self.written = 0
        """Turns before this one with something put."""
        self.synced = 0
        """Of these, how many are durable."""
        self.reserving = False

        self.asks_to_all: list[Ask] = []
        self.asks: dict[NodeId, list[Ask]] = {}
        self.answers: dict[NodeId, list[Answer]] = {}
        self.asked_ns: dict[NodeId, int] = {}
        """When the earliest of the questions that came in this turn had left, by its sender."""
        self.own_answers: list[Answer] = []
        """Of this replica's acceptor to itself, in this turn."""
        self.gated_answers: deque[tuple[int, list[Answer]]] = deque()
        """(turn that must be durable, answers)."""

        self.timers: list[tuple[int, int, Timed]] = []
        self.armed = 0
        self.fire: dict[type, Callable[[int, Any], None]] = {}
        """What to do when something is due, by its type."""

        self.counts: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        self.history: deque[tuple[Any, ...]] = deque(maxlen=HISTORY_EVENTS)

    # -- what was recovered

    def recovered_number(self, name: bytes) -> int:
        """A bookkeeping number, 0 where none is stored. Raises `UnusableRecord`."""
        data = self.cells.get(name)
        try:
            return 0 if data is None else _number.decode(data)
        except msgspec.DecodeError as error:
            raise UnusableRecord(f"paxos bookkeeping {name!r} cannot be read: {error}") from None

    def recovered_view(self) -> View:
        """The view adopted last, before any where none was."""
        data = self.cells.get(VIEW)
        try:
            return View(0, ()) if data is None else _view.decode(data)
        except msgspec.DecodeError as error:
            raise UnusableRecord(f"the stored view cannot be read: {error}") from None

    def first_counter(self, recovered: int) -> int:
        """Where the counter starts: at the bound, below which everything may have been used."""
        return recovered

    # -- what the layers ask of one another

    def serve(self, now_ns: int, sender: NodeId, item: Ask) -> None:
        """Answer what a proposer, maybe this one, asks of this replica."""
        raise NotImplementedError

    def hear(self, now_ns: int, sender: NodeId, item: Answer) -> None:
        """An answer to what this replica asked, maybe its own."""
        raise NotImplementedError

    def begin(self, now_ns: int) -> None:
        """Start what has become possible in this turn."""
        raise NotImplementedError

    # -- view

    @property
    def current(self) -> View:
        """The view in force on this replica."""
        return self.view_in_force

    @property
    def epoch(self) -> int:
        """Of the view in force."""
        return self.view_in_force.epoch

    def take_part(self) -> None:
        """Follow from the view in force who takes part."""
        self.voters = participants(self.view_in_force)
        self.peers = tuple(node for node in self.voters if node != self.node)

    @property
    def active(self) -> bool:
        """Whether this replica accepts and proposes: it is in the view and has no old registers left from an
        earlier membership."""
        return self.node in self.voters and not self.wiping

    def has_quorum(self, nodes: Collection[NodeId]) -> bool:
        """Whether these nodes decide in the view in force."""
        return is_quorum(self.view_in_force, nodes)

    def has_everyone(self, nodes: Collection[NodeId]) -> bool:
        """Whether these are all acceptors of the view in force."""
        return all(node in nodes for node in self.voters)

    # -- disk

    def put(self, name: bytes, value: bytes | None) -> None:
        """Store, as part of this turn's write."""
        self.cells.put(name, value)
        self.dirty = True

    def put_number(self, name: bytes, number: int) -> None:
        """Store a bookkeeping number."""
        self.put(name, _encode(number))

    def put_view(self) -> None:
        """Store the view in force: the epoch is a fencing token, so it must survive a crash."""
        self.put(VIEW, _encode(self.view_in_force))

    def all_durable(self) -> bool:
        """Whether everything put so far, in this turn too, is durable."""
        return not self.dirty and self.synced == self.written

    def own_answers_count(self) -> bool:
        """Whether what this replica's acceptor just told itself survives a crash."""
        return self.all_durable()

    def note_durable(self, now_ns: int, writes: int) -> None:
        """`persisted` said so: answers to itself count from now on, reserved ballots may leave."""
        if not self.synced <= writes <= self.written:
            raise self.broken(f"{writes} writes durable of {self.written}, {self.synced} before")
        self.synced = writes
        self.counter.persisted(writes)
        while self.gated_answers and self.gated_answers[0][0] <= writes:
            for answer in self.gated_answers.popleft()[1]:
                self.hear(now_ns, self.node, answer)

    def reserve_ballots(self) -> None:
        """Set another block of ballots aside where the last one runs out."""
        bound = self.counter.bound_to_write()
        if bound:
            self.put_number(RESERVED, bound)
            self.reserving = True

    def raise_floor(self, floor: int) -> None:
        """Registers up to that counter were removed somewhere."""
        if floor > self.floor:
            self.floor = floor
            self.put_number(FLOOR, floor)
            self.counter.jump(floor)

    # -- messages

    def ask_everyone(self, now_ns: int, item: Ask) -> None:
        """Ask all who take part, this replica too."""
        self.asks_to_all.append(item)
        if type(item) is not Learn:
            self.serve(now_ns, self.node, item)

    def ask(self, now_ns: int, nodes: Collection[NodeId], item: Ask) -> None:
        """Ask some again."""
        for node in nodes:
            if node == self.node:
                self.serve(now_ns, node, item)
            else:
                self.asks.setdefault(node, []).append(item)

    def answer(self, node: NodeId, item: Answer) -> None:
        """Answer, once what was put in this turn is durable."""
        if node == self.node:
            self.own_answers.append(item)
        else:
            self.answers.setdefault(node, []).append(item)

    def hear_own_answers(self, now_ns: int) -> None:
        """Own answers that depend on nothing that could be lost count at once."""
        while self.own_answers and self.own_answers_count():
            answers, self.own_answers = self.own_answers, []
            for answer in answers:
                self.hear(now_ns, self.node, answer)
            self.begin(now_ns)

    def ballots_may_leave(self) -> bool:
        """Whether every ballot drawn lies below a durable bound; else questions wait for the disk."""
        return self.counter.safe

    def answer_lane(self) -> list[Send]:
        """What others will rely on after a crash leaves when it is durable."""
        return self.effects.send_durable

    def flush(self, now_ns: int) -> None:
        """One message a peer and lane for all of this turn, more only where it would be too large."""
        epoch, floor = self.epoch, self.floor
        if self.asks_to_all or self.asks:
            lane = self.effects.send if self.ballots_may_leave() else self.effects.send_durable
            shared = [Asks(epoch, floor, part, now_ns) for part in self.parts(self.asks_to_all)]
            for peer in self.peers:
                messages = shared
                if self.asks.get(peer):
                    items = [*self.asks_to_all, *self.asks[peer]]
                    messages = [Asks(epoch, floor, part, now_ns) for part in self.parts(items)]
                lane.extend(Send(peer, message) for message in messages)
            self.asks_to_all, self.asks = [], {}
        if self.answers:
            lane = self.answer_lane()
            for peer, answers in self.answers.items():
                asked_ns = self.asked_ns.get(peer, 0)
                lane.extend(Send(peer, Answers(epoch, floor, part, asked_ns)) for part in self.parts(answers))
            self.answers = {}
        self.asked_ns = {}

    def parts(self, items: Sequence[Any]) -> list[list[Any]]:
        """The items in parts that fit into a message."""
        if len(items) == 1:
            return [[*items]]
        options = self.options
        parts: list[list[Any]] = []
        part: list[Any] = []
        room = options.max_message_bytes
        for item in items:
            size = size_of(item)
            if part and (size > room or len(part) >= options.max_message_items):
                parts.append(part)
                part, room = [], options.max_message_bytes
            part.append(item)
            room -= size
        if part:
            parts.append(part)
        return parts

    def close_turn(self) -> Effects:
        """Number this turn's write and hand over the effects."""
        if self.dirty:
            self.dirty = False
            self.written += 1
            if self.reserving:
                self.reserving = False
                self.counter.written(self.written)
        if self.trips_noted:
            self.trips_noted = False
            self.paces = None
        if self.own_answers:
            self.gated_answers.append((self.written, self.own_answers))
            self.own_answers = []
        taken, self.effects = self.effects, Effects()
        return taken

    def reply(self, request: RequestId, outcome: Outcome) -> None:
        """The outcome of a request of this node."""
        self.effects.reply.append(Reply(request, outcome))

    def drop(self, sender: NodeId, message: Any, reason: str) -> None:
        """Illegal input from a peer: counted and noted, never raised."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.context.note("paxos.dropped", sender=sender, message=type(message).__name__, reason=reason)

    def count(self, what: str, by: int = 1) -> None:
        """For `status`."""
        self.counts[what] = self.counts.get(what, 0) + by

    # -- time

    def patience_ns(self) -> int:
        """When to ask again first: once a quorum should have answered."""
        options = self.options
        return max(options.retry_ns, min(self.quorum_timeout_ns(), options.retry_max_ns))

    def quorum_timeout_ns(self) -> int:
        """When a quorum should have answered at the latest, as observed; 0 where that is not known."""
        return self.pace()[1]

    def quorum_trip_ns(self) -> int:
        """How long a quorum takes to answer, as observed; 0 where that is not known."""
        return self.pace()[0]

    def pace(self) -> tuple[int, int]:
        """Both, worked out once after each turn with an answer."""
        if self.paces is None:
            trips, node, peers = self.trips, self.node, self.peers
            self.paces = (
                until_quorum(node, peers, trips.smoothed_ns, self.has_quorum),
                until_quorum(node, peers, trips.timeout_ns, self.has_quorum),
            )
        return self.paces

    def note_trip(self, peer: NodeId, took_ns: int) -> None:
        """A peer's answer came so long after the question left."""
        self.trips.add(peer, took_ns)
        self.trips_noted = True

    def arm(self, timed: Timed, due_ns: int) -> None:
        """Look at it then, and not at the time set before."""
        timed.due_ns = due_ns
        self.armed += 1
        heapq.heappush(self.timers, (due_ns, self.armed, timed))

    def fire_due(self, now_ns: int) -> None:
        """Look at everything that is due."""
        while self.timers and self.timers[0][0] <= now_ns:
            due_ns, _, timed = heapq.heappop(self.timers)
            if timed.due_ns == due_ns:
                timed.due_ns = NEVER
                self.fire[type(timed)](now_ns, timed)

    def set_deadline(self) -> None:
        """The first thing that is still due."""
        timers = self.timers
        while timers and timers[0][2].due_ns != timers[0][0]:
            heapq.heappop(timers)
        self.deadline_ns = timers[0][0] if timers else NEVER

    # -- for people

    def remember(self, *event: Any) -> None:
        """Keep an event for the report of a broken invariant."""
        self.history.append(event)

    def broken(self, what: str) -> InvariantBroken:
        """The error to raise where an invariant does not hold."""
        events = tuple(" ".join(str(part) for part in event) for event in self.history)
        return InvariantBroken(f"paxos replica {self.node} of {self.context.group}: {what}", events)
