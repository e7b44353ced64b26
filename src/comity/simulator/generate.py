"""A seed -> a case: who asks what, and what goes wrong."""

from __future__ import annotations

from comity.replica import Stream
from comity.simulator.cluster import Cluster, Mutation, Result
from comity.simulator.faults import plan
from comity.simulator.settings import Case
from comity.simulator.workload import clients_of, operations_of


def case_of(
    seed: int, *, nodes: int = 5, duration_ms: int = 8_000, per_second: int = 50, protocol: str = "raft"
) -> Case:
    """The case of a seed; the same for ever."""
    settings, faults = plan(Stream(seed, "faults"), nodes, duration_ms)
    stream = Stream(seed, "workload")
    clients = clients_of(stream, nodes, 8)
    return Case(
        seed=seed,
        protocol=protocol,
        nodes=nodes,
        duration_ms=duration_ms,
        settings=settings,
        faults=faults,
        clients=clients,
        operations=operations_of(stream, clients, duration_ms, per_second, settings.groups),
    )


def run_case(case: Case, mutation: Mutation | None = None) -> Result:
    """Run it."""
    return Cluster(case, mutation).run()
