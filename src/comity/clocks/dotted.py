"""Dotted version vectors: which concurrent writes of one value survive, exactly.

Nuno Preguica, Carlos Baquero, Paulo Sergio Almeida, Victor Fonte, Ricardo Goncalves, "Efficient
Causality Tracking in Distributed Storage Systems with Dotted Version Vectors", PODC 2012: a version is
a dot (the event that wrote it) and the past its writer had seen, apart; so that two clients that write
through the same replica, each without having seen the other, are recognised as concurrent.

Paulo Sergio Almeida, Carlos Baquero, Ricardo Goncalves, Nuno Preguica, Victor Fonte, "Scalable and
Accurate Causality Tracking for Eventually Consistent Stores", DAIS 2014: a replica's whole set of
siblings in the space of one version vector (`VersionSet`).

Both forms do the same; `VersionSet` is the one to store and send. The protocol around them: a read
returns the siblings and their context; a write brings back the context of the read it follows, replaces
every version in it, and stays beside every version that is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from comity.clocks.vector import VectorClock

V = TypeVar("V")


class Dot(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """One write: the `counter`-th (from 1) that `node` coordinated for this value."""

    node: int
    counter: int


class DottedVersion(msgspec.Struct, frozen=True):
    """One version: the write that made it, and what its writer had seen (the dot itself not included)."""

    dot: Dot
    past: VectorClock

    def precedes(self, other: DottedVersion) -> bool:
        """Whether `other` was written knowing this version: one look-up, not a comparison of vectors."""
        return self.dot.counter <= other.past.count(self.dot.node)


def context_of(versions: Iterable[DottedVersion]) -> VectorClock:
    """The causal context a reader of these versions takes away: all their dots and pasts."""
    counts: dict[int, int] = {}
    for version in versions:
        for node, count in (*version.past.entries, (version.dot.node, version.dot.counter)):
            counts[node] = max(counts.get(node, 0), count)
    return VectorClock.of(counts)


def sync(ours: Iterable[DottedVersion], theirs: Iterable[DottedVersion]) -> tuple[DottedVersion, ...]:
    """The versions of two replicas that no version of the other supersedes, by dot."""
    mine, yours = list(ours), list(theirs)
    kept = {version.dot: version for version in mine if not any(version.precedes(other) for other in yours)}
    kept.update(
        {version.dot: version for version in yours if not any(version.precedes(other) for other in mine)}
    )
    return tuple(kept[dot] for dot in sorted(kept))


def update(context: VectorClock, versions: Iterable[DottedVersion], node: int) -> DottedVersion:
    """The version made by a write with `context` at replica `node`, which holds `versions`.

    What the replica then holds is `sync(versions, [update(...)])`.
    """
    seen = context_of(versions).merge(context).count(node)
    return DottedVersion(Dot(node, seen + 1), context)


class VersionSet(msgspec.Struct, Generic[V], frozen=True):
    """The siblings of one value at a replica, and their causal context, in one compact structure.

    entries: (node, count, values) by rising node: `count` writes coordinated by `node` are in the
        context, and `values` are those of the last len(values) of them, newest first; the values of
        the earlier ones have been superseded.

    Two replicas of one value must not coordinate writes under the same node number, and a replica that
    lost its disk comes back under a new one: dots are never used twice.
    """

    entries: tuple[tuple[int, int, tuple[V, ...]], ...] = ()

    def __post_init__(self) -> None:
        previous: int | None = None
        for node, count, values in self.entries:
            if previous is not None and node <= previous:
                raise ValueError(f"entries must rise by node: {node} follows {previous}")
            if count < max(1, len(values)):
                raise ValueError(f"node {node} has {len(values)} values of {count} writes")
            previous = node

    def context(self) -> VectorClock:
        """What a reader of this set has seen, to be sent back with the write that follows."""
        return VectorClock(tuple((node, count) for node, count, _ in self.entries))

    def siblings(self) -> tuple[tuple[Dot, V], ...]:
        """The concurrent versions with the dots that wrote them, by node, newest first."""
        return tuple(
            (Dot(node, count - age), value)
            for node, count, values in self.entries
            for age, value in enumerate(values)
        )

    def values(self) -> tuple[V, ...]:
        """The concurrent values: one where there is no conflict, none where all were discarded."""
        return tuple(value for _, _, values in self.entries for value in values)

    def sync(self, other: VersionSet[V]) -> VersionSet[V]:
        """Both replicas' knowledge: commutative, associative and idempotent."""
        theirs = {node: (count, values) for node, count, values in other.entries}
        merged: list[tuple[int, int, tuple[V, ...]]] = []
        for node, count, values in self.entries:
            if node in theirs:
                merged.append((node, *_newer(count, values, *theirs.pop(node))))
            else:
                merged.append((node, count, values))
        merged.extend((node, count, values) for node, (count, values) in theirs.items())
        return VersionSet(tuple(sorted(merged, key=_node_of)))

    def discard(self, context: VectorClock) -> VersionSet[V]:
        """Without the values that `context` has seen; the knowledge of their writes stays."""
        return VersionSet(
            tuple(
                (node, count, values[: max(0, count - context.count(node))])
                for node, count, values in self.entries
            )
        )

    def update(self, context: VectorClock, node: int, value: V) -> VersionSet[V]:
        """After a write of `value`, coordinated by replica `node`, by a client that had seen `context`."""
        held = {entry[0]: (entry[1], entry[2]) for entry in self.discard(context).entries}
        for other, seen in context.entries:
            count, values = held.get(other, (0, ()))
            held[other] = (max(count, seen), values)
        count, values = held.get(node, (0, ()))
        held[node] = (count + 1, (value, *values))
        return VersionSet(tuple((other, *held[other]) for other in sorted(held)))


def _node_of(entry: tuple[int, int, tuple[V, ...]]) -> int:
    return entry[0]


def _newer(
    count: int, values: tuple[V, ...], other_count: int, other_values: tuple[V, ...]
) -> tuple[int, tuple[V, ...]]:
    if count < other_count:
        count, values, other_count, other_values = other_count, other_values, count, values
    # A value below the other side's oldest kept one has been superseded there.
    floor = max(count - len(values), other_count - len(other_values))
    return count, values[: max(0, count - floor)]
