"""Linearizable reads without writing to the log, and the rounds and leases that allow them.

A round is a heartbeat with a number. When every member that counts has answered round n, none of them had
adopted a later view when it did; the primary of the next view that does anything is one of them; so nothing
was committed elsewhere before round n was sent (Vertical Paxos: a configuration's reads and writes meet).
A lease is the same promise in advance: who answers lets nothing be committed without this primary for
`lease_ns` (as in PacificA, Lin et al. 2008, where backups grant the primary its lease).
"""

from __future__ import annotations

from collections import deque

from comity.protocols.primary_backup.messages import Heartbeat, ReadIndex, ReadIndexReply
from comity.protocols.primary_backup.options import LEASE, PrimaryBackupOptions
from comity.protocols.primary_backup.progress import LONG_AGO_NS, Progress
from comity.protocols.primary_backup.state import OUTSIDE, PRIMARY, Replica
from comity.replica import (
    NEVER,
    REASON_NO_LEADER,
    CoreContext,
    NodeId,
    ReadAt,
    Recovered,
    Refused,
    RequestId,
)

MAX_ROUNDS = 256
MAX_PROMISES = 64


class Reads(Replica):
    """Rounds and leases of a primary; reads of a primary, and of a backup through its primary."""

    def __init__(self, context: CoreContext, options: PrimaryBackupOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.round = 0
        """The last round started in this reign."""
        self.rounds: deque[int] = deque(maxlen=MAX_ROUNDS)
        """When each of the last rounds was sent."""

        self.reads_waiting: list[RequestId] = []
        """Reads of this node that wait for the next round (as primary) or request (as backup)."""
        self.peer_reads_waiting: dict[NodeId, int] = {}
        """replica -> the number of its batch that waits for the next round."""
        self.read_round = 0
        """The round that confirms the reads below, 0 for none."""
        self.read_index = 0
        self.reads_in_round: list[RequestId] = []
        self.peer_reads_in_round: dict[NodeId, int] = {}

        self.reads_asked: list[RequestId] = []
        """As backup: reads the primary was asked about."""
        self.read_number = context.stream("primary_backup.reads").word() >> 3
        """The number of that batch. No earlier life of this replica used the same, so a late answer to one
        of those cannot be taken for ours."""
        self.read_retry_ns = NEVER
        self.read_expiry_ns = NEVER

        self.promises: dict[NodeId, int] = {}
        """A primary that was confirmed -> until when nothing may be committed without it."""
        self.restart_hold_ns = LONG_AGO_NS
        """The same for promises of an earlier life, to whomever they were made."""

    # -- rounds of a primary

    def begin_rounds(self) -> None:
        """A new reign."""
        self.round = self.read_round = 0
        self.rounds.clear()

    def start_round(self, now_ns: int) -> None:
        """Send a numbered heartbeat to everyone; it carries the commit index too."""
        self.round += 1
        self.rounds.append(now_ns)
        message = Heartbeat(self.reign, self.commit, self.round)
        for peer in self.peers:
            self.speak(peer.node, message)
            peer.commit_sent = self.commit
        self.count_round(now_ns)

    def round_answered(self, now_ns: int, peer: Progress, number: int) -> None:
        """A replica took part in a round."""
        if number <= peer.round:
            return
        peer.round = number
        oldest = self.round - len(self.rounds) + 1
        if number >= oldest:
            peer.round_ns = self.rounds[number - oldest]
        self.count_round(now_ns)

    def confirmed_round(self) -> int:
        """The last round that every member that counts has answered."""
        return min((peer.round for peer in self.deciding), default=self.round)

    def count_round(self, now_ns: int) -> None:
        """Are the reads of the round out confirmed?"""
        if self.read_round and self.read_round <= self.confirmed_round():
            self.answer_reads()

    # -- leases of a primary

    def lease_duration_ns(self) -> int:
        """How long after sending a round that a member answered it keeps its promise: by the fastest clock
        the declared bound allows it and the slowest it allows this replica."""
        drift_ppm = self.options.clock_drift_ppm
        return self.options.lease_ns * (1_000_000 - drift_ppm) // (1_000_000 + drift_ppm)

    def has_lease(self, now_ns: int) -> bool:
        """Whether every member that counts still keeps its promise."""
        if self.options.reads != LEASE:
            return False
        duration_ns = self.lease_duration_ns()
        return all(now_ns < peer.round_ns + duration_ns for peer in self.deciding)

    # -- promises of a member

    def promise(self, now_ns: int, primary: NodeId) -> None:
        """A round is about to be confirmed."""
        if self.options.reads == LEASE:
            if len(self.promises) >= MAX_PROMISES:
                self.promises = {node: until for node, until in self.promises.items() if until > now_ns}
            self.promises[primary] = now_ns + self.options.lease_ns

    def hold_until_ns(self) -> int:
        """As primary: when the last promise ends that was made to a primary without whom this view can
        commit. One that is a member of it must acknowledge, and by then has given up its lease."""
        held_ns = self.restart_hold_ns
        if self.promises:
            members = (*self.current.nodes, *self.counted)
            for node, until_ns in self.promises.items():
                if node not in members:
                    held_ns = max(held_ns, until_ns)
        return held_ns

    # -- reads

    def read(self, now_ns: int, request: RequestId) -> None:
        """Ask for an index at which a local read is linearizable."""
        if self.role is PRIMARY:
            if self.serves_at_once(now_ns):
                self.reply(request, ReadAt(self.commit))
                return
            self.pending = True
        elif self.role is OUTSIDE or self.superseded:
            detail = "this replica is not part of the view" if self.current.epoch else "no view is known"
            self.reply(request, Refused(REASON_NO_LEADER, detail, self.leader))
            return
        self.reads_waiting.append(request)

    def may_serve_reads(self) -> bool:
        """Whether an entry of this reign is committed. Until then this primary may not know of every entry
        that was committed in earlier views."""
        return self.commit >= self.first_index

    def serves_at_once(self, now_ns: int) -> bool:
        """Whether a read may be answered without a round: alone in the view, by lease, or where an async
        primary promises no more than its own state."""
        if not self.may_serve_reads():
            return False
        return not self.deciding or not self.options.sync or self.has_lease(now_ns)

    def begin_reads(self, now_ns: int) -> None:
        """At the end of a primary's turn: one round for all reads that wait, unless one is out. Those that
        come meanwhile wait for the next."""
        if self.read_round or not (self.reads_waiting or self.peer_reads_waiting):
            return
        if not self.may_serve_reads():
            return
        self.read_index = self.commit
        self.reads_in_round, self.reads_waiting = self.reads_waiting, []
        self.peer_reads_in_round, self.peer_reads_waiting = self.peer_reads_waiting, {}
        self.read_round = self.round + 1
        if self.serves_at_once(now_ns):
            self.answer_reads()
        else:
            self.start_round(now_ns)

    def answer_reads(self) -> None:
        """The round is confirmed: no later view did anything when the reads were asked for."""
        index = self.read_index
        for request in self.reads_in_round:
            self.reply(request, ReadAt(index))
        for peer, number in self.peer_reads_in_round.items():
            self.speak(peer, ReadIndexReply(self.reign, number, index))
        self.reads_in_round = []
        self.peer_reads_in_round = {}
        self.read_round = 0
        self.pending = True

    def suspend_reads(self) -> None:
        """The view changes: who asked here waits for what comes, who asked elsewhere asks again there."""
        self.reads_waiting = [*self.reads_in_round, *self.reads_asked, *self.reads_waiting]
        self.reads_in_round, self.reads_asked = [], []
        self.peer_reads_in_round, self.peer_reads_waiting = {}, {}
        self.read_round = 0
        self.read_retry_ns = self.read_expiry_ns = NEVER

    def refuse_reads(self, detail: str) -> None:
        """There is nobody who could answer the reads that wait."""
        self.suspend_reads()
        waiting, self.reads_waiting = self.reads_waiting, []
        for request in waiting:
            self.reply(request, Refused(REASON_NO_LEADER, detail))
        self.set_deadline()

    def on_read_index(self, now_ns: int, sender: NodeId, message: ReadIndex) -> None:
        """A backup asks on behalf of its clients."""
        if self.role is not PRIMARY:
            self.speak(sender, ReadIndexReply(message.reign, message.number, 0, refused=True))
        elif sender not in self.progress:
            self.drop(sender, message, "not a member")
        elif self.serves_at_once(now_ns):
            self.speak(sender, ReadIndexReply(self.reign, message.number, self.commit))
        elif self.peer_reads_in_round.get(sender) != message.number:
            self.peer_reads_waiting[sender] = message.number
            self.pending = True

    # -- reads of a backup

    def ask_primary(self, now_ns: int) -> None:
        """At the end of a backup's turn: one request for all reads that wait, unless one is out."""
        if self.reads_waiting and not self.reads_asked:
            self.reads_asked, self.reads_waiting = self.reads_waiting, []
            self.read_number += 1
            self.read_expiry_ns = now_ns + self.options.read_expiry_ns
            self._ask(now_ns)

    def _ask(self, now_ns: int) -> None:
        self.read_retry_ns = now_ns + self.options.retry_ns
        self.speak(self.primary, ReadIndex(self.reign, self.read_number))
        self.set_deadline()

    def read_timeout(self, now_ns: int) -> None:
        """No answer: ask again about the same batch, so that an answer to either will do; or give up."""
        if now_ns >= self.read_expiry_ns:
            self.refuse_reads("the primary does not answer")
        else:
            self._ask(now_ns)

    def on_read_index_reply(self, now_ns: int, sender: NodeId, message: ReadIndexReply) -> None:
        """The primary's answer; older batches' answers are not ours."""
        if message.number != self.read_number or not self.reads_asked or sender != self.primary:
            return
        if message.refused:
            self.refuse_reads("the primary is not ready")
            return
        if not self.knows_history():
            return  # asked again at the retry: by then what is applied here may be known to be the primary's
        asked, self.reads_asked = self.reads_asked, []
        self.read_retry_ns = self.read_expiry_ns = NEVER
        self.set_deadline()
        outcome = ReadAt(message.index)
        for request in asked:
            self.reply(request, outcome)

    def knows_history(self) -> bool:
        """Whether all that is applied here is known to be in the primary's history. An async primary may
        have been promoted without the last of it."""
        return self.options.sync or (self.matched >= self.commit and not self.diverged)
