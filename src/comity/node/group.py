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

from comity.node import messages
from comity.node.config import MILLISECOND_NS, Bounds
from comity.node.connection import Run
from comity.node.errors import INDETERMINATE, NO_MEMBER, NO_QUORUM, NOT_KEPT, OVERLOADED
from comity.node.reads import Reads
from comity.node.served import Served
from comity.node.waiting import Builder, Pending
from comity.replica import (
    NEVER,
    REASON_NOT_LEADER,
    Accepted,
    Committed,
    Core,
    EntryKind,
    Member,
    Outcome,
    Protocol,
    Record,
    Refused,
    Reply,
    View,
)
from comity.store.batches import encode_batch, encode_proposal
from comity.store.machine import StateMachine

if TYPE_CHECKING:
    from comity.node.host import Host

APPLY_BYTES_PER_TURN = 4 << 20
LINGER_NS = MILLISECOND_NS // 2
"""How long commands wait for more after the batch before them was answered, at most."""

PUT_OFF_TURNS = 2
"""How often in a row applying is put off, at most."""


class Group(Served):
    """The requests of one keyspace on this node, from its connections to its core and back."""

    def __init__(
        self, host: Host, number: int, name: str, protocol: Protocol, core: Core, machine: StateMachine
    ) -> None:
        super().__init__(host, number, name, protocol)
        self.core: Core = core
        self.machine: StateMachine = machine
        self.bounds: Bounds = host.config.bounds
        # writes
        self.builders = {2: Builder(2), 3: Builder(3)}
        self.sealed: deque[Builder] = deque()
        self.waiting = 0
        self.pending: dict[int, Pending] = {}
        self.forwarded: list[tuple[int, bytes]] = []
        self.forwarded_size = 0
        self.sequence = 0
        self.answered = 0
        self.resend_ns = NEVER
        self.resend_wait_ns = self.bounds.resend_ns
        self.linger_ns = NEVER
        self.tick_index = 0
        self.stamp_ms = 0
        # what the core has been asked and has not answered
        self.proposals: dict[int, tuple[list[Pending], list[int]]] = {}
        self.administering: dict[int, Callable[[Outcome], None]] = {}
        self.reads = Reads(self)
        # apply
        self.committed: deque[Committed] = deque()
        self.committed_bytes = 0
        self._turns_put_off = 0

    # -- commands coming in

    def builder(self, protocol: int) -> Builder:
        """Where a connection of that RESP version puts its commands."""
        return self.builders[protocol]

    def added(self, builder: Builder, run: Run) -> None:
        """A run of commands was put into a builder."""
        builder.runs.append(run)
        self.waiting += run.count
        bounds = self.bounds
        if len(builder.commands) >= bounds.batch_commands or builder.size >= bounds.batch_bytes:
            self.seal(builder)

    def seal(self, builder: Builder) -> None:
        """Close a builder; the next command of its protocol opens another."""
        if builder.commands:
            self.sealed.append(builder)
            self.builders[builder.protocol] = Builder(builder.protocol)

    def waiting_bytes(self) -> int:
        """Bytes of commands not yet in a batch."""
        size = sum(builder.size for builder in self.builders.values())
        return size + sum(builder.size for builder in self.sealed) if self.sealed else size

    def expiry_due(self) -> bool:
        """Whether this node leads and a key is due that the log does not know to be expired."""
        if self.leader != self.host.config.node:
            return False
        due = self.machine.next_expiry_ms()
        return due is not None and due <= self.host.wall_ms

    # -- the turn

    def push(self, now_ns: int) -> None:
        """Hand what has gathered to the core or to the leader; called each turn before `take`."""
        self.linger_ns = NEVER
        leader = self.core.leader
        if leader != self.leader:
            self._leader_changed(leader, now_ns)
        if self.pending or self.sealed or self.waiting:
            self._close_batches(leader)
        if leader == self.host.config.node:
            self._propose(now_ns)
        elif leader and self.pending:
            self._forward(leader, now_ns)
        self.reads.ask(now_ns)

    def _leader_changed(self, leader: int, now_ns: int) -> None:
        self.leader = leader
        self.tick_index = 0  # That entry may have been lost with the leader.
        self.reads.blocked_ns = 0
        self.resend_wait_ns = self.bounds.resend_ns
        self.resend_ns = NEVER
        for pending in self.pending.values():
            pending.sent = False

    def link_up(self, peer: int) -> None:
        """A link to a peer works again: what was sent over it before may be lost."""
        if peer == self.leader:
            for pending in self.pending.values():
                pending.sent = False

    def _close_batches(self, leader: int) -> None:
        limit = self.bounds.batches_in_flight
        while len(self.pending) < limit:
            if not self.sealed:
                if self.pending and self.waiting < self.bounds.batch_ahead_commands:
                    return
                for builder in self.builders.values():
                    self.seal(builder)
                if not self.sealed:
                    return
            if not leader:
                return
            builder = self.sealed.popleft()
            self.waiting -= len(builder.commands)
            self.sequence += 1
            after = next(reversed(self.pending)) if self.pending else self.answered
            self.pending[self.sequence] = Pending(
                self.sequence, builder, self._encode(self.sequence, after, builder)
            )
            metrics = self.host.metrics
            metrics.batches += 1
            metrics.batched_commands += len(builder.commands)

    def _encode(self, sequence: int, after: int, builder: Builder) -> bytes:
        floor = next(iter(self.pending), sequence)
        return encode_batch(
            self.host.config.node,
            self.host.incarnation,
            sequence,
            after,
            floor,
            builder.protocol,
            builder.commands,
        )

    def _propose(self, now_ns: int) -> None:
        batches: list[bytes] = []
        origins: list[int] = []
        own: list[Pending] = []
        room = self.bounds.frame_bytes
        forwarded, self.forwarded = self.forwarded, []
        self.forwarded_size = 0
        for peer, batch in forwarded:
            if batches and len(batch) > room:
                self._propose_batches(batches, own, origins, now_ns)
                batches, origins, room = [], [], self.bounds.frame_bytes
            batches.append(batch)
            origins.append(peer)
            room -= len(batch)
        for pending in self.pending.values():
            if pending.sent:
                continue
            if batches and len(pending.payload) > room:
                self._propose_batches(batches, own, origins, now_ns)
                batches, origins, own, room = [], [], [], self.bounds.frame_bytes
            pending.sent = True
            own.append(pending)
            batches.append(pending.payload)
            room -= len(pending.payload)
            if pending.refused:
                break  # What follows may only be in the log behind it: first see whether it is taken now.
        tick = False
        if not batches:
            tick = self.expiry_due() and not self.committed and self.tick_index <= self.machine.applied
            if not tick:
                return
        self._propose_batches(batches, own, origins, now_ns)

    def _propose_batches(
        self, batches: list[bytes], own: list[Pending], origins: list[int], now_ns: int
    ) -> None:
        """One entry for the log."""
        stamp = self.stamp_ms = max(self.stamp_ms, self.machine.stamp_ms, self.host.wall_ms)
        request = self.host.request()
        self.proposals[request] = (own, origins)
        self.core.propose(now_ns, request, encode_proposal(stamp, batches))

    def _forward(self, leader: int, now_ns: int) -> None:
        if now_ns >= self.resend_ns:
            self.host.metrics.resent_batches += len(self.pending)
            self.resend_wait_ns = min(self.resend_wait_ns * 2, self.bounds.request_deadline_ns)
            for pending in self.pending.values():
                pending.sent = False
        # In order, and nothing sent before: where one is lost those behind it are passed over, and time
        # has all of them sent again.
        unsent = [pending for pending in self.pending.values() if not pending.sent]
        if not unsent:
            return
        for pending in unsent:
            pending.sent = pending.exposed = True
            forward = messages.encode(messages.Forward([pending.payload]))
            self.host.send(leader, self.number, messages.KIND_FORWARD, forward)
        self.host.metrics.forwarded_batches += len(unsent)
        if len(unsent) == len(self.pending):
            self.resend_ns = now_ns + self.resend_wait_ns

    # -- what other hosts send

    def on_forward(self, peer: int, body: bytes | memoryview) -> None:
        """Batches of another node's clients, to be proposed if this node leads."""
        forward = messages.decode_forward(body)
        if self.core.leader != self.host.config.node:
            decline = messages.encode(messages.Decline(self.core.leader))
            self.host.send(peer, self.number, messages.KIND_DECLINE, decline)
            return
        size = sum(map(len, forward.batches))
        if self.forwarded and self.forwarded_size + size > self.bounds.forwarded_bytes:
            return  # the origin sends it again, later
        self.forwarded_size += size
        self.forwarded.extend((peer, batch) for batch in forward.batches)
        self.core.awaited(self.host.now_ns, peer)

    def on_decline(self, peer: int, body: bytes | memoryview) -> None:
        """The node asked does not lead: ask again soon, by then the core may know who does."""
        messages.decode_decline(body)
        if peer == self.leader and self.pending:
            self.resend_ns = min(self.resend_ns, self.host.now_ns + 20 * MILLISECOND_NS)

    # -- what the core answers

    def on_reply(self, reply: Reply, now_ns: int) -> None:
        """The outcome of something asked of the core."""
        request, outcome = reply.request, reply.outcome
        proposal = self.proposals.pop(request, None)
        if proposal is not None:
            self._proposed(proposal, outcome)
            return
        if self.reads.answered(request, outcome, now_ns):
            return
        done = self.administering.pop(request, None)
        if done is not None:
            done(outcome)

    def _proposed(self, proposal: tuple[list[Pending], list[int]], outcome: Outcome) -> None:
        own, origins = proposal
        if isinstance(outcome, Refused):
            if own:
                self._refused(own)
            if outcome.reason == REASON_NOT_LEADER:
                decline = messages.encode(messages.Decline(outcome.leader))
                for peer in dict.fromkeys(origins):
                    self.host.send(peer, self.number, messages.KIND_DECLINE, decline)
            self.resend_ns = min(self.resend_ns, self.host.now_ns + 5 * MILLISECOND_NS)
            return
        for pending in own:
            pending.exposed = True
            if pending.refused:
                pending.refused = False
                self.host.dirty(self)  # what follows it may go now
        if isinstance(outcome, Accepted):
            self.tick_index = max(self.tick_index, outcome.index)

    def _refused(self, own: list[Pending]) -> None:
        for pending in own:
            pending.refused = True
        for pending in self.pending.values():
            if pending.sequence >= own[0].sequence:
                pending.sent = False  # Of those behind it some may be in the log: there they are passed over.

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
                        self._answer(answer.sequence, answer.replies)
            elif entry.kind == EntryKind.MEMBERS:
                machine.advance(entry.index, entry.term, entry.payload)
                self.host.peers.members_changed()
            else:
                machine.advance(entry.index, entry.term)
        if self.reads.at:
            self.reads.release()
        return bool(self.committed)

    def _answer(self, sequence: int, replies: list[bytes] | None) -> None:
        pending = self.pending.pop(sequence, None)
        if pending is None:
            return
        self.answered = max(self.answered, sequence)
        self.resend_wait_ns = self.bounds.resend_ns
        self.resend_ns = self.host.now_ns + self.resend_wait_ns if self.pending else NEVER
        # There is room for another batch. Those who are answered now will mostly ask again at once: with the
        # first of them what waits leaves, in one batch, and in any case soon.
        self.linger_ns = self.host.now_ns + LINGER_NS if self.waiting else NEVER
        runs = pending.builder.runs
        if replies is None or len(replies) != len(pending.builder.commands):
            self.host.deliver_error(runs, NOT_KEPT)
        else:
            self.host.deliver(runs, replies)

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
            self._answer(sequence, self.machine.answers(node, incarnation, sequence))
        if replaces:
            # What was answered from the history that is gone is not there to be followed.
            self.answered = last
            self._renumber()
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
                deadline = min(deadline, self._resend_due_ns())
            deadline = min(deadline, self.linger_ns)
        if self.leader == self.host.config.node:
            due = self.machine.next_expiry_ms()
            if due is not None and self.tick_index <= self.machine.applied:
                wait_ns = max(due - self.host.wall_ms, 1) * MILLISECOND_NS
                deadline = min(deadline, self.host.now_ns + wait_ns)
        return deadline

    def _resend_due_ns(self) -> int:
        """When pending batches are to be sent again. A leader's own are in its log: never, unless
        the core refused them."""
        if self.leader != self.host.config.node:
            return self.resend_ns
        if all(pending.sent for pending in self.pending.values()):
            return NEVER
        return max(self.resend_ns, self.host.now_ns + MILLISECOND_NS)

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
            self._expire_before(limit)

    def give_up(self) -> None:
        """The keyspace is no more on this node: whoever waits is told what is known."""
        self._expire_before(self.host.now_ns)

    def _expire_before(self, limit: int) -> None:
        abandoned = []
        reduced = False
        for pending in self.pending.values():
            builder = pending.builder
            if pending.exposed or pending.sent:
                late = [run for run in builder.runs if run.arrived_ns <= limit and not run.done]
                self.host.deliver_error(late, INDETERMINATE)
            else:
                # What is reported as not done must not be done with the rest of the batch.
                late = builder.remove_late(limit)
                self.host.deliver_error(late, NO_QUORUM)
                reduced |= bool(late)
            if all(run.done for run in builder.runs):
                abandoned.append(pending.sequence)
        for sequence in abandoned:
            del self.pending[sequence]
        if abandoned or reduced:
            self._renumber()
        self._expire_waiting(limit)
        self.reads.expire(limit, NO_QUORUM)

    def _renumber(self) -> None:
        """What follows an abandoned batch must not wait for it."""
        after = self.answered
        self.resend_wait_ns = self.bounds.resend_ns
        for pending in self.pending.values():
            pending.payload = self._encode(pending.sequence, after, pending.builder)
            pending.sent = False
            after = pending.sequence

    def _expire_waiting(self, limit: int) -> None:
        for builder in (*self.sealed, *self.builders.values()):
            late = builder.remove_late(limit)
            self.waiting -= sum(run.count for run in late)
            self.host.deliver_error(late, NO_QUORUM)
        self.sealed = deque(builder for builder in self.sealed if builder.commands)

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
