"""Random workloads and faults on a cluster of gossip cores, and what must be true of the outcome."""

from __future__ import annotations

from typing import Any

from tests.unit.protocols.gossip.cluster import Cluster

from comity.checkers import Event, EventType, History, HistoryBuilder, Status, analyse
from comity.protocols.gossip import GossipCore, GossipOptions
from comity.replica import Answered, Outcome, Refused, View

MODELS = (
    "causal-convergence",
    "read-your-writes",
    "monotonic-reads",
    "monotonic-writes",
    "writes-follow-reads",
    "eventual",
)
"""Causal+ (COPS): causal convergence and the session guarantees. Causal memory (`causal`) is neither weaker
nor stronger: no store whose replicas answer alone and converge can give it where writes conflict, for a
write that loses is hidden from readers who had read its rival before. Where none conflict it holds too."""

SMALL = GossipOptions(
    max_message_bytes=1000,
    max_buffer_bytes=4000,
    max_log_bytes=3000,
    max_unheard_bytes=2000,
    collect_keys=3,
    scan_keys=5,
)
"""Bounds that a short run reaches."""


TINY = GossipOptions(
    max_message_bytes=300, max_buffer_bytes=2000, max_log_bytes=300, max_unheard_bytes=500, collect_keys=3
)
"""Bounds so small that a short absence needs the full state, in many messages."""

PLANS: dict[str, dict[str, Any]] = {
    "calm": {"faults": False},
    "faults": {"sync_ms": 20, "keys": 2},
    "causes": {
        "slow": 0.4,
        "keys": 2,
        "sessions": 9,
        "weights": (20, 1, 0, 0),
        "length_ms": 500,
        "moves": False,
        "pace_ms": 8,
    },
    "owners": {
        "owners": True,
        "slow": 0.3,
        "keys": 6,
        "sessions": 6,
        "weights": (7, 3, 0, 0),
        "pace_ms": 8,
        "crashes": False,
    },
    "bounds": {"options": SMALL, "nodes": 4, "sync_ms": 20},
    "views": {"options": SMALL, "views": True, "keys": 2, "length_ms": 2200},
    "removals": {
        "mixed": 12,
        "weights": (1, 1, 1, 12),
        "commands": "DEL INCRBY INCRBY",
        "nodes": 4,
        "sessions": 8,
    },
    "absences": {"options": TINY, "keys": 8, "sessions": 10, "weights": (12, 8, 0, 0), "length_ms": 1000},
    "joins": {
        "options": GossipOptions(max_message_bytes=1, round_ns=400_000_000, idle_ns=400_000_000),
        "views": True,
        "keys": 4,
        "sessions": 24,
        "weights": (14, 6, 0, 0),
        "loss": 0.3,
        "sync_ms": 10,
        "length_ms": 1200,
    },
}
"""Mixtures of faults, bounds and operations."""


class Violation(AssertionError):
    """The protocol broke a promise."""


class Session:
    """A client that moves between nodes and brings its token."""

    def __init__(self, name: int) -> None:
        self.process = name
        self.token = b""
        self.busy = False


class Storm:
    """One random run. faults: loss, crashes and partitions; views: members come, go and come back."""

    def __init__(
        self,
        seed: int,
        cores: type[GossipCore] = GossipCore,
        *,
        nodes: int = 3,
        options: GossipOptions | None = None,
        faults: bool = True,
        crashes: bool = True,
        views: bool = False,
        owners: bool = False,
        loss: float = 0.1,
        slow: float = 0.1,
        moves: bool = True,
        pace_ms: int = 25,
        sync_ms: int = 3,
        keys: int = 3,
        sessions: int = 5,
        mixed: int = 4,
        weights: tuple[int, int, int, int] = (4, 3, 1, 2),
        commands: str = "DEL DEL INCRBY SET EXPIREAT PERSIST GETDEL",
        length_ms: int = 1500,
        audit: bool = True,
    ) -> None:
        mild = 1.0 if faults else 0.0
        self.cluster = Cluster(
            seed,
            nodes,
            cores,
            options,
            loss=loss * mild,
            duplication=0.1 * mild,
            slow=slow * mild,
            sync_ms=sync_ms,
            skew_ms=40,
            audit=audit,
        )
        self.stream = self.cluster.stream
        self.owners = owners
        self.views, self.moves, self.pace_ns = views, moves, pace_ms * 1_000_000
        self.faults, self.crashes = faults, crashes
        self.builder = HistoryBuilder()
        self.sessions = [Session(number) for number in range(sessions)]
        self.names = sessions
        self.keys, self.mixed, self.weights = keys, mixed, weights
        self.commands = commands.encode().split()
        self.values = 0
        self.counted = {f"count{key}": [0, 0] for key in range(2)}
        """Counter key -> increments acknowledged, and of unknown outcome."""
        self.refused = self.answered = 0
        self.length_ms = length_ms
        self.gone: int | None = None
        self.forced = False
        """Whether a member was removed that had not handed over what it had: that may be lost."""

    def run(self) -> History:
        """Faults and operations, then quiet; the whole history with final reads."""
        cluster = self.cluster
        for session in self.sessions:
            self.think(session)
        if self.faults:
            self.next_fault()
        if self.views:
            cluster.at(self.length_ms * 200_000, self.next_view)
        cluster.run(self.length_ms)
        self.length_ms = 0
        cluster.heal()
        cluster.loss = cluster.slow = 0.0
        for number, node in cluster.nodes.items():
            if node.core is None:
                cluster.start(number)
        for node in cluster.nodes.values():
            if node.core is not None:
                node.core.view(cluster.now_ns, cluster.current)
                cluster.touched(node)
        cluster.run(6000)
        self.builder.add(Event("nemesis", EventType.INFO, "quiesce"))
        self.final_reads()
        return self.builder.build()

    # -- clients

    def think(self, session: Session) -> None:
        self.cluster.at(self.stream.below(self.pace_ns), lambda: self.act(session))

    def act(self, session: Session) -> None:
        if not self.length_ms:
            return
        nodes = sorted(self.cluster.nodes)
        number = self.stream.pick(nodes) if self.moves else nodes[session.process % len(nodes)]
        reads, writes, increments, others = self.weights
        kind = self.stream.below(reads + writes + increments + others)
        if kind < reads:
            self.register(session, number, write=False)
        elif kind < reads + writes:
            self.register(session, number, write=True)
        elif kind < reads + writes + increments:
            self.increment(session, number)
        else:
            self.disturb(session, number)

    def register(self, session: Session, number: int, *, write: bool, timeout_ms: int = 400) -> None:
        owned = self.owners and write
        key = f"key{self.sessions.index(session) if owned else self.stream.below(self.keys)}"
        self.values += 1
        value = str(self.values) if write else None
        f, process = ("write" if write else "read"), session.process
        self.builder.add(Event(process, EventType.INVOKE, f, key, value, self.cluster.now_ns))
        words = ["SET", key, str(value)] if write else ["GET", key]

        def answer(outcome: Outcome) -> None:
            ended, result = EventType.INFO, value
            if isinstance(outcome, Answered):
                ended = EventType.OK
                session.token = outcome.token
                self.answered += 1
                if not write:
                    result = text_of(outcome.reply)
            elif isinstance(outcome, Refused) or not write:
                ended = EventType.FAIL
                self.refused += 1
            self.builder.add(Event(process, ended, f, key, result, self.cluster.now_ns))
            if ended is EventType.INFO:
                session.process, session.token, self.names = self.names, b"", self.names + 1
            self.think(session)

        self.cluster.ask(
            number,
            [[word.encode() for word in words]],
            answer,
            writes=write,
            token=session.token,
            timeout_ms=timeout_ms,
        )

    def increment(self, session: Session, number: int) -> None:
        key = self.stream.pick(sorted(self.counted))

        def answer(outcome: Outcome) -> None:
            if isinstance(outcome, Answered):
                self.counted[key][0] += 1
                session.token = outcome.token
            elif not isinstance(outcome, Refused):
                self.counted[key][1] += 1
            self.think(session)

        self.cluster.ask(number, [[b"INCR", key.encode()]], answer, writes=True, token=session.token)

    def disturb(self, session: Session, number: int) -> None:
        """Anything at all, on keys of which only convergence is asked."""
        key = b"mixed%d" % self.stream.below(self.mixed)
        self.values += 1
        name = self.stream.pick(self.commands)
        arguments = {
            b"INCRBY": [b"%d" % self.stream.between(-9, 9)],
            b"SET": [b"%d" % self.values],
            b"EXPIREAT": [b"4102444800"],
        }
        command = [name, key, *arguments.get(name, [])]

        def answer(outcome: Outcome) -> None:
            self.think(session)

        self.cluster.ask(number, [command], answer, writes=True)

    def final_reads(self) -> None:
        for number in self.cluster.current.nodes:
            self.names += 1
            session = Session(self.names)
            for key in range(self.keys):
                outcome = self.cluster.do(number, "GET", f"key{key}", writes=False)
                if not isinstance(outcome, Answered):
                    raise Violation(f"node {number} does not answer at the end: {outcome}")
                reply = outcome.reply
                self.builder.add(Event(session.process, EventType.INVOKE, "read", f"key{key}", None))
                self.builder.add(Event(session.process, EventType.OK, "read", f"key{key}", text_of(reply)))

    # -- faults

    def next_fault(self) -> None:
        cluster, stream = self.cluster, self.stream
        if not self.length_ms:
            return
        kind = stream.below(3) if self.crashes else stream.between(1, 2)
        nodes = sorted(cluster.nodes)
        if kind == 0:
            number = stream.pick(nodes)
            if cluster.nodes[number].core is not None:
                cluster.crash(number)
                cluster.at(stream.below(200_000_000), lambda: self.restart(number))
        elif kind == 1:
            side = tuple(node for node in nodes if stream.chance(0.5))
            cluster.partition(side, tuple(node for node in nodes if node not in side))
        else:
            cluster.heal()
        cluster.at(stream.below(300_000_000), self.next_fault)

    def restart(self, number: int) -> None:
        if self.cluster.nodes[number].core is None:
            self.cluster.start(number)

    def next_view(self) -> None:
        """Members leave, by handing over what they have or by force, and come back, or new ones come."""
        if not self.length_ms:
            return
        cluster, view = self.cluster, self.cluster.current
        wait_ms = self.stream.between(100, 400)
        if view.outgoing:
            done = all(
                node.core is not None and node.core.settled == view.epoch
                for number, node in cluster.nodes.items()
                if number in view.nodes
            )
            if done or self.stream.chance(0.1):
                self.forced = self.forced or not done
                cluster.give_view(View(view.epoch + 1, view.nodes), but=view.outgoing if not done else ())
            wait_ms = 50
        elif self.gone is None:
            self.gone = leaver = self.stream.pick(list(view.nodes))
            left = tuple(node for node in view.nodes if node != leaver)
            cluster.give_view(View(view.epoch + 1, left, (), (leaver,)))
        else:
            back = self.gone
            if self.stream.chance(0.5):
                back = max(cluster.nodes) + 1
                cluster.add(back)
            self.gone = None
            cluster.give_view(View(view.epoch + 1, (*view.nodes, back)))
        cluster.at(wait_ms * 1_000_000, self.next_view)

    # -- judgement

    def judge(self, models: tuple[str, ...] = MODELS) -> None:
        """Run, and raise `Violation` where a promise is broken."""
        history = self.run()
        if self.owners:
            models = ("causal", *models)
        if self.forced:
            models = ("eventual",)
        analysis = analyse(history, "register", models=models)
        bad = [name for name, status in analysis.models.items() if status is not Status.VALID]
        if bad:
            raise Violation(f"{bad}: {analysis.explanation}")
        self.converged()
        self.counters()

    def converged(self) -> None:
        """All members hold the same, nothing is left to do, and nothing remembers removals."""
        members = self.cluster.current.nodes
        digests = [self.cluster.digest(number) for number in members]
        if any(digest != digests[0] for digest in digests):
            raise Violation(f"digests differ: {digests}")
        for number in members:
            core = self.cluster.core(number)
            if not core.ready or core.tombstones or core.buffered or core.waiting:
                raise Violation(f"node {number} is not done: {dict(core.status())}")
            if core.settled != self.cluster.current.epoch:
                raise Violation(f"node {number} has not settled")
            if core.dropped_counts().keys() - {"of an older view", "not of this view", FENCED}:
                raise Violation(f"node {number} dropped {core.dropped_counts()}")

    def counters(self) -> None:
        """No acknowledged increment is lost, none counts twice. What only a removed node had may be lost."""
        if self.forced:
            return
        digest = self.cluster.digest(self.cluster.current.nodes[0])
        for key, (sure, maybe) in self.counted.items():
            total = int(digest.get(key.encode(), b"0"))
            if not sure <= total <= sure + maybe:
                raise Violation(f"{key} is {total}: {sure} increments acknowledged, {maybe} unknown")


FENCED = "out of a view and has not started over"


def text_of(reply: bytes) -> str | None:
    """The string in a RESP2 bulk reply."""
    return None if reply == b"$-1\r\n" else reply.split(b"\r\n")[1].decode()
