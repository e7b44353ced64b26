"""What a leader does: the log to its followers, the commit index (paper 5.3, 5.4; thesis 10.2.1).

Nothing is sent while a turn's stimuli come in; `end_leader_turn` then sends each follower what it lacks.
Followers that stand at the same place are sent the same message object.
"""

from __future__ import annotations

from comity.protocols.raft.messages import Append, AppendReply, Entry, Heartbeat, HeartbeatReply
from comity.protocols.raft.options import RaftOptions
from comity.protocols.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from comity.protocols.raft.quorums import agreed
from comity.protocols.raft.snapshots import Snapshots
from comity.protocols.raft.state import LEADER
from comity.replica import (
    NEVER,
    REASON_BUSY,
    REASON_NOT_LEADER,
    REASON_OVERLOADED,
    Accepted,
    CoreContext,
    EntryKind,
    NodeId,
    Recovered,
    Refused,
    RequestId,
)
from comity.replica.logged import size_of

NOOP = int(EntryKind.NOOP)
COMMAND = int(EntryKind.COMMAND)

Built = tuple[Append, int, int]
"""An Append, the index of its last entry, and the bytes of its entries."""


AWAITED_NS = 1_000_000_000
"""How long a follower that forwards requests is told of commits at once, after the last."""


class Leading(Snapshots):
    """Proposals, replication, commitment, heartbeats."""

    def __init__(self, context: CoreContext, options: RaftOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.heartbeat_due_ns = NEVER
        self.quorum_due_ns = NEVER
        """When to step down unless a quorum is heard from."""
        self.ticked_ns = 0
        self.commit_due_ns = NEVER
        """When followers must be told of a commit that nothing else carried."""
        self.uncommitted_bytes = 0

    # -- leadership

    def begin_leading(self, now_ns: int) -> None:
        """Nothing is known of the followers yet. The first entry of the term commits what came
        before it (5.4.2; 6.4, step 1)."""
        self.progress = {}
        self.begin_rounds()
        self.gather_peers(now_ns)
        self.uncommitted_bytes = self.count_uncommitted_bytes()
        self.transferee = 0
        self.ticked_ns = now_ns
        self.heartbeat_due_ns = self.next_heartbeat(now_ns)
        self.quorum_due_ns = now_ns + self.options.election_ns
        self.commit_due_ns = NEVER
        self.first_index = self.log.last + 1
        self.append(now_ns, NOOP, b"")

    def end_leading(self, now_ns: int) -> None:
        """A later term, or no quorum."""
        self.abandon_reads()
        self.matched = self.commit
        self.heartbeat_due_ns = self.commit_due_ns = NEVER
        self.progress = {}
        self.peers = ()
        self.pending = False
        self.transferee = 0

    def gather_peers(self, now_ns: int) -> None:
        """Whom the log goes to: the members, and those that are only leaving, until the entry
        that removes them is committed, so that they learn of it."""
        nodes = {self.node}
        for _, members in self.configurations:
            nodes.update(members.everyone())
        progress = self.progress
        for node in sorted(nodes - progress.keys()):
            progress[node] = Progress(node, self.log.last + 1, now_ns)
        for node in sorted(progress.keys() - nodes):
            del progress[node]
        self.peers = tuple(progress[node] for node in sorted(progress) if node != self.node)
        self.pending = True

    def members_changed(self, now_ns: int) -> None:
        """Another configuration is in force, or an older one no longer is."""
        if self.role is LEADER:
            self.gather_peers(now_ns)

    # -- proposals

    def propose(self, now_ns: int, request: RequestId, payload: bytes) -> None:
        """Append to the log, unless leadership is elsewhere, on its way, or overburdened."""
        if self.role is not LEADER:
            self.reply(request, Refused(REASON_NOT_LEADER, "not the leader", self.leader_id))
        elif self.transferee:
            self.reply(request, Refused(REASON_BUSY, "leadership is being handed over", self.transferee))
        elif self.uncommitted_bytes and (
            self.uncommitted_bytes + len(payload) > self.options.max_uncommitted_bytes
        ):
            detail = f"{self.uncommitted_bytes} bytes wait to be committed"
            self.reply(request, Refused(REASON_OVERLOADED, detail, self.node))
        else:
            self.reply(request, Accepted(self.append(now_ns, COMMAND, payload)))

    def append(self, now_ns: int, kind: int, payload: bytes) -> int:
        """Put an entry of this term in the log; it goes out at the end of the turn, and to the
        disk at the same time (thesis 10.2.1)."""
        entry = Entry(self.term, kind, payload)
        index = self.log.append(entry)
        self.write_entries(index, [entry])
        self.uncommitted_bytes += size_of(entry)
        self.pending = True
        return index

    # -- commitment

    def own_match(self) -> int:
        """A leader counts itself for what is durable here, as it counts any other."""
        return self.durable_index

    def agreed_match(self) -> int:
        """The largest index that a quorum holds."""
        progress = self.progress
        return agreed(self.members, lambda node: progress[node].match)

    def may_commit(self, index: int) -> bool:
        """Only an entry of this term is committed by counting; those before it with it (5.4.2)."""
        return self.log.term(index) == self.term

    def advance_commit(self, now_ns: int) -> None:
        """Commit what a quorum holds."""
        own = self.progress[self.node]
        own.match = max(own.match, self.own_match())
        index = self.agreed_match()
        if index > self.commit and self.may_commit(index):
            base = self.log.base
            for entry in self.log.entries[self.commit - base : index - base]:
                self.uncommitted_bytes -= size_of(entry)
            self.commit_to(now_ns, index)
            self.pending = True
            self.committed_as_leader(now_ns)

    # -- replication

    def end_leader_turn(self, now_ns: int) -> None:
        """Close the batch: reads, then entries, then the commit index where nothing carried it."""
        self.pending = False
        self.begin_reads(now_ns)
        shared: dict[int, Built] = {}
        for peer in self.peers:
            state = peer.state
            if state is REPLICATE:
                if peer.next <= self.log.last:
                    self.replicate(now_ns, peer, shared)
            elif state is PROBE:
                if not peer.paused:
                    self.probe(now_ns, peer, shared)
            else:
                self.send_snapshot(now_ns, peer)
        if self.peers:
            self.announce_commit(now_ns)

    def build(self, first: int, shared: dict[int, Built]) -> Built | None:
        """The Append whose entries start at `first`; None where the log no longer holds them."""
        built = shared.get(first)
        if built is None:
            log = self.log
            if first <= log.base:
                return None
            entries, size_bytes = log.slice(first, log.last, self.options.max_append_bytes)
            message = Append(self.term, first - 1, log.term(first - 1), self.commit, entries)
            built = shared[first] = (message, first - 1 + len(entries), size_bytes)
        return built

    def probe(self, now_ns: int, peer: Progress, shared: dict[int, Built]) -> None:
        """One Append, and no other until it is answered."""
        built = self.build(peer.next, shared)
        if built is None:
            self.begin_snapshot(now_ns, peer)
            self.send_snapshot(now_ns, peer)
            return
        self.send(peer.node, built[0])
        peer.sent(built[1], built[2], now_ns)
        peer.commit_sent = self.commit

    def replicate(self, now_ns: int, peer: Progress, shared: dict[int, Built]) -> None:
        """Send ahead, as far as the window allows."""
        options = self.options
        last = self.log.last
        while (
            peer.next <= last
            and len(peer.inflight) < options.max_inflight_messages
            and peer.inflight_bytes < options.max_inflight_bytes
        ):
            built = self.build(peer.next, shared)
            if built is None:
                self.begin_snapshot(now_ns, peer)
                self.send_snapshot(now_ns, peer)
                return
            self.send(peer.node, built[0])
            peer.sent(built[1], built[2], now_ns)
            peer.commit_sent = self.commit

    def announce_commit(self, now_ns: int) -> None:
        """Followers answer their own clients when they have applied: tell them promptly."""
        commit = self.commit
        behind = [peer for peer in self.peers if peer.commit_sent < commit and peer.state is REPLICATE]
        if not behind:
            self.commit_due_ns = NEVER
        elif self.options.eager_commit or now_ns >= self.commit_due_ns:
            self.tell_commit(behind)
            self.commit_due_ns = NEVER
        elif waiting := [peer for peer in behind if peer.awaited_ns > now_ns]:
            self.tell_commit(waiting)
            if len(waiting) == len(behind):
                self.commit_due_ns = NEVER
            elif self.commit_due_ns == NEVER:
                self.commit_due_ns = now_ns + self.options.commit_notify_ns
        elif self.commit_due_ns == NEVER:
            self.commit_due_ns = now_ns + self.options.commit_notify_ns
        else:
            return
        self.set_deadline()

    def tell_commit(self, peers: list[Progress]) -> None:
        """The commit index and nothing else."""
        message = Heartbeat(self.term, self.commit, 0)
        for peer in peers:
            self.send(peer.node, message)
            peer.commit_sent = self.commit

    def awaited(self, now_ns: int, peer: NodeId) -> None:
        """For a while this follower hears of each commit at once."""
        progress = self.progress.get(peer)
        if progress is not None:
            progress.awaited_ns = now_ns + AWAITED_NS

    def on_append_reply(self, now_ns: int, sender: NodeId, message: AppendReply) -> None:
        """A follower holds more, or does not fit."""
        if message.term != self.term or self.role is not LEADER:
            if message.term > self.term:
                self.become_follower(now_ns, message.term, 0)
            return
        peer = self.progress.get(sender)
        if peer is None:
            self.drop(sender, message, "not a member")
            return
        if message.match > self.log.last or message.rejected > self.log.last:
            self.drop(sender, message, "beyond the log")
            return
        peer.heard_ns = now_ns
        if message.rejected:
            self.back_track(peer, message)
            return
        news = peer.acknowledged(message.match)
        transfer = peer.transfer
        if transfer is not None:
            if peer.match >= self.log.base:
                peer.become_replicate()
                self.pending = True
            elif 0 < transfer.index <= peer.match:
                self.begin_snapshot(now_ns, peer)  # the log was compacted past it meanwhile
        elif peer.state is PROBE:
            if peer.match + 1 >= peer.next:
                peer.become_replicate()
                self.pending = True
        elif peer.next <= self.log.last:
            self.pending = True
        if news:
            self.advance_commit(now_ns)
            if self.transferee:
                self.pending = True

    def back_track(self, peer: Progress, message: AppendReply) -> None:
        """The logs differ at the rejected entry. Go back to the last entry that both may hold: the
        hint, or where this log's term at the hint's place is later, to before that term (5.3)."""
        rejected = message.rejected
        if rejected <= peer.match or peer.state is SNAPSHOT:
            return
        if peer.state is PROBE and rejected != peer.next - 1:
            return
        hint = min(message.hint_index, rejected - 1)
        if hint > self.log.base:
            hint = self.log.last_at_or_below(hint, message.hint_term)
        peer.become_probe(hint + 1)
        self.pending = True

    # -- heartbeats

    def next_heartbeat(self, now_ns: int) -> int:
        """The next point of a grid all groups share, so that they wake and send together."""
        interval_ns = self.options.heartbeat_ns
        return (now_ns // interval_ns + 1) * interval_ns

    def tick(self, now_ns: int) -> None:
        """On the heartbeat grid: a round, and whatever was lost is sent again."""
        options = self.options
        if now_ns - self.ticked_ns > options.election_ns // 2:
            # This process itself stood still: replies may be waiting to be read.
            self.quorum_due_ns = max(self.quorum_due_ns, now_ns + options.election_ns // 2)
        self.ticked_ns = now_ns
        self.heartbeat_due_ns = self.next_heartbeat(now_ns)
        if options.check_quorum and now_ns >= self.quorum_due_ns:
            quorum_due_ns = self.confirmed_ns + options.election_ns
            if now_ns >= quorum_due_ns:
                self.context.note("raft.no_quorum", term=self.term)
                self.become_follower(now_ns, self.term, 0)
                return
            self.quorum_due_ns = quorum_due_ns
        self.start_round(now_ns)
        for peer in self.peers:
            if peer.state is not REPLICATE or peer.inflight:
                self.retransmit(now_ns, peer)

    def retransmit(self, now_ns: int, peer: Progress) -> None:
        """A follower that speaks but has not answered what it was sent."""
        if now_ns - peer.heard_ns >= self.options.election_ns:
            return
        if peer.transfer is not None:
            self.retry_snapshot(now_ns, peer, peer.transfer)
        elif peer.unacknowledged and now_ns - peer.sent_ns >= self.options.retry_ns:
            known = peer.next if peer.state is PROBE else peer.match + 1
            peer.become_probe(max(known, peer.received + 1))
            self.pending = True

    def on_heartbeat_reply(self, now_ns: int, sender: NodeId, message: HeartbeatReply) -> None:
        """A follower took part in a round."""
        if message.term != self.term or self.role is not LEADER:
            if message.term > self.term:
                self.become_follower(now_ns, message.term, 0)
            return
        peer = self.progress.get(sender)
        if peer is None:
            self.drop(sender, message, "not a member")
            return
        if message.round > self.round or message.received > self.log.last:
            self.drop(sender, message, "beyond the log")
            return
        peer.heard_ns = now_ns
        peer.received = message.received
        if message.received < peer.match and peer.state is REPLICATE:
            # It restarted: it has the entries, but does not know that they are this leader's.
            peer.become_probe(peer.match + 1)
            self.pending = True
        if message.round > peer.round:
            peer.round = message.round
            if message.round > self.confirmed_round:
                self.count_round(now_ns)
