"""Views: who replicates a keyspace whose protocol does not vote on its own membership.

Such a protocol leaves that to the control group, a Raft group, which gives out one view after the other,
each with a higher epoch (Vertical Paxos, Lamport, Malkhi & Zhou 2009). A replica that has adopted a view
refuses every message of an older one: the epoch is the fencing token.
"""

from __future__ import annotations

import msgspec

from comity.replica.effects import NodeId


class View(msgspec.Struct, frozen=True, array_like=True):
    """A configuration given by the control group.

    epoch: from 1, higher in every later view. nodes: who replicates, in the order that the protocol gives a
    meaning (primary first; head to tail), each once. joining: who is being brought up to date and does
    not count yet, in order. outgoing: the nodes of the view before while state moves from them to
    `nodes`; quorum protocols then need a quorum of each, others never get one.
    """

    epoch: int
    nodes: tuple[NodeId, ...]
    joining: tuple[NodeId, ...] = ()
    outgoing: tuple[NodeId, ...] = ()

    def everyone(self) -> tuple[NodeId, ...]:
        """All nodes that take part in any way, sorted."""
        return tuple(sorted({*self.nodes, *self.joining, *self.outgoing}))
