"""What a backup, or a joining replica, does with its primary's messages."""

from __future__ import annotations

from typing import Any

from comity.protocols.primary_backup.messages import (
    Append,
    AppendReply,
    Entry,
    Fenced,
    Heartbeat,
    HeartbeatReply,
)
from comity.protocols.primary_backup.options import PrimaryBackupOptions
from comity.protocols.primary_backup.reads import Reads
from comity.protocols.primary_backup.reigns import epoch_of, start_of
from comity.protocols.primary_backup.state import OUTSIDE
from comity.replica import CoreContext, NodeId, Recovered


class Following(Reads):
    """Fencing, Appends, heartbeats, the commit index."""

    def __init__(self, context: CoreContext, options: PrimaryBackupOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.acknowledgement_due = False
        """Whether an Append of this turn is to be answered: once, for all of them."""

    # -- fencing

    def admits(self, now_ns: int, sender: NodeId, message: Any) -> bool:
        """Whether a message is of the epoch in force. The sender of an older one is told; a newer one shows
        that this replica's view is over, though not what the new one is."""
        reign = message.reign
        if self.fences(reign):
            self.drop(sender, message, "an epoch that is over")
            if not isinstance(message, Fenced):
                self.speak(sender, Fenced(self.reign))
            return False
        if epoch_of(reign) > self.current.epoch:
            self.drop(sender, message, "an epoch not adopted yet")
            self.supersede(now_ns, epoch_of(reign))
            return False
        return True

    def on_fenced(self, now_ns: int, sender: NodeId, message: Fenced) -> None:
        """Of this very epoch: nothing new. (A later one was noticed by `admits`.)"""
        self.drop(sender, message, "fenced in the epoch in force")

    def accepts_primary(self, now_ns: int, sender: NodeId, message: Any) -> bool:
        """Whether the sender is the primary of the epoch in force, in its latest start known here."""
        reign: int = message.reign
        if sender != self.primary or start_of(reign) == 0:
            self.drop(sender, message, "not from the primary")
            return False
        if self.role is OUTSIDE:
            self.drop(sender, message, "not a member")
            return False
        if reign < self.reign:
            self.drop(sender, message, "an earlier start of the primary")
            return False
        if reign > self.reign:
            self.begin_reign(reign)
        return True

    def begin_reign(self, reign: int) -> None:
        """The primary has started (again): what it holds must be found out anew."""
        self.reign = reign
        self.write_hard_state()
        self.begin_following()

    def begin_following(self) -> None:
        """Nothing is known of the primary's log. With sync it holds everything that was committed, but that
        is found out as well: what is acknowledged was compared."""
        self.matched = self.told_commit = 0
        self.diverged = False
        self.acknowledgement_due = False

    # -- Appends

    def on_append(self, now_ns: int, sender: NodeId, message: Append) -> None:
        """Entries, if the one before them is the same here and there."""
        if flaw := flaw_of(message):
            self.drop(sender, message, flaw)
            return
        if not self.accepts_primary(now_ns, sender, message):
            return
        if self.installing:
            return
        if self.diverged:
            self.plead_divergence(message)
            return
        log = self.log
        previous = message.previous_index
        entries = message.entries
        if previous < log.base:
            held = log.base - previous
            if held > len(entries):
                self.before_base(message)
                return
            if entries[held - 1].term != log.base_term:
                self.diverge(message, log.base)
                return
            entries = entries[held:]
            previous = log.base
        elif previous > log.last or log.term(previous) != message.previous_reign:
            self.reject(message)
            return
        if self.take_over(message, previous, entries):
            self.matched = max(self.matched, previous + len(entries))
            self.acknowledgement_due = True
            self.hear_commit(message.commit)

    def before_base(self, message: Append) -> None:
        """All of it lies at or below the base, where only the last entry's reign is known. Reigns do not
        fall along a log: an entry of a later one is another than what was here. Otherwise let the primary
        try at the base itself."""
        base, base_reign = self.log.base, self.log.base_term
        end = message.previous_index + len(message.entries)
        last_reign = message.entries[-1].term if message.entries else message.previous_reign
        if last_reign > base_reign:
            self.diverge(message, end)
        else:
            self.speak(
                self.primary, AppendReply(self.reign, 0, message.previous_index or 1, base, base_reign)
            )

    def reject(self, message: Append) -> None:
        """The entry before these is missing or another: say from where on the logs may agree, so that the
        primary skips whole reigns."""
        previous = message.previous_index
        if previous <= self.commit:
            self.diverge(message, previous)
            return
        hint = self.log.last_at_or_below(previous - 1, message.previous_reign)
        self.remember("reject", previous, message.previous_reign, "hint", hint)
        self.speak(self.primary, AppendReply(self.reign, 0, previous, hint, self.log.term(hint)))

    def take_over(self, message: Append, previous: int, entries: list[Entry]) -> bool:
        """Put in the log what it does not hold of the entries after `previous`; the uncommitted suffix of
        another history goes. False where what is committed here would have to go."""
        new = self.first_new(previous, entries)
        if new == len(entries):
            return True
        index = previous + 1 + new
        log = self.log
        if index <= self.commit:
            self.diverge(message, index)
            return False
        if index <= log.last:
            self.truncate_log(index)
        fresh = entries[new:] if new else entries
        for entry in fresh:
            log.append(entry)
        self.write_entries(index, fresh)
        return True

    def first_new(self, previous: int, entries: list[Entry]) -> int:
        """The position of the first entry that the log lacks or holds of another reign; entries it holds
        already stay, for this Append may be an old one."""
        log = self.log
        if previous == log.last:
            return 0
        for position, entry in enumerate(entries):
            if log.term(previous + 1 + position) != entry.term:
                return position
        return len(entries)

    # -- another history

    def diverge(self, message: Append, index: int) -> None:
        """What is committed here at `index` is not what the primary has there. With async that is what may
        be lost; with sync it cannot be."""
        if self.options.sync:
            raise self.broken(
                f"entry {index} is committed, but is another for the primary {self.primary}: "
                "a view was given whose primary was not a member, or caught up, in the one before"
            )
        self.diverged = True
        self.remember("diverged", index, self.commit, "primary", self.primary)
        self.context.note("primary_backup.diverged", index=index, applied=self.commit, primary=self.primary)
        self.plead_divergence(message)

    def plead_divergence(self, message: Append) -> None:
        """Ask for a snapshot: what was applied cannot be taken back entry by entry."""
        self.speak(self.primary, AppendReply(self.reign, 0, message.previous_index or 1, diverged=True))

    # -- commitment

    def hear_commit(self, index: int) -> None:
        """The primary has committed up to `index`."""
        self.told_commit = max(self.told_commit, index)
        self.follow_commit()

    def follow_limit(self) -> int:
        """As much of what the primary has committed as this log is known to share with it."""
        return min(self.told_commit, self.matched)

    def follow_commit(self) -> None:
        """Commit what the primary has, once the view it was said under is durable: a state machine that is
        flushed sooner would be of a view nobody here remembers."""
        index = self.follow_limit()
        if index > self.commit and not self.installing and not self.diverged and self.hard_state_durable():
            self.commit_to(index)

    # -- heartbeats

    def on_heartbeat(self, now_ns: int, sender: NodeId, message: Heartbeat) -> None:
        """The primary lives: an idle group does this and little else."""
        if not self.accepts_primary(now_ns, sender, message):
            return
        self.hear_commit(message.commit)
        if message.round:
            self.promise(now_ns, sender)
            self.speak(sender, HeartbeatReply(self.reign, message.round, self.matched))

    # -- the end of a turn

    def end_backup_turn(self, now_ns: int) -> None:
        """Answer the Appends of this turn, ask for the reads of this turn."""
        if self.acknowledgement_due:
            self.acknowledgement_due = False
            if self.following and not self.diverged:
                self.acknowledge(self.primary, AppendReply(self.reign, self.matched))
        if self.reads_waiting and self.following:
            self.ask_primary(now_ns)

    def acknowledge(self, primary: NodeId, reply: AppendReply) -> None:
        """Only a durable log may be acknowledged."""
        self.send_durable(primary, reply)


def flaw_of(message: Append) -> str:
    """Why no primary can have sent this; empty where one can."""
    reign = message.previous_reign
    if reign > message.reign or (message.previous_index == 0) != (reign == 0):
        return "impossible previous entry"
    for entry in message.entries:
        if not 0 < entry.term <= message.reign or entry.term < reign:
            return "impossible reigns of entries"
        reign = entry.term
    return ""
