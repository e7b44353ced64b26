"""Random histories of a quorum cluster: clients, faults, a healing, and the audits at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.unit.protocols.quorum.cluster import MS, SECOND, Cluster, Down, Faults

from comity.checkers import History, Recorder, analyse
from comity.protocols.quorum import QuorumCore, QuorumOptions
from comity.replica import LINEARIZABLE, Answered, KeyOperation, Refused, Stream, View

FAST = {
    "retry_ns": 40 * MS,
    "heartbeat_ns": 100 * MS,
    "anti_entropy_ns": 150 * MS,
    "collect_ns": 200 * MS,
    "merkle_depth": 4,
    "sync_keys": 4,
    "build_keys": 3,
    "hint_expiry_ns": 3 * SECOND,
    "tombstone_grace_ns": 3 * SECOND,
}
"""Options with which much happens in a few seconds."""

SESSION_MODELS = ("read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads")


def fast(**changes: Any) -> QuorumOptions:
    return QuorumOptions(**(FAST | changes))


@dataclass(frozen=True)
class Plan:
    """What a run is made of.

    removals: the share of writes that are DEL. moves: changes of view. laggard: a node that does not hear of
    them. sessions: clients bring back their tokens. reset_clocks: a clock begins anew with each restart.
    """

    level: str = LINEARIZABLE
    options: QuorumOptions = field(default_factory=fast)
    numbers: tuple[int, ...] = (1, 2, 3)
    spare: tuple[int, ...] = ()
    core: type[QuorumCore] = QuorumCore
    clients: int = 4
    keys: int = 2
    operations: int = 30
    reads: float = 0.5
    removals: float = 0.0
    pause_ns: tuple[int, int] = (MS, 40 * MS)
    timeout_ns: int = 400 * MS
    loss: float = 0.05
    double: float = 0.05
    slow: float = 0.1
    sync: tuple[int, int] = (MS // 10, 5 * MS)
    crashes: bool = True
    partitions: bool = True
    clocks: bool = True
    moves: bool = False
    heals: bool = True
    request: tuple[tuple[str, Any], ...] = ()
    heal_ns: int = 4 * SECOND
    fault_ns: tuple[int, int] = (20 * MS, 250 * MS)
    laggard: int = 0
    sessions: bool = True
    reset_clocks: bool = False


FORGETTING_ROUNDS = 3


class Run:
    """One seed's run: `history` of its clients, and the cluster as it was left."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.plan = plan
        self.random = Stream(seed, "run")
        self.recorder = Recorder()
        numbers = tuple(sorted({*plan.numbers, *plan.spare}))
        self.cluster = Cluster(
            seed,
            numbers,
            plan.options,
            plan.core,
            View(1, plan.numbers),
            Faults(loss=plan.loss, double=plan.double, slow=plan.slow, sync=plan.sync),
        )
        self.view = View(1, plan.numbers)
        self.written = 0
        self.busy = plan.clients
        self.faulty = True
        self.outcomes: list[Any] = []
        self.acknowledged: dict[bytes, int] = {}
        self.keys = [b"k%d" % number for number in range(plan.keys)]
        for client in range(plan.clients):
            self.next_operation(client, b"", plan.operations)
        self.fault()
        if plan.moves:
            self.cluster.after(100 * MS, self.move)
        self.run_while(lambda: self.busy > 0, 60 * SECOND)
        self.faulty = False
        if plan.heals:
            self.heal()

    @property
    def history(self) -> History:
        return self.recorder.history()

    def run_while(self, condition: Any, limit_ns: int) -> None:
        end = self.cluster.now_ns + limit_ns
        while condition() and self.cluster.now_ns < end:
            self.cluster.step()
        assert not condition(), "nothing came of it"

    # -- clients

    def next_operation(self, client: int, token: bytes, left: int) -> None:
        if left == 0:
            self.busy -= 1
            return
        delay = self.random.between(*self.plan.pause_ns)
        self.cluster.after(delay, lambda: self.operate(client, token, left))

    def operate(self, client: int, token: bytes, left: int) -> None:
        random, recorder, plan = self.random, self.recorder, self.plan
        key = random.pick(self.keys)
        process = recorder.process_of(client)
        if random.chance(plan.reads):
            payload = b"GET"
            recorder.invoke(process, "read", key.decode())
        elif random.chance(plan.removals):
            payload = b"DEL"
            recorder.invoke(process, "write", key.decode(), None)
        else:
            self.written += 1
            payload = b"SET %d" % self.written
            recorder.invoke(process, "write", key.decode(), self.written)
        writes = payload != b"GET"
        number = random.pick(list(self.cluster.nodes))

        def answered(outcome: Any) -> None:
            self.outcomes.append(outcome)
            after = token
            if isinstance(outcome, Answered):
                after = outcome.token if plan.sessions else b""
                if writes:
                    stamp = int.from_bytes(outcome.token, "big")
                    self.acknowledged[key] = max(stamp, self.acknowledged.get(key, 0))
                reply = outcome.reply
                if writes:
                    recorder.ok(process, None if payload == b"DEL" else int(payload[4:]))
                else:
                    recorder.ok(process, None if reply == b"nil" else int(reply[1:]))
            elif isinstance(outcome, (Refused, Down)) or not writes:
                recorder.fail(process)
            else:
                recorder.info(process)
            self.next_operation(client, after, left - 1)

        operation = KeyOperation(
            key=key, payload=payload, writes=writes, level=plan.level, token=token, **dict(plan.request)
        )
        self.cluster.execute(number, operation, answered, plan.timeout_ns)

    # -- faults

    def fault(self) -> None:
        if not self.faulty:
            return
        self.cluster.after(self.random.between(*self.plan.fault_ns), self.fault)
        random, cluster, plan = self.random, self.cluster, self.plan
        number = random.pick(list(cluster.nodes))
        what = random.below(5)
        down = [node.number for node in cluster.nodes.values() if not node.alive]
        if what == 0 and plan.crashes:
            if len(down) < max(1, len(cluster.nodes) // 2):
                cluster.crash(number)
        elif what == 1 and down:
            number = random.pick(down)
            if plan.reset_clocks:
                cluster.nodes[number].clock_ms = -10_000 - cluster.now_ns // MS
            cluster.restart(number)
        elif what == 2 and plan.partitions:
            others = tuple(other for other in cluster.nodes if other != number)
            cluster.partition((number,), others)
        elif what == 3:
            cluster.partition()
        elif what == 4 and plan.clocks:
            cluster.nodes[number].clock_ms = random.between(-500, 500)

    def move(self) -> None:
        """As the control group: to other nodes, through a view with both; nodes hear of it in their time."""
        cluster, random = self.cluster, self.random
        if not self.faulty and not self.view.outgoing:
            return
        cluster.after(random.between(50 * MS, 200 * MS), self.move)
        view = self.view
        if not view.outgoing:
            able = [number for number in cluster.nodes if number != self.plan.laggard]
            nodes = tuple(random.shuffled(able)[: len(view.nodes)])
            self.view = View(view.epoch + 1, nodes, outgoing=view.nodes)
        elif all(cluster.nodes[node].core.settled >= view.epoch for node in view.outgoing):
            self.view = View(view.epoch + 1, view.nodes)
        latest = self.view
        for number in cluster.nodes:
            late = number == self.plan.laggard and self.faulty
            cluster.after(
                random.between(10 * SECOND, 20 * SECOND) if late else random.between(0, 150 * MS),
                lambda number=number: cluster.give_view(number, latest),  # type: ignore[misc]
            )

    def heal(self) -> None:
        """Faults off; everybody learns of the view; all copies become the same."""
        cluster = self.cluster
        cluster.partition()
        cluster.faults = Faults()
        for node in cluster.nodes.values():
            node.clock_ms = 0
            cluster.restart(node.number)
        if self.plan.moves:
            self.run_while(lambda: bool(self.view.outgoing), 60 * SECOND)
        cluster.run(self.plan.heal_ns)
        self.recorder.fault("quiesce")
        reader = 1000
        for number in sorted(cluster.placed()):
            for key in self.keys:
                process = reader + number
                self.recorder.invoke(process, "read", key.decode())
                outcome = cluster.do(number, b"GET", key=key, level=self.plan.level)
                assert isinstance(outcome, Answered), outcome
                reply = outcome.reply
                self.recorder.ok(process, None if reply == b"nil" else int(reply[1:]))

    def diverging(self) -> list[tuple[bytes, dict[int, Any]]]:
        """Keys that the nodes which are to hold them hold differently. Nodes forget a removal one after the
        other: who is about to has a moment for it."""
        found = self._differing()
        for _ in range(FORGETTING_ROUNDS):
            if found:
                self.cluster.run(self.plan.options.collect_ns)
                found = self._differing()
        return found

    def _differing(self) -> list[tuple[bytes, dict[int, Any]]]:
        found = []
        for key in self.keys:
            copies = {
                number: node.core.copy_of(key)
                for number, node in self.cluster.nodes.items()
                if number in node.core.placement.holders(key)
            }
            if len({copy.entries for copy in copies.values()}) > 1:
                found.append((key, copies))
        return found

    def lost(self) -> list[bytes]:
        """Keys of which a node that is to hold them holds less than was acknowledged to somebody. Only of
        plans without sessions: a token tells of other keys too."""
        assert not self.plan.sessions
        return [
            key
            for key, stamp in self.acknowledged.items()
            for number, node in self.cluster.nodes.items()
            if number in node.core.placement.holders(key) and node.core.copy_of(key).tag[0] < stamp
        ]

    def audit(self) -> None:
        for node in self.cluster.nodes.values():
            node.core.deep_check()
            assert not node.core.pending


def violated(history: History, models: tuple[str, ...]) -> list[str]:
    """Of these models, those that the history of registers violates."""
    analysis = analyse(history, "register", models=models)
    assert all(analysis.models[model].value != "unknown" for model in models)
    return [model for model in models if analysis.models[model].value == "violation"]
