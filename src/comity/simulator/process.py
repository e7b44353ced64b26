"""One simulated node: a real host on a simulated machine. The simulator's counterpart of `server.shell`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from comity.formats.errors import CorruptLog
from comity.node import Bounds, Host, HostConfig, Journal, JournalWrite, KeyspaceConfig
from comity.node.group import Group
from comity.node.served import Served
from comity.node.turn import Envelope, Job, Turn
from comity.replica import InvariantBroken, Member, Protocol, Stream
from comity.simulator.clock import NodeClock
from comity.simulator.disk import Disk
from comity.simulator.errors import ViolationFound
from comity.simulator.settings import Case
from comity.store.engines.memory import MemoryEngine

if TYPE_CHECKING:
    from comity.simulator.cluster import Cluster

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
DISK_RETRY_NS = 1_000 * MILLISECOND_NS
CHECK_EVERY_TURNS = 4
"""A broken invariant stays broken: auditing every few turns finds it too, and costs less."""
EXTREME_DRIFT_PPM = 10_000
"""From here on clocks run at the ends of their range, where it matters."""
NEVER_NS = 1 << 62
WALL_START_MS = 1_700_000_000_000

SMALL_BOUNDS: dict[str, int] = {
    "batches_in_flight": 2,
    "batch_ahead_commands": 1,
    "apply_later_bytes": 200,
    "segment_bytes": 16 << 10,
    "log_bytes": 32 << 10,
    "flush_bytes": 4 << 10,
    "flush_interval_ns": 500 * MILLISECOND_NS,
    "snapshot_chunk_bytes": 1 << 10,
    "request_deadline_ns": 2_500 * MILLISECOND_NS,
}
"""Small enough that flushes, compaction and snapshots happen all the time."""

SMALL_OPTIONS: dict[str, Any] = {
    "keep_log_bytes": 2 << 10,
    "max_log_bytes": 16 << 10,
    "max_append_bytes": 4 << 10,
    "max_inflight_bytes": 32 << 10,
}


class Process:
    """A node's machine (disk, clock) and the process that runs on it, when one does.

    life: counts starts and crashes, so that events meant for an earlier one are dropped.
    """

    def __init__(self, cluster: Cluster, number: int, seed: int) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.case: Case = cluster.case
        self.number = number
        self.seed = seed
        self.stream = Stream(seed, f"process {number}")
        settings = self.case.settings
        most = settings.drift_ppm
        drift = (
            self.stream.between(-most, most)
            if most < EXTREME_DRIFT_PPM
            else self.stream.pick((-most, 0, most))
        )
        self.clock = NodeClock(0, self.stream.below(10**12), WALL_START_MS + self.stream.below(200), drift)
        self.disk = Disk(Stream(seed, f"disk {number}"))
        self.engine: MemoryEngine = cluster.new_engine()
        self.host: Host | None = None
        self.life = 0
        self.listening = False
        self.paused = False
        self.dead_for_good = False
        self.crash_in_turn = False
        self.restart_when_stopped = False
        self.joining = False
        self._backlog: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._turn_due = False
        self._wake_ns = -1
        self.jobs_run = 0
        self._turns = 0
        self._loop_us = settings.loop_us
        self._standing: tuple[int, int, bool] = (0, 0, False)

    # -- life

    def boot(self) -> None:
        """Start the process from what the disk holds; a damaged log must be refused."""
        if self.host is not None or self.dead_for_good:
            return
        self.life += 1
        damaged = set(self.disk.damaged)
        try:
            journal = self.cluster.recover(self.disk.segments())
        except CorruptLog as error:
            if error.name not in damaged and not damaged:
                raise ViolationFound(
                    "corruption", f"a sound log was refused: {error}", self.number
                ) from error
            self.dead_for_good = True
            self.cluster.event(self.number, "refused")
            return
        if damaged:
            raise ViolationFound(
                "corruption", f"damage in {', '.join(sorted(damaged))} was accepted", self.number
            )
        for name, valid in journal.truncations:
            self.disk.truncate(name, valid)
            if not valid:
                del self.disk.files[name]
        self._build(journal)

    def _build(self, journal: Journal) -> None:
        case = self.case
        own = case.settings.options if not self.cluster.trial.prefix else {}
        options = {**SMALL_OPTIONS, **own, "lease_reads": case.settings.lease}
        if case.settings.lease:
            options["clock_drift"] = max(2 * case.settings.drift_ppm / 1e6, 0.001)
        keyspaces = ["default", *(f"group{number}" for number in range(1, case.settings.groups))]
        first = "raft" if self.cluster.trial.prefix else case.protocol
        config = HostConfig(
            node=self.number,
            members=self.cluster.members,
            keyspaces=tuple(
                KeyspaceConfig(name=name, replication=first, options=options) for name in keyspaces
            ),
            bounds=msgspec.convert({**SMALL_BOUNDS, **case.settings.bounds}, Bounds),
        )
        self._now_host: Host | None = None
        host = self.cluster.new_host(config, journal, self.engine, self.seed)
        self.host = host
        self.cluster.nemesis.persuade(host)
        self.listening = True
        self.paused = False
        self._wake_ns = -1
        host.watch = self._watch
        for group in host.groups.values():
            self._watch(group)
        self._at()
        host.start()
        self.cluster.event(self.number, "boot")
        self._soon()

    def _watch(self, group: Served) -> None:
        loses = self.cluster.trial.loses and group.number != 0
        if isinstance(group, Group) and not loses:
            self.cluster.oracle.watch(self.number, group)

    def crash(self, why: str = "crash") -> None:
        """The process is gone between two instructions; the disk keeps what it keeps."""
        if self.host is None:
            return
        self.life += 1
        host, self.host = self.host, None
        self.cluster.oracle.stopped(self.number, host)
        self.listening = False
        self.paused = False
        self.crash_in_turn = False
        self._backlog.clear()
        self._turn_due = False
        settings = self.case.settings
        misdirect = settings.misdirect > 0 and self.stream.chance(settings.misdirect)
        if misdirect and not self.cluster.may_lose(self.number):
            misdirect = False
        self.disk.crash(misdirect, settings.torn)
        self.engine = self.engine.crashed()
        self.cluster.event(self.number, why)
        self.cluster.network.process_died(self.number)
        self.cluster.process_died(self.number)

    def pause(self) -> None:
        """Stop in its tracks, connections open."""
        if self.host is not None:
            self.paused = True
            self.cluster.event(self.number, "pause")

    def resume(self) -> None:
        """Go on: everything that came meanwhile is handled now, late."""
        if not self.paused:
            return
        self.paused = False
        self.cluster.event(self.number, "resume")
        backlog, self._backlog = self._backlog, []
        for action, arguments in backlog:
            action(*arguments)
        self._wake()

    def stop(self) -> None:
        """A graceful restart."""
        if self.host is not None and not self.paused:
            self._at()
            self.host.stop()
            self.restart_when_stopped = True
            self.cluster.event(self.number, "stop")
            self._soon()

    # -- stimuli

    def _at(self) -> None:
        assert self.host is not None
        self.host.at(*self.clock.read(self.world.now_ns))

    def stimulus(self, life: int, action: Callable[..., object], *arguments: Any) -> None:
        """Tell the host something, if it is still the process that was meant."""
        host = self.host
        if life != self.life or host is None:
            return
        if self.paused:
            self._backlog.append((self.stimulus, (life, action, *arguments)))
            return
        host.now_ns, host.wall_ms = self.clock.read(self.world.now_ns)
        try:
            action(*arguments)
        except (InvariantBroken, AssertionError) as error:
            raise ViolationFound("invariant", str(error), self.number) from error
        if not self._turn_due:
            if host.wants_turn():
                self._soon()
            else:
                self._schedule_wake()

    def frame_arrived(self, life: int, source: int, envelopes: Sequence[Envelope]) -> None:
        """A frame of a peer."""
        if self.host is not None:
            self.world.trace(envelopes[0][2])
            self.stimulus(life, self.host.peers.frame, source, envelopes)

    def link_made(self, life: int, peer: int) -> None:
        """Frames can leave to a peer."""
        if self.host is not None:
            self.stimulus(life, self.host.peers.link_up, peer)

    def introduced(self, life: int, peer: int, incarnation: int) -> None:
        """A peer dialled and said hello."""
        if self.host is not None:
            self.stimulus(life, self.host.peers.introduced, peer, f"node{peer}:1", incarnation)

    def link_lost(self, life: int, peer: int, refused: bool) -> None:
        """They cannot."""
        if self.host is not None:
            self.stimulus(life, self.host.peers.link_down, peer, refused)

    # -- turns

    def _soon(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            low, high = self._loop_us
            self.world.after(self.stream.between(low, high) * MICROSECOND_NS, self._turn, self.life)

    def _turn(self, life: int) -> None:
        if life != self.life or self.host is None:
            return
        if self.paused:
            self._backlog.append((self._turn, (life,)))
            return
        self._turn_due = False
        self._at()
        self._turns += 1
        try:
            turn = self.host.turn()
            if not self._turns % CHECK_EVERY_TURNS:
                self.host.check()
        except (InvariantBroken, AssertionError) as error:
            raise ViolationFound("invariant", str(error), self.number) from error
        if self.host.fatal is not None:
            raise ViolationFound("invariant", f"the host gave up: {self.host.fatal}", self.number)
        self._carry_out(turn)
        if life != self.life:
            return
        if self.host.stopped:
            restart = self.restart_when_stopped
            self.restart_when_stopped = False
            self.crash("stopped")
            if restart:
                self.world.after(50 * MILLISECOND_NS, self.boot)
            return
        self._schedule_wake()
        if self.cluster.nemesis.prey:
            self._notice(self.host.default.core)

    def _notice(self, core: Any) -> None:
        """Faults that strike at a delicate moment: right after a vote, or early in a leadership."""
        standing = (getattr(core, "term", 0), getattr(core, "vote", 0), core.leader == self.number)
        before, self._standing = self._standing, standing
        if standing == before:
            return
        prey = self.cluster.nemesis.prey
        voted = standing[1] not in (0, self.number) and standing[:2] != before[:2]
        leads = standing[2] and not before[2]
        if (voted and "voter" in prey) or (leads and "young-leader" in prey):
            delay = self.stream.between(300, 14_000) * MICROSECOND_NS
            down = self.stream.pick((2, 5, 20, 150, 400)) * MILLISECOND_NS
            self.world.after(delay, self._struck, self.life, down)

    def _struck(self, life: int, down_ns: int) -> None:
        if life == self.life and self.host is not None and not self.cluster.nemesis.over:
            self.crash("crash at a delicate moment")
            self.world.after(down_ns, self.boot)

    def _carry_out(self, turn: Turn) -> None:
        if self.crash_in_turn and (turn.frames or turn.journal or turn.replies):
            self._carry_out_some(turn)
            return
        send = self.cluster.network.send
        for peer, envelopes in turn.frames:
            send(self.number, peer, envelopes)
        if turn.journal is not None:
            self._begin_write(turn.journal)
        for reply in turn.replies:
            self._reply(*reply)
        for connection in turn.close:
            self._close(connection)
        for job in turn.jobs:
            self._begin_job(job)
        if turn.links is not None:
            self.cluster.network.want(self.number, list(turn.links))

    def _carry_out_some(self, turn: Turn) -> None:
        """The shell carries effects out in an order of its own; the crash falls between two of them."""
        effects: list[Callable[[], None]] = [partial(self._send, *frame) for frame in turn.frames]
        if turn.journal is not None:
            effects.append(partial(self._begin_write, turn.journal))
        effects.extend(partial(self._reply, *reply) for reply in turn.replies)
        effects.extend(partial(self._close, connection) for connection in turn.close)
        for effect in self.stream.shuffled(effects)[: self.stream.below(len(effects))]:
            effect()
        self.crash("crash in turn")

    def _send(self, peer: int, envelopes: list[Envelope]) -> None:
        self.cluster.network.send(self.number, peer, envelopes)

    def _reply(self, connection: int, data: bytes) -> None:
        self.cluster.replied(self.number, connection, data)

    def _close(self, connection: int) -> None:
        self.cluster.closed(self.number, connection)

    # -- time

    def _schedule_wake(self) -> None:
        assert self.host is not None
        if self.host.deadline_ns >= NEVER_NS:
            return
        due = max(self.clock.due(self.host.deadline_ns), self.world.now_ns)
        if self._wake_ns < 0 or due < self._wake_ns:
            self._wake_ns = due
            self.world.at(due, self._woken, self.life, due)

    def _woken(self, life: int, due: int) -> None:
        if life != self.life or due != self._wake_ns:
            return
        self._wake_ns = -1
        self._wake()

    def _wake(self) -> None:
        if self.host is None:
            return
        if self.paused:
            self._backlog.append((self._wake, ()))
            return
        self._at()
        try:
            due = self.host.wake()
        except (InvariantBroken, AssertionError) as error:
            raise ViolationFound("invariant", str(error), self.number) from error
        if due:
            self._soon()
        else:
            self._schedule_wake()

    # -- disk

    def _begin_write(self, order: JournalWrite) -> None:
        if self.disk.full:
            assert self.host is not None
            self.stimulus(self.life, self.host.journal_failed, order.sequence, "No space left on device")
            self.world.after(DISK_RETRY_NS, self._retry_write, self.life, order)
            return
        self.world.trace(order.data)
        self.disk.begin(order)
        low, high = self.case.settings.fsync_us
        delay = self.stream.between(low, high) * MICROSECOND_NS * self.disk.slow
        self.world.after(delay, self._written, self.life)

    def _retry_write(self, life: int, order: JournalWrite) -> None:
        if life == self.life and self.host is not None:
            self._begin_write(order)

    def _written(self, life: int) -> None:
        # The disk finishes also under a paused process; a crash has settled the write already.
        if life != self.life or self.host is None:
            return
        order = self.disk.complete()
        self.stimulus(life, self.host.journal_written, order.sequence)

    def _begin_job(self, job: Job) -> None:
        low, high = self.case.settings.job_us
        delay = self.stream.between(low, high) * MICROSECOND_NS * self.disk.slow
        late = self.stream.chance(self.case.settings.job_late)
        if not late:
            job.run()
        self.world.after(delay, self._job_done, self.life, job, late)

    def _job_done(self, life: int, job: Job, run: bool) -> None:
        if life != self.life or self.host is None:
            return
        if run:
            job.run()
        self.jobs_run += 1
        self.stimulus(life, self.host.job_done, job.number)


def members_of(count: int) -> tuple[Member, ...]:
    """The first membership of a simulated cluster."""
    return tuple(Member(node, f"node{node}:1", f"node{node}:2") for node in range(1, count + 1))


Protocols = dict[str, Protocol]
