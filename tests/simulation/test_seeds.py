"""A small part of the swarm, in every test run: faults of all kinds, no promise broken, all recovered."""

from __future__ import annotations

import pytest

from comity.simulator.campaign import Plan, Summary, run_seeds


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 40, 5))
@pytest.mark.parametrize("nodes", [3, 5])
def test_no_seed_breaks_a_promise(nodes: int, first: int) -> None:
    # Three nodes and five have seeds of their own: what one group saw, the other need not see again.
    seeds = range(first + 1000 * nodes, first + 1000 * nodes + 5 - nodes // 2)
    summary = Summary()
    for result, cpu_ns in run_seeds(Plan(nodes=nodes, duration_ms=6_000), seeds):
        summary.add(result, cpu_ns)
    assert summary.failures == {}
    assert summary.operations["ok"] > 150 * len(seeds), "the clusters must have served, not only survived"
    assert sum(summary.faults.values()) > 0
    assert summary.unknown_keys == 0
