"""One rule at a time, over a quiet cluster."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.protocols.paxos.cluster import MS, Cluster, Disk
from tests.unit.protocols.paxos.semantics import Commands, command, result

from comity.protocols.paxos import PROTOCOL, PaxosCore, PaxosOptions
from comity.protocols.paxos.messages import (
    CODEC,
    Accept,
    Answers,
    Asks,
    Conflict,
    Erase,
    Prepare,
    Promised,
    Stale,
)
from comity.protocols.paxos.registers import Register, decode_acceptance, encode_register
from comity.replica import (
    Answered,
    CoreContext,
    KeyOperation,
    Members,
    Outcome,
    Refused,
    Stream,
    Unknown,
    UnusableRecord,
    View,
)

KEY = b"a"


def alone(disk: Disk | None = None, node: int = 1, **options: Any) -> PaxosCore:
    """Replica 1 of 1-3, with the test for its peers and its disk."""
    context = CoreContext(
        node=node,
        group="g",
        members=Members(voters=()),
        stream=lambda label: Stream(1, label),
        note=lambda event, **fields: None,
        view=View(1, (1, 2, 3)),
    )
    core = PaxosCore(context, PaxosOptions(**options), disk if disk is not None else Disk(), Commands())
    core.start(0)
    core.take(0)
    core.persisted(0, 1)
    return core


def do(core: PaxosCore, request: int, *payload: Any, writes: bool = True, key: bytes = KEY) -> None:
    operation = KeyOperation(key=key, payload=command(*payload), writes=writes, level="linearizable")
    core.execute(0, request, operation)


def replies(effects: Any) -> dict[int, Outcome]:
    return {reply.request: reply.outcome for reply in effects.reply}


def ask(cluster: Cluster, number: int, *payload: Any, key: bytes = KEY, **how: Any) -> Any:
    outcome = cluster.ask(number, key, command(*payload), **how)
    assert isinstance(outcome, Answered), outcome
    return result(outcome.reply)


def read(cluster: Cluster, number: int, key: bytes = KEY) -> Any:
    return ask(cluster, number, "GET", key=key, writes=False)


# -- rounds


def test_a_proposer_that_wrote_a_key_last_writes_it_again_in_one_round_trip() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    for number in range(2, 6):
        assert ask(cluster, 1, "INCR") == number
    counts = cluster[1].status()["counts"]
    assert counts["two_round_trips"] == 1
    assert counts["one_round_trip"] == 4


def test_any_replica_takes_over_a_key_with_one_more_round_trip() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    cluster.run(20 * MS)
    assert ask(cluster, 2, "INCR") == 2
    assert ask(cluster, 1, "INCR") == 3  # the cached promise of 1 was overtaken: one conflict, nothing lost
    assert read(cluster, 3) == "3"
    assert cluster[2].counts.get("conflicts", 0) == 0


def test_operations_that_wait_for_one_key_run_in_one_round_in_their_order() -> None:
    cluster = Cluster(1)
    outcomes: list[Outcome] = []
    for _ in range(50):
        cluster.execute(1, KEY, command("INCR"), outcomes.append)
    cluster.run(100 * MS)
    assert [result(outcome.reply) for outcome in outcomes if isinstance(outcome, Answered)] == list(
        range(1, 51)
    )
    assert cluster[1].status()["rounds"] <= 3


def test_all_keys_of_a_turn_go_in_one_message_to_each_peer() -> None:
    core = alone()
    for number in range(20):
        do(core, number, "INCR", key=b"%d" % number)
    effects = core.take(0)
    assert [send.peer for send in effects.send] == [2, 3]
    assert all(len(send.message.items) == 20 for send in effects.send)
    assert effects.send[0].message is effects.send[1].message


def test_a_message_grows_no_larger_than_the_options_say() -> None:
    core = alone(max_message_items=8)
    for number in range(20):
        do(core, number, "INCR", key=b"%d" % number)
    sizes = [len(send.message.items) for send in core.take(0).send if send.peer == 2]
    assert sizes == [8, 8, 4]


def test_too_many_waiting_operations_are_refused() -> None:
    core = alone(max_waiting=4, max_round_operations=4)
    for request in range(6):
        do(core, request, "INCR")
    outcomes = replies(core.take(0))
    assert sorted(outcomes) == [4, 5]
    assert all(isinstance(o, Refused) and o.reason == "overloaded" for o in outcomes.values())


def test_duelling_proposers_both_get_through() -> None:
    for seed in range(10):
        duel(Cluster(seed))


def duel(cluster: Cluster) -> None:
    outcomes: list[Outcome] = []
    for _ in range(10):
        for number in (1, 2, 3):
            cluster.execute(number, KEY, command("INCR"), outcomes.append, deadline_ns=5_000 * MS)
        cluster.run(2 * MS)
    assert cluster.run(5_000 * MS, lambda: len(outcomes) == 30)
    got = sorted(result(outcome.reply) for outcome in outcomes if isinstance(outcome, Answered))
    assert got == list(range(1, 31))


def test_back_off_is_random_grows_and_is_bounded() -> None:
    core = alone(backoff_ns=4 * MS, backoff_max_ns=32 * MS)
    drawn = [core.backoff_ns(losses) for losses in range(1, 40)]
    assert all(MS <= drawn_ns <= 32 * MS for drawn_ns in drawn)
    assert max(drawn[:1]) <= 4 * MS
    assert len(set(drawn[10:])) > 5


# -- durability


def test_a_promise_leaves_only_when_it_is_durable() -> None:
    core = alone()
    core.receive(0, 2, Asks(1, 0, [Prepare(KEY, 5)]))
    effects = core.take(0)
    assert not effects.send
    assert isinstance(effects.send_durable[0].message.items[0], Promised)


def test_an_own_acceptance_counts_only_when_it_is_durable() -> None:
    core = alone()
    do(core, 1, "SET", "x")
    prepare = core.take(0).send[0].message.items[0]
    core.receive(0, 2, Answers(1, 0, [Promised(KEY, prepare.counter, (0, 0), None)]))
    assert not core.take(0).send  # its own promise is on its way to the disk
    core.persisted(0, 2)
    assert isinstance(core.take(0).send[0].message.items[0], Accept)


def test_ballots_are_durable_before_they_leave_and_never_drawn_twice() -> None:
    disk = Disk()
    context_core = PaxosCore(
        CoreContext(
            node=1,
            group="g",
            members=Members(voters=()),
            stream=lambda label: Stream(1, label),
            note=lambda event, **fields: None,
            view=View(1, (1, 2, 3)),
        ),
        PaxosOptions(),
        disk,
        Commands(),
    )
    context_core.start(0)
    do(context_core, 1, "INCR")
    effects = context_core.take(0)
    assert not effects.send  # the bound is not durable yet
    first = effects.send_durable[0].message.items[0].counter
    again = alone(disk)
    do(again, 1, "INCR")
    assert again.take(0).send[0].message.items[0].counter > first + 1_000


def test_bookkeeping_that_cannot_be_read_stops_the_replica() -> None:
    disk = Disk()
    disk.put(b"b", b"\xc1")
    with pytest.raises(UnusableRecord, match="cannot be read"):
        alone(disk)


# -- exactly once


def chosen_by_half(core: PaxosCore) -> Accept:
    """Bring request 1 (an INCR) to its accept, and let nobody answer."""
    do(core, 1, "INCR")
    prepare = core.take(0).send[0].message.items[0]
    for peer in (2, 3):
        core.receive(0, peer, Answers(1, 0, [Promised(KEY, prepare.counter, (0, 0), None)]))
    accept = core.take(0).send[0].message.items[0]
    assert isinstance(accept, Accept)
    return accept


def lose(core: PaxosCore, counter: int, *, clean: bool) -> Prepare:
    """Both peers refuse; after its back-off the core prepares anew."""
    for peer in (2, 3):
        core.receive(0, peer, Answers(1, 0, [Conflict(KEY, counter, (counter + 50, 2), clean)]))
    core.take(0)
    core.wake(1_000 * MS)
    prepare = core.take(1_000 * MS).send[0].message.items[-1]
    assert isinstance(prepare, Prepare)
    return prepare


def test_a_refused_ballot_is_given_up_although_an_acceptor_is_silent() -> None:
    """One refuses, the third never answers: waiting for it would last until the request's deadline."""
    core = alone()
    accept = chosen_by_half(core)
    core.receive(0, 2, Answers(1, 0, [Conflict(KEY, accept.counter, (accept.counter + 50, 2), False)]))
    core.take(0)
    core.wake(core.deadline_ns)
    core.take(core.deadline_ns)
    core.wake(1_000 * MS)
    prepare = core.take(1_000 * MS).send[0].message.items[-1]
    assert isinstance(prepare, Prepare)
    assert prepare.counter > accept.counter + 50


def test_an_increment_found_in_the_register_is_not_applied_again() -> None:
    core = alone()
    accept = chosen_by_half(core)
    prepare = lose(core, accept.counter, clean=False)
    found = Promised(KEY, prepare.counter, (accept.counter, 1), accept.value)
    for peer in (2, 3):
        core.receive(0, peer, Answers(1, 0, [found]))
    again = core.take(0).send[0].message.items[0]
    assert msgspec.msgpack.decode(again.value)[0] == b"1"


def test_an_increment_that_others_built_on_is_not_applied_again() -> None:
    core = alone()
    accept = chosen_by_half(core)
    prepare = lose(core, accept.counter, clean=False)
    later = encode_register(Register(b"7", ((1, accept.counter), (2, accept.counter + 50))))
    for peer in (2, 3):
        found = Promised(KEY, prepare.counter, (accept.counter + 50, 2), later)
        core.receive(0, peer, Answers(1, 0, [found]))
    again = core.take(0).send[0].message.items[0]
    assert msgspec.msgpack.decode(again.value)[0] == b"7"
    core.persisted(0, core.written)


def test_an_increment_that_is_not_in_the_register_is_applied_to_what_is() -> None:
    core = alone()
    accept = chosen_by_half(core)
    prepare = lose(core, accept.counter, clean=False)
    other = encode_register(Register(b"7", ((2, accept.counter + 50),)))
    for peer in (2, 3):
        found = Promised(KEY, prepare.counter, (accept.counter + 50, 2), other)
        core.receive(0, peer, Answers(1, 0, [found]))
    again = core.take(0).send[0].message.items[0]
    assert msgspec.msgpack.decode(again.value)[0] == b"8"


def test_an_increment_is_looked_up_through_several_lost_rounds() -> None:
    core = alone()
    first = chosen_by_half(core)
    prepare = lose(core, first.counter, clean=False)
    for peer in (2, 3):  # nobody in this quorum has the first one
        core.receive(0, peer, Answers(1, 0, [Promised(KEY, prepare.counter, (0, 0), None)]))
    second = core.take(0).send[0].message.items[0]
    prepare = lose(core, second.counter, clean=False)
    for peer in (2, 3):  # and then it is the first one that comes back
        core.receive(
            0, peer, Answers(1, 0, [Promised(KEY, prepare.counter, (first.counter, 1), first.value)])
        )
    third = core.take(0).send[0].message.items[0]
    assert msgspec.msgpack.decode(third.value)[0] == b"1"


def test_abandoned_before_its_accept_left_it_certainly_did_not_happen() -> None:
    core = alone()
    do(core, 1, "INCR")
    core.take(0)
    assert isinstance(core.abandon(0, 1), Refused)


def test_abandoned_after_its_accept_left_nobody_knows() -> None:
    core = alone()
    chosen_by_half(core)
    assert isinstance(core.abandon(0, 1), Unknown)


def test_abandoned_after_every_acceptor_said_it_never_accepted_it_certainly_did_not_happen() -> None:
    core = alone()
    do(core, 1, "INCR")
    prepare = core.take(0).send[0].message.items[0]
    core.receive(0, 3, Asks(1, 0, [Prepare(KEY, prepare.counter + 5)]))  # its own acceptor promises another
    for peer in (2, 3):
        core.receive(0, peer, Answers(1, 0, [Promised(KEY, prepare.counter, (0, 0), None)]))
    accept = core.take(0).send[0].message.items[0]
    core.persisted(0, core.written)
    for peer in (2, 3):
        core.receive(0, peer, Answers(1, 0, [Conflict(KEY, accept.counter, (accept.counter + 50, 2), True)]))
    core.take(0)
    core.persisted(0, core.written)
    assert isinstance(core.abandon(0, 1), Refused)


def test_a_refusal_that_may_hide_an_acceptance_leaves_the_outcome_unknown() -> None:
    core = alone()
    accept = chosen_by_half(core)
    for peer in (2, 3):
        core.receive(0, peer, Answers(1, 0, [Conflict(KEY, accept.counter, (accept.counter + 50, 2), False)]))
    core.take(0)
    assert isinstance(core.abandon(0, 1), Unknown)


def test_a_change_undecided_when_the_view_changes_is_unknown_not_repeated() -> None:
    core = alone()
    accept = chosen_by_half(core)
    core.view(0, View(2, (1, 2, 3)))
    prepare = core.take(0).send[0].message.items[-1]
    assert prepare.counter > accept.counter
    for peer in (2, 3):
        core.receive(0, peer, Answers(2, 0, [Promised(KEY, prepare.counter, (0, 0), None)]))
    assert isinstance(replies(core.take(0))[1], Unknown)


# -- reads


def test_a_read_of_a_quiet_key_is_one_round_trip_and_writes_nothing() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    cluster.run(50 * MS)
    written = [node.disk.written for node in cluster.nodes.values()]
    assert read(cluster, 2) == "1"
    assert [node.disk.written for node in cluster.nodes.values()] == written


def test_reading_a_key_that_is_not_there_leaves_nothing_behind() -> None:
    cluster = Cluster(1)
    assert read(cluster, 2, key=b"nothing") is None
    assert not any(name[:1] == b"k" for node in cluster.nodes.values() for name in node.disk.cells)


def test_a_read_that_sees_different_ballots_makes_one_of_them_chosen() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    cluster.isolate(3)
    ask(cluster, 1, "SET", "2")
    cluster.heal()
    cluster.crash(1)
    assert read(cluster, 2) == "2"
    assert cluster[2].counts["identity_reads"] == 1
    assert read(cluster, 3) == "2"


def test_a_read_that_changes_the_value_does_so_in_a_round() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    cluster.run(20 * MS)
    assert ask(cluster, 2, "READ_ONCE", writes=False) == "1"
    assert read(cluster, 3) is None


def test_reads_of_one_turn_share_one_question() -> None:
    core = alone()
    for request in range(5):
        do(core, request, "GET", writes=False)
    assert [len(send.message.items) for send in core.take(0).send] == [1, 1]


# -- removal


def holding(cluster: Cluster) -> list[int]:
    return [number for number, node in cluster.nodes.items() if b"k" + KEY in node.disk.cells]


def test_a_removed_key_leaves_nothing_behind() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    assert ask(cluster, 2, "DEL") == 1
    assert cluster[2].status()["tombstones"] == 1
    assert cluster.run(500 * MS, lambda: not holding(cluster))
    cluster.run(10 * MS)
    assert cluster[2].status()["tombstones"] == 0
    assert read(cluster, 3) is None
    assert ask(cluster, 1, "INCR") == 1


def test_a_tombstone_waits_for_the_node_that_is_down() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    cluster.crash(3, keep=99)
    ask(cluster, 1, "DEL")
    cluster.run(1_000 * MS)
    assert holding(cluster) == [1, 2, 3]
    assert read(cluster, 2) is None
    cluster.start(3)
    assert cluster.run(3_000 * MS, lambda: not holding(cluster))


def test_what_is_late_for_a_removed_register_is_refused() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    ask(cluster, 1, "DEL")
    cluster.run(500 * MS, lambda: not holding(cluster))
    late = Asks(1, 0, [Accept(KEY, 1, 0, encode_register(Register(b"1")))])
    cluster[3].receive(cluster.now_ns, 1, late)
    cluster.turn(3)
    assert not holding(cluster)


def test_a_register_that_is_used_again_is_not_removed() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    ask(cluster, 1, "DEL")
    tombstone = decode_acceptance(cluster.nodes[2].disk.cells[b"k" + KEY])
    ask(cluster, 2, "SET", "2")
    cluster[2].receive(cluster.now_ns, 1, Asks(1, 0, [Erase(KEY, tombstone.accepted)]))
    cluster.turn(2)
    assert read(cluster, 2) == "2"


def test_tombstones_of_a_proposer_that_crashed_are_found() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    ask(cluster, 1, "DEL")
    cluster.crash(1, keep=99)
    cluster.start(1)
    assert cluster.run(3_000 * MS, lambda: not holding(cluster))


def test_remembered_tombstones_are_bounded() -> None:
    options = PaxosOptions(max_tombstones=4, collect_window=2, collect_ns=20 * MS, sweep_ns=10 * MS)
    cluster = Cluster(1, options=options)
    for number in range(12):
        ask(cluster, 1, "SET", "1", key=b"%d" % number)
        ask(cluster, 1, "DEL", key=b"%d" % number)
        assert len(cluster[1].tombstones) <= 4

    def left() -> bool:
        return any(name[:1] == b"k" for node in cluster.nodes.values() for name in node.disk.cells)

    assert cluster.run(10_000 * MS, lambda: not left())


# -- views


def move(cluster: Cluster, nodes: tuple[int, ...]) -> None:
    """As the control group does it: joint view, settled, view."""
    view = cluster.latest
    cluster.give(View(view.epoch + 1, nodes, outgoing=view.nodes))
    assert cluster.run(3_000 * MS, cluster.has_settled)
    cluster.give(View(view.epoch + 2, nodes))
    cluster.run(20 * MS)


def test_keys_move_to_replicas_that_have_nothing_in_common_with_those_before() -> None:
    cluster = Cluster(1, 6, view=View(1, (1, 2, 3)))
    for number in range(30):
        ask(cluster, 1, "SET", str(number), key=b"%d" % number)
    move(cluster, (4, 5, 6))
    for number in (1, 2, 3):
        cluster.crash(number)
    for number in range(30):
        assert read(cluster, 5, key=b"%d" % number) == str(number)


def test_keys_move_a_few_at_a_time() -> None:
    cluster = Cluster(1, 4, view=View(1, (1, 2, 3)))
    for number in range(30):
        ask(cluster, 1, "SET", str(number), key=b"%d" % number)
    most = 0

    def settled() -> bool:
        nonlocal most
        for number in cluster.up():
            mover = cluster[number].mover
            most = max(most, len(mover.inflight) if mover is not None else 0)
        return cluster.has_settled()

    cluster.give(View(2, (1, 2, 4), outgoing=(1, 2, 3)))
    assert cluster.run(3_000 * MS, settled)
    assert most == cluster.options.move_window == 4


def test_while_keys_move_both_majorities_are_needed() -> None:
    cluster = Cluster(1, 5, view=View(1, (1, 2, 3)))
    ask(cluster, 1, "SET", "1")
    cluster.give(View(2, (3, 4, 5), outgoing=(1, 2, 3)))
    cluster.run(20 * MS)
    for number in (1, 2):
        cluster.crash(number)
    assert not isinstance(cluster.ask(3, KEY, command("SET", "2")), Answered)


def test_a_message_of_an_older_view_is_answered_with_the_epoch_and_nothing_else() -> None:
    core = alone()
    core.view(0, View(5, (1, 2, 3)))
    core.take(0)
    core.receive(0, 2, Asks(1, 0, [Prepare(KEY, 5)]))
    effects = core.take(0)
    assert [send.message for send in effects.send] == [Stale(5)]
    assert not effects.write
    assert not effects.send_durable


def test_an_acceptor_outside_the_view_answers_nothing() -> None:
    core = alone(node=4)
    core.receive(0, 2, Asks(1, 0, [Prepare(KEY, 5)]))
    effects = core.take(0)
    assert not effects.send
    assert not effects.send_durable


def test_the_epoch_survives_a_crash() -> None:
    cluster = Cluster(1)
    cluster.give(View(7, (1, 2, 3)))
    cluster.run(20 * MS)
    cluster.latest = View(0, ())  # the control group cannot be asked
    cluster.crash(1)
    cluster.start(1)
    assert cluster[1].current == View(7, (1, 2, 3))


def test_a_replica_that_comes_back_forgets_what_was_removed_without_it() -> None:
    cluster = Cluster(1, 4, view=View(1, (1, 2, 3)))
    ask(cluster, 1, "SET", "1")
    cluster.run(20 * MS)
    move(cluster, (1, 2, 4))
    ask(cluster, 1, "DEL")
    cluster.run(500 * MS, lambda: holding(cluster) == [3])
    assert holding(cluster) == [3]
    move(cluster, (1, 2, 3))
    assert holding(cluster) == []
    assert read(cluster, 3) is None


def test_an_older_view_is_ignored() -> None:
    cluster = Cluster(1)
    cluster.adopt(1, View(0, (9,)))
    assert cluster[1].current.epoch == 1


# -- illegal input


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        Asks(1, 0, [Accept(KEY, 5, 3, encode_register(Register(b"1")))]),
        Asks(1, 0, [Accept(KEY, 5, 0, b"\xc1 no register")]),
    ],
)
def test_illegal_messages_are_counted_and_dropped(message: Any) -> None:
    core = alone()
    core.receive(0, 2, message)
    effects = core.take(0)
    assert not effects.send_durable
    assert sum(core.dropped.values()) == 1
    core.check()


@pytest.mark.parametrize("sender", [0, 1, 9])
def test_messages_of_impossible_senders_are_dropped(sender: int) -> None:
    core = alone()
    core.receive(0, sender, Asks(1, 0, [Prepare(KEY, 5)]))
    assert sum(core.dropped.values()) == 1


def test_bytes_that_are_no_message_are_refused_by_the_codec() -> None:
    for data in (b"", b"\x93\x01\x02", CODEC.encode(Asks(1, 0, []))[:-1]):
        with pytest.raises(msgspec.DecodeError):
            CODEC.decode(data)
    with pytest.raises(msgspec.ValidationError):
        CODEC.decode(msgspec.msgpack.encode([1, 1, 0, [[1, b"a", -1]]]))


def test_options_that_make_no_sense_say_what_would() -> None:
    with pytest.raises(ValueError, match="retry_ns must be 1 or more"):
        PaxosOptions(retry_ns=0)
    with pytest.raises(ValueError, match="must be at least backoff_ns"):
        PaxosOptions(backoff_ns=500 * MS)


# -- a cluster of one, and the looks of it


def test_one_replica_alone_is_a_keyspace() -> None:
    cluster = Cluster(1, 1)
    assert ask(cluster, 1, "INCR") == 1
    assert ask(cluster, 1, "INCR") == 2
    assert read(cluster, 1) == "2"
    assert ask(cluster, 1, "DEL") == 1
    assert cluster.run(500 * MS, lambda: not holding(cluster))


def test_any_one_node_may_die_without_a_gap() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    for number in (1, 2, 3):
        cluster.crash(number)
        other = number % 3 + 1
        before_ns = cluster.now_ns
        ask(cluster, other, "INCR")
        assert cluster.now_ns - before_ns < 20 * MS
        cluster.start(number)
        cluster.run(20 * MS)


def test_the_client_s_value_can_be_told_from_a_cell() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    assert cluster[1].client_value(cluster.nodes[1].disk.cells[b"k" + KEY]) == b"1"
    ask(cluster, 1, "DEL")
    assert cluster[1].client_value(cluster.nodes[1].disk.cells[b"k" + KEY]) is None


def test_status_is_plain() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    status = msgspec.json.decode(msgspec.json.encode(cluster[1].status()))
    assert status["role"] == "replica"
    assert {"rounds", "one_round_trip_share", "conflicts", "backoffs", "tombstones", "waiting"} <= set(status)


def test_an_idle_replica_wants_nothing() -> None:
    cluster = Cluster(1)
    ask(cluster, 1, "SET", "1")
    cluster.run(5_000 * MS)
    assert not cluster.events
    assert not any(cluster[number].busy for number in (1, 2, 3))


def test_the_protocol_is_found() -> None:
    assert PROTOCOL.name == "paxos"
    assert PROTOCOL.semantics == "register"
