"""The state of one Raft replica, and what all parts of the core do with it.

The core is one state machine, written as one class per concept, each a layer over `Replica`:
election, following, leading, reads, snapshots, membership. `RaftCore` puts them together. What one
concept asks of another is declared here, abstract.
"""

from __future__ import annotations

import abc
import enum
from collections import deque
from typing import Any

import msgspec

from comity.protocols.raft.log import Log
from comity.protocols.raft.messages import Entry
from comity.protocols.raft.options import RaftOptions
from comity.protocols.raft.progress import Progress
from comity.protocols.raft.records import hard_state_record, recover
from comity.replica import (
    NEVER,
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
    UnusableRecord,
    decode_members,
)
from comity.replica.logged import base_record, entry_record, size_of

LONG_AGO_NS = -(1 << 62)
"""When the last leader was heard of, where none was."""

HISTORY_EVENTS = 40


class Role(enum.IntEnum):
    """What a replica is doing. A learner is a follower without a vote."""

    FOLLOWER = 0
    PRE_CANDIDATE = 1
    CANDIDATE = 2
    LEADER = 3


FOLLOWER = Role.FOLLOWER
PRE_CANDIDATE = Role.PRE_CANDIDATE
CANDIDATE = Role.CANDIDATE
LEADER = Role.LEADER

MEMBERS = int(EntryKind.MEMBERS)


class Replica(Core):
    """State, durability, commitment: the ground the other layers stand on."""

    members: Members = Members(voters=())
    """The configuration in force: the last one in the log, committed or not."""

    def __init__(self, context: CoreContext, options: RaftOptions, recovered: Recovered) -> None:
        super().__init__()
        self.context = context
        self.options = options
        self.node: NodeId = context.node

        durable = recover(recovered)
        self.log: Log = durable.log
        self.term = durable.term
        self.vote: NodeId = durable.vote
        self.recorded_term = durable.recorded_term
        self.recorded_base = durable.recorded_base

        self.role = FOLLOWER
        self.leader_id: NodeId = 0
        self.contact_ns = LONG_AGO_NS
        self.commit = recovered.applied
        """The highest index known to be committed; everything up to it was put in `apply`."""
        self.matched = recovered.applied
        """As a follower: the log is known to equal the leader's up to here, durable or not."""

        self.written = 0
        """Records written since the start."""
        self.synced = 0
        """Of these, how many are durable."""
        self.hard_state_written = 0
        """The value of `written` that makes the current term and vote durable."""
        self.hard_state = (self.term, self.vote)
        """The term and vote written last."""
        self.durable_index = self.log.last
        """The log is durable up to here."""
        self.unsynced: deque[tuple[int, int]] = deque()
        """(value of `written`, last index) of appended entries not durable yet."""
        self.compacted = self.recorded_base[0]
        """The highest base whose record is durable."""
        self.unsynced_bases: deque[tuple[int, int]] = deque()

        self.configurations: list[tuple[int, Members]] = [(0, context.members)]
        """(index, membership), in log order: the committed one, then those appended after it."""
        self.members = context.members
        self._recover_members(recovered)

        self.progress: dict[NodeId, Progress] = {}
        """As a leader: every replica the log goes to, and itself."""
        self.peers: tuple[Progress, ...] = ()
        """The others of these, in order."""
        self.pending = False
        """As a leader: whether the end of this turn may have something to send."""
        self.transferee: NodeId = 0
        """As a leader: to whom leadership is being handed, 0 for nobody."""
        self.installing = 0
        """The index of the snapshot the state machine is being swapped to, 0 for none. Nothing is
        applied meanwhile."""

        self.dropped: dict[str, int] = {}
        """Messages dropped, by reason."""
        self.history: deque[tuple[Any, ...]] = deque(maxlen=HISTORY_EVENTS)

    def _recover_members(self, recovered: Recovered) -> None:
        try:
            if recovered.members:
                members = decode_members(recovered.members)
                self.configurations = [(recovered.applied, members)]
            for index in range(recovered.applied + 1, self.log.last + 1):
                entry = self.log.entry(index)
                if entry.kind == MEMBERS:
                    self.configurations.append((index, decode_members(entry.payload)))
        except msgspec.DecodeError as error:
            raise UnusableRecord(f"a durable membership cannot be read: {error}") from None
        self.members = self.configurations[-1][1]

    def recovered_commit(self) -> int:
        """Where the commit index starts: entries above what is applied are committed anew, once a
        leader says so."""
        return self.commit

    # -- what the layers ask of one another

    @abc.abstractmethod
    def become_follower(self, now_ns: int, term: int, leader: NodeId, vote: NodeId = 0) -> None:
        """Follow `leader` (0: nobody yet) in `term`."""

    @abc.abstractmethod
    def begin_leading(self, now_ns: int) -> None:
        """The election is won."""

    @abc.abstractmethod
    def end_leading(self, now_ns: int) -> None:
        """Another term has come, or the quorum is lost."""

    @abc.abstractmethod
    def append(self, now_ns: int, kind: int, payload: bytes) -> int:
        """As leader: put an entry in the log; its index."""

    @abc.abstractmethod
    def advance_commit(self, now_ns: int) -> None:
        """As leader: commit what a quorum holds."""

    @abc.abstractmethod
    def follow_commit(self, now_ns: int, index: int) -> None:
        """As follower: the leader has committed up to `index`."""

    @abc.abstractmethod
    def committed_as_leader(self, now_ns: int) -> None:
        """As leader: the commit index moved."""

    @abc.abstractmethod
    def members_changed(self, now_ns: int) -> None:
        """Another configuration is in force."""

    @abc.abstractmethod
    def start_round(self, now_ns: int) -> int:
        """Ask every follower whether this replica still leads; the number of the round."""

    @abc.abstractmethod
    def refuse_reads(self, now_ns: int) -> None:
        """No leader can confirm the reads that wait."""

    @abc.abstractmethod
    def set_deadline(self) -> None:
        """Make `deadline_ns` the least of the deadlines in force."""

    # -- durability

    def write_hard_state(self) -> None:
        """Term and vote, durable before anything that depends on them leaves."""
        self.effects.write.append(hard_state_record(self.term, self.vote))
        self.written += 1
        self.hard_state_written = self.written
        self.hard_state = (self.term, self.vote)

    def write_entries(self, first: int, entries: list[Entry]) -> None:
        """Entries just put in the log at `first` and after it."""
        write = self.effects.write
        for offset, entry in enumerate(entries):
            write.append(entry_record(first + offset, entry))
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

    def hard_state_durable(self) -> bool:
        """Whether the current term and vote survive a crash."""
        return self.synced >= self.hard_state_written

    def truncate_log(self, index: int) -> None:
        """Drop the entry at `index` and all after it: the leader has others there.

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
        while len(self.configurations) > 1 and self.configurations[-1][0] >= index:
            self.configurations.pop()
        self.members = self.configurations[-1][1]

    # -- messages

    def send(self, peer: NodeId, message: Any) -> None:
        """May leave at once."""
        self.effects.send.append(Send(peer, message))

    def send_durable(self, peer: NodeId, message: Any) -> None:
        """Leaves when all that was written so far is durable."""
        self.effects.send_durable.append(Send(peer, message))

    def answer(self, peer: NodeId, message: Any) -> None:
        """Speaks of the current term and of nothing else that must be durable."""
        lane = self.effects.send if self.hard_state_durable() else self.effects.send_durable
        lane.append(Send(peer, message))

    def reply(self, request: RequestId, outcome: Outcome) -> None:
        """The outcome of a request of this node."""
        self.effects.reply.append(Reply(request, outcome))

    def drop(self, sender: NodeId, message: Any, reason: str) -> None:
        """Illegal input from a peer: counted and noted, never raised."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.context.note("raft.dropped", sender=sender, message=type(message).__name__, reason=reason)

    # -- commitment

    def commit_to(self, now_ns: int, index: int) -> None:
        """Entries up to `index` will never change: hand them to the state machine."""
        if index > self.log.last:
            raise self.broken(f"entry {index} is committed, but the log ends at {self.log.last}")
        log = self.log
        apply = self.effects.apply
        offset = log.base + 1
        entries = log.entries
        membership = False
        for position in range(self.commit + 1, index + 1):
            entry = entries[position - offset]
            apply.append(Committed(position, entry.term, entry.kind, entry.payload))
            if entry.kind == MEMBERS:
                membership = True
        self.commit = index
        if membership:
            while len(self.configurations) > 1 and self.configurations[1][0] <= index:
                self.configurations.pop(0)

    def adopt_configuration(self, now_ns: int, index: int, members: Members) -> None:
        """A configuration is in force from the moment it is in the log (thesis 4.1)."""
        self.configurations.append((index, members))
        self.members = members
        self.remember("members", index, members.voters, members.outgoing, members.learners)
        self.members_changed(now_ns)

    def count_uncommitted_bytes(self) -> int:
        """Of the entries after the commit index."""
        return sum(size_of(entry) for entry in self.log.entries[self.commit - self.log.base :])

    # -- for people

    def remember(self, *event: Any) -> None:
        """Keep an event for the report of a broken invariant."""
        self.history.append(event)

    def broken(self, what: str) -> InvariantBroken:
        """The error to raise where an invariant does not hold."""
        return InvariantBroken(f"raft replica {self.node} of {self.context.group}: {what}", self.events())

    def events(self) -> tuple[str, ...]:
        """The last events, oldest first."""
        return tuple(" ".join(str(part) for part in event) for event in self.history)


__all__ = [
    "CANDIDATE",
    "FOLLOWER",
    "LEADER",
    "LONG_AGO_NS",
    "MEMBERS",
    "NEVER",
    "PRE_CANDIDATE",
    "Replica",
    "Role",
]
