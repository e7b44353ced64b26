"""Changes of view: both memberships count until what the old one held is at the new one.

While a view has outgoing nodes, a key has a list of the new nodes and one of the outgoing ones, and every
phase needs a quorum of each (`lists_of`). Anti-entropy treats both as holders. A node has settled when, under
this view, a round with every new node was completed: what it held then, acknowledged under the old view or
not, is at all of them. The view without the outgoing nodes may come when all of them have settled.
"""

from __future__ import annotations

from comity.protocols.quorum.state import CLIENT, LAST_POSITION
from comity.protocols.quorum.tombstones import Tombstones
from comity.protocols.quorum.trees import Forest
from comity.protocols.quorum.versions import decode_copy
from comity.replica import NEVER, NodeId

BUILD_PAUSE_NS = 1_000_000


class Moving(Tombstones):
    """Adopting a view: trees built anew, phases begun anew, keys moved."""

    def prepare_moving(self) -> None:
        """Nothing has settled."""
        self.build_due_ns = NEVER
        self.settled_epoch = 0

    def view_changed(self, now_ns: int) -> None:
        """Lists are others now: trees, strays and rounds of the old ones are void."""
        self.end_round()
        self.agreed.clear()
        self.rounds_heard.clear()
        self.forget_handovers()
        self.finished.clear()
        for target in list(self.suspected):
            if target not in self.in_force.everyone():
                del self.suspected[target]
        self.begin_building(now_ns)
        self.restart_phases(now_ns)
        self.round_due_ns = now_ns + self.round_pause_ns()
        self.arm_heartbeat(now_ns)

    def begin_building(self, now_ns: int) -> None:
        """Walk all cells, a slice at a time, and put them into new trees."""
        self.forest = Forest(self.options.merkle_depth)
        self.built = 0
        self.strays = {}
        self.build(now_ns)

    def build(self, now_ns: int) -> None:
        """One slice of the walk. It ends between two hashes, so that none is taken twice or left out."""
        self.build_due_ns = NEVER
        before = -1
        for count, (position, cell_key, cell) in enumerate(self.cells.walk(self.built)):
            if count >= self.options.build_keys and position > before:
                self.built = position
                self.build_due_ns = now_ns + BUILD_PAUSE_NS
                return
            before = position
            if cell_key[:1] == CLIENT:
                if position != self.position_of(cell_key):
                    raise self.broken(f"cells are walked in another order than that of xxh3_64: {position}")
                self.build_one(now_ns, cell_key[1:], position, cell)
        self.built = LAST_POSITION + 1
        self.check_settled(now_ns)

    def build_one(self, now_ns: int, key: bytes, position: int, cell: bytes) -> None:
        """Into the tree of its list, or among what belongs elsewhere."""
        copy = decode_copy(cell)
        holders = self.placement.holders(key)
        if self.node in holders:
            self.forest.change(holders, position, copy.digest(key))
            if copy.removed and key not in self.tombstones:
                self.note_change(now_ns, key, copy)
        elif holders:
            self.strays[key] = dict.fromkeys(holders)
            self.arm_heartbeat(now_ns)

    def round_pause_ns(self) -> int:
        """While keys move, rounds follow each other."""
        if self.in_force.outgoing and self.settled < self.epoch:
            return self.options.settle_ns
        return super().round_pause_ns()

    def round_completed(self, now_ns: int, peer: NodeId) -> None:
        """Perhaps the last that was missing."""
        self.check_settled(now_ns)

    def has_moved(self) -> bool:
        """Whether all that this node held when it adopted the view is at the nodes that are to hold it."""
        if not self.trees_built or self.strays:
            return False
        if not self.in_force.outgoing:
            return True
        return all(node == self.node or node in self.agreed for node in self.in_force.nodes)

    def check_settled(self, now_ns: int) -> None:
        """Tell when it has."""
        if self.settled_epoch < self.epoch and self.has_moved():
            self.settled_epoch = self.epoch
            self.remember("settled", now_ns, self.epoch)

    def stray_left(self, now_ns: int) -> None:
        """One key fewer that belongs elsewhere."""
        self.check_settled(now_ns)

    @property
    def settled(self) -> int:
        """The highest epoch whose state has moved, as far as this replica can tell."""
        return self.settled_epoch

    def partners(self) -> tuple[NodeId, ...]:
        """While keys move, those first with whom no round was completed."""
        partners = super().partners()
        if self.in_force.outgoing and self.settled < self.epoch:
            missing = tuple(node for node in partners if node not in self.agreed)
            return missing or partners
        return partners
