"""Keyspaces that vote on their own members, brought to the nodes that the catalogue names.

The governor gives such a keyspace views as it does the others: first one with the nodes to come as joining,
then, once they have caught up, one in which they are in the place of those who go. Whoever leads the
keyspace's log follows these views, one membership change at a time: who is joining becomes a learner, and
the nodes of a view become its voters by joint consensus. What is decided stays the log's own business; a
view that is followed late, twice or never endangers nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.keyspaces.definition import Keyspace
from comity.node.group import Group
from comity.replica import AddMember, Members, Operation, Outcome, RemoveMember, ReplaceMembers

if TYPE_CHECKING:
    from comity.node.host import Host


def follow(host: Host, group: Group, keyspace: Keyspace) -> None:
    """As the leader of its log, take the next step towards the view in force, if one is left to take."""
    if not group.leads or group.administering:
        return
    operation = next_step(group.core.members, keyspace, host.default.core.members)
    if operation is None:
        return
    request = host.request()
    group.administering[request] = _ignore
    group.core.administer(host.now_ns, request, operation)
    host.dirty(group)


def next_step(members: Members, keyspace: Keyspace, cluster: Members) -> Operation | None:
    """The change of a keyspace's members that comes next; None where they are as its view says."""
    if members.joint:
        return None
    view = keyspace.view
    here = members.everyone()
    for node in (*view.nodes, *view.joining):
        member = cluster.member(node)
        if member is not None and (node not in here or members.member(node) != member):
            return AddMember(member)
    if members.voters != tuple(sorted(view.nodes)):
        strangers = [node for node in view.nodes if node not in here]
        return ReplaceMembers(tuple(sorted(view.nodes))) if not strangers else None
    for node in members.learners:
        if node not in view.joining:
            return RemoveMember(node)
    return None


def _ignore(outcome: Outcome) -> None:
    """What was refused now is tried again, and what was done is seen."""
