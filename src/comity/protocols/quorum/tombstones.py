"""Forgetting removals: when a tombstone may go without what it hides coming back.

A tombstone is in the way of older copies of its key. It may be collected at a replica when no replica of the
key's list can still hold one: when it is older than the grace time, which bounds how late a message or a hint
may come, and when anti-entropy with every other node of the list was completed by a round that began after
this replica had the tombstone; then each of them has it, or something later. A node that is down holds up the
collection of the removals it has not heard of: status() shows how many there are.

A replica that has not collected it yet does not bring it back: a tombstone beyond its grace is not stored
where there is no copy (`worth_keeping`).
"""

from __future__ import annotations

from comity.protocols.quorum.state import CLIENT
from comity.protocols.quorum.sync import AntiEntropy
from comity.protocols.quorum.versions import NOTHING, Copy
from comity.replica import NEVER


class Tombstones(AntiEntropy):
    """An index of the tombstones held, and their collection."""

    def prepare_tombstones(self) -> None:
        """None is known; the walk that builds the trees finds them."""
        self.tombstones: dict[bytes, int] = {}
        """Key -> since when this life of the replica holds it."""
        self.collect_due_ns = NEVER

    def note_change(self, now_ns: int, key: bytes, copy: Copy) -> None:
        """Keep the index."""
        if copy.entries and copy.removed:
            self.tombstones.pop(key, None)
            self.tombstones[key] = now_ns
            if self.collect_due_ns == NEVER:
                self.collect_due_ns = now_ns + self.options.collect_ns
        else:
            self.tombstones.pop(key, None)

    def may_collect(self, key: bytes, copy: Copy, since_ns: int) -> bool:
        """Whether nothing that this tombstone hides can come back."""
        return not self.within_grace(copy) and self.agreed_since(key, since_ns)

    def agreed_since(self, key: bytes, since_ns: int) -> bool:
        """Whether a round with every other node of the key's list began after that."""
        return not self.in_force.outgoing and all(
            node == self.node or self.agreed.get(node, -1) > since_ns for node in self.placement.holders(key)
        )

    def collect(self, now_ns: int) -> None:
        """Look at some tombstones, the oldest first."""
        self.collect_due_ns = NEVER
        for key, since_ns in list(self.tombstones.items())[: self.options.collect_keys]:
            del self.tombstones[key]
            copy = self.copy_of(key)
            if not copy.entries or not copy.removed:
                continue
            if key not in self.strays and self.may_collect(key, copy, since_ns):
                self.forget_removed(now_ns, key, copy)
            else:
                self.tombstones[key] = since_ns  # to the end: the others have their turn
        if self.tombstones:
            self.collect_due_ns = now_ns + self.options.collect_ns

    def forget_removed(self, now_ns: int, key: bytes, copy: Copy) -> None:
        """The cell is removed."""
        position = self.position_of(CLIENT + key)
        self.put(CLIENT + key, None)
        self.update_trees(key, position, copy, NOTHING)
        self.count("tombstones_collected")
