from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.clocks import Causality, DepartureNotSeen, VectorClock

clocks = st.dictionaries(st.integers(1, 5), st.integers(0, 4), max_size=5).map(VectorClock.of)


@given(clocks, clocks, clocks)
def test_merge_is_a_join(a: VectorClock, b: VectorClock, c: VectorClock) -> None:
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(a) == a
    assert a <= a.merge(b)
    assert b <= a.merge(b)


@given(clocks, clocks, clocks)
def test_merge_is_the_least_upper_bound(a: VectorClock, b: VectorClock, upper: VectorClock) -> None:
    if a <= upper and b <= upper:
        assert a.merge(b) <= upper


@given(clocks, clocks)
def test_operators_and_compare_say_the_same(a: VectorClock, b: VectorClock) -> None:
    relation = a.compare(b)
    assert (a <= b) == (relation in {Causality.BEFORE, Causality.EQUAL})
    assert (a < b) == (relation is Causality.BEFORE)
    assert (a >= b) == (relation in {Causality.AFTER, Causality.EQUAL})
    assert (a > b) == (relation is Causality.AFTER)
    assert (a == b) == (relation is Causality.EQUAL)
    assert hash(a) == hash(b) or a != b


def test_a_node_joins_by_its_first_event() -> None:
    old = VectorClock.of({1: 3, 2: 2})
    newcomer = VectorClock().receive(9, old)
    assert newcomer == VectorClock.of({1: 3, 2: 2, 9: 1})
    assert old.compare(newcomer) is Causality.BEFORE
    assert old.count(9) == 0


departed = st.dictionaries(st.integers(4, 5), st.integers(1, 4), max_size=2).map(VectorClock.of)


@given(departed, clocks, clocks)
def test_forgetting_a_departed_node_keeps_every_comparison(
    final: VectorClock, a: VectorClock, b: VectorClock
) -> None:
    # Node 4 and 5 are gone for good: nobody counts beyond their final counts, and these two saw all of it.
    a, b = (
        VectorClock.of({n: c for n, c in clock.entries if final.count(n) == 0}).merge(final)
        for clock in (a, b)
    )
    assert a.forget(final).compare(b.forget(final)) is a.compare(b)
    assert a.merge(b).forget(final) == a.forget(final).merge(b.forget(final))


def test_forgetting_before_all_was_seen_is_refused() -> None:
    with pytest.raises(DepartureNotSeen, match="1 of its 2 events") as caught:
        VectorClock.of({1: 1, 2: 1}).forget(VectorClock.of({2: 2}))
    assert (caught.value.node, caught.value.seen, caught.value.final) == (2, 1, 2)


@pytest.mark.parametrize("entries", [((2, 1), (1, 1)), ((1, 1), (1, 2)), ((1, 0),), ((1, -1),)])
def test_entries_out_of_order_or_empty_are_refused_also_from_the_wire(
    entries: tuple[tuple[int, int], ...],
) -> None:
    with pytest.raises(ValueError, match=r"must rise|leave it out"):
        VectorClock(entries)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode({"entries": entries}), type=VectorClock)


@given(clocks)
def test_the_wire_gives_back_the_same_clock(clock: VectorClock) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(clock), type=VectorClock) == clock
