"""Linearizable reads without writing to the log (thesis 6.4), and the rounds that confirm a leader.

A round is a heartbeat with a number. When a quorum has answered round n, this replica was still the
leader at some moment after it sent round n: enough for reads that came before (6.4), for its lease
(6.4.1), and for check-quorum (6.2).
"""

from __future__ import annotations

from collections import deque

from comity.protocols.raft.election import Election
from comity.protocols.raft.messages import Heartbeat, ReadIndex, ReadIndexReply
from comity.protocols.raft.options import RaftOptions
from comity.protocols.raft.quorums import agreed
from comity.protocols.raft.state import LEADER, LONG_AGO_NS
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

READ_WAIT_NS = 5_000_000_000
"""The longest that a follower asks about the same reads: clients wait no longer by default, and a host asks
anew for what is wanted still."""


class Reads(Election):
    """Rounds and leases of a leader; reads of a leader, and of a follower through its leader."""

    def __init__(self, context: CoreContext, options: RaftOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.round = 0
        """The last round started in this term."""
        self.rounds: deque[tuple[int, int]] = deque(maxlen=MAX_ROUNDS)
        """(round, when it was sent) of those not confirmed."""
        self.confirmed_round = 0
        self.confirmed_ns = LONG_AGO_NS
        """When the last round that a quorum answered was sent."""
        self.lease_given_up = False
        """Whether a successor was told to campaign in spite of this leader being alive."""
        self.first_index = 0
        """The index of the entry this leader began its term with."""

        self.reads_waiting: list[RequestId] = []
        """Reads of this node that wait for the next round (as leader) or request (as follower)."""
        self.peer_reads_waiting: dict[NodeId, int] = {}
        """follower -> the number of its batch that waits for the next round."""
        self.read_round = 0
        """The round that confirms the reads below, 0 for none."""
        self.read_index = 0
        self.reads_in_round: list[RequestId] = []
        self.peer_reads_in_round: dict[NodeId, int] = {}

        self.reads_asked: list[RequestId] = []
        """As follower: reads the leader was asked about."""
        self.read_number = context.stream("raft.reads").word() >> 3
        """The number of that batch. No earlier life of this replica used the same, so a late answer
        to one of those cannot be taken for ours."""
        self.read_retry_ns = NEVER
        self.read_interval_ns = 0
        """Until they are asked about again."""
        self.read_asked_ns = 0
        """When the leader was asked about them first."""
        self.read_expiry_ns = NEVER
        self.read_patience_ns = options.election_ns
        """How long an answer is waited for: an election timeout, or longer where answers take longer."""

    # -- rounds of a leader

    def begin_rounds(self) -> None:
        """A new term of leadership."""
        self.round = self.confirmed_round = self.read_round = 0
        self.rounds.clear()
        self.confirmed_ns = LONG_AGO_NS
        self.lease_given_up = False

    def start_round(self, now_ns: int) -> int:
        """Send a numbered heartbeat to everyone; it carries the commit index too."""
        self.round += 1
        self.rounds.append((self.round, now_ns))
        commit = self.commit
        message = Heartbeat(self.term, commit, self.round)
        for peer in self.peers:
            self.send(peer.node, message)
            peer.commit_sent = commit
        self.count_round(now_ns)
        return self.round

    def count_round(self, now_ns: int) -> None:
        """Has a quorum answered a later round? This replica answers its own at once."""
        progress = self.progress
        progress[self.node].round = self.round
        confirmed = agreed(self.members, lambda node: progress[node].round)
        if confirmed <= self.confirmed_round:
            return
        self.confirmed_round = confirmed
        rounds = self.rounds
        while rounds and rounds[0][0] <= confirmed:
            self.confirmed_ns = rounds.popleft()[1]
        if self.read_round and self.read_round <= confirmed:
            self.answer_reads()

    # -- reads

    def read(self, now_ns: int, request: RequestId) -> None:
        """Ask for an index at which a local read is linearizable."""
        if self.role is LEADER:
            if self.serves_at_once(now_ns):
                self.reply(request, ReadAt(self.commit))
                return
            self.pending = True
        elif not self.leader_id:
            self.reply(request, Refused(REASON_NO_LEADER, "no leader is known"))
            return
        self.reads_waiting.append(request)

    def may_serve_reads(self) -> bool:
        """Whether an entry of this term is committed. Until then this leader may not know of
        every entry its predecessors committed (6.4, step 1)."""
        return self.commit >= self.first_index

    def lease_duration_ns(self) -> int:
        """How long after sending a confirmed round no other can have become leader: the time for
        which those who answered refuse to vote, by the fastest clock the declared bound allows
        them and the slowest it allows this replica (6.4.1)."""
        drift = self.options.clock_drift
        return int(self.options.election_ns * (1 - drift) / (1 + drift))

    def has_lease(self, now_ns: int) -> bool:
        """Whether no other leader can have been elected yet."""
        return (
            self.options.lease_reads
            and not self.lease_given_up
            and now_ns < self.confirmed_ns + self.lease_duration_ns()
        )

    def serves_at_once(self, now_ns: int) -> bool:
        """Whether a read may be answered without a round."""
        return self.has_lease(now_ns) and self.may_serve_reads()

    def begin_reads(self, now_ns: int) -> None:
        """At the end of a leader's turn: one round for all reads that wait, unless one is out.
        Those that come meanwhile wait for the next."""
        if self.read_round or not (self.reads_waiting or self.peer_reads_waiting):
            return
        if not self.may_serve_reads():
            return
        self.read_index = self.commit
        self.reads_in_round, self.reads_waiting = self.reads_waiting, []
        self.peer_reads_in_round, self.peer_reads_waiting = self.peer_reads_waiting, {}
        self.read_round = self.round + 1
        self.start_round(now_ns)

    def answer_reads(self) -> None:
        """The round is confirmed: this replica led when the reads were asked for."""
        index = self.read_index
        for request in self.reads_in_round:
            self.reply(request, ReadAt(index))
        for peer, number in self.peer_reads_in_round.items():
            self.answer(peer, ReadIndexReply(self.term, number, index))
        self.reads_in_round = []
        self.peer_reads_in_round = {}
        self.read_round = 0
        self.pending = True

    def abandon_reads(self) -> None:
        """Leadership ends: nothing can confirm the reads that wait."""
        for request in (*self.reads_in_round, *self.reads_waiting):
            self.reply(request, Refused(REASON_NO_LEADER, "leadership was lost"))
        for peer, number in (*self.peer_reads_in_round.items(), *self.peer_reads_waiting.items()):
            self.answer(peer, ReadIndexReply(self.term, number, 0, refused=True))
        self.reads_in_round, self.reads_waiting = [], []
        self.peer_reads_in_round, self.peer_reads_waiting = {}, {}
        self.read_round = 0

    def on_read_index(self, now_ns: int, sender: NodeId, message: ReadIndex) -> None:
        """A follower asks on behalf of its clients."""
        if message.term > self.term:
            self.become_follower(now_ns, message.term, 0)
        if self.role is not LEADER or message.term < self.term:
            self.answer(sender, ReadIndexReply(self.term, message.number, 0, refused=True))
        elif sender not in self.progress:
            self.drop(sender, message, "not a member")
        elif self.serves_at_once(now_ns):
            self.answer(sender, ReadIndexReply(self.term, message.number, self.commit))
        elif self.peer_reads_in_round.get(sender) != message.number:
            self.peer_reads_waiting[sender] = message.number
            self.pending = True

    # -- reads of a follower

    def ask_leader(self, now_ns: int) -> None:
        """At the end of a follower's turn: one request for all reads that wait, unless one is out."""
        if self.reads_waiting and not self.reads_asked and self.leader_id:
            self.reads_asked, self.reads_waiting = self.reads_waiting, []
            self.read_number += 1
            self.read_interval_ns = self.options.retry_ns
            self.read_asked_ns = now_ns
            self.read_expiry_ns = now_ns + self.read_patience_ns
            self._ask(now_ns)

    def _ask(self, now_ns: int) -> None:
        self.read_retry_ns = min(now_ns + self.read_interval_ns, self.read_expiry_ns)
        self.answer(self.leader_id, ReadIndex(self.term, self.read_number))
        self.set_deadline()

    def read_timeout(self, now_ns: int) -> None:
        """No answer: ask again about the same batch, so that an answer to either will do, less often each
        time; or give up. Then the leader may just be far away, so the next batch is given twice the time: it
        is the host that knows what its clients' deadlines are, and asks again until then."""
        if now_ns >= self.read_expiry_ns:
            self.be_patient(2 * self.read_patience_ns)
            self.refuse_reads(now_ns)
        else:
            self.read_interval_ns *= 2
            self._ask(now_ns)

    def be_patient(self, wait_ns: int) -> None:
        """Wait so long for answers, within bounds. That is of no matter for safety: only an answer to this
        very batch is believed; a leader that is gone is noticed by the election timeout all the same."""
        least_ns = self.options.election_ns
        self.read_patience_ns = max(least_ns, min(wait_ns, READ_WAIT_NS))

    def on_read_index_reply(self, now_ns: int, sender: NodeId, message: ReadIndexReply) -> None:
        """The leader's answer; older batches' answers are not ours."""
        if message.term > self.term:
            self.become_follower(now_ns, message.term, 0)
            return
        if message.number != self.read_number or not self.reads_asked:
            return
        if message.refused or message.term < self.term:
            self.refuse_reads(now_ns)
            return
        if sender != self.leader_id:
            return
        self.be_patient(2 * (now_ns - self.read_asked_ns))
        asked, self.reads_asked = self.reads_asked, []
        self.read_retry_ns = self.read_expiry_ns = NEVER
        self.set_deadline()
        self.follow_commit(now_ns, message.index)
        outcome = ReadAt(message.index)
        for request in asked:
            self.reply(request, outcome)

    def refuse_reads(self, now_ns: int) -> None:
        """As follower: there is no leader who could answer these reads."""
        if self.reads_asked or self.reads_waiting:
            for request in (*self.reads_asked, *self.reads_waiting):
                self.reply(request, Refused(REASON_NO_LEADER, "the leader is gone"))
            self.reads_asked, self.reads_waiting = [], []
            self.read_retry_ns = self.read_expiry_ns = NEVER
            self.set_deadline()
