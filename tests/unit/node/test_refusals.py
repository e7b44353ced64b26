"""What a node does not take now is refused in words that say so, and is certainly not done."""

from __future__ import annotations

from tests.unit.node.small_cluster import Cluster, encode

from comity.node import Bounds, Host, HostConfig, Journal
from comity.protocols import load
from comity.replica import Member, RemoveMember
from comity.store.engines.memory import MemoryEngine


def answers_of(host: Host, *commands: tuple[str, ...]) -> bytes:
    host.connected(1, "test")
    host.data(1, b"".join(encode(command) for command in commands))
    return b"".join(data for _, data in host.turn().replies)


def test_a_node_whose_journal_is_not_open_yet_is_loading() -> None:
    config = HostConfig(node=1, members=(Member(1, "host1:1"),))
    host = Host(config, Journal.recover(()), MemoryEngine(), load(), seed=1)
    host.start()
    said = answers_of(host, ("SET", "key", "value"), ("PING",))
    assert said == b"-LOADING comity is starting: its journal is not open yet\r\n+PONG\r\n"


def test_keys_of_two_keyspaces_in_one_command_are_refused_and_nothing_is_done() -> None:
    cluster = Cluster(1, keyspaces=("default", "orders"))
    cluster.elect()
    refusal = b"-CROSSSLOT Keys in request don't belong to the same keyspace\r\n"
    assert cluster.call(1, ("MSET", "orders:1", "a", "plain", "b")) == refusal
    assert cluster.call(1, ("MGET", "orders:1", "plain")) == refusal
    assert cluster.call(1, ("GET", "orders:1"), ("GET", "plain")) == b"$-1\r\n$-1\r\n"
    assert cluster.call(1, ("MSET", "orders:1", "a", "orders:2", "b")) == b"+OK\r\n"


def test_a_node_with_too_many_commands_waiting_says_try_again_and_does_not_do_them_later() -> None:
    cluster = Cluster(3, bounds=Bounds(commands_waiting=5, batches_in_flight=1))
    leader = cluster.elect()
    cluster.cut.update((leader, peer) for peer in (1, 2, 3))
    connections = [cluster.connect(leader) for _ in range(9)]
    for connection in connections:
        cluster.send(leader, connection, ("INCR", "count"))
    refusal = b"-TRYAGAIN too many commands are waiting on this node: nothing was done; try again later\r\n"
    refused = [each for each in connections if cluster.received(leader, each) == refusal]
    assert len(refused) == 3, "one is in flight, five wait"
    cluster.cut.clear()
    cluster.run(500)
    assert cluster.call(leader, ("GET", "count")) == b"$1\r\n6\r\n"


def test_a_stopping_node_that_leads_no_more_sends_its_clients_elsewhere() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    follower = leader % 3 + 1
    host = cluster.hosts[follower]
    host.at(cluster.now_ns, cluster.wall_ms)
    host.stop()
    refusal = b"-TRYAGAIN this node is stopping: nothing was done; use another one\r\n"
    assert cluster.call(follower, ("SET", "key", "value")) == refusal
    assert cluster.call(leader, ("GET", "key")) == b"$-1\r\n"


def test_a_node_that_was_removed_says_so() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    removed = leader % 3 + 1
    cluster.hosts[leader].administer("default", RemoveMember(removed), lambda outcome: None)
    cluster.turn(leader)
    cluster.run(3000)
    said = cluster.call(removed, ("SET", "key", "value"))
    assert said.startswith(b"-CLUSTERDOWN this node is not a member of the cluster"), said
    assert cluster.call(leader, ("GET", "key")) == b"$-1\r\n"
