"""The host: one node without I/O. Stimuli in, one `Turn` out; the shell does the rest.

Everything between the bytes of clients, peers and the disk is here or below: batching, group commit,
gating on durability, routing, sessions, deadlines. So all of it is simulated as it is served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from comity.keyspaces.definition import Keyspace
from comity.node import building, messages
from comity.node.config import HostConfig
from comity.node.connection import Connection
from comity.node.dispatch import Dispatcher
from comity.node.group import Group
from comity.node.journal import Journal
from comity.node.keyspaces import Keyspaces
from comity.node.metrics import Metrics
from comity.node.peers import Peers
from comity.node.remote import Remote
from comity.node.served import Served
from comity.node.state_jobs import StateJobs
from comity.node.turn import Envelope, Turn
from comity.replica import (
    NEVER,
    REASON_INVALID,
    KeyedProtocol,
    NodeId,
    Operation,
    Outcome,
    Protocol,
    Record,
    Refused,
    SnapshotRead,
    TransferLeadership,
)
from comity.store.engines import Engine
from comity.store.limits import StoreLimits

FSYNCS_REMEMBERED = 32
FSYNC_FRESH_NS = 5_000_000_000
PASSES_PER_TURN = 4
STOP_GRACE_NS = 3_000_000_000


def _quiet(event: str, **fields: object) -> None:
    """The note of a host nobody listens to."""


class Host:
    """One node. See the module; `server/` and `simulator/` are its shells."""

    def __init__(
        self,
        config: HostConfig,
        journal: Journal,
        engine: Engine,
        protocols: Mapping[str, Protocol | KeyedProtocol],
        seed: int,
        note: Callable[..., None] | None = None,
        cache_bytes: int = 64 << 20,
    ) -> None:
        self.config = config
        self.journal = journal
        self.engine = engine
        self.protocols = protocols
        self.seed = seed
        self.limits = StoreLimits(cache_bytes=cache_bytes)
        self.note = note if note is not None else _quiet
        self.metrics = Metrics()
        self.now_ns = 0
        self.wall_ms = 0
        self.fatal: str | None = None
        self.serving = False
        self.stopping = False
        self.stopped = False
        journal.begin()
        self.incarnation = journal.incarnation
        self._requests = 0
        self.fsyncs_ns: deque[tuple[int, int]] = deque(maxlen=FSYNCS_REMEMBERED)
        """When each of the last writes of the log ended, and how long it took."""
        self._writing_since_ns = 0
        self._frames: dict[int, list[Envelope]] = {}
        self._dirty: dict[int, Served] = {}
        self._deadlines: list[tuple[int, int]] = []
        self._stop_deadline_ns = NEVER
        self.deadline_ns = 0
        self.groups: dict[int, Served] = {}
        self.elsewhere: dict[int, Remote] = {}
        """Keyspaces of the catalogue that other nodes serve. This one may still have a replica of before."""
        self.by_name: dict[bytes, Served] = {}
        for keyspace in config.keyspaces:
            self._hold(building.from_settings(self, keyspace))
        default = self.groups[0]
        assert isinstance(default, Group)
        self.default = default
        self.peers = Peers(self)
        self.keyspaces = Keyspaces(self)
        self.dispatcher = Dispatcher(self)
        self.jobs = StateJobs(self)
        self.watch: Callable[[Served], None] | None = None
        """Told of each keyspace of the catalogue before it starts, by a shell that wants to look on."""

    def _hold(self, group: Served) -> None:
        self.groups[group.number] = group
        self.by_name[group.name.encode()] = group

    def add_keyspace(self, keyspace: Keyspace) -> Served:
        """Begin to hold a keyspace of the catalogue."""
        group = building.from_catalogue(self, keyspace)
        self._hold(group)
        if self.watch is not None:
            self.watch(group)
        group.core.start(self.now_ns)
        self._dirty[group.number] = group
        return group

    def serve_here(self, group: Served) -> None:
        """Let the replica here serve this node's clients."""
        remote = self.elsewhere.pop(group.number, None)
        self.by_name[group.name.encode()] = group
        if remote is not None:
            remote.give_up()

    def serve_elsewhere(self, keyspace: Keyspace) -> None:
        """Let the nodes that hold it serve this node's clients."""
        remote = self.elsewhere.get(keyspace.number)
        if remote is None:
            remote = self.elsewhere[keyspace.number] = Remote(self, keyspace)
            self.by_name[keyspace.name.encode()] = remote
            group = self.groups.get(keyspace.number)
            if isinstance(group, Group):
                self.dispatcher.left(group)
        self.by_name[keyspace.name.encode()] = remote  # A replica that was only just built is not asked.
        remote.adopt(keyspace.view)

    def remove_group(self, number: int) -> None:
        """Hold or know a keyspace no more; what it stored goes."""
        group = self.groups.pop(number, None)
        for served in (self.elsewhere.pop(number, None), group):
            if served is not None:
                if self.by_name.get(served.name.encode()) is served:
                    del self.by_name[served.name.encode()]
                served.give_up()
        if group is not None:
            self.journal.forget(number)
            self.jobs.erase(group.machine.erase)

    # -- time

    def at(self, now_ns: int, wall_ms: int) -> None:
        """What time it is: monotonic nanoseconds and Unix milliseconds. Before any other stimulus."""
        self.now_ns = now_ns
        self.wall_ms = wall_ms

    def wake(self) -> bool:
        """Time has passed; due deadlines are handled. False where that leaves nothing for a turn to do:
        deadlines are kept loosely, and a wake that came early costs no turn."""
        now = self.now_ns
        heap = self._deadlines
        while heap and heap[0][0] <= now:
            due, key = heappop(heap)
            group = self._planned(key)
            if group is None or due != group.scheduled_ns:
                continue  # an earlier deadline took its place
            group.scheduled_ns = NEVER
            if group.deadline_ns() <= now:
                group.wake(now)
                self._dirty[key] = group
            else:
                self._schedule(group)
        self.jobs.consider()
        if now >= self.keyspaces.due_ns:
            self.keyspaces.wake()
        return self.wants_turn()

    def wants_turn(self) -> bool:
        """Whether the stimuli since the last turn left anything for one to do; where they did not,
        `deadline_ns` is up to date."""
        if (
            self._dirty
            or self._frames
            or self.peers.links_changed
            or self.stopping
            or self.dispatcher.restless
            or self.jobs.waiting
            or self.journal.due
            or self.fatal is not None
        ):
            return True
        self.deadline_ns = self._next_deadline()
        return False

    def stirred(self, group: Served) -> None:
        """A peer or the disk told a core something: often that leads to nothing."""
        if group.number in self._dirty:
            return
        core = group.core
        if core.busy or (not group.keyed and core.leader != group.leader):
            self._dirty[group.number] = group
        elif core.deadline_ns < group.scheduled_ns:
            self._schedule(group)

    def _schedule(self, group: Served) -> None:
        """Keep the heap's entry of a group at or before its deadline; entries too early are harmless."""
        due = group.deadline_ns()
        if due < group.scheduled_ns:
            group.scheduled_ns = due
            heappush(self._deadlines, (due, group.key))

    def _planned(self, key: int) -> Served | None:
        return self.groups.get(key) if key <= 0xFFFF_FFFF else self.elsewhere.get(key & 0xFFFF_FFFF)

    # -- life

    def start(self) -> None:
        """The first stimulus. Clients are served once the boot record is durable."""
        for group in self.groups.values():
            group.core.start(self.now_ns)
            self._dirty[group.number] = group
        self.keyspaces.start()
        self.peers.members_changed()
        self.note("host started", incarnation=self.incarnation)

    def stop(self) -> None:
        """Hand over leadership, make the state durable, then be `stopped`."""
        if self.stopping:
            return
        self.stopping = True
        self._stop_deadline_ns = self.now_ns + STOP_GRACE_NS
        self.hand_over()
        self.note("host stopping")

    def hand_over(self) -> None:
        """Give leadership to whoever can take it."""
        for group in self.groups.values():
            if isinstance(group, Group) and group.leads and not group.alone and not group.viewed:
                request = self.request()
                group.administering[request] = _ignore
                group.core.administer(self.now_ns, request, TransferLeadership())
                self._dirty[group.number] = group

    def _continue_stop(self) -> None:
        """Stop once leadership is elsewhere (or time is up) and the state is durable."""
        waiting = any(group.leads and not group.alone and not group.viewed for group in self.groups.values())
        busy = not all(group.idle for group in (*self.groups.values(), *self.elsewhere.values()))
        if (waiting or busy) and self.now_ns < self._stop_deadline_ns:
            return
        if self.jobs.finish():
            self.stopped = True

    # -- clients

    def connected(self, connection: int, address: str) -> None:
        """A client connected; the shell chooses a number it never uses again."""
        self.dispatcher.connected(connection, address)

    def data(self, connection: int, data: bytes) -> None:
        """Bytes of a client."""
        self.dispatcher.data(connection, data)

    def disconnected(self, connection: int) -> None:
        """A client is gone."""
        self.dispatcher.disconnected(connection)

    def writable(self, connection: int, ok: bool) -> None:
        """A client takes its answers (again), or has let too many pile up."""
        self.dispatcher.writable(connection, ok)

    def deliver(self, runs: Sequence[Any], replies: list[bytes]) -> None:
        """Answers to runs of commands, in order."""
        self.dispatcher.deliver(runs, replies)

    def deliver_error(self, runs: Sequence[Any], error: bytes) -> None:
        """The same error to every command of these runs."""
        self.dispatcher.deliver_error(runs, error)

    # -- peers

    def send(self, peer: NodeId, group: int, kind: int, body: bytes) -> None:
        """A message for this turn's frame to a peer."""
        frame = self._frames.get(peer)
        if frame is None:
            frame = self._frames[peer] = []
        frame.append((group, kind, body))

    # -- disk

    @property
    def fsync_ns(self) -> int:
        """A high percentile of the last writes of the journal, 0 for none; where the one under way takes
        longer, for the disk may be full, how long that is."""
        # A node that is left out writes little: what its disk did long ago says nothing of it now.
        fsyncs = sorted(took for ended_ns, took in self.fsyncs_ns if self.now_ns - ended_ns < FSYNC_FRESH_NS)
        usual = fsyncs[len(fsyncs) * 9 // 10] if fsyncs else 0
        return max(usual, self.now_ns - self._writing_since_ns) if self.journal.flying else usual

    def journal_written(self, sequence: int) -> None:
        """That write of the journal is durable."""
        written = self.journal.written(sequence)
        if written is None:
            return
        self.serving = True
        self.fsyncs_ns.append((self.now_ns, self.now_ns - self._writing_since_ns))
        self.dispatcher.disk_error = ""
        for peer, (number, kind, body) in written.freed:
            self.send(peer, number, kind, body)
        for number, count in written.counts.items():
            group = self.groups.get(number)
            if group is not None:
                group.core.persisted(self.now_ns, count)
                self.stirred(group)

    def journal_failed(self, sequence: int, reason: str) -> None:
        """The journal cannot grow now; the shell keeps trying that write. New writes are refused."""
        self.metrics.journal_failures += 1
        self.dispatcher.disk_error = reason
        self.note("journal write failed", sequence=sequence, reason=reason)
        # The others' disks would let this node lead on, and what it cannot write pile up here.
        self.hand_over()

    def job_done(self, number: int, error: str | None = None) -> None:
        """A background job finished."""
        self.jobs.done(number, error)

    def served(self, number: int) -> Served:
        """The keyspace of that number, held here or not."""
        return self.elsewhere.get(number) or self.groups.get(number) or self.keyspaces.unknown

    def dirty(self, group: Served) -> None:
        """The group has something to do this turn."""
        self._dirty[group.key] = group

    def request(self) -> int:
        """A new request id."""
        self._requests += 1
        return self._requests

    def administer(self, group: str, operation: Operation, done: Callable[[Outcome], None]) -> None:
        """Ask a group for a membership change or a transfer; done is called in some later turn."""
        target = self.by_name[group.encode()]
        transfer = isinstance(operation, TransferLeadership)
        governed = group in self.keyspaces.catalogue.keyspaces and not transfer
        if not isinstance(target, Group) or target.viewed or governed:
            done(Refused(REASON_INVALID, "the control group decides who replicates it; see KEYSPACE ALTER"))
            return
        objection = self.keyspaces.objection(operation) if target is self.default else ""
        if objection:
            done(Refused(REASON_INVALID, objection))
            return
        request = self.request()
        target.administering[request] = done
        target.core.administer(self.now_ns, request, operation)
        self._dirty[target.number] = target

    # -- the turn

    def turn(self) -> Turn:
        """Close the batch: everything the stimuli since the last turn led to, as effects."""
        now = self.now_ns
        dispatcher = self.dispatcher
        again: dict[int, Served] = {}
        for _ in range(PASSES_PER_TURN):
            if dispatcher.resumable:
                dispatcher.resume()
            dirty, self._dirty = self._dirty, {}
            if not dirty:
                break
            for group in dirty.values():
                if self._planned(group.key) is not group:
                    continue  # It was dropped: what its core has to say is for nobody.
                if isinstance(group, Remote):
                    self._schedule(group)
                    continue
                group.push(now)
                self._carry_out(group, now)
                if (self._frames or self.journal.due) and group.put_off():
                    # What leaves, and the disk, come first: a leader waits for them, nobody for this.
                    again[group.number] = group
                elif group.apply(now):
                    again[group.number] = group
                self._schedule(group)
            self.jobs.consider()
            self.keyspaces.consider()
        if self.stopping and not self.stopped:
            self._continue_stop()
        turn = Turn()
        dispatcher.collect(turn)
        turn.journal = self.journal.write(self.config.bounds.segment_bytes, self._checkpoint, self._compacted)
        if turn.journal is not None:
            self._writing_since_ns = now
        if self._frames:
            frames, self._frames = self._frames, {}
            turn.frames = self._split(frames)
        turn.jobs = self.jobs.take()
        turn.links = self.peers.take_links()
        if again or dispatcher.resumable or self._dirty:
            self._dirty.update(again)
            self.deadline_ns = now
        else:
            self.deadline_ns = self._next_deadline()
        return turn

    def _next_deadline(self) -> int:
        deadline = min(self.jobs.deadline_ns(), self.keyspaces.due_ns)
        if self.stopping and self.now_ns < self._stop_deadline_ns:
            deadline = min(deadline, self._stop_deadline_ns)  # Once it has passed, only jobs are waited for.
        return min(deadline, self._deadlines[0][0]) if self._deadlines else deadline

    def _carry_out(self, group: Served, now: int) -> None:
        """The effects of one core, under the duties of their lanes."""
        effects = group.core.take(now)
        records = group.records()
        if records:
            self.journal.add(group.number, records)
        if not effects:
            return
        number = group.number
        encode = group.protocol.codec.encode
        if effects.write:
            self.journal.add(number, effects.write)
        encoded: dict[int, bytes] = {}
        for send in effects.send:
            key = id(send.message)
            body = encoded.get(key)
            if body is None:
                body = encoded[key] = encode(send.message)
            self.send(send.peer, number, messages.KIND_CORE, body)
        for send in effects.send_durable:
            key = id(send.message)
            body = encoded.get(key)
            if body is None:
                body = encoded[key] = encode(send.message)
            if not self.journal.gate(send.peer, (number, messages.KIND_CORE, body)):
                self.send(send.peer, number, messages.KIND_CORE, body)
        if effects.apply:
            group.commit(effects.apply)
        for reply in effects.reply:
            group.on_reply(reply, now)
        for request in effects.snapshot:
            assert isinstance(group, Group)
            if isinstance(request, SnapshotRead):
                self.jobs.read_chunk(group, request)
            else:
                self.jobs.stage_chunk(group, request)

    def _split(self, frames: dict[int, list[Envelope]]) -> list[tuple[int, list[Envelope]]]:
        """One frame per peer, or several where they would pass the bound."""
        limit = self.config.bounds.frame_bytes
        result = []
        for peer, envelopes in frames.items():
            size = 0
            part: list[Envelope] = []
            for envelope in envelopes:
                length = len(envelope[2]) + 16
                if part and size + length > limit:
                    result.append((peer, part))
                    part, size = [], 0
                part.append(envelope)
                size += length
            result.append((peer, part))
        return result

    def _checkpoint(self) -> list[tuple[int, Record]]:
        return [(group.number, record) for group in self.groups.values() for record in group.checkpoint()]

    def _compacted(self, number: int) -> int:
        group = self.groups.get(number)
        # Records of a keyspace this node no longer serves pin their segments: they are not ours to drop.
        return group.compaction_index() if group is not None else 0

    # -- looking inside

    def health(self) -> tuple[bool, str]:
        """Whether this node can serve every keyspace, and why not."""
        trouble = self._trouble()
        if not trouble:
            return True, "ready"
        refusal = self.peers.refusal()
        return False, f"{trouble}; {refusal}" if refusal else trouble

    def _trouble(self) -> str:
        if self.fatal is not None:
            return f"stopped: {self.fatal}"
        if not self.serving:
            return "starting: the journal is not open yet"
        if self.stopping:
            return "stopping"
        for group in self.groups.values():
            reason = group.health() if group.number not in self.elsewhere else ""
            if reason:
                return f"keyspace {group.name} {reason}"
        return (
            "" if self.keyspaces.ready else "starting: this node does not know yet which keyspaces there are"
        )

    def status(self) -> dict[str, Any]:
        """For /status and COMITY.STATUS."""
        healthy, text = self.health()
        return {
            "node": self.config.node,
            "cluster": self.config.cluster,
            "version": self.config.version,
            "incarnation": self.incarnation,
            "ready": healthy,
            "health": text,
            "stopping": self.stopping,
            "links": {peer: peer in self.peers.up for peer in sorted(self.peers.links)},
            "groups": {group.name: group.status() for group in self.groups.values()},
            "catalogue": {
                "version": self.keyspaces.catalogue.version,
                "confirmed": self.keyspaces.confirmed,
                "settings": self.keyspaces.wanted.status(),
            },
            "connections": len(self.dispatcher.connections),
            "journal": {
                "segments": self.journal.segments,
                "bytes": self.journal.size,
                "frames": self.journal.frames_written,
                "recovered_frames": self.journal.frames_recovered,
            },
            "store": self.default.machine.stats(),
        }

    def check(self) -> None:
        """Audit every group; raises `InvariantBroken` or `AssertionError`."""
        for group in self.groups.values():
            group.check()
        self.dispatcher.check()

    @property
    def connections(self) -> dict[int, Connection]:
        """The clients of now, by number."""
        return self.dispatcher.connections


def _ignore(outcome: Outcome) -> None:
    """Nobody waits for this outcome."""


__all__ = ["Host"]
