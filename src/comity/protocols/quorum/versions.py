"""What a replica holds of a key: one tagged value, or siblings with their causal context.

A tag is (hybrid time, node); no two writes have the same one. Both kinds have one form, that of
`clocks.VersionSet`: (node, time, values) by rising node, where `time` is that of the last write that
`node` coordinated, and `values` holds its value unless another write has superseded it. A removal is a value
too: None, a tombstone.

The counters of these dots are hybrid times, so they rise but have gaps. That is sound because a coordinator's
write supersedes all it has coordinated before: whoever knows its last dot needs none of the earlier ones.
"""

from __future__ import annotations

import abc
import struct
from collections.abc import Callable

import msgspec
from xxhash import xxh3_64_intdigest

from comity.clocks import VectorClock, VersionSet
from comity.protocols.quorum.arithmetic import LAST_WRITER_WINS

Tag = tuple[int, int]
"""(hybrid time packed, node): tags are totally ordered."""
Entry = tuple[int, int, tuple[bytes | None, ...]]

ZERO: Tag = (0, 0)
MAX_STAMP = 1 << 62
"""No honest clock gets there before 2116."""
MAX_ENTRIES = 1024

_DIGEST = struct.Struct(">QQB")


class Copy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All a replica knows of one key."""

    entries: tuple[Entry, ...] = ()

    @property
    def tag(self) -> Tag:
        """The highest tag; its value is always among the values, for what supersedes is higher."""
        if len(self.entries) == 1:
            node, stamp, _ = self.entries[0]
            return stamp, node
        return max(((stamp, node) for node, stamp, _ in self.entries), default=ZERO)

    @property
    def value(self) -> bytes | None:
        """The value with the highest tag; None where it is a removal, or there is none."""
        if len(self.entries) == 1:
            values = self.entries[0][2]
            return values[0] if values else None
        best, found = ZERO, None
        for node, stamp, values in self.entries:
            if values and (stamp, node) > best:
                best, found = (stamp, node), values[0]
        return found

    @property
    def values(self) -> tuple[bytes | None, ...]:
        """All siblings, the latest first."""
        live = [(stamp, node, values[0]) for node, stamp, values in self.entries if values]
        return tuple(value for _, _, value in sorted(live, key=lambda version: version[:2], reverse=True))

    @property
    def removed(self) -> bool:
        """Whether only tombstones are left."""
        if len(self.entries) == 1:
            values = self.entries[0][2]
            return not values or values[0] is None
        return all(value is None for _, _, values in self.entries for value in values)

    def without_values(self) -> Copy:
        """What a writer has to know."""
        return Copy(tuple((node, stamp, ()) for node, stamp, _ in self.entries))

    def digest(self, key: bytes) -> int:
        """64 bits for the hash tree: tags stand for the values they were given to."""
        if len(self.entries) == 1:
            node, stamp, values = self.entries[0]
            return xxh3_64_intdigest(key + _DIGEST.pack(node, stamp, len(values)))
        return xxh3_64_intdigest(
            key + b"".join(_DIGEST.pack(node, stamp, len(values)) for node, stamp, values in self.entries)
        )

    def context(self) -> VectorClock:
        """What a reader of this copy has seen."""
        return VectorClock(tuple((node, stamp) for node, stamp, _ in self.entries))


NOTHING = Copy()

_decode = msgspec.msgpack.Decoder(Copy).decode
encode_copy: Callable[[Copy], bytes] = msgspec.msgpack.Encoder().encode
"""The bytes of a cell, and on the wire; equal copies have equal bytes."""


def decode_copy(cell: bytes | None) -> Copy:
    """The inverse; raises `msgspec.DecodeError` for other bytes, also for what no replica can hold."""
    if cell is None:
        return NOTHING
    copy = _decode(cell)
    previous = 0
    if len(copy.entries) > MAX_ENTRIES:
        raise msgspec.ValidationError(f"{len(copy.entries)} entries")
    for node, stamp, values in copy.entries:
        if node <= previous or not 0 < stamp <= MAX_STAMP or len(values) > 1 or node > MAX_STAMP:
            raise msgspec.ValidationError(f"node {node}, time {stamp}, {len(values)} values after {previous}")
        previous = node
    return copy


class Resolver(abc.ABC):
    """How copies become one. `merge` is commutative, associative and idempotent; where siblings are dropped
    it is not associative, but a copy still only ever rises, so that replicas converge."""

    @abc.abstractmethod
    def merge(self, ours: Copy, theirs: Copy) -> Copy:
        """The least copy that knows what both know."""

    @abc.abstractmethod
    def write(self, seen: Copy, node: int, stamp: int, value: bytes | None) -> Copy:
        """A new write by one who had seen that copy. stamp: higher than all times in it."""

    def legal(self, copy: Copy) -> bool:
        """Whether a peer may store this here."""
        return bool(copy.entries) and any(values for _, _, values in copy.entries)


class LastWriterWins(Resolver):
    """The value with the higher tag stays, the other is forgotten."""

    def merge(self, ours: Copy, theirs: Copy) -> Copy:
        """The one with the higher tag."""
        if not ours.entries:
            return theirs if theirs.entries else ours
        return theirs if theirs.tag > ours.tag else ours

    def write(self, seen: Copy, node: int, stamp: int, value: bytes | None) -> Copy:
        """One tagged value."""
        return Copy(((node, stamp, (value,)),))

    def legal(self, copy: Copy) -> bool:
        """One value and no more."""
        return len(copy.entries) == 1 and len(copy.entries[0][2]) == 1


class Siblings(Resolver):
    """Dotted version vectors (Preguica and others 2012), as version sets (Almeida and others 2014)."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.trimmed = 0

    def merge(self, ours: Copy, theirs: Copy) -> Copy:
        """What neither has seen superseded; of more than the limit the oldest are given up."""
        if not ours.entries or ours.entries == theirs.entries:
            return theirs
        if not theirs.entries:
            return ours
        mine: VersionSet[bytes | None] = VersionSet(ours.entries)
        return self.bounded(Copy(mine.sync(VersionSet(theirs.entries)).entries))

    def bounded(self, copy: Copy) -> Copy:
        """At most `limit` values; what is dropped counts as seen, so that it is dropped everywhere."""
        tags = sorted((stamp, node) for node, stamp, values in copy.entries if values)
        excess = len(tags) - self.limit
        if excess <= 0:
            return copy
        self.trimmed += excess
        dropped = tags[:excess]
        return Copy(
            tuple(
                (node, stamp, () if (stamp, node) in dropped else values)
                for node, stamp, values in copy.entries
            )
        )

    def write(self, seen: Copy, node: int, stamp: int, value: bytes | None) -> Copy:
        """Supersedes every value seen, keeps their dots as its past."""
        entries: dict[int, Entry] = {other: (other, count, ()) for other, count, _ in seen.entries}
        entries[node] = (node, stamp, (value,))
        return Copy(tuple(entries[other] for other in sorted(entries)))


def resolver_of(conflicts: str, max_siblings: int) -> Resolver:
    """The way of a keyspace."""
    return LastWriterWins() if conflicts == LAST_WRITER_WINS else Siblings(max_siblings)
