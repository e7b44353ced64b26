"""Snapshots in chunks, and compaction of the log.

The sender reads a chunk from its host, sends it, and goes on when the receiver says where it is: one chunk
at a time, sent again when nothing comes back. The receiver's answer names the cursor it wants, so a transfer
that was interrupted resumes where it stopped.

A replica whose applied entries are not in the primary's history (async only) takes a snapshot too, and that
one may stand at a lower index than it has applied. It is handed to the host only once a record that says so
is durable: otherwise a crash would leave a state machine that stands before the log begins, which looks the
same as one that lost its disk.
"""

from __future__ import annotations

import msgspec

from comity.protocols.primary_backup.following import Following
from comity.protocols.primary_backup.messages import InstallSnapshot, SnapshotReply
from comity.protocols.primary_backup.options import PrimaryBackupOptions
from comity.protocols.primary_backup.progress import Progress, Transfer
from comity.protocols.primary_backup.records import replacing_record
from comity.protocols.primary_backup.state import PRIMARY
from comity.replica import (
    CoreContext,
    NodeId,
    Recovered,
    SnapshotChunk,
    SnapshotRead,
    SnapshotWrite,
)
from comity.replica.logged import size_of

BACK_OFF = 8
STAGING_CHUNKS = 64
"""So many chunks may wait for this replica's disk; while they do, its primary is asked for no more."""


class Incoming(msgspec.Struct):
    """A snapshot being received in `reign`; `cursor`: where its next chunk starts.

    Cursors are the sender's, so chunks of different reigns are not mixed. replacing: whether the state
    machine gives up what it has applied.
    """

    reign: int
    index: int
    last_reign: int
    cursor: bytes = b""
    replacing: bool = False


class Snapshots(Following):
    """Both ends of a snapshot's way, and what may be dropped from the log."""

    def __init__(self, context: CoreContext, options: PrimaryBackupOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.incoming: Incoming | None = None
        self.staging = 0
        """Chunks handed to the host that it has not staged yet."""
        self.last_chunk: SnapshotWrite | None = None
        """The last chunk of a snapshot, which waits for `last_chunk_needs` records to be durable."""
        self.last_chunk_needs = 0

    # -- receiving

    def wants_snapshot(self, message: InstallSnapshot) -> bool:
        """Whether it brings anything, or replaces what has to go. With async what is applied here may be of
        another history, unless this log holds the very entry the snapshot stands at."""
        if self.diverged:
            return True  # wherever it stands: below what differs, it takes back what has to go
        if self.log.term(message.index) == message.last_reign:
            self.matched = max(self.matched, message.index)
        return message.index > (self.commit if self.options.sync else self.matched)

    def on_install_snapshot(self, now_ns: int, sender: NodeId, message: InstallSnapshot) -> None:
        """The next chunk, or the first of another snapshot."""
        if not 0 < message.last_reign <= message.reign or message.index == 0:
            self.drop(sender, message, "impossible snapshot")
            return
        if not self.accepts_primary(now_ns, sender, message):
            return
        if self.installing or self.staging >= STAGING_CHUNKS:
            return
        if not self.wants_snapshot(message):
            self.acknowledgement_due = True
            return
        incoming = self.incoming
        if incoming is None or (incoming.reign, incoming.index) != (message.reign, message.index):
            if message.cursor:
                self.speak(sender, SnapshotReply(self.reign, message.index, b""))
                return
            incoming = self.incoming = Incoming(message.reign, message.index, message.last_reign)
            self.remember("snapshot begins", now_ns, message.index, message.last_reign)
        if message.cursor == incoming.cursor:
            if not message.next_cursor:
                self.take_last_chunk(incoming, SnapshotWrite(message.chunk()))
                return
            self.effects.snapshot.append(SnapshotWrite(message.chunk()))
            incoming.cursor = message.next_cursor
            self.staging += 1
            if self.staging == STAGING_CHUNKS:
                return
        self.speak(sender, SnapshotReply(self.reign, message.index, incoming.cursor))

    def take_last_chunk(self, incoming: Incoming, chunk: SnapshotWrite) -> None:
        """Swap the state machine over, once the journal knows under which view and why."""
        self.installing = incoming.index
        incoming.replacing = self.replaces_history(incoming)
        if incoming.replacing:
            self.effects.write.append(replacing_record(incoming.index, incoming.last_reign))
            self.written += 1
            self.last_chunk_needs = self.written
        else:
            self.last_chunk_needs = self.hard_state_written
        self.last_chunk = SnapshotWrite(chunk.chunk, incoming.replacing)
        self.release_last_chunk()

    def replaces_history(self, incoming: Incoming) -> bool:
        """Whether some of what was applied here may be gone with this snapshot. With async it may be wherever
        this log was not found to be the primary's: below its base there may be nothing left to compare."""
        unknown = not self.options.sync and self.matched < self.commit
        return unknown or self.diverged or incoming.index <= self.commit

    def release_last_chunk(self) -> None:
        """Hand it over if what it waits for is durable."""
        if self.last_chunk is not None and self.synced >= self.last_chunk_needs:
            self.effects.snapshot.append(self.last_chunk)
            self.last_chunk = None

    def snapshot_staged(self, now_ns: int) -> None:
        """The disk keeps up again: go on."""
        full = self.staging == STAGING_CHUNKS
        self.staging -= 1
        incoming = self.incoming
        if full and self.following and incoming is not None and incoming.reign == self.reign:
            self.speak(self.primary, SnapshotReply(self.reign, incoming.index, incoming.cursor))

    def snapshot_installed(self, now_ns: int, index: int) -> None:
        """The state machine now stands at the snapshot: so does the log, which keeps what follows only where
        it holds that very entry."""
        incoming = self.incoming
        if incoming is None or index != self.installing:
            raise self.broken(f"snapshot {index} installed, {self.installing} expected")
        self.remember("snapshot installed", now_ns, index, incoming.last_reign, incoming.replacing)
        self.incoming = None
        self.installing = 0
        kept = not incoming.replacing and self.log.term(index) == incoming.last_reign
        lower = index <= self.log.base
        if kept:
            self.log.compact(index)
        else:
            self.log.reset(index, incoming.last_reign)
            self.unsynced.clear()
            self.durable_index = index
            self.matched = min(self.matched, index)
        self.durable_index = max(self.durable_index, index)
        self.commit = index
        self.diverged = False
        if incoming.reign == self.reign:
            self.matched = max(self.matched, index)
            self.acknowledgement_due = True
        if incoming.replacing or lower:
            self.write_replaced()
        else:
            self.write_base()
        self.assume_role(now_ns)

    # -- sending

    def begin_snapshot(self, now_ns: int, peer: Progress) -> None:
        """What the replica needs next is not in the log."""
        peer.become_snapshot(self.options.snapshot_retry_ns)
        self.remember("snapshot to", now_ns, peer.node)
        self.pending = True

    def send_snapshot(self, now_ns: int, peer: Progress) -> None:
        """At the end of a turn: ask the host for the chunk that is wanted."""
        transfer = peer.transfer
        if transfer is None or transfer.chunk is not None or transfer.reading or transfer.held:
            return
        transfer.reading = True
        transfer.sent_ns = now_ns
        self.effects.snapshot.append(SnapshotRead(peer.node, transfer.index, transfer.cursor))

    def snapshot_chunk(self, now_ns: int, request: SnapshotRead, chunk: SnapshotChunk | None) -> None:
        """The host's answer: send it on, or start again where that snapshot is gone."""
        peer = self.progress.get(request.peer) if self.role is PRIMARY else None
        transfer = peer.transfer if peer is not None else None
        if peer is None or transfer is None or not transfer.reading:
            return
        if (request.snapshot, request.cursor) != (transfer.index, transfer.cursor):
            return
        transfer.reading = False
        if chunk is None or chunk.index < self.log.base or transfer.index not in {0, chunk.index}:
            self.begin_snapshot(now_ns, peer)
            if transfer.index == 0 and peer.transfer is not None:
                peer.transfer.held = True  # there is none yet: ask again later
                peer.transfer.sent_ns = now_ns
            return
        transfer.index = chunk.index
        transfer.chunk = chunk
        self.send_chunk(now_ns, peer, transfer, chunk)

    def send_chunk(self, now_ns: int, peer: Progress, transfer: Transfer, chunk: SnapshotChunk) -> None:
        """One chunk on its way."""
        transfer.sent_ns = now_ns
        self.speak(peer.node, InstallSnapshot.of(self.reign, chunk))

    def on_snapshot_reply(self, now_ns: int, sender: NodeId, message: SnapshotReply) -> None:
        """The receiver says where it is: read on from there."""
        peer = self.progress.get(sender)
        if peer is None or message.reign != self.reign:
            self.drop(sender, message, "not of this reign")
            return
        peer.heard_ns = now_ns
        transfer = peer.transfer
        if transfer is None or transfer.chunk is None or message.index != transfer.index:
            return
        if message.cursor == transfer.chunk.cursor:
            return  # it wants this very chunk: lost, or still on its way
        transfer.cursor = message.cursor
        transfer.chunk = None
        transfer.retry_ns = self.options.snapshot_retry_ns
        self.pending = True

    def retry_snapshot(self, now_ns: int, peer: Progress, transfer: Transfer) -> None:
        """On the heartbeat grid: a chunk that nothing came back for is sent again."""
        if now_ns - transfer.sent_ns < transfer.retry_ns:
            return
        if transfer.chunk is not None:
            transfer.retry_ns = min(2 * transfer.retry_ns, BACK_OFF * self.options.snapshot_retry_ns)
            self.send_chunk(now_ns, peer, transfer, transfer.chunk)
        elif transfer.held:
            transfer.held = False
            self.pending = True

    # -- compaction

    def compact(self, now_ns: int, index: int) -> None:
        """Drop entries up to `index`, but keep `keep_log_bytes` for replicas a little behind, and as primary
        what recently active ones lack, up to `max_log_bytes`."""
        if self.installing:
            return
        if index > self.commit:
            raise self.broken(f"told to compact up to {index}, but only {self.commit} is applied")
        log = self.log
        held = self.held_index(now_ns)
        size_bytes = log.size_bytes
        options = self.options
        floor = log.base
        while floor < index:
            left = size_bytes - size_of(log.entries[floor - log.base])
            if left < options.keep_log_bytes:
                break
            if floor >= held and size_bytes <= options.max_log_bytes:
                break
            size_bytes = left
            floor += 1
        if floor > log.base:
            log.compact(floor)
            self.write_base()
            self.remember("compact", now_ns, floor)

    def held_index(self, now_ns: int) -> int:
        """Entries after it are kept for recently active replicas."""
        if self.role is not PRIMARY:
            return self.commit
        silent_ns = self.options.silent_ns
        needs = [peer.needs for peer in self.peers if now_ns - peer.heard_ns < silent_ns]
        return min(needs, default=self.commit)

    def compaction_index(self) -> int:
        """The highest index whose dropping is durable."""
        return self.compacted
