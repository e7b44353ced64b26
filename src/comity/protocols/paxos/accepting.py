"""The acceptor's half of a replica: registers in cells, answers that wait for the disk."""

from __future__ import annotations

import msgspec

from comity.protocols.paxos.acceptor import Acceptance
from comity.protocols.paxos.ballots import ABOVE_ALL_NODES, NONE, Ballot
from comity.protocols.paxos.messages import (
    Accept,
    Accepted,
    Conflict,
    Erase,
    Erased,
    Learn,
    Peek,
    Peeked,
    Prepare,
    Promised,
    Survey,
    Surveyed,
)
from comity.protocols.paxos.options import PaxosOptions
from comity.protocols.paxos.registers import (
    decode_acceptance,
    decode_register,
    encode_acceptance,
    readable,
)
from comity.protocols.paxos.state import CLIENT, Replica
from comity.protocols.paxos.tokens import joined
from comity.replica import Cells, CoreContext, NodeId, RegisterSemantics


class Accepting(Replica):
    """Promises, acceptances, removal of tombstones."""

    def __init__(
        self, context: CoreContext, options: PaxosOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.known_chosen: dict[bytes, Ballot] = {}
        """Of keys used lately, the highest ballot known to be chosen; forgotten in a restart."""

    # -- registers

    def held(self, key: bytes) -> Acceptance:
        """What this acceptor remembers of the key. Of a removed one it remembers that nothing up to the
        floor may be accepted any more."""
        cell = self.cells.get(CLIENT + key)
        if cell is None:
            return Acceptance(self.floor_promise())
        try:
            return decode_acceptance(cell)
        except msgspec.DecodeError as error:
            raise self.broken(f"a register cannot be read: {error}") from None

    def floor_promise(self) -> Ballot:
        """The promise that stands for all registers removed."""
        return (self.floor, ABOVE_ALL_NODES) if self.floor else NONE

    def read_cell(self, cell: bytes) -> Acceptance:
        """Raises `InvariantBroken` for bytes this replica cannot have stored."""
        try:
            return decode_acceptance(cell)
        except msgspec.DecodeError as error:
            raise self.broken(f"a register cannot be read: {error}") from None

    def store(self, key: bytes, acceptance: Acceptance) -> None:
        """Remember, durably with this turn's write."""
        self.put(CLIENT + key, encode_acceptance(acceptance))

    def client_value(self, cell: bytes) -> bytes | None:
        """The client's value in a cell: what this acceptor accepted last, chosen or not."""
        return decode_register(self.read_cell(cell).value).value

    def join_tokens(self, first: bytes, second: bytes) -> bytes:
        """What a session has seen that has seen what either says."""
        return joined(first, second)

    def is_tombstone(self, acceptance: Acceptance) -> bool:
        """Whether there is a register, but no value in it."""
        return decode_register(acceptance.value).value is None

    def note_chosen(self, key: bytes, ballot: Ballot) -> None:
        """The proposal of that ballot is chosen: if it is the one accepted here, it may be read here."""
        chosen = self.known_chosen
        known = chosen.pop(key, NONE)
        chosen[key] = max(known, ballot)
        if len(chosen) > self.options.max_cached:
            del chosen[next(iter(chosen))]

    # -- what proposers ask

    def on_prepare(self, now_ns: int, sender: NodeId, item: Prepare) -> None:
        """Phase 1b."""
        ballot = (item.counter, sender)
        self.counter.jump(item.counter)
        held = self.held(item.key)
        after = self.acceptor.prepare(held, ballot)
        if after is None:
            self.refuse(sender, item.key, item.counter, held)
            return
        if sender != self.node:
            self.overtaken(item.key)
        if after != held:
            self.store(item.key, after)
        self.answer(sender, Promised(item.key, item.counter, held.accepted, held.value))

    def on_accept(self, now_ns: int, sender: NodeId, item: Accept) -> None:
        """Phase 2b."""
        if item.following and item.following <= item.counter:
            self.drop(sender, item, "following ballot is not above")
            return
        if not readable(item.value):
            self.drop(sender, item, "not a register")
            return
        ballot = (item.counter, sender)
        following = (item.following, sender) if item.following else NONE
        self.counter.jump(item.following or item.counter)
        held = self.held(item.key)
        after = self.acceptor.accept(held, ballot, item.value, following)
        if after is None:
            self.refuse(sender, item.key, item.counter, held)
            return
        if sender != self.node:
            self.overtaken(item.key)
        if after is not held:
            self.store(item.key, after)
        self.answer(sender, Accepted(item.key, item.counter, after.promise == following))

    def overtaken(self, key: bytes) -> None:
        """The own acceptor has promised another proposer's ballot: what this node's proposer was promised
        before holds here no more, and hardly elsewhere."""

    def refuse(self, sender: NodeId, key: bytes, counter: int, held: Acceptance) -> None:
        """A higher ballot was promised. An acceptor's accepted ballots only rise, so one that stands below
        the refused ballot shows that it was never accepted; with one above, nobody can tell."""
        clean = held.accepted < (counter, sender)
        promise = held.promise
        self.answer(sender, Conflict(key, counter, promise, clean))

    def on_peek(self, now_ns: int, sender: NodeId, item: Peek) -> None:
        """A cheap read: what was accepted, without a promise."""
        held = self.held(item.key)
        self.answer(sender, Peeked(item.number, held.accepted, held.value))

    def on_learn(self, now_ns: int, sender: NodeId, item: Learn) -> None:
        """A proposer knows that its ballots are chosen."""
        if len(item.keys) != len(item.counters):
            self.drop(sender, item, "ballots without keys")
            return
        for key, counter in zip(item.keys, item.counters, strict=True):
            self.note_chosen(key, (counter, sender))

    def on_survey(self, now_ns: int, sender: NodeId, item: Survey) -> None:
        """Its being answered says that this replica is in the view, and how high its floor is."""
        self.answer(sender, Surveyed(item.number))

    # -- removal

    def may_erase(self, held: Acceptance, ballot: Ballot) -> bool:
        """Only the very tombstone that all acceptors hold, and nothing promised since (CASPaxos, section
        3.1, step 2d)."""
        return held.accepted == ballot and held.promise == ballot and self.is_tombstone(held)

    def on_erase(self, now_ns: int, sender: NodeId, item: Erase) -> None:
        """Remove a tombstone; what is late for it is refused by the floor from now on."""
        name = CLIENT + item.key
        cell = self.cells.get(name)
        if cell is not None:
            if not self.may_erase(self.read_cell(cell), item.ballot):
                self.answer(sender, Erased(item.key, item.ballot, False))
                return
            self.put(name, None)
            self.known_chosen.pop(item.key, None)
        self.raise_floor(self.floor_after(item.ballot))
        self.answer(sender, Erased(item.key, item.ballot, True))

    def floor_after(self, ballot: Ballot) -> int:
        """Nothing at or below the removed tombstone may come back."""
        return ballot[0]
