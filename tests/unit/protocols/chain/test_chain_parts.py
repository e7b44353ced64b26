"""The small parts of a chain: places, dirty keys, options, records, messages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.protocols.chain import PROTOCOL, ChainOptions
from comity.protocols.chain.dirty import DirtyKeys
from comity.protocols.chain.messages import CODEC, Append, Echo, Entry, Heartbeat, Message, ReadIndexReply
from comity.protocols.chain.place import Role, place_of
from comity.protocols.chain.records import (
    counted_record,
    decode,
    recover,
    view_record,
)
from comity.replica import Record, Recovered, UnusableRecord, View
from comity.replica.logged import Log, base_record, entry_record, size_of


def test_places_in_a_view() -> None:
    view = View(3, (4, 2, 7), (9, 1))
    assert [place_of(node, view).role for node in (4, 2, 7, 9, 1, 5)] == [
        Role.HEAD,
        Role.MIDDLE,
        Role.TAIL,
        Role.JOINING,
        Role.JOINING,
        Role.OUT,
    ]
    assert (place_of(4, view).predecessor, place_of(4, view).successors) == (0, (2,))
    assert (place_of(2, view).predecessor, place_of(2, view).successors) == (4, (7,))
    assert (place_of(7, view).predecessor, place_of(7, view).successors) == (2, (9, 1))
    assert (place_of(9, view).predecessor, place_of(9, view).successors) == (7, ())
    assert place_of(7, view).others == (4, 2, 9, 1)
    assert place_of(5, view).head == 4
    alone = place_of(4, View(1, (4,)))
    assert (alone.role, alone.is_head, alone.is_tail, alone.in_chain) == (Role.ALONE, True, True, True)
    assert place_of(4, View(1, ())).role is Role.OUT


@given(
    st.lists(
        st.one_of(st.none(), st.frozensets(st.sampled_from([b"a", b"b", b"c"]), max_size=2)), max_size=12
    ),
    st.integers(0, 12),
    st.integers(1, 13),
)
def test_dirty_keys_are_those_of_the_entries_between_commit_and_end(
    entries: list[frozenset[bytes] | None], commit: int, cut: int
) -> None:
    dirty = DirtyKeys(lambda payload: entries[int(payload)])
    for position in range(len(entries)):
        dirty.add(position + 1, b"%d" % position)
    dirty.clean(commit)
    dirty.truncate(cut)
    left = [keys for index, keys in enumerate(entries, 1) if commit < index < cut and (keys is None or keys)]
    for key in (b"a", b"b", b"c"):
        assert dirty.touches([key]) == any(keys is None or key in keys for keys in left)
    assert dirty.touches(None) == bool(left)
    assert len(dirty) == len(left)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"reads": "hope"}, 'must be "lease" or "confirm"'),
        ({"heartbeat_ns": 0}, "heartbeat_ns must be 1 or more"),
        ({"lease_ns": 200_000_000}, "lease_ns .* must be at least 3 times heartbeat_ns"),
        ({"clock_drift_ppm": 600_000}, "clock_drift_ppm must be in"),
        ({"max_inflight_bytes": 1}, "max_inflight_bytes .* must be at least max_append_bytes"),
        ({"max_log_bytes": 1}, "max_log_bytes .* must be at least keep_log_bytes"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChainOptions(**wrong)


def test_a_promise_outlasts_the_lease_by_the_worst_two_clocks() -> None:
    assert ChainOptions(lease_ns=600_000_000, clock_drift_ppm=0).lease_wait_ns == 600_000_000
    assert ChainOptions(lease_ns=600_000_000, clock_drift_ppm=200_000).lease_wait_ns == 900_000_000
    assert ChainOptions(reads="confirm").lease_wait_ns == 0


def test_messages_survive_their_bytes() -> None:
    messages: list[Message] = [
        Append(1, 2, 1, 2, [Entry(1, 0, b"x"), Entry(1, 1, b"")]),
        Heartbeat(1, 7, 2, 2, (3,), [Echo(1, 5), Echo(2, 9)]),
        ReadIndexReply(1, 2, 3, (4,)),
    ]
    for message in messages:
        assert CODEC.decode(CODEC.encode(message)) == message


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x91\x63", msgspec.msgpack.encode([1, -1, 0, 0, 0, []])])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        CODEC.decode(data)


def entries_of(*epochs: int, first: int = 1) -> list[Record]:
    return [entry_record(first + at, Entry(epoch, 0, b"x")) for at, epoch in enumerate(epochs)]


def test_the_view_in_force_and_who_counts_in_it_are_recovered() -> None:
    view = View(3, (1, 2), (4,))
    durable = recover(Recovered(records=[view_record(view), *entries_of(1, 3), counted_record(3, (4,))]))
    assert (durable.view, durable.counted, durable.log.last, durable.log.last_term) == (view, (4,), 2, 3)
    later = recover(Recovered(records=[counted_record(3, (4,)), view_record(View(4, (1, 2, 4)))]))
    assert later.counted == ()


def test_a_later_entry_replaces_that_one_and_all_after_it() -> None:
    durable = recover(
        Recovered(records=[view_record(View(2, (1,))), *entries_of(1, 1, 1), *entries_of(2, first=2)])
    )
    assert [entry.term for entry in durable.log.entries] == [1, 2]


def test_a_base_drops_what_is_below_it() -> None:
    records = [view_record(View(2, (1,))), *entries_of(1, 1, 2), base_record(2, 1)]
    durable = recover(Recovered(records=records, applied=2, applied_term=1))
    assert (durable.log.base, durable.log.last, durable.recorded_base) == (2, 3, (2, 1))


def test_records_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(UnusableRecord, match="record 0 is not one of a chain's"):
        recover(Recovered(records=[Record(0, b"junk")]))
    with pytest.raises(UnusableRecord, match="what lies between is missing"):
        recover(Recovered(records=[view_record(View(1, (1,))), *entries_of(1, first=5)], applied=2))
    with pytest.raises(msgspec.DecodeError):
        decode(b"\x91\x09")


def test_a_state_machine_without_its_journal_needs_a_later_view() -> None:
    durable = recover(Recovered(records=[view_record(View(2, (1,)))], applied=9, applied_term=7))
    assert (durable.view.epoch, durable.log.base, durable.log.last_term) == (0, 9, 7)


def test_a_slice_of_the_log_ends_where_it_is_told_to() -> None:
    log: Log[Entry] = Log()
    for value in range(5):
        log.append(Entry(1, 0, b"%d" % value))
    size = size_of(log.entry(1))
    assert [entry.payload for entry in log.slice(2, 4, 1 << 20)[0]] == [b"1", b"2", b"3"]
    assert log.slice(2, 5, 2 * size) == (log.entries[1:3], 2 * size)
    assert log.slice(3, 5, 1) == (log.entries[2:3], size)
    assert log.slice(6, 5, 1 << 20) == ([], 0)


def test_the_protocol_is_found_by_its_name() -> None:
    assert PROTOCOL.name == "chain"
    assert PROTOCOL.options() == ChainOptions()
