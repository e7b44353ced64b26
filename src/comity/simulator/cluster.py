"""A whole cluster in virtual time: processes, network, clients, faults and the judgement at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from comity.checkers import History, KeyValue, Limits, Recorder, Status, analyse, check_history
from comity.checkers.models import LEVELS
from comity.formats.frames import FrameParser, encode_frame
from comity.node import Envelope, Host, HostConfig, Journal
from comity.node.group import Group
from comity.protocols import load
from comity.replica import KeyedProtocol, Protocol
from comity.simulator.clients import Connected, SimulatedClient
from comity.simulator.errors import Violation, ViolationFound
from comity.simulator.faults import Nemesis
from comity.simulator.network import Network
from comity.simulator.oracle import Oracle
from comity.simulator.process import Process, members_of
from comity.simulator.settings import Case, Client, Operation
from comity.simulator.trials import NAME, trial_of
from comity.simulator.world import World
from comity.store.engines.memory import MemoryEngine

MILLISECOND_NS = 1_000_000
CLIENT_DELAY_NS = 40_000
STEP_NS = 200 * MILLISECOND_NS
CHECK_STATES = 400_000
RESTORE_EVERY_STEPS = 15


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one simulation came to. violation: None for a pass."""

    seed: int
    violation: Violation | None
    trace_hash: str
    simulated_ms: int
    events: int
    operations: dict[str, int]
    faults: dict[str, int]
    elections: int
    entries: int
    messages: int
    restarts: int
    refused_logs: int
    unknown_keys: int = 0


class Mutation:
    """What a deliberate bug replaces; the default replaces nothing."""

    host: type[Host] = Host

    def protocols(self) -> dict[str, Protocol | KeyedProtocol]:
        """The protocols of every host."""
        return load()

    def recover(self, segments: Iterable[tuple[str, bytes]]) -> Journal:
        """How a journal is read."""
        return Journal.recover(segments)


class Cluster:
    """One simulation, from its case to its result."""

    def __init__(self, case: Case, mutation: Mutation | None = None) -> None:
        self.case = case
        self.trial = trial_of(case.protocol)
        self.mutation = mutation or Mutation()
        self.world = World()
        self.members = members_of(case.nodes)
        self.oracle = Oracle()
        self.recorder = Recorder()
        self.levels = {(level, ""): Recorder() for level in LEVELS}
        """By level and keyspace ("" for the default): their logs are independent, so no order spans two."""
        self.network = Network(self.world, case.settings, case.seed)
        self.network.sample = self._sample
        self.processes: dict[int, Process] = {}
        self.retries: dict[int, Any] = {}
        self.events: list[tuple[int, int, str]] = []
        self.totals: dict[str, list[int]] = {}
        """Counter -> INCRs acknowledged, and of unknown outcome."""
        self.boots = 0
        self.protocols = self.mutation.protocols()
        self._connections: dict[int, Connected] = {}
        self._next_connection = 0
        self._next_process = 0
        for number in range(1, case.nodes + 1):
            process = Process(self, number, case.seed)
            self.processes[number] = process
            self.network.add(process)
        self.clients = {plan.number: SimulatedClient(self, plan) for plan in case.clients}
        self.nemesis = Nemesis(self)

    # -- parts for processes

    def new_engine(self) -> MemoryEngine:
        """A node's state engine."""
        return MemoryEngine()

    def new_host(self, config: HostConfig, journal: Journal, engine: MemoryEngine, seed: int) -> Host:
        """A host, or a mutant of one."""
        self.boots += 1
        return self.mutation.host(config, journal, engine, self.protocols, seed)

    def recover(self, segments: Iterable[tuple[str, bytes]]) -> Journal:
        """A journal from a disk."""
        return self.mutation.recover(segments)

    def event(self, node: int, what: str) -> None:
        """Something for the diagram and the report."""
        self.events.append((self.world.now_ns, node, what))

    def leader(self) -> Process | None:
        """The running process that leads the keyspace under trial, or else the control group, in the highest
        term."""
        return self._leader(NAME) or self._leader("default")

    def _leader(self, name: str) -> Process | None:
        found: Process | None = None
        best = -1
        for process in self.processes.values():
            if process.host is None or process.paused:
                continue
            group = process.host.by_name.get(name.encode())
            if not isinstance(group, Group):
                continue
            core: Any = group.core
            if core.leader == process.number and getattr(core, "term", 0) > best:
                found, best = process, getattr(core, "term", 0)
        return found

    def may_lose(self, number: int) -> bool:
        """Whether this node may fail for good without breaking what is promised."""
        lost = {
            process.number
            for process in self.processes.values()
            if process.dead_for_good or process.disk.damaged or process.number == number
        }
        holders = self.case.settings.replicas or self.case.nodes
        few = len(lost) <= (holders - 1) // 2
        return few and not self._removes_members() and self._survives(number, lost)

    def _survives(self, number: int, lost: set[int]) -> bool:
        """Whether those who hold the keyspace under trial could do without this node, and without those."""
        hosts = [process.host for process in self.processes.values() if process.host is not None]
        if not hosts:
            return True
        newest = max(hosts, key=lambda host: host.keyspaces.catalogue.version)
        found = newest.keyspaces.catalogue.keyspaces.get(NAME)
        if found is None or number not in found.view.nodes:
            return True
        protocol = newest.protocols[found.replication]
        left = sum(1 for node in found.view.nodes if node not in lost)
        if isinstance(protocol, Protocol) and protocol.views:
            return left > 0
        return 2 * left > len(found.view.nodes)

    def _removes_members(self) -> bool:
        return any(fault.kind in ("remove", "replace") for fault in self.case.faults)

    def _sample(self, envelopes: list[Envelope]) -> None:
        frames = FrameParser().feed(encode_frame(envelopes))
        if [tuple(message) for message in frames[0]] != [tuple(envelope) for envelope in envelopes]:
            raise ViolationFound("format", "a frame did not survive coding")

    # -- connections

    def new_connection(self, client: Connected) -> int:
        """A number for a connection."""
        self._next_connection += 1
        self._connections[self._next_connection] = client
        return self._next_connection

    def new_process(self) -> int:
        """A process of the history: one an operation, for clients pipeline."""
        self._next_process += 1
        return self._next_process

    def send_bytes(self, process: Process, life: int, connection: int, data: bytes) -> None:
        """From a client to its node, in order."""
        self.world.after(CLIENT_DELAY_NS, self._arrive, process, life, connection, data)

    def _arrive(self, process: Process, life: int, connection: int, data: bytes) -> None:
        if process.host is not None:
            process.stimulus(life, process.host.data, connection, data)

    def replied(self, node: int, connection: int, data: bytes) -> None:
        """From a node to its client."""
        client = self._connections.get(connection)
        if client is not None:
            self.world.after(CLIENT_DELAY_NS, client.received, connection, data)

    def closed(self, node: int, connection: int) -> None:
        """A node closed a connection."""
        client = self._connections.pop(connection, None)
        process = self.processes[node]
        if process.host is not None:
            process.host.disconnected(connection)
        if client is not None:
            self.world.after(2 * CLIENT_DELAY_NS, self._lost, client, connection)

    def forget(self, connection: int) -> None:
        """A client gave a connection up."""
        self._connections.pop(connection, None)

    def process_died(self, node: int) -> None:
        """Its clients notice."""
        for connection, client in list(self._connections.items()):
            if client.node == node and client.connection == connection:
                del self._connections[connection]
                self.world.after(2 * CLIENT_DELAY_NS, self._lost, client, connection)

    def _lost(self, client: Connected, connection: int) -> None:
        if client.connection == connection:
            client.disconnected()

    # -- the run

    def run(self) -> Result:
        """Safety phase, recovery, judgement."""
        violation: Violation | None = None
        unknown = 0
        try:
            self._start()
            self._recover()
            unknown = self._judge()
        except ViolationFound as found:
            violation = self._violation(found.kind, found.detail, found.node)
        except Exception as error:  # noqa: BLE001 - a crash of the program is a finding too
            violation = self._violation("exception", f"{type(error).__name__}: {error}", 0)
            if self.case.mutant == "" and not isinstance(error, AssertionError):
                import traceback

                violation = self._violation("exception", traceback.format_exc(limit=-8), 0)
        return self._result(violation, unknown)

    def _violation(self, kind: str, detail: str, node: int) -> Violation:
        return Violation(kind=kind, detail=detail, time_ms=self.world.now_ns // MILLISECOND_NS, node=node)

    def _start(self) -> None:
        for process in self.processes.values():
            process.boot()
        for client in self.clients.values():
            client.connect()
        if self.trial.prefix:
            self._create()
        began_ns = self.world.now_ns
        for operation in self.case.operations:
            client = self.clients[operation.client]
            self.world.at(began_ns + operation.at_ms * MILLISECOND_NS, client.ask, operation)
        for fault in self.case.faults:
            self.world.at(began_ns + fault.at_ms * MILLISECOND_NS, self.nemesis.inject, fault)
        self.world.run_until(began_ns + self.case.duration_ms * MILLISECOND_NS)

    def _create(self) -> None:
        """Have the keyspace under trial before anything goes wrong."""
        deadline = self.world.now_ns + self.case.recovery_ms * MILLISECOND_NS
        creator = SimulatedClient(self, Client(number=20_000, node=1))
        self.clients[20_000] = creator
        creator.connect()
        while not self._created():
            if not creator.waiting and not creator.sent:
                creator.ask(Operation(at_ms=0, client=20_000, kind="create", key=NAME))
            self.world.run_until(self.world.now_ns + STEP_NS // 4)
            if self.world.now_ns > deadline:
                raise ViolationFound("liveness", f"the keyspace was not created: {creator.last}")
        del self.clients[20_000]

    def _created(self) -> bool:
        for process in self.processes.values():
            group = process.host.by_name.get(NAME.encode()) if process.host is not None else None
            if group is None or group.closed:
                return False
        return True

    def _recover(self) -> None:
        """Faults are over: everything that can must agree, and serve, in bounded time."""
        self.nemesis.heal()
        deadline = self.world.now_ns + self.case.recovery_ms * MILLISECOND_NS
        while True:
            self.world.run_until(self.world.now_ns + STEP_NS)
            reason = self._unsettled()
            restoring = self._restore()
            if reason is None and not restoring:
                break
            if self.world.now_ns > deadline:
                what = reason or "not everyone is a voter again"
                raise ViolationFound("liveness", f"{self.case.recovery_ms} ms after the last fault: {what}")
        self._final_reads(deadline)

    def _restore(self) -> bool:
        """Bring removed members back; True while that is under way."""
        leader = self.leader()
        if leader is None or leader.host is None:
            return True
        members = leader.host.default.core.members
        missing = [
            node
            for node, process in self.processes.items()
            if node not in members.voters and not process.dead_for_good
        ]
        if not missing and not members.outgoing:
            return False
        if missing and self.world.now_ns // STEP_NS % RESTORE_EVERY_STEPS == 0:
            self.nemesis.restore(missing[0])
        return True

    def _unsettled(self) -> str | None:
        """Why the cluster has not converged; None when it has."""
        live = [process for process in self.processes.values() if not process.dead_for_good]
        for process in live:
            if process.host is None:
                return f"node {process.number} does not run"
        waiting = sum(len(client.waiting) + len(client.sent) for client in self.clients.values())
        if waiting:
            return f"{waiting} operations are unanswered"
        leader = self.leader()
        if leader is None or leader.host is None:
            return "nobody leads"
        reason = self._unsettled_registers(live)
        if reason is not None:
            return reason
        for name, leading in leader.host.groups.items():
            if leading.keyed:
                continue
            if leading.viewed:
                found = leader.host.keyspaces.catalogue.keyspaces[leading.name]
                holders = [process.number for process in live if process.number in found.nodes]
                if not set(holders) <= set(found.view.nodes):
                    return f"nodes {found.view.nodes} are in the view of {name}, not yet all of {holders}"
            # A node removed while it was away may not know it: the leader's view counts.
            everyone = leading.core.members.everyone()
            members = {
                process.number: process.host.groups[name]
                for process in live
                if process.number in everyone and process.host is not None
            }
            applied = {group.machine.applied for group in members.values()}
            if len(applied) != 1:
                return f"replicas have applied {sorted(applied)}"
            if not all(group.core.leader for group in members.values()):
                return "somebody knows no leader"
            digests = {group.machine.digest() for group in members.values()}
            if len(digests) != 1:
                raise ViolationFound("digest", f"replicas differ in group {name} at index {applied.pop()}")
        return None

    def _unsettled_registers(self, live: list[Process]) -> str | None:
        """Why the replicas of a keyspace of registers do not agree yet."""
        if not self.trial.prefix:
            return None
        leader = self.leader()
        found = leader.host.keyspaces.catalogue.keyspaces.get(NAME) if leader and leader.host else None
        if found is not None and found.view.outgoing:
            return f"the keyspace still moves from {found.view.outgoing} to {found.view.nodes}"
        for process in live:
            held = process.host.by_name.get(NAME.encode()) if process.host is not None else None
            if held is not None and held.keyed and held.core.status().get("hints"):
                return f"node {process.number} still holds hints for others"
        if not self.trial.converges:
            return None
        # Who left keeps what it had, and is not asked.
        holders = found.nodes if found is not None else tuple(self.processes)
        groups = [
            process.host.by_name.get(NAME.encode())
            for process in live
            if process.host is not None and process.number in holders
        ]
        keyed = [group for group in groups if group is not None and group.keyed]
        if keyed and len({group.digest()[1] for group in keyed}) != 1:
            return "the replicas of the keyspace differ"
        return None

    def _final_reads(self, deadline: int) -> None:
        """Every key is read once more, so that a lost write is seen."""
        keys = sorted({operation.key for operation in self.case.operations if operation.kind in FINAL})
        reader = SimulatedClient(self, Client(number=10_000, node=1 + self.case.seed % self.case.nodes))
        self.clients[10_000] = reader
        reader.connect()
        for key in keys:
            reader.ask(Operation(at_ms=0, client=10_000, kind="get", key=key))
        counters = sorted(self.totals) if self.trial.totals else []
        for key in counters:
            reader.ask(Operation(at_ms=0, client=10_000, kind="see", key=key))
        writer = Operation(
            at_ms=0, client=10_000, kind="set", key=f"{self.trial.prefix}after", value="recovery"
        )
        reader.ask(writer)
        limit = deadline + self.case.recovery_ms * MILLISECOND_NS
        while reader.outcomes.get("ok", 0) < len(keys) + len(counters) + 1:
            self.world.run_until(self.world.now_ns + STEP_NS)
            if self.world.now_ns > limit:
                raise ViolationFound("liveness", f"the final requests do not succeed: {reader.outcomes}")
            if not reader.waiting and not reader.sent:
                reader.ask(writer)
        for key in counters:
            certain, unknown = self.totals[key]
            number = reader.numbers.get(key, certain)
            may_be_lost = self._may_be_lost()
            if not certain - may_be_lost <= number <= certain + unknown:
                raise ViolationFound(
                    "total",
                    f"{key} is {number} in the end: {certain} INCRs were acknowledged, {unknown} more may "
                    f"have happened, and {may_be_lost} may be lost",
                )

    def _may_be_lost(self) -> int:
        """How many acknowledged INCRs a keyspace that states a bound may have lost: an entry holds one of
        each client at most, and with each view another may lead."""
        leader = self.leader()
        if not self.trial.loses or leader is None or leader.host is None:
            return 0
        found = leader.host.keyspaces.catalogue.keyspaces[NAME]
        entries: int = found.options["loss_entries"]
        return entries * len(self.case.clients) * (found.view.epoch - 1)

    def _judge(self) -> int:
        """Linearizability of everything the linearizable clients saw; how many keys were left open."""
        limits = Limits(time_ns=None, states=CHECK_STATES, clock_ns=_stopped_clock)
        report = check_history(self.history(), KeyValue(), limits)
        if report.status is Status.VIOLATION:
            raise ViolationFound("linearizability", report.explanation)
        for (level, _), recorder in self.levels.items():
            analysis = analyse(recorder.history(), "register", models=LEVELS[level], limits=limits)
            if analysis.status is Status.VIOLATION:
                broken = [model for model, told in analysis.models.items() if told is Status.VIOLATION]
                raise ViolationFound("level", f"{level} is not {', '.join(broken)}: {analysis.explanation}")
        return sum(1 for verdict in report.verdicts if verdict.status is Status.UNKNOWN)

    def level(self, level: str, key: str) -> Recorder:
        """Where what a client of a weaker level does with a key is recorded."""
        name, colon, _ = key.partition(":")
        return self.levels.setdefault((level, name if colon else ""), Recorder())

    def history(self) -> History:
        """What the clients saw."""
        return self.recorder.history()

    def _result(self, violation: Violation | None, unknown: int) -> Result:
        outcomes: dict[str, int] = {}
        for client in self.clients.values():
            for outcome, count in client.outcomes.items():
                outcomes[outcome] = outcomes.get(outcome, 0) + count
        return Result(
            seed=self.case.seed,
            violation=violation,
            trace_hash=self.world.trace_hash(),
            simulated_ms=self.world.now_ns // MILLISECOND_NS,
            events=self.world.events,
            operations=outcomes,
            faults=dict(sorted(self.nemesis.injected.items())),
            elections=self.oracle.elections,
            entries=self.oracle.entries,
            messages=self.network.sent,
            restarts=self.boots - self.case.nodes,
            refused_logs=sum(process.dead_for_good for process in self.processes.values()),
            unknown_keys=unknown,
        )


FINAL = frozenset({"set", "get", "cas", "setnx", "getset", "del", "delete", "incr", "append", "once"})


def _stopped_clock() -> int:
    return 0
