"""Figures out of what was observed in several runs, and whether they agree with what a protocol promises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from comity.replica.promises import NO, SOME, YES, Promise
from comity.simulator.measure import PARTITION, STEADY, Observation, Plan, Ruler, Run
from comity.simulator.probes import OK, READ, SILENT, WRITE

MINORITY = "minority"
MAJORITY = "majority"

ROUND_TRIP_SLACK = 0.2
SERVED = 0.99
"""Least share of requests that succeed where a side is said to serve, and 1 less it the most where not."""
NOTICE_MS = 3_000
"""A control group suspects after a second, elects within another if its leader is gone, and changes the
catalogue twice."""
ASKED_AGAIN_MS = 1_000
"""What was asked of a leader that is gone is asked again after so long."""
MARGIN_MS = 500


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one sort. available: share that succeeded within the deadline; refused: that were answered
    with an error within it; silent: that got no answer. median_ms, p99_ms: of those that succeeded, -1 where
    none did; round_trips: the median in units of the round trip from there to a majority. stale: share of
    the reads that missed a write acknowledged before they were asked; age_ms, behind: for how long the
    most outdated read's value had been outdated, and by how many acknowledged versions."""

    count: int
    available: float
    refused: float
    silent: float
    median_ms: float
    p99_ms: float
    round_trips: float
    stale: float = 0.0
    age_ms: float = 0.0
    behind: int = 0


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Of one place and phase."""

    reads: Figures
    writes: Figures


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One side of the partition.

    whole: from the cut on; settled: once it had time to notice. runs: the settled share of writes that
    succeeded, of each run. first_answer_ms: after the cut until the first success at a node, the worst of all
    nodes and runs, -1 where there was none. first_refusal_ms: likewise until the first refusal, the earliest.
    slowest_refusal_ms: between a request and its refusal.
    """

    whole: Pair
    settled: Pair
    runs: tuple[float, ...]
    first_answer_ms: float
    first_refusal_ms: float
    slowest_refusal_ms: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one kind of keyspace over one topology.

    regions: of each region without faults, cut off, and on the other side, where that was measured.
    converged_ms: the worst, -1 where a run did not. lost: acknowledged writes, the most in a run. unreadable:
    keys that no node could read after healing, likewise.
    """

    kind: str
    replication: str
    level: str
    topology: str
    replicas: int
    seeds: int
    deadline_ms: int
    longest_round_trip_ms: float
    ruler: Ruler
    steady: Pair
    regions: dict[str, dict[str, Pair]]
    minority: Side
    majority: Side
    converged_ms: float
    acknowledged: int
    lost: int
    unreadable: int
    trace_hashes: tuple[str, ...]


def summarise(plan: Plan, ruler: Ruler, runs: Sequence[Run]) -> Measured:
    """The figures of some runs of one plan."""
    topology = plan.topology
    ordered = sorted(runs, key=lambda run: run.seed)
    everything = [each for run in ordered for each in run.observations]
    unit_us = {node: topology.to_majority_us(node) for node in range(1, plan.replicas + 1)}

    def pair(chosen: Callable[[Observation], bool]) -> Pair:
        found = [each for each in everything if chosen(each)]
        return Pair(
            reads=_figures([each for each in found if each.kind == READ], unit_us),
            writes=_figures([each for each in found if each.kind == WRITE], unit_us),
        )

    regions: dict[str, dict[str, Pair]] = {}
    for region in topology.regions:
        inside = topology.nodes_in(region)
        regions[region] = {STEADY: pair(lambda each, at=inside: each.phase == STEADY and each.node in at)}  # type: ignore[misc]
        for side in (MINORITY, MAJORITY):
            here = pair(
                lambda each, at=inside, side=side: (  # type: ignore[misc]
                    each.phase == PARTITION and each.node in at and each.minority == (side == MINORITY)
                )
            )
            if here.reads.count:
                regions[region][side] = here

    def side_of(minority: bool) -> Side:
        settled_us = plan.settle_ms * 1000

        def cut(each: Observation) -> bool:
            return each.phase == PARTITION and each.minority == minority

        refusals = [each for each in everything if cut(each) and each.outcome not in (OK, SILENT)]
        return Side(
            whole=pair(cut),
            settled=pair(lambda each: cut(each) and each.since_us >= settled_us),
            runs=tuple(
                _share(
                    [
                        each
                        for each in run.observations
                        if cut(each) and each.since_us >= settled_us and each.kind == WRITE
                    ],
                    OK,
                )
                for run in ordered
            ),
            first_answer_ms=_first_answer(ordered, cut),
            first_refusal_ms=min((each.since_us + each.took_us for each in refusals), default=-1000) / 1000,
            slowest_refusal_ms=max((each.took_us for each in refusals), default=-1000) / 1000,
        )

    converged = [run.converged_ms for run in ordered]
    return Measured(
        kind=plan.kind.name,
        replication=plan.kind.replication,
        level=plan.kind.level_of(plan.replicas),
        topology=topology.name,
        replicas=plan.replicas,
        seeds=len(ordered),
        deadline_ms=plan.deadline_ms,
        longest_round_trip_ms=topology.longest_us() / 1000,
        ruler=ruler,
        steady=pair(lambda each: each.phase == STEADY),
        regions=regions,
        minority=side_of(minority=True),
        majority=side_of(minority=False),
        converged_ms=-1.0 if min(converged) < 0 else max(converged),
        acknowledged=sum(run.acknowledged for run in ordered),
        lost=max(run.lost for run in ordered),
        unreadable=max(run.unreadable for run in ordered),
        trace_hashes=tuple(run.trace_hash for run in ordered),
    )


def _share(observations: Sequence[Observation], *outcomes: str) -> float:
    return sum(each.outcome in outcomes for each in observations) / len(observations) if observations else 0.0


def _figures(observations: Sequence[Observation], unit_us: dict[int, int]) -> Figures:
    good = sorted((each for each in observations if each.outcome == OK), key=lambda each: each.took_us)
    silent = _share(observations, SILENT)
    available = _share(observations, OK)
    stale = [each for each in good if each.behind]
    units = sorted(each.took_us / unit_us[each.node] for each in good if unit_us[each.node])
    return Figures(
        count=len(observations),
        available=available,
        refused=max(0.0, 1.0 - available - silent) if observations else 0.0,
        silent=silent,
        median_ms=_rank(good, 50),
        p99_ms=_rank(good, 99),
        round_trips=round(units[(len(units) - 1) // 2], 2) if units else -1.0,
        stale=len(stale) / len(good) if good else 0.0,
        age_ms=max((each.age_us for each in stale), default=0) / 1000,
        behind=max((each.behind for each in stale), default=0),
    )


def _rank(ordered: Sequence[Observation], percent: int) -> float:
    """Nearest rank."""
    return ordered[-(-len(ordered) * percent // 100) - 1].took_us / 1000 if ordered else -1.0


def _first_answer(runs: Iterable[Run], cut: Callable[[Observation], bool]) -> float:
    worst = 0
    for run in runs:
        first: dict[tuple[int, str], int] = {}
        for each in run.observations:
            if cut(each):
                ended = each.since_us + each.took_us if each.outcome == OK else 1 << 62
                place = each.node, each.kind
                first[place] = min(first.get(place, 1 << 62), ended)
        worst = max(worst, *first.values())
    return worst / 1000 if worst < 1 << 62 else -1.0


# -- agreement


def agrees(measured: Measured, promise: Promise) -> list[str]:
    """What was measured otherwise than promised, each in a sentence; empty where they agree."""
    found = [
        *_round_trips(measured, promise),
        *_sides(measured, promise),
        *_refusals(measured),
        *_data(measured, promise),
    ]
    return [f"{measured.kind}, {measured.level}, {measured.topology}: {each}" for each in found]


def _round_trips(measured: Measured, promise: Promise) -> Iterable[str]:
    service = promise.at(measured.level)
    for what, promised, counted in (
        ("read", service.read_round_trips, measured.ruler.reads),
        ("write", service.write_round_trips, measured.ruler.writes),
    ):
        least, most = promised
        if min(counted) < 0:
            yield f"a {what} without faults was not answered"
        elif abs(min(counted) - least) > ROUND_TRIP_SLACK:
            yield f"at best a {what} is promised to take {least:g} round trips; it took {min(counted):g}"
        elif max(counted) > most + ROUND_TRIP_SLACK:
            yield f"a {what} is promised to take at most {most:g} round trips; it took {max(counted):g}"
    for what, figures in (("reads", measured.steady.reads), ("writes", measured.steady.writes)):
        if figures.available < SERVED:
            yield f"without faults only {figures.available:.1%} of the {what} succeeded"


def _sides(measured: Measured, promise: Promise) -> Iterable[str]:
    for name, side, claim in (
        (MINORITY, measured.minority, promise.on_minority),
        (MAJORITY, measured.majority, promise.on_majority),
    ):
        for what, figures in (("reads", side.settled.reads), ("writes", side.settled.writes)):
            promised = claim(measured.level, measured.replicas, writes=what == "writes")
            if promised == YES and figures.available < SERVED:
                yield f"the {name} is promised to serve {what}; {figures.available:.1%} succeeded"
            elif promised == NO and figures.available > 1 - SERVED:
                yield f"the {name} is promised to refuse {what}; {figures.available:.1%} succeeded"
            elif promised == SOME and what == "writes":
                mixed = [share for share in side.runs if 1 - SERVED < share < SERVED]
                if mixed:
                    yield f"a {name} serves {what} or does not; in one run {mixed[0]:.1%} succeeded"
    served = promise.on_majority(measured.level, measured.replicas, writes=True) == YES
    limit = promise.failover_ns / 1e6 + (NOTICE_MS if promise.control_group else 0)
    if promise.failover_ns or promise.control_group:
        limit += ASKED_AGAIN_MS
    limit += 4 * measured.longest_round_trip_ms + MARGIN_MS
    first = measured.majority.first_answer_ms
    if served and not 0 <= first <= limit:
        yield f"the majority is promised to serve again within about {limit:.0f} ms; it took {first:.0f} ms"


def _refusals(measured: Measured) -> Iterable[str]:
    for name, side in ((MINORITY, measured.minority), (MAJORITY, measured.majority)):
        silent = max(side.whole.reads.silent, side.whole.writes.silent)
        if silent:
            yield f"{silent:.1%} of the requests on the {name}'s side got no answer at all"
        if side.slowest_refusal_ms > measured.deadline_ms + MARGIN_MS:
            yield (
                f"requests are promised an answer within {measured.deadline_ms} ms; a refusal by "
                f"the {name} took {side.slowest_refusal_ms:.0f} ms"
            )


def _data(measured: Measured, promise: Promise) -> Iterable[str]:
    service = promise.at(measured.level)
    places = (
        ("without faults", measured.steady),
        ("on the minority's side", measured.minority.whole),
        ("on the majority's side", measured.majority.whole),
    )
    for where, pair in places:
        if pair.reads.stale and not service.stale:
            yield (
                f"no read is promised to be stale; {where} {pair.reads.stale:.1%} were, "
                f"by up to {pair.reads.age_ms:.0f} ms and {pair.reads.behind} versions"
            )
    if measured.unreadable:
        yield f"after healing {measured.unreadable} keys could not be read at any node within the deadline"
    if measured.lost and not promise.loses:
        yield f"no acknowledged write is promised to be lost; {measured.lost} were"
    elif promise.loss_entries and measured.lost > promise.loss_entries:
        yield f"at most {promise.loss_entries} acknowledged writes may be lost; {measured.lost} were"
    limit = promise.convergence_ns / 1e6 + (NOTICE_MS if promise.control_group else 0)
    limit += 8 * measured.longest_round_trip_ms + MARGIN_MS
    if not 0 <= measured.converged_ms <= limit:
        took = f"it took {measured.converged_ms:.0f} ms" if measured.converged_ms >= 0 else "they never did"
        yield f"all nodes are promised to show the same within about {limit:.0f} ms of healing; {took}"
