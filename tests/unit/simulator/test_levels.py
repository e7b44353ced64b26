"""What weaker levels promise is judged keyspace by keyspace: each has a log of its own."""

from __future__ import annotations

import pytest

from comity.simulator.cluster import Cluster
from comity.simulator.errors import ViolationFound
from comity.simulator.generate import case_of


def crossed(cluster: Cluster, level: str, one: str, other: str) -> None:
    """Two processes write a key each; two others see the writes in opposite orders."""
    for process, key in ((1, one), (2, other)):
        cluster.level(level, key).invoke(process, "write", key, key, time_ns=process)
        cluster.level(level, key).ok(process, key, time_ns=process)
    for process, first, second in ((3, one, other), (4, other, one)):
        for key, value in ((first, first), (second, None)):
            cluster.level(level, key).invoke(process, "read", key, None, time_ns=process)
            cluster.level(level, key).ok(process, value, time_ns=process)


def test_an_order_that_is_no_order_is_a_violation_within_a_keyspace_and_none_across_two() -> None:
    for one, other, keyspace in (("group1:x", "y", False), ("x", "y", True), ("group1:x", "group1:y", True)):
        cluster = Cluster(case_of(1, nodes=3, duration_ms=500, per_second=1))
        crossed(cluster, "sequential", one, other)
        if keyspace:
            with pytest.raises(ViolationFound, match="sequential is not sequential"):
                cluster._judge()
        else:
            cluster._judge()
