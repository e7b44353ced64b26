"""One test per claim of "In Search of an Understandable Consensus Algorithm (Extended Version)",
Ongaro and Ousterhout, 2014: figure 2 and sections 5 to 8."""

from __future__ import annotations

import pytest
from tests.unit.protocols.raft_cluster import MS, Cluster, members_of, records_of, sent, terms_of, with_logs

from comity.protocols.raft import RaftOptions
from comity.protocols.raft.messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    RequestVote,
    VoteReply,
)
from comity.protocols.raft.state import CANDIDATE, FOLLOWER, LEADER
from comity.replica import (
    REASON_NOT_LEADER,
    Accepted,
    Done,
    EntryKind,
    IllegalTransition,
    ReadAt,
    Refused,
    RemoveMember,
    ReplaceMembers,
)

PLAIN = RaftOptions(pre_vote=False, check_quorum=False)
"""The paper's own election, without the thesis's refinements."""


def plain(voters: int = 3) -> Cluster:
    return Cluster(voters, options=PLAIN)


def led(voters: int = 3, options: RaftOptions | None = None) -> Cluster:
    cluster = Cluster(voters, options=options)
    cluster.elect(1)
    return cluster


# -- 5.1, figure 2: rules for all servers


def test_5_1_a_server_adopts_a_larger_term() -> None:
    cluster = plain()
    cluster.receive(1, 2, Heartbeat(7, 0, 1))
    assert cluster[1].term == 7
    cluster[1].check()


def test_5_1_a_candidate_or_leader_with_a_stale_term_becomes_follower() -> None:
    for kind in ("candidate", "leader"):
        cluster = plain()
        if kind == "leader":
            cluster.elect(1)
        else:
            cluster[1].campaign(0)
            cluster.turn(1)
            assert cluster[1].role is CANDIDATE
        cluster.receive(1, 2, AppendReply(9, 0))
        assert cluster[1].role is FOLLOWER
        assert cluster[1].term == 9
        cluster.check()


def test_5_1_a_request_with_a_stale_term_is_rejected_and_answered_with_the_current_one() -> None:
    cluster = with_logs({1: [1], 2: [1], 3: [1]}, 5)
    for request in (RequestVote(3, 9, 3), Append(3, 0, 0, 0, [Entry(3, 0, b"x")]), Heartbeat(3, 0, 1)):
        cluster.network.clear()
        cluster.receive(1, 2, request)
        (packet,) = cluster.network
        assert packet.message.term == 5
        assert not getattr(packet.message, "granted", False)
    assert terms_of(cluster, 1) == [1]
    cluster.check()


def test_5_1_terms_survive_a_crash() -> None:
    cluster = plain()
    cluster.receive(1, 2, Heartbeat(7, 0, 1))
    cluster.sync(1)
    cluster.crash(1)
    cluster.restart(1)
    assert cluster[1].term == 7
    cluster.check()


def test_figure_2_nothing_about_a_term_is_said_before_it_is_durable() -> None:
    cluster = plain()
    cluster.receive(1, 2, Heartbeat(7, 0, 1))
    assert not sent(cluster, HeartbeatReply)
    cluster.sync(1)
    assert sent(cluster, HeartbeatReply, 1, 2)
    cluster.check()


# -- 5.2: leader election


def test_5_2_servers_start_as_followers() -> None:
    cluster = plain()
    assert all(cluster[number].role is FOLLOWER for number in (1, 2, 3))
    cluster.check()


def test_5_2_a_follower_that_hears_nothing_becomes_candidate() -> None:
    cluster = plain()
    cluster.now_ns = cluster[2].deadline_ns
    cluster.wake(2)
    assert cluster[2].role is CANDIDATE
    assert cluster[2].term == 1
    assert cluster[2].vote == 2
    cluster.check()


def test_5_2_a_follower_that_hears_heartbeats_stays_one() -> None:
    cluster = plain()
    for step in range(1, 100):
        cluster.now_ns = step * 100 * MS
        cluster.receive(2, 1, Heartbeat(1, 0, step))
        cluster.wake(2)
        assert cluster[2].role is FOLLOWER
    cluster.check()


def test_5_2_a_candidate_asks_all_others_once_its_own_vote_is_durable() -> None:
    cluster = plain(5)
    cluster[3].campaign(0)
    cluster.turn(3)
    assert not sent(cluster, RequestVote)
    cluster.sync(3)
    assert [packet.receiver for packet in cluster.network] == [1, 2, 4, 5]
    cluster.check()


@pytest.mark.parametrize(
    ("voters", "granted", "refused", "role"),
    [
        (1, [], [], LEADER),
        (3, [2], [], LEADER),
        (3, [2], [3], LEADER),
        (3, [], [2], CANDIDATE),
        (3, [], [2, 3], FOLLOWER),
        (5, [2], [], CANDIDATE),
        (5, [2, 3], [], LEADER),
        (5, [2], [3, 4], CANDIDATE),
        (5, [2], [3, 4, 5], FOLLOWER),
        (4, [2], [], CANDIDATE),
        (4, [2, 3], [], LEADER),
    ],
)
def test_5_2_a_majority_of_votes_wins(voters: int, granted: list[int], refused: list[int], role: int) -> None:
    cluster = plain(voters)
    if voters > 1:
        cluster[1].campaign(0)
        cluster.turn(1)
    cluster.sync(1)
    for node in granted:
        cluster.receive(1, node, VoteReply(1, True))
    for node in refused:
        cluster.receive(1, node, VoteReply(1, False))
    assert cluster[1].role == role
    cluster.check()


def test_5_2_the_own_vote_counts_only_once_it_is_durable() -> None:
    cluster = plain(3)
    cluster[1].campaign(0)
    cluster.turn(1)
    cluster.receive(1, 2, VoteReply(1, True))
    assert cluster[1].role is CANDIDATE
    cluster.sync(1)
    assert cluster[1].role is LEADER
    cluster.check()


def test_5_2_the_same_vote_counts_once() -> None:
    cluster = plain(5)
    cluster[1].campaign(0)
    cluster.turn(1)
    cluster.sync(1)
    for _ in range(3):
        cluster.receive(1, 2, VoteReply(1, True))
    assert cluster[1].role is CANDIDATE
    cluster.check()


def test_5_2_one_vote_a_term_first_come_first_served() -> None:
    cluster = plain()
    for candidate, asked_again in ((1, 3), (3, 1)):
        term = cluster[2].term + 1
        cluster.network.clear()
        cluster.receive(2, candidate, RequestVote(term, 0, 0))
        cluster.receive(2, asked_again, RequestVote(term, 0, 0))
        cluster.receive(2, candidate, RequestVote(term, 0, 0))
        cluster.sync(2)
        replies = [(packet.receiver, packet.message.granted) for packet in cluster.network]
        assert replies == [(candidate, True), (asked_again, False), (candidate, True)]
    cluster.check()


def test_5_2_a_vote_leaves_only_when_it_is_durable_and_survives_a_crash() -> None:
    cluster = plain()
    cluster.receive(2, 1, RequestVote(1, 0, 0))
    assert not cluster.network
    cluster.crash(2)
    cluster.restart(2)
    assert (cluster[2].term, cluster[2].vote) == (0, 0)
    cluster.receive(2, 1, RequestVote(1, 0, 0))
    cluster.sync(2)
    cluster.crash(2)
    cluster.restart(2)
    cluster.network.clear()
    cluster.receive(2, 3, RequestVote(1, 0, 0))
    cluster.sync(2)
    assert sent(cluster, VoteReply, 2, 3) == [VoteReply(1, False)]
    cluster.check()


def test_5_2_a_candidate_follows_a_leader_of_its_term() -> None:
    for message in (Heartbeat(1, 0, 1), Append(1, 0, 0, 0, [])):
        cluster = plain()
        cluster[1].campaign(0)
        cluster.turn(1)
        cluster.receive(1, 2, message)
        assert (cluster[1].role, cluster[1].leader) == (FOLLOWER, 2)
        cluster.check()


def test_5_2_a_candidate_refuses_a_leader_of_an_earlier_term() -> None:
    cluster = with_logs({1: [1], 2: [1], 3: [1]}, 3, options=PLAIN)
    cluster[1].campaign(0)
    cluster.turn(1)
    cluster.receive(1, 2, Heartbeat(3, 0, 1))
    assert (cluster[1].role, cluster[1].term) == (CANDIDATE, 4)
    cluster.check()


def test_5_2_a_candidate_that_times_out_starts_a_new_election_in_a_new_term() -> None:
    cluster = plain()
    cluster[1].campaign(0)
    cluster.turn(1)
    cluster.now_ns = cluster[1].deadline_ns
    cluster.wake(1)
    assert (cluster[1].role, cluster[1].term) == (CANDIDATE, 2)
    cluster.check()


def test_5_2_election_timeouts_are_random_within_the_interval() -> None:
    options = PLAIN
    drawn = set()
    for seed in range(200):
        core = Cluster(3, options=options, seed=seed)[2]
        assert options.election_ns <= core.deadline_ns <= options.election_max_ns
        drawn.add(core.deadline_ns // (50 * MS))
    assert len(drawn) >= 10, "the timeouts do not spread"


def test_5_2_split_votes_are_rare_and_resolved_quickly() -> None:
    split = 0
    for seed in range(100):
        cluster = Cluster(4, options=PLAIN, seed=seed)
        for number in (2, 3):  # two candidates at the same time, four voters: a split
            cluster[number].campaign(0)
            cluster.turn(number)
        started_ns = cluster.now_ns
        assert cluster.run_until_led(3000 * MS)
        split += cluster.now_ns - started_ns > 300 * MS
        cluster.check()
    assert split <= 5, f"{split} of 100 split votes took more than 300 ms"


def test_5_2_a_leader_sends_heartbeats_while_idle() -> None:
    cluster = led()
    cluster.run(50 * MS)
    beats = 0
    for _ in range(10):
        cluster.now_ns = cluster[1].deadline_ns
        cluster.wake(1)
        beats += len(sent(cluster, Heartbeat, 1, 2))
        cluster.settle()
    assert beats == 10
    cluster.check()


def test_figure_3_election_safety_a_second_leader_in_one_term_is_not_believed() -> None:
    cluster = led()
    core = cluster[2]
    cluster.receive(2, 3, Append(core.term, 0, 0, 0, [Entry(core.term, 0, b"forged")]))
    assert (core.leader, core.dropped) == (1, {"a second leader in one term": 1})
    cluster.receive(1, 3, Heartbeat(core.term, 0, 1))
    assert cluster[1].role is LEADER
    cluster.check()


def test_figure_4_roles_change_only_along_the_arrows() -> None:
    core = led()[1]
    for change in (core.become_candidate, core.become_pre_candidate, core.become_leader):
        with pytest.raises(IllegalTransition):
            change(0)
        assert core.role is LEADER
    follower = plain()[2]
    with pytest.raises(IllegalTransition):
        follower.become_leader(0)
    core.check()
    follower.check()


# -- 5.3: log replication


def test_5_3_a_leader_appends_then_replicates_then_commits_then_applies() -> None:
    cluster = led()
    request = cluster.propose(1, b"a")
    assert cluster.outcome(1, request) == Accepted(2)
    assert [message.entries[-1].payload for message in sent(cluster, Append)] == [b"a", b"a"]
    assert cluster[1].commit == 1
    cluster.settle()
    assert [cluster.nodes[number].state.commands for number in (1, 2, 3)] == [[b"a"]] * 3
    cluster.check()


def test_5_3_a_proposal_at_a_follower_is_refused_with_the_leader() -> None:
    cluster = led()
    request = cluster.propose(2, b"a")
    outcome = cluster.outcome(2, request)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.leader) == (REASON_NOT_LEADER, 1)
    cluster.check()


@pytest.mark.parametrize(
    ("voters", "acknowledging", "committed"),
    [
        (1, [], True),
        (2, [], False),
        (2, [2], True),
        (3, [], False),
        (3, [2], True),
        (4, [2], False),
        (4, [2, 3], True),
        (5, [2], False),
        (5, [2, 3], True),
        (5, [2, 3, 4, 5], True),
    ],
)
def test_5_3_an_entry_is_committed_once_a_majority_holds_it(
    voters: int, acknowledging: list[int], committed: bool
) -> None:
    cluster = led(voters)
    cluster.propose(1, b"a")
    cluster.network.clear()
    cluster.sync(1)
    for node in acknowledging:
        cluster.receive(1, node, AppendReply(cluster[1].term, 2))
    assert cluster[1].commit == (2 if committed else 1)
    cluster.check()


def test_5_3_a_leader_counts_itself_only_when_its_own_disk_has_the_entry() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    cluster.receive(1, 2, AppendReply(cluster[1].term, 2))
    assert cluster[1].commit == 1
    cluster.receive(1, 3, AppendReply(cluster[1].term, 2))
    assert cluster[1].commit == 2, "two followers of three are a majority without the leader's disk"
    cluster.check()


def test_5_3_followers_learn_the_commit_index_from_the_leader() -> None:
    cluster = led()
    cluster.receive(2, 1, Append(1, 1, 1, 1, [Entry(1, 0, b"a")]))
    assert cluster[2].commit == 1
    cluster.receive(2, 1, Append(1, 2, 1, 2, []))
    assert cluster[2].commit == 2
    cluster.check()


def test_5_3_a_follower_commits_no_more_than_it_knows_to_match() -> None:
    cluster = with_logs({1: [1, 1, 1], 2: [1, 2, 2], 3: [1]}, 2)
    cluster.receive(2, 1, Append(3, 1, 1, 3, []))
    assert cluster[2].commit == 1, "entries 2 and 3 may be others than the leader's"
    cluster.receive(2, 1, Heartbeat(3, 3, 0))
    assert cluster[2].commit == 1
    cluster.check()


def test_5_3_an_append_is_refused_where_the_previous_entry_is_missing_or_another() -> None:
    cluster = with_logs({1: [], 2: [1, 2], 3: []}, 2)
    for previous_index, previous_term in ((3, 2), (2, 1), (5, 3)):
        cluster.network.clear()
        cluster.receive(2, 1, Append(3, previous_index, previous_term, 0, [Entry(3, 0, b"x")]))
        cluster.sync(2)
        (reply,) = sent(cluster, AppendReply, 2, 1)
        assert reply.rejected == previous_index
        assert terms_of(cluster, 2) == [1, 2]
    cluster.check()


def test_5_3_a_conflicting_entry_and_all_after_it_are_dropped() -> None:
    cluster = with_logs({1: [], 2: [1, 1, 2, 2], 3: []}, 2)
    cluster.receive(2, 1, Append(3, 2, 1, 0, [Entry(3, 0, b"new")]))
    assert terms_of(cluster, 2) == [1, 1, 3]
    cluster.sync(2)
    cluster.crash(2)
    cluster.restart(2)
    assert terms_of(cluster, 2) == [1, 1, 3]
    cluster.check()


def test_5_3_an_old_append_does_not_shorten_the_log() -> None:
    cluster = led()
    for payload in (b"a", b"b", b"c"):
        cluster.propose(1, payload)
        cluster.settle()
    before = cluster.log(2)
    cluster.receive(2, 1, Append(1, 1, 1, 1, [Entry(1, 0, b"a")]))
    assert cluster.log(2) == before
    cluster.check()


def test_5_3_an_acknowledgement_leaves_only_when_the_entries_are_durable() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    packets, cluster.network = cluster.network, []
    for packet in packets:
        cluster.deliver(packet)
    assert not sent(cluster, AppendReply)
    cluster.sync(2)
    assert sent(cluster, AppendReply, 2, 1) == [AppendReply(1, 2)]
    cluster.check()


FIGURE_7 = {
    "a": [1, 1, 1, 4, 4, 5, 5, 6, 6],
    "b": [1, 1, 1, 4],
    "c": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    "d": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    "e": [1, 1, 1, 4, 4, 4, 4],
    "f": [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
}


@pytest.mark.parametrize("follower", sorted(FIGURE_7))
def test_figure_7_any_follower_is_brought_to_the_leaders_log(follower: str) -> None:
    leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    cluster = with_logs({1: leader, 2: FIGURE_7[follower], 3: leader}, 7, options=PLAIN)
    cluster.elect(1)
    assert terms_of(cluster, 1) == [*leader, 8]
    assert cluster.log(2) == cluster.log(1)
    assert cluster[2].commit == len(leader) + 1
    cluster.check()


@pytest.mark.parametrize("follower", sorted(FIGURE_7))
def test_5_3_back_tracking_takes_one_rejection_a_conflicting_term_at_most(follower: str) -> None:
    leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    logs = FIGURE_7[follower]
    cluster = with_logs({1: leader, 2: logs, 3: leader}, 7, options=PLAIN)
    cluster[1].campaign(0)
    cluster.turn(1)
    cluster.sync(1)
    cluster.receive(1, 3, VoteReply(8, True))
    rejections = 0
    for _ in range(50):
        packets = [packet for packet in cluster.network if {packet.sender, packet.receiver} == {1, 2}]
        cluster.network.clear()
        for packet in packets:
            rejections += isinstance(packet.message, AppendReply) and packet.message.rejected > 0
            cluster.deliver(packet)
        for number in (1, 2):
            cluster.sync(number)
    assert cluster.log(2) == cluster.log(1)
    assert rejections <= len(set(logs) - set(leader)) + 1
    cluster.check()


def test_5_3_a_follower_that_does_not_answer_is_retried_without_end() -> None:
    cluster = led()
    cluster.partition([1, 2], [3])
    cluster.propose(1, b"a")
    cluster.run(5_000 * MS)
    cluster.heal()
    cluster.run(1_000 * MS)
    assert cluster.nodes[3].state.commands == [b"a"]
    cluster.check()


def test_5_3_one_slow_follower_does_not_hold_up_the_others() -> None:
    cluster = led()
    cluster.cut = {(1, 3)}
    cluster.propose(1, b"a")
    cluster.settle()
    assert cluster[1].commit == cluster[2].commit == 2
    cluster.check()


# -- 5.4: safety


@pytest.mark.parametrize(
    ("own", "candidate", "granted"),
    [
        ([1], (1, 1), True),
        ([1], (2, 1), True),
        ([1, 1], (1, 1), False),
        ([1], (1, 2), True),
        ([1, 1], (1, 2), True),
        ([1, 2], (5, 1), False),
        ([], (0, 0), True),
    ],
)
def test_5_4_1_a_vote_goes_only_to_a_log_at_least_as_up_to_date(
    own: list[int], candidate: tuple[int, int], granted: bool
) -> None:
    cluster = with_logs({1: [], 2: own, 3: []}, 2)
    cluster.receive(2, 1, RequestVote(3, *candidate))
    cluster.sync(2)
    assert sent(cluster, VoteReply, 2, 1) == [VoteReply(3, granted)]
    assert cluster[2].term == 3, "the term is adopted even where the vote is refused"
    cluster.check()


def test_5_4_2_figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    options = RaftOptions(pre_vote=False, check_quorum=False, max_append_bytes=1, max_inflight_bytes=1)
    cluster = with_logs({1: [1, 2], 2: [1, 2], 3: [1], 4: [1], 5: [1, 3]}, 3, options=options)
    cluster.partition([1, 2, 3, 4], [5])
    core = cluster[1]
    core.campaign(0)
    cluster.turn(1)
    cluster.sync(1)
    for node in (2, 3):
        cluster.receive(1, node, VoteReply(4, True))
    assert core.role is LEADER
    cluster.network.clear()
    cluster.receive(1, 2, AppendReply(4, 2))
    cluster.receive(1, 3, AppendReply(4, 2))
    assert core.agreed_match() == 2, "entry 2 is on a majority"
    assert core.commit == 0, "and could still be overwritten by server 5, as in (d)"
    cluster.sync(1)
    cluster.receive(1, 2, AppendReply(4, 3))
    cluster.receive(1, 3, AppendReply(4, 3))
    assert core.commit == 3, "once an entry of term 4 is, server 5 can no longer win, as in (e)"
    cluster.check()


def test_5_4_2_figure_8_the_schedule_d_overwrites_what_was_only_counted() -> None:
    cluster = with_logs({1: [1, 2], 2: [1, 2], 3: [1, 2], 4: [1], 5: [1, 3]}, 4, options=PLAIN)
    cluster.crash(1)
    cluster.elect(5)
    assert [terms_of(cluster, number) for number in (2, 3, 4)] == [[1, 3, 5]] * 3
    cluster.restart(1)
    cluster.run(1_500 * MS)
    assert terms_of(cluster, 1)[:2] == [1, 3]
    cluster.check()


def test_5_4_3_leader_completeness_committed_entries_are_in_every_later_leader() -> None:
    for successor in (2, 3):
        cluster = led()
        cluster.cut = {(1, 5 - successor), (5 - successor, 1)}
        cluster.propose(1, b"a")
        cluster.settle()
        cluster.heal()
        cluster.crash(1)
        assert cluster.run_until_led(5_000 * MS)
        assert cluster.leader() == successor, "only the one that holds the entry can win"
        cluster.restart(1)
        cluster.run(2_000 * MS)
        assert all(cluster.nodes[number].state.commands == [b"a"] for number in (1, 2, 3))
        cluster.check()


def test_5_5_requests_are_idempotent() -> None:
    cluster = led()
    append = Append(1, 1, 1, 1, [Entry(1, 0, b"a")])
    for _ in range(3):
        cluster.receive(2, 1, append)
    assert cluster.log(2) == [(1, b""), (1, b"a")]
    cluster.check()


def test_5_6_a_leader_is_found_again_within_a_few_timeouts() -> None:
    for seed in range(20):
        cluster = Cluster(3, seed=seed)
        cluster.run(100 * MS)
        cluster.crash(cluster.leader())
        before_ns = cluster.now_ns
        assert cluster.run_until_led(5_000 * MS)
        assert cluster.now_ns - before_ns <= 1_200 * MS
        cluster.check()


# -- 6: cluster membership changes


def test_6_a_joint_configuration_needs_both_majorities() -> None:
    members = members_of([1, 2, 3])
    joint = type(members)(voters=(3, 4, 5), outgoing=(1, 2, 3))
    assert not joint.quorum({1, 2})
    assert not joint.quorum({4, 5, 3})
    assert joint.quorum({1, 3, 4})
    assert joint.quorum({2, 1, 4, 5})


def replaced() -> tuple[Cluster, int]:
    """Nodes 4 and 5 have caught up as learners of a group 1, 2, 3; then 3, 4, 5 replace them."""
    cluster = led()
    core = cluster[1]
    target = members_of([1, 2, 3], [4, 5])
    for node in (4, 5):
        cluster.add(node)
    core.append_members(0, target)
    cluster.turn(1)
    cluster.settle()
    request = cluster.administer(1, ReplaceMembers((3, 4, 5)))
    return cluster, request


def test_6_a_configuration_is_used_as_soon_as_it_is_in_the_log() -> None:
    cluster, _ = replaced()
    assert cluster[1].members.joint, "the leader's own, before anybody has it"
    for packet in [packet for packet in cluster.network if packet.receiver == 3]:
        cluster.deliver(packet)
    assert cluster[3].members.joint
    assert cluster[3].commit < cluster[3].log.last
    cluster.check()


def test_6_while_joint_nothing_is_committed_without_both_majorities() -> None:
    cluster, request = replaced()
    cluster.partition([1, 2, 3], [4, 5])
    cluster.settle()
    joint_at = cluster[1].log.last
    assert cluster[1].commit == joint_at - 1, "a majority of the old voters alone"
    cluster.heal()
    cluster.run(1_000 * MS, lambda: isinstance(cluster.outcome(1, request), Done))
    assert isinstance(cluster.outcome(1, request), Done)
    cluster.check()


def test_6_the_leader_leaves_the_joint_configuration_by_itself() -> None:
    cluster, request = replaced()
    cluster.settle()
    assert isinstance(cluster.outcome(1, request), Done)
    for node in (3, 4, 5):
        assert cluster[node].members.voters == (3, 4, 5)
        assert not cluster[node].members.joint
    cluster.check()


def test_6_a_leader_outside_the_new_configuration_steps_down_when_it_is_committed() -> None:
    cluster, _ = replaced()
    cluster.settle()
    assert cluster[1].role is FOLLOWER
    assert cluster.run_until_led(2_000 * MS)
    assert cluster.leader() in {3, 4, 5}
    cluster.check()


def test_6_new_servers_catch_up_before_they_vote() -> None:
    cluster, _ = replaced()
    assert cluster.nodes[4].state.index == cluster[1].commit
    cluster.settle()
    cluster.check()


def test_6_removed_servers_do_not_disrupt_the_group() -> None:
    cluster = led()
    cluster.cut = {(1, 3), (2, 3)}  # it never learns that it was removed
    cluster.administer(1, RemoveMember(3))
    cluster.settle()
    term = cluster[1].term
    cluster.run(20_000 * MS)
    assert cluster.leader() == 1
    assert cluster[1].term == term
    cluster.check()


# -- 7: log compaction


def test_7_a_follower_whose_entries_are_gone_gets_a_snapshot() -> None:
    options = RaftOptions(keep_log_bytes=1, max_log_bytes=1)
    cluster = led(3, options)
    cluster.partition([1, 2], [3])
    for position in range(10):
        cluster.propose(1, f"{position}".encode())
        cluster.settle()
    cluster.flush(1)
    assert cluster[1].log.base > cluster[3].log.last
    cluster.heal()
    cluster.run(1_500 * MS)
    assert cluster.nodes[3].state.commands == cluster.nodes[1].state.commands
    assert cluster[3].log.base >= cluster[1].log.base
    cluster.check()


def test_7_a_snapshot_discards_a_log_that_conflicts_and_keeps_what_follows_it_otherwise() -> None:
    for terms, kept in (([1, 1, 1, 1], [1]), ([1, 1, 2, 2], [])):
        cluster = with_logs({1: [], 2: terms, 3: []}, 2)
        state = b"\x91\xc4\x01x"
        cluster.receive(2, 1, InstallSnapshot(3, 3, 1, b"", b"", b"", state))
        cluster.serve_snapshots(2)
        assert (cluster[2].log.base, terms_of(cluster, 2)) == (3, kept)
        cluster.sync(2)
        cluster.crash(2)
        cluster.restart(2)
        assert (cluster[2].log.base, terms_of(cluster, 2)) == (3, kept)
        cluster.check()


def test_7_a_snapshot_of_what_is_already_committed_changes_nothing() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    cluster.settle()
    cluster.receive(2, 1, InstallSnapshot(1, 1, 1, b"", b"", b"", b"\x90"))
    assert not cluster.nodes[2].installs
    assert cluster.log(2) == cluster.log(1)
    cluster.check()


def test_7_every_server_compacts_by_itself() -> None:
    options = RaftOptions(keep_log_bytes=1, max_log_bytes=1)
    cluster = led(3, options)
    for position in range(10):
        cluster.propose(1, f"{position}".encode())
    cluster.settle()
    cluster.flush(3)
    assert cluster[3].log.base > 0
    assert cluster[1].log.base == cluster[2].log.base == 0
    cluster.check()


# -- 8: client interaction


def test_8_a_leader_begins_its_term_with_an_empty_entry() -> None:
    cluster = led()
    assert cluster.committed[1] == (1, int(EntryKind.NOOP), b"")
    cluster.check()


def test_8_no_read_before_an_entry_of_the_term_is_committed() -> None:
    cluster = with_logs({1: [1, 1], 2: [1, 1], 3: [1]}, 1, options=PLAIN)
    cluster[1].campaign(0)
    cluster.turn(1)
    cluster.sync(1)
    cluster.receive(1, 2, VoteReply(2, True))
    request = cluster.read(1)
    cluster.receive(1, 2, HeartbeatReply(2, 0, 0))
    assert cluster.outcome(1, request) is None
    cluster.settle()
    assert cluster.outcome(1, request) == ReadAt(3)
    cluster.check()


def test_8_a_deposed_leader_serves_no_read() -> None:
    cluster = led()
    cluster.partition([1], [2, 3])
    cluster.elect(2)
    cluster.propose(2, b"new")
    cluster.settle()
    request = cluster.read(1)
    cluster.run(300 * MS)
    assert not isinstance(cluster.outcome(1, request), ReadAt)
    cluster.run(2_000 * MS)
    assert isinstance(cluster.outcome(1, request), Refused)
    cluster.check()


def test_8_a_restarted_replica_applies_again_only_what_is_committed_again() -> None:
    cluster = Cluster(3, started=False)
    for number in (1, 2, 3):
        cluster.add(number, records=records_of(2, [1, 1, 2]))
        assert cluster[number].commit == 0
    cluster.elect(1)
    assert cluster[1].commit == 4
    cluster.check()
