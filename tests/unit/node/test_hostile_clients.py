"""What clients send to do harm, on purpose or not: the node answers, stays up, and holds little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.node.small_cluster import Cluster, encode

from comity.node import Bounds, Host
from comity.node.clients import QUEUE_BYTES

LARGE_NUMBER = b"9" * 5000
"""More digits than int() takes."""


def test_a_sequence_of_thousands_of_digits_is_refused_like_any_other() -> None:
    cluster = Cluster(1)
    cluster.elect()
    for command in ((b"SET", b"a", b"b"), (b"CLIENT", b"ONCE", b"x", b"1", b"SET", b"a", b"b")):
        got = cluster.call(1, command, (b"CLIENT", b"ONCE", b"me", LARGE_NUMBER, b"SET", b"a", b"c"))
        assert got == b"+OK\r\n-ERR sequence is not an integer or out of range\r\n"


def send_in_pieces(cluster: Cluster, node: int, connection: int, data: bytes, piece: int) -> None:
    host = cluster.hosts[node]
    for start in range(0, len(data), piece):
        host.at(cluster.now_ns, cluster.wall_ms)
        host.data(connection, data[start : start + piece])
    cluster.turn(node)


@pytest.mark.parametrize("through_leader", [True, False])
def test_large_requests_travel_one_by_one(through_leader: bool) -> None:
    bounds = Bounds(batch_bytes=1000, frame_bytes=4000, forwarded_bytes=4000)
    cluster = Cluster(3, bounds=bounds)
    leader = cluster.elect()
    node = leader if through_leader else leader % 3 + 1
    largest = 0
    for host in cluster.hosts.values():
        send = host.send

        def watched(peer: int, group: int, kind: int, body: bytes, send: Callable[..., None] = send) -> None:
            nonlocal largest
            largest = max(largest, len(body))
            send(peer, group, kind, body)

        host.send = watched  # type: ignore[method-assign]
    connection = cluster.connect(node)
    requests = b"".join(encode(("SET", name, b"x" * 3000)) for name in "abcd")
    send_in_pieces(cluster, node, connection, requests, 512)
    cluster.run(2000)
    assert cluster.received(node, connection) == b"+OK\r\n" * 4
    # Several entries may share an append, as the protocol likes; no entry holds two such batches.
    assert all(len(entry.payload) < 4000 for entry in entries_of(cluster.hosts[leader]))
    assert largest > 3000


def entries_of(host: Host) -> list[Any]:
    log: Any = host.default.core
    return list(log.log.entries)


def test_a_client_is_not_read_from_while_much_of_it_waits() -> None:
    cluster = Cluster(3)
    leader = cluster.elect()
    host = cluster.hosts[leader]
    cluster.cut |= {(leader, node) for node in (1, 2, 3)} | {(node, leader) for node in (1, 2, 3)}
    connection = cluster.connect(leader)
    host.data(connection, encode(("GET", "key")))
    paused = False
    for _ in range(64):
        host.data(connection, encode(("SET", "key", b"x" * 100_000)))
        paused |= connection in host.turn().pause
        if paused:
            break
    assert paused
    assert host.connections[connection].queue_bytes <= QUEUE_BYTES + 200_000


def test_answered_commands_do_not_count_as_waiting() -> None:
    cluster = Cluster(1)
    cluster.elect()
    connection = cluster.connect(1)
    for _ in range(100):
        cluster.send(1, connection, ("ECHO", b"x" * 10_000))
    host = cluster.hosts[1]
    host.data(connection, encode(("ECHO", b"y")) + encode(("SET", "key", "value")))
    assert host.default.waiting_bytes() < 1000


def test_watched_keys_are_bounded_by_their_bytes_too() -> None:
    cluster = Cluster(1, bounds=Bounds(transaction_bytes=1000))
    cluster.elect()
    connection = cluster.connect(1)
    cluster.send(1, connection, ("WATCH", b"a" * 600), ("WATCH", b"b" * 600))
    replies = cluster.received(1, connection)
    assert replies == b"+OK\r\n-ERR watched keys are too large: at most 1000 bytes\r\n"
