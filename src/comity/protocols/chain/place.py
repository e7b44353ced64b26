"""Where a replica stands in a view: its role, its neighbours."""

from __future__ import annotations

import enum

import msgspec

from comity.replica import NodeId, View


class Role(enum.IntEnum):
    """What a replica is in its view. A chain of one is head and tail: ALONE."""

    OUT = 0
    JOINING = 1
    HEAD = 2
    MIDDLE = 3
    TAIL = 4
    ALONE = 5


OUT = Role.OUT
JOINING = Role.JOINING
HEAD = Role.HEAD
MIDDLE = Role.MIDDLE
TAIL = Role.TAIL
ALONE = Role.ALONE


class Place(msgspec.Struct, frozen=True):
    """A replica's place. Nodes are 0 where there is none.

    predecessor: who sends it the log: of a joining node, the tail. successors: to whom it sends the log:
    the next of the chain; of the tail, those who join. chain: the other nodes of the chain. others: everyone
    else who takes part.
    """

    role: Role
    head: NodeId = 0
    tail: NodeId = 0
    predecessor: NodeId = 0
    successors: tuple[NodeId, ...] = ()
    chain: tuple[NodeId, ...] = ()
    others: tuple[NodeId, ...] = ()

    @property
    def is_head(self) -> bool:
        """Whether it takes proposals."""
        return self.role is HEAD or self.role is ALONE

    @property
    def is_tail(self) -> bool:
        """Whether it decides what is committed."""
        return self.role is TAIL or self.role is ALONE

    @property
    def in_chain(self) -> bool:
        """Whether nothing is committed without it."""
        return self.role > JOINING


def place_of(node: NodeId, view: View) -> Place:
    """The place of a node in a view."""
    nodes = view.nodes
    if not nodes:
        return Place(OUT)
    head, tail = nodes[0], nodes[-1]
    chain = tuple(other for other in nodes if other != node)
    joining = tuple(other for other in view.joining if other not in nodes)
    others = (*chain, *(other for other in joining if other != node))
    if node in nodes:
        position = nodes.index(node)
        predecessor = nodes[position - 1] if position else 0
        if node == tail:
            return Place(TAIL if position else ALONE, head, tail, predecessor, joining, chain, others)
        role = MIDDLE if position else HEAD
        return Place(role, head, tail, predecessor, (nodes[position + 1],), chain, others)
    if node in joining:
        return Place(JOINING, head, tail, tail, (), chain, others)
    return Place(OUT, head, tail)


def flaw_of_view(view: View) -> str:
    """Why this is no view that a chain can have; empty where it is."""
    if not 0 < view.epoch <= 1 << 62:
        return f"epoch {view.epoch} is not in [1, 2**62]"
    if len(set(view.nodes)) != len(view.nodes) or len(set(view.joining)) != len(view.joining):
        return "a node stands in it twice"
    return ""
