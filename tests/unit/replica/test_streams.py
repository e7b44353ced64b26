"""Labelled random streams."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.replica import Stream


def test_the_same_seed_and_label_give_the_same_numbers_for_ever() -> None:
    stream = Stream(1, "election")
    assert [stream.word() for _ in range(3)] == [3188920848306042148, 72144813819980808, 13685567601573406213]


def test_another_label_or_seed_gives_other_numbers() -> None:
    words = {Stream(seed, label).word() for seed in range(20) for label in ("a", "b", "a\0", "")}
    assert len(words) == 80


@given(st.integers(0, 1 << 64), st.integers(1, 1 << 63))
def test_below_stays_below(seed: int, bound: int) -> None:
    assert 0 <= Stream(seed, "x").below(bound) < bound


def test_below_reaches_every_value_about_equally_often() -> None:
    stream = Stream(7, "fair")
    counts = Counter(stream.below(6) for _ in range(12_000))
    assert set(counts) == set(range(6))
    assert max(counts.values()) - min(counts.values()) < 300


@given(st.lists(st.integers()), st.integers())
def test_shuffled_keeps_every_item(items: list[int], seed: int) -> None:
    assert sorted(Stream(seed, "s").shuffled(items)) == sorted(items)


def test_a_bound_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="bound must be 1 or more"):
        Stream(0, "x").below(0)
