"""Each rule of the protocol by itself: views, fencing, commitment, reads, joining, loss, snapshots."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.protocols.primary_backup.driver import MS, World

from comity.protocols import load
from comity.protocols.primary_backup import PROTOCOL, PrimaryBackupCore, PrimaryBackupOptions
from comity.protocols.primary_backup.messages import (
    CODEC,
    Append,
    AppendReply,
    Entry,
    Fenced,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Present,
    ReadIndex,
    ReadIndexReply,
    SnapshotReply,
)
from comity.protocols.primary_backup.records import (
    hard_state_record,
    recover,
    replaced_record,
    replacing_record,
)
from comity.protocols.primary_backup.reigns import epoch_of, reign_of, start_of
from comity.protocols.primary_backup.state import BACKUP, JOINING, OUTSIDE, PRIMARY
from comity.replica import (
    NEVER,
    REASON_NO_LEADER,
    REASON_NOT_LEADER,
    REASON_OVERLOADED,
    InvariantBroken,
    ReadAt,
    Record,
    Recovered,
    Refused,
    UnusableRecord,
    View,
)
from comity.replica.logged import base_record, entry_record

ONE = reign_of(1, 1)


def world(**options: Any) -> World:
    """Three members and a spare, at rest."""
    view = options.pop("view", View(1, (1, 2, 3)))
    alone = options.pop("alone", 0)
    made = World(1, options=PrimaryBackupOptions(**options), view=view, drift=False)
    if alone:
        isolate(made, alone)
    made.run(20 * MS)
    return made


def wrote(made: World, number: int, wait_ns: int = 50 * MS) -> bool:
    """Whether a write proposed there is acknowledged in time."""
    value = made.write(number, "a")
    return made.run(wait_ns, lambda: value in made.acknowledged)


def outcome_of(made: World, number: int, payload: bytes = b"a=1") -> Any:
    """What a proposal is answered at once."""
    core = made[number]
    core.propose(made.local(made.nodes[number]), 10_000, payload)
    replies = [reply.outcome for reply in core.effects.reply if reply.request == 10_000]
    core.effects.reply = []
    return replies[0]


def isolate(made: World, number: int) -> None:
    others = [other for other in made.nodes if other != number]
    made.cut = {(number, other) for other in others} | {(other, number) for other in others}


# -- views and roles


def test_the_protocol_is_found_and_its_options_have_defaults() -> None:
    assert load()["primary-backup"] is PROTOCOL
    assert PROTOCOL.options() == PrimaryBackupOptions()


def test_the_first_node_leads_the_others_follow_and_the_rest_serve_nothing() -> None:
    made = world()
    assert [made[number].role for number in made.nodes] == [PRIMARY, BACKUP, BACKUP, OUTSIDE]
    assert made[2].leader == 1
    assert made[2].members.voters == (1, 2, 3)
    assert outcome_of(made, 2) == Refused(REASON_NOT_LEADER, "not the primary", 1)
    request = made.read(4, "a")
    assert request not in made.nodes[4].reads, "refused at once"
    assert made[4].deadline_ns == NEVER, "an outsider costs nothing"


def test_older_views_are_ignored_and_views_may_be_skipped() -> None:
    made = world()
    made.give(2, View(7, (2, 3)))
    assert (made[2].role, made[2].current.epoch) == (PRIMARY, 7)
    made.give(2, View(6, (3, 2)))
    assert made[2].role is PRIMARY


def test_nothing_is_said_under_a_view_before_it_is_durable() -> None:
    core = PrimaryBackupCore(world().nodes[1].core.context, PrimaryBackupOptions(), Recovered())
    core.start(0)
    effects = core.take(0)
    assert effects.send == []
    assert {type(send.message) for send in effects.send_durable} == {Heartbeat, Append}
    core.persisted(0, len(effects.write))
    core.wake(core.deadline_ns)
    assert core.take(0).send


def test_a_primary_that_comes_back_in_its_epoch_starts_another_reign() -> None:
    made = world()
    made.crash(1)
    made.restart(1)
    assert (epoch_of(made[1].reign), start_of(made[1].reign)) == (1, 2)
    assert wrote(made, 1)
    early = Append(ONE, 1, ONE, 0, [Entry(ONE, 0, b"a=9")])
    made[2].receive(made.now_ns, 1, early)
    assert made[2].dropped["an earlier start of the primary"] == 1


# -- fencing


def test_an_older_epoch_is_refused_and_told_so() -> None:
    made = world()
    made.give(2, View(2, (2, 3)))
    made[2].receive(made.now_ns, 1, Append(ONE, 1, ONE, 1, [Entry(ONE, 0, b"a=9")]))
    answers = [*made[2].effects.send, *made[2].effects.send_durable]
    assert Fenced(made[2].reign) in [send.message for send in answers if send.peer == 1]
    assert made[2].log.last == 2, "its own first entry, and nothing of the old primary"


def test_a_primary_that_hears_of_a_later_epoch_stops_at_once() -> None:
    made = world()
    made[1].receive(made.now_ns, 2, Fenced(reign_of(3, 1)))
    assert made[1].role is OUTSIDE
    assert outcome_of(made, 1).reason == REASON_NO_LEADER
    made.give(1, View(3, (1,)))
    assert made[1].role is PRIMARY


# -- commitment


def test_sync_commits_what_every_member_has_on_disk_and_no_sooner() -> None:
    made = world()
    assert wrote(made, 1)
    isolate(made, 3)
    assert not wrote(made, 1, 300 * MS), "one backup lacks it"
    made.cut.clear()
    made.run(500 * MS)
    assert made[1].commit == made[2].commit == made[3].commit == made[1].log.last


def test_a_backup_is_promoted_with_everything_that_was_committed() -> None:
    made = world()
    for _ in range(5):
        assert wrote(made, 1)
    isolate(made, 1)
    made.change((3, 2))
    made.run(100 * MS)
    assert wrote(made, 3)
    assert made.nodes[3].state.applied == made.acknowledged


def test_an_uncommitted_suffix_of_the_old_primary_goes_when_it_follows_again() -> None:
    made = world()
    isolate(made, 1)
    assert not wrote(made, 1)
    made.change((2, 3), (1,))
    made.run(100 * MS)
    assert wrote(made, 2)
    made.cut.clear()
    made.run(500 * MS)
    assert made[1].role is JOINING
    assert made.nodes[1].state.applied == made.nodes[2].state.applied


def test_a_sync_replica_that_would_have_to_give_up_committed_entries_stops() -> None:
    made = world()
    assert wrote(made, 1)
    made.run(200 * MS)
    made.give(2, View(2, (4, 2)))  # 4 was never a member
    made.at(MS, lambda: made.give(4, View(2, (4, 2))))
    with pytest.raises(InvariantBroken, match="a view was given whose primary was not a member"):
        made.run(100 * MS)


# -- reads


def test_reads_are_confirmed_by_every_member_in_one_round_for_all() -> None:
    made = world()
    assert wrote(made, 1)
    made.run(50 * MS)
    rounds = made[1].round
    requests = []
    core = made[1]
    for number in range(5):
        core.read(made.now_ns, 20_000 + number)
        made.nodes[1].reads[20_000 + number] = (made.recorder.process_of(f"x{number}"), "a", 0)
        made.recorder.invoke(made.nodes[1].reads[20_000 + number][0], "read", "a")
        requests.append(20_000 + number)
    made.turn(made.nodes[1])
    made.run(20 * MS)
    assert not any(request in made.nodes[1].reads for request in requests)
    assert core.round == rounds + 1
    isolate(made, 3)
    request = made.read(1, "a")
    made.run(300 * MS)
    assert request in made.nodes[1].reads, "a member that is silent may have adopted a later view"


def test_a_backup_reads_through_its_primary_and_gives_up_in_the_end() -> None:
    made = world(read_expiry_ns=300 * MS)
    assert wrote(made, 1)
    request = made.read(2, "a")
    made.run(50 * MS)
    assert request not in made.nodes[2].reads
    isolate(made, 1)
    request = made.read(2, "a")
    made.run(600 * MS)
    assert request not in made.nodes[2].reads


def test_a_view_of_one_reads_without_a_round() -> None:
    made = world(view=View(1, (1,)))
    rounds = made[1].round
    request = made.read(1, "a")
    assert request not in made.nodes[1].reads
    assert made[1].round == rounds


def test_with_a_lease_reads_take_no_round_while_it_lasts() -> None:
    made = world(reads="lease", lease_ns=300 * MS)
    made.run(200 * MS)
    request = made.read(1, "a")
    assert request not in made.nodes[1].reads, "at once"
    isolate(made, 3)
    made.run(400 * MS)
    request = made.read(1, "a")
    made.run(50 * MS)
    assert request in made.nodes[1].reads, "the lease of a silent member ran out"


def test_a_new_primary_commits_nothing_before_the_lease_of_one_left_out_ran_out() -> None:
    made = world(reads="lease", lease_ns=400 * MS)
    made.run(200 * MS)
    isolate(made, 1)
    made.change((2, 3), spread_ns=0)
    made.run(100 * MS)
    assert made[2].role is PRIMARY
    assert not wrote(made, 2, 150 * MS)
    assert wrote(made, 2, 400 * MS)


def test_a_lease_is_kept_across_a_restart_and_a_view_that_was_skipped() -> None:
    made = world(reads="lease", lease_ns=400 * MS)
    made.run(200 * MS)
    isolate(made, 1)
    made.change((2, 1), spread_ns=0)
    made.run(20 * MS)
    made.change((2,), spread_ns=0)
    made.run(20 * MS)
    assert not wrote(made, 2, 150 * MS)
    made.crash(2)
    made.restart(2, made.current)
    assert not wrote(made, 2, 350 * MS), "it no longer knows to whom it promised"
    assert wrote(made, 2, 400 * MS)


# -- joining


def test_a_joining_node_is_declared_when_it_lacks_nothing_and_then_it_counts() -> None:
    made = world(view=View(1, (1, 2), (3,)), alone=3)
    for _ in range(5):
        assert wrote(made, 1)
    assert made[1].caught_up == ()
    made.cut.clear()
    assert made.run(500 * MS, lambda: made[1].caught_up == (3,))
    assert made[3].log.last >= made[1].commit
    isolate(made, 3)
    assert not wrote(made, 1, 200 * MS), "it counts"


def test_that_a_joining_node_counts_survives_the_primary_s_crash() -> None:
    made = world(view=View(1, (1,), (2,)))
    assert made.run(500 * MS, lambda: made[1].caught_up == (2,))
    isolate(made, 2)
    made.crash(1)
    made.restart(1)
    assert not wrote(made, 1, 200 * MS)
    made.change((2,))
    made.run(50 * MS)
    assert wrote(made, 2)


def test_a_node_that_lacks_compacted_entries_is_brought_up_by_a_snapshot() -> None:
    made = world(view=View(1, (1, 2), (4,)), alone=4, keep_log_bytes=1, max_log_bytes=1, silent_ns=200 * MS)
    for _ in range(12):
        assert wrote(made, 1)
    made.flush(1)
    assert made[1].log.base > 5
    made.run(100 * MS)
    assert made[1].compaction_index() == made[1].log.base
    made.cut.clear()
    assert made.run(3000 * MS, lambda: made[1].caught_up == (4,))
    assert made.snapshots == 1
    assert made.nodes[4].state.applied == made.nodes[1].state.applied


# -- async


def test_async_commits_alone_and_refuses_beyond_its_bound() -> None:
    made = world(mode="async", loss_entries=3)
    assert wrote(made, 1)
    made.run(200 * MS)
    made.cut = {(1, 2), (1, 3)}
    for _ in range(3):
        assert wrote(made, 1)
    assert made[1].status()["unreplicated_entries"] == 3
    refused = outcome_of(made, 1)
    assert refused.reason == REASON_OVERLOADED
    assert "the loss bound is 3 entries: wait" in refused.detail
    made.cut.clear()
    made.run(500 * MS)
    assert wrote(made, 1)


def test_the_bound_in_bytes_counts_payloads_and_refuses_one_that_is_larger_alone() -> None:
    made = world(mode="async", loss_bytes=10)
    made.run(200 * MS)
    assert outcome_of(made, 1, b"a=" + b"1" * 9).reason == REASON_OVERLOADED
    made.cut = {(1, 2), (1, 3)}
    assert wrote(made, 1)
    assert made[1].status()["unreplicated_bytes"] == 3
    assert outcome_of(made, 1, b"a=123456").reason == REASON_OVERLOADED


def test_with_every_backup_counted_one_that_is_down_stops_writes_at_the_bound() -> None:
    for counts, goes_on in (("best", True), ("every", False)):
        made = world(mode="async", loss_entries=2, loss_counts=counts)
        made.run(200 * MS)
        isolate(made, 3)
        for _ in range(2):
            assert wrote(made, 1)
        made.run(200 * MS)
        assert isinstance(outcome_of(made, 1), Refused) is not goes_on


def test_a_deposed_async_primary_gives_up_what_it_applied_alone_and_takes_the_new_state() -> None:
    made = world(mode="async")
    assert wrote(made, 1)
    made.run(200 * MS)
    isolate(made, 1)
    for _ in range(4):
        assert wrote(made, 1)
    alone = made.nodes[1].state.applied[-4:]
    before = made[1].commit
    made.change((2, 3), (1,))
    made.run(100 * MS)
    for number in made.nodes:
        made.flush(number)
    made.cut.clear()
    made.run(200 * MS)
    request = made.read(1, "a")
    made.run(2000 * MS)
    assert made.lowered == 1
    assert made[1].commit < before
    assert made.nodes[1].state.applied == made.nodes[2].state.applied
    assert not set(alone) & set(made.nodes[1].state.applied)
    assert request not in made.nodes[1].reads
    made.crash(1)
    made.restart(1, made.current)
    made.run(500 * MS)
    assert wrote(made, 2)
    made.run(200 * MS)
    assert made.nodes[1].state.applied == made.nodes[2].state.applied


# -- recovery


def durable_log(*terms: int) -> list[Record]:
    head = hard_state_record(reign_of(9, 1), View(9, (1, 2)), ())
    return [head, *(entry_record(index, Entry(term, 0, b"x")) for index, term in enumerate(terms, 1))]


def test_a_log_is_read_back_with_its_view_and_what_counts_in_it() -> None:
    records = [*durable_log(5, 5, 6), hard_state_record(reign_of(9, 2), View(9, (1, 2), (3,)), (3,))]
    found = recover(Recovered(records=records, applied=1, applied_term=5))
    assert (found.reign, found.view, found.counted) == (reign_of(9, 2), View(9, (1, 2), (3,)), (3,))
    assert (found.log.base, found.log.last, found.log.last_term) == (0, 3, 6)


def test_a_state_machine_behind_the_log_is_refused_unless_it_was_being_replaced() -> None:
    records = [*durable_log(5, 5, 5, 5), base_record(3, 5)]
    with pytest.raises(UnusableRecord, match="what lies between is missing"):
        recover(Recovered(records=records, applied=2, applied_term=5))
    replacing = [*records, replacing_record(2, 5)]
    found = recover(Recovered(records=replacing, applied=2, applied_term=5))
    assert (found.log.base, found.log.last) == (2, 2)
    kept = recover(Recovered(records=replacing, applied=4, applied_term=5))
    assert kept.log.last == 4, "the crash came before the state machine was swapped"
    done = [*replacing, replaced_record(2, 5), entry_record(3, Entry(8, 0, b"y"))]
    found = recover(Recovered(records=done, applied=2, applied_term=5))
    assert (found.log.base, found.log.last, found.log.last_term) == (2, 3, 8)


def test_records_of_another_kind_are_refused() -> None:
    with pytest.raises(UnusableRecord, match="record 0 is not one of primary-backup's"):
        recover(Recovered(records=[Record(0, b"\xff")]))


# -- illegal input


@pytest.mark.parametrize(
    "message",
    [
        Append(ONE, 5, 0, 0, []),
        Append(ONE, 0, 0, 0, [Entry(ONE + 9, 0, b"")]),
        AppendReply(ONE, 10_000),
        AppendReply(ONE, 0, 10_000, 3, 3),
        HeartbeatReply(ONE, 10_000, 0),
        InstallSnapshot(ONE, 0, 0, b"", b"", b"", b""),
        Heartbeat(ONE, 1, 1),
        Present(reign_of(1, 0), 10_000, 10_000),
        Fenced(ONE),
        SnapshotReply(ONE, 3, b"q"),
        ReadIndex(ONE, 7),
        ReadIndexReply(ONE, 7, 10_000),
        "nonsense",
    ],
    ids=str,
)
def test_no_message_raises_and_none_from_a_stranger_is_obeyed(message: Any) -> None:
    made = world()
    for number in made.nodes:
        before = made[number].commit
        for sender in (number, 0, 1, 2, 9):
            made[number].receive(made.now_ns, sender, message)
            made[number].check()
        assert made[number].commit == before


def test_bytes_that_are_no_message_do_not_decode() -> None:
    for data in (b"", b"\xc1", msgspec.msgpack.encode([1, -5, 0, 0, 0, []]), msgspec.msgpack.encode([77])):
        with pytest.raises(msgspec.DecodeError):
            CODEC.decode(data)


# -- options


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"mode": "both"}, "mode must be 'sync' or 'async'"),
        ({"loss_entries": 5}, "need mode 'async'"),
        ({"mode": "async", "reads": "lease"}, "needs mode 'sync'"),
        ({"loss_counts": "some"}, "'best' or 'every'"),
        ({"reads": "never"}, "'confirm' or 'lease'"),
        ({"lease_ns": 1}, "lease_ns"),
        ({"heartbeat_ns": 0}, "heartbeat_ns must be 1 or more"),
        ({"clock_drift_ppm": 500_000}, "below 500000"),
        ({"max_inflight_bytes": 5}, "at least max_append_bytes"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_advice(options: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        PrimaryBackupOptions(**options)


def test_a_read_at_a_primary_is_answered_at_its_commit_index() -> None:
    made = world(view=View(1, (1,)))
    made[1].read(made.now_ns, 30_000)
    assert [reply.outcome for reply in made[1].effects.reply] == [ReadAt(made[1].commit)]
