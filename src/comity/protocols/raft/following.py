"""What a follower does with a leader's messages (paper 5.3, figure 2: AppendEntries, receiver)."""

from __future__ import annotations

import msgspec

from comity.protocols.raft.messages import Append, AppendReply, Entry, Heartbeat, HeartbeatReply
from comity.protocols.raft.options import RaftOptions
from comity.protocols.raft.reads import Reads
from comity.protocols.raft.state import FOLLOWER, LEADER, MEMBERS
from comity.replica import CoreContext, NodeId, Recovered, decode_members


class Following(Reads):
    """Appends, heartbeats, the commit index."""

    def __init__(self, context: CoreContext, options: RaftOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.acknowledgement_due = False
        """Whether an Append of this turn is to be answered: once, for all of them."""

    def accepts_leader(self, now_ns: int, sender: NodeId, term: int) -> bool:
        """Whether the sender leads this replica in `term`, which is not stale. A leader outside
        the configuration is one too (thesis 4.1): it may be newer than what this replica knows."""
        if term == self.term:
            if self.role is LEADER or self.leader_id not in {0, sender}:
                return False
            if self.leader_id != sender or self.role is not FOLLOWER:
                self.become_follower(now_ns, term, sender)
        else:
            self.become_follower(now_ns, term, sender)
        self.contact_ns = now_ns
        return True

    def on_heartbeat(self, now_ns: int, sender: NodeId, message: Heartbeat) -> None:
        """A leader lives: an idle group does this and little else."""
        if message.term == self.term and sender == self.leader_id and self.role is FOLLOWER:
            self.contact_ns = now_ns
        elif message.term < self.term:
            self.answer(sender, HeartbeatReply(self.term, message.round, 0))
            return
        elif not self.accepts_leader(now_ns, sender, message.term):
            self.drop(sender, message, "a second leader in one term")
            return
        if message.commit > self.commit:
            self.follow_commit(now_ns, message.commit)
        if message.round:
            self.answer(sender, HeartbeatReply(self.term, message.round, self.matched))

    def on_append(self, now_ns: int, sender: NodeId, message: Append) -> None:
        """AppendEntries RPC, receiver implementation (figure 2)."""
        if message.term < self.term:
            self.answer(sender, AppendReply(self.term, 0))
            return
        if flaw := flaw_of(message):
            self.drop(sender, message, flaw)
            return
        if not self.accepts_leader(now_ns, sender, message.term):
            self.drop(sender, message, "a second leader in one term")
            return
        log = self.log
        previous = message.previous_index
        entries = message.entries
        if previous < log.base:
            # What lies at or below the base is committed, so it is the same here and there.
            entries = entries[log.base - previous :]
            previous = log.base
            end = previous + len(entries) if entries else 0
        elif previous > log.last or log.term(previous) != message.previous_term:
            self.reject(sender, message)
            return
        else:
            end = previous + len(entries)
        self.take_over(now_ns, previous, entries)
        self.matched = max(self.matched, end)
        self.acknowledgement_due = True
        if message.commit > self.commit:
            self.follow_commit(now_ns, message.commit)

    def reject(self, sender: NodeId, message: Append) -> None:
        """The entry before these is missing or another: say from where on the logs may agree, so
        that the leader skips whole terms (5.3, and thesis 3.5 on fewer rejected AppendEntries)."""
        previous = message.previous_index
        if previous <= self.commit:
            raise self.broken(f"entry {previous} is committed, but is another for the leader {sender}")
        hint = self.log.last_at_or_below(previous, message.previous_term)
        self.remember("reject", previous, message.previous_term, "hint", hint)
        self.answer(sender, AppendReply(self.term, 0, previous, hint, self.log.term(hint)))

    def take_over(self, now_ns: int, previous: int, entries: list[Entry]) -> None:
        """Put in the log what it does not hold of the entries after `previous`."""
        new = self.first_new(previous, entries)
        if new == len(entries):
            return
        index = previous + 1 + new
        log = self.log
        if index <= log.last:
            self.truncate_log(index)
        fresh = entries[new:] if new else entries
        for entry in fresh:
            position = log.append(entry)
            if entry.kind == MEMBERS:
                self.adopt_configuration(now_ns, position, decode_members(entry.payload))
        self.write_entries(index, fresh)

    def first_new(self, previous: int, entries: list[Entry]) -> int:
        """The position of the first entry that the log lacks or holds with another term; entries
        it holds already stay, for this Append may be an old one (5.3)."""
        log = self.log
        if previous == log.last:
            return 0
        for position, entry in enumerate(entries):
            if log.term(previous + 1 + position) != entry.term:
                return position
        return len(entries)

    def follow_commit(self, now_ns: int, index: int) -> None:
        """Commit what the leader has committed and this log is known to share with it."""
        index = min(index, self.matched)
        if index > self.commit and not self.installing:
            self.commit_to(now_ns, index)

    def end_follower_turn(self, now_ns: int) -> None:
        """Answer the Appends of this turn, ask for the reads of this turn."""
        if self.acknowledgement_due:
            self.acknowledgement_due = False
            if self.leader_id and self.role is FOLLOWER:
                self.acknowledge(self.leader_id, AppendReply(self.term, self.matched))
        if self.reads_waiting:
            self.ask_leader(now_ns)

    def acknowledge(self, leader: NodeId, reply: AppendReply) -> None:
        """Only a durable log may be acknowledged."""
        self.send_durable(leader, reply)


def flaw_of(message: Append) -> str:
    """Why no leader can have sent this; empty where one can."""
    term = message.previous_term
    if term > message.term or (message.previous_index == 0) != (term == 0):
        return "impossible previous entry"
    for entry in message.entries:
        if not 0 < entry.term <= message.term or entry.term < term:
            return "impossible terms of entries"
        term = entry.term
        if entry.kind == MEMBERS:
            try:
                decode_members(entry.payload)
            except msgspec.DecodeError:
                return "unreadable membership"
        elif entry.kind not in {0, 1}:
            return "unknown kind of entry"
    return ""
