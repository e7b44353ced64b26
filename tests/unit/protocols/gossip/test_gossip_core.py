"""The rules of the gossip core, one at a time."""

from __future__ import annotations

import pytest
from tests.unit.protocols.gossip.cluster import Cluster

from comity.protocols import load
from comity.protocols.gossip import PROTOCOL, GossipOptions
from comity.protocols.gossip.messages import CODEC, Batch, Gossip
from comity.protocols.gossip.vectors import decode_token
from comity.replica import (
    REASON_BUSY,
    REASON_INVALID,
    Answered,
    KeyOperation,
    Outcome,
    Refused,
    Unknown,
    View,
)
from comity.store.lattices import payload_of

TINY = GossipOptions(max_message_bytes=200, max_log_bytes=200, max_buffer_bytes=1000)


def ready(nodes: int = 3, **how: object) -> Cluster:
    cluster = Cluster(3, nodes, **how)  # type: ignore[arg-type]
    cluster.run(200)
    return cluster


def token_of(outcome: Outcome) -> bytes:
    assert isinstance(outcome, Answered), outcome
    return outcome.token


def test_it_is_found_by_name_and_wants_lattices() -> None:
    assert load()["gossip"] is PROTOCOL
    assert PROTOCOL.semantics == "lattice"


def test_a_write_is_answered_only_when_it_is_durable_here() -> None:
    cluster = ready(sync_ms=50)
    outcomes: list[Outcome] = []
    cluster.ask(1, [[b"INCR", b"k"]], outcomes.append, writes=True)
    while cluster.core(1).turns == cluster.core(1).durable_turns:
        cluster.run(0.1)
    assert not outcomes
    cluster.run(60)
    assert isinstance(outcomes[0], Answered)


def test_a_read_waits_for_a_write_that_is_not_durable_and_for_no_other() -> None:
    cluster = ready(sync_ms=50)
    cluster.do(1, "SET", "old", "1")
    outcomes: list[Outcome] = []
    cluster.ask(1, [[b"SET", b"k", b"v"]], outcomes.append, writes=True)
    cluster.run(1)
    before = len(outcomes)
    core = cluster.core(1)
    operation = KeyOperation(key=b"k", payload=payload_of(2, [[b"GET", b"k"]]), writes=False, level="causal")
    core.execute(cluster.now_ns, 900, operation)
    core.execute(
        cluster.now_ns,
        901,
        KeyOperation(key=b"old", payload=payload_of(2, [[b"GET", b"old"]]), writes=False, level="causal"),
    )
    assert before == 0
    assert [reply.request for reply in core.effects.reply] == [901]
    assert isinstance(core.abandon(cluster.now_ns, 900), Refused), (
        "a read that was not answered changed nothing"
    )


def test_a_crash_forgets_what_nobody_was_told() -> None:
    cluster = ready(sync_ms=50)
    outcomes: list[Outcome] = []
    cluster.ask(1, [[b"SET", b"k", b"v"]], outcomes.append, writes=True)
    cluster.run(1)
    cluster.crash(1)
    cluster.start(1)
    cluster.run(1000)
    assert isinstance(outcomes[0], Unknown)
    assert all(cluster.read(number, "k") == b"$-1\r\n" for number in (1, 2, 3))


def test_a_session_that_moves_is_answered_once_what_it_has_seen_is_there() -> None:
    cluster = ready()
    cluster.partition((1,), (2, 3))
    token = token_of(cluster.do(1, "SET", "k", "v"))
    assert (decode_token(token) or {})[1] == 1
    outcome = cluster.do(2, "GET", "k", writes=False, token=token, timeout_ms=200)
    assert isinstance(outcome, Refused)
    assert outcome.reason == REASON_BUSY
    cluster.heal()
    assert cluster.read(2, "k", token=token, timeout_ms=2000) == b"$1\r\nv\r\n"


def test_at_eventual_a_read_does_not_wait_for_its_session() -> None:
    cluster = ready()
    cluster.partition((1,), (2, 3))
    token = token_of(cluster.do(1, "SET", "k", "v"))
    assert cluster.read(2, "k", token=token, level="eventual") == b"$-1\r\n"


@pytest.mark.parametrize("level", ["linearizable", "sequential"])
def test_stronger_levels_are_refused_with_the_reason_and_the_alternatives(level: str) -> None:
    outcome = ready().do(1, "GET", "k", writes=False, level=level)
    assert isinstance(outcome, Refused)
    assert outcome.reason == REASON_INVALID
    assert "CAP" in outcome.detail
    assert "causal, session and eventual" in outcome.detail


def test_a_token_that_is_none_is_refused() -> None:
    outcome = ready().do(1, "GET", "k", writes=False, token=b"nonsense")
    assert isinstance(outcome, Refused)
    assert "session token" in outcome.detail


def test_the_writes_of_a_turn_travel_as_one_batch_in_one_message_a_peer() -> None:
    cluster = ready()
    cluster.sent.clear()
    for number in range(20):
        cluster.ask(1, [[b"INCR", b"k%d" % (number % 5)]], lambda outcome: None, writes=True)
    cluster.run(10)
    pushed = [CODEC.decode(data) for _, sender, _, data in cluster.sent if sender == 1]
    batches = [message.batches for message in pushed if message.batches]
    assert len(batches) == 2
    assert [(batch.previous, batch.last, len(batch.deltas)) for batch in batches[0]] == [(0, 20, 5)]


def test_an_effect_waits_for_its_cause() -> None:
    cause, effect = (
        Batch(1, 0, 1, 5, [], [(b"a", _delta(b"a", 1))]),
        Batch(2, 0, 1, 6, [(1, 1)], [(b"b", _delta(b"b", 2))]),
    )
    core = Cluster(4, 3).core(3)
    core.receive(0, 2, Gossip(1, 1, True, [(1, 1), (2, 1)], [], [effect]))
    assert core.vector == {}
    assert core.status()["buffered_deltas"] == 1
    core.receive(0, 1, Gossip(1, 1, True, [(1, 1)], [], [cause]))
    assert core.vector == {1: 1, 2: 1}
    core.check()


def _delta(key: bytes, node: int) -> bytes:
    from comity.store.lattices import Lattices

    delta, _ = Lattices().mutate(payload_of(2, [[b"SET", key, b"v"]]), None, node, 1, 1, 0)
    assert delta is not None
    return delta


@pytest.mark.parametrize(
    "batch",
    [
        Batch(1, 1, 1, 0, [], [(b"k", b"x")]),
        Batch(0, 0, 1, 0, [], [(b"k", b"x")]),
        Batch(3, 0, 1, 0, [], [(b"k", b"x")]),
        Batch(1, 0, 1, 0, [], []),
        Batch(1, 0, 1, 0, [], [(b"k", b"x")]),
        Batch(1, 0, 1, 0, [], [(b"k", _delta(b"k", 1)), (b"k", _delta(b"k", 1))]),
    ],
)
def test_illegal_batches_are_counted_and_dropped(batch: Batch) -> None:
    core = Cluster(4, 3).core(3)
    core.receive(0, 1, Gossip(1, 1, True, [], [], [batch]))
    assert core.vector == {}
    assert sum(core.dropped_counts().values()) == 1
    core.check()


def test_messages_of_strangers_and_of_older_views_are_dropped() -> None:
    core = Cluster(4, 3).core(3)
    core.receive(0, 9, Gossip(1, 1, True, []))
    core.receive(0, 1, Gossip(0, 1, True, []))
    core.receive(0, 1, "nonsense")
    assert list(core.dropped_counts()) == ["not a message of gossip", "not of this view", "of an older view"]


def test_a_tombstone_stays_while_a_member_is_away_and_goes_when_it_is_back() -> None:
    cluster = ready()
    cluster.do(1, "SET", "k", "v")
    cluster.run(500)
    cluster.partition((1, 2), (3,))
    cluster.do(1, "DEL", "k")
    cluster.run(3000)
    status = cluster.core(1).status()
    assert status["tombstones"] == 1
    assert status["holding_up"] == [3]
    assert status["peers"]["3"]["lag_deltas"] == 1
    assert status["peers"]["3"]["lag_ms"] > 2000
    cluster.heal()
    cluster.run(3000)
    for number in (1, 2, 3):
        assert cluster.core(number).status()["tombstones"] == 0
        assert not [key for _, key, _ in cluster.nodes[number].cells.walk() if key[:1] in (b"k", b"d")]


def test_a_member_that_was_away_too_long_gets_the_full_state_and_keeps_its_own_writes() -> None:
    cluster = ready(options=TINY)
    cluster.partition((1, 2), (3,))
    cluster.do(3, "SET", "mine", "3")
    for number in range(40):
        cluster.do(1, "SET", f"key{number}", "v")
    assert cluster.core(1).status()["log_bytes"] < 1000, "the log is bounded"
    cluster.heal()
    cluster.run(5000)
    assert cluster.core(3).status()["transfers"] >= 1
    assert cluster.digest(1) == cluster.digest(2) == cluster.digest(3)
    assert len(cluster.digest(3)) == 41


def test_what_came_as_cells_is_read_with_a_token_that_names_it() -> None:
    """The cells may be durable before the vector is that says so: then a reader waits for that."""
    cluster = ready(options=TINY, sync_ms=20)
    cluster.partition((1, 2), (3,))
    for number in range(40):
        cluster.do(1, "SET", f"key{number}", "v")
    count = cluster.core(1).counter
    cluster.heal()
    core = cluster.core(3)
    while not core.transfers or not core.ready:
        cluster.run(0.1)
        assert cluster.now_ns < 60_000 * 1_000_000
    outcomes: list[Outcome] = []
    cluster.ask(3, [[b"GET", b"key0"]], outcomes.append, writes=False)
    cluster.run(100)
    assert dict(decode_token(token_of(outcomes[0])) or {})[1] >= count


def test_a_new_node_gets_everything_before_it_serves_and_the_view_settles() -> None:
    cluster = ready(options=TINY)
    for number in range(20):
        cluster.do(1, "SET", f"key{number}", "v")
    cluster.add(4)
    cluster.give_view(View(2, (1, 2, 3), (4,)))
    outcome = cluster.do(4, "GET", "key1", writes=False)
    assert isinstance(outcome, Refused)
    cluster.run(3000)
    assert [cluster.core(number).settled for number in (1, 2, 3, 4)] == [2] * 4
    cluster.give_view(View(3, (1, 2, 3, 4)))
    cluster.run(500)
    assert cluster.read(4, "key7") == b"$1\r\nv\r\n"


def test_a_node_that_leaves_no_longer_holds_anything_up() -> None:
    cluster = ready()
    cluster.do(1, "SET", "k", "v")
    cluster.run(500)
    cluster.partition((1, 2), (3,))
    cluster.do(1, "DEL", "k")
    cluster.run(500)
    cluster.give_view(View(2, (1, 2)), but=(3,))
    cluster.run(3000)
    assert cluster.core(1).status()["tombstones"] == 0
    assert cluster.core(1).settled == 2


def test_a_removed_node_that_comes_back_starts_over_and_revives_nothing() -> None:
    cluster = ready()
    cluster.do(3, "SET", "k", "v")
    cluster.run(500)
    cluster.partition((1, 2), (3,))
    cluster.do(1, "DEL", "k")
    cluster.do(3, "SET", "unseen", "v")
    cluster.give_view(View(2, (1, 2)), but=(3,))
    cluster.run(3000)
    cluster.heal()
    cluster.give_view(View(3, (1, 2, 3)))
    cluster.run(3000)
    core = cluster.core(3)
    assert core.ready
    assert core.status()["discarded"] == 1, "what only it had is given up, and shown"
    assert core.origin != 3, "its dots are never used twice"
    assert cluster.digest(1) == cluster.digest(2) == cluster.digest(3) == {}


def test_a_restarted_replica_goes_on_with_what_was_durable() -> None:
    cluster = ready()
    for _ in range(5):
        cluster.do(1, "INCR", "k")
    cluster.crash(1)
    cluster.start(1)
    assert cluster.read(1, "k") == b"$1\r\n5\r\n"
    cluster.do(1, "INCR", "k")
    cluster.run(2000)
    assert cluster.digest(3) == {b"k": b"6"}
    assert cluster.core(1).counter == 6


def test_an_idle_cluster_seldom_speaks() -> None:
    cluster = ready()
    cluster.run(3000)
    cluster.sent.clear()
    cluster.run(10_000)
    assert len(cluster.sent) <= 3 * 2 * 2 * 15, "a question and an answer a pair and second"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fanout": 0}, "fanout must be 1 or more"),
        ({"idle_ns": 1, "round_ns": 2, "retry_ns": 1}, r"idle_ns \(1\) must be at least round_ns"),
        ({"max_log_bytes": 1}, "would always need full state"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_their_name(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GossipOptions(**options)
