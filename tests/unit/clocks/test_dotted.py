"""Dotted version vectors against a slow twin that keeps every version's full causal history as a set."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.clocks import Dot, DottedVersion, VectorClock, VersionSet, context_of, sync, update

REPLICAS = 3
CLIENTS = 3

History = frozenset[int]
Twin = frozenset[tuple[int, History]]
"""The versions at a replica: (write, writes it knew of). Every write has its own number."""


def twin_context(held: Twin) -> History:
    return frozenset(write for write, _ in held) | frozenset(known for _, past in held for known in past)


def twin_sync(a: Twin, b: Twin) -> Twin:
    both = a | b
    return frozenset((w, past) for w, past in both if not any(w in other for _, other in both))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, CLIENTS - 1), st.integers(1, REPLICAS)),
        st.tuples(st.just("write"), st.integers(0, CLIENTS - 1), st.integers(1, REPLICAS)),
        st.tuples(st.just("sync"), st.integers(1, REPLICAS), st.integers(1, REPLICAS)),
    ),
    max_size=30,
)


class Cluster:
    """The same run three ways: version sets, lists of dotted versions, and the twin."""

    def __init__(self) -> None:
        self.sets = {node: VersionSet[int]() for node in range(1, REPLICAS + 1)}
        self.lists: dict[int, tuple[DottedVersion, ...]] = dict.fromkeys(self.sets, ())
        self.twins: dict[int, Twin] = {node: frozenset() for node in self.sets}
        self.set_contexts = [VectorClock()] * CLIENTS
        self.list_contexts = [VectorClock()] * CLIENTS
        self.twin_contexts: list[History] = [frozenset()] * CLIENTS
        self.number_of: dict[Dot, int] = {}
        self.writes = 0

    def run(self, step: tuple[str, int, int]) -> None:
        kind, first, second = step
        if kind == "read":
            self.set_contexts[first] = self.sets[second].context()
            self.list_contexts[first] = context_of(self.lists[second])
            self.twin_contexts[first] = twin_context(self.twins[second])
        elif kind == "write":
            self.writes += 1
            self.sets[second] = self.sets[second].update(self.set_contexts[first], second, self.writes)
            version = update(self.list_contexts[first], self.lists[second], second)
            self.number_of[version.dot] = self.writes
            self.lists[second] = sync(self.lists[second], [version])
            new = frozenset({(self.writes, self.twin_contexts[first])})
            self.twins[second] = twin_sync(self.twins[second], new)
        else:
            merged = self.sets[first].sync(self.sets[second])
            assert merged == self.sets[second].sync(self.sets[first])
            self.sets[first] = merged
            self.lists[first] = sync(self.lists[first], self.lists[second])
            self.twins[first] = twin_sync(self.twins[first], self.twins[second])


@given(steps)
@settings(max_examples=300)
def test_siblings_are_those_of_full_causal_histories(script: list[tuple[str, int, int]]) -> None:
    cluster = Cluster()
    for step in script:
        cluster.run(step)
        for node, twin in cluster.twins.items():
            expected = sorted(write for write, _ in twin)
            assert sorted(cluster.sets[node].values()) == expected
            assert sorted(cluster.number_of[version.dot] for version in cluster.lists[node]) == expected
            assert {(dot, value) for dot, value in cluster.sets[node].siblings()} == {
                (version.dot, cluster.number_of[version.dot]) for version in cluster.lists[node]
            }
            assert cluster.sets[node].context() == context_of(cluster.lists[node])


@given(steps)
def test_precedes_is_membership_in_the_causal_history(script: list[tuple[str, int, int]]) -> None:
    cluster = Cluster()
    versions: dict[int, DottedVersion] = {}
    pasts: dict[int, History] = {}
    for step in script:
        cluster.run(step)
        versions |= {cluster.number_of[v.dot]: v for held in cluster.lists.values() for v in held}
        pasts |= {write: past for twin in cluster.twins.values() for write, past in twin}
    for a, first in versions.items():
        for b, second in versions.items():
            assert first.precedes(second) == (a in pasts[b])


@given(steps)
def test_sync_is_a_join(script: list[tuple[str, int, int]]) -> None:
    cluster = Cluster()
    for step in script:
        cluster.run(step)
    a, b, c = cluster.sets.values()
    assert a.sync(a) == a
    assert a.sync(b).sync(c) == a.sync(b.sync(c))


def test_two_clients_writing_blindly_through_one_replica_are_concurrent() -> None:
    # The case a plain version vector per value gets wrong: the second write would look like a successor.
    empty = VectorClock()
    held = VersionSet[str]().update(empty, 1, "a").update(empty, 1, "b")
    assert held.siblings() == ((Dot(1, 2), "b"), (Dot(1, 1), "a"))
    resolved = held.update(held.context(), 1, "c")
    assert resolved.values() == ("c",)


def test_a_write_replaces_only_what_it_had_seen() -> None:
    held = VersionSet[str]().update(VectorClock(), 1, "a")
    seen = held.context()
    held = held.update(VectorClock(), 2, "b").update(seen, 1, "c")
    assert sorted(held.values()) == ["b", "c"]


def test_discarding_keeps_the_knowledge_that_the_value_was_replaced() -> None:
    held = VersionSet[str]().update(VectorClock(), 1, "a")
    emptied = held.discard(held.context())
    assert emptied.values() == ()
    assert emptied.sync(held).values() == ()


def test_impossible_sets_are_refused_also_from_the_wire() -> None:
    with pytest.raises(ValueError, match="2 values of 1 writes"):
        VersionSet(((1, 1, ("a", "b")),))
    with pytest.raises(ValueError, match="must rise"):
        VersionSet(((2, 1, ()), (1, 1, ())))
    wire = msgspec.msgpack.encode({"entries": [[1, 0, []]]})
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(wire, type=VersionSet[str])
    sound = VersionSet(((1, 3, ("c", "b")),))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sound), type=VersionSet[str]) == sound
