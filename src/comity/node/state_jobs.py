"""Disk work of the state machines, off the loop: flushes, syncs, snapshot chunks, compaction.

The write-ahead log is the truth; the state engine follows it. A flush writes the dirty part of the
working set with the applied index, atomically; a sync makes what was flushed survive a crash, after
which the log up to there may be compacted. One job runs at a time, so the engine sees one writer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from comity.node.group import Group
from comity.node.turn import Job
from comity.replica import NEVER, SnapshotChunk, SnapshotRead, SnapshotWrite

if TYPE_CHECKING:
    from comity.node.host import Host


class StateJobs:
    """The queue of jobs of one host, and when a flush or a sync is due."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.bounds = host.config.bounds
        self.error = ""
        self._number = 0
        self._waiting: deque[tuple[str, Callable[[], None], Callable[[], None]]] = deque()
        self._running: tuple[int, Callable[[], None]] | None = None
        self._started: list[Job] = []
        self._flushing = False
        self._due_ns = NEVER
        self._applied = False
        self._journal_at_sync = 0
        self._finishing = False
        self._finished = False

    def add(self, kind: str, run: Callable[[], None], then: Callable[[], None]) -> None:
        """Queue a job; `then` runs on the loop once it is done."""
        self._waiting.append((kind, run, then))

    @property
    def waiting(self) -> bool:
        """Whether `take` has one to give."""
        return self._running is None and bool(self._waiting)

    def take(self) -> list[Job]:
        """The job to start now, if none runs."""
        if self._running is None and self._waiting:
            kind, run, then = self._waiting.popleft()
            self._number += 1
            self._running = (self._number, then)
            return [Job(self._number, kind, run)]
        return []

    def done(self, number: int, error: str | None) -> None:
        """A job finished; one that failed stops the node, for its engine cannot be trusted."""
        if self._running is None or self._running[0] != number:
            return
        then = self._running[1]
        self._running = None
        if error is not None:
            self.host.fatal = f"the state engine failed: {error}"
            self.host.note("state engine failed", error=error)
            return
        then()
        self.consider()

    def erase(self, run: Callable[[], None]) -> None:
        """Remove what the engine holds of a keyspace that is no more, after what is under way for it."""
        self.add("erase", run, _nothing)

    # -- flush, sync, compact

    def applied(self) -> None:
        """Something was applied: there may be something to flush, at the latest an interval from now."""
        self._applied = True
        if self._due_ns == NEVER:
            self._due_ns = self.host.now_ns + self.bounds.flush_interval_ns

    def consider(self) -> None:
        """Start a flush or a sync when one is due."""
        host, bounds = self.host, self.bounds
        late = host.now_ns >= self._due_ns
        if self._flushing or not (self._applied or late):
            return
        self._applied = False
        dirty = 0
        for group in host.groups.values():
            dirty += group.machine.dirty_bytes()
        # What was logged since is applied again after a crash, some 100,000 commands a second.
        sync = host.journal.bytes_written - self._journal_at_sync >= bounds.log_bytes // 4
        if sync or dirty >= bounds.flush_bytes or (late and dirty):
            self._flush(sync)
        elif late:
            self._due_ns = NEVER

    def deadline_ns(self) -> int:
        """When `consider` wants to be called at the latest."""
        return NEVER if self._flushing else self._due_ns

    def _flush(self, sync: bool) -> None:
        host = self.host
        self._flushing = True
        self._due_ns = NEVER
        flushes = []
        for group in host.groups.values():
            if group.installing:
                continue
            job = group.machine.begin_flush()
            if job is not None:
                flushes.append((group, job))
        logged = host.journal.bytes_written

        def run() -> None:
            for _, job in flushes:
                job.run()
            if sync:
                host.engine.sync()

        def then() -> None:
            self._flushing = False
            self.applied()  # meanwhile more may have been
            for group, job in flushes:
                group.machine.end_flush(job)
            if sync:
                self._journal_at_sync = logged
                self._synced()

        self.add("sync" if sync else "flush", run, then)

    def _synced(self) -> None:
        """What was flushed survives a crash now: logs may be compacted up to there."""
        host = self.host
        for group in host.groups.values():
            group.compact(host.now_ns)

    def finish(self) -> bool:
        """On a graceful stop: everything applied so far made durable; True when it is."""
        if self._finished:
            return True
        if not self._finishing and not self._flushing:
            self._finishing = True
            self._flush(sync=True)
            self._waiting.append(("stop", _nothing, self._finish))
        return False

    def _finish(self) -> None:
        self._finished = True

    # -- snapshots

    def read_chunk(self, group: Group, request: SnapshotRead) -> None:
        """Read a piece of this node's state for a replica that is too far behind the log."""
        found: list[SnapshotChunk | None] = [None]
        machine = group.machine

        def run() -> None:
            data = machine.snapshot_chunk(request.cursor, request.snapshot, self.bounds.snapshot_chunk_bytes)
            if data is not None:
                found[0] = SnapshotChunk(
                    index=data.index,
                    term=data.term,
                    members=data.members,
                    cursor=request.cursor,
                    next_cursor=data.next_cursor,
                    data=data.data,
                )

        def then() -> None:
            group.core.snapshot_chunk(self.host.now_ns, request, found[0])
            self.host.dirty(group)

        self.add("snapshot-read", run, then)

    def stage_chunk(self, group: Group, request: SnapshotWrite) -> None:
        """Keep a received piece; the last one replaces this node's state."""
        chunk = request.chunk
        machine = group.machine
        last = not chunk.next_cursor
        if last:
            group.installing = True

        def run() -> None:
            machine.stage_chunk(
                chunk.index, chunk.term, chunk.members, chunk.cursor, chunk.next_cursor, chunk.data
            )
            if last:
                machine.install_staged(request.replaces)

        def then() -> None:
            if last:
                group.installed(chunk.index, self.host.now_ns, request.replaces)
                self.host.peers.members_changed()
            else:
                group.core.snapshot_staged(self.host.now_ns)
            self.host.dirty(group)

        self.add("snapshot-install" if last else "snapshot-stage", run, then)


def _nothing() -> None:
    """A job that only marks a place in the queue."""
