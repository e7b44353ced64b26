"""The asyncio shell of a host: sockets, the disk and time, and nothing else.

Every callback of the loop tells the host what happened and asks for one turn before the loop sleeps
again; the turn's effects are carried out at once. So everything that arrived together is one batch.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

from comity.node import Host, Job, JournalWrite, Turn
from comity.server.clients import ClientPort
from comity.server.links import PeerPort
from comity.server.segments import DiskFailedError, DiskFullError, NoFiles, SegmentFiles
from comity.server.threads import Worker

RETRY_FULL_DISK_S = 1.0
WORKER_STOP_S = 5.0
INLINE_SYNC_NS = 2_000_000
"""While the disk is this quick, waiting for it costs less than handing the write to a thread and back."""
LARGE_WRITE_BYTES = 64 << 10
LARGE_INLINE_SYNC_NS = 4_000_000
"""A large write keeps the processors busy enough: for it the disk only has to be this quick on average."""
SYNCS_TO_AVERAGE = 8


class Shell:
    """Runs one host on the current event loop until it stops or fails.

    advertised: the peer address others can dial, where the membership does not say.
    fatal: why the node must not go on, once it must not.
    """

    def __init__(
        self, host: Host, files: SegmentFiles | NoFiles, note: Callable[..., None], advertised: str = ""
    ) -> None:
        self.host = host
        self.advertised = advertised
        self.files = files
        self.note = note
        self.loop = asyncio.get_running_loop()
        self.clients = ClientPort(self)
        self.peers = PeerPort(self)
        self.fatal: str | None = None
        self.ended = asyncio.Event()
        self.settled = False
        """Whether, once closed, no thread uses the engine or the log's files any more."""
        self._journal = Worker(self.loop, "comity-journal")
        self._engine = Worker(self.loop, "comity-engine")
        self._sync_ns = 0
        self._average_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._flushing = False
        self._due: asyncio.Handle | None = None
        self._making_room = False
        self._closed = False
        self._began_ns = time.monotonic_ns()

    # -- time

    def now(self) -> None:
        """Tell the host what time it is; before every stimulus."""
        self.host.at(time.monotonic_ns(), time.time_ns() // 1_000_000)

    @property
    def uptime_ns(self) -> int:
        """Since this shell was made."""
        return time.monotonic_ns() - self._began_ns

    # -- turns

    def start(self) -> None:
        """The first turn."""
        self.now()
        self.host.start()
        self.flush()

    def stimulated(self) -> None:
        """The host was told something: one turn before the loop sleeps, if that left any to do."""
        if not self._flushing:
            if self.host.wants_turn():
                self._flushing = True
                self.loop.call_soon(self.flush)
            else:
                self._arm(self.host.deadline_ns)

    def flush(self) -> None:
        """One turn."""
        self._flushing = False
        if self.fatal is not None:
            return
        self.now()
        host = self.host
        try:
            if host.deadline_ns <= host.now_ns:
                # While the disk always has another write, each ends in a turn that puts `_due` off again.
                host.wake()
            # A turn carried out by half would leave a write that never happens, and a node that waits for it.
            self._carry_out(host.turn())
        except Exception as error:  # noqa: BLE001 - a broken invariant stops the node, whatever it is
            self.fail(f"{type(error).__name__}: {error}", error)

    def _carry_out(self, turn: Turn) -> None:
        # Frames first: the followers' disks then work while ours does.
        for peer, envelopes in turn.frames:
            self.peers.send(peer, envelopes)
        clients = self.clients
        for number, data in turn.replies:
            clients.write(number, data)
        for number in turn.pause:
            clients.pause(number)
        for number in turn.resume:
            clients.resume(number)
        for number in turn.close:
            clients.close(number)
        for job in turn.jobs:
            self._run(job)
        if turn.links is not None:
            self.peers.keep(turn.links)
        host = self.host
        if host.fatal is not None:
            self.fail(host.fatal)
        elif host.stopped:
            self.ended.set()
        if turn.journal is not None and self.fatal is None:
            if turn.frames or turn.replies:
                # What was written to sockets leaves when this callback ends; the disk waits for that.
                self.loop.call_soon(self._append, turn.journal)
            else:
                self._append(turn.journal)
        if self.fatal is None and not host.stopped:
            self._arm(host.deadline_ns)

    def _arm(self, deadline_ns: int) -> None:
        """Wake at the deadline. A timer that fires too early is cheaper than one re-armed every turn."""
        now_ns = time.monotonic_ns()
        if deadline_ns <= now_ns:
            # Anew each time: what this turn wrote to sockets leaves before the next one begins.
            if self._due is not None:
                self._due.cancel()
            self._due = self.loop.call_soon(self._on_due)
            return
        if self._timer is not None:
            if self._timer_ns <= deadline_ns:
                return
            self._timer.cancel()
        self._timer_ns = deadline_ns
        delay_s = min((deadline_ns - now_ns) / 1e9, 3600.0)
        self._timer = self.loop.call_later(delay_s, self._on_timer)

    def _on_due(self) -> None:
        self._due = None
        self._wake()

    def _on_timer(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self.fatal is not None:
            return
        self.now()
        try:
            due = self.host.wake()
        except Exception as error:  # noqa: BLE001
            self.fail(f"{type(error).__name__}: {error}", error)
            return
        if due:
            self.flush()
        else:
            self._arm(self.host.deadline_ns)

    # -- disk

    def _append(self, order: JournalWrite) -> None:
        """Make a write durable: here while the disk is quick and no segment is made, else off the loop."""
        if self.fatal is not None or self._closed:
            return
        quick = self._sync_ns < INLINE_SYNC_NS or (
            len(order.data) >= LARGE_WRITE_BYTES and self._average_ns < LARGE_INLINE_SYNC_NS
        )
        if quick and not order.creates and not self._journal.waiting:
            try:
                self.files.append(order)
            except Exception as error:  # noqa: BLE001 - judged below, as the thread's would be
                self._appended(order, error)
            else:
                self._appended(order, None)
            return
        self._journal.submit(lambda: self.files.append(order), lambda error: self._appended(order, error))

    def _appended(self, order: JournalWrite, error: BaseException | None) -> None:
        if self.fatal is not None:
            return
        self.now()
        if error is None:
            took_ns = self.files.sync_ns
            self.host.metrics.observe_sync(took_ns)
            if not order.creates:
                # A slow write counts at once, quick ones win slowly: a bad disk must not stall us often.
                self._sync_ns = max(took_ns, self._sync_ns - (self._sync_ns - took_ns) // 64)
                self._average_ns += (took_ns - self._average_ns) // SYNCS_TO_AVERAGE
            if order.removes:
                self._engine.submit(lambda: self.files.remove(order.removes), self._removed)
            if self.files.wants_room and not self._making_room:
                self._making_room = True
                self._engine.submit(self.files.extend, self._made_room)
            try:
                self.host.journal_written(order.sequence)
            except Exception as broken:  # noqa: BLE001
                self.fail(f"{type(broken).__name__}: {broken}", broken)
                return
            # Acknowledgements wait for this: no other event of this loop iteration is worth waiting for.
            if self.host.wants_turn():
                self.flush()
            else:
                self._arm(self.host.deadline_ns)
        elif isinstance(error, DiskFullError):
            self.host.journal_failed(order.sequence, str(error))
            self.stimulated()
            self.loop.call_later(RETRY_FULL_DISK_S, self._append, order)
        elif isinstance(error, DiskFailedError):
            self.fail(str(error))
        else:
            self.fail(f"the journal failed: {error!r}", error)

    def _removed(self, error: BaseException | None) -> None:
        if error is not None:
            self.fail(str(error))

    def _made_room(self, error: BaseException | None) -> None:
        # Room that could not be made is made when it is needed.
        self._making_room = False

    def _run(self, job: Job) -> None:
        self._engine.submit(job.run, lambda error: self._ran(job, error))

    def _ran(self, job: Job, error: BaseException | None) -> None:
        if self.fatal is not None:
            return
        self.now()
        try:
            self.host.job_done(job.number, None if error is None else f"{type(error).__name__}: {error}")
        except Exception as broken:  # noqa: BLE001
            self.fail(f"{type(broken).__name__}: {broken}", broken)
            return
        self.stimulated()

    # -- the end

    def fail(self, reason: str, error: BaseException | None = None) -> None:
        """The node must not go on: nothing more leaves it."""
        if self.fatal is None:
            self.fatal = reason
            self.note("node failed", reason=reason, exc_info=error)
            self.ended.set()

    def stop(self) -> None:
        """Begin a graceful stop; `ended` is set when it is done."""
        self.now()
        self.host.stop()
        self.stimulated()

    async def close(self) -> None:
        """Close every socket and thread. Answers already given are flushed, for a moment."""
        await self.clients.shut()
        self.peers.shut()
        if self._timer is not None:
            self._timer.cancel()
        self._closed = True  # A write that waits, for room or for its turn, must not open the files again.
        ended = [worker.stop(WORKER_STOP_S) for worker in (self._journal, self._engine)]
        self.settled = all(ended)
        if self.settled:
            self.files.close()


def settle_memory() -> None:
    """After start-up: what lives now lives for ever, and a collection pauses the loop, so make them rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
