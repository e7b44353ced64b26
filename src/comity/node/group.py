"""One group on this node: its core, its state machine, and the requests of this node's clients.

Writes travel as batches. A batch is encoded once by the node whose clients sent the commands, named
by (node, incarnation, sequence), and proposed by whoever leads. Every node answers its own clients
from its own apply of the entry that holds the batch, so a batch may be sent as often as needed: the
state machine applies it once, in order. What is not known at a command's deadline is reported as
what it is: refused if it certainly never reached a log, indeterminate otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from comity.node.config import MILLISECOND_NS
from comity.node.errors import NO_MEMBER, NO_QUORUM, OVERLOADED
from comity.node.reads import Reads
from comity.node.writes import Writes
from comity.replica import (
    Committed,
    Core,
    EntryKind,
    Member,
    Outcome,
    Protocol,
    Record,
    Reply,
    View,
)
from comity.store.machine import StateMachine

if TYPE_CHECKING:
    from comity.node.host import Host

APPLY_BYTES_PER_TURN = 4 << 20
PUT_OFF_TURNS = 2
"""How often in a row applying is put off, at most."""


class Group(Writes):
    """The requests of one keyspace on this node, from its connections to its core and back."""

    def __init__(
        self, host: Host, number: int, name: str, protocol: Protocol, core: Core, machine: StateMachine
    ) -> None:
        super().__init__(host, number, name, protocol, core, machine)
        self.administering: dict[int, Callable[[Outcome], None]] = {}
        self.reads = Reads(self)
        # apply
        self.committed: deque[Committed] = deque()
        self.committed_bytes = 0
        self._turns_put_off = 0

    # -- the turn

    def push(self, now_ns: int) -> None:
        """Hand what has gathered to the core or to the leader; called each turn before `take`."""
        super().push(now_ns)
        self.reads.ask(now_ns)

    def leader_changed(self, leader: int) -> None:
        """Somebody else leads now, or nobody."""
        super().leader_changed(leader)
        self.reads.blocked_ns = 0

    # -- what the core answers

    def on_reply(self, reply: Reply, now_ns: int) -> None:
        """The outcome of something asked of the core."""
        request, outcome = reply.request, reply.outcome
        proposal = self.proposals.pop(request, None)
        if proposal is not None:
            self.proposed(proposal, outcome)
            return
        if self.reads.answered(request, outcome, now_ns):
            return
        done = self.administering.pop(request, None)
        if done is not None:
            done(outcome)

    # -- apply

    def commit(self, entries: Sequence[Committed]) -> None:
        """Entries to be applied, in order."""
        self.committed.extend(entries)
        for entry in entries:
            self.committed_bytes += len(entry.payload)

    def put_off(self) -> bool:
        """Whether applying takes so long that what this turn has for others should leave first."""
        if self.committed_bytes < self.bounds.apply_later_bytes or self._turns_put_off >= PUT_OFF_TURNS:
            return False
        self._turns_put_off += 1
        return True

    def apply(self, now_ns: int) -> bool:
        """Apply what is committed, up to a bound a turn; True when some is left."""
        if self.installing or not (self.committed or self.reads.at):
            return False
        machine = self.machine
        self._turns_put_off = 0
        self.host.jobs.applied()
        size = 0
        node, incarnation = self.host.config.node, self.host.incarnation
        while self.committed and size < APPLY_BYTES_PER_TURN:
            entry = self.committed.popleft()
            size += len(entry.payload)
            self.committed_bytes -= len(entry.payload)
            if entry.kind == EntryKind.COMMAND:
                self.host.metrics.entries_applied += 1
                for answer in machine.apply(entry.index, entry.term, entry.payload):
                    if answer.origin == node and answer.incarnation == incarnation:
                        self.answer(answer.sequence, answer.replies)
            elif entry.kind == EntryKind.MEMBERS:
                machine.advance(entry.index, entry.term, entry.payload)
                self.host.peers.members_changed()
            else:
                machine.advance(entry.index, entry.term)
        if self.reads.at:
            self.reads.release()
        return bool(self.committed)

    def installed(self, index: int, now_ns: int, replaces: bool = False) -> None:
        """A snapshot replaced the state machine: answers inside it are in its table."""
        self.installing = False
        kept = () if replaces else (entry for entry in self.committed if entry.index > index)
        self.committed = deque(kept)
        self.committed_bytes = sum(len(entry.payload) for entry in self.committed)
        self.core.snapshot_installed(now_ns, index)
        node, incarnation = self.host.config.node, self.host.incarnation
        last = self.machine.last_sequence(node, incarnation)
        for sequence in [sequence for sequence in self.pending if sequence <= last]:
            self.answer(sequence, self.machine.answers(node, incarnation, sequence))
        if replaces:
            # What was answered from the history that is gone is not there to be followed.
            self.answered = last
            self.renumber()
            self.reads.ask_anew()
        if self.reads.at:
            self.reads.release()

    # -- time

    def deadline_ns(self) -> int:
        """When something of this group wants attention at the latest."""
        deadline = self.core.deadline_ns
        if self.pending or self.waiting or self.reads.any:
            oldest_ns = self.oldest_ns() + self.bounds.request_deadline_ns
            deadline = min(deadline, oldest_ns, self.reads.deadline_ns())
            if self.pending and self.leader:
                deadline = min(deadline, self.resend_due_ns())
            deadline = min(deadline, self.linger_ns)
        if self.leader == self.host.config.node:
            due = self.machine.next_expiry_ms()
            if due is not None and self.tick_index <= self.machine.applied:
                wait_ns = max(due - self.host.wall_ms, 1) * MILLISECOND_NS
                deadline = min(deadline, self.host.now_ns + wait_ns)
        return deadline

    def oldest_ns(self) -> int:
        """When the first command arrived that is not answered; NEVER for none."""
        oldest = self.reads.oldest_ns()
        for pending in self.pending.values():
            for run in pending.builder.runs:
                if not run.done:
                    oldest = min(oldest, run.arrived_ns)
                    break
        for builder in (*self.sealed, *self.builders.values()):
            if builder.runs:
                oldest = min(oldest, builder.runs[0].arrived_ns)
        return oldest

    def wake(self, now_ns: int) -> None:
        """A deadline of this group has come."""
        if self.core.deadline_ns <= now_ns:
            self.core.wake(now_ns)
        self.reads.ask_again(now_ns)
        self._expire(now_ns)

    def _expire(self, now_ns: int) -> None:
        """Give up on requests whose deadline has passed, each with what is known of it."""
        limit = now_ns - self.bounds.request_deadline_ns
        if self.oldest_ns() <= limit:
            self.expire_before(limit)

    def give_up(self) -> None:
        """The keyspace is no more on this node: whoever waits is told what is known."""
        self.expire_before(self.host.now_ns)

    def expire_before(self, limit: int) -> None:
        """Give up on what arrived until then."""
        super().expire_before(limit)
        self.reads.expire(limit, NO_QUORUM)

    # -- the state and the log below it

    def compact(self, now_ns: int) -> None:
        """What was flushed survives a crash now: the log may be compacted up to there."""
        self.machine.synced()
        if self.machine.durable > self.core.compaction_index():
            self.core.compact(now_ns, self.machine.durable)
            self.host.dirty(self)

    def compaction_index(self) -> int:
        """The highest index dropped from the log."""
        return self.core.compaction_index()

    def checkpoint(self) -> Sequence[Record]:
        """The core's hard state and compaction point."""
        return self.core.checkpoint()

    # -- who

    @property
    def leads(self) -> bool:
        """Whether this node leads."""
        return self.core.leader == self.host.config.node

    @property
    def alone(self) -> bool:
        """Whether nobody else votes."""
        return len(self.core.members.voters) < 2

    @property
    def idle(self) -> bool:
        """Whether no batch of this node's clients is unanswered."""
        return not self.pending

    def known(self) -> Sequence[Member]:
        """The members and their addresses."""
        return self.core.members.known

    def health(self) -> str:
        """Why this keyspace cannot be served now, "" when it can."""
        if not self.core.members.voters:
            return "waits for this node to be added to the cluster: comity member add"
        if not self.core.leader:
            return "has no leader that this node knows of"
        return "is taking over a snapshot" if self.installing else ""

    def refusal(self, write: bool) -> bytes | None:
        """No member, or too much waits already."""
        node, members = self.host.config.node, self.core.members
        if not members.votes(node) and node not in members.learners:
            # Also where a leader is known: it would do the command, and this node never hear of it.
            return NO_MEMBER
        bounds = self.bounds
        if (
            self.waiting >= bounds.commands_waiting
            or self.waiting_bytes() >= bounds.waiting_bytes
            or len(self.reads) >= bounds.commands_waiting
        ):
            return OVERLOADED
        return None

    @property
    def view(self) -> View | None:
        """The view in force, of a protocol that has one."""
        return getattr(self.core, "current", None) if self.viewed else None

    def token(self) -> bytes:
        """What a session that read here may have seen: everything applied."""
        return self.machine.applied.to_bytes(8, "big")

    def seen(self, tokens: dict[int, bytes]) -> int:
        """The index that a session with these tokens has seen."""
        return int.from_bytes(tokens.get(self.number, b""), "big")

    def behind(self, tokens: dict[int, bytes]) -> bool:
        """Whether the session has seen more than is applied here."""
        return self.seen(tokens) > self.machine.applied

    def digest(self) -> tuple[int, bytes]:
        """(applied index, digest of the whole state)."""
        return self.machine.applied, self.machine.digest()

    # -- looking inside

    def status(self) -> dict[str, Any]:
        """For /status."""
        machine = self.machine
        return {
            "protocol": self.protocol.name,
            **self.core.status(),
            "applied": machine.applied,
            "durable": machine.durable,
            "pending_batches": len(self.pending),
            "waiting_commands": self.waiting,
            "waiting_reads": len(self.reads),
            "installing": self.installing,
        }

    def check(self) -> None:
        """Audit the core and this group's own bookkeeping."""
        self.core.check()
        assert len(self.pending) <= self.bounds.batches_in_flight, "more batches in flight than allowed"
        assert self.committed_bytes == sum(len(entry.payload) for entry in self.committed), (
            f"{self.committed_bytes} committed bytes are not what waits to be applied"
        )
        assert list(self.pending) == sorted(self.pending), "pending batches are out of order"
        assert self.waiting == sum(len(b.commands) for b in (*self.sealed, *self.builders.values())), (
            f"waiting counts {self.waiting} commands"
        )
