"""What goes down the chain, and what the tail decides (van Renesse & Schneider 2004, section 3).

Nothing is sent while a turn's stimuli come in; `end_turn` then sends the successor what it lacks, of what is
durable here: so the durable log of a node is at all times a prefix of its predecessor's (the Update
Propagation Invariant), and whatever is durable at the tail is durable at everyone.
"""

from __future__ import annotations

from comity.protocols.chain.messages import Append, AppendReply, Entry
from comity.protocols.chain.options import ChainOptions
from comity.protocols.chain.snapshots import Snapshots
from comity.protocols.chain.state import COMMAND, NOOP
from comity.replica import (
    REASON_NOT_LEADER,
    REASON_OVERLOADED,
    Accepted,
    CoreContext,
    NodeId,
    Recovered,
    Refused,
    RequestId,
)
from comity.replica.logged import PROBE, REPLICATE, SNAPSHOT, Progress


class Forwarding(Snapshots):
    """Proposals, replication, commitment, joining."""

    def __init__(self, context: CoreContext, options: ChainOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.reported: tuple[NodeId, ...] = ()
        """Of the joining nodes that count, those that the control group may rely on."""
        self.to_report: dict[NodeId, int] = {}
        """Those that count and are not reported yet: the value of `written` that makes it durable."""

    # -- the head

    def propose(self, now_ns: int, request: RequestId, payload: bytes) -> None:
        """Append to the log, unless the head is elsewhere or overburdened."""
        if not self.place.is_head:
            self.reply(request, Refused(REASON_NOT_LEADER, "not the head of the chain", self.place.head))
        elif self.installing:
            self.reply(request, Refused(REASON_OVERLOADED, "a snapshot is being installed", self.node))
        elif self.uncommitted_bytes and (
            self.uncommitted_bytes + len(payload) > self.options.max_uncommitted_bytes
        ):
            detail = f"{self.uncommitted_bytes} bytes wait to be committed"
            self.reply(request, Refused(REASON_OVERLOADED, detail, self.node))
        else:
            self.open_epoch()
            self.reply(request, Accepted(self.append(COMMAND, payload)))

    def open_epoch(self) -> None:
        """The head's first entry in its epoch is a no-op: whoever holds it holds all that was committed
        before."""
        if self.place.is_head and not self.in_step() and not self.installing:
            self.matched = self.log.last
            self.append(NOOP, b"")

    def append(self, kind: int, payload: bytes) -> int:
        """Put an entry of this epoch in the log. It goes on when it is durable here: after a crash in the
        same epoch this head must not give its index to another entry that others hold already."""
        entry = Entry(self.current.epoch, kind, payload)
        index = self.log.append(entry)
        self.write_entries(index, [entry])
        self.matched = index
        self.pending = True
        return index

    # -- commitment, at the tail

    def committable(self) -> int:
        """What is durable at every node of the chain, and at those joining that count."""
        index = self.own_match()
        for node in self.counted:
            peer = self.peers.get(node)
            index = min(index, peer.match if peer is not None else 0)
        return index

    def advance_commit(self, now_ns: int) -> None:
        """Commit, unless somebody who was left out of this view may still hold a lease."""
        if self.fenced(now_ns) or self.installing or not self.view_durable():
            return
        index = self.committable()
        if index > self.commit:
            self.commit_to(index)

    # -- replication

    def gather_peers(self, now_ns: int) -> None:
        """A new view: to whom the log goes now, of whom nothing is known yet."""
        self.peers = {node: Progress(node, self.own_match() + 1, now_ns) for node in self.place.successors}
        self.pending = True

    def end_turn(self, now_ns: int) -> None:
        """Close the batch: commit, entries down, acknowledgement up, reads."""
        self.pending = False
        if self.place.is_tail:
            self.advance_commit(now_ns)
        if not self.fenced(now_ns):
            for peer in self.peers.values():
                self.forward(now_ns, peer)
        if self.acknowledgement_due:
            self.acknowledge()
        self.ask(now_ns)
        self.answer_peers()
        self.pending = False

    def forward(self, now_ns: int, peer: Progress) -> None:
        """What this successor lacks."""
        if peer.state is SNAPSHOT:
            self.send_snapshot(now_ns, peer)
        elif peer.state is PROBE:
            if not peer.paused and peer.next <= self.passes_on() + 1:
                self.send_append(now_ns, peer)
        else:
            options = self.options
            while (
                peer.state is REPLICATE
                and peer.next <= self.passes_on()
                and len(peer.inflight) < options.max_inflight_messages
                and peer.inflight_bytes < options.max_inflight_bytes
            ):
                self.send_append(now_ns, peer)

    def passes_on(self) -> int:
        """Only what is durable here and known to be the head's leaves for the successor."""
        return self.own_match()

    def send_append(self, now_ns: int, peer: Progress) -> None:
        """One Append, or the beginning of a snapshot where the log no longer holds what is next."""
        log = self.log
        first = peer.next
        if first <= log.base:
            self.begin_snapshot(now_ns, peer)
            self.send_snapshot(now_ns, peer)
            return
        entries, size_bytes = log.slice(first, self.passes_on(), self.options.max_append_bytes)
        message = Append(self.current.epoch, first - 1, log.term(first - 1), self.commit, entries)
        self.send(peer.node, message)
        peer.sent(first - 1 + len(entries), size_bytes, now_ns)

    def on_append_reply(self, now_ns: int, sender: NodeId, message: AppendReply) -> None:
        """A successor holds more, or does not fit; or more is committed."""
        peer = self.peers.get(sender)
        if peer is None:
            self.drop(sender, message, "not a successor")
            return
        if max(message.match, message.rejected, message.commit) > self.log.last:
            self.drop(sender, message, "beyond the log")
            return
        peer.heard_ns = now_ns
        if message.commit > self.commit:
            self.tell_commit(message.commit)
        self.note_match(now_ns, peer, message.match)
        if message.rejected:
            self.back_track(peer, message)

    def note_match(self, now_ns: int, peer: Progress, match: int) -> None:
        """The successor's log is durable up to here."""
        news = peer.acknowledged(match)
        transfer = peer.transfer
        if transfer is not None:
            if peer.match >= self.log.base:
                peer.become_replicate()
            elif 0 < transfer.index <= peer.match:
                self.begin_snapshot(now_ns, peer)  # the log was compacted past it meanwhile
        elif peer.state is PROBE and peer.match + 1 >= peer.next:
            peer.become_replicate()
        if news or peer.next <= self.own_match():
            self.pending = True
        if self.place.is_tail and peer.node not in self.counted and self.may_count(now_ns, peer):
            self.count(now_ns, peer.node)

    def back_track(self, peer: Progress, message: AppendReply) -> None:
        """The logs differ at the rejected entry. Go back to the last entry that both may hold: the
        hint, or where this log's epoch at the hint's place is later, to before that epoch."""
        rejected = message.rejected
        if rejected <= peer.match or peer.state is SNAPSHOT:
            return
        if peer.state is PROBE and rejected != peer.next - 1:
            return
        hint = min(message.hint_index, rejected - 1)
        if hint > self.log.base:
            hint = self.log.last_at_or_below(hint, message.hint_epoch)
        peer.become_probe(hint + 1)
        self.pending = True

    def retransmit(self, now_ns: int, peer: Progress) -> None:
        """On the heartbeat grid: what was not answered in time, to whom is there at all."""
        if now_ns - peer.heard_ns >= self.options.silent_ns:
            return
        if peer.transfer is not None:
            self.retry_snapshot(now_ns, peer, peer.transfer)
        elif peer.unacknowledged and now_ns - peer.sent_ns >= self.options.retry_ns:
            known = peer.next if peer.state is PROBE else peer.match + 1
            peer.become_probe(min(max(known, peer.received + 1), self.own_match() + 1))
            self.pending = True

    # -- joining at the tail

    def may_count(self, now_ns: int, peer: Progress) -> bool:
        """Whether a joining node holds everything committed, and so will with what is committed from now
        on only when it holds that too."""
        return not self.fenced(now_ns) and self.knows_commit() and peer.match >= self.commit

    def count(self, now_ns: int, node: NodeId) -> None:
        """From now on nothing is committed without it, also in a later life of this tail: the control
        group may rely on it once that is durable."""
        joined = {*self.counted, node}
        self.counted = tuple(other for other in self.current.joining if other in joined)
        self.write_counted()
        self.to_report[node] = self.written
        self.renew_lease()
        self.remember("count", now_ns, node)

    def report(self) -> None:
        """Who may become a full member."""
        for node, written in list(self.to_report.items()):
            if written <= self.synced:
                del self.to_report[node]
                done = {*self.reported, node}
                self.reported = tuple(other for other in self.counted if other in done)

    @property
    def caught_up(self) -> tuple[NodeId, ...]:
        """Joining nodes that hold everything committed and count for commits from now on."""
        return self.reported
