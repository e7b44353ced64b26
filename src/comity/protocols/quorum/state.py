"""The state of one quorum replica: its view, its copies, what is durable, and the messages of the turn.

The core is one state machine, written as one class per concept, each a layer over the one before (README.md
names them). What one concept asks of a later one is declared here, abstract.
"""

from __future__ import annotations

import abc
from collections import deque
from typing import Any

import msgspec
from xxhash import xxh3_64_intdigest

from comity.protocols.quorum.messages import Answer, Ask, Store, Turn
from comity.protocols.quorum.options import QuorumOptions
from comity.protocols.quorum.placement import Placement
from comity.protocols.quorum.stamps import Stamps
from comity.protocols.quorum.trees import Forest
from comity.protocols.quorum.versions import NOTHING, Copy, decode_copy, encode_copy, resolver_of
from comity.replica import (
    Cells,
    CoreContext,
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

CLIENT = b"k"
HINT = b"h"
CLOCK_CELL = b"q-clock"
VIEW_CELL = b"q-view"
HISTORY_EVENTS = 40
LAST_POSITION = (1 << 64) - 1

_view_encoder = msgspec.msgpack.Encoder()
_view_decoder = msgspec.msgpack.Decoder(View)


class Outbox:
    """What a turn has for one peer."""

    __slots__ = ("answers", "asks", "stored", "stores")

    def __init__(self) -> None:
        self.asks: list[Ask] = []
        self.stores: list[Store] = []
        self.answers: list[Answer] = []
        self.stored: list[int] = []


class Replica(KeyedCore):
    """State, durability, messages: the ground the other layers stand on."""

    def __init__(
        self, context: CoreContext, options: QuorumOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__()
        self.context = context
        self.options = options
        self.cells = cells
        self.semantics = semantics
        self.node: NodeId = context.node
        self.resolver = resolver_of(options.conflicts, options.max_siblings)

        self.in_force = self.recovered_view()
        self.placement = Placement(self.in_force, options.n, options.r, options.w)

        self.turns = 0
        """Turns with anything put into the cells, this one not counted."""
        self.synced = 0
        """Of these, how many are durable."""
        self.dirty = False
        """Whether anything was put in this turn."""
        self.own: deque[tuple[int, int, bytes | None, bool]] = deque()
        """(turn that must be durable, phase, copy, whether it is an answer): this node's own part in
        its phases, which counts only then."""

        self.stamps = Stamps(context.wall_ms, self.recovered_ceiling(), self.write_ceiling)
        self.ceiling_turn = 0
        """The turn that makes the clock's ceiling durable."""
        self.number = 0
        """Of the phase begun last; no two phases of this node, in any of its lives, have the same."""

        self.forest = Forest(options.merkle_depth)
        self.built = 0
        """Keys with a hash below it are in the trees; above `LAST_POSITION` all are."""

        self.out: dict[NodeId, Outbox] = {}
        self.counts: dict[str, int] = {}
        """What happened how often, for `status`."""
        self.dropped: dict[str, int] = {}
        """Messages dropped, by reason."""
        self.history: deque[tuple[Any, ...]] = deque(maxlen=HISTORY_EVENTS)

    # -- what the layers ask of one another

    @abc.abstractmethod
    def answered(self, now_ns: int, node: NodeId, number: int, cell: bytes | None) -> None:
        """A replica told what it holds, durably."""

    @abc.abstractmethod
    def stored(self, now_ns: int, node: NodeId, number: int) -> None:
        """A replica holds a copy, or a later one, durably."""

    @abc.abstractmethod
    def note_change(self, now_ns: int, key: bytes, copy: Copy) -> None:
        """A copy was put: keep books of tombstones and of what belongs elsewhere."""

    @abc.abstractmethod
    def view_changed(self, now_ns: int) -> None:
        """Another view is in force."""

    # -- the view

    def recovered_view(self) -> View:
        """The latest view this replica has adopted: a promise to refuse older ones survives a crash."""
        cell = self.cells.get(VIEW_CELL)
        if cell is None:
            return self.context.view
        try:
            stored = _view_decoder.decode(cell)
        except msgspec.DecodeError as error:
            raise UnusableRecord(f"the durable view cannot be read: {error}") from None
        return stored if stored.epoch > self.context.view.epoch else self.context.view

    def view(self, now_ns: int, view: View) -> None:
        """Adopt a later view: durable before anything of it is answered, since answers wait for the disk."""
        if view.epoch <= self.in_force.epoch:
            return
        self.remember("view", now_ns, view)
        self.in_force = view
        self.put(VIEW_CELL, _view_encoder.encode(view))
        self.placement = Placement(view, self.options.n, self.options.r, self.options.w)
        self.view_changed(now_ns)

    @property
    def current(self) -> View:
        """The view in force."""
        return self.in_force

    @property
    def epoch(self) -> int:
        """Of the view in force."""
        return self.in_force.epoch

    def fenced(self, epoch: int) -> bool:
        """Whether a message is of another view and must not count, older or newer: quorums of two views need
        not meet (Vertical Paxos: the epoch is the fencing token)."""
        return epoch != self.in_force.epoch

    # -- copies

    def copy_of(self, key: bytes) -> Copy:
        """What this replica holds of a client's key."""
        return decode_copy(self.cells.get(CLIENT + key))

    def merge(self, ours: Copy, theirs: Copy) -> Copy:
        """A replica never goes back: what it knows and what it is told, together."""
        return self.resolver.merge(ours, theirs)

    def take_in(self, now_ns: int, key: bytes, copy: Copy) -> bool:
        """Merge a copy into this replica's; whether that changed it."""
        held = self.copy_of(key)
        merged = self.merge(held, copy)
        if merged.entries == held.entries:
            return False
        self.put_copy(now_ns, key, held, merged)
        return True

    def put_copy(self, now_ns: int, key: bytes, held: Copy, copy: Copy) -> None:
        """Store a copy in place of another (or, where it is nothing, remove that); the trees follow."""
        cell_key = CLIENT + key
        self.put(cell_key, encode_copy(copy) if copy.entries else None)
        self.update_trees(key, self.position_of(cell_key), held, copy)
        self.note_change(now_ns, key, copy)

    def update_trees(self, key: bytes, position: int, held: Copy, copy: Copy) -> None:
        """The old digest out, the new one in."""
        if position >= self.built:
            return  # the walk that builds the trees has yet to come there
        group = self.placement.holders(key)
        if self.node not in group:
            return
        before = held.digest(key) if held.entries else 0
        after = copy.digest(key) if copy.entries else 0
        self.forest.change(group, position, before ^ after)

    def position_of(self, cell_key: bytes) -> int:
        """Where a cell lies in `Cells.walk`."""
        return xxh3_64_intdigest(cell_key)

    def client_value(self, cell: bytes) -> bytes | None:
        """The client's value in a cell of this core."""
        try:
            return decode_copy(cell).value
        except msgspec.DecodeError as error:
            raise UnusableRecord(f"a durable copy cannot be read: {error}") from None

    def join_tokens(self, first: bytes, second: bytes) -> bytes:
        """The later of two hybrid times."""
        return max(first, second)

    # -- durability

    def put(self, key: bytes, value: bytes | None) -> None:
        """Part of this turn's write."""
        self.cells.put(key, value)
        self.dirty = True

    def durable_turn(self) -> int:
        """The turn that has to be durable for all that was put so far to be."""
        return self.turns + 1 if self.dirty else self.turns

    def own_counts(self, turn: int) -> bool:
        """Whether what this node itself did in that turn may be counted."""
        return turn <= self.synced

    def count_own(self, now_ns: int) -> None:
        """Answers and acknowledgements of this node itself, as far as they are durable."""
        while self.own and self.own_counts(self.own[0][0]):
            _, number, cell, answer = self.own.popleft()
            if answer:
                self.answered(now_ns, self.node, number, cell)
            else:
                self.stored(now_ns, self.node, number)

    def recovered_ceiling(self) -> int:
        """Below it an earlier life of this node gave out times."""
        cell = self.cells.get(CLOCK_CELL)
        return int.from_bytes(cell, "big") if cell else 0

    def write_ceiling(self, ceiling: int) -> None:
        """Durable before a time below it leaves."""
        self.put(CLOCK_CELL, ceiling.to_bytes(8, "big"))
        self.ceiling_turn = self.durable_turn()

    def begin_numbering(self) -> None:
        """The numbers of this life begin with a time that no other life gave out, or will: there are fewer
        of them than it has nanoseconds."""
        self.number = self.stamps.next()

    def next_number(self) -> int:
        """For a phase."""
        self.number += 1
        return self.number

    # -- messages

    def box(self, peer: NodeId) -> Outbox:
        """What the turn has for a peer so far."""
        box = self.out.get(peer)
        if box is None:
            box = self.out[peer] = Outbox()
        return box

    def flush(self) -> None:
        """One message a peer of what may leave at once, one of what tells of something durable."""
        if not self.out:
            return
        epoch = self.epoch
        times_durable = self.ceiling_turn <= self.synced
        for peer, box in self.out.items():
            if times_durable and (box.asks or box.stores):
                self.send(peer, Turn(epoch, box.asks, box.stores))
                if box.answers or box.stored:
                    self.acknowledge(peer, Turn(epoch, [], [], box.answers, box.stored))
            else:
                self.acknowledge(peer, Turn(epoch, box.asks, box.stores, box.answers, box.stored))
        self.out = {}

    def send(self, peer: NodeId, message: Any) -> None:
        """May leave at once."""
        self.effects.send.append(Send(peer, message))

    def send_durable(self, peer: NodeId, message: Any) -> None:
        """Leaves when all that was put so far is durable."""
        self.effects.send_durable.append(Send(peer, message))

    def acknowledge(self, peer: NodeId, message: Any) -> None:
        """Tells of what this replica holds: others rely on it after a crash."""
        self.send_durable(peer, message)

    def reply(self, request: RequestId, outcome: Outcome) -> None:
        """The outcome of a request of this node."""
        self.effects.reply.append(Reply(request, outcome))

    def drop(self, sender: NodeId, message: Any, reason: str) -> None:
        """Illegal input from a peer: counted and noted, never raised."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.context.note("quorum.dropped", sender=sender, message=type(message).__name__, reason=reason)

    # -- for people

    def count(self, what: str, by: int = 1) -> None:
        """For `status`."""
        self.counts[what] = self.counts.get(what, 0) + by

    def remember(self, *event: Any) -> None:
        """Keep an event for the report of a broken invariant."""
        self.history.append(event)

    def broken(self, what: str) -> InvariantBroken:
        """The error to raise where an invariant does not hold."""
        events = tuple(" ".join(str(part) for part in event) for event in self.history)
        return InvariantBroken(f"quorum replica {self.node} of {self.context.group}: {what}", events)


__all__ = ["CLIENT", "HINT", "LAST_POSITION", "NOTHING", "Outbox", "Replica"]
