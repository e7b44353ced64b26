"""What clients send to do harm, on purpose or not: the node answers, stays up, and holds little."""

from __future__ import annotations

from tests.unit.node.small_cluster import Cluster

LARGE_NUMBER = b"9" * 5000
"""More digits than int() takes."""


def test_a_sequence_of_thousands_of_digits_is_refused_like_any_other() -> None:
    cluster = Cluster(1)
    cluster.elect()
    for command in ((b"SET", b"a", b"b"), (b"CLIENT", b"ONCE", b"x", b"1", b"SET", b"a", b"b")):
        got = cluster.call(1, command, (b"CLIENT", b"ONCE", b"me", LARGE_NUMBER, b"SET", b"a", b"c"))
        assert got == b"+OK\r\n-ERR sequence is not an integer or out of range\r\n"
