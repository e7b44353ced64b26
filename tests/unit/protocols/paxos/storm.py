"""Clients and faults over a `Cluster`, drawn from a seed, and the judgement of what the clients saw."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.unit.protocols.paxos.cluster import MS, Build, Cluster
from tests.unit.protocols.paxos.semantics import command, result

from comity.checkers import HistoryBuilder, Limits, Status, check_history
from comity.checkers.history import Event, EventType
from comity.protocols.paxos import PaxosCore
from comity.replica import Answered, Outcome, Refused, Stream, View

LIMITS = Limits(time_ns=None, states=300_000, clock_ns=lambda: 0)
KEYS = ("a", "b", "c")
CLIENTS = 5


class Storm:
    """One run: `rage`, then `recover`, then `judge`.

    plan: "any" draws everything; the others press one weak spot: "bounces" (crashes over slow disks), "views"
    (replicas change, and some hear of it late), "returns" (replicas leave and come back, keys are removed
    meanwhile), "removals" (keys come and go, messages come late).
    """

    def __init__(
        self,
        seed: int,
        core: Build = PaxosCore,
        *,
        plan: str = "any",
        lasting_ns: int = 1_500 * MS,
        pace_ns: int = 30 * MS,
    ) -> None:
        self.stream = Stream(seed, "storm")
        chance = self.stream.chance
        self.moving = chance(0.4) if plan == "any" else plan in {"views", "returns"}
        nodes = 5 if self.moving or (chance(0.3) and plan == "any") else 3
        first = (1, 2, 3) if self.moving or nodes == 3 else (1, 2, 3, 4, 5)
        self.cluster = Cluster(seed, nodes, core=core, view=View(1, first))
        self.lasting_ns = lasting_ns
        self.pace_ns = pace_ns
        self.view_delay_ns = self.stream.pick([10 * MS, 60 * MS, 500 * MS])
        self.crashing, self.cutting = chance(0.6), chance(0.6)
        self.deleting = chance(0.6)
        self.storming = True
        cluster = self.cluster
        cluster.loss = self.stream.pick([0.0, 0.02, 0.1])
        cluster.duplication = self.stream.pick([0.0, 0.05, 0.2])
        cluster.delay_ns = (MS // 10, self.stream.pick([MS, 8 * MS, 60 * MS]))
        cluster.sync_ns = (MS // 20, self.stream.pick([MS // 2, 5 * MS, 80 * MS]))
        cluster.straggling = self.stream.pick([0.0, 0.0, 0.05])
        self.keys: tuple[str, ...] = KEYS
        self.hold_ns = 0
        self.removing = 0.2
        self.fault_ns = 150 * MS
        if plan == "bounces":
            self.keys, self.fault_ns = KEYS[:1], 25 * MS
            self.crashing, self.cutting, self.deleting = True, False, False
            cluster.sync_ns, cluster.delay_ns = (MS // 20, 80 * MS), (MS // 10, MS)
            cluster.loss = 0.1
        elif plan == "views":
            self.keys = KEYS[:1]
            self.crashing, self.cutting, self.deleting = False, False, False
            self.view_delay_ns = 800 * MS
            cluster.sync_ns, cluster.delay_ns = (MS // 20, MS), (MS // 10, 3 * MS)
        elif plan == "returns":
            self.keys = KEYS[:1]
            self.crashing = self.cutting = False
            self.deleting, self.hold_ns, self.view_delay_ns = True, 150 * MS, 5 * MS
            cluster.sync_ns, cluster.delay_ns, cluster.straggling = (MS // 20, MS), (MS // 10, 3 * MS), 0.0
            cluster.loss = 0.0
            self.pace_ns, self.removing = 100 * MS, 0.5
            self.collect_after(2 * MS)
        elif plan == "removals":
            self.keys = KEYS[:1]
            self.crashing = False
            self.deleting = True
            cluster.sync_ns, cluster.delay_ns = (MS // 20, MS), (MS // 10, 3 * MS)
            cluster.loss, cluster.duplication, cluster.straggling = 0.05, 0.2, 0.05
            self.collect_after(2 * MS)
        self.events: list[Event] = []
        self.processes = 0
        self.values = 0
        self.outcomes = {"ok": 0, "fail": 0, "info": 0}

    def collect_after(self, delay_ns: int) -> None:
        options = msgspec.structs.replace(self.cluster.options, collect_ns=delay_ns)
        self.cluster.options = options
        for number in self.cluster.up():
            self.cluster[number].options = options

    # -- clients

    def rage(self) -> None:
        """Clients work while faults happen."""
        cluster = self.cluster
        for _ in range(CLIENTS):
            self.client(self.new_process())
        cluster.at(self.stream.between(10 * MS, 100 * MS), self.fault)
        if self.moving:
            cluster.at(self.stream.between(100 * MS, 300 * MS), self.change_view)
        cluster.run(self.lasting_ns)
        self.storming = False
        cluster.run(300 * MS)

    def new_process(self) -> int:
        self.processes += 1
        return self.processes

    def client(self, process: int) -> None:
        """The next operation of a process, then the one after it."""
        if not self.storming:
            return
        cluster = self.cluster
        up = cluster.up()
        if not up:
            cluster.at(10 * MS, lambda: self.client(process))
            return
        self.operate(process, self.stream.pick(up), self.stream.pick(self.keys), self.draw())

    def draw(self) -> tuple[str, list[Any]]:
        self.values += 1
        value = str(1_000 * self.values)
        kind = self.stream.unit()
        if self.deleting and kind < self.removing:
            return "DEL", []
        kind = self.stream.unit()
        if kind < 0.2:
            return "SET", [value]
        return ("INCR", []) if kind < 0.55 else ("GET", [])

    def operate(self, process: int, number: int, key: str, drawn: tuple[str, list[Any]]) -> None:
        name, arguments = drawn
        value = tuple(arguments) if arguments else None
        self.events.append(Event(process, EventType.INVOKE, name, key, value))

        def end(outcome: Outcome) -> None:
            following = process
            if isinstance(outcome, Answered):
                self.record(process, EventType.OK, name, key, result(outcome.reply))
            elif isinstance(outcome, Refused):
                self.record(process, EventType.FAIL, name, key, value)
            else:
                self.record(process, EventType.INFO, name, key, value)
                following = self.new_process()
            pause_ns = self.stream.below(self.pace_ns)
            self.cluster.at(pause_ns, lambda: self.client(following))

        self.cluster.execute(number, key.encode(), command(name, *arguments), end, writes=name != "GET")

    def record(self, process: int, kind: EventType, name: str, key: str, value: Any) -> None:
        self.outcomes[kind.value] += 1
        self.events.append(Event(process, kind, name, key, value))

    # -- faults

    def fault(self) -> None:
        if not self.storming:
            return
        cluster, stream = self.cluster, self.stream
        number = stream.pick(list(cluster.nodes))
        down = [node for node in cluster.nodes if cluster.nodes[node].core is None]
        if self.crashing and (stream.chance(0.5) or not self.cutting):
            if number in down:
                cluster.start(number)
            elif not down:
                cluster.crash(number, keep=stream.pick([0, 0, None]))
                cluster.at(stream.between(MS, stream.pick([10 * MS, 200 * MS])), lambda: self.revive(number))
        elif self.cutting:
            cluster.heal()
            if stream.chance(0.6):
                cluster.isolate(number)
        cluster.at(stream.between(5 * MS, self.fault_ns), self.fault)

    def revive(self, number: int) -> None:
        if self.cluster.nodes[number].core is None:
            self.cluster.start(number)

    def change_view(self) -> None:
        """Joint view, then the next one as soon as it has settled; as the control group does it."""
        cluster, stream = self.cluster, self.stream
        if self.storming and not cluster.latest.outgoing:
            old = cluster.latest.nodes
            new = tuple(sorted(stream.shuffled(list(cluster.nodes))[: stream.pick([3, 3, 4])]))
            cluster.give(View(cluster.latest.epoch + 1, new, outgoing=old), self.view_delay_ns)
        elif cluster.latest.outgoing and cluster.has_settled():
            cluster.give(View(cluster.latest.epoch + 1, cluster.latest.nodes), self.view_delay_ns)
        hold_ns = 0 if cluster.latest.outgoing else self.hold_ns
        cluster.at(hold_ns + stream.between(20 * MS, 80 * MS), self.change_view)

    # -- the end

    def recover(self) -> None:
        """Faults are over: everybody answers, and all agree."""
        cluster = self.cluster
        cluster.heal()
        cluster.loss = cluster.duplication = cluster.straggling = 0.0
        cluster.delay_ns, cluster.sync_ns = (MS // 10, MS), (MS // 20, MS // 2)
        self.view_delay_ns = 10 * MS
        for number in list(cluster.nodes):
            self.revive(number)
            cluster.adopt(number, cluster.latest)
        calm = cluster.run(8_000 * MS, lambda: not cluster.latest.outgoing)
        assert calm, f"view {cluster.latest} never settled"
        cluster.run(700 * MS)
        for key in KEYS:
            for number in cluster.latest.nodes:
                process = self.new_process()
                self.events.append(Event(process, EventType.INVOKE, "GET", key))
                outcome = cluster.ask(
                    number, key.encode(), command("GET"), writes=False, deadline_ns=900 * MS
                )
                assert isinstance(outcome, Answered), f"node {number} does not answer: {outcome}"
                self.record(process, EventType.OK, "GET", key, result(outcome.reply))
        for key in KEYS:
            process = self.new_process()
            self.events.append(Event(process, EventType.INVOKE, "DEL", key))
            number = self.stream.pick(list(cluster.latest.nodes))
            outcome = cluster.ask(number, key.encode(), command("DEL"), deadline_ns=900 * MS)
            assert isinstance(outcome, Answered), f"node {number} does not answer: {outcome}"
            self.record(process, EventType.OK, "DEL", key, result(outcome.reply))
        assert cluster.run(5_000 * MS, self.collected), f"tombstones stay: {self.left()}"

    def left(self) -> list[tuple[int, bytes]]:
        nodes = self.cluster.latest.nodes
        return [(n, name) for n in nodes for name in self.cluster.nodes[n].disk.cells if name[:1] == b"k"]

    def collected(self) -> bool:
        return not self.left()

    def judge(self) -> None:
        """Linearizable, key by key."""
        builder = HistoryBuilder()
        for event in self.events:
            builder.add(event)
        report = check_history(builder.build(), "kv", LIMITS)
        assert report.status is not Status.VIOLATION, [
            (verdict.key, verdict.explanation)
            for verdict in report.verdicts
            if verdict.status is Status.VIOLATION
        ]


def run_storm(seed: int, core: Build = PaxosCore, **how: Any) -> Storm:
    """A whole run."""
    storm = Storm(seed, core, **how)
    try:
        storm.rage()
        storm.recover()
        storm.judge()
    except Exception as error:
        raise AssertionError(f"seed {seed} at {storm.cluster.now_ns} ns") from error
    return storm
