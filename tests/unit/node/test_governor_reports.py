"""What the governor remembers of reports: of each member the newest, of those who left nothing."""

from __future__ import annotations

from comity.node.messages import Report
from comity.simulator.cluster import Cluster
from comity.simulator.settings import Case

SECOND_NS = 1_000_000_000


def _report(incarnation: int, sequence: int, version: int = 0) -> Report:
    return Report(version, {}, incarnation, sequence, 0, {})


def _cluster() -> Cluster:
    cluster = Cluster(Case(seed=1, nodes=3))
    for process in cluster.processes.values():
        process.boot()
    cluster.world.run_until(3 * SECOND_NS)
    return cluster


def test_a_report_that_comes_late_or_twice_replaces_no_newer_one() -> None:
    leader = _cluster().leader()
    assert leader is not None
    assert leader.host is not None
    governor = leader.host.keyspaces.governor
    newest = _report(9, 5, version=4)
    for report in (_report(9, 4), newest, _report(9, 4), _report(8, 99), newest):
        governor.heard(2, report)
    assert governor.reports[2] is newest
    governor.heard(2, _report(10, 1, version=3))
    assert governor.reports[2].version == 3, "a node that started anew says what holds now"


def test_nothing_is_kept_of_who_is_no_member() -> None:
    leader = _cluster().leader()
    assert leader is not None
    host = leader.host
    assert host is not None
    governor = host.keyspaces.governor
    governor.heard(99, _report(1, 1))
    assert 99 not in governor.reports
    governor.due_ns = host.now_ns
    governor.wake(host.now_ns)
    governor.reports[99] = _report(1, 1)  # It was a member until now.
    governor.due_ns = host.now_ns
    governor.wake(host.now_ns)
    assert 99 not in governor.reports
