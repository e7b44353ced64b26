"""What a client is told when its deadline passes is true, then and later."""

from __future__ import annotations

from tests.unit.node.small_cluster import MILLISECOND_NS, Cluster

from comity.node import Bounds
from comity.replica import TransferLeadership

NOTHING_DONE = b"-CLUSTERDOWN no quorum: nothing was done"


def test_a_command_refused_as_not_done_is_not_done_later_with_what_shared_its_batch() -> None:
    cluster = Cluster(3, bounds=Bounds(request_deadline_ns=200 * MILLISECOND_NS))
    leader = cluster.elect()
    absent = leader % 3 + 1
    cluster.cut |= {(leader, absent), (absent, leader)}
    cluster.call(leader, ("SET", "before", "x"))
    host = cluster.hosts[leader]
    # A leader that waits for a successor to catch up takes nothing, for half a second.
    host.administer("default", TransferLeadership(absent), lambda outcome: None)
    cluster.run(230)
    filler, early, late = (cluster.connect(leader) for _ in range(3))
    cluster.send(leader, filler, ("INCR", "filler"))
    cluster.send(leader, filler, ("INCR", "filler"))
    cluster.run(50)
    cluster.send(leader, early, ("INCR", "early"))
    cluster.run(50)
    cluster.send(leader, late, ("INCR", "late"))
    cluster.run(200)
    assert cluster.received(leader, early).startswith(NOTHING_DONE)
    assert cluster.received(leader, late) == b":1\r\n"
    assert cluster.call(leader, ("MGET", "early", "late")) == b"*2\r\n$-1\r\n$1\r\n1\r\n"


def test_keys_expire_on_an_idle_cluster_though_an_earlier_expiry_was_lost_with_its_leader() -> None:
    cluster = Cluster(3, bounds=Bounds(batches_in_flight=50, batch_ahead_commands=1))
    leader = cluster.elect()
    cluster.call(leader, ("SET", "key", "x", "PX", 3000), ("SET", "soon", "x", "PX", 100))
    others = [node for node in (1, 2, 3) if node != leader]
    away = {(leader, node) for node in others} | {(node, leader) for node in others}
    cluster.cut |= away
    # Its log grows by entries that never commit, the last of them an expiry.
    for _ in range(30):
        cluster.call(leader, ("INCR", "lost"), within_ms=1)
    cluster.run(3000)
    cluster.cut -= away
    successor = cluster.elect()
    assert successor != leader
    cluster.hosts[successor].administer("default", TransferLeadership(leader), lambda outcome: None)
    cluster.run(500)
    assert cluster.elect() == leader
    cluster.call(leader, ("SET", "late", "x", "PX", 50))
    cluster.run(500)
    for node in (1, 2, 3):
        assert cluster.hosts[node].default.machine.next_expiry_ms() is None, node
