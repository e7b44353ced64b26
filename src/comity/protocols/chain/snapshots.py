"""Snapshots in chunks, for whoever is too far behind, and compaction of the log.

The sender reads a chunk from its host, sends it, and goes on when the receiver says where it is:
one chunk at a time, sent again when nothing comes back. The receiver's answer names the cursor it
wants, so a transfer that was interrupted resumes where it stopped.
"""

from __future__ import annotations

import msgspec

from comity.protocols.chain.messages import InstallSnapshot, SnapshotReply
from comity.protocols.chain.options import ChainOptions
from comity.protocols.chain.receiving import Receiving
from comity.replica import CoreContext, NodeId, Recovered, SnapshotChunk, SnapshotRead, SnapshotWrite
from comity.replica.logged import Progress, Transfer, size_of

BACK_OFF = 8
STAGING_CHUNKS = 64
"""So many chunks may wait for this replica's disk; while they do, its predecessor is asked for no more."""


class Incoming(msgspec.Struct):
    """A snapshot being received in `epoch` from its only possible sender; `cursor`: where its next chunk
    starts. Cursors are the sender's, so chunks of different senders are not mixed."""

    epoch: int
    index: int
    last_epoch: int
    cursor: bytes = b""


class Snapshots(Receiving):
    """Both ends of a snapshot's way, and what may be dropped from the log."""

    def __init__(self, context: CoreContext, options: ChainOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.incoming: Incoming | None = None
        self.staging = 0
        """Chunks handed to the host that it has not staged yet."""

    # -- receiving

    def on_install_snapshot(self, now_ns: int, sender: NodeId, message: InstallSnapshot) -> None:
        """The predecessor no longer has the entries that are wanted here."""
        if sender != self.place.predecessor:
            self.drop(sender, message, "not the predecessor")
            return
        if not 0 < message.last_epoch <= message.epoch or message.index == 0:
            self.drop(sender, message, "impossible snapshot")
            return
        if message.index <= self.commit:
            self.acknowledgement_due = self.pending = True
            return
        if self.installing or self.staging >= STAGING_CHUNKS:
            return
        incoming = self.incoming
        if incoming is None or (incoming.epoch, incoming.index) != (message.epoch, message.index):
            if message.cursor:
                self.send(sender, SnapshotReply(self.current.epoch, message.index, b""))
                return
            incoming = self.incoming = Incoming(message.epoch, message.index, message.last_epoch)
            self.remember("snapshot begins", now_ns, message.index, message.last_epoch)
        if message.cursor == incoming.cursor:
            self.effects.snapshot.append(SnapshotWrite(message.chunk()))
            if not message.next_cursor:
                self.installing = message.index
                return
            incoming.cursor = message.next_cursor
            self.staging += 1
            if self.staging == STAGING_CHUNKS:
                return
        self.send(sender, SnapshotReply(self.current.epoch, message.index, incoming.cursor))

    def snapshot_staged(self, now_ns: int) -> None:
        """The disk keeps up again: go on."""
        full = self.staging == STAGING_CHUNKS
        self.staging -= 1
        incoming = self.incoming
        predecessor = self.place.predecessor
        if full and incoming is not None and incoming.epoch == self.current.epoch and predecessor:
            self.send(predecessor, SnapshotReply(incoming.epoch, incoming.index, incoming.cursor))

    def snapshot_installed(self, now_ns: int, index: int) -> None:
        """The state machine now stands at the snapshot: so does the log, which keeps what follows
        only where it holds that very entry."""
        incoming = self.incoming
        if incoming is None or index != self.installing:
            raise self.broken(f"snapshot {index} installed, {self.installing} expected")
        self.remember("snapshot installed", now_ns, index, incoming.last_epoch)
        self.incoming = None
        self.installing = 0
        if self.log.term(index) == incoming.last_epoch:
            self.log.compact(index)
        else:
            self.log.reset(index, incoming.last_epoch)
            self.unsynced.clear()
            self.durable_index = self.matched = index
        self.matched = max(self.matched, index)
        self.durable_index = max(self.durable_index, index)
        self.commit = index
        self.recount()
        self.write_base()
        self.acknowledgement_due = self.pending = True
        self.follow_commit()

    # -- sending

    def begin_snapshot(self, now_ns: int, peer: Progress) -> None:
        """What the successor needs next is not in the log."""
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
        peer = self.peers.get(request.peer)
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
        self.send(peer.node, InstallSnapshot.of(self.current.epoch, chunk))

    def on_snapshot_reply(self, now_ns: int, sender: NodeId, message: SnapshotReply) -> None:
        """The receiver says where it is: read on from there."""
        peer = self.peers.get(sender)
        if peer is None:
            self.drop(sender, message, "not a successor")
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
        """Drop entries up to `index`, but keep `keep_log_bytes` for those a little behind, and what
        recently heard successors lack, up to `max_log_bytes`."""
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
        """Entries after it are kept for recently heard successors."""
        silent_ns = self.options.silent_ns
        needs = [peer.needs for peer in self.peers.values() if now_ns - peer.heard_ns < silent_ns]
        return min(needs, default=self.commit)

    def compaction_index(self) -> int:
        """The highest index whose dropping is durable."""
        return self.compacted
