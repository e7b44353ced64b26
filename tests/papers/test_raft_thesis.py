"""One test per claim of "Consensus: Bridging Theory and Practice", Diego Ongaro, 2014, beyond the paper:
membership (4), log compaction (5), clients (6), leadership transfer (3.10), pre-vote (9.6), parallel disk
writes and pipelining (10.2.1)."""

from __future__ import annotations

import pytest
from tests.unit.protocols.raft_cluster import MS, Cluster, members_of, sent, with_logs

from comity.protocols.raft import RaftOptions
from comity.protocols.raft.membership import after, joint, left
from comity.protocols.raft.messages import (
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestPreVote,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from comity.protocols.raft.progress import REPLICATE
from comity.protocols.raft.state import FOLLOWER, LEADER, PRE_CANDIDATE
from comity.replica import (
    REASON_BUSY,
    REASON_INVALID,
    REASON_NO_LEADER,
    REASON_NOT_LEADER,
    AddMember,
    Done,
    Member,
    Members,
    PromoteMember,
    ReadAt,
    Refused,
    RemoveMember,
    ReplaceMembers,
    TransferLeadership,
    Unknown,
)

LEASED = RaftOptions(lease_reads=True, clock_drift=0.05)


def led(voters: int = 3, options: RaftOptions | None = None) -> Cluster:
    cluster = Cluster(voters, options=options)
    cluster.elect(1)
    return cluster


def refusal(cluster: Cluster, number: int, request: int) -> str:
    outcome = cluster.outcome(number, request)
    assert isinstance(outcome, Refused), outcome
    return outcome.reason


def fourth() -> Member:
    return Member(4, "host4:7101", "host4:7001")


def with_learner() -> Cluster:
    """A group of three, led by 1, with 4 caught up as a learner."""
    cluster = led()
    cluster.add(4, members=Members(voters=()))
    request = cluster.administer(1, AddMember(fourth()))
    cluster.settle()
    assert isinstance(cluster.outcome(1, request), Done)
    cluster.run(200 * MS)
    return cluster


# -- 3.10: leadership transfer


def test_3_10_leadership_goes_to_the_named_voter_without_a_timeout() -> None:
    cluster = led()
    before_ns = cluster.now_ns
    request = cluster.administer(1, TransferLeadership(3))
    cluster.settle()
    assert cluster.leader() == 3
    assert cluster.now_ns == before_ns
    assert cluster.outcome(1, request) == Done(3)
    cluster.check()


def test_3_10_the_leader_takes_no_proposals_meanwhile() -> None:
    cluster = led()
    cluster.cut = {(1, 3)}
    cluster.administer(1, TransferLeadership(3))
    assert refusal(cluster, 1, cluster.propose(1)) == REASON_BUSY
    cluster.check()


def test_3_10_the_successor_is_brought_up_to_date_first() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    cluster.network.clear()
    cluster.administer(1, TransferLeadership(3))
    assert not sent(cluster, TimeoutNow)
    cluster.receive(1, 3, AppendReply(1, 2))
    assert sent(cluster, TimeoutNow, 1, 3) == [TimeoutNow(1)]
    cluster.check()


def test_3_10_a_transfer_that_takes_an_election_timeout_is_given_up() -> None:
    cluster = led()
    cluster.cut = {(1, 3)}
    cluster.propose(1, b"a")
    request = cluster.administer(1, TransferLeadership(3))
    cluster.run(600 * MS)
    assert refusal(cluster, 1, request) == REASON_BUSY
    cluster.heal()
    assert cluster.leader() == 1
    request = cluster.propose(1, b"b")
    cluster.run(500 * MS)
    assert cluster.nodes[3].state.commands == [b"a", b"b"]
    cluster.check()


def test_3_10_a_transfer_whose_end_is_not_known_is_reported_so() -> None:
    cluster = led()
    request = cluster.administer(1, TransferLeadership(3))
    assert sent(cluster, TimeoutNow)
    cluster.cut = {(1, 3), (3, 1)}
    cluster.run(600 * MS)
    assert isinstance(cluster.outcome(1, request), Unknown)
    cluster.check()


def test_3_10_the_most_caught_up_voter_is_chosen_where_none_is_named() -> None:
    cluster = led()
    cluster.cut = {(1, 2)}
    cluster.propose(1, b"a")
    cluster.settle()
    cluster.administer(1, TransferLeadership(0))
    cluster.settle()
    assert cluster.leader() == 3
    cluster.check()


@pytest.mark.parametrize("node", [4, 9])
def test_3_10_only_a_voter_can_take_over(node: int) -> None:
    cluster = with_learner()
    assert refusal(cluster, 1, cluster.administer(1, TransferLeadership(node))) == REASON_INVALID
    cluster.check()


def test_3_10_only_the_leader_may_ask_for_an_election() -> None:
    cluster = led()
    cluster.receive(2, 3, TimeoutNow(1))
    cluster.receive(2, 1, TimeoutNow(0))
    assert cluster[2].role is FOLLOWER
    cluster.check()


# -- 4.1, 4.3: membership changes


def test_4_1_a_leader_outside_the_configuration_is_followed() -> None:
    cluster = led()
    cluster.receive(2, 9, Heartbeat(7, 0, 1))
    assert cluster[2].leader == 9
    cluster.check()


def test_4_1_a_vote_is_given_to_a_candidate_outside_the_configuration() -> None:
    cluster = Cluster(3)
    cluster.receive(2, 9, RequestVote(1, 0, 0))
    cluster.sync(2)
    assert sent(cluster, VoteReply, 2, 9) == [VoteReply(1, True)]
    cluster.check()


def test_4_1_one_change_at_a_time() -> None:
    cluster = led()
    cluster.administer(1, RemoveMember(3))
    assert refusal(cluster, 1, cluster.administer(1, RemoveMember(2))) == REASON_BUSY
    cluster.settle()
    assert cluster[1].members.voters == (1, 2)
    cluster.check()


def test_4_1_no_change_before_an_entry_of_the_term_is_committed() -> None:
    cluster = with_logs({1: [1], 2: [1], 3: [1]}, 1)
    cluster[1].campaign(0)
    cluster.turn(1)
    for node in (2, 3):
        cluster.receive(1, node, PreVoteReply(1, 2, True))
    cluster.sync(1)
    cluster.receive(1, 2, VoteReply(2, True))
    assert cluster[1].role is LEADER
    assert refusal(cluster, 1, cluster.administer(1, RemoveMember(3))) == REASON_BUSY
    cluster.settle()
    cluster.administer(1, RemoveMember(3))
    cluster.settle()
    assert cluster[1].members.voters == (1, 2)
    cluster.check()


def test_4_1_a_truncated_configuration_is_no_longer_in_force() -> None:
    cluster = led()
    cluster.partition([1], [2, 3])
    cluster.administer(1, RemoveMember(3))
    cluster.settle()
    assert cluster[1].members.joint
    cluster.elect(2)
    cluster.heal()
    cluster.run(1_000 * MS)
    assert cluster[1].members == cluster.members
    assert cluster[1].leader == 2
    cluster.check()


def test_4_1_the_configuration_is_recovered_from_log_and_state() -> None:
    for flushed in (False, True):
        cluster = with_learner()
        if flushed:
            cluster.flush(2)
        cluster.sync(2)
        cluster.crash(2)
        cluster.restart(2)
        assert cluster[2].members.learners == (4,)
        known = cluster[2].members.member(4)
        assert known == fourth()
        cluster.check()


def test_4_2_1_a_new_server_is_a_learner_until_it_has_caught_up() -> None:
    cluster = led(3, RaftOptions(promote_lag=0))
    cluster.administer(1, AddMember(fourth()))
    cluster.settle()
    assert cluster[1].members.learners == (4,)
    assert refusal(cluster, 1, cluster.administer(1, PromoteMember(4))) == REASON_BUSY
    cluster.add(4, members=Members(voters=()))
    cluster.run(1_000 * MS)
    request = cluster.administer(1, PromoteMember(4))
    cluster.settle()
    assert isinstance(cluster.outcome(1, request), Done)
    assert cluster[4].members.voters == (1, 2, 3, 4)
    cluster.check()


def test_4_2_1_a_learner_neither_votes_nor_counts_nor_campaigns() -> None:
    cluster = with_learner()
    cluster.partition([1, 4], [2, 3])
    commit = cluster[1].commit
    cluster.propose(1, b"a")
    cluster.settle()
    assert cluster[4].log.last == commit + 1
    assert cluster[1].commit == commit
    cluster.crash(1)
    cluster.run(5_000 * MS)
    assert cluster[4].role is FOLLOWER
    assert cluster[4].status()["role"] == "learner"
    cluster.check()


def test_4_2_2_a_removed_leader_leads_until_the_change_is_committed_then_steps_down() -> None:
    cluster = led()
    cluster.cut = {(2, 1), (3, 1)}
    request = cluster.administer(1, RemoveMember(1))
    cluster.settle()
    assert cluster[1].role is LEADER
    cluster.heal()
    cluster.run(1_000 * MS)
    assert isinstance(cluster.outcome(1, request), Done)
    assert cluster[1].role is FOLLOWER
    assert cluster.leader() in {2, 3}
    assert cluster[2].members.voters == (2, 3)
    cluster.check()


def test_4_2_2_a_server_not_in_its_own_uncommitted_configuration_may_still_be_needed() -> None:
    cluster = led(2)
    cluster.administer(1, RemoveMember(1))
    cluster.settle(disks=[])
    core = cluster[1]
    while core.members.joint:  # until the leader has appended the configuration without itself
        for packet in list(cluster.network):
            cluster.network.remove(packet)
            cluster.deliver(packet)
        for number in (1, 2):
            if core.members.joint:
                cluster.sync(number)
    cluster.sync(1)
    cluster.network.clear()
    cluster.crash(1)
    cluster.crash(2)
    cluster.restart(1)
    cluster.restart(2)
    assert not cluster[1].members.votes(1)
    assert cluster[2].members.votes(1), "it knows only the joint configuration, and needs 1"
    assert cluster.run(10_000 * MS, lambda: cluster.leader() == 2)
    assert cluster[2].members.voters == (2,)
    cluster.check()


def test_4_2_3_a_server_that_hears_a_leader_ignores_candidates() -> None:
    cluster = led()
    cluster.run(100 * MS)
    term = cluster[2].term
    cluster.receive(2, 3, RequestVote(term + 5, 99, term + 4))
    assert not cluster.network
    assert (cluster[2].term, cluster[2].leader) == (term, 1)
    cluster.receive(1, 3, RequestVote(term + 5, 99, term + 4))
    assert cluster[1].role is LEADER
    cluster.receive(2, 3, RequestVote(term + 1, 99, term, transfer=True))
    assert cluster[2].vote == 3, "but for one the leader itself asked for"
    cluster.check()


def test_4_3_the_steps_of_a_joint_change() -> None:
    start = members_of([1, 2, 3], [4, 5])
    target = after(start, ReplaceMembers((3, 4)))
    assert (target.voters, target.learners) == ((3, 4), (5,))
    step = joint(start, target)
    assert (step.voters, step.outgoing, step.learners) == ((3, 4), (1, 2, 3), (5,))
    assert [member.node for member in step.known] == [1, 2, 3, 4, 5]
    assert left(step) == target
    assert [member.node for member in target.known] == [3, 4, 5]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (AddMember(Member(0)), "1 or more"),
        (AddMember(Member(1, "host1:7101", "host1:7001")), "member already"),
        (PromoteMember(1), "not a learner"),
        (PromoteMember(9), "not a learner"),
        (RemoveMember(9), "not a member"),
        (ReplaceMembers((1, 8, 9)), "not members yet: 8, 9"),
        (ReplaceMembers(()), "last voter"),
    ],
)
def test_4_3_a_senseless_change_is_refused_with_a_sentence(change: object, words: str) -> None:
    cluster = led()
    request = cluster.administer(1, change)
    outcome = cluster.outcome(1, request)
    assert isinstance(outcome, Refused)
    assert outcome.reason == REASON_INVALID
    assert words in outcome.detail
    cluster.check()


def test_4_3_a_change_is_refused_where_there_is_no_leader() -> None:
    cluster = led()
    assert refusal(cluster, 2, cluster.administer(2, RemoveMember(3))) == REASON_NOT_LEADER
    alone = Cluster(3)
    assert refusal(alone, 2, alone.administer(2, RemoveMember(3))) == REASON_NO_LEADER
    assert refusal(cluster, 1, cluster.administer(1, "nonsense")) == REASON_INVALID
    cluster.check()


def test_4_3_a_change_under_way_is_finished_by_the_next_leader() -> None:
    cluster = led(4)
    cluster.administer(1, RemoveMember(4))
    for packet in [packet for packet in cluster.network if packet.receiver == 2]:
        cluster.deliver(packet)
    cluster.sync(2)
    cluster.network.clear()
    cluster.crash(1)
    assert cluster[2].members.outgoing == (1, 2, 3, 4)
    cluster.elect(2)
    assert cluster[2].members.voters == (1, 2, 3)
    assert not cluster[2].members.joint
    cluster.restart(1)
    cluster.run(1_000 * MS)
    assert cluster[1].members == cluster[2].members
    cluster.check()


# -- 6.2, 6.4: clients


def test_6_2_a_leader_that_hears_no_quorum_steps_down() -> None:
    cluster = led()
    cluster.partition([1], [2, 3])
    cluster.run(800 * MS)
    assert cluster[1].role is FOLLOWER
    assert cluster[1].leader == 0
    cluster.check()


def test_6_4_a_read_waits_for_a_quorum_to_confirm_the_leader() -> None:
    cluster = led()
    request = cluster.read(1)
    (beat, _) = sent(cluster, Heartbeat, 1)
    assert cluster.outcome(1, request) is None
    cluster.receive(1, 2, HeartbeatReply(1, beat.round, 1))
    assert cluster.outcome(1, request) == ReadAt(1)
    cluster.check()


def test_6_4_an_answer_to_an_earlier_round_confirms_nothing() -> None:
    cluster = led()
    cluster.now_ns = cluster[1].deadline_ns
    cluster.wake(1)
    earlier = cluster[1].round
    request = cluster.read(1)
    cluster.receive(1, 2, HeartbeatReply(1, earlier, 1))
    cluster.receive(1, 3, HeartbeatReply(1, earlier, 1))
    assert cluster.outcome(1, request) is None
    cluster.receive(1, 3, HeartbeatReply(1, earlier + 1, 1))
    assert cluster.outcome(1, request) == ReadAt(1)
    cluster.check()


def test_6_4_one_round_serves_a_batch_and_later_reads_wait_for_the_next() -> None:
    cluster = led()
    core = cluster[1]
    for request in range(100, 164):
        cluster.read_floors[(1, request)] = 1
        core.read(cluster.now_ns, request)
    cluster.turn(1)
    assert len(sent(cluster, Heartbeat, 1, 2)) == 1
    late = cluster.read(1)
    assert len(sent(cluster, Heartbeat, 1, 2)) == 1
    first = core.round
    cluster.receive(1, 2, HeartbeatReply(1, first, 1))
    assert all(cluster.outcome(1, request) == ReadAt(1) for request in range(100, 164))
    assert cluster.outcome(1, late) is None
    assert core.round == first + 1
    cluster.receive(1, 2, HeartbeatReply(1, first + 1, 1))
    assert cluster.outcome(1, late) == ReadAt(1)
    cluster.check()


def test_6_4_a_follower_reads_through_its_leader_in_one_request_a_batch() -> None:
    cluster = led()
    core = cluster[2]
    for request in range(100, 164):
        cluster.read_floors[(2, request)] = 1
        core.read(cluster.now_ns, request)
    cluster.turn(2)
    assert len(sent(cluster, ReadIndex, 2, 1)) == 1
    late = cluster.read(2)
    assert len(sent(cluster, ReadIndex, 2, 1)) == 1
    cluster.settle()
    assert all(cluster.outcome(2, request) == ReadAt(1) for request in (*range(100, 164), late))
    cluster.check()


def test_6_4_a_followers_request_that_is_lost_is_repeated_then_refused() -> None:
    cluster = led()
    cluster.cut = {(2, 1)}
    request = cluster.read(2)
    cluster.run(150 * MS)
    assert cluster.outcome(2, request) is None
    cluster.heal()
    cluster.run(200 * MS)
    assert cluster.outcome(2, request) == ReadAt(1)
    cluster.cut = {(2, 1)}
    request = cluster.read(2)
    cluster.run(800 * MS)
    assert refusal(cluster, 2, request) == REASON_NO_LEADER
    cluster.check()


def test_6_4_a_late_answer_to_another_batch_is_not_believed() -> None:
    cluster = led()
    request = cluster.read(2)
    (asked,) = sent(cluster, ReadIndex, 2, 1)
    cluster.receive(2, 1, ReadIndexReply(1, asked.number - 1, 0))
    assert cluster.outcome(2, request) is None
    cluster.receive(2, 1, ReadIndexReply(1, asked.number, 1))
    assert cluster.outcome(2, request) == ReadAt(1)
    cluster.check()


def test_6_4_the_numbers_of_two_lives_differ() -> None:
    cluster = led()
    before = cluster[2].read_number
    cluster.crash(2)
    cluster.restart(2)
    assert abs(cluster[2].read_number - before) > 1 << 32
    cluster.check()


def test_6_4_reads_are_refused_where_no_leader_is_known_and_when_it_changes() -> None:
    cluster = Cluster(3)
    assert refusal(cluster, 2, cluster.read(2)) == REASON_NO_LEADER
    cluster.elect(1)
    pending = cluster.read(2)
    cluster.receive(2, 3, Heartbeat(9, 0, 1))
    assert refusal(cluster, 2, pending) == REASON_NO_LEADER
    pending = cluster.read(1)
    cluster.receive(1, 3, Heartbeat(9, 0, 1))
    assert refusal(cluster, 1, pending) == REASON_NO_LEADER
    cluster.check()


def test_6_4_a_deposed_leader_says_no_to_followers_that_ask() -> None:
    cluster = led()
    pending = cluster.read(2)
    packets = list(cluster.network)
    cluster.network.clear()
    for packet in packets:
        cluster.deliver(packet)
    cluster.receive(1, 3, AppendReply(9, 0))
    assert sent(cluster, ReadIndexReply, 1, 2)[0].refused
    cluster.settle()
    assert refusal(cluster, 2, pending) == REASON_NO_LEADER
    cluster.check()


# -- 6.4.1: leases


def test_6_4_1_with_a_lease_a_read_needs_no_message() -> None:
    cluster = led(3, LEASED)
    cluster.run(150 * MS)
    cluster.network.clear()
    request = cluster.read(1)
    assert cluster.outcome(1, request) == ReadAt(1)
    assert not cluster.network
    cluster.check()


def test_6_4_1_a_lease_counts_from_the_sending_of_the_round_shortened_by_the_drift() -> None:
    cluster = led(3, LEASED)
    core = cluster[1]
    cluster.now_ns = core.deadline_ns
    cluster.wake(1)
    sent_ns = cluster.now_ns
    beat = core.round
    cluster.now_ns += 300 * MS  # the answer takes its time
    cluster.receive(1, 2, HeartbeatReply(1, beat, 1))
    lease_ns = int(500 * MS * 0.95 / 1.05)
    assert core.has_lease(sent_ns + lease_ns - 1)
    assert not core.has_lease(sent_ns + lease_ns)
    cluster.check()


def test_6_4_1_without_an_entry_of_the_term_there_is_no_read_even_with_a_lease() -> None:
    cluster = led(3, LEASED)
    cluster.run(150 * MS)
    core = cluster[1]
    core.first_index = core.log.last  # as if the entry of this term were still to be committed
    cluster.propose(1, b"a")
    core.first_index = core.log.last
    request = cluster.read(1)
    assert cluster.outcome(1, request) is None
    cluster.settle()
    assert cluster.outcome(1, request) == ReadAt(2)
    cluster.check()


def test_6_4_1_votes_are_refused_within_the_election_timeout_of_hearing_a_leader() -> None:
    cluster = led(3, LEASED)
    cluster.run(100 * MS)
    cluster.network.clear()
    heard_ns = cluster[2].contact_ns
    for after_ns, granted in ((499 * MS, False), (500 * MS, True)):
        cluster.now_ns = heard_ns + after_ns
        cluster.network.clear()
        cluster.receive(2, 3, RequestPreVote(2, 1, 1))
        assert [reply.granted for reply in sent(cluster, PreVoteReply, 2, 3)] == [granted]
        before = cluster[2].vote
        cluster.receive(2, 3, RequestVote(2, 1, 1))
        assert (cluster[2].vote == 3) == granted, before
    cluster.check()


def test_6_4_1_after_a_restart_a_vote_waits_for_an_election_timeout() -> None:
    cluster = led(3, LEASED)
    cluster.crash(2)
    cluster.restart(2)
    started_ns = cluster.now_ns
    for after_ns, granted in ((499 * MS, False), (500 * MS, True)):
        cluster.now_ns = started_ns + after_ns
        cluster.receive(2, 3, RequestVote(2, 1, 1))
        assert (cluster[2].vote == 3) == granted
    cluster.check()


def test_6_4_1_a_transfer_ends_the_lease_for_the_rest_of_the_term() -> None:
    cluster = led(3, LEASED)
    cluster.run(150 * MS)
    assert cluster[1].has_lease(cluster.now_ns)
    cluster.administer(1, TransferLeadership(3))
    assert not cluster[1].has_lease(cluster.now_ns)
    cluster.cut = {(1, 3), (3, 1)}
    cluster.run(1_000 * MS)
    assert cluster[1].role is LEADER, "the transfer was given up"
    assert not cluster[1].has_lease(cluster.now_ns)
    request = cluster.read(1)
    cluster.settle()
    assert isinstance(cluster.outcome(1, request), ReadAt), "reads go on, with a round each"
    cluster.check()


def test_6_4_1_a_hint_that_the_leader_is_gone_does_not_break_a_lease() -> None:
    cluster = led(3, LEASED)
    cluster.run(150 * MS)
    deadline_ns = cluster[2].deadline_ns
    cluster[2].peer_lost(cluster.now_ns, 1)
    assert cluster[2].leader == 1
    assert cluster[2].deadline_ns == deadline_ns
    cluster.check()


def test_6_4_1_no_lease_outlives_the_next_election_whatever_the_clocks_within_the_bound() -> None:
    drift = 0.2
    options = RaftOptions(lease_reads=True, clock_drift=drift)
    core = led(3, options)[1]
    least_refusal_ns = options.election_ns / (1 + drift)  # of a follower with the fastest clock
    longest_lease_ns = core.lease_duration_ns() / (1 - drift)  # of a leader with the slowest
    assert longest_lease_ns <= least_refusal_ns + 2


# -- 9.6: pre-vote


def test_9_6_a_pre_candidate_changes_nothing_durable() -> None:
    cluster = led()
    cluster.cut = {(1, 3), (2, 3), (3, 1), (3, 2)}
    term = cluster[3].term
    written = cluster.nodes[3].written
    cluster.run(10_000 * MS)
    assert cluster[3].role in {PRE_CANDIDATE, FOLLOWER}
    assert cluster[3].term == term
    assert cluster.nodes[3].written == written
    cluster.check()


def test_9_6_a_server_that_returns_from_a_partition_does_not_disturb() -> None:
    cluster = led()
    cluster.partition([1, 2], [3])
    cluster.run(10_000 * MS)
    cluster.heal()
    cluster.run(2_000 * MS)
    assert cluster.leader() == 1
    assert cluster[1].term == 1
    assert cluster[3].leader == 1
    cluster.check()


@pytest.mark.parametrize(
    ("term", "last", "granted"),
    [(2, (1, 1), True), (2, (0, 0), False), (1, (1, 1), False), (9, (5, 5), True), (2, (9, 1), True)],
)
def test_9_6_a_pre_vote_is_given_as_a_vote_would_be(term: int, last: tuple[int, int], granted: bool) -> None:
    cluster = with_logs({1: [1], 2: [1], 3: [1]}, 1)
    cluster.receive(2, 1, RequestPreVote(term, *last))
    assert sent(cluster, PreVoteReply, 2, 1) == [PreVoteReply(1, term, granted)]
    assert (cluster[2].term, cluster[2].vote) == (1, 0)
    cluster.check()


def test_9_6_a_refusal_brings_a_pre_candidate_up_to_the_term() -> None:
    cluster = with_logs({1: [1], 2: [1], 3: [1]}, 1)
    cluster[1].campaign(0)
    cluster.turn(1)
    cluster.receive(1, 2, PreVoteReply(6, 2, False))
    assert (cluster[1].role, cluster[1].term) == (FOLLOWER, 6)
    cluster.check()


def test_9_6_two_that_ask_at_once_do_not_split_the_vote() -> None:
    for seed in range(50):
        cluster = Cluster(3, seed=seed)
        cluster.elect(1)
        cluster.run(100 * MS)
        cluster.crash(1)
        for number in (2, 3):
            cluster[number].peer_lost(cluster.now_ns, 1)
            cluster.turn(number)
        before_ns = cluster.now_ns
        for number in (2, 3):
            cluster[number].campaign(cluster.now_ns)
            cluster.turn(number)
        assert cluster.run_until_led(3_000 * MS)
        assert cluster.now_ns - before_ns <= 150 * MS
        cluster.check()


def test_9_6_a_lost_leader_is_replaced_in_a_fraction_of_the_timeout() -> None:
    for seed in range(50):
        cluster = Cluster(3, seed=seed)
        cluster.elect(1)
        cluster.run(150 * MS)
        cluster.crash(1)
        before_ns = cluster.now_ns
        for number in (2, 3):
            cluster[number].peer_lost(cluster.now_ns, 1)
            cluster.turn(number)
        assert cluster.run_until_led(3_000 * MS)
        assert cluster.now_ns - before_ns <= 200 * MS
        cluster.check()


def test_9_6_a_wrong_hint_does_no_harm() -> None:
    cluster = led()
    cluster.run(150 * MS)
    cluster[2].peer_lost(cluster.now_ns, 1)
    cluster.turn(2)
    cluster.run(3_000 * MS)
    assert cluster.leader() == 1
    assert cluster[1].term == 1
    cluster.check()


# -- 10.2.1: the leader's disk, batches, pipelines


def test_10_2_1_the_leader_sends_before_its_own_disk_has_the_entry() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    assert cluster.nodes[1].unsynced
    assert len(sent(cluster, Append, 1)) == 2
    cluster.check()


def test_10_2_1_an_entry_may_be_committed_before_the_leaders_disk_has_it() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    cluster.settle(disks=[2, 3])
    assert cluster[1].commit == 2
    assert cluster[1].durable_index == 1
    cluster.check()


def test_10_2_1_proposals_of_one_turn_go_out_as_one_append_the_same_for_all() -> None:
    cluster = led()
    core = cluster[1]
    for request in range(5):
        core.propose(cluster.now_ns, request, f"{request}".encode())
    effects = core.take(cluster.now_ns)
    assert [send.peer for send in effects.send] == [2, 3]
    assert effects.send[0].message is effects.send[1].message
    assert [entry.payload for entry in effects.send[0].message.entries] == [b"0", b"1", b"2", b"3", b"4"]
    core.check()


def test_10_2_1_appends_are_pipelined_within_the_window() -> None:
    options = RaftOptions(max_inflight_messages=3, max_append_bytes=100)
    cluster = led(3, options)
    assert cluster[1].progress[2].state is REPLICATE
    for position in range(6):
        cluster.propose(1, b"%d" % position)
    assert len(sent(cluster, Append, 1, 2)) == 3
    cluster.receive(1, 2, AppendReply(1, 3))
    assert len(sent(cluster, Append, 1, 2)) == 5
    cluster.check()


def test_10_2_1_bytes_in_flight_are_bounded_too() -> None:
    options = RaftOptions(max_inflight_bytes=3_000, max_append_bytes=1_000)
    cluster = led(3, options)
    for _ in range(10):
        cluster.propose(1, b"x" * 900)
    assert 3 <= len(sent(cluster, Append, 1, 2)) <= 4
    cluster.check()


def test_10_2_1_a_lost_append_is_sent_again() -> None:
    cluster = led()
    for position in range(3):
        cluster.propose(1, b"%d" % position)
    cluster.network = [packet for packet in cluster.network if packet.receiver != 3]
    cluster.run(1_000 * MS)
    assert cluster.nodes[3].state.commands == [b"0", b"1", b"2"]
    cluster.check()
