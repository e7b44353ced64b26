"""The dial is honest: what a keyspace promises holds, and what is one step stronger does not.

A promise that is weaker than what is given would be a promise nobody can rely on choosing; so for each
kind that promises less than linearizability a history is found that has what is promised and not more.
"""

from __future__ import annotations

import msgspec
import pytest

from comity.checkers import Limits, Outcome, Status, analyse
from comity.checkers.models import LEVELS
from comity.replica import Stream
from comity.simulator.cluster import Cluster
from comity.simulator.generate import case_of
from comity.simulator.settings import Case, Fault, Operation
from comity.simulator.trials import trial_of
from comity.simulator.workload import operations_of

SEEDS = 8
DURATION_MS = 4000
PER_SECOND = 150
LIMITS = Limits(states=100_000)

CASES = [
    ("raft", "sequential", "linearizable"),
    ("gossip", "causal", "sequential"),
    ("quorum-eventual", "eventual", "linearizable"),
    ("primary-backup-async", "eventual", "linearizable"),
]


def _case(kind: str, level: str, seed: int) -> Case:
    """A case of that kind whose clients all ask for that level."""
    case = case_of(seed, protocol=kind, duration_ms=DURATION_MS)
    clients = tuple(msgspec.structs.replace(client, level=level) for client in case.clients)
    operations = operations_of(Stream(seed, "one level"), clients, DURATION_MS, PER_SECOND, 1, trial_of(kind))
    splits = tuple(Fault(at_ms=at_ms, kind="split", nodes=(1, 2), duration_ms=1000) for at_ms in (700, 2400))
    return msgspec.structs.replace(
        case, clients=clients, operations=operations, faults=case.faults if kind == "raft" else splits
    )


@pytest.mark.parametrize(("kind", "level", "above"), CASES)
def test_a_keyspace_gives_what_it_promises_and_not_what_is_one_step_above(
    kind: str, level: str, above: str
) -> None:
    for seed in range(SEEDS):
        cluster = Cluster(_case(kind, level, seed))
        result = cluster.run()
        assert result.violation is None, (seed, result.violation)
        for (told, _), recorder in cluster.levels.items():
            history = recorder.history()
            if told != level or not history.operations:
                continue
            promised = analyse(history, "register", models=LEVELS[level], limits=LIMITS)
            assert Status.VIOLATION not in promised.models.values()
            if analyse(history, "register", models=(above,), limits=LIMITS).models[above] is Status.VIOLATION:
                return
    pytest.fail(f"{kind} was {above} in all of {SEEDS} seeds: its promise of {level} says too little")


LOSS_ENTRIES = 20
COUNTERS = 6


def _lost(seed: int) -> tuple[int, int]:
    """(acknowledged INCRs that are gone in the end, changes of view) of an asynchronous primary that is cut
    off from the others again and again."""
    case = case_of(seed, protocol="primary-backup-async", nodes=3, duration_ms=6000)
    clients = tuple(
        msgspec.structs.replace(client, level="linearizable") for client in case.clients[:COUNTERS]
    )
    operations = tuple(
        Operation(
            at_ms=25 * number, client=number % COUNTERS, kind="incr", key=f"t:counter{number % COUNTERS}"
        )
        for number in range(240)
    )
    faults = tuple(
        Fault(at_ms=at_ms, kind="isolate-leader", nodes=(1,), duration_ms=1700) for at_ms in (900, 3200)
    )
    options = {**case.settings.options, "loss_entries": LOSS_ENTRIES}
    settings = msgspec.structs.replace(case.settings, options=options, replicas=0)
    cluster = Cluster(
        msgspec.structs.replace(
            case, clients=clients, operations=operations, faults=faults, settings=settings
        )
    )
    cluster.run()  # It judges linearizability, which a keyspace that may lose writes does not promise.
    lost = 0
    for counter in range(COUNTERS):
        key = f"t:counter{counter}"
        done = [operation for operation in cluster.history().operations if operation.key == key]
        acknowledged = sum(operation.f == "INCR" and operation.outcome is Outcome.OK for operation in done)
        reads = [operation for operation in done if operation.f == "GET" and operation.outcome is Outcome.OK]
        lost += max(0, acknowledged - int(reads[-1].result or 0))
    views = {
        process.host.keyspaces.catalogue.keyspaces["t"].view.epoch
        for process in cluster.processes.values()
        if process.host is not None
    }
    return lost, max(views) - 1


def test_an_asynchronous_primary_loses_acknowledged_writes_and_never_more_than_it_states() -> None:
    total = 0
    for seed in range(SEEDS):
        lost, views = _lost(seed)
        total += lost
        # An entry holds at most one INCR of each client, for each waits for its answer.
        assert lost <= LOSS_ENTRIES * COUNTERS * max(1, views), (seed, lost, views)
    assert total > 0, "nothing was ever lost: the bound says nothing"
