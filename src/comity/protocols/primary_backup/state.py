"""The state of one replica, and what all parts of the core do with it.

The core is one state machine, written as one class per concept, each a layer over `Replica`: reads,
following, snapshots, leading, views. `PrimaryBackupCore` puts them together. What one concept asks of
another is declared here, abstract.
"""

from __future__ import annotations

import abc
import enum
from collections import deque
from typing import Any

from comity.protocols.primary_backup.messages import Entry
from comity.protocols.primary_backup.options import PrimaryBackupOptions
from comity.protocols.primary_backup.progress import Progress
from comity.protocols.primary_backup.records import hard_state_record, recover, replaced_record
from comity.protocols.primary_backup.reigns import epoch_of
from comity.replica import (
    Committed,
    Core,
    CoreContext,
    InvariantBroken,
    NodeId,
    Outcome,
    Recovered,
    Reply,
    RequestId,
    Send,
    View,
)
from comity.replica.logged import Log, base_record, entry_record

HISTORY_EVENTS = 40


class Role(enum.IntEnum):
    """What a replica is in the view it adopted."""

    OUTSIDE = 0
    """Left out, or no view yet, or known to be superseded: it serves nothing."""
    JOINING = 1
    """Being brought up to date."""
    BACKUP = 2
    PRIMARY = 3


OUTSIDE = Role.OUTSIDE
JOINING = Role.JOINING
BACKUP = Role.BACKUP
PRIMARY = Role.PRIMARY


class Replica(Core):
    """State, durability, commitment: the ground the other layers stand on."""

    def __init__(self, context: CoreContext, options: PrimaryBackupOptions, recovered: Recovered) -> None:
        super().__init__()
        self.context = context
        self.options = options
        self.node: NodeId = context.node

        durable = recover(recovered)
        self.log: Log[Entry] = durable.log
        self.current: View = durable.view
        """The view in force here."""
        self.reign = durable.reign
        """The latest reign heard of in that view; as primary, the own one."""
        self.counted: tuple[NodeId, ...] = durable.counted
        """As primary: joining nodes that count for commitment until the epoch ends."""
        self.recorded_base = durable.recorded_base
        self.superseded = 0
        """The epoch of a later view that others have adopted, 0 where none is known of."""

        self.role = OUTSIDE
        self.commit = recovered.applied
        """The highest index known to be committed; everything up to it was put in `apply`."""
        self.matched = 0
        """As backup: the log is known to equal the primary's up to here, durable or not."""
        self.told_commit = 0
        """As backup: the highest commit index the primary named in this reign."""
        self.diverged = False
        """Whether something applied here is not in the primary's history: only a snapshot can help."""
        self.installing = 0
        """The index of the snapshot the state machine is being swapped to, 0 for none. Nothing is applied
        meanwhile."""

        self.written = 0
        """Records written since the start."""
        self.synced = 0
        """Of these, how many are durable."""
        self.hard_state_written = 0
        """The value of `written` that makes the current view and reign durable."""
        self.hard_state = (self.reign, self.current, self.counted)
        """What was written last."""
        self.durable_index = self.log.last
        """The log is durable up to here."""
        self.unsynced: deque[tuple[int, int]] = deque()
        """(value of `written`, last index) of appended entries not durable yet."""
        self.compacted = min(self.recorded_base[0], self.log.base)
        """The highest base whose record is durable."""
        self.unsynced_bases: deque[tuple[int, int]] = deque()

        self.progress: dict[NodeId, Progress] = {}
        """As primary: every other replica of the view."""
        self.peers: tuple[Progress, ...] = ()
        """The same, in order."""
        self.deciding: tuple[Progress, ...] = ()
        """Of these, those that count: the backups, and the joining nodes in `counted`."""
        self.first_index = 0
        """As primary: the index of the entry its reign began with."""
        self.pending = False
        """As primary: whether the end of this turn may have something to send."""

        self.dropped: dict[str, int] = {}
        """Messages dropped, by reason."""
        self.history: deque[tuple[Any, ...]] = deque(maxlen=HISTORY_EVENTS)

    # -- what the layers ask of one another

    @abc.abstractmethod
    def assume_role(self, now_ns: int) -> None:
        """Be what the view in force says."""

    @abc.abstractmethod
    def supersede(self, now_ns: int, epoch: int) -> None:
        """Others have adopted a later view."""

    @abc.abstractmethod
    def count_backups(self) -> None:
        """Who decides has changed, or what they hold."""

    @abc.abstractmethod
    def set_deadline(self) -> None:
        """Make `deadline_ns` the least of the deadlines in force."""

    # -- who is who

    @property
    def primary(self) -> NodeId:
        """The primary of the view in force, 0 where it has none."""
        return self.current.nodes[0] if self.current.nodes else 0

    @property
    def following(self) -> bool:
        """Whether this replica takes the log from a primary."""
        return self.role is BACKUP or self.role is JOINING

    # -- durability

    def write_hard_state(self) -> None:
        """View and reign, durable before anything is said under them."""
        self.hard_state = (self.reign, self.current, self.counted)
        self.effects.write.append(hard_state_record(*self.hard_state))
        self.written += 1
        self.hard_state_written = self.written

    def write_entries(self, first: int, entries: list[Entry]) -> None:
        """Entries just put in the log at `first` and after it."""
        write = self.effects.write
        for offset, entry in enumerate(entries):
            write.append(entry_record(first + offset, entry))
        self.written += len(entries)
        self.unsynced.append((self.written, first + len(entries) - 1))

    def write_base(self) -> None:
        """Where the log starts now."""
        self._write_base(base_record(self.log.base, self.log.base_term))

    def write_replaced(self) -> None:
        """The log begins anew, at or below where it stood: nothing above its base may be dropped from the
        journal any more on the strength of what was compacted before."""
        base = self.log.base
        self.compacted = min(self.compacted, base)
        self.unsynced_bases = deque(item for item in self.unsynced_bases if item[1] <= base)
        self._write_base(replaced_record(base, self.log.base_term))

    def _write_base(self, record: Any) -> None:
        self.effects.write.append(record)
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

    def hard_state_durable(self) -> bool:
        """Whether the view in force and its reign survive a crash."""
        return self.synced >= self.hard_state_written

    def truncate_log(self, index: int) -> None:
        """Drop the entry at `index` and all after it: the primary has others there.

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

    # -- messages

    def speak(self, peer: NodeId, message: Any) -> None:
        """Say something under the view in force: not before that view is durable."""
        lane = self.effects.send if self.hard_state_durable() else self.effects.send_durable
        lane.append(Send(peer, message))

    def send_durable(self, peer: NodeId, message: Any) -> None:
        """Leaves when all that was written so far is durable."""
        self.effects.send_durable.append(Send(peer, message))

    def reply(self, request: RequestId, outcome: Outcome) -> None:
        """The outcome of a request of this node."""
        self.effects.reply.append(Reply(request, outcome))

    def drop(self, sender: NodeId, message: Any, reason: str) -> None:
        """Illegal input from a peer, or input out of its time: counted and noted, never raised."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.context.note(
            "primary_backup.dropped", sender=sender, message=type(message).__name__, reason=reason
        )

    def fences(self, reign: int) -> bool:
        """Whether a message of that reign is of an epoch that is over for this replica."""
        return epoch_of(reign) < self.current.epoch

    # -- commitment

    def commit_to(self, index: int) -> None:
        """Entries up to `index` will not change in this history: hand them to the state machine."""
        log = self.log
        if index > log.last:
            raise self.broken(f"entry {index} is committed, but the log ends at {log.last}")
        if self.commit < log.base:
            raise self.broken(
                f"entry {self.commit + 1} is to be applied, but the log starts after {log.base}"
            )
        apply = self.effects.apply
        entries = log.entries
        offset = log.base + 1
        for position in range(self.commit + 1, index + 1):
            entry = entries[position - offset]
            apply.append(Committed(position, entry.term, entry.kind, entry.payload))
        self.commit = index

    # -- for people

    def remember(self, *event: Any) -> None:
        """Keep an event for the report of a broken invariant."""
        self.history.append(event)

    def broken(self, what: str) -> InvariantBroken:
        """The error to raise where an invariant does not hold."""
        return InvariantBroken(
            f"primary-backup replica {self.node} of {self.context.group}: {what}", self.events()
        )

    def events(self) -> tuple[str, ...]:
        """The last events, oldest first."""
        return tuple(" ".join(str(part) for part in event) for event in self.history)
