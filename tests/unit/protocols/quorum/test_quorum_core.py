"""Rules of the core, one by one, over a few replicas whose network and disks behave."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.protocols.quorum.cluster import EPOCH_MS, MS, SECOND, Cluster
from tests.unit.protocols.quorum.random_runs import fast

from comity import protocols
from comity.protocols.quorum import PROTOCOL, QuorumCore, preference
from comity.protocols.quorum.messages import CODEC, Agreed, Answer, Ask, Compare, Listing, Push, Store, Turn
from comity.protocols.quorum.versions import Copy, encode_copy
from comity.replica import (
    REASON_BUSY,
    REASON_INVALID,
    REASON_OVERLOADED,
    Answered,
    InvariantBroken,
    KeyOperation,
    Refused,
    Unknown,
    View,
)
from comity.simulator.mutants.quorum import BelievesOldRounds

FIVE = (1, 2, 3, 4, 5)


def refusal(outcome: Any, reason: str = REASON_INVALID) -> str:
    assert isinstance(outcome, Refused), outcome
    assert outcome.reason == reason
    return outcome.detail


def reply(outcome: Any) -> bytes:
    assert isinstance(outcome, Answered), outcome
    return outcome.reply


def test_the_protocol_is_found_by_name() -> None:
    assert protocols.load()["quorum"] is PROTOCOL
    assert PROTOCOL.semantics == "register"


@pytest.mark.parametrize("level", ["linearizable", "session", "eventual"])
def test_what_one_node_wrote_another_reads(level: str) -> None:
    cluster = Cluster(1, FIVE, fast(n=3))
    for number in FIVE:
        written = cluster.do(number, b"SET %d" % number, level=level)
        assert reply(written) == b"OK"
        other = FIVE[number % 5]
        assert reply(cluster.do(other, b"GET", level=level, token=written.token)) == b"=%d" % number


def test_a_removal_answers_what_was_there_and_leaves_a_tombstone() -> None:
    cluster = Cluster(1)
    assert reply(cluster.do(1, b"DEL")) == b"0"
    cluster.do(1, b"SET a")
    assert reply(cluster.do(2, b"DEL")) == b"1"
    assert reply(cluster.do(3, b"DEL")) == b"0"
    assert reply(cluster.do(3, b"GET")) == b"nil"
    cluster.run(100 * MS)
    for node in cluster.nodes.values():
        assert node.core.copy_of(b"x").removed
        cell = node.cells.get(b"kx")
        assert cell is not None
        assert node.core.client_value(cell) is None


@pytest.mark.parametrize("level", ["linearizable", "session", "eventual"])
def test_read_modify_write_is_refused_and_changes_nothing(level: str) -> None:
    cluster = Cluster(1)
    cluster.do(1, b"SET 1")
    assert "raft, paxos, chain and primary-backup" in refusal(cluster.do(1, b"INCR", level=level))
    assert "not atomic" in refusal(cluster.do(2, b"SETXX 5", level=level))
    assert reply(cluster.do(3, b"GET")) == b"=1"


def test_levels_that_cannot_be_kept_are_refused_with_alternatives() -> None:
    cluster = Cluster(1)
    for level in ("causal", "sequential"):
        assert "linearizable implies it" in refusal(cluster.do(1, b"GET", level=level))
    assert "R+W = 2 <= N = 3" in refusal(Cluster(1, options=fast(r=1, w=1)).do(1, b"GET"))
    assert "siblings" in refusal(Cluster(1, options=fast(conflicts="siblings")).do(1, b"GET"))
    sloppy = Cluster(1, options=fast(sloppy=True))
    assert "sloppy" in refusal(sloppy.do(1, b"GET", level="session"))
    assert reply(sloppy.do(1, b"GET", level="eventual")) == b"nil"


def test_a_request_that_lowers_its_quorums_below_its_level_is_refused() -> None:
    cluster = Cluster(1)
    assert "needs 2" in refusal(cluster.do(1, b"GET", read_quorum=1))
    assert "count on 2" in refusal(cluster.do(1, b"SET a", write_quorum=1))
    assert "never be had" in refusal(cluster.do(1, b"SET a", level="eventual", write_quorum=4))
    assert reply(cluster.do(1, b"SET a", write_quorum=3)) == b"OK"
    assert reply(cluster.do(1, b"GET", level="eventual", read_quorum=1)) == b"=a"


@pytest.mark.parametrize("token", [b"x", b"\xff" * 8, (1 << 61).to_bytes(8, "big")])
def test_a_token_that_is_none_is_refused(token: bytes) -> None:
    assert "oken" in refusal(Cluster(1).do(1, b"SET a", level="session", token=token))


def test_operations_beyond_the_limit_are_refused_as_overloaded() -> None:
    cluster = Cluster(1, options=fast(max_pending=2))
    found: list[Any] = []
    for _ in range(3):
        cluster.execute(
            1, KeyOperation(key=b"x", payload=b"GET", writes=False, level="eventual"), found.append
        )
    assert "coordinates 2" in refusal(found[0], REASON_OVERLOADED)


def test_without_a_view_nothing_is_begun() -> None:
    cluster = Cluster(1, (1,), view=View(0, ()))
    assert "no view" in refusal(cluster.do(1, b"GET"), REASON_BUSY)


def test_without_a_quorum_a_read_is_refused_and_a_write_unknown_once_it_was_sent() -> None:
    cluster = Cluster(1)
    cluster.partition((1,), (2, 3))
    assert "1 of 2 answers" in refusal(cluster.do(1, b"GET"), REASON_BUSY)
    assert "nothing was written" in refusal(cluster.do(1, b"SET a"), REASON_BUSY)
    outcome = cluster.do(1, b"SET a", level="eventual")
    assert isinstance(outcome, Unknown)
    assert "1 of 2 acknowledgements" in outcome.reason


def test_a_read_writes_back_what_only_some_hold_before_it_answers() -> None:
    cluster = Cluster(1)
    copy = Copy(((9, EPOCH_MS * MS, (b"v",)),))
    cluster.nodes[2].core.take_in(cluster.now_ns, b"x", copy)
    cluster.partition((3,), (1, 2))
    assert reply(cluster.do(1, b"GET")) == b"=v"
    assert cluster.nodes[1].core.status()["counts"]["write_backs"] == 1
    assert cluster.values()[1] == b"v"


def test_stale_replicas_are_repaired_after_an_eventual_read() -> None:
    cluster = Cluster(1, options=fast(r=2, w=2, anti_entropy_ns=1000 * SECOND))
    copy = Copy(((9, EPOCH_MS * MS, (b"v",)),))
    cluster.nodes[2].core.take_in(cluster.now_ns, b"x", copy)
    cluster.do(1, b"GET", level="eventual", read_quorum=1)
    cluster.run(100 * MS)
    assert set(cluster.values().values()) == {b"v"}


def test_a_sloppy_write_is_held_for_a_node_that_is_away_and_handed_over() -> None:
    options = fast(n=3, w=3, sloppy=True, read_repair=False, anti_entropy_ns=1000 * SECOND)
    cluster = Cluster(1, FIVE, options)
    holders = preference(b"x", FIVE)[:3]
    coordinator = preference(b"x", FIVE)[0]
    away = holders[1]
    cluster.crash(away)
    assert reply(cluster.do(coordinator, b"SET a", level="eventual")) == b"OK"
    holding = [node for node in cluster.nodes.values() if node.core.hint_count]
    assert [node.number for node in holding] == [preference(b"x", FIVE)[3]]
    cluster.crash(holding[0].number)
    cluster.restart(holding[0].number)
    assert cluster.nodes[holding[0].number].core.hint_count == 1, "hints survive a crash"
    cluster.restart(away)
    cluster.run(SECOND)
    assert cluster.values()[away] == b"a"
    assert all(node.core.hint_count == node.core.hint_bytes == 0 for node in cluster.nodes.values())


def test_hints_are_bounded_and_expire() -> None:
    options = fast(n=3, w=1, sloppy=True, hint_entries=2, hint_expiry_ns=2 * SECOND)
    cluster = Cluster(1, (1, 2, 3, 4), options)
    core = cluster.nodes[4].core
    copy = Copy(((1, EPOCH_MS * MS, (b"v",)),))
    keys = [b"%d" % key for key in range(30) if 2 in preference(b"%d" % key, (1, 2, 3, 4))[:3]]
    assert [core.hold(cluster.now_ns, 2, key, copy) for key in keys[:3]] == [True, True, False]
    assert core.status()["counts"]["hints_refused"] == 1
    cluster.end_turn(cluster.nodes[4])
    cluster.crash(2)
    cluster.run(3 * SECOND)
    assert core.hint_count == 0
    assert core.status()["counts"]["hints_expired"] == 2


def test_anti_entropy_brings_a_replica_that_missed_everything_up_to_date() -> None:
    cluster = Cluster(1, options=fast(merkle_depth=8, sync_keys=16))
    cluster.crash(3)
    for number in range(120):
        cluster.do(1 + number % 2, b"SET %d" % number, key=b"k%d" % number)
    cluster.restart(3)
    cluster.run(8 * SECOND)
    for node in cluster.nodes.values():
        node.core.deep_check()
        assert sum(node.core.copy_of(b"k%d" % key).value == b"%d" % key for key in range(120)) == 120
    moved = sum(node.core.counts.get("keys_moved", 0) for node in cluster.nodes.values())
    assert moved >= 120
    assert cluster.nodes[3].core.staleness_ns() < 2 * SECOND


def test_a_quiet_cluster_compares_roots_only() -> None:
    cluster = Cluster(1, options=fast())
    for number in range(20):
        cluster.do(1, b"SET v", key=b"k%d" % number)
    cluster.run(2 * SECOND)
    before = len(cluster.trace)
    cluster.run(2 * SECOND)
    messages = [CODEC.decode(data) for _, _, _, data in cluster.trace[before:]]
    assert messages
    assert not [message for message in messages if isinstance(message, (Listing, Push, Turn))]


def test_tombstones_go_after_their_grace_once_everybody_has_them() -> None:
    cluster = Cluster(1, options=fast(tombstone_grace_ns=SECOND, hint_expiry_ns=SECOND))
    cluster.do(1, b"SET a")
    cluster.run(200 * MS)
    cluster.crash(3)
    cluster.do(1, b"DEL")
    cluster.run(5 * SECOND)
    assert cluster.nodes[1].core.status()["tombstones"] == 1, "one node has not heard of it"
    cluster.restart(3)
    cluster.run(5 * SECOND)
    for node in cluster.nodes.values():
        assert node.core.status()["tombstones"] == 0
        assert node.cells.get(b"kx") is None
        node.core.deep_check()
    assert reply(cluster.do(3, b"GET")) == b"nil"


@pytest.mark.parametrize("core", [QuorumCore, BelievesOldRounds])
def test_a_late_end_of_a_round_vouches_for_no_other(core: type[QuorumCore]) -> None:
    cluster = Cluster(1, options=fast(anti_entropy_ns=1000 * SECOND), core=core)
    replica = cluster.nodes[1].core
    began = cluster.now_ns
    replica.receive(began, 2, Compare(1, 77, 1, [1], [0]))
    replica.rounds_heard.clear()  # a restart forgets rounds; late copies of both messages arrive after it
    replica.receive(began + 5, 2, Compare(1, 77, 1, [1], [0]))
    first_name = replica.rounds_heard[2][2] - 1
    replica.receive(began + 6, 2, Agreed(1, 77, first_name))
    assert (2 in replica.agreed) is (core is BelievesOldRounds)


def test_siblings_are_kept_until_a_write_has_seen_them() -> None:
    cluster = Cluster(1, options=fast(conflicts="siblings", r=1, w=1))
    cluster.partition((1,), (2, 3))
    cluster.do(1, b"SET a", level="eventual")
    cluster.do(2, b"SET b", level="eventual")
    cluster.partition()
    cluster.run(3 * SECOND)
    values, context = cluster.nodes[3].core.siblings(b"x")
    assert values == (b"b", b"a")
    assert context.nodes() == (1, 2)
    assert reply(cluster.do(3, b"GET", level="eventual")) == b"=b"
    cluster.do(3, b"SET c", level="eventual")
    cluster.run(3 * SECOND)
    assert all(node.core.siblings(b"x")[0] == (b"c",) for node in cluster.nodes.values())


def test_a_view_moves_keys_and_settles_when_they_are_there() -> None:
    cluster = Cluster(1, (1, 2, 3, 4, 5, 6), fast(), view=View(1, (1, 2, 3)))
    for number in range(30):
        cluster.do(4, b"SET %d" % number, key=b"k%d" % number)
    for number in cluster.nodes:
        cluster.give_view(number, View(2, (4, 5, 6), outgoing=(1, 2, 3)))
    assert cluster.nodes[1].core.settled == 1
    cluster.run(4 * SECOND)
    assert all(node.core.settled == 2 for node in cluster.nodes.values())
    for number in cluster.nodes:
        cluster.give_view(number, View(3, (4, 5, 6)))
    for number in (1, 2, 3):
        cluster.crash(number)
    for number in range(30):
        assert reply(cluster.do(5, b"GET", key=b"k%d" % number)) == b"=%d" % number
    for number in (1, 2, 3):
        cluster.restart(number)
    cluster.run(5 * SECOND)
    assert all(len(cluster.nodes[number].core.strays) == 0 for number in (1, 2, 3))
    assert not [key for _, key, _ in cluster.nodes[1].cells.walk() if key[:1] == b"k"]


def test_messages_of_another_view_are_refused_and_an_adopted_view_survives_a_crash() -> None:
    cluster = Cluster(1)
    cluster.give_view(1, View(4, (1, 2, 3)))
    cluster.run(20 * MS)
    cluster.crash(1)
    cluster.restart(1)
    core = cluster.nodes[1].core
    assert core.current.epoch == 4
    core.receive(cluster.now_ns, 2, Turn(1, [Ask(5, b"x", True)]))
    core.receive(cluster.now_ns, 2, Turn(9, [Ask(5, b"x", True)]))
    assert core.dropped == {"an older view": 1, "a view not adopted yet": 1}
    core.view(cluster.now_ns, View(3, (1,)))
    assert core.current.epoch == 4


GOOD = encode_copy(Copy(((1, EPOCH_MS * MS, (b"v",)),)))


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        Turn(1, [], [Store(1, b"x", b"garbage")]),
        Turn(1, [], [Store(1, b"x", encode_copy(Copy()))]),
        Turn(1, [], [Store(1, b"x", encode_copy(Copy(((1, 5, ()),))))]),
        Turn(1, [], [Store(1, b"x", GOOD, 2)]),
        Turn(1, [], [Store(1, b"x", GOOD, 77)]),
        Compare(1, 1, 1, [1, 2], [0]),
        Compare(1, 1, 1, [0], [0]),
        Compare(1, 1, 1, [1 << 40], [0]),
        Listing(1, 1, 1, 5, 4, [], []),
        Listing(1, 1, 1, 0, 4, [b"x"], []),
        Push(1, 1, 1, [b"x"], []),
        Push(1, 1, 1, [b"x"], [b"garbage"]),
    ],
    ids=str,
)
def test_illegal_messages_are_counted_and_dropped(message: Any) -> None:
    cluster = Cluster(1)
    core = cluster.nodes[1].core
    core.receive(cluster.now_ns, 2, message)
    assert sum(core.dropped.values()) == 1
    core.check()
    assert core.copy_of(b"x") == Copy()


def test_answers_to_nothing_and_from_nobody_are_harmless() -> None:
    cluster = Cluster(1)
    core = cluster.nodes[1].core
    core.receive(cluster.now_ns, 2, Turn(1, [], [], [Answer(123, b"garbage")], [123]))
    core.receive(cluster.now_ns, 1, Turn(1))
    core.receive(cluster.now_ns, 0, Turn(1))
    assert core.dropped == {"impossible sender": 2}
    core.deep_check()


def test_a_broken_invariant_stops_the_replica() -> None:
    cluster = Cluster(1)
    core = cluster.nodes[1].core
    with pytest.raises(InvariantBroken, match="turns durable of"):
        core.persisted(cluster.now_ns, 99)
    core.hint_count = 5
    with pytest.raises(InvariantBroken, match="5 hints"):
        core.check()


def test_one_turn_is_one_message_a_peer() -> None:
    cluster = Cluster(1)
    cluster.run(50 * MS)
    node = cluster.nodes[1]
    for request in range(1000, 1050):
        operation = KeyOperation(key=b"%d" % request, payload=b"SET a", writes=True, level="linearizable")
        node.core.execute(cluster.now_ns, request, operation)
    effects = node.core.take(cluster.now_ns)
    assert sorted(send.peer for send in (*effects.send, *effects.send_durable)) == [2, 3]
