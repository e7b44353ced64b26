"""The control group may be wrong about who is dead: views follow what it believes, and come right again."""

from __future__ import annotations

import msgspec
import pytest

from comity.replica import Stream, View
from comity.simulator.cluster import Cluster
from comity.simulator.generate import QUICK_TURNS_US, case_of
from comity.simulator.mutants.plans_views import stragglers
from comity.simulator.recording import record
from comity.simulator.settings import Case, Fault, Settings
from comity.simulator.trials import TRIALS, VARIANTS


def case(protocol: str, *faults: Fault, duration_ms: int = 1500) -> Case:
    """A calm world in which nothing but this happens."""
    usual = case_of(3, nodes=3, duration_ms=duration_ms, per_second=40, protocol=protocol)
    return msgspec.structs.replace(usual, settings=Settings(), faults=faults)


def views(cluster: Cluster) -> list[View]:
    """Those of the keyspace under trial, as the nodes heard of them."""
    seen: dict[int, View] = {}

    def look() -> None:
        for process in cluster.processes.values():
            if process.host is not None:
                found = process.host.keyspaces.catalogue.keyspaces.get("t")
                if found is not None:
                    seen.setdefault(found.view.epoch, found.view)
        cluster.world.after(10_000_000, look)

    cluster.world.after(0, look)
    result = cluster.run()
    assert result.violation is None
    return [seen[epoch] for epoch in sorted(seen)]


def test_who_is_suspected_leaves_the_view_and_comes_back_when_that_is_over() -> None:
    found = views(Cluster(case("chain", Fault(at_ms=300, kind="suspect", nodes=(2,), duration_ms=300))))
    assert found[0].nodes == (1, 2, 3)
    assert found[1].nodes == (1, 3)
    assert found[-1].nodes == (1, 3, 2)


@pytest.mark.parametrize("kind", ["mistrust", "depose", "unseat"])
def test_who_leads_is_deposed_whoever_that_is(kind: str) -> None:
    found = views(Cluster(case("primary-backup", Fault(at_ms=300, kind=kind, nodes=(3,), duration_ms=400))))
    assert found[0].nodes[0] == 1
    assert 1 not in found[1].nodes
    assert sorted(found[-1].nodes) == [1, 2, 3]


def test_all_may_be_suspected_and_then_no_view_is_given_out() -> None:
    everyone = Fault(at_ms=300, kind="suspect", nodes=(1, 2, 3), duration_ms=500)
    assert len(views(Cluster(case("chain", everyone)))) == 1


def test_what_is_never_trusted_again_is_when_faults_are_over() -> None:
    found = views(Cluster(case("chain", Fault(at_ms=300, kind="banish", nodes=(3,), duration_ms=60_000))))
    assert sorted(found[-1].nodes) == [1, 2, 3]


def test_sessions_go_on_at_other_nodes_and_nothing_that_was_counted_is_missing() -> None:
    cluster = Cluster(case("gossip-sessions"))
    homes = {number: client.node for number, client in cluster.clients.items()}
    assert cluster.run().violation is None
    moved = [number for number, home in homes.items() if cluster.clients[number].node != home]
    assert len(moved) >= 3
    assert sum(certain for certain, _ in cluster.totals.values()) > 5


@pytest.mark.parametrize("seed", [12, 15])
def test_an_async_replica_that_was_away_goes_on_though_what_it_had_answered_is_lost(seed: int) -> None:
    """It gets a snapshot, and cannot compare: its next batches must not wait for those that are gone."""
    stream = Stream(seed, "real stragglers")
    nodes = stream.pick((3, 3, 4, 5))
    settings, faults = stragglers(stream, nodes, 4000)
    usual = case_of(seed, nodes=nodes, duration_ms=4000, per_second=100, protocol="primary-backup-async")
    settings = msgspec.structs.replace(settings, loop_us=stream.pick((QUICK_TURNS_US, (20, 1500))))
    result = Cluster(msgspec.structs.replace(usual, settings=settings, faults=faults)).run()
    assert result.violation is None


@pytest.mark.parametrize("protocol", ["primary-backup-async", "gossip", "quorum", "chain-registers"])
def test_a_simulation_of_any_protocol_can_be_recorded(protocol: str) -> None:
    assert protocol in {*TRIALS, *VARIANTS}
    recording = record(case(protocol, duration_ms=400))
    assert recording.result.violation is None
    assert recording.frames
