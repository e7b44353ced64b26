"""The state of one replica of a chain, and what all parts of the core do with it.

The core is one state machine, written as one class per concept, each a layer over `Replica`: leases,
reads, receiving, snapshots, forwarding. `ChainCore` puts them together.
"""

from __future__ import annotations

import abc
from collections import deque
from typing import Any

from comity.protocols.chain.dirty import DirtyKeys
from comity.protocols.chain.messages import Entry
from comity.protocols.chain.options import ChainOptions
from comity.protocols.chain.place import Place, place_of
from comity.protocols.chain.records import counted_record, recover, view_record
from comity.replica import (
    Committed,
    Core,
    CoreContext,
    EntryKind,
    InvariantBroken,
    Members,
    NodeId,
    Outcome,
    Recovered,
    Reply,
    RequestId,
    Send,
    View,
)
from comity.replica.logged import Log, Progress, base_record, entry_record, size_of

LONG_AGO_NS = -(1 << 62)
"""When something happened that never did."""

HISTORY_EVENTS = 40
NOOP = int(EntryKind.NOOP)
COMMAND = int(EntryKind.COMMAND)


class Replica(Core):
    """State, durability, commitment: the ground the other layers stand on."""

    def __init__(self, context: CoreContext, options: ChainOptions, recovered: Recovered) -> None:
        super().__init__()
        self.context = context
        self.options = options
        self.node: NodeId = context.node
        self.fresh = not recovered.records and not recovered.applied
        """Whether this replica has no earlier life that could have promised anything."""

        durable = recover(recovered)
        self.log: Log[Entry] = durable.log
        self.recorded_base = durable.recorded_base
        self.current: View
        """The view in force."""
        self.place: Place
        self.take_place(durable.view)
        self.counted: tuple[NodeId, ...] = durable.counted
        """Joining nodes that count for commits in this view: as the tail decided, or as it told."""
        self.commit = recovered.applied
        """The highest index known to be committed; everything up to it was put in `apply`."""
        self.commit_told = 0
        """The highest index that others said is committed; maybe not here yet, or not durable."""
        self.matched = self.recovered_match()
        """The log is known to equal the predecessor's, and so the head's, up to here, durable or not."""

        self.written = 0
        """Records written since the start."""
        self.synced = 0
        """Of these, how many are durable."""
        self.view_written = 0
        """The value of `written` that makes the current view durable."""
        self.durable_index = self.log.last
        """The log is durable up to here."""
        self.unsynced: deque[tuple[int, int]] = deque()
        """(value of `written`, last index) of appended entries not durable yet."""
        self.compacted = self.recorded_base[0]
        """The highest base whose record is durable."""
        self.unsynced_bases: deque[tuple[int, int]] = deque()

        self.dirty = DirtyKeys(context.keys_of)
        self.uncommitted_bytes = 0
        self.recount()
        self.installing = 0
        """The index of the snapshot the state machine is being swapped to, 0 for none. Nothing is
        applied meanwhile."""
        self.peers: dict[NodeId, Progress] = {}
        """Those to whom this replica sends the log."""
        self.pending = False
        """Whether the end of this turn may have something to send."""
        self.acknowledgement_due = False
        """Whether the predecessor is to be told how far this replica is."""

        self.dropped: dict[str, int] = {}
        """Messages dropped, by reason."""
        self.history: deque[tuple[Any, ...]] = deque(maxlen=HISTORY_EVENTS)

    def recovered_match(self) -> int:
        """Entries of the current epoch were received in it, after the logs had matched; otherwise only
        what is committed is known to be the same."""
        return self.log.last if self.in_step() else self.commit

    def recount(self) -> None:
        """Count anew what lies after the commit index."""
        log = self.log
        self.dirty.truncate(0)
        self.uncommitted_bytes = 0
        for index in range(self.commit + 1, log.last + 1):
            self.count_entry(index, log.entry(index))

    def count_entry(self, index: int, entry: Entry) -> None:
        """An entry came to the log: its keys are dirty (CRAQ 2.3)."""
        self.uncommitted_bytes += size_of(entry)
        if entry.kind == COMMAND:
            self.dirty.add(index, entry.payload)

    @abc.abstractmethod
    def set_deadline(self) -> None:
        """Make `deadline_ns` the least of the deadlines in force."""

    # -- what is known

    def in_step(self) -> bool:
        """Whether this log holds an entry of the current epoch, and so everything the head held when it
        began it: all that was committed in any epoch before."""
        return self.current.epoch > 0 and self.log.last_term == self.current.epoch

    def own_match(self) -> int:
        """How far this replica counts itself: what is durable here and known to be the head's. That, and
        no more, is acknowledged, passed on, committed."""
        return min(self.matched, self.durable_index)

    def view_durable(self) -> bool:
        """Whether the current view survives a crash."""
        return self.synced >= self.view_written

    @property
    def members(self) -> Members:
        """The chain and those who join it."""
        return self._members

    def take_place(self, view: View) -> None:
        """Stand where the view says."""
        self.current = view
        self.place = place_of(self.node, view)
        joining = sorted(set(view.joining) - set(view.nodes))
        self._members = Members(
            voters=tuple(sorted(view.nodes)), learners=tuple(joining), known=self.context.members.known
        )

    # -- durability

    def write_view(self) -> None:
        """The view, durable before anything is said under it."""
        self.effects.write.append(view_record(self.current))
        self.written += 1
        self.view_written = self.written

    def write_counted(self) -> None:
        """Who counts, durable before the control group may rely on it."""
        self.effects.write.append(counted_record(self.current.epoch, self.counted))
        self.written += 1

    def write_entries(self, first: int, entries: list[Entry]) -> None:
        """Entries just put in the log at `first` and after it."""
        write = self.effects.write
        for offset, entry in enumerate(entries):
            write.append(entry_record(first + offset, entry))
            self.count_entry(first + offset, entry)
        self.written += len(entries)
        self.unsynced.append((self.written, first + len(entries) - 1))

    def write_base(self) -> None:
        """Where the log starts now."""
        self.effects.write.append(base_record(self.log.base, self.log.base_term))
        self.written += 1
        self.unsynced_bases.append((self.written, self.log.base))

    def note_durable(self, records: int) -> None:
        """`persisted` said so: move what counts durable entries and bases."""
        if not self.synced <= records <= self.written:
            raise self.broken(f"{records} records durable of {self.written}, {self.synced} before")
        self.synced = records
        unsynced = self.unsynced
        while unsynced and unsynced[0][0] <= records:
            self.durable_index = max(self.durable_index, unsynced.popleft()[1])
        bases = self.unsynced_bases
        while bases and bases[0][0] <= records:
            self.compacted = max(self.compacted, bases.popleft()[1])

    def truncate_log(self, index: int) -> None:
        """Drop the entry at `index` and all after it: the chain has others there.

        Raises `InvariantBroken` where one of them is committed.
        """
        if index <= self.commit:
            raise self.broken(f"asked to drop entry {index}, but {self.commit} is committed")
        self.remember("truncate", index, self.log.last)
        self.log.truncate(index)
        self.durable_index = min(self.durable_index, index - 1)
        if self.unsynced and self.unsynced[-1][1] >= index:
            self.unsynced = deque((number, min(last, index - 1)) for number, last in self.unsynced)
        self.matched = min(self.matched, index - 1)
        self.recount()

    # -- messages

    def send(self, peer: NodeId, message: Any) -> None:
        """Speaks of the current epoch, and of nothing else that is not durable already."""
        lane = self.effects.send if self.view_durable() else self.effects.send_durable
        lane.append(Send(peer, message))

    def reply(self, request: RequestId, outcome: Outcome) -> None:
        """The outcome of a request of this node."""
        self.effects.reply.append(Reply(request, outcome))

    def drop(self, sender: NodeId, message: Any, reason: str) -> None:
        """Illegal input from a peer: counted and noted, never raised."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.context.note("chain.dropped", sender=sender, message=type(message).__name__, reason=reason)

    # -- commitment

    def commit_to(self, index: int) -> None:
        """Entries up to `index` will never change: hand them to the state machine."""
        if index > self.durable_index:
            raise self.broken(
                f"entry {index} is committed, but the log is durable up to {self.durable_index}"
            )
        log = self.log
        apply = self.effects.apply
        offset = log.base + 1
        for position in range(self.commit + 1, index + 1):
            entry = log.entries[position - offset]
            apply.append(Committed(position, entry.term, entry.kind, entry.payload))
            self.uncommitted_bytes -= size_of(entry)
        self.commit = index
        self.dirty.clean(index)
        self.pending = self.acknowledgement_due = True

    def tell_commit(self, index: int) -> None:
        """Another replica says that this much is committed, which is true for ever."""
        self.commit_told = max(self.commit_told, index)
        self.follow_commit()

    def follow_commit(self) -> None:
        """Commit what is known to be committed and to be the same here, and is durable here."""
        index = min(self.commit_told, self.own_match())
        if index > self.commit and not self.installing:
            self.commit_to(index)

    # -- for people

    def remember(self, *event: Any) -> None:
        """Keep an event for the report of a broken invariant."""
        self.history.append(event)

    def broken(self, what: str) -> InvariantBroken:
        """The error to raise where an invariant does not hold."""
        return InvariantBroken(f"chain replica {self.node} of {self.context.group}: {what}", self.events())

    def events(self) -> tuple[str, ...]:
        """The last events, oldest first."""
        return tuple(" ".join(str(part) for part in event) for event in self.history)


__all__ = ["COMMAND", "LONG_AGO_NS", "NOOP", "Replica"]
