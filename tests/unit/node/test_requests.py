"""COMITY.AT, COMITY.QUORUM and COMITY.SIBLINGS: what one connection or one request asks for."""

from __future__ import annotations

from typing import Any

import hiredis

from comity.simulator.clients import encode
from comity.simulator.cluster import Cluster
from comity.simulator.settings import Case, Client

SECOND_NS = 1_000_000_000


def _asked(*commands: tuple[str | int, ...]) -> list[Any]:
    """The answers to commands sent one after another to node 1 of three, on one connection."""
    cluster = Cluster(Case(seed=1, nodes=3, clients=(Client(number=0, node=1),)))
    for process in cluster.processes.values():
        process.boot()
    cluster.world.run_until(3 * SECOND_NS)
    reader = hiredis.Reader(encoding="utf-8")
    answers: list[Any] = []
    cluster.replied = lambda node, connection, data: reader.feed(data)  # type: ignore[method-assign]
    process = cluster.processes[1]
    assert process.host is not None
    process.stimulus(process.life, process.host.connected, 77, "test")
    for command in commands:
        process.stimulus(process.life, process.host.data, 77, encode(*command))
        for _ in range(100):
            cluster.world.run_until(cluster.world.now_ns + SECOND_NS // 10)
            answer = reader.gets()
            if answer is not False:
                break
        answers.append(answer)
    return answers


CREATE = ("KEYSPACE", "CREATE", "q", "REPLICATION", "quorum", "CONSISTENCY", "eventual")
WEAK = ("OPTION", "r", 1, "OPTION", "w", 1)


def test_one_request_may_ask_for_another_level_and_the_connection_keeps_its_own() -> None:
    answers = _asked(
        ("SET", "key", "value"),
        ("COMITY.AT", "eventual", "GET", "key"),
        ("COMITY.CONSISTENCY",),
        ("COMITY.AT", "nonsense", "GET", "key"),
        ("COMITY.AT", "eventual", "PING"),
    )
    assert answers[:3] == ["OK", "value", "linearizable"]
    assert "unknown consistency level" in str(answers[3])
    assert "a command on keys" in str(answers[4])


def test_quorums_of_a_connection_and_of_a_request_are_checked_against_the_replicas() -> None:
    answers = _asked(
        (*CREATE, *WEAK),
        ("COMITY.QUORUM", 2, 3),
        ("COMITY.QUORUM",),
        ("SET", "q:1", "a"),
        ("COMITY.AT", "eventual", "QUORUM", 9, 9, "GET", "q:1"),
        ("GET", "q:1"),
        ("COMITY.QUORUM", "many", 1),
    )
    assert answers[:4] == ["OK", "OK", [2, 3], "OK"]
    assert "can never be had" in str(answers[4])
    assert answers[5] == "a"
    assert "a number of replicas" in str(answers[6])


def test_a_request_above_what_its_keyspace_gives_is_refused_with_the_reason() -> None:
    answers = _asked((*CREATE, *WEAK), ("COMITY.AT", "linearizable", "GET", "q:1"))
    assert "R+W = 2 <= N = 3" in str(answers[1])


def test_siblings_are_told_where_they_are_kept_and_refused_where_not() -> None:
    answers = _asked(
        (*CREATE, *WEAK, "OPTION", "conflicts", "siblings"),
        ("SET", "q:1", "a"),
        ("COMITY.SIBLINGS", "q:1"),
        ("COMITY.SIBLINGS", "key"),
    )
    assert answers[2] == ["a"]
    assert "one value for a key" in str(answers[3])
