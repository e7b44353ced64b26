"""When committed entries are applied: after what others wait for has left, and never much later."""

from __future__ import annotations

from typing import cast

import msgspec
from tests.unit.node.small_cluster import Cluster, encode

from comity.node import Bounds
from comity.node.group import PUT_OFF_TURNS
from comity.node.turn import Turn
from comity.protocols.raft.core import RaftCore


def watched(cluster: Cluster, node: int, seen: list[tuple[bool, bool, bool]]) -> None:
    """Note of every turn of a node: whether it had effects, applied something, and left something."""
    host = cluster.hosts[node]
    turn = host.turn

    def noted() -> Turn:
        before = host.default.machine.applied
        result = turn()
        effects = bool(result.frames or result.journal)
        seen.append((effects, host.default.machine.applied > before, bool(host.default.committed)))
        return result

    host.turn = noted  # type: ignore[method-assign]


def test_what_a_turn_sends_and_writes_leaves_before_large_entries_are_applied() -> None:
    cluster = Cluster(3, bounds=Bounds(apply_later_bytes=1))
    leader = cluster.elect()
    seen: list[tuple[bool, bool, bool]] = []
    watched(cluster, leader, seen)
    for number in range(20):
        assert cluster.call(leader, ("SET", "key", number)) == b"+OK\r\n"
    cluster.run(100)
    assert (True, False, True) in seen, "applying is put off where something leaves"
    run = 0
    for effects, applied, left in seen:
        run = run + 1 if effects and left and not applied else 0
        assert run <= PUT_OFF_TURNS
    assert len({host.default.machine.applied for host in cluster.hosts.values()}) == 1


def test_small_entries_are_applied_at_once() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    seen: list[tuple[bool, bool, bool]] = []
    watched(cluster, 1 + leader % 3, seen)
    assert cluster.call(leader, ("SET", "key", 1)) == b"+OK\r\n"
    cluster.run(100)
    assert not any(left for _, _, left in seen)


def test_a_second_batch_is_sent_ahead_only_when_it_is_large() -> None:
    for ahead, most in ((1, 2), (100, 1)):
        cluster = Cluster(3, bounds=Bounds(batch_ahead_commands=ahead))
        leader = cluster.elect()
        host = cluster.hosts[leader]
        cluster.cut.update((leader, peer) for peer in (1, 2, 3))
        connections = [cluster.connect(leader) for _ in range(3)]
        for connection in connections:
            cluster.send(leader, connection, ("SET", "key", connection))
        assert len(host.default.pending) == most
        cluster.cut.clear()
        cluster.run(300)
        assert all(cluster.received(leader, connection) == b"+OK\r\n" for connection in connections)


def test_a_command_that_waited_for_the_batch_in_flight_leaves_as_soon_as_that_is_answered() -> None:
    for step in (0, 1):  # a client of the leader, one of a follower
        cluster = Cluster(3)
        node = 1 + (cluster.elect() - 1 + step) % 3
        cluster.cut |= {(one, other) for one in (1, 2, 3) for other in (1, 2, 3)}
        first, second = cluster.connect(node), cluster.connect(node)
        cluster.send(node, first, ("SET", "key", 1))
        cluster.send(node, second, ("SET", "key", 2))
        group = cluster.hosts[node].default
        assert (len(group.pending), group.waiting) == (1, 1)
        cluster.cut.clear()
        for _ in range(1000):
            cluster.run(1)
            if (node, first) in cluster.replies:
                break
        assert cluster.received(node, first) == b"+OK\r\n"
        cluster.run(2)
        assert cluster.received(node, second) == b"+OK\r\n"


def test_a_batch_that_went_ahead_of_a_refused_one_is_sent_again_behind_it() -> None:
    bounds = Bounds(batches_in_flight=3, batch_commands=1, frame_bytes=1000)
    cluster = Cluster(3, bounds=bounds)
    leader = cluster.elect()
    host = cluster.hosts[leader]
    core = cast("RaftCore", host.default.core)
    core.options = msgspec.structs.replace(core.options, max_uncommitted_bytes=3000)
    cluster.cut |= {(leader, node) for node in (1, 2, 3)}
    first, large, small = (cluster.connect(leader) for _ in range(3))
    cluster.send(leader, first, ("SET", "key", "x" * 1500))
    host.data(large, encode(("SET", "key", "x" * 2000)))
    cluster.send(leader, small, ("SET", "key", "x" * 100))
    assert [pending.exposed for pending in host.default.pending.values()] == [True, False, True]
    last = core.log.last
    cluster.run(100)
    assert core.log.last == last, "it is not put in the log again and again in front of the refused one"
    cluster.cut.clear()
    cluster.run(300)
    assert [cluster.received(leader, each) for each in (first, large, small)] == [b"+OK\r\n"] * 3
    assert cluster.call(leader, ("STRLEN", "key")) == b":100\r\n"


def test_a_second_batch_is_forwarded_without_the_first_and_both_again_where_one_was_lost() -> None:
    cluster = Cluster(3, bounds=Bounds(batch_ahead_commands=1))
    leader = cluster.elect()
    node = 1 + leader % 3
    host = cluster.hosts[node]
    metrics = host.metrics
    for lost in (False, True):
        before = metrics.forwarded_batches
        first, second = cluster.connect(node), cluster.connect(node)
        cluster.cut |= {(node, leader)} if lost else {(leader, node)}
        cluster.send(node, first, ("APPEND", f"key{lost}", "a"))
        if lost:
            cluster.cut.clear()
            cluster.cut |= {(leader, node)}
        cluster.send(node, second, ("APPEND", f"key{lost}", "b"))
        assert len(host.default.pending) == 2
        assert metrics.forwarded_batches - before == 2
        assert metrics.resent_batches == 0
        cluster.cut.clear()
        cluster.run(450)
        assert [cluster.received(node, each) for each in (first, second)] == [b":1\r\n", b":2\r\n"]
        assert metrics.resent_batches == (2 if lost else 0)
        assert cluster.call(leader, ("GET", f"key{lost}")) == b"$2\r\nab\r\n"
