"""Vector clocks over a membership that changes.

Colin Fidge, "Timestamps in Message-Passing Systems That Preserve the Partial Ordering", ACSC 1988;
Friedemann Mattern, "Virtual Time and Global States of Distributed Systems", 1989.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec


class Causality(enum.Enum):
    """How one event, or the past it stands for, relates to another."""

    BEFORE = "before"
    AFTER = "after"
    EQUAL = "equal"
    CONCURRENT = "concurrent"


class DepartureNotSeen(ValueError):
    """A clock was asked to forget a departed node some of whose events it has not seen.

    Forgetting it would make that clock look later than it is. Merge first, then forget.
    """

    def __init__(self, node: int, seen: int, final: int) -> None:
        super().__init__(
            f"cannot forget node {node}: {seen} of its {final} events are in this past; "
            "merge a clock that has seen them all first"
        )
        self.node = node
        self.seen = seen
        self.final = final


class VectorClock(msgspec.Struct, frozen=True):
    """How many events of each node are in the past: an event's timestamp, or a causal context.

    entries: (node, count) pairs, by rising node, counts 1 or more. A node that is absent counts 0,
    so a node joins by its first event and needs no announcement. `of` makes one from a mapping.

    `a <= b` means: everything a has seen, b has seen. The operators give this partial order, so
    `not a <= b` does not imply `b <= a`; `compare` says which of the four cases holds.

    Leaving: a departed node's entry can be forgotten (`forget`) once its last event is in the past
    of every clock still in use. Clocks that have forgotten it and clocks that have not must not be
    compared: forget at one agreed point of the membership's own history. Node numbers are never used
    again.
    """

    entries: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        previous: int | None = None
        for node, count in self.entries:
            if previous is not None and node <= previous:
                raise ValueError(f"entries must rise by node: {node} follows {previous}")
            if count < 1:
                raise ValueError(f"the count of node {node} is {count}: leave it out instead")
            previous = node

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> VectorClock:
        """From node -> count; zeros are left out. Raises ValueError for a negative count."""
        return cls(tuple((node, counts[node]) for node in sorted(counts) if counts[node] != 0))

    def count(self, node: int) -> int:
        """How many events of `node` are in this past."""
        for candidate, count in self.entries:
            if candidate == node:
                return count
        return 0

    def nodes(self) -> tuple[int, ...]:
        """The nodes with an event in this past, rising."""
        return tuple(node for node, _ in self.entries)

    def tick(self, node: int) -> VectorClock:
        """The timestamp of the next local or send event of `node`."""
        counts = dict(self.entries)
        counts[node] = counts.get(node, 0) + 1
        return VectorClock.of(counts)

    def receive(self, node: int, sent: VectorClock) -> VectorClock:
        """The timestamp of `node` receiving a message that carries `sent`."""
        return self.merge(sent).tick(node)

    def merge(self, other: VectorClock) -> VectorClock:
        """The least past that contains both: commutative, associative and idempotent."""
        if not other.entries or self.entries == other.entries:
            return self
        counts = dict(self.entries)
        for node, count in other.entries:
            if counts.get(node, 0) < count:
                counts[node] = count
        return VectorClock.of(counts)

    def compare(self, other: VectorClock) -> Causality:
        """BEFORE where this past is strictly within the other's, AFTER the other way round."""
        if self.entries == other.entries:
            return Causality.EQUAL
        if self <= other:
            return Causality.BEFORE
        if other <= self:
            return Causality.AFTER
        return Causality.CONCURRENT

    def __le__(self, other: VectorClock) -> bool:
        theirs = dict(other.entries)
        return all(count <= theirs.get(node, 0) for node, count in self.entries)

    def __lt__(self, other: VectorClock) -> bool:
        return self.entries != other.entries and self <= other

    def __ge__(self, other: VectorClock) -> bool:
        return other <= self

    def __gt__(self, other: VectorClock) -> bool:
        return other < self

    def forget(self, departed: VectorClock) -> VectorClock:
        """Without the nodes of `departed`, whose counts are those nodes' final ones.

        Among clocks that all passed this check, comparing after forgetting gives what comparing
        before would have given. Raises `DepartureNotSeen` where an event of such a node is not in
        this past yet.
        """
        final = dict(departed.entries)
        counts = dict(self.entries)
        for node, last in departed.entries:
            if counts.get(node, 0) < last:
                raise DepartureNotSeen(node, counts.get(node, 0), last)
        return VectorClock(tuple(entry for entry in self.entries if entry[0] not in final))
