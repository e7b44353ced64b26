"""Reads: from a quorum without a promise where that is safe, from the own acceptor where the level allows."""

from __future__ import annotations

from comity.protocols.paxos.ballots import NONE, Ballot
from comity.protocols.paxos.learner import Watcher
from comity.protocols.paxos.messages import Peek, Peeked
from comity.protocols.paxos.options import PaxosOptions
from comity.protocols.paxos.proposing import Proposing
from comity.protocols.paxos.registers import decode_register, readable
from comity.protocols.paxos.slots import Pending
from comity.protocols.paxos.state import CLIENT, Timed
from comity.protocols.paxos.tokens import ballot_seen, token_after
from comity.replica import (
    EVENTUAL,
    SESSION,
    Answered,
    Cells,
    CoreContext,
    KeyOperation,
    NodeId,
    RegisterSemantics,
)

LOOKS = 8
"""How often a read asks again while a key is being written, before it takes part in the writing."""


class Reading(Timed):
    """One question about one key, for all reads that came in the turn before it was asked.

    values: by acceptor, its ballot and value. A learner decides. disagreed: a quorum has answered without
    naming one ballot. looks: how often everybody was asked again for that. moved_ns: when an acceptor last
    named a ballot it had not named before.
    """

    __slots__ = ("disagreed", "interval_ns", "item", "learner", "looks", "moved_ns", "pendings", "values")

    def __init__(self, item: Peek, pendings: list[Pending], learner: Watcher, interval_ns: int) -> None:
        super().__init__()
        self.item = item
        self.pendings = pendings
        self.learner = learner
        self.values: dict[NodeId, tuple[Ballot, bytes | None]] = {}
        self.interval_ns = interval_ns
        self.disagreed = False
        self.looks = 0
        self.moved_ns = 0


class Reads(Proposing):
    """Reads without rounds.

    A linearizable read asks what everybody has accepted. Where a quorum names the same ballot, its value is
    chosen; and any write that was acknowledged before the question left was accepted by a quorum, one node
    of which is in this one and would have named a higher ballot. So the value is no older than any
    acknowledged write, and a later read cannot return an older one. The answers need not be of one moment:
    all were given after the question left, and ballots only rise. So where they differ because a write is on
    its way, everybody is asked again, and what was named before counts too. Where nothing moves, or the
    writes do not end, nobody knows which value is chosen, and the read becomes an identity change.
    """

    def __init__(
        self, context: CoreContext, options: PaxosOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.fresh_reads: dict[bytes, list[Pending]] = {}
        """Reads that came in this turn, by key."""
        self.readings: dict[int, Reading] = {}
        self.fire[Reading] = self.reading_due

    def begin(self, now_ns: int) -> None:
        """Ask once for all reads of a key."""
        while self.fresh_reads:
            fresh, self.fresh_reads = self.fresh_reads, {}
            for key, pendings in fresh.items():
                self.start_reading(now_ns, key, pendings)
        super().begin(now_ns)

    # -- through a quorum

    def read_through_quorum(self, now_ns: int, key: bytes, pending: Pending) -> None:
        """At the end of this turn; together with the round that waits for the key, where one does."""
        if key in self.slots:
            self.enqueue(now_ns, key, pending)
        else:
            self.fresh_reads.setdefault(key, []).append(pending)

    def start_reading(self, now_ns: int, key: bytes, pendings: list[Pending]) -> None:
        """The number is drawn like a ballot: an answer to an earlier life of this node cannot be taken for
        one to this question."""
        item = Peek(key, self.counter.draw())
        reading = Reading(item, pendings, Watcher(self.has_quorum), self.patience_ns())
        self.readings[item.number] = reading
        self.arm(reading, now_ns + reading.interval_ns)
        self.ask_everyone(now_ns, item)

    def on_peeked(self, now_ns: int, sender: NodeId, item: Peeked) -> None:
        """An acceptor's answer to a read."""
        reading = self.readings.get(item.number)
        if reading is None:
            return
        if not readable(item.value):
            self.drop(sender, item, "not a register")
            return
        known = reading.values.get(sender)
        if known is None or known[0] < item.accepted:
            reading.moved_ns = now_ns
        reading.values[sender] = (item.accepted, item.value)
        reading.learner.learn(sender, item.accepted)
        found = self.value_read(reading)
        if found is not None:
            self.end_reading(reading)
            self.finish_reading(now_ns, reading, found[0], found[1])
        elif not reading.disagreed and self.has_quorum(reading.values):
            reading.disagreed = True  # give it a moment: a write may just be on its way
            self.arm(reading, now_ns + self.look_again_ns())

    def look_again_ns(self) -> int:
        """Twice in a round trip: a writer that goes on from one change to the next shows each for one."""
        return max(self.options.backoff_ns, min(self.quorum_trip_ns() // 2, self.options.retry_ns))

    def worth_looking(self, now_ns: int, reading: Reading) -> bool:
        """Whether a write seems to be on its way still. A writer that has failed leaves the key as it is."""
        settled_ns = max(self.options.backoff_ns, min(self.quorum_timeout_ns(), self.options.retry_max_ns))
        return reading.looks < LOOKS and now_ns < reading.moved_ns + settled_ns

    def value_read(self, reading: Reading) -> tuple[Ballot, bytes | None] | None:
        """What may be returned: the value of a ballot known to be chosen."""
        chosen = reading.learner.chosen
        if chosen is None:
            return None
        for accepted, value in reading.values.values():
            if accepted == chosen:
                return chosen, value
        return None

    def finish_reading(self, now_ns: int, reading: Reading, ballot: Ballot, value: bytes | None) -> None:
        """The value is chosen. A read that would change it (an expired key) has to do so, or another reader
        with a slower clock would see it come back."""
        self.count("quorum_reads", len(reading.pendings))
        key = reading.item.key
        if ballot > NONE:
            self.note_chosen(key, ballot)
        register = decode_register(value)
        now_ms = self.context.wall_ms()
        for pending in reading.pendings:
            operation = pending.operation
            if pending.gone or operation is None:
                self.succeed(now_ns, key, pending, b"", ballot)
                continue
            after, reply = self.semantics.change(operation.payload, register.value, now_ms)
            if after == register.value:
                self.succeed(now_ns, key, pending, reply, ballot)
            else:
                self.enqueue(now_ns, key, pending)

    def read_by_round(self, now_ns: int, reading: Reading) -> None:
        """Nobody knows which value is chosen: an identity change makes sure of one."""
        self.count("identity_reads", len(reading.pendings))
        self.end_reading(reading)
        for pending in reading.pendings:
            if not pending.gone:
                self.enqueue(now_ns, reading.item.key, pending)

    def end_reading(self, reading: Reading) -> None:
        """Later answers mean nothing."""
        reading.due_ns = -1
        self.readings.pop(reading.item.number, None)

    def reading_due(self, now_ns: int, reading: Reading) -> None:
        """Answers are missing."""
        if all(pending.gone for pending in reading.pendings):
            self.end_reading(reading)
        elif reading.disagreed and not self.worth_looking(now_ns, reading):
            self.read_by_round(now_ns, reading)
        elif reading.disagreed:
            reading.looks += 1
            self.count("looks")
            self.ask(now_ns, self.voters, reading.item)
            self.arm(reading, now_ns + self.look_again_ns())
        else:
            self.count("resends")
            missing = [node for node in self.voters if node not in reading.values]
            self.ask(now_ns, missing, reading.item)
            reading.interval_ns = min(reading.interval_ns * 2, self.options.retry_max_ns)
            self.arm(reading, now_ns + reading.interval_ns)

    # -- from the own acceptor

    def read_here(self, key: bytes, operation: KeyOperation) -> Answered | None:
        """The answer of the own acceptor, None where it may not give one."""
        if operation.level == EVENTUAL:
            ballot, value = self.accepted_here(key)
        elif operation.level == SESSION:
            ballot, value = self.accepted_here(key)
            if not self.session_may_read(key, operation.token, ballot):
                return None
        else:
            return None
        register = decode_register(value)
        after, reply = self.semantics.change(operation.payload, register.value, self.context.wall_ms())
        if operation.level == SESSION and after != register.value:
            return None
        self.count("local_reads")
        return Answered(reply, token_after(operation.token, key, ballot))

    def accepted_here(self, key: bytes) -> tuple[Ballot, bytes | None]:
        """What the own acceptor accepted last."""
        cell = self.cells.get(CLIENT + key)
        if cell is None:
            return NONE, None
        held = self.read_cell(cell)
        return held.accepted, held.value

    def session_may_read(self, key: bytes, token: bytes, ballot: Ballot) -> bool:
        """A session may see what is known to be chosen and no older than what it has seen. What is only
        accepted may yet be lost, and come again in another order."""
        seen = ballot_seen(token, key)
        if seen is None or ballot < seen:
            return False
        return ballot == NONE or self.known_chosen.get(key) == ballot
