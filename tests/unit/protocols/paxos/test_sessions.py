"""Reads below linearizable: what tokens promise, and that moving sessions find it kept."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.protocols.paxos.cluster import MS, Build, Cluster
from tests.unit.protocols.paxos.semantics import command, result
from tests.unit.protocols.paxos.storm import LIMITS, Storm

from comity.checkers import HistoryBuilder, Status, analyse
from comity.checkers.history import Event, EventType
from comity.protocols.paxos import PaxosCore
from comity.protocols.paxos.tokens import MANY, ballot_seen, token_after
from comity.replica import Answered, Outcome, Refused, View
from comity.simulator.mutants.paxos import SessionReadsUnchosen

GUARANTEES = ("read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads")


class Sessions(Storm):
    """Storms whose clients read at session level and move from node to node, with their tokens."""

    def __init__(self, seed: int, core: Build = PaxosCore) -> None:
        super().__init__(seed, core)
        self.tokens: dict[int, bytes] = {}
        self.operations: dict[int, int] = {}

    def draw(self) -> tuple[str, list[Any]]:
        self.values += 1
        return ("write", [str(self.values)]) if self.stream.chance(0.3) else ("read", [])

    def operate(self, process: int, number: int, key: str, drawn: tuple[str, list[Any]]) -> None:
        name, arguments = drawn
        value = arguments[0] if arguments else None
        self.events.append(Event(process, EventType.INVOKE, name, key, value))
        writes = name == "write"
        token = self.tokens.get(process, b"")

        def end(outcome: Outcome) -> None:
            following = process
            if isinstance(outcome, Answered):
                got = value if writes else result(outcome.reply)
                self.record(process, EventType.OK, name, key, got)
                self.tokens[process] = outcome.token
            elif isinstance(outcome, Refused):
                self.record(process, EventType.FAIL, name, key, value)
            else:
                self.record(process, EventType.INFO, name, key, value)
                following = self.new_process()
            count = self.operations[process] = self.operations.get(process, 0) + 1
            if count == 6:  # sessions are short, so that many read before they have seen several keys
                following = self.new_process()
            self.cluster.at(self.stream.below(self.pace_ns), lambda: self.client(following))

        payload = command("SET", value) if writes else command("GET")
        self.cluster.execute(number, key.encode(), payload, end, writes=writes, level="session", token=token)

    def judge(self) -> None:
        builder = HistoryBuilder()
        for event in self.events:
            builder.add(event)
        analysis = analyse(builder.build(), "register", models=GUARANTEES, limits=LIMITS)
        broken = [name for name in GUARANTEES if analysis.models[name] is Status.VIOLATION]
        assert not broken, analysis.explanation

    def local_reads(self) -> int:
        return sum(self.cluster[number].counts.get("local_reads", 0) for number in self.cluster.up())


def test_sessions_that_move_keep_their_four_guarantees() -> None:
    local = 0
    for seed in range(25):
        storm = Sessions(seed)
        storm.rage()
        storm.judge()
        local += storm.local_reads()
    assert local > 100  # and many of their reads asked nobody


def test_the_storms_notice_sessions_that_read_what_is_not_chosen() -> None:
    for seed in range(100):
        storm = Sessions(seed, SessionReadsUnchosen)
        storm.rage()
        try:
            storm.judge()
        except AssertionError:
            return
    pytest.fail("no seed noticed")


def test_a_token_of_one_key_says_how_new_it_must_be() -> None:
    token = token_after(b"", b"a", (3, 1))
    assert ballot_seen(token, b"a") == (3, 1)
    assert ballot_seen(token_after(token, b"a", (2, 2)), b"a") == (3, 1)
    assert ballot_seen(token, b"b") is None
    assert ballot_seen(b"", b"b") == (0, 0)


def test_a_session_that_has_seen_two_keys_reads_through_quorums() -> None:
    token = token_after(token_after(b"", b"a", (3, 1)), b"b", (1, 1))
    assert token == MANY
    assert ballot_seen(token, b"a") is None
    assert token_after(token, b"a", (9, 1)) == MANY


def test_a_token_that_is_none_is_taken_for_one_that_has_seen_everything() -> None:
    assert ballot_seen(b"\xc1 nonsense", b"a") is None
    assert token_after(b"\xc1 nonsense", b"a", (1, 1)) == MANY


def ask(cluster: Cluster, number: int, *payload: Any, **how: Any) -> Any:
    outcome = cluster.ask(number, b"a", command(*payload), **how)
    assert isinstance(outcome, Answered), outcome
    return outcome


def test_a_session_reads_its_own_write_here_and_at_a_node_that_lags() -> None:
    cluster = Cluster(1)
    token = ask(cluster, 1, "SET", "5").token
    cluster.run(10 * MS)
    before = cluster.messages
    again = ask(cluster, 1, "GET", writes=False, level="session", token=token)
    assert result(again.reply) == "5"
    assert cluster.messages == before  # nobody was asked
    cluster.isolate(3)
    token = ask(cluster, 1, "SET", "6", token=token).token
    cluster.run(10 * MS)
    cluster.heal()
    assert result(ask(cluster, 3, "GET", writes=False, level="session", token=token).reply) == "6"
    assert result(ask(cluster, 3, "GET", writes=False, level="eventual").reply) == "5"


def test_eventual_reads_are_answered_in_a_minority() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "5")
    cluster.run(10 * MS)
    cluster.isolate(2)
    assert result(ask(cluster, 2, "GET", writes=False, level="eventual").reply) == "5"
    refused = cluster.ask(2, b"a", command("GET"), writes=False)
    assert isinstance(refused, Refused)


@pytest.mark.parametrize("level", ["sequential", "causal"])
def test_levels_between_are_served_as_linearizable(level: str) -> None:
    cluster = Cluster(1)
    cluster.isolate(3)
    ask(cluster, 1, "SET", "5")
    cluster.heal()
    assert result(ask(cluster, 3, "GET", writes=False, level=level).reply) == "5"


def test_an_unknown_level_is_refused_with_the_alternatives() -> None:
    outcome = Cluster(1).ask(1, b"a", command("GET"), writes=False, level="snapshot")
    assert isinstance(outcome, Refused)
    assert outcome.reason == "invalid"
    assert "linearizable, sequential, causal, session, eventual" in outcome.detail


def test_a_node_outside_the_view_says_who_is_in_it() -> None:
    cluster = Cluster(1, 4, view=View(1, (2, 1, 3)))
    outcome = cluster.ask(4, b"a", command("GET"), writes=False, level="eventual")
    assert isinstance(outcome, Refused)
    assert outcome.leader == 2
