"""Who must agree: a majority of the view, and of the view before while keys move."""

from __future__ import annotations

from collections.abc import Collection

from comity.replica import NodeId, View


def majority(voters: Collection[NodeId], nodes: Collection[NodeId]) -> bool:
    """Whether `nodes` has more than half of `voters`; of no voters nothing is a majority."""
    found = 0
    for voter in voters:
        if voter in nodes:
            found += 1
    return found * 2 > len(voters)


def is_quorum(view: View, nodes: Collection[NodeId]) -> bool:
    """Joint quorums (CASPaxos, section 2.3, after Raft's joint consensus): every quorum of the joint view
    meets every quorum of the view before it and of the view after it."""
    return majority(view.nodes, nodes) and (not view.outgoing or majority(view.outgoing, nodes))


def participants(view: View) -> tuple[NodeId, ...]:
    """Who accepts and proposes in this view, sorted."""
    return tuple(sorted({*view.nodes, *view.outgoing}))
