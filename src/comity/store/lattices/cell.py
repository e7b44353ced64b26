"""The value of one key as a join semilattice: a register and a counter in one, both reset by what saw them.

A causal delta-state CRDT (Almeida, Shoker & Baquero 2018): what each node has done to the key is kept apart,
under positions that only that node gives out. A write is undone by a later one that had *seen* it, and by no
other (observed-remove, Shapiro et al. 2011): SET and DEL raise the floors of all nodes to what they have
seen of them; whatever lies above its node's floor is alive.

- Of the registers alive, one a node at most, the reader shows that with the highest (stamp, node).
- Increments are totals: each node's running sum for the key, at its last position and at its floor. What
  is alive of it is the difference, so a reset takes away exactly what it had seen, and resetting twice is
  resetting once (no anomalies of embedded counters as in Baquero, Almeida & Lerche 2016).
- The value is the register's (0 where there is none) plus all increments alive.

A position is 2c for the node's dot c, 2c-1 for "just before dot c". For one node each of floor, total,
register and deadline is a chain ordered by position: so an entry is a lattice, and a key a map of entries.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from comity.store.commands.arguments import integer
from comity.store.errors import CommandError

POSITION_LIMIT = 1 << 62
STAMP_LIMIT = (1 << 64) - 1


class Register(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a node's last SET at `position` wrote, at hybrid time `stamp`."""

    position: int
    stamp: int
    value: bytes


class Deadline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When the key expires (unix milliseconds, 0 for never), as a node last said at `position`."""

    position: int
    stamp: int
    expires_ms: int


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that one node has done to the key, as far as it matters.

    floor: its writes at or before this position are undone. last: its last write. floor_total, total: its
    running sum of increments at these two. counted: its last increment, 0 where none is alive.
    """

    node: int
    floor: int
    floor_total: int
    last: int
    total: int
    counted: int = 0
    register: Register | None = None
    deadline: Deadline | None = None

    @property
    def alive(self) -> bool:
        """Whether anything in it is more than the memory of a removal."""
        return bool(self.counted or self.register is not None or self.deadline is not None)


Entries = Mapping[int, Entry]
"""node -> its entry."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


def encode(entries: Entries) -> bytes:
    """The one encoding of a state."""
    if len(entries) == 1:
        return _encoder.encode([*entries.values()])
    return _encoder.encode([entries[node] for node in sorted(entries)])


def decode(state: bytes | None) -> dict[int, Entry]:
    """The entries of a state, {} for None. Raises `ValueError` where it is none."""
    if state is None:
        return {}
    try:
        entries = {entry.node: entry for entry in _decoder.decode(state)}
    except msgspec.DecodeError as error:
        raise ValueError(f"not a lattice value: {error}") from None
    for entry in entries.values():
        floor, last = entry.floor, entry.last
        if not (entry.node > 0 and 0 <= floor <= last < POSITION_LIMIT):
            raise ValueError(f"not a lattice value: node {entry.node} from {floor} to {last}")
        register, deadline = entry.register, entry.deadline
        if register is not None:
            _check_part(floor, last, register)
        if deadline is not None:
            _check_part(floor, last, deadline)
        if entry.counted and not floor < entry.counted <= last:
            raise ValueError(f"not a lattice value: counted at {entry.counted}")
    return entries


def _check_part(floor: int, last: int, part: Register | Deadline) -> None:
    if not (floor < part.position <= last and 0 <= part.stamp <= STAMP_LIMIT):
        raise ValueError(f"not a lattice value: position {part.position}, stamp {part.stamp}")


def canonical(entry: Entry) -> Entry:
    """The same without what lies at or below its floor."""
    floor, last, total = entry.floor, entry.last, entry.total
    if last < floor:
        last, total = floor, entry.floor_total
    register, deadline = entry.register, entry.deadline
    return Entry(
        entry.node,
        floor,
        entry.floor_total,
        last,
        total,
        entry.counted if entry.counted > floor else 0,
        register if register is not None and register.position > floor else None,
        deadline if deadline is not None and deadline.position > floor else None,
    )


def join_entries(left: Entry, right: Entry) -> Entry:
    """The least upper bound of what is known of one node: every part at its highest position."""
    # Who has seen all that the other tells of the node has nothing to learn from it.
    if right.floor >= left.last:
        return right
    if left.floor >= right.last or left == right:
        return left
    floor = left if left.floor >= right.floor else right
    last = left if left.last >= right.last else right
    return canonical(
        Entry(
            left.node,
            floor.floor,
            floor.floor_total,
            last.last,
            last.total,
            max(left.counted, right.counted),
            _later_register(left.register, right.register),
            _later_deadline(left.deadline, right.deadline),
        )
    )


def _later_register(left: Register | None, right: Register | None) -> Register | None:
    if left is None or right is None:
        return left or right
    return left if left.position >= right.position else right


def _later_deadline(left: Deadline | None, right: Deadline | None) -> Deadline | None:
    if left is None or right is None:
        return left or right
    return left if left.position >= right.position else right


def join(left: Entries, right: Entries) -> dict[int, Entry]:
    """The least upper bound of two states."""
    joined = dict(left)
    for node, entry in right.items():
        mine = joined.get(node)
        if mine is None or entry.floor >= mine.last:
            joined[node] = entry
        else:
            joined[node] = join_entries(mine, entry)
    return joined


def winner(entries: Entries) -> Register | None:
    """The register a reader shows: of those alive the one with the highest (stamp, node)."""
    best: tuple[int, int, Register] | None = None
    for node, entry in entries.items():
        register = entry.register
        if register is not None and (best is None or (register.stamp, node) > best[:2]):
            best = (register.stamp, node, register)
    return None if best is None else best[2]


def expiry_ms(entries: Entries) -> int:
    """When the key expires, 0 for never: the last word by (stamp, node). A SET without a time to live has the
    word "never"."""
    last_word = (-1, 0, -1, 0)
    for node, entry in entries.items():
        if entry.register is not None:
            last_word = max(last_word, (entry.register.stamp, node, 0, 0))
        if entry.deadline is not None:
            last_word = max(last_word, (entry.deadline.stamp, node, 1, entry.deadline.expires_ms))
    return last_word[3]


def newest_stamp(entries: Entries) -> int:
    """The highest stamp in it, -1 for none."""
    newest = -1
    for entry in entries.values():
        for part in (entry.register, entry.deadline):
            if part is not None and part.stamp > newest:
                newest = part.stamp
    return newest


def content(entries: Entries) -> bytes | None:
    """The string that a client sees, expired or not; None where there is no key."""
    counts = [entry.total - entry.floor_total for entry in entries.values() if entry.counted]
    register = winner(entries)
    if not counts:
        return None if register is None else register.value
    if register is None:
        return b"%d" % sum(counts)
    try:
        base = integer(register.value)
    except CommandError:
        # A concurrent SET made it text. The increments wait: they count again if a number wins later.
        return register.value
    return b"%d" % (base + sum(counts))


def visible(entries: Entries, now_ms: int) -> tuple[bytes, int] | None:
    """(string, deadline) as a client sees it at that time; None where there is no key or it has expired."""
    data = content(entries)
    if data is None:
        return None
    expires_ms = expiry_ms(entries)
    return None if 0 < expires_ms <= now_ms else (data, expires_ms)


def without_removals(entries: Entries) -> dict[int, Entry]:
    """Without entries that only remember removals.

    Nobody misses them once everybody has seen all of the state: what arrives later has seen the removals
    too, so it says the same with them and without. A node whose entry is gone starts another one just before
    its next dot, above every floor that is remembered anywhere.
    """
    return {node: entry for node, entry in entries.items() if entry.alive}
