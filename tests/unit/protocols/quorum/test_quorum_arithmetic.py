"""Quorum arithmetic against sets that are really formed, and the words it comes with."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from comity.protocols.quorum import PROTOCOL, QuorumOptions, Quorums, preference, quorum_promise, quorums_of
from comity.protocols.quorum.arithmetic import lowered
from comity.protocols.quorum.placement import Placement
from comity.replica import View


@pytest.mark.parametrize(
    ("n", "r", "w"), [(n, r, w) for n in range(1, 6) for r, w in product(range(1, n + 1), repeat=2)]
)
def test_quorums_meet_exactly_where_no_two_sets_are_disjoint(n: int, r: int, w: int) -> None:
    disjoint = any(
        not set(read) & set(write)
        for read in combinations(range(n), r)
        for write in combinations(range(n), w)
    )
    assert Quorums(n, r, w).meet is not disjoint
    assert Quorums(n, Quorums(n, r, w).meeting_read, w).meet


def test_fewer_nodes_than_n_keep_what_n_promised() -> None:
    for n, nodes in product(range(1, 8), repeat=2):
        for r, w in product(range(n + 1), repeat=2):
            if quorums_of(n, n, r, w).meet:
                assert quorums_of(nodes, n, r, w).meet or nodes > n


@pytest.mark.parametrize(
    ("r", "w", "sloppy", "conflicts", "level", "word"),
    [
        (2, 2, False, "last-writer-wins", "linearizable", "R+W = 4 > N = 3"),
        (0, 0, False, "last-writer-wins", "linearizable", "ABD"),
        (3, 1, False, "last-writer-wins", "linearizable", "2W = 2 <= N = 3"),
        (1, 1, False, "last-writer-wins", "eventual", "R+W of 4 would do"),
        (1, 2, False, "last-writer-wins", "eventual", "may miss a write"),
        (2, 2, True, "last-writer-wins", "eventual", "sloppy"),
        (2, 2, False, "siblings", "session", "last-writer-wins would do"),
        (1, 1, True, "siblings", "eventual", "2W = 2 <= N = 3"),
    ],
)
def test_the_promise_and_its_reasons(
    r: int, w: int, sloppy: bool, conflicts: str, level: str, word: str
) -> None:
    promise = quorum_promise(3, r, w, sloppy, conflicts)
    assert promise.level == level
    assert word in " ".join(promise.reasons)


@pytest.mark.parametrize(("n", "r", "w"), [(0, 0, 0), (3, 4, 0), (3, 0, 4), (3, -1, 1)])
def test_numbers_that_make_no_sense_are_refused(n: int, r: int, w: int) -> None:
    with pytest.raises(ValueError, match=r"n must be|r \("):
        quorum_promise(n, r, w, False, "last-writer-wins")


def test_a_request_may_raise_its_quorums_and_not_go_below_what_its_level_counts_on() -> None:
    quorums = Quorums(5, 3, 3)
    for level in ("linearizable", "session"):
        assert lowered(quorums, level, 0, 0) == ""
        assert lowered(quorums, level, 5, 5) == ""
        assert "a " + level + " read needs 3" in lowered(quorums, level, 2, 0)
        assert "count on 3 acknowledgements" in lowered(quorums, level, 0, 2)
    assert lowered(quorums, "eventual", 1, 1) == ""
    assert "can never be had" in lowered(quorums, "eventual", 6, 0)
    assert lowered(quorums, "eventual", -1, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": -1}, "n must be 0 or more"),
        ({"n": 3, "r": 4}, "lower r or raise n"),
        ({"n": 3, "w": 4}, "lower w or raise n"),
        ({"conflicts": "first"}, "last-writer-wins or siblings"),
        ({"retry_ns": 0}, "retry_ns must be 1 or more"),
        ({"merkle_depth": 21}, "1 to 20"),
        ({"compare_nodes": 15}, "16 or more"),
        ({"tombstone_grace_ns": 10, "retry_ns": 5}, "hint_expiry_ns"),
        ({"tombstone_grace_ns": 10, "hint_expiry_ns": 5}, "retry_ns"),
    ],
)
def test_options_that_make_no_sense_say_what_would_do(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        QuorumOptions(**options)  # type: ignore[arg-type]
    assert PROTOCOL.options is QuorumOptions


def test_preference_depends_on_key_and_nodes_alone() -> None:
    nodes = (1, 2, 3, 4, 5)
    for number in range(200):
        key = b"%d" % number
        order = preference(key, nodes)
        assert order == preference(key, tuple(reversed(nodes)))
        without = preference(key, tuple(node for node in nodes if node != order[0]))
        assert without == order[1:], "only the lists of a node that leaves change"


def test_keys_are_spread_evenly() -> None:
    counts = dict.fromkeys(range(1, 6), 0)
    for number in range(5000):
        for node in preference(b"key:%d" % number, tuple(counts))[:3]:
            counts[node] += 1
    assert all(2800 < count < 3200 for count in counts.values())


def test_while_nodes_leave_a_key_has_two_lists() -> None:
    placement = Placement(View(2, (3, 4, 5), outgoing=(1, 2, 3)), 2, 0, 0)
    for number in range(50):
        key = b"%d" % number
        (new, quorums), (old, _) = placement.lists(key)
        assert set(new) <= {3, 4, 5}
        assert set(old) <= {1, 2, 3}
        assert quorums == Quorums(2, 2, 2)
        assert placement.holders(key) == tuple(sorted({*new, *old}))
        assert not set(placement.beyond(key)) & set(placement.holders(key))
