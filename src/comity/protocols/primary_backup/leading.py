"""What a primary does: the log to its backups, the commit index (Alsberg & Day 1976; Vertical
Paxos 2009).

Nothing is sent while a turn's stimuli come in; `end_primary_turn` then sends each replica what it lacks.
Replicas that stand at the same place are sent the same message object.
"""

from __future__ import annotations

from comity.protocols.primary_backup.messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    Present,
)
from comity.protocols.primary_backup.options import BEST, PrimaryBackupOptions
from comity.protocols.primary_backup.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from comity.protocols.primary_backup.reigns import epoch_of
from comity.protocols.primary_backup.snapshots import Snapshots
from comity.protocols.primary_backup.state import PRIMARY
from comity.replica import (
    NEVER,
    REASON_NO_LEADER,
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
"""How long a backup that forwards requests is told of commits at once, after the last."""


class Leading(Snapshots):
    """Proposals, replication, commitment, heartbeats."""

    def __init__(self, context: CoreContext, options: PrimaryBackupOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.heartbeat_due_ns = NEVER
        self.commit_due_ns = NEVER
        """When replicas must be told of a commit that nothing else carried."""
        self.hold_due_ns = NEVER
        """When the promises end that keep this primary from committing."""
        self.uncommitted_bytes = 0

    # -- proposals

    def propose(self, now_ns: int, request: RequestId, payload: bytes) -> None:
        """Append to the log, unless the primary is elsewhere, or too much is not replicated yet."""
        if self.role is not PRIMARY:
            reason = REASON_NOT_LEADER if self.leader else REASON_NO_LEADER
            self.reply(request, Refused(reason, "not the primary", self.leader))
        elif self.uncommitted_bytes and (
            self.uncommitted_bytes + len(payload) > self.options.max_uncommitted_bytes
        ):
            detail = (
                f"{self.uncommitted_bytes} bytes wait for the backups: try again when they have caught up"
            )
            self.reply(request, Refused(REASON_OVERLOADED, detail, self.node))
        elif detail := self.beyond_loss_bound(payload):
            self.reply(request, Refused(REASON_OVERLOADED, detail, self.node))
        else:
            self.reply(request, Accepted(self.append(now_ns, COMMAND, payload)))

    def append(self, now_ns: int, kind: int, payload: bytes) -> int:
        """Put an entry of this reign in the log; it goes out at the end of the turn, and to the disk at the
        same time."""
        entry = Entry(self.reign, kind, payload)
        index = self.log.append(entry)
        self.write_entries(index, [entry])
        self.uncommitted_bytes += size_of(entry)
        self.unreplicated_bytes += len(payload)
        self.pending = True
        return index

    # -- what may be lost (async)

    secured = 0
    """As primary: how far the log is known to be durable on the best backup, or on every one."""
    unreplicated_bytes = 0
    """Payload of the entries after it."""

    def begin_loss_accounts(self) -> None:
        """Of what no backup has confirmed in this reign nothing is known: it counts."""
        self.secured = 0
        self.unreplicated_bytes = sum(len(entry.payload) for entry in self.log.entries)

    def count_backups(self) -> None:
        """The best backup, or the one furthest behind, may hold more, or be another."""
        best = self.secured_match()
        if best != self.secured:
            if self.log.base <= self.secured < best:
                first = self.secured - self.log.base
                gone = self.log.entries[first : first + best - self.secured]
                self.unreplicated_bytes -= sum(len(entry.payload) for entry in gone)
            else:
                self.unreplicated_bytes = sum(len(entry.payload) for entry in self.log.after(best))
            self.secured = best

    def secured_match(self) -> int:
        """What survives the loss of this primary: with the best backup, or with any."""
        matches = [peer.match for peer in self.deciding]
        if not matches:
            return 0
        return max(matches) if self.options.loss_counts == BEST else min(matches)

    def lacks_too_much(self, match: int) -> bool:
        """Whether more than the bound would be lost if a replica with that match took over."""
        options = self.options
        if options.loss_entries and self.log.last - match > options.loss_entries:
            return True
        lacking = self.log.after(match) if options.loss_bytes else []
        return bool(lacking) and (
            match < self.log.base or sum(len(entry.payload) for entry in lacking) > options.loss_bytes
        )

    def beyond_loss_bound(self, payload: bytes) -> str:
        """Why this proposal could make more be lost than the options allow; empty where it could not. Where
        nobody else may take over, nothing can."""
        options = self.options
        if options.sync or not self.deciding:
            return ""
        lacking = self.log.last - self.secured
        if options.loss_entries and lacking >= options.loss_entries:
            state = (
                f"{lacking} entries are not on the backups, and the loss bound is "
                f"{options.loss_entries} entries"
            )
        elif options.loss_bytes and self.secured < self.log.base:
            state = f"the backups lack more than the log still holds (up to {self.log.base})"
        elif options.loss_bytes and self.unreplicated_bytes + len(payload) > options.loss_bytes:
            state = (
                f"{self.unreplicated_bytes} bytes are not on the backups, this proposal has "
                f"{len(payload)} more, and the loss bound is {options.loss_bytes} bytes"
            )
        else:
            return ""
        return f"{state}: wait, take backups that cannot catch up out of the view, or raise the bound"

    # -- commitment

    def own_match(self) -> int:
        """A primary counts itself for what is durable here, as it counts any other."""
        return self.durable_index

    def agreed_match(self) -> int:
        """The largest index held by all that count: with sync every member, with async the primary."""
        own = self.own_match()
        if not self.options.sync:
            return own
        return min([own, *(peer.match for peer in self.deciding)])

    def may_commit(self, now_ns: int, index: int) -> bool:
        """A new primary commits what it found with the first entry of its own reign, and nothing before no
        earlier primary can serve reads by a lease any more."""
        return self.log.term(index) == self.reign and now_ns >= self.hold_until_ns()

    def advance_commit(self, now_ns: int) -> None:
        """Commit what all that count hold."""
        index = self.agreed_match()
        if index <= self.commit:
            return
        if not self.may_commit(now_ns, index):
            if self.hold_due_ns == NEVER and (hold_ns := self.hold_until_ns()) > now_ns:
                self.hold_due_ns = hold_ns
                self.set_deadline()
            return
        base = self.log.base
        for entry in self.log.entries[self.commit - base : index - base]:
            self.uncommitted_bytes -= size_of(entry)
        self.commit_to(index)
        self.pending = True

    # -- replication

    def end_primary_turn(self, now_ns: int) -> None:
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
            message = Append(self.reign, first - 1, log.term(first - 1), self.commit, entries)
            built = shared[first] = (message, first - 1 + len(entries), size_bytes)
        return built

    def probe(self, now_ns: int, peer: Progress, shared: dict[int, Built]) -> None:
        """One Append, and no other until it is answered."""
        built = self.build(peer.next, shared)
        if built is None:
            self.begin_snapshot(now_ns, peer)
            self.send_snapshot(now_ns, peer)
            return
        self.speak(peer.node, built[0])
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
            self.speak(peer.node, built[0])
            peer.sent(built[1], built[2], now_ns)
            peer.commit_sent = self.commit

    def announce_commit(self, now_ns: int) -> None:
        """Backups answer their own clients when they have applied: tell them promptly."""
        commit = self.commit
        behind = [peer for peer in self.peers if peer.commit_sent < commit and peer.state is REPLICATE]
        if not behind:
            self.commit_due_ns = NEVER
        elif self.options.eager_commit or now_ns >= self.commit_due_ns:
            self.tell_commit(behind)
            self.commit_due_ns = NEVER
        else:
            self.tell_commit([peer for peer in behind if peer.awaited_ns > now_ns])
            if all(peer.commit_sent >= commit for peer in behind):
                self.commit_due_ns = NEVER
            elif self.commit_due_ns == NEVER:
                self.commit_due_ns = now_ns + self.options.commit_notify_ns
        self.set_deadline()

    def tell_commit(self, peers: list[Progress]) -> None:
        """The commit index and nothing else."""
        message = Heartbeat(self.reign, self.commit, 0)
        for peer in peers:
            self.speak(peer.node, message)
            peer.commit_sent = self.commit

    def awaited(self, now_ns: int, peer: NodeId) -> None:
        """For a while this backup hears of each commit at once."""
        progress = self.progress.get(peer)
        if progress is not None:
            progress.awaited_ns = now_ns + AWAITED_NS

    def progress_of(
        self, now_ns: int, sender: NodeId, message: AppendReply | HeartbeatReply
    ) -> Progress | None:
        """What is known of the sender of an answer to this very reign; None where it is none."""
        peer = self.progress.get(sender)
        if peer is None or message.reign != self.reign:
            self.drop(sender, message, "not of this reign")
            return None
        peer.heard_ns = now_ns
        return peer

    def on_append_reply(self, now_ns: int, sender: NodeId, message: AppendReply) -> None:
        """A replica holds more, or does not fit."""
        last = self.log.last
        if message.match > last or (message.rejected > last and not message.diverged):
            self.drop(sender, message, "beyond the log")
            return
        peer = self.progress_of(now_ns, sender, message)
        if peer is None:
            return
        if message.diverged:
            if peer.transfer is None:
                self.begin_snapshot(now_ns, peer)
            return
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
        elif peer.next <= last:
            self.pending = True
        if news:
            self.count_backups()
            self.advance_commit(now_ns)
            self.consider_joining(now_ns)

    def consider_joining(self, now_ns: int) -> None:
        """A joining replica may be level."""

    def back_track(self, peer: Progress, message: AppendReply) -> None:
        """The logs differ at the rejected entry. Go back to the last entry that both may hold: the hint, or
        where this log's reign at the hint's place is later, to before that reign."""
        rejected = message.rejected
        if rejected <= peer.match or peer.state is SNAPSHOT:
            return
        if peer.state is PROBE and rejected != max(peer.next - 1, 1):
            return
        hint = message.hint_index
        if hint == rejected:
            hint -= 1  # that very entry did not fit; a hint beyond it is where the replica's log begins
        if hint > self.log.base:
            hint = self.log.last_at_or_below(hint, message.hint_reign)
        peer.become_probe(hint + 1)
        self.pending = True

    # -- heartbeats

    def next_heartbeat(self, now_ns: int) -> int:
        """The next point of a grid all groups share, so that they wake and send together."""
        interval_ns = self.options.heartbeat_ns
        return (now_ns // interval_ns + 1) * interval_ns

    def tick(self, now_ns: int) -> None:
        """On the heartbeat grid: a round, and whatever was lost is sent again."""
        self.heartbeat_due_ns = self.next_heartbeat(now_ns)
        self.start_round(now_ns)
        for peer in self.peers:
            if peer.state is not REPLICATE or peer.inflight:
                self.retransmit(now_ns, peer)

    def retransmit(self, now_ns: int, peer: Progress) -> None:
        """A replica that speaks but has not answered what it was sent."""
        if now_ns - peer.heard_ns >= self.options.silent_ns:
            return
        if peer.transfer is not None:
            self.retry_snapshot(now_ns, peer, peer.transfer)
        elif peer.unacknowledged and now_ns - peer.sent_ns >= self.options.retry_ns:
            known = peer.next if peer.state is PROBE else peer.match + 1
            peer.become_probe(max(known, peer.received + 1))
            self.pending = True

    def on_heartbeat_reply(self, now_ns: int, sender: NodeId, message: HeartbeatReply) -> None:
        """A replica confirms the epoch."""
        if message.round > self.round or message.received > self.log.last:
            self.drop(sender, message, "beyond the log")
            return
        peer = self.progress_of(now_ns, sender, message)
        if peer is None:
            return
        peer.received = message.received
        if message.received < peer.match and peer.state is REPLICATE and not peer.inflight:
            # It restarted: it has the entries, but does not know that they are this primary's.
            peer.become_probe(peer.match + 1)
            self.pending = True
        self.round_answered(now_ns, peer, message.round)

    def on_present(self, now_ns: int, sender: NodeId, message: Present) -> None:
        """A replica has adopted this view, or came back: go on from where its log ends."""
        peer = self.progress.get(sender)
        if self.role is not PRIMARY or peer is None or epoch_of(message.reign) != self.current.epoch:
            self.drop(sender, message, "not of this view")
            return
        peer.heard_ns = now_ns
        hint = min(message.last_index, self.log.last)
        if hint > self.log.base:
            hint = self.log.last_at_or_below(hint, message.last_reign)
        if peer.state is not SNAPSHOT or hint > self.log.base:
            peer.become_probe(hint + 1)
            self.pending = True


__all__ = ["COMMAND", "NOOP", "Leading"]
