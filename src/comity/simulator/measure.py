"""What a kind of keyspace does over a topology: without faults, while a minority is cut off, and after.

One run is one seed: whole hosts in virtual time, a keyspace of the kind beside the control group, probes at
every node (see `probes`), and one partition. Its samples are reduced to observations; `measured.summarise`
makes figures of those of several seeds. What a round trip costs a protocol is counted on a ruler: a cluster
whose messages all take the same time and whose disks and turns take none, asked one thing at a time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from comity.node import Bounds
from comity.protocols import load
from comity.replica import KeyedProtocol, Protocol
from comity.replica.promises import Promise
from comity.simulator.cluster import Cluster
from comity.simulator.probes import OK, READ, SILENT, WRITE, Key, Probes, Sample
from comity.simulator.settings import Case, Settings
from comity.simulator.topologies import Topology, even
from comity.simulator.trials import NAME, Trial

MILLISECOND_NS = 1_000_000
RULER_US = 20_000
"""One way on the ruler: short of every protocol's retries there and back, long beside everything else."""
RULER_ROUNDS = 3
STEP_NS = 50 * MILLISECOND_NS

STEADY = "steady"
PARTITION = "partition"
AFTER = "after"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of keyspace. level: "" for the strongest that the protocol gives with these options."""

    name: str
    replication: str
    options: dict[str, Any] = {}
    level: str = ""

    @property
    def protocol(self) -> Protocol | KeyedProtocol:
        """Raises `KeyError` where there is none of the name."""
        return load()[self.replication]

    def promise(self, replicas: int) -> Promise | None:
        """What `comity explain` says of it; None where its protocol says nothing."""
        protocol = self.protocol
        if protocol.promise is None:
            return None
        return protocol.promise(msgspec.convert(self.options, protocol.options, strict=False), replicas)

    def level_of(self, replicas: int) -> str:
        """Its level, where none was chosen the strongest."""
        promise = self.promise(replicas)
        return self.level or (promise.levels[0] if promise is not None else "linearizable")


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(name="raft", replication="raft"),
        Kind(name="paxos", replication="paxos"),
        Kind(name="primary-backup", replication="primary-backup"),
        Kind(name="primary-backup-async", replication="primary-backup", options={"mode": "async"}),
        Kind(name="chain", replication="chain"),
        Kind(name="quorum", replication="quorum"),
        Kind(name="quorum-eventual", replication="quorum", options={"r": 1, "w": 1}, level="eventual"),
        Kind(name="gossip", replication="gossip"),
    )
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured, and for how long; all in milliseconds of virtual time.

    period_ms: between two reads, and two writes, at one node. settle_ms: after the cut, before what a side
    does then counts as what it settled to. deadline_ms: of every request, a setting of the nodes. after_ms:
    at most so long is waited for the replicas to show the same again. keys: of each writer.
    """

    kind: Kind
    topology: Topology
    period_ms: int = 100
    warm_ms: int = 2_000
    steady_ms: int = 6_000
    partition_ms: int = 12_000
    settle_ms: int = 5_000
    deadline_ms: int = 2_500
    after_ms: int = 40_000
    keys: int = 3

    @property
    def replicas(self) -> int:
        """One at every node."""
        return len(self.topology.nodes)

    def cut(self, seed: int) -> tuple[int, ...]:
        """Who is cut off: with each seed the next of those who can be."""
        candidates = self.topology.minorities()
        return candidates[seed % len(candidates)]


class Observation(msgspec.Struct, frozen=True, array_like=True):
    """One request, reduced. minority: whether its node is of the side that is cut off. since_us: since the
    phase began. age_us, behind: of a read, for how long what it returned had been outdated, and by how many
    acknowledged versions."""

    phase: str
    node: int
    minority: bool
    kind: str
    outcome: str
    since_us: int
    took_us: int
    age_us: int = 0
    behind: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One seed. cut: who was cut off. converged_ms: after healing until every node showed the same of every
    key, and went on to; -1 where that did not come. acknowledged, lost: writes, and how many of them no node
    showed in the end. unreadable: keys that no node could read then."""

    seed: int
    cut: tuple[int, ...]
    observations: list[Observation]
    converged_ms: float
    acknowledged: int
    lost: int
    unreadable: int
    trace_hash: str
    simulated_ms: int


class Ruler(msgspec.Struct, frozen=True, kw_only=True):
    """Round trips of each node's reads and writes: the median of a few, by number of the node."""

    reads: tuple[float, ...]
    writes: tuple[float, ...]


class _Keyspace(Trial, frozen=True, kw_only=True):
    @property
    def prefix(self) -> str:
        return f"{NAME}:"


class Measuring(Cluster):
    """A cluster with a keyspace of one kind and no workload but its probes."""

    def __init__(self, kind: Kind, topology: Topology, seed: int, settings: Settings) -> None:
        case = Case(
            seed=seed, protocol="raft", nodes=len(topology.nodes), settings=settings, recovery_ms=20_000
        )
        super().__init__(case)
        self.trial = _Keyspace(
            name=kind.name,
            replication=kind.replication,
            options=kind.options,
            level=kind.level_of(case.nodes),
            loses=True,
        )

    def begin(self) -> None:
        """Start, and have the keyspace at every node. Raises `ViolationFound` where it does not come."""
        self._start()

    def pass_time(self, milliseconds: int) -> None:
        """Let the cluster run."""
        self.world.run_until(self.world.now_ns + milliseconds * MILLISECOND_NS)

    def split(self, side: Sequence[int]) -> None:
        """Cut every link between some nodes and the others."""
        for link in self._between(side):
            self.network.cut(*link)

    def mend(self, side: Sequence[int]) -> None:
        """Take it back."""
        for link in self._between(side):
            self.network.mend(*link)

    def _between(self, side: Sequence[int]) -> list[tuple[int, int]]:
        others = [node for node in self.processes if node not in side]
        return [link for a in side for b in others for link in ((a, b), (b, a))]


def bounds_with(deadline_ms: int) -> dict[str, int]:
    """The product's own bounds rather than the simulator's small ones, and this deadline."""
    bounds: dict[str, int] = msgspec.structs.asdict(Bounds())
    return {**bounds, "request_deadline_ns": deadline_ms * MILLISECOND_NS}


def run(plan: Plan, seed: int) -> Run:
    """Measure one seed. Raises `errors.ViolationFound` where an invariant breaks on the way."""
    settings = Settings(
        latencies_us=plan.topology.latencies_us(),
        jitter_us=20,
        loop_us=(20, 100),
        fsync_us=(150, 400),
        bounds=bounds_with(plan.deadline_ms),
    )
    cluster = Measuring(plan.kind, plan.topology, seed, settings)
    cluster.begin()
    probes = Probes(cluster, prefix=f"{NAME}:", level="", keys=plan.keys)
    probes.marking = False
    probes.start(plan.period_ms * MILLISECOND_NS)
    cluster.pass_time(plan.warm_ms)
    starts = {STEADY: cluster.world.now_ns}
    cluster.pass_time(plan.steady_ms - 1_000)
    probes.marking = True
    cluster.pass_time(1_000)
    side = plan.cut(seed)
    cluster.split(side)
    starts[PARTITION] = cluster.world.now_ns
    cluster.pass_time(plan.partition_ms)
    probes.writing = False
    cluster.mend(side)
    starts[AFTER] = cluster.world.now_ns
    converged_ms = _converge(cluster, probes, plan, starts[AFTER])
    lost, unreadable = _lost(cluster, probes, plan)
    acknowledged = sum(sample.kind == WRITE and sample.outcome == OK for sample in probes.samples)
    return Run(
        seed=seed,
        cut=side,
        observations=_observations(plan, probes, side, starts),
        converged_ms=converged_ms,
        acknowledged=acknowledged,
        lost=lost,
        unreadable=unreadable,
        trace_hash=cluster.world.trace_hash(),
        simulated_ms=cluster.world.now_ns // MILLISECOND_NS,
    )


def _observations(
    plan: Plan, probes: Probes, side: Sequence[int], starts: dict[str, int]
) -> list[Observation]:
    found = []
    for sample in probes.samples:
        if sample.sent_ns < starts[STEADY]:
            continue
        phase = max((phase for phase in starts if starts[phase] <= sample.sent_ns), key=starts.__getitem__)
        if phase == PARTITION and starts[AFTER] - sample.sent_ns < (plan.deadline_ms + 200) * MILLISECOND_NS:
            continue  # Its answer may owe to the healing.
        if phase == STEADY and not 0 <= sample.ended_ns < starts[PARTITION]:
            continue  # The cut came before its answer.
        age_ns, behind = _staleness(probes, sample)
        found.append(
            Observation(
                phase=phase,
                node=sample.node,
                minority=sample.node in side,
                kind=sample.kind,
                outcome=sample.outcome,
                since_us=(sample.sent_ns - starts[phase]) // 1000,
                took_us=sample.took_ns // 1000 if sample.ended_ns >= 0 else -1,
                age_us=age_ns // 1000,
                behind=behind,
            )
        )
    return found


def _staleness(probes: Probes, sample: Sample) -> tuple[int, int]:
    """(since when what was read was outdated, by how many acknowledged versions); zeros for a fresh read."""
    key = probes.named.get(sample.key)
    if sample.kind != READ or sample.outcome != OK or key is None:
        return 0, 0
    return missed(key, sample.sent_ns, sample.version)


def missed(key: Key, asked_ns: int, seen: int) -> tuple[int, int]:
    """(age of the oldest, number) of versions after `seen` that were acknowledged before a read was asked."""
    newest = bisect_left(key.acknowledged, (asked_ns, 0))
    first = bisect_right(key.acknowledged, seen, key=lambda each: each[1])
    if first >= newest:
        return 0, 0
    return asked_ns - key.acknowledged[first][0], newest - first


def _converge(cluster: Measuring, probes: Probes, plan: Plan, healed_ns: int) -> float:
    """Wait until every node shows the same of every key, twice; since when it has, in ms after healing. Keys
    whose last write is of unknown outcome are not asked for any more."""
    limit = healed_ns + plan.after_ms * MILLISECOND_NS
    start = sum(sample.sent_ns < healed_ns for sample in probes.samples)
    while cluster.world.now_ns < limit:
        cluster.pass_time(50)
        names = [key.name for keys in probes.keys.values() for key in keys]
        reads = [sample for sample in probes.samples[start:] if sample.kind == READ]
        last: dict[tuple[int, str], list[Sample]] = {}
        for sample in reads:
            last.setdefault((sample.node, sample.key), []).append(sample)
        final = {name: {_shown(last.get((node, name), [])) for node in cluster.processes} for name in names}
        if all(len(shown) == 1 and -1 not in shown for shown in final.values()):
            late = [read.sent_ns for read in reads if read.outcome != SILENT and not _shows(read, final)]
            return (max(late, default=healed_ns) - healed_ns) / MILLISECOND_NS
    return -1.0


def _shown(reads: Sequence[Sample]) -> int:
    """What the last two reads of a key at one node have in common, -1 for nothing."""
    versions = [read.version if read.outcome == OK else -1 for read in reads if read.outcome != SILENT][-2:]
    return versions[0] if len(versions) == 2 and versions[0] == versions[1] else -1


def _shows(read: Sample, final: dict[str, set[int]]) -> bool:
    return read.outcome == OK and (read.key not in final or read.version in final[read.key])


def _lost(cluster: Measuring, probes: Probes, plan: Plan) -> tuple[int, int]:
    """(how many acknowledged writes no node shows any more, how many keys no node could read)."""
    probes.reading = False
    _wait(cluster, plan, lambda: not probes.waiting)
    wanted = [name for name, sample in probes.marks.items() if sample.outcome == OK]
    wanted += [key.name for key in probes.named.values() if key.acknowledged]
    shown: dict[str, int] = {}
    for node in cluster.processes:  # One after the other, for readers of a key may be in each other's way.
        samples = [probes.ask_once(node, name) for name in wanted]
        _wait(cluster, plan, lambda asked=samples: all(each.ended_ns >= 0 for each in asked))  # type: ignore[misc]
        for sample in samples:
            if sample.outcome == OK:
                shown[sample.key] = max(sample.version, shown.get(sample.key, 0))
    lost = 0
    for name in wanted:
        if name not in shown:
            continue
        if name in probes.marks:
            lost += shown[name] < 1
        else:
            lost += sum(version > shown[name] for _, version in probes.named[name].acknowledged)
    return lost, len(wanted) - len(shown)


def _wait(cluster: Measuring, plan: Plan, until: Callable[[], bool]) -> None:
    """At most as long as every request has."""
    limit = cluster.world.now_ns + (plan.deadline_ms + 500) * MILLISECOND_NS
    while cluster.world.now_ns < limit and not until():
        cluster.pass_time(50)


def ruler(kind: Kind, replicas: int) -> Ruler:
    """Count round trips: one request at a time, at each node in turn."""
    topology = even(replicas, RULER_US)
    settings = Settings(
        latencies_us=topology.latencies_us(),
        jitter_us=0,
        loop_us=(1, 2),
        fsync_us=(1, 2),
        drift_ppm=0,
        bounds=bounds_with(2_500),
    )
    cluster = Measuring(kind, topology, 1, settings)
    cluster.begin()
    cluster.pass_time(1_000)
    probes = Probes(cluster, prefix=f"{NAME}:", level="", keys=1)
    probes.marking = False
    took: dict[tuple[str, int], list[int]] = {}
    for number in range(RULER_ROUNDS + 1):
        for node in cluster.processes:
            for kind_of, ask in ((WRITE, probes.write), (READ, probes.read)):
                sample = ask(node)
                cluster.pass_time(RULER_US * 2 * (replicas + 2) // 1000)
                if number and sample.outcome == OK:
                    took.setdefault((kind_of, node), []).append(sample.took_ns)
    return Ruler(
        reads=tuple(_round_trips(took.get((READ, node), [])) for node in cluster.processes),
        writes=tuple(_round_trips(took.get((WRITE, node), [])) for node in cluster.processes),
    )


def _round_trips(times_ns: Sequence[int]) -> float:
    if not times_ns:
        return -1.0
    middle = sorted(times_ns)[len(times_ns) // 2]
    return round(middle / (2 * RULER_US * 1000), 2)
