"""Copies: merging, siblings, what is not accepted; the hash trees over them."""

from __future__ import annotations

import msgspec
import pytest

from comity.protocols.quorum.stamps import RESERVE_NS, Stamps
from comity.protocols.quorum.trees import Forest, HashTree
from comity.protocols.quorum.versions import (
    NOTHING,
    Copy,
    LastWriterWins,
    Resolver,
    Siblings,
    decode_copy,
    encode_copy,
)
from comity.replica import Stream


def some_copies(resolver: Resolver, seed: int, count: int) -> list[Copy]:
    """Copies as replicas come to hold them: written upon others, merged with others."""
    random = Stream(seed, "copies")
    held = dict.fromkeys((1, 2, 3), NOTHING)
    copies = []
    for stamp in range(1, count):
        node = random.pick((1, 2, 3))
        if random.chance(0.6):
            held[node] = resolver.write(
                held[node], node, stamp, b"%d" % stamp if random.chance(0.8) else None
            )
        else:
            held[node] = resolver.merge(held[node], held[random.pick((1, 2, 3))])
        copies.append(held[node])
    return copies


@pytest.mark.parametrize("resolver", [LastWriterWins(), Siblings(16)], ids=["last-writer-wins", "siblings"])
def test_merging_is_commutative_associative_and_idempotent(resolver: Resolver) -> None:
    for seed in range(5):
        copies = some_copies(resolver, seed, 14)
        for a in copies:
            assert resolver.merge(a, a) == a
            for b in copies:
                assert resolver.merge(a, b) == resolver.merge(b, a)
                assert resolver.merge(a, b).tag == max(a.tag, b.tag)
                for c in copies[::3]:
                    assert resolver.merge(resolver.merge(a, b), c) == resolver.merge(a, resolver.merge(b, c))


def test_replicas_that_drop_siblings_converge_whatever_the_order_of_merging() -> None:
    random = Stream(3, "orders")
    for seed in range(20):
        siblings = Siblings(2)
        copies = some_copies(siblings, seed, 14)
        replicas = [NOTHING] * 3
        for _ in range(3):
            for copy in random.shuffled(copies):
                place = random.below(3)
                replicas[place] = siblings.merge(replicas[place], copy)
        for _ in range(2):
            for place in range(3):
                for other in replicas:
                    replicas[place] = siblings.merge(replicas[place], other)
        assert replicas[0] == replicas[1] == replicas[2]
        assert len(replicas[0].values) <= 2


def test_a_write_supersedes_what_its_author_saw_and_nothing_else() -> None:
    siblings = Siblings(16)
    first = siblings.write(NOTHING, 1, 10, b"a")
    second = siblings.write(NOTHING, 2, 20, b"b")
    both = siblings.merge(first, second)
    assert both.values == (b"b", b"a")
    assert both.value == b"b"
    after_both = siblings.write(both, 3, 30, b"c")
    assert siblings.merge(both, after_both).values == (b"c",)
    after_first = siblings.write(first, 1, 25, b"d")
    assert siblings.merge(both, after_first).values == (b"d", b"b")


def test_of_too_many_siblings_the_oldest_go_and_stay_gone() -> None:
    siblings = Siblings(2)
    copy = NOTHING
    written = [siblings.write(NOTHING, node, node * 10, b"%d" % node) for node in (1, 2, 3)]
    for one in written:
        copy = siblings.merge(copy, one)
    assert copy.values == (b"3", b"2")
    assert siblings.merge(copy, written[0]).values == (b"3", b"2")
    assert siblings.trimmed == 1


def test_a_tombstone_is_a_value_that_hides_older_ones() -> None:
    lww = LastWriterWins()
    value, removal = lww.write(NOTHING, 1, 5, b"a"), lww.write(NOTHING, 1, 6, None)
    assert lww.merge(value, removal).value is None
    assert removal.removed
    assert not value.removed


@pytest.mark.parametrize(
    "entries",
    [
        ((1, 0, (b"a",)),),
        ((1, (1 << 62) + 1, (b"a",)),),
        ((0, 5, (b"a",)),),
        ((2, 5, (b"a",)), (1, 6, ())),
        ((1, 5, (b"a", b"b")),),
    ],
)
def test_copies_that_cannot_be_are_not_read(entries: tuple[tuple[int, int, tuple[bytes, ...]], ...]) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_copy(encode_copy(Copy(entries)))


def test_times_rise_over_restarts_whatever_the_clock_does() -> None:
    ceilings: list[int] = []
    wall = [1_000_000]
    stamps = Stamps(lambda: wall[0], 0, ceilings.append)
    given = [stamps.next() for _ in range(3)]
    wall[0] -= 500_000
    given += [stamps.next(), stamps.next(after=given[-1] + 77)]
    again = Stamps(lambda: wall[0], ceilings[-1], ceilings.append)
    wall[0] = 0
    given += [again.next() for _ in range(3)]
    assert given == sorted(set(given))
    assert len(ceilings) == 2, "a ceiling serves a second of times"
    assert ceilings[0] == given[0] + RESERVE_NS


def test_a_tree_after_puts_in_any_order_is_that_of_what_is_held() -> None:
    random = Stream(1, "tree")
    keys = [(random.word(), random.word()) for _ in range(300)]
    one, other = HashTree(6), HashTree(6)
    for position, digest in keys:
        one.change(position, digest)
    for position, digest in random.shuffled(keys):
        other.change(position, 99)
        other.change(position, digest)
        other.change(position, 99)
    assert one.nodes == other.nodes
    for position, digest in keys:
        one.change(position, digest)
    assert one.nodes == {}


def test_a_difference_is_found_from_the_root_down() -> None:
    forest = Forest(8)
    forest.change((1, 2), 5 << 56, 1)
    forest.change((1, 3), 6 << 56, 2)
    assert forest.hashes(2, [1]) == [1]
    assert forest.hashes(3, [1]) == [2]
    leaves = [leaf for top in forest.below(1, 4) for leaf in forest.below(top, 4)]
    assert [leaf for leaf in leaves if forest.hashes(2, [leaf])[0]] == [256 + 5]
    assert forest.bounds(256 + 5) == (5 << 56, (6 << 56) - 1)
    assert forest.leaf(256)
    assert not forest.leaf(255)
