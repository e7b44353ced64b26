"""A graceful stop: bounded, and quiet while the last state is written."""

from __future__ import annotations

from tests.unit.node.small_cluster import Cluster

from comity.node.host import STOP_GRACE_NS


def test_a_host_that_waits_for_its_last_job_does_not_ask_to_be_woken_at_once() -> None:
    cluster = Cluster(1)
    cluster.elect()
    cluster.call(1, ("SET", "key", "value"))
    host = cluster.hosts[1]
    host.stop()
    jobs = host.turn().jobs
    assert jobs, "the last sync is begun, and takes long"
    host.at(cluster.now_ns + STOP_GRACE_NS + 1, cluster.wall_ms)
    host.wake()
    host.turn()
    assert host.deadline_ns > host.now_ns
    for _ in range(3):
        for job in jobs:
            job.run()
            host.job_done(job.number)
        jobs = host.turn().jobs
    assert host.stopped
