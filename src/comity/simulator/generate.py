"""A seed -> a case: who asks what, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from comity.replica import Stream
from comity.simulator.cluster import Cluster, Result
from comity.simulator.faults import plan
from comity.simulator.mutants import Mutant, mutant_named
from comity.simulator.mutants.mutation import replaced
from comity.simulator.settings import Case
from comity.simulator.trials import trial_of
from comity.simulator.workload import clients_of, operations_of

QUICK_TURNS_US = (20, 400)


def case_of(
    seed: int, *, nodes: int = 5, duration_ms: int = 8_000, per_second: int = 50, protocol: str = "raft"
) -> Case:
    """The case of a seed; the same for ever."""
    trial = trial_of(protocol)
    settings, faults = plan(Stream(seed, "faults"), nodes, duration_ms)
    faults = tuple(fault for fault in faults if fault.kind not in trial.without)
    if trial.prefix:
        replicas = Stream(seed, "replicas").pick((0, 0, 3)) if nodes > 3 else 0
        settings = msgspec.structs.replace(settings, groups=1, replicas=replicas)
    stream = Stream(seed, "workload")
    clients = clients_of(stream, nodes, 8, trial)
    operations = operations_of(stream, clients, duration_ms, per_second, settings.groups, trial)
    if settings.replicas:
        # WATCH has to be sent to a node that holds the keyspace.
        operations = tuple(
            msgspec.structs.replace(operation, kind="getset") if operation.kind == "cas" else operation
            for operation in operations
        )
    return Case(
        seed=seed,
        protocol=protocol,
        nodes=nodes,
        duration_ms=duration_ms,
        settings=settings,
        faults=faults,
        clients=clients,
        operations=operations,
    )


def mutant_case(mutant: Mutant, seed: int) -> Case:
    """The case of a seed for a mutant: in its own mixture of faults, where it has one."""
    case = case_of(
        seed,
        nodes=mutant.nodes,
        duration_ms=mutant.duration_ms,
        per_second=mutant.per_second,
        protocol=mutant.trial or mutant.protocol,
    )
    if mutant.plan is not None:
        settings, faults = mutant.plan(
            Stream(seed, f"mutant {mutant.name}"), mutant.nodes, mutant.duration_ms
        )
        # Quick turns: what goes wrong between two of them is what these worlds are made for.
        settings = msgspec.structs.replace(settings, loop_us=QUICK_TURNS_US)
        case = msgspec.structs.replace(case, settings=settings, faults=faults)
    return msgspec.structs.replace(case, mutant=mutant.name)


def run_case(case: Case, attach: Callable[[Cluster], None] | None = None) -> Result:
    """Run a case, with its mutant if it names one. attach: given the cluster before it starts."""
    mutant = mutant_named(case.mutant) if case.mutant else None
    with replaced(mutant.replacements if mutant else ()):
        cluster = Cluster(case, mutant.mutation() if mutant else None)
        if attach is not None:
            attach(cluster)
        return cluster.run()
