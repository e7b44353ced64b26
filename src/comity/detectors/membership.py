"""Who is a member and what is known of it: a table in which news only moves forward (SWIM 4.2)."""

from __future__ import annotations

from comity.detectors.detector import Status
from comity.replica import NodeId, Stream


def overrides(status: int, incarnation: int, held_status: int, held_incarnation: int) -> bool:
    """Whether news replaces what is held. A greater incarnation does; of the same incarnation suspect
    replaces alive, and dead both. So tables that saw the same news are equal, in whatever order it came.

    The paper's Confirm is for ever. Ours yields to a greater incarnation, for a node may come back, and a
    false death must be refutable.
    """
    return (incarnation, status) > (held_incarnation, held_status)


class Row:
    """One member: its status, and the incarnation that this is about."""

    __slots__ = ("incarnation", "status")

    def __init__(self) -> None:
        self.status = Status.ALIVE
        self.incarnation = 0


class Table:
    """The other members, and the order in which they are probed.

    The order is random and gone through once before it is drawn anew (SWIM 4.3): every member is probed
    once in as many periods as there are members, with less than twice that many between two probes. Each
    place is drawn when it is reached (a shuffle by Fisher and Yates, taken step by step), so a new member
    has a random place among those still to come.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.rows: dict[NodeId, Row] = {}
        self.dead = 0
        self._order: list[NodeId] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self.rows)

    def admit(self, node: NodeId) -> None:
        """A new member, alive."""
        self.rows[node] = Row()
        self._order.append(node)

    def remove(self, node: NodeId) -> None:
        """Forget a member."""
        self.dead -= self.rows.pop(node).status is Status.DEAD
        place = self._order.index(node)
        del self._order[place]
        if place < self._next:
            self._next -= 1

    def apply(self, node: NodeId, status: Status, incarnation: int) -> bool:
        """Take over news about a member, if it is newer. Whether it was."""
        row = self.rows[node]
        if not overrides(status, incarnation, row.status, row.incarnation):
            return False
        self.dead += (status is Status.DEAD) - (row.status is Status.DEAD)
        row.status, row.incarnation = status, incarnation
        return True

    def to_probe(self) -> NodeId | None:
        """The next member in the order that is not dead; None where there is none."""
        for _ in range(2 * len(self._order)):
            if self._next >= len(self._order):
                self._next = 0
            order, place = self._order, self._next
            drawn = self.stream.between(place, len(order) - 1)
            order[place], order[drawn] = order[drawn], order[place]
            node = order[place]
            self._next += 1
            if self.rows[node].status is not Status.DEAD:
                return node
        return None

    def others(self, count: int, target: NodeId) -> list[NodeId]:
        """So many members held alive, at random, without `target`; fewer where there are fewer."""
        able = [node for node in self._order if self.rows[node].status is Status.ALIVE and node != target]
        for place in range(min(count, len(able))):
            other = place + self.stream.below(len(able) - place)
            able[place], able[other] = able[other], able[place]
        return able[:count]

    def some_dead(self) -> NodeId | None:
        """A dead member at random; None where all live."""
        if not self.dead:
            return None
        return self.stream.pick([node for node in self._order if self.rows[node].status is Status.DEAD])
