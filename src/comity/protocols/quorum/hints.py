"""Sloppy quorums and hinted handoff (Dynamo 4.6), and who seems to be there.

A node that does not answer is suspected; a later answer, of any kind, clears it. In a sloppy quorum the next
node beyond the key's list stands in for a suspected one: it holds the write with a hint, apart from its own
copies, within limits of entries, bytes and age. Once the target answers again, what is held for it goes over,
and is forgotten when the target has it on its disk.

What belongs to others after a change of view (strays) goes the same way.
"""

from __future__ import annotations

import abc
from itertools import islice

import msgspec

from comity.protocols.quorum.messages import Ping, Pong, Store
from comity.protocols.quorum.state import CLIENT, HINT, Replica
from comity.protocols.quorum.versions import NOTHING, Copy, decode_copy, encode_copy
from comity.replica import NEVER, NodeId


class Hint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """As stored. expires_ms: by the wall clock, for a hint outlives restarts."""

    expires_ms: int
    cell: bytes


class Handover(msgspec.Struct, frozen=True, gc=False):
    """A copy on its way. hint: whether from the hints; else it is a stray."""

    sent_ns: int
    target: NodeId
    key: bytes
    cell: bytes
    hint: bool


EXPIRED_AT_A_TIME = 1000

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Hint)


def hint_key(target: NodeId, key: bytes) -> bytes:
    """Where a hint is stored."""
    return HINT + target.to_bytes(8, "big") + key


class Hints(Replica):
    """Suspicion, hints, strays."""

    def prepare_hints(self) -> None:
        """Nothing is suspected, nothing held; then what the disk holds."""
        self.suspected: dict[NodeId, int] = {}
        """Since when."""
        self.hints: dict[NodeId, dict[bytes, tuple[int, int]]] = {}
        """target -> key -> (expires_ms, bytes of the cell)."""
        self.hint_count = 0
        self.hint_bytes = 0
        self.strays: dict[bytes, dict[NodeId, None]] = {}
        """Keys held here that belong to others now, and who of these has not confirmed to have them."""
        self.handovers: dict[int, Handover] = {}
        self.on_their_way: dict[tuple[NodeId, bytes], int] = {}
        self.heartbeat_due_ns = NEVER
        for _, cell_key, value in self.cells.walk():
            if cell_key[:1] == HINT and len(cell_key) >= 9:
                try:
                    hint = _decoder.decode(value)
                except msgspec.DecodeError:
                    continue
                self.book_hint(int.from_bytes(cell_key[1:9], "big"), cell_key[9:], hint)

    # -- who is there

    @abc.abstractmethod
    def stray_left(self, now_ns: int) -> None:
        """One key fewer that belongs elsewhere."""

    @abc.abstractmethod
    def set_deadline(self) -> None:
        """Make `deadline_ns` the least of the deadlines in force."""

    def suspect(self, now_ns: int, peer: NodeId) -> None:
        """It did not answer in time."""
        if peer != self.node and peer not in self.suspected:
            self.suspected[peer] = now_ns
            self.count("suspicions")
            self.arm_heartbeat(now_ns)

    def heard(self, now_ns: int, peer: NodeId) -> None:
        """It is there: what is held for it may go over."""
        if self.suspected.pop(peer, None) is not None and peer in self.hints:
            self.hand_over(now_ns, peer)

    def arm_heartbeat(self, now_ns: int) -> None:
        """Ask again in a while those that are suspected, or that something is held for."""
        if self.heartbeat_due_ns == NEVER and (self.suspected or self.hints or self.strays):
            self.heartbeat_due_ns = now_ns + self.options.heartbeat_ns

    def heartbeat(self, now_ns: int) -> None:
        """Ping the suspected, hand over to the others, drop what has expired."""
        self.heartbeat_due_ns = NEVER
        self.expire_hints()
        self.give_up_handovers(now_ns)
        everyone = self.in_force.everyone()
        for peer in list(self.suspected):
            if peer in everyone:
                self.send(peer, Ping(self.epoch))
            else:
                del self.suspected[peer]
        for peer in list(self.hints):
            if peer not in self.suspected or peer not in everyone:
                self.hand_over(now_ns, peer)
        self.hand_over_strays(now_ns)
        self.arm_heartbeat(now_ns)

    def on_ping(self, now_ns: int, sender: NodeId, ping: Ping) -> None:
        """Answer."""
        self.send(sender, Pong(self.epoch))

    # -- holding

    def book_hint(self, target: NodeId, key: bytes, hint: Hint) -> None:
        """Count a hint that is stored."""
        self.forget_hint(target, key)
        self.hints.setdefault(target, {})[key] = (hint.expires_ms, len(hint.cell))
        self.hint_count += 1
        self.hint_bytes += len(hint.cell) + len(key)

    def forget_hint(self, target: NodeId, key: bytes) -> None:
        """Count it no more."""
        held = self.hints.get(target)
        booked = held.pop(key, None) if held is not None else None
        if booked is not None:
            self.hint_count -= 1
            self.hint_bytes -= booked[1] + len(key)
        if held is not None and not held:
            del self.hints[target]

    def hint_of(self, target: NodeId, key: bytes) -> Copy:
        """What is held of a key for a node."""
        if key not in self.hints.get(target, ()):
            return NOTHING
        cell = self.cells.get(hint_key(target, key))
        return decode_copy(_decoder.decode(cell).cell) if cell is not None else NOTHING

    def hinted(self, key: bytes) -> Copy:
        """What is held of a key for anybody."""
        copy = NOTHING
        for target in self.hints:
            copy = self.merge(copy, self.hint_of(target, key))
        return copy

    def hold(self, now_ns: int, target: NodeId, key: bytes, copy: Copy) -> bool:
        """Keep a write for a node that is away; False where there is no room."""
        held = self.hint_of(target, key)
        merged = self.merge(held, copy)
        if held.entries and merged.entries == held.entries:
            return True
        cell = encode_copy(merged)
        options = self.options
        more = len(cell) + len(key)
        if not held.entries and (
            self.hint_count >= options.hint_entries or self.hint_bytes + more > options.hint_bytes
        ):
            self.count("hints_refused")
            return False
        hint = Hint(self.context.wall_ms() + options.hint_expiry_ns // 1_000_000, cell)
        self.put(hint_key(target, key), _encoder.encode(hint))
        self.book_hint(target, key, hint)
        self.count("hints_held")
        self.arm_heartbeat(now_ns)
        return True

    def drop_hint(self, target: NodeId, key: bytes) -> None:
        """Remove it from the disk too."""
        self.put(hint_key(target, key), None)
        self.forget_hint(target, key)

    def expire_hints(self) -> None:
        """Drop what is older than its time: anti-entropy has to do the rest."""
        now_ms = self.context.wall_ms()
        for target in list(self.hints):
            for key, (expires_ms, _) in list(islice(self.hints[target].items(), EXPIRED_AT_A_TIME)):
                if expires_ms > now_ms:
                    break  # the latest is last
                self.drop_hint(target, key)
                self.count("hints_expired")

    # -- handing over

    def hand_over(self, now_ns: int, target: NodeId) -> None:
        """Send some of what is held for a node; the acknowledgements ask for more."""
        room = self.options.handoff_batch
        room -= sum(1 for handover in self.handovers.values() if handover.target == target)
        for key in list(islice(self.hints.get(target, ()), 2 * self.options.handoff_batch)):
            if room <= 0:
                return
            if target not in self.placement.holders(key):
                self.rehome(now_ns, target, key)
                continue
            copy = self.hint_of(target, key)
            if copy.entries and self.give(Handover(now_ns, target, key, encode_copy(copy), True)):
                room -= 1

    def rehome(self, now_ns: int, target: NodeId, key: bytes) -> None:
        """Lists have changed: a hint is for one of those that hold the key now."""
        holders = self.placement.holders(key)
        if not holders:
            return
        copy = self.hint_of(target, key)
        self.drop_hint(target, key)
        if self.node in holders:
            self.take_in(now_ns, key, copy)
        else:
            self.hold(now_ns, holders[0], key, copy)

    def hand_over_strays(self, now_ns: int) -> None:
        """Send some of the keys that belong to others now to those that have not confirmed them."""
        room = self.options.handoff_batch - len(self.handovers)
        for key in list(islice(self.strays, 2 * self.options.handoff_batch)):
            if room <= 0:
                return
            waiting = self.strays.pop(key)
            self.strays[key] = waiting  # to the end: the others have their turn
            cell = encode_copy(self.copy_of(key))
            for target in waiting:
                if target not in self.suspected and self.give(Handover(now_ns, target, key, cell, False)):
                    room -= 1

    def give(self, handover: Handover) -> bool:
        """Send a copy to where it belongs, unless it is on its way already."""
        place = (handover.target, handover.key)
        if place in self.on_their_way:
            return False
        number = self.next_number()
        self.handovers[number] = handover
        self.on_their_way[place] = number
        self.box(handover.target).stores.append(Store(number, handover.key, handover.cell))
        return True

    def on_stored(self, now_ns: int, sender: NodeId, number: int) -> None:
        """An acknowledgement: of a handover, or of a phase of an operation."""
        handover = self.handovers.get(number)
        if handover is None:
            self.stored(now_ns, sender, number)
            return
        if handover.target != sender:
            return
        del self.handovers[number]
        self.on_their_way.pop((sender, handover.key), None)
        self.count("handed_over")
        if handover.hint:
            held = self.hint_of(sender, handover.key)
            if held.entries and encode_copy(held) == handover.cell:
                self.drop_hint(sender, handover.key)
            if sender in self.hints:
                self.hand_over(now_ns, sender)
        else:
            self.stray_given(now_ns, sender, handover)

    def stray_given(self, now_ns: int, target: NodeId, handover: Handover) -> None:
        """A node of the key's list has it; the last one to say so makes this copy needless."""
        waiting = self.strays.get(handover.key)
        held = self.copy_of(handover.key)
        if waiting is None or encode_copy(held) != handover.cell:
            return
        waiting.pop(target, None)
        if not waiting:
            del self.strays[handover.key]
            self.put(CLIENT + handover.key, None)
            self.stray_left(now_ns)
        self.hand_over_strays(now_ns)

    def give_up_handovers(self, now_ns: int) -> None:
        """What was not acknowledged for two heartbeats is sent again once its target answers."""
        for number, handover in list(self.handovers.items()):
            if handover.sent_ns + 2 * self.options.heartbeat_ns <= now_ns:
                del self.handovers[number]
                del self.on_their_way[handover.target, handover.key]
                self.suspect(now_ns, handover.target)

    def forget_handovers(self) -> None:
        """With another view they are sent anew."""
        self.handovers.clear()
        self.on_their_way.clear()


__all__ = ["Handover", "Hint", "Hints", "hint_key"]
