"""The writes of a group's clients on their way into its log: gathered, batched, proposed, sent on, answered.

See `group` for what a batch is and why it may be sent as often as needed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from comity.node import messages
from comity.node.config import MILLISECOND_NS, Bounds
from comity.node.connection import Run
from comity.node.errors import INDETERMINATE, NO_QUORUM, NOT_KEPT
from comity.node.served import Served
from comity.node.waiting import Builder, Pending
from comity.replica import NEVER, REASON_NOT_LEADER, Accepted, Committed, Core, Outcome, Protocol, Refused
from comity.store.batches import encode_batch, encode_proposal
from comity.store.machine import StateMachine

if TYPE_CHECKING:
    from comity.node.host import Host

LINGER_NS = MILLISECOND_NS // 2
"""How long commands wait for more after the batch before them was answered, at most."""


class Writes(Served):
    """The writes of one keyspace on this node, until they are in its log, and their answers."""

    committed: deque[Committed]
    """Entries of the log that are not applied yet."""

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
        self.proposals: dict[int, tuple[list[Pending], list[int]]] = {}

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
            self.leader_changed(leader)
        if self.pending or self.sealed or self.waiting:
            self._close_batches(leader)
        if leader == self.host.config.node:
            self._propose(now_ns)
        elif leader and self.pending:
            self._forward(leader, now_ns)

    def leader_changed(self, leader: int) -> None:
        """Somebody else leads now, or nobody."""
        self.leader = leader
        self.tick_index = 0  # That entry may have been lost with the leader.
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

    # -- what becomes of them

    def proposed(self, proposal: tuple[list[Pending], list[int]], outcome: Outcome) -> None:
        """What the core said to an entry of (own batches, origins of others')."""
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

    def answer(self, sequence: int, replies: list[bytes] | None) -> None:
        """A batch was applied: its replies, None where they are not kept any more."""
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

    # -- time

    def resend_due_ns(self) -> int:
        """When pending batches are to be sent again. A leader's own are in its log: never, unless
        the core refused them."""
        if self.leader != self.host.config.node:
            return self.resend_ns
        if all(pending.sent for pending in self.pending.values()):
            return NEVER
        return max(self.resend_ns, self.host.now_ns + MILLISECOND_NS)

    def expire_before(self, limit: int) -> None:
        """Give up on what arrived until then, each with what is known of it."""
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
            self.renumber()
        self._expire_waiting(limit)

    def renumber(self) -> None:
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
