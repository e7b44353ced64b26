"""Measuring over many processes: plans and seeds in, figures out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import joblib

from comity.simulator.campaign import parallel
from comity.simulator.errors import ViolationFound
from comity.simulator.failover import WAYS, Gap, Hit, hit, summarise_gaps
from comity.simulator.measure import Kind, Plan, Ruler, Run, ruler, run
from comity.simulator.measured import Measured, summarise
from comity.simulator.topologies import Topology


class Broken(Exception):
    """A simulation could not be measured, for it broke an invariant or never began; the text says which."""


Outcome = tuple[int, Ruler | Run | str]
"""Of a plan, by its position; of a violation its text, for that passes between processes."""


def _counted(position: int, plan: Plan) -> Outcome:
    try:
        return position, ruler(plan.kind, plan.replicas)
    except ViolationFound as found:
        return position, f"{plan.kind.name}, on the ruler: {found.kind}: {found.detail}"


def _ran(position: int, plan: Plan, seed: int) -> Outcome:
    try:
        return position, run(plan, seed)
    except ViolationFound as found:
        return position, f"{plan.kind.name}, seed {seed}, {plan.topology.name}: {found.kind}: {found.detail}"


def tasks_of(plans: Sequence[Plan], seeds: Sequence[int]) -> int:
    """How many simulations it takes."""
    return len(plans) * (len(seeds) + 1)


def measure_all(plans: Sequence[Plan], seeds: Sequence[int], *, jobs: int) -> Iterator[Measured | None]:
    """None for each simulation that ended, then the figures of each plan in order. Raises `Broken`."""
    rulers: dict[int, Ruler] = {}
    runs: dict[int, list[Run]] = {position: [] for position in range(len(plans))}
    calls = [joblib.delayed(_counted)(position, plan) for position, plan in enumerate(plans)]
    calls += [
        joblib.delayed(_ran)(position, plan, seed) for seed in seeds for position, plan in enumerate(plans)
    ]
    for position, found in parallel(jobs)(calls):
        if isinstance(found, str):
            raise Broken(found)
        if isinstance(found, Ruler):
            rulers[position] = found
        else:
            runs[position].append(found)
        yield None
    for position, plan in enumerate(plans):
        yield summarise(plan, rulers[position], runs[position])


def hits_of(kinds: Sequence[Kind], topology: Topology, seeds: Sequence[int]) -> int:
    """How many simulations `gaps_all` takes."""
    return len(kinds) * len(topology.nodes) * len(seeds) * len(WAYS)


def gaps_all(
    kinds: Sequence[Kind], topology: Topology, seeds: Sequence[int], *, deadline_ms: int, jobs: int
) -> Iterator[Hit | list[Gap]]:
    """Each hit as it ends, then all gaps, in the order of the kinds."""
    calls = [
        joblib.delayed(hit)(kind, topology, victim, way, seed, deadline_ms=deadline_ms)
        for kind in kinds
        for way in WAYS
        for seed in seeds
        for victim in range(1, len(topology.nodes) + 1)
    ]
    hits: list[Hit] = []
    for each in parallel(jobs)(calls):
        hits.append(each)
        yield each
    order = [kind.name for kind in kinds]
    yield sorted(summarise_gaps(hits), key=lambda gap: (order.index(gap.kind), WAYS.index(gap.way)))
