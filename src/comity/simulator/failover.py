"""The gap of a failover: one node is killed, and those who write at the others say how long they waited.

At every node but the victim a client writes without end, one request at a time, a key of its own and one that
all of them write in turn. The gap is the longest time between two acknowledgements that one client got.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from comity.replica import Stream
from comity.simulator.clients import encode
from comity.simulator.measure import MILLISECOND_NS, Kind, Measuring, bounds_with
from comity.simulator.probes import OK, WRITE, Line, Sample
from comity.simulator.settings import Settings
from comity.simulator.topologies import Topology
from comity.simulator.trials import NAME

PROCESS = "process"
"""The process is killed: its kernel lives and tells everybody who asks."""
MACHINE = "machine"
"""The whole machine is gone: there is only silence."""
WAYS = (PROCESS, MACHINE)

PAUSE_NS = 10 * MILLISECOND_NS
"""Between an answer and the next request."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One node killed in one seed. gap_ms: the longest a client was without an acknowledged write; usual_ms:
    the median without a fault. errors: answers that were none."""

    kind: str
    way: str
    seed: int
    victim: int
    gap_ms: float
    usual_ms: float
    errors: int


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """All hits of one kind in one way. victims: the longest gap by who was killed."""

    kind: str
    way: str
    worst_ms: float
    median_ms: float
    usual_ms: float
    victims: dict[int, float]
    hits: int


class _Writer:
    def __init__(self, cluster: Measuring, node: int) -> None:
        self.cluster = cluster
        self.node = node
        self.line = Line(cluster, node, "")
        self.count = 0
        self.errors = 0
        self.acknowledged_ns: list[int] = []

    def write(self) -> None:
        self.count += 1
        key = f"{NAME}:all" if self.count % 2 else f"{NAME}:own{self.node}"
        sample = Sample(kind=WRITE, node=self.node, key=key, sent_ns=self.cluster.world.now_ns)
        self.line.ask(sample, encode("SET", key, self.count), self._written)

    def _written(self, sample: Sample) -> None:
        if sample.outcome == OK:
            self.acknowledged_ns.append(sample.ended_ns)
        else:
            self.errors += 1
        self.cluster.world.after(PAUSE_NS, self.write)


def hit(
    kind: Kind,
    topology: Topology,
    victim: int,
    way: str,
    seed: int,
    *,
    deadline_ms: int = 5_000,
    watch_ms: int = 4_000,
) -> Hit:
    """Kill one node and watch the others."""
    settings = Settings(
        latencies_us=topology.latencies_us(),
        jitter_us=20,
        loop_us=(20, 100),
        fsync_us=(150, 400),
        bounds=bounds_with(deadline_ms),
    )
    cluster = Measuring(kind, topology, seed, settings)
    cluster.begin()
    writers = [_Writer(cluster, node) for node in cluster.processes if node != victim]
    for writer in writers:
        writer.write()
    cluster.pass_time(1_000)
    began_ns = cluster.world.now_ns
    cluster.pass_time(500 + Stream(seed, "kill").below(200))
    killed_ns = cluster.world.now_ns
    if way == PROCESS:
        cluster.processes[victim].crash()
    else:
        cluster.split([victim])
    cluster.pass_time(watch_ms)
    usual: list[int] = []
    longest = 0
    for writer in writers:
        times = [time for time in writer.acknowledged_ns if time >= began_ns]
        usual += [later - time for time, later in pairwise(times) if later <= killed_ns]
        since = [time for time in times if time > killed_ns]
        last = max((time for time in times if time <= killed_ns), default=began_ns)
        edges = [last, *since, cluster.world.now_ns]
        longest = max(longest, *(later - time for time, later in pairwise(edges)))
    return Hit(
        kind=kind.name,
        way=way,
        seed=seed,
        victim=victim,
        gap_ms=longest / MILLISECOND_NS,
        usual_ms=sorted(usual)[len(usual) // 2] / MILLISECOND_NS if usual else -1.0,
        errors=sum(writer.errors for writer in writers),
    )


def summarise_gaps(hits: Iterable[Hit]) -> list[Gap]:
    """By kind and way, in order of the first hit of each when sorted by seed and victim."""
    found: dict[tuple[str, str], list[Hit]] = {}
    for each in sorted(hits, key=lambda each: (each.seed, each.victim)):
        found.setdefault((each.kind, each.way), []).append(each)
    return [_gap(kind, way, each) for (kind, way), each in found.items()]


def _gap(kind: str, way: str, hits: Sequence[Hit]) -> Gap:
    gaps = sorted(each.gap_ms for each in hits)
    usual = sorted(each.usual_ms for each in hits)
    victims: dict[int, float] = {}
    for each in sorted(hits, key=lambda each: (each.victim, each.gap_ms)):
        victims[each.victim] = each.gap_ms
    return Gap(
        kind=kind,
        way=way,
        worst_ms=gaps[-1],
        median_ms=gaps[len(gaps) // 2],
        usual_ms=usual[len(usual) // 2],
        victims=victims,
        hits=len(hits),
    )
