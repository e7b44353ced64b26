"""The rules of a chain, one test each."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.protocols.chain.plans import isolate
from tests.unit.protocols.chain.world import MS, SECOND, World

from comity.protocols.chain import ChainOptions
from comity.protocols.chain.messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    InstallSnapshot,
    ReadIndex,
    ReadIndexReply,
    SnapshotReply,
)
from comity.replica import (
    REASON_NO_LEADER,
    REASON_NOT_LEADER,
    REASON_OVERLOADED,
    Accepted,
    InvariantBroken,
    ReadAt,
    Refused,
    View,
)

CONFIRM = ChainOptions(reads="confirm")


def world_of(nodes: int = 3, options: ChainOptions | None = None, view: View | None = None) -> World:
    """A chain 1, 2, ..., at rest, with one entry committed besides the no-op."""
    world = World(1, nodes, options, view=view)
    world.propose(1, b"a", 1)
    world.run(SECOND)
    return world


def leave_out(world: World, number: int, tell: bool = True) -> View:
    """The next view, without that node; it hears of it only if told."""
    old = world.view
    nodes = tuple(node for node in old.nodes if node != number)
    joining = tuple(node for node in old.joining if node != number)
    world.view = View(old.epoch + 1, nodes, joining)
    for node in sorted(world.nodes):
        if (tell or node != number) and world.nodes[node].core is not None:
            world.hear(node, world.view)
    return world.view


def receive(world: World, receiver: int, sender: int, message: Any) -> None:
    node = world.nodes[receiver]
    world.step(node, node.life, lambda core, now_ns: core.receive(now_ns, sender, message))


def commits(world: World) -> list[int]:
    return [world[number].commit for number in sorted(world.nodes)]


# -- writes


def test_a_write_is_committed_once_every_node_of_the_chain_has_it_durable() -> None:
    world = world_of()
    assert commits(world) == [2, 2, 2]
    isolate(world, 3)
    outcome = world.propose(1, b"a", 2)
    world.run(500 * MS)
    assert outcome == [Accepted(3)]
    assert (world[2].durable_index, commits(world)) == (3, [2, 2, 2])
    world.cut = set()
    world.run(SECOND)
    assert commits(world) == [3, 3, 3]


def test_only_the_head_takes_proposals_and_others_name_it() -> None:
    world = world_of()
    for number in (2, 3):
        (outcome,) = world.propose(number, b"a", 2)
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.leader) == (REASON_NOT_LEADER, 1)
    assert [world[number].leader for number in (1, 2, 3)] == [1, 1, 1]


def test_an_entry_goes_on_only_when_it_is_durable() -> None:
    world = world_of()
    sent = world.messages["Append"]
    world.propose(1, b"a", 2)
    assert world[1].log.last == 3
    assert world.messages["Append"] == sent
    world.run(2 * MS + 1)
    assert world.messages["Append"] > sent


def test_the_log_of_a_node_is_at_all_times_a_prefix_of_its_predecessors() -> None:
    world = World(3)
    for value in range(200):
        world.propose(1, b"a", value + 1)
        world.run(300_000)
        ends = [world[number].durable_index for number in (1, 2, 3)]
        assert ends == sorted(ends, reverse=True)
        assert world[3].commit <= ends[2]
    world.run(SECOND)
    assert commits(world) == [201, 201, 201]


def test_a_chain_of_one_commits_what_is_durable() -> None:
    world = world_of(1)
    assert (commits(world), world[1].status()["role"]) == ([2], "alone")
    assert world.ask(1, [b"a"]) == [ReadAt(2)]


def test_the_head_refuses_what_would_be_too_much() -> None:
    world = world_of(options=ChainOptions(max_uncommitted_bytes=300))
    isolate(world, 1)
    outcomes = [world.propose(1, b"a", value)[0] for value in range(2, 12)]
    assert isinstance(outcomes[0], Accepted)
    assert isinstance(outcomes[-1], Refused)
    assert outcomes[-1].reason == REASON_OVERLOADED


def test_what_is_in_flight_to_a_successor_is_bounded() -> None:
    world = world_of(options=ChainOptions(max_append_bytes=100, max_inflight_bytes=300))
    world.cut = {(2, 1)}
    for value in range(2, 40):
        world.propose(1, b"a", value)
    world.run(50 * MS)
    peer = world[1].peers[2]
    assert 0 < peer.inflight_bytes <= 300 + 100
    world.cut = set()
    world.run(2 * SECOND)
    assert commits(world) == [40, 40, 40]


def test_what_was_lost_is_sent_again() -> None:
    world = world_of()
    world.loss = 0.4
    for value in range(2, 30):
        world.propose(1, b"a", value)
        world.run(10 * MS)
    world.loss = 0.0
    world.run(SECOND)
    assert commits(world) == [30, 30, 30]


# -- failures


def test_the_head_fails_and_the_next_begins_with_a_no_op_of_its_epoch() -> None:
    world = world_of()
    world.crash(1)
    leave_out(world, 1)
    world.run(2 * SECOND)
    assert (world[2].leader, world[2].log.last_term, world[2].log.last) == (2, 2, 3)
    assert world[2].log.entry(3).kind == 1
    assert isinstance(world.propose(2, b"a", 2)[0], Accepted)
    world.run(SECOND)
    assert world[3].commit == world[2].commit == 4


def test_the_middle_fails_and_its_predecessor_sends_the_new_successor_what_it_lacks() -> None:
    world = world_of()
    world.cut = {(2, 3)}
    world.propose(1, b"a", 2)
    world.run(200 * MS)
    assert [world[number].log.last for number in (1, 2, 3)] == [3, 3, 2]
    world.crash(2)
    leave_out(world, 2)
    world.run(2 * SECOND)
    assert world[1].commit == world[3].commit == 4
    assert world.nodes[3].machine.values == {b"a": 2}


def test_the_tail_fails_and_its_predecessor_commits_what_it_holds() -> None:
    world = world_of()
    isolate(world, 3)
    world.propose(1, b"a", 2)
    world.run(200 * MS)
    leave_out(world, 3, tell=False)
    world.run(2 * SECOND)
    assert commits(world) == [4, 4, 2]
    assert world[2].status()["role"] == "tail"


def test_a_head_that_comes_back_in_the_same_epoch_goes_on() -> None:
    world = world_of()
    world.propose(1, b"a", 2)  # not durable: nobody has seen it
    world.crash(1)
    world.start(1)
    world.run(SECOND)
    assert isinstance(world.propose(1, b"a", 3)[0], Accepted)
    world.run(SECOND)
    assert commits(world) == [3, 3, 3]
    assert world.nodes[3].machine.values == {b"a": 3}


def test_a_returning_node_drops_what_was_never_committed() -> None:
    world = world_of()
    isolate(world, 1)
    for value in (7, 8, 9):
        world.propose(1, b"a", value)
    world.run(100 * MS)
    leave_out(world, 1, tell=False)
    world.run(2 * SECOND)
    world.propose(2, b"b", 2)
    world.cut = set()
    world.give(View(3, (2, 3), (1,)))
    world.run(SECOND)
    assert world[3].caught_up == (1,)
    assert world[1].log.last == world[3].log.last == world[1].commit
    assert world.nodes[1].machine.values == {b"a": 1, b"b": 2}


def test_a_node_left_out_serves_nothing() -> None:
    world = world_of()
    leave_out(world, 3)
    (read,) = world.ask(3, [b"a"])
    assert isinstance(read, Refused)
    assert read.reason == REASON_NO_LEADER
    (proposal,) = world.propose(3, b"a", 2)
    assert isinstance(proposal, Refused)
    assert proposal.leader == 1
    assert world[3].status()["role"] == "out"


# -- epochs


def test_messages_of_other_epochs_are_refused() -> None:
    world = world_of()
    leave_out(world, 3)
    world.run(2 * SECOND)
    before = world[2].status()
    for epoch, reason in ((1, "of an older epoch"), (3, "of a newer epoch")):
        for message in (
            Append(epoch, 3, 2, 3, [Entry(epoch, 0, b"x")]),
            AppendReply(epoch, 9, 9),
            Heartbeat(epoch, 1, 9, 9, (), []),
            ReadIndex(epoch, 1),
            ReadIndexReply(epoch, 1, 1),
            InstallSnapshot(epoch, 9, 1, b"", b"", b"", b""),
            SnapshotReply(epoch, 9, b""),
        ):
            receive(world, 2, 1, message)
        assert world[2].dropped[reason] == 7
    after = world[2].status()
    assert {**after, "dropped": None} == {**before, "dropped": None}


def test_older_views_are_ignored_and_views_may_be_skipped() -> None:
    world = world_of()
    world.hear(1, View(5, (1, 2)))
    world[1].view(0, View(4, (2, 3)))
    assert world[1].current == View(5, (1, 2))
    world[1].view(0, View(6, (1, 1)))
    assert world[1].current == View(5, (1, 2)), "a node stands in it twice"


def test_nothing_is_said_under_an_epoch_that_is_not_durable() -> None:
    world = world_of()
    node = world.nodes[2]
    sent = dict(world.messages)
    world.hear(2, View(2, (1, 2)))
    now_ns = world.clock(node)
    world.step(node, node.life, lambda core, _: core.wake(now_ns))
    assert world.messages == sent
    assert node.gated
    world.run(3 * MS)
    assert world.messages != sent


def test_the_epoch_and_who_counts_survive_a_crash() -> None:
    world = world_of(4, view=View(1, (1, 2, 3), (4,)))
    world.run(SECOND)
    assert world[3].caught_up == (4,)
    world.crash(3)
    world.nodes[3].view = View(0, ())
    world.start(3)
    assert world[3].current == View(1, (1, 2, 3), (4,))
    assert (world[3].counted, world[3].caught_up) == ((4,), (4,))


# -- joining


def test_a_joining_node_counts_for_commits_from_when_it_is_reported() -> None:
    world = world_of(3, view=View(1, (1, 2), (3,)))
    assert (world[2].caught_up, world[3].commit) == ((3,), 2)
    world.crash(3)
    world.propose(1, b"a", 2)
    world.run(SECOND)
    assert (world[1].commit, world[2].commit, world[2].caught_up) == (2, 2, (3,))
    world.start(3)
    world.run(SECOND)
    assert world[1].commit == 3


def test_a_node_far_behind_gets_a_snapshot_and_then_becomes_the_tail() -> None:
    options = ChainOptions(keep_log_bytes=1, max_log_bytes=100)
    world = world_of(3, options, View(1, (1, 2)))
    for value in range(2, 30):
        world.propose(1, b"k%d" % value, value)
    world.run(SECOND)
    world.flush(2)
    world.run(10 * MS)
    assert (world[2].log.base, world[2].commit) == (29, 30)
    assert world[2].compaction_index() == 29
    world.give(View(2, (1, 2), (3,)))
    world.run(3 * SECOND)
    assert world.messages["InstallSnapshot"] > 3
    assert world[2].caught_up == (3,)
    world.give(View(3, (1, 2, 3)))
    world.run(2 * SECOND)
    assert world[3].status()["role"] == "tail"
    assert world.nodes[3].machine == world.nodes[1].machine
    assert world[3].position == (3, 32)


def test_a_chunk_that_was_lost_is_sent_again_and_the_transfer_resumes() -> None:
    options = ChainOptions(keep_log_bytes=1, max_log_bytes=100)
    world = world_of(3, options, View(1, (1, 2)))
    for value in range(2, 60):
        world.propose(1, b"k%d" % value, value)
    world.run(SECOND)
    world.flush(2)
    world.loss = 0.1
    world.give(View(2, (1, 2), (3,)))
    world.run(20 * SECOND, lambda: bool(world[2].caught_up))
    assert world[2].caught_up == (3,)


def test_members_are_the_chain_and_who_joins_it() -> None:
    world = world_of(3, view=View(1, (2, 1), (3,)))
    members = world[1].members
    assert (members.voters, members.learners, len(members.known)) == ((1, 2), (3,), 3)


# -- reads


def test_a_clean_read_is_answered_at_once_by_any_replica() -> None:
    world = world_of()
    sent = dict(world.messages)
    for number in (1, 2, 3):
        assert world.ask(number, [b"a"]) == [ReadAt(2)]
        assert world.ask(number) == [ReadAt(2)]
        assert world[number].status()["reads_clean"] == 2
    assert world.messages == sent


def test_a_lost_question_is_asked_again_in_time_also_where_heartbeats_are_rare() -> None:
    rare = ChainOptions(
        reads="confirm", heartbeat_ns=SECOND, lease_ns=3 * SECOND, silent_ns=2 * SECOND, retry_ns=100 * MS
    )
    world = world_of(options=rare)
    world.run(100 * MS)
    node = world.nodes[1]
    outcomes: list[Any] = []
    node.answers[901] = outcomes.append
    world.cut = {(1, 2), (1, 3)}
    world.step(node, node.life, lambda core, now_ns: core.read_keys(now_ns, 901, [b"a"]))
    world.run(20 * MS)
    world[1].check()
    world.cut = set()
    world.run(200 * MS)
    assert outcomes == [ReadAt(2)]


def test_a_dirty_read_asks_the_tail_once_for_all_of_a_turn() -> None:
    world = world_of()
    world.cut = {(3, 2)}
    world.propose(1, b"a", 2)
    world.run(20 * MS)
    assert world[3].commit == 3
    assert world[1].commit == 2
    node = world.nodes[1]
    outcomes: list[Any] = []

    def three(core: Any, now_ns: int) -> None:
        for request in (901, 902, 903):
            node.answers[request] = outcomes.append
            core.read_keys(now_ns, request, [b"a"])

    world.step(node, node.life, three)
    assert outcomes == []
    assert world.ask(1, [b"b"]) == [ReadAt(2)], "another key is clean"
    asked = world.messages.get("ReadIndex", 0)
    world.run(10 * MS)
    assert outcomes == [ReadAt(3)] * 3
    assert asked == world.messages["ReadIndex"] == 1
    assert (world[1].reads_dirty, world[1].reads_clean) == (3, 1)
    assert world[1].commit == 3, "the answer is a commit notice too"


def test_a_payload_whose_keys_are_not_known_makes_every_key_dirty() -> None:
    world = world_of()
    isolate(world, 3)
    world.write("w", 1, b"z", vague=True)
    assert world[1].dirty.touches([b"a"])
    assert world.ask(1, [b"a"]) == []


def test_a_replica_cut_out_of_the_chain_answers_only_while_its_lease_lasts() -> None:
    world = world_of()
    isolate(world, 3)
    leave_out(world, 3, tell=False)
    assert world.ask(3, [b"a"]) == [ReadAt(2)]
    world.run(ChainOptions().lease_ns)
    late = world.ask(3, [b"a"])
    world.run(2 * SECOND)
    assert isinstance(late[0], Refused)


def test_a_view_that_leaves_a_node_out_commits_nothing_before_its_lease_has_run_out() -> None:
    world = world_of()
    isolate(world, 3)
    leave_out(world, 3, tell=False)
    world.propose(1, b"a", 2)
    while world[2].commit == 2:
        world.run(MS)
    fence_ns = world[2].fence_ns
    assert world.clock(world.nodes[2]) >= fence_ns
    assert fence_ns == world[2].promised_ns[3] + ChainOptions().lease_wait_ns


def test_a_node_dead_for_long_need_not_be_waited_for() -> None:
    world = world_of()
    world.crash(3)
    world.run(SECOND)
    leave_out(world, 3)
    world.propose(1, b"a", 2)
    world.run(30 * MS)
    assert world[1].commit == 4


def test_who_comes_back_waits_as_if_it_had_promised_just_before() -> None:
    world = world_of(2)
    world.crash(1)
    world.start(1)
    assert world[1].fence_ns == world.clock(world.nodes[1]) + ChainOptions().lease_wait_ns


def test_a_lease_rests_on_the_promise_of_every_other_node() -> None:
    world = world_of()
    assert world[1].has_lease(world.clock(world.nodes[1]))
    world.cut = {(2, 3)}
    world.run(2 * SECOND)
    assert not world[3].has_lease(world.clock(world.nodes[3]))
    assert not world[2].has_lease(world.clock(world.nodes[2])), "its heartbeats are not echoed"
    assert world[1].has_lease(world.clock(world.nodes[1]))


def test_without_a_lease_everyone_is_asked_once_for_a_batch() -> None:
    world = world_of(options=CONFIRM)
    sent = dict(world.messages)
    outcome = world.ask(1, [b"a"])
    assert outcome == []
    world.run(10 * MS)
    assert outcome == [ReadAt(2)]
    assert world.messages["ReadIndex"] - sent.get("ReadIndex", 0) == 2
    isolate(world, 1)
    late = world.ask(1, [b"a"])
    world.run(2 * SECOND)
    assert isinstance(late[0], Refused)


def test_the_tail_asks_too_when_it_has_no_lease() -> None:
    world = world_of(options=CONFIRM)
    leave_out(world, 3, tell=False)
    stale = world.ask(3, [b"a"])
    world.run(2 * SECOND)
    assert isinstance(stale[0], Refused)


def test_reads_that_wait_are_asked_about_in_the_next_view() -> None:
    world = world_of(options=CONFIRM)
    world.crash(3)
    outcome = world.ask(1, [b"a"])
    world.run(300 * MS)
    assert outcome == []
    leave_out(world, 3)
    world.run(100 * MS)
    assert isinstance(outcome[0], ReadAt)
    assert outcome[0].index >= 2


def test_a_restarted_tail_answers_only_with_all_that_it_ever_committed() -> None:
    world = world_of(options=CONFIRM)
    for value in range(2, 10):
        world.propose(1, b"a", value)
    world.run(SECOND)
    world.crash(3)
    world.start(3)
    assert world[3].floor == 10
    assert world[3].commit in {0, 10}
    outcome = world.ask(1)
    world.run(SECOND)
    assert outcome == [ReadAt(10)]


# -- the contract


def test_illegal_messages_are_counted_and_dropped() -> None:
    world = world_of()
    legal = Append(1, 2, 1, 2, [])
    cases: list[tuple[int, int, Any, str]] = [
        (2, 3, legal, "not the predecessor"),
        (2, 9, legal, "not in the view"),
        (2, 1, "nonsense", "not a message of a chain"),
        (2, 1, Append(1, 2, 0, 2, []), "impossible previous entry"),
        (2, 1, Append(1, 2, 1, 2, [Entry(2, 0, b"")]), "impossible epochs of entries"),
        (2, 1, AppendReply(1, 1, 1), "not a successor"),
        (2, 3, AppendReply(1, 99, 1), "beyond the log"),
        (2, 3, Heartbeat(1, 1, 1, 1, (7,), []), "counts who does not join"),
        (2, 3, InstallSnapshot(1, 9, 1, b"", b"", b"", b""), "not the predecessor"),
        (2, 1, InstallSnapshot(1, 9, 0, b"", b"", b"", b""), "impossible snapshot"),
        (2, 1, SnapshotReply(1, 9, b""), "not a successor"),
    ]
    for receiver, sender, message, reason in cases:
        before = world[receiver].dropped.get(reason, 0)
        receive(world, receiver, sender, message)
        assert world[receiver].dropped[reason] == before + 1, reason
    world.run(SECOND)
    assert commits(world) == [2, 2, 2]


def test_a_predecessor_with_another_committed_entry_stops_the_replica() -> None:
    world = world_of(view=View(3, (1, 2, 3)))
    with pytest.raises(InvariantBroken, match="is committed, but is another"):
        receive(world, 2, 1, Append(3, 2, 2, 2, []))


def test_what_a_checkpoint_holds_is_enough_to_go_on() -> None:
    options = ChainOptions(keep_log_bytes=1, max_log_bytes=100)
    world = world_of(3, options, View(1, (1, 2), (3,)))
    world.run(SECOND)
    world.flush(2)
    world.run(10 * MS)
    node = world.nodes[2]
    base = world[2].compaction_index()
    assert base == 1
    kept = [record for record in node.durable if record.index > base]
    node.durable = [*world[2].checkpoint(), *kept]
    world.crash(2)
    world.start(2)
    assert world[2].current.epoch == 1
    assert world[2].counted == (3,)
    assert (world[2].log.base, world[2].commit) == (1, 2)
    world.run(SECOND)
    world.propose(1, b"a", 2)
    world.run(SECOND)
    assert commits(world) == [3, 3, 3]


def test_an_idle_chain_only_beats() -> None:
    world = world_of()
    before = dict(world.messages)
    world.run(SECOND)
    grown = {name: count - before[name] for name, count in world.messages.items() if count != before[name]}
    assert list(grown) == ["Heartbeat"]
    assert 54 <= grown["Heartbeat"] <= 66
