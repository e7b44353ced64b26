"""How good detectors are: how soon they tell a crash, how often they are wrong, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from comity.detectors import Status
from comity.replica import NodeId, Stream
from comity.simulator.detection.links import Links
from comity.simulator.detection.scenarios import (
    CONTENDERS,
    CRASH,
    FALSE,
    MILLISECOND_NS,
    SECOND_NS,
    Contender,
    Fates,
    Scenario,
)
from comity.simulator.detection.world import Seen, World

SIZES = (3, 10, 100, 300, 1000)
HOUR_NS = 3600 * SECOND_NS
OBSERVERS, SUBJECTS = 40, 25
"""Of all links at most so many observers and subjects of each are simulated to find false suspicions."""
VICTIMS = 10
"""And so many crashed nodes of one run, with all their links."""


class Quantiles(msgspec.Struct, frozen=True):
    """Of times in milliseconds; nearest rank, so that each is a time that occurred."""

    median_ms: float
    p99_ms: float

    @classmethod
    def of(cls, times_ns: Iterable[int]) -> Quantiles:
        """Raises `ValueError` where there are none."""
        ordered = sorted(times_ns)
        if not ordered:
            raise ValueError("no crash was noticed, so there is no time to tell: run for longer")
        ranks = [ordered[-(-len(ordered) * percent // 100) - 1] / MILLISECOND_NS for percent in (50, 99)]
        return cls(*ranks)


class Wrong(msgspec.Struct, frozen=True):
    """False suspicions and false deaths that a node sees in an hour, of all other members together; the hours
    of nodes that were simulated; messages and bytes that a node sent in a second meanwhile."""

    suspicions: float
    deaths: float
    node_hours: float
    messages: float
    size: float


class Row(msgspec.Struct, frozen=True):
    """One detector at one size.

    first: from a crash to the first node that holds the crashed one dead; everyone: to the last one.
    crashes: how many were looked at; missed: of them not known to everyone at the end of the run.
    messages, size: sent by each node in a second without faults, and bytes of it without UDP's headers.
    wrong: by scenario.
    """

    detector: str
    nodes: int
    first: Quantiles
    everyone: Quantiles
    crashes: int
    missed: int
    messages: float
    size: float
    wrong: dict[str, Wrong]


class Effort(msgspec.Struct, frozen=True):
    """How much is simulated at one size: runs with crashes and runs without; how long the latter last, by
    scenario. A slow member needs time to be wrong."""

    crash_runs: int
    runs: int
    run_ns: dict[str, int]


CRASH_RUN_NS = 54 * SECOND_NS


WARM_NS = 18 * SECOND_NS
"""What happens in the beginning of a run is not counted: no detector holds anyone dead sooner than its
timeouts allow, which are 17 s for SWIM among a thousand."""


def effort(contender: Contender, nodes: int) -> Effort:
    """Some hours of nodes at every size: many runs of few, one run of many."""
    run_s = (
        300 if nodes <= 30 else 120 if nodes <= 100 or contender.all_to_all else 50 if nodes <= 300 else 30
    )
    lengths = {each.name: max(run_s, 60 if each.slow else 0) * SECOND_NS for each in FALSE}
    return Effort(max(1, min(60, 400 // nodes)), max(1, min(8, 50 // nodes)), lengths)


def measure(
    sizes: Sequence[int] = SIZES, contenders: Sequence[Contender] = CONTENDERS, seed: int = 1
) -> list[Row]:
    """A row for each size and detector. The same seed gives the same rows; every detector meets the same
    crashes and pauses."""
    return [_row(contender, nodes, seed) for nodes in sizes for contender in contenders]


def _row(contender: Contender, nodes: int, seed: int) -> Row:
    amount = effort(contender, nodes)
    first: list[int] = []
    everyone: list[int] = []
    crashes = 0
    for run in range(amount.crash_runs):
        found = detections(contender, CRASH, nodes, CRASH_RUN_NS, seed + run)
        crashes += len(found)
        first.extend(times[0] for times in found if times[0] is not None)
        everyone.extend(times[1] for times in found if times[1] is not None)
    messages, size = traffic(contender, nodes, seed)
    return Row(
        contender.name,
        nodes,
        Quantiles.of(first),
        Quantiles.of(everyone),
        crashes,
        crashes - len(everyone),
        messages,
        size,
        {
            each.name: mistakes(contender, each, nodes, amount.runs, amount.run_ns[each.name], seed)
            for each in FALSE
        },
    )


def detections(
    contender: Contender, scenario: Scenario, nodes: int, duration_ns: int, seed: int
) -> list[tuple[int | None, int | None]]:
    """Of each crash: how long until the first survivor, and until all, held the crashed node dead."""
    if contender.all_to_all:
        links = Links(contender, scenario, nodes, duration_ns, seed)
        fates = links.fates
        victims = tuple(fates.crashes)[:VICTIMS]
        observers = [node for node in range(1, nodes + 1) if fates.survives(node)]
        seen = [each for observer in observers for each in links.watch(observer, victims)]
    else:
        world = World(contender, scenario, nodes, duration_ns, seed)
        fates = world.fates
        victims = tuple(fates.crashes)
        seen = world.go().seen
    return [_detected(victim, fates, seen, nodes) for victim in victims]


def _detected(
    victim: NodeId, fates: Fates, seen: Sequence[Seen], nodes: int
) -> tuple[int | None, int | None]:
    """A death that was held before the crash already, and still is, counts as told at once."""
    survivors = sum(fates.survives(node) for node in range(1, nodes + 1))
    crash_ns = fates.crashes[victim]
    since: dict[NodeId, int] = {}
    for each in seen:
        if each.subject == victim and fates.survives(each.observer):
            if each.status is Status.DEAD:
                since.setdefault(each.observer, max(0, each.time_ns - crash_ns))
            else:
                since.pop(each.observer, None)
    if not since:
        return None, None
    return min(since.values()), max(since.values()) if len(since) == survivors else None


def traffic(
    contender: Contender, nodes: int, seed: int, duration_ns: int = 20 * SECOND_NS
) -> tuple[float, float]:
    """Messages and bytes that a node sends in a second when nothing happens."""
    calm, duration_ns = Scenario(name="calm"), 20 * SECOND_NS
    if contender.all_to_all:
        messages, size = Links(contender, calm, nodes, duration_ns, seed).traffic()
    else:
        run = World(contender, calm, nodes, duration_ns, seed).go()
        messages, size = run.messages, run.size
    node_seconds = nodes * duration_ns / SECOND_NS
    return messages / node_seconds, size / node_seconds


def mistakes(
    contender: Contender, scenario: Scenario, nodes: int, runs: int, duration_ns: int, seed: int
) -> Wrong:
    """False suspicions and deaths. Where a member is slow, what it sees and what is seen of it is left out:
    the question is what the healthy see of the healthy."""
    suspicions = deaths = 0.0
    observed_ns = messages = size = 0
    for run in range(runs):
        if contender.all_to_all:
            links = Links(contender, scenario, nodes, duration_ns, seed + run)
            seen, weight, observers = _sampled(links, scenario, seed + run)
            sent, sent_bytes = links.traffic()
        else:
            world = World(contender, scenario, nodes, duration_ns, seed + run).go()
            seen, sent, sent_bytes = world.seen, world.messages, world.size
            weight, observers = 1.0, nodes - scenario.slow
        observed_ns += observers * (duration_ns - WARM_NS)
        messages += sent
        size += sent_bytes
        for each in seen:
            if each.time_ns < WARM_NS or (scenario.slow and 1 in (each.observer, each.subject)):
                continue
            suspicions += weight * (each.status is Status.SUSPECT)
            deaths += weight * (each.status is Status.DEAD)
    hours = observed_ns / HOUR_NS
    seconds = runs * nodes * duration_ns / SECOND_NS
    return Wrong(suspicions / hours, deaths / hours, hours, messages / seconds, size / seconds)


def _sampled(links: Links, scenario: Scenario, seed: int) -> tuple[list[Seen], float, int]:
    """A random sample of links: what was seen on them, how many links each stands for, and how many
    observers were simulated."""
    stream = Stream(seed, f"sample {scenario.name} {links.nodes}")
    well = list(range(2 if scenario.slow else 1, links.nodes + 1))
    observers = sorted(stream.shuffled(well)[:OBSERVERS])
    seen: list[Seen] = []
    simulated = 0
    for observer in observers:
        others = [node for node in well if node != observer]
        subjects = stream.shuffled(others)[:SUBJECTS]
        simulated = len(subjects)
        seen.extend(links.watch(observer, sorted(subjects)))
    return seen, (len(well) - 1) / max(1, simulated), len(observers)
