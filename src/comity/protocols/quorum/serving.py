"""The replica's half: what it answers to the phases of coordinators, itself among them."""

from __future__ import annotations

import msgspec

from comity.protocols.quorum.hints import Hints
from comity.protocols.quorum.messages import MAX_ITEMS, Answer, Ask, Store, Turn
from comity.protocols.quorum.state import CLIENT
from comity.protocols.quorum.versions import NOTHING, Copy, decode_copy, encode_copy
from comity.replica import NodeId

MILLISECOND_NS = 1_000_000
LEFT_IN_BYTES = 512
"""To take the value out of a smaller copy, where only its tags are wanted, costs more than to send it."""


class Serving(Hints):
    """Asks and stores of peers."""

    def on_turn(self, now_ns: int, sender: NodeId, turn: Turn) -> None:
        """Everything a peer had for this replica in one of its turns."""
        if max(len(turn.asks), len(turn.stores), len(turn.answers), len(turn.stored)) > MAX_ITEMS:
            self.drop(sender, turn, "too many items")
            return
        for number in turn.stored:
            self.on_stored(now_ns, sender, number)
        for answer in turn.answers:
            self.answered(now_ns, sender, answer.number, answer.cell)
        stored = [
            store.number for store in turn.stores if self.accept(now_ns, sender, store) and store.number
        ]
        if stored:
            self.box(sender).stored += stored
        if turn.asks:
            self.box(sender).answers += [
                Answer(ask.number, self.held(ask.key, ask.values)) for ask in turn.asks
            ]

    def accept(self, now_ns: int, sender: NodeId, store: Store) -> bool:
        """Merge a copy, or hold it for another; whether this replica has it now."""
        try:
            copy = decode_copy(store.cell)
        except msgspec.DecodeError:
            self.drop(sender, store, "an unreadable copy")
            return False
        if not self.resolver.legal(copy):
            self.drop(sender, store, "a copy of another kind")
            return False
        holders = self.placement.holders(store.key)
        if store.hint:
            if not self.options.sloppy or self.node in holders or store.hint not in holders:
                self.drop(sender, store, "a hint for the wrong node")
                return False
            return self.hold(now_ns, store.hint, store.key, copy)
        if self.node not in holders:
            self.drop(sender, store, "not a key of this replica")
            return False
        self.observe(copy)
        if not self.worth_keeping(store.key, copy):
            return True
        self.take_in(now_ns, store.key, copy)
        return True

    def worth_keeping(self, key: bytes, copy: Copy) -> bool:
        """A tombstone beyond its grace has nothing left to hide where there is no copy: it was collected."""
        if not copy.removed or self.within_grace(copy):
            return True
        return self.cells.get(CLIENT + key) is not None

    def within_grace(self, copy: Copy) -> bool:
        """Whether the last write was less than the grace time ago, by the wall clock."""
        return copy.tag[0] + self.options.tombstone_grace_ns > self.context.wall_ms() * 1_000_000

    def plausible(self, stamp: int) -> bool:
        """Whether clocks as far apart as is allowed for could have shown that time."""
        return stamp <= self.context.wall_ms() * 1_000_000 + self.options.tombstone_grace_ns

    def observe(self, copy: Copy) -> None:
        """How far another node's clock is ahead, for people."""
        ahead = copy.tag[0] - self.context.wall_ms() * MILLISECOND_NS
        if ahead > 0:
            self.counts["clock_ahead_ns"] = max(ahead, self.counts.get("clock_ahead_ns", 0))

    def held(self, key: bytes, values: bool) -> bytes | None:
        """What this replica knows of a key, what it holds for others included."""
        cell = self.cells.get(CLIENT + key)
        hinted = self.hinted(key) if self.hints else NOTHING
        if not hinted.entries:
            if values or cell is None or len(cell) <= LEFT_IN_BYTES:
                return cell
            return encode_copy(decode_copy(cell).without_values())
        copy = self.merge(decode_copy(cell), hinted)
        return encode_copy(copy if values else copy.without_values())

    # -- this node's own part

    def ask_own(self, ask: Ask) -> None:
        """As a peer would be asked; the answer counts once what it tells is durable."""
        self.own.append((self.durable_turn(), ask.number, self.held(ask.key, ask.values), True))

    def store_own(self, now_ns: int, store: Store) -> None:
        """As a peer would be; the acknowledgement counts once it is durable."""
        if self.accept(now_ns, self.node, store) and store.number:
            self.own.append((self.durable_turn(), store.number, None, False))

    def request(self, now_ns: int, peer: NodeId, item: Ask | Store) -> None:
        """Part of a phase, for a peer or for this node itself."""
        if peer != self.node:
            box = self.out.get(peer) or self.box(peer)
            if isinstance(item, Ask):
                box.asks.append(item)
            else:
                box.stores.append(item)
        elif isinstance(item, Ask):
            self.ask_own(item)
        else:
            self.store_own(now_ns, item)
