"""What a replica does with its predecessor's log (van Renesse & Schneider 2004, section 3)."""

from __future__ import annotations

from comity.protocols.chain.messages import Append, AppendReply, Entry
from comity.protocols.chain.reads import Reads
from comity.replica import NodeId


class Receiving(Reads):
    """Entries from the predecessor; acknowledgements to it."""

    def on_append(self, now_ns: int, sender: NodeId, message: Append) -> None:
        """Entries that everyone before this replica has durable."""
        if sender != self.place.predecessor:
            self.drop(sender, message, "not the predecessor")
            return
        if flaw := flaw_of(message):
            self.drop(sender, message, flaw)
            return
        if self.installing:
            return
        log = self.log
        previous = message.previous_index
        entries = message.entries
        if previous < log.base:
            # What lies at or below the base is committed, so it is the same here and there.
            entries = entries[log.base - previous :]
            previous = log.base
        elif previous > log.last or log.term(previous) != message.previous_epoch:
            self.reject(sender, message)
            return
        self.take_over(previous, entries)
        self.matched = max(self.matched, previous + len(entries))
        self.pending = True
        if self.matched <= self.durable_index:
            self.acknowledgement_due = True  # otherwise once it is durable
        self.tell_commit(message.commit)

    def reject(self, sender: NodeId, message: Append) -> None:
        """The entry before these is missing or another: say from where on the logs may agree, so
        that the predecessor skips whole epochs."""
        previous = message.previous_index
        if previous <= self.commit:
            raise self.broken(f"entry {previous} is committed, but is another for the predecessor {sender}")
        hint = self.log.last_at_or_below(previous, message.previous_epoch)
        self.remember("reject", previous, message.previous_epoch, "hint", hint)
        reply = AppendReply(
            self.current.epoch, self.own_match(), self.commit, previous, hint, self.log.term(hint)
        )
        self.send(sender, reply)

    def take_over(self, previous: int, entries: list[Entry]) -> None:
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
            log.append(entry)
        self.write_entries(index, fresh)

    def first_new(self, previous: int, entries: list[Entry]) -> int:
        """The position of the first entry that the log lacks or holds with another epoch; entries
        it holds already stay, for this Append may be an old one."""
        log = self.log
        if previous == log.last:
            return 0
        for position, entry in enumerate(entries):
            if log.term(previous + 1 + position) != entry.term:
                return position
        return len(entries)

    def acknowledge(self) -> None:
        """At the end of a turn: how far this replica is, and what it knows to be committed."""
        self.acknowledgement_due = False
        predecessor = self.place.predecessor
        if predecessor:
            self.send(predecessor, AppendReply(self.current.epoch, self.own_match(), self.commit))


def flaw_of(message: Append) -> str:
    """Why no predecessor can have sent this; empty where one can."""
    epoch = message.previous_epoch
    if epoch > message.epoch or (message.previous_index == 0) != (epoch == 0):
        return "impossible previous entry"
    for entry in message.entries:
        if not 0 < entry.term <= message.epoch or entry.term < epoch:
            return "impossible epochs of entries"
        epoch = entry.term
    return ""
