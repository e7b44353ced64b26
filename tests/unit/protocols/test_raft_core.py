"""The core at its doors: illegal input, deadlines, bounds, compaction, its own audit."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.protocols.raft_cluster import MS, Cluster, Packet, members_of, sent, with_logs

from comity.protocols.raft import RaftCore, RaftOptions
from comity.protocols.raft.messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestPreVote,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from comity.protocols.raft.progress import SNAPSHOT
from comity.protocols.raft.records import recover
from comity.protocols.raft.state import FOLLOWER, LEADER, PRE_CANDIDATE
from comity.replica import (
    NEVER,
    REASON_OVERLOADED,
    Accepted,
    CoreContext,
    InvariantBroken,
    Members,
    ReadAt,
    Recovered,
    Refused,
    SnapshotRead,
    Stream,
    TransferLeadership,
    UnusableRecord,
    decode_members,
)


def led(voters: int = 3, options: RaftOptions | None = None) -> Cluster:
    cluster = Cluster(voters, options=options)
    cluster.elect(1)
    return cluster


# -- start


def test_a_new_group_is_led_by_its_lowest_voter_after_the_bootstrap_time() -> None:
    cluster = Cluster(3)
    assert cluster[1].deadline_ns == 20 * MS
    assert cluster.run_until_led(25 * MS)
    assert cluster.leader() == 1
    cluster.check()


def test_a_new_group_whose_members_start_one_after_another_does_not_wait_for_a_timeout() -> None:
    cluster = Cluster(3)
    cluster.cut = set(itertools.permutations((1, 2, 3), 2))
    cluster.run(400 * MS)
    cluster.heal()
    assert cluster.run_until_led(120 * MS)
    cluster.check()


def test_a_single_voter_leads_as_soon_as_its_vote_is_durable_and_sends_nothing() -> None:
    cluster = Cluster(1)
    cluster.sync(1)
    assert cluster.leader() == 1
    cluster.sync(1)
    assert cluster[1].commit == 1
    read = cluster.read(1)
    assert cluster.outcome(1, read) == ReadAt(1)
    assert not cluster.network
    cluster.run(5_000 * MS)
    assert cluster.leader() == 1
    cluster.check()


def test_a_node_without_members_waits_to_be_added() -> None:
    cluster = Cluster(1)
    cluster.add(9, members=Members(voters=()))
    cluster.run(5_000 * MS)
    assert cluster[9].role is FOLLOWER
    assert cluster[9].term == 0
    cluster.check()


def test_a_member_list_on_disk_that_cannot_be_read_stops_the_replica() -> None:
    context = CoreContext(
        node=1,
        group="g",
        members=members_of([1]),
        stream=lambda label: Stream(1, label),
        note=lambda *args, **fields: None,
    )
    with pytest.raises(UnusableRecord, match="membership"):
        RaftCore(context, RaftOptions(), Recovered(applied=1, applied_term=1, members=b"\xc1"))


# -- what peers may send

LEGAL = [
    RequestVote(2, 1, 1),
    VoteReply(1, True),
    RequestPreVote(2, 1, 1),
    PreVoteReply(1, 2, True),
    Append(1, 1, 1, 1, [Entry(1, 0, b"")]),
    AppendReply(1, 1),
    Heartbeat(1, 1, 1),
    HeartbeatReply(1, 1, 1),
    InstallSnapshot(1, 9, 1, b"", b"", b"x", b""),
    SnapshotReply(1, 9, b""),
    ReadIndex(1, 1),
    ReadIndexReply(1, 1, 1),
    TimeoutNow(1),
]


@pytest.mark.parametrize("message", LEGAL, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("role", ["leader", "follower", "pre-candidate"])
def test_a_stranger_breaks_nothing(message: Any, role: str) -> None:
    cluster = led()
    number = 1 if role == "leader" else 2
    if role == "pre-candidate":
        cluster[2].campaign(cluster.now_ns)
    cluster.receive(number, 77, message)
    cluster.settle()
    cluster.check()


@pytest.mark.parametrize("message", [None, "x", 5, object, {"term": 9}], ids=str)
def test_what_is_no_message_is_dropped_and_counted(message: Any) -> None:
    cluster = led()
    cluster[2].receive(0, 1, message)
    assert cluster[2].dropped == {"not a message of raft": 1}
    assert cluster.notes[-1][1] == "raft.dropped"
    cluster.check()


@pytest.mark.parametrize("sender", [2, 0, -1])
def test_a_sender_that_cannot_be_is_dropped(sender: int) -> None:
    cluster = led()
    cluster[2].receive(0, sender, Heartbeat(9, 0, 1))
    assert cluster[2].dropped == {"impossible sender": 1}
    assert cluster[2].term == 1
    cluster.check()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Append(1, 0, 1, 0, []), "impossible previous entry"),
        (Append(1, 1, 0, 0, []), "impossible previous entry"),
        (Append(1, 1, 2, 0, []), "impossible previous entry"),
        (Append(1, 1, 1, 0, [Entry(2, 0, b"")]), "impossible terms of entries"),
        (Append(1, 1, 1, 0, [Entry(0, 0, b"")]), "impossible terms of entries"),
        (Append(3, 1, 2, 0, [Entry(1, 0, b"")]), "impossible terms of entries"),
        (Append(1, 1, 1, 0, [Entry(1, 2, b"\xc1")]), "unreadable membership"),
        (Append(1, 1, 1, 0, [Entry(1, 7, b"")]), "unknown kind of entry"),
        (InstallSnapshot(1, 9, 2, b"", b"", b"", b""), "impossible snapshot"),
        (InstallSnapshot(1, 9, 0, b"", b"", b"", b""), "impossible snapshot"),
        (InstallSnapshot(1, 0, 1, b"", b"", b"", b""), "impossible snapshot"),
        (InstallSnapshot(1, 9, 1, b"\xc1", b"", b"", b""), "unreadable membership"),
    ],
)
def test_what_no_leader_can_send_is_dropped(message: Any, reason: str) -> None:
    cluster = led()
    before = cluster.log(2)
    cluster.receive(2, 1, message)
    assert cluster[2].dropped == {reason: 1}
    assert cluster.log(2) == before
    cluster.check()


@pytest.mark.parametrize(
    "message",
    [AppendReply(1, 99), AppendReply(1, 0, 99), HeartbeatReply(1, 99, 0), HeartbeatReply(1, 0, 99)],
)
def test_a_follower_that_claims_what_cannot_be_is_not_believed(message: Any) -> None:
    cluster = led()
    cluster.receive(1, 2, message)
    assert cluster[1].dropped == {"beyond the log": 1}
    cluster.check()


def test_answers_of_nodes_that_are_no_members_are_dropped() -> None:
    cluster = led()
    for message in (AppendReply(1, 1), HeartbeatReply(1, 0, 0), SnapshotReply(1, 1, b""), ReadIndex(1, 1)):
        cluster.receive(1, 9, message)
    assert cluster[1].dropped == {"not a member": 4}
    cluster.check()


indices = st.integers(0, 6)
terms = st.integers(0, 4)
members_payloads = st.sampled_from([b"", b"\xc1", b"\x94\x91\x01\x90\x90\x90"])
cursors = st.sampled_from([b"", b"n"])
any_message = st.one_of(
    st.builds(RequestVote, terms, indices, terms, st.booleans()),
    st.builds(VoteReply, terms, st.booleans()),
    st.builds(RequestPreVote, terms, indices, terms),
    st.builds(PreVoteReply, terms, terms, st.booleans()),
    st.builds(AppendReply, terms, indices, indices, indices, terms),
    st.builds(Heartbeat, terms, st.just(0), indices),
    st.builds(HeartbeatReply, terms, indices, indices),
    st.builds(InstallSnapshot, terms, indices, terms, members_payloads, cursors, cursors, st.just(b"")),
    st.builds(SnapshotReply, terms, indices, st.sampled_from([b"", b"n"])),
    st.builds(ReadIndex, terms, indices),
    st.builds(ReadIndexReply, terms, indices, st.just(0), st.booleans()),
    st.builds(TimeoutNow, terms),
    st.builds(
        Append,
        terms,
        indices,
        terms,
        st.just(0),
        st.lists(st.builds(Entry, terms, st.integers(0, 3), members_payloads), max_size=3),
    ),
)


@given(
    st.sampled_from(["leader", "follower"]),
    st.lists(st.tuples(st.integers(0, 5), any_message), min_size=1, max_size=12),
)
def test_no_sequence_of_messages_raises_while_nothing_is_committed(
    role: str, messages: list[tuple[int, Any]]
) -> None:
    cluster = with_logs({1: [1], 2: [1], 3: [1]}, 1)
    core = cluster[1]
    if role == "leader":
        core.become_candidate(0)
        core.persisted(0, core.written)
        core.become_leader(0)
    core.take(0)
    for sender, message in messages:
        core.receive(0, sender, message)
        core.check()
        core.take(0)
        core.check()
        if core.installing:
            return


def test_a_leader_that_would_overwrite_a_committed_entry_stops_the_replica() -> None:
    for message in (Append(2, 1, 1, 0, [Entry(2, 0, b"other")]), Append(2, 2, 2, 0, [])):
        cluster = led()
        cluster.propose(1, b"a")
        cluster.settle()
        with pytest.raises(InvariantBroken, match="committed") as caught:
            cluster.receive(2, 3, message)
        assert any("FOLLOWER" in event for event in caught.value.history)
        assert "last events of this replica" in str(caught.value)


# -- deadlines


def test_heartbeats_lie_on_one_grid_for_all_groups() -> None:
    for began_ns in (3 * MS, 77 * MS, 199 * MS):
        cluster = Cluster(3)
        cluster.now_ns = began_ns
        cluster.elect(1)
        for _ in range(5):
            assert cluster[1].deadline_ns % (100 * MS) == 0
            cluster.now_ns = cluster[1].deadline_ns
            cluster.wake(1)
            cluster.settle()
        cluster.check()


def test_a_heartbeat_does_not_move_a_followers_deadline() -> None:
    cluster = led()
    core = cluster[2]
    deadline_ns = core.deadline_ns
    for _ in range(4):
        cluster.now_ns += 100 * MS
        core.receive(cluster.now_ns, 1, Heartbeat(1, 1, 0))
        assert core.deadline_ns == deadline_ns
        assert not core.take(cluster.now_ns)
    cluster.now_ns = deadline_ns
    core.wake(cluster.now_ns)
    assert core.role is FOLLOWER
    assert core.deadline_ns > deadline_ns
    cluster.check()


def test_waking_early_is_harmless() -> None:
    cluster = led()
    for number in (1, 2, 3):
        core = cluster[number]
        before = (core.deadline_ns, core.role, core.term)
        core.wake(cluster.now_ns)
        assert not core.take(cluster.now_ns)
        assert (core.deadline_ns, core.role, core.term) == before
    cluster.check()


def test_an_idle_turn_of_a_group_is_one_heartbeat_object_and_small_answers() -> None:
    cluster = led(5)
    cluster.now_ns = cluster[1].deadline_ns
    cluster[1].wake(cluster.now_ns)
    effects = cluster[1].take(cluster.now_ns)
    assert len({id(send.message) for send in effects.send}) == 1
    assert [send.peer for send in effects.send] == [2, 3, 4, 5]
    assert not effects.write
    assert not effects.send_durable
    cluster.check()


def test_a_process_that_stood_still_does_not_step_down_before_it_read_its_mail() -> None:
    cluster = led()
    cluster.run(250 * MS)
    cluster.now_ns += 5_000 * MS
    cluster.wake(1)
    assert cluster[1].role is LEADER
    cluster.settle()
    cluster.run(150 * MS)
    assert cluster[1].role is LEADER
    cluster.check()


# -- commit notices


def test_followers_hear_of_a_commit_in_the_turn_it_happens() -> None:
    cluster = led()
    cluster.propose(1, b"a")
    cluster.settle()
    assert [cluster[number].commit for number in (1, 2, 3)] == [2, 2, 2]
    cluster.check()


def test_without_eager_commit_the_next_append_carries_it_or_a_notice_within_the_time_set() -> None:
    cluster = led(3, RaftOptions(eager_commit=False))
    cluster.run(200 * MS)
    cluster.propose(1, b"a")
    cluster.settle()
    assert [cluster[number].commit for number in (1, 2, 3)] == [2, 1, 1]
    assert cluster[1].deadline_ns == cluster.now_ns + 2 * MS
    cluster.propose(1, b"b")
    cluster.settle()
    assert [cluster[number].commit for number in (1, 2, 3)] == [3, 2, 2]
    cluster.run(2 * MS)
    assert [cluster[number].commit for number in (1, 2, 3)] == [3, 3, 3]
    assert cluster[1].deadline_ns % (100 * MS) == 0
    cluster.check()


def test_an_index_to_read_at_commits_what_is_known_to_match() -> None:
    cluster = led(3, RaftOptions(eager_commit=False))
    cluster.propose(1, b"a")
    cluster.settle()
    assert cluster[2].commit == 1
    request = cluster.read(2)
    cluster.settle()
    assert cluster.outcome(2, request) == ReadAt(2)
    assert cluster[2].commit == 2
    cluster.check()


def test_reads_through_a_leader_far_away_are_answered_though_the_request_was_repeated() -> None:
    cluster = led()
    request = cluster.read(2)
    first = sent(cluster, ReadIndex, 2, 1)
    cluster.network.clear()
    cluster.now_ns = cluster[2].deadline_ns
    cluster.wake(2)
    later = cluster.read(2)
    assert sent(cluster, ReadIndex, 2, 1) == first, "the same batch under the same number"
    cluster.receive(2, 1, ReadIndexReply(1, first[0].number, 1))
    assert cluster.outcome(2, request) == ReadAt(1)
    assert cluster.outcome(2, later) is None
    cluster.settle()
    assert cluster.outcome(2, later) == ReadAt(1)
    cluster.check()


def test_a_follower_waits_longer_where_its_leader_is_far_away() -> None:
    cluster = led()
    first = cluster.read(2)
    cluster.network.clear()
    cluster.now_ns += 500 * MS
    cluster.wake(2)
    assert isinstance(cluster.outcome(2, first), Refused)
    second = cluster.read(2)
    (asked,) = sent(cluster, ReadIndex, 2, 1)[-1:]
    cluster.now_ns += 700 * MS
    cluster[2].contact_ns = cluster.now_ns
    cluster.wake(2)
    assert cluster.outcome(2, second) is None, "twice the time"
    cluster.receive(2, 1, ReadIndexReply(1, asked.number, 1))
    assert cluster.outcome(2, second) == ReadAt(1)
    assert cluster[2].read_patience_ns == 1_400 * MS
    cluster.check()


# -- bounds


def test_proposals_are_refused_while_too_much_waits_to_be_committed() -> None:
    cluster = led(3, RaftOptions(max_uncommitted_bytes=1000))
    accepted = cluster.propose(1, b"x" * 5000)
    assert isinstance(cluster.outcome(1, accepted), Accepted), "one is always taken, however large"
    refused = cluster.propose(1, b"y")
    outcome = cluster.outcome(1, refused)
    assert isinstance(outcome, Refused)
    assert outcome.reason == REASON_OVERLOADED
    cluster.settle()
    assert isinstance(cluster.outcome(1, cluster.propose(1, b"z")), Accepted)
    cluster.settle()
    assert cluster[1].uncommitted_bytes == 0
    cluster.check()


def test_a_new_leader_counts_what_its_predecessors_left_uncommitted() -> None:
    cluster = led()
    cluster.cut = {(2, 1), (3, 1)}
    cluster.propose(1, b"x" * 100)
    cluster.settle()
    cluster.crash(1)
    cluster.cut = set()
    for number in (2, 3):
        cluster[number].contact_ns = -(1 << 62)
    cluster[2].campaign(cluster.now_ns)
    cluster.turn(2)
    for _ in range(4):
        for packet in list(cluster.network):
            cluster.network.remove(packet)
            cluster.deliver(packet)
        for number in (2, 3):
            if cluster[2].role is not LEADER:
                cluster.sync(number)
    assert cluster[2].role is LEADER
    assert cluster[2].uncommitted_bytes > 100
    cluster.settle()
    assert cluster[2].uncommitted_bytes == 0
    cluster.check()


# -- compaction and snapshots


def snapshot_read(core: RaftCore, now_ns: int) -> SnapshotRead:
    """The one thing the core now asks of its host's state machine."""
    (request,) = core.take(now_ns).snapshot
    assert isinstance(request, SnapshotRead)
    return request


def committed(cluster: Cluster, entries: int, size: int = 100) -> None:
    for _ in range(entries):
        cluster.propose(1, b"x" * size)
        cluster.settle()


def test_compaction_keeps_a_tail_for_followers_a_little_behind() -> None:
    cluster = led(3, RaftOptions(keep_log_bytes=500, max_log_bytes=100_000))
    committed(cluster, 20)
    cluster.flush(2)
    assert 500 <= cluster[2].log.size_bytes < 500 + 200
    cluster.check()


def test_a_leader_keeps_what_a_recently_active_follower_needs_up_to_a_bound() -> None:
    cluster = led(3, RaftOptions(keep_log_bytes=1, max_log_bytes=5_000))
    cluster.cut = {(1, 3)}
    committed(cluster, 10)
    cluster.flush(1)
    assert cluster[1].log.base <= cluster[1].progress[3].match
    committed(cluster, 60)
    cluster.flush(1)
    assert cluster[1].log.size_bytes <= 5_000
    assert cluster[1].log.base > cluster[1].progress[3].match
    cluster.check()


def test_a_silent_follower_holds_nothing_up() -> None:
    cluster = led(3, RaftOptions(keep_log_bytes=1, max_log_bytes=1 << 20))
    cluster.crash(3)
    committed(cluster, 10)
    cluster.run(2_000 * MS)
    cluster.flush(1)
    assert cluster[1].log.base > cluster[1].progress[3].match
    cluster.check()


def test_a_base_counts_as_compacted_only_when_its_record_is_durable() -> None:
    cluster = led(3, RaftOptions(keep_log_bytes=1))
    committed(cluster, 10)
    cluster.flush(2)
    core = cluster[2]
    assert core.log.base > 0
    assert core.compaction_index() == 0
    cluster.sync(2)
    assert core.compaction_index() == core.log.base
    cluster.check()


def test_a_checkpoint_is_what_a_journal_needs_to_begin_with() -> None:
    cluster = led(3, RaftOptions(keep_log_bytes=1))
    committed(cluster, 10)
    cluster.flush(2)
    core = cluster[2]
    records = core.checkpoint()
    assert all(record.index == 0 for record in records)
    state = cluster.nodes[2].state
    durable = recover(Recovered(records=records, applied=state.index, applied_term=state.term))
    assert (durable.term, durable.vote) == (core.term, core.vote)
    cluster.check()


def test_compacting_beyond_what_was_applied_is_refused() -> None:
    cluster = led()
    with pytest.raises(InvariantBroken, match="told to compact"):
        cluster[1].compact(0, 99)


def test_a_snapshot_says_who_the_members_are_even_where_they_never_changed() -> None:
    cluster = led(3, RaftOptions(keep_log_bytes=1, max_log_bytes=1))
    committed(cluster, 12)
    cluster.flush(1)
    core = cluster[1]
    core.begin_snapshot(cluster.now_ns, core.progress[3])
    request = snapshot_read(core, cluster.now_ns)
    chunk = cluster.chunk(cluster.nodes[1], request)
    assert chunk is not None
    assert chunk.members == b""
    core.snapshot_chunk(cluster.now_ns, request, chunk)
    message = core.take(cluster.now_ns).send[-1].message
    assert isinstance(message, InstallSnapshot)
    assert decode_members(message.members) == cluster.members
    core.check()


def test_a_snapshot_that_is_gone_is_begun_again() -> None:
    cluster = led(3, RaftOptions(keep_log_bytes=1, max_log_bytes=1))
    committed(cluster, 12)
    cluster.flush(1)
    core = cluster[1]
    core.begin_snapshot(cluster.now_ns, core.progress[3])
    first = snapshot_read(core, cluster.now_ns)
    chunk = cluster.chunk(cluster.nodes[1], first)
    assert chunk is not None
    core.snapshot_chunk(cluster.now_ns, first, chunk)
    core.receive(cluster.now_ns, 3, SnapshotReply(1, chunk.index, chunk.next_cursor))
    second = snapshot_read(core, cluster.now_ns)
    assert (second.snapshot, second.cursor) == (chunk.index, chunk.next_cursor)
    core.snapshot_chunk(cluster.now_ns, second, None)
    assert snapshot_read(core, cluster.now_ns) == SnapshotRead(3, 0, b"")
    core.check()


def test_while_there_is_no_snapshot_the_host_is_asked_again_only_after_a_while() -> None:
    cluster = led(3, RaftOptions(keep_log_bytes=1, max_log_bytes=1))
    core = cluster[1]
    committed(cluster, 5)
    peer = core.progress[3]
    core.begin_snapshot(cluster.now_ns, peer)
    effects = core.take(cluster.now_ns)
    for _ in range(3):
        (request,) = effects.snapshot
        assert isinstance(request, SnapshotRead)
        core.snapshot_chunk(cluster.now_ns, request, None)
        asked_ns = cluster.now_ns
        effects = core.take(cluster.now_ns)
        while not effects.snapshot:
            cluster.now_ns = core.deadline_ns
            for node in (2, 3):
                core.receive(cluster.now_ns, node, HeartbeatReply(1, core.round, core.log.last))
            core.wake(cluster.now_ns)
            effects = core.take(cluster.now_ns)
        assert cluster.now_ns - asked_ns >= 400 * MS
    core.check()


def test_answers_of_the_host_to_an_earlier_question_are_ignored() -> None:
    cluster = led(3, RaftOptions(keep_log_bytes=1, max_log_bytes=1))
    committed(cluster, 12)
    cluster.flush(1)
    core = cluster[1]
    core.begin_snapshot(cluster.now_ns, core.progress[3])
    request = snapshot_read(core, cluster.now_ns)
    chunk = cluster.chunk(cluster.nodes[1], request)
    core.snapshot_chunk(cluster.now_ns, request, chunk)
    assert len(core.effects.send) == 1
    core.snapshot_chunk(cluster.now_ns, request, chunk)
    core.become_follower(cluster.now_ns, core.term + 1, 0)
    core.snapshot_chunk(cluster.now_ns, request, chunk)
    assert sum(isinstance(send.message, InstallSnapshot) for send in core.effects.send) == 1
    core.check()


def test_nothing_is_applied_and_no_election_begun_while_a_snapshot_is_installed() -> None:
    cluster = with_logs({1: [1], 2: [1], 3: [1]}, 1)
    cluster.receive(2, 1, InstallSnapshot(1, 5, 1, b"", b"", b"", b"\x90"))
    cluster.receive(2, 1, Append(1, 1, 1, 1, []))
    assert cluster[2].commit == 0
    cluster.now_ns = cluster[2].deadline_ns
    cluster.wake(2)
    assert cluster[2].role is FOLLOWER
    cluster.receive(2, 1, TimeoutNow(1))
    assert cluster[2].role is FOLLOWER
    cluster.serve_snapshots(2)
    assert cluster[2].commit == 5
    cluster.check()


def test_a_snapshot_nobody_asked_for_stops_the_replica() -> None:
    with pytest.raises(InvariantBroken, match="snapshot 5 installed"):
        led()[2].snapshot_installed(0, 5)


# -- hints and transfers


def test_a_lost_leader_makes_a_follower_campaign_within_the_range() -> None:
    for seed in range(30):
        cluster = Cluster(3, seed=seed)
        cluster.elect(1)
        cluster[2].peer_lost(cluster.now_ns, 1)
        assert cluster[2].leader == 0
        assert 10 * MS <= cluster[2].deadline_ns - cluster.now_ns <= 60 * MS
        cluster.check()


def test_a_lost_peer_that_does_not_lead_changes_nothing() -> None:
    cluster = led()
    before = cluster[2].deadline_ns
    cluster[2].peer_lost(cluster.now_ns, 3)
    cluster[1].peer_lost(cluster.now_ns, 2)
    assert (cluster[2].leader, cluster[2].deadline_ns, cluster[1].role) == (1, before, LEADER)
    cluster.check()


def test_a_word_to_the_successor_that_is_lost_is_repeated() -> None:
    cluster = led()
    cluster.administer(1, TransferLeadership(2))
    cluster.network.clear()
    cluster.run(250 * MS)
    assert cluster.leader() == 2
    cluster.check()


# -- looking inside


def test_status_is_plain_and_names_the_position() -> None:
    cluster = led()
    for number in (1, 2, 3):
        status = cluster[number].status()
        assert msgspec.json.decode(msgspec.json.encode(status)) == status
        assert {"role", "term", "leader", "commit", "last", "members"} <= set(status)
    assert cluster[1].status()["peers"]["2"]["state"] == "replicate"
    assert cluster[2].leader == 1
    assert cluster[2].members.voters == (1, 2, 3)
    cluster.check()


def test_durable_records_that_were_never_written_stop_the_replica() -> None:
    with pytest.raises(InvariantBroken, match="records durable of"):
        led()[1].persisted(0, 999)


def _set(name: str, value: Any) -> Callable[[RaftCore], None]:
    return lambda core: setattr(core, name, value)


def _peer(name: str, value: Any) -> Callable[[RaftCore], None]:
    return lambda core: setattr(core.peers[0], name, value)


def _configurations(*configurations: tuple[int, Members]) -> Callable[[RaftCore], None]:
    def tamper(core: RaftCore) -> None:
        core.configurations = list(configurations)
        core.members = configurations[-1][1]

    return tamper


@pytest.mark.parametrize(
    ("number", "tamper"),
    [
        (2, _set("commit", 99)),
        (2, _set("matched", 99)),
        (2, _set("matched", 0)),
        (2, _set("term", 0)),
        (2, _set("vote", 3)),
        (2, _set("installing", 1)),
        (2, _set("synced", 99)),
        (2, _set("durable_index", 99)),
        (2, _set("compacted", 99)),
        (2, _set("leader_id", 2)),
        (2, _set("election_due_ns", NEVER)),
        (2, _set("deadline_ns", NEVER)),
        (2, _set("heartbeat_due_ns", 5)),
        (2, _set("transferee", 5)),
        (2, _set("role", PRE_CANDIDATE)),
        (1, _set("leader_id", 2)),
        (1, _set("vote", 2)),
        (1, _set("role", FOLLOWER)),
        (1, _set("hard_state_written", 99)),
        (1, _set("first_index", 99)),
        (1, _set("uncommitted_bytes", 7)),
        (1, _set("confirmed_round", 99)),
        (1, _set("read_round", 99)),
        (1, _set("deadline_ns", NEVER)),
        (1, _set("heartbeat_due_ns", NEVER)),
        (1, _set("reads_asked", [1])),
        (1, lambda core: core.progress.pop(1)),
        (1, lambda core: setattr(core.progress[1], "match", 99)),
        (1, lambda core: core.log.entries.pop()),
        (1, lambda core: setattr(core.log, "last_term", 7)),
        (1, lambda core: setattr(core.log, "size_bytes", 0)),
        (1, _peer("match", 99)),
        (1, _peer("next", 0)),
        (1, _peer("state", SNAPSHOT)),
        (1, _peer("paused", True)),
        (1, _peer("inflight_bytes", 5)),
        (1, _peer("commit_sent", 99)),
        (1, _configurations((0, members_of([1, 2, 3], [3])))),
        (1, _configurations((7, members_of([1, 2, 3])))),
        (1, _configurations((0, members_of([1, 2, 3])), (1, members_of([1, 2, 3], [4])))),
        (2, _set("members", members_of([1, 2]))),
    ],
)
def test_the_audit_notices(number: int, tamper: Callable[[RaftCore], None]) -> None:
    cluster = led()
    core = cluster[number]
    core.check()
    tamper(core)
    with pytest.raises(InvariantBroken):
        core.check()


def test_the_audit_notices_configurations_whose_majorities_need_not_meet() -> None:
    cluster = led()
    core = cluster[1]
    cluster.propose(1, b"a")
    target = members_of([3, 4, 5])
    core.configurations = [(0, core.members), (2, target)]
    core.members = target
    with pytest.raises(InvariantBroken, match="need not meet"):
        core.check()


def test_the_deep_audit_walks_the_log() -> None:
    for position, entry in ((0, Entry(9, 0, b"")), (1, Entry(0, 0, b"a")), (1, Entry(1, 0, b"longer"))):
        cluster = led()
        cluster.propose(1, b"a")
        cluster.settle()
        core = cluster[1]
        core.deep_check()
        core.log.entries[position] = entry
        with pytest.raises(InvariantBroken):
            core.deep_check()


def test_the_report_of_a_broken_invariant_is_bounded() -> None:
    cluster = led()
    for term in range(2, 300):
        cluster.receive(2, 3, Heartbeat(term, 0, 0))
    assert len(cluster[2].events()) <= 40
    cluster.check()


def test_the_same_calls_give_the_same_effects() -> None:
    def story() -> list[Any]:
        cluster = Cluster(3, seed=5)
        seen: list[Any] = []
        deliver = cluster.deliver

        def watched(packet: Packet) -> None:
            seen.append((cluster.now_ns, packet.sender, packet.receiver, packet.message))
            deliver(packet)

        cluster.deliver = watched  # type: ignore[method-assign]
        cluster.run(500 * MS)
        cluster.crash(1)
        cluster.run(3_000 * MS)
        cluster.restart(1)
        cluster.run(3_000 * MS)
        return seen

    assert story() == story()


def test_reads_are_answered_once_however_often_their_round_is_confirmed() -> None:
    cluster = led()
    request = cluster.read(1)
    (beat, _) = sent(cluster, Heartbeat, 1)
    for node in (2, 3, 2):
        cluster.receive(1, node, HeartbeatReply(1, beat.round, 1))
    assert cluster.outcome(1, request) == ReadAt(1)
    cluster.check()
