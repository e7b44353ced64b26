"""Membership changes by joint consensus, and handing leadership over (paper section 6; thesis 3.10, 4).

A change of voters goes through a joint configuration, in which every decision needs a majority of
the old and of the new voters; the leader leaves it by itself once it is committed. Learners come
and go in one step, for no majority changes.
"""

from __future__ import annotations

from typing import Any

from comity.protocols.raft.leading import Leading
from comity.protocols.raft.messages import Heartbeat, TimeoutNow
from comity.protocols.raft.options import RaftOptions
from comity.protocols.raft.progress import REPLICATE, Progress
from comity.protocols.raft.state import LEADER, MEMBERS
from comity.replica import (
    NEVER,
    REASON_BUSY,
    REASON_INVALID,
    REASON_NO_LEADER,
    REASON_NOT_LEADER,
    AddMember,
    CoreContext,
    Done,
    Members,
    NodeId,
    PromoteMember,
    Recovered,
    Refused,
    RemoveMember,
    ReplaceMembers,
    RequestId,
    TransferLeadership,
    Unknown,
    encode_members,
)

Change = AddMember | PromoteMember | RemoveMember | ReplaceMembers


def after(members: Members, change: Change) -> Members:
    """The configuration a change leads to in the end, from one that is not joint.

    Raises `ValueError`, with a sentence for people, where the change makes no sense.
    """
    voters, learners, known = set(members.voters), set(members.learners), list(members.known)
    match change:
        case AddMember(member):
            if member.node < 1:
                raise ValueError(f"a node's number is 1 or more, not {member.node}")
            if member in known and member.node in members.everyone():
                raise ValueError(f"node {member.node} is a member already")
            if member.node not in voters:
                learners.add(member.node)
            known = [other for other in known if other.node != member.node] + [member]
        case PromoteMember(node):
            if node not in learners:
                raise ValueError(f"node {node} is not a learner")
            learners.remove(node)
            voters.add(node)
        case RemoveMember(node):
            if node not in voters and node not in learners:
                raise ValueError(f"node {node} is not a member")
            voters.discard(node)
            learners.discard(node)
        case ReplaceMembers(nodes):
            strangers = sorted({*nodes} - voters - learners)
            if strangers:
                raise ValueError(f"not members yet: {', '.join(map(str, strangers))}; add them first")
            voters = set(nodes)
            learners -= voters
    if not voters:
        raise ValueError("the last voter cannot go")
    everyone = voters | learners
    return Members(
        voters=tuple(sorted(voters)),
        learners=tuple(sorted(learners)),
        known=tuple(sorted(member for member in known if member.node in everyone)),
    )


def joint(members: Members, target: Members) -> Members:
    """The joint configuration on the way from one to the other."""
    known = {member.node: member for member in (*members.known, *target.known)}
    return Members(
        voters=target.voters,
        outgoing=members.voters,
        learners=tuple(node for node in target.learners if node not in members.voters),
        known=tuple(sorted(known.values())),
    )


def left(members: Members) -> Members:
    """The configuration after a joint one."""
    everyone = {*members.voters, *members.learners}
    return Members(
        voters=members.voters,
        learners=members.learners,
        known=tuple(member for member in members.known if member.node in everyone),
    )


class Membership(Leading):
    """Administrative requests."""

    def __init__(self, context: CoreContext, options: RaftOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.change_request: RequestId | None = None
        """The request whose membership change is on its way."""
        self.leaving = False
        """Whether the log still goes to nodes that a change removes."""
        self.transfer_request: RequestId | None = None
        self.transfer_due_ns = NEVER
        self.transfer_told = False
        """Whether the transferee was told to campaign."""

    def administer(self, now_ns: int, request: RequestId, operation: Any) -> None:
        """Membership change or leader transfer; as leader only."""
        refusal = self.administration_refusal(operation)
        if refusal is not None:
            self.reply(request, refusal)
        elif isinstance(operation, TransferLeadership):
            self.begin_transfer(now_ns, request, operation.node)
        else:
            self.begin_change(now_ns, request, operation)

    def administration_refusal(self, operation: Any) -> Refused | None:
        """Why nothing can be administered here and now; None where it can."""
        if not isinstance(operation, Change | TransferLeadership):
            return Refused(REASON_INVALID, f"raft has no {type(operation).__name__}")
        if self.role is not LEADER:
            reason = REASON_NOT_LEADER if self.leader_id else REASON_NO_LEADER
            return Refused(reason, "not the leader", self.leader_id)
        if self.transferee:
            return Refused(REASON_BUSY, "leadership is being handed over", self.transferee)
        return None

    # -- membership

    def change_in_progress(self) -> bool:
        """One change at a time, and none before this leader knows what is committed: until an
        entry of its term is, an earlier leader's change may still be undone or done."""
        return self.members.joint or len(self.configurations) > 1 or not self.may_serve_reads()

    def begin_change(self, now_ns: int, request: RequestId, change: Change) -> None:
        """Append the first configuration of a change; it is in force from then on."""
        if self.change_in_progress():
            self.reply(request, Refused(REASON_BUSY, "another membership change is in progress", self.node))
            return
        try:
            target = after(self.members, change)
        except ValueError as error:
            self.reply(request, Refused(REASON_INVALID, str(error), self.node))
            return
        if target == self.members:
            self.reply(request, Done(describe(self.members)))
            return
        laggards = [node for node in target.voters if not self.level_with_log(now_ns, node)]
        if laggards:
            detail = f"still catching up: {', '.join(map(str, laggards))}"
            self.reply(request, Refused(REASON_BUSY, detail, self.node))
            return
        self.change_request = request
        self.append_members(now_ns, self.first_step(target))

    def first_step(self, target: Members) -> Members:
        """A joint configuration where voters change, else the target itself."""
        return target if target.voters == self.members.voters else joint(self.members, target)

    def level_with_log(self, now_ns: int, node: NodeId) -> bool:
        """Whether a node that is to become a voter would not hold the group up (thesis 4.2.1)."""
        if self.members.votes(node):
            return True
        peer = self.progress[node]
        return (
            peer.state is REPLICATE
            and now_ns - peer.heard_ns < self.options.election_ns
            and peer.match + self.options.promote_lag >= self.log.last
        )

    @property
    def caught_up(self) -> tuple[NodeId, ...]:
        """As leader, the others that vote, and the learners that could from now on."""
        if self.role is not LEADER:
            return ()
        return tuple(
            peer.node
            for peer in self.peers
            if self.members.votes(peer.node)
            or (peer.state is REPLICATE and peer.match + self.options.promote_lag >= self.log.last)
        )

    @property
    def steady(self) -> bool:
        """Whether the configuration in force is committed, and not a joint one."""
        return self.role is LEADER and not self.change_in_progress()

    def append_members(self, now_ns: int, members: Members) -> None:
        """A configuration is an entry of the log."""
        index = self.append(now_ns, MEMBERS, encode_members(members))
        self.leaving = True
        self.adopt_configuration(now_ns, index, members)

    def committed_as_leader(self, now_ns: int) -> None:
        """Leave a joint configuration that is committed; finish a change that is."""
        if len(self.configurations) > 1:
            return
        if self.members.joint:
            self.append_members(now_ns, left(self.members))
            return
        if self.change_request is not None:
            self.reply(self.change_request, Done(describe(self.members)))
            self.change_request = None
        if self.leaving:
            self.leaving = False
            self.part_with_peers(now_ns)
        if self.node not in self.members.voters:
            self.step_aside(now_ns)

    def part_with_peers(self, now_ns: int) -> None:
        """Tell those who were removed that it is committed, then send them nothing more."""
        members = self.members.everyone()
        farewell = Heartbeat(self.term, self.commit, 0)
        for peer in self.peers:
            if peer.node not in members:
                self.send(peer.node, farewell)
        self.gather_peers(now_ns)

    def step_aside(self, now_ns: int) -> None:
        """A leader that is no longer a member manages the group until that is committed, then
        steps down (thesis 4.2.2); its successor need not wait for a timeout."""
        farewell = Heartbeat(self.term, self.commit, 0)
        for peer in self.peers:
            self.send(peer.node, farewell)
        successor = self.successor(now_ns)
        if successor is not None and successor.match == self.log.last:
            self.send(successor.node, TimeoutNow(self.term))
        self.become_follower(now_ns, self.term, 0)

    # -- transfer of leadership

    def successor(self, now_ns: int) -> Progress | None:
        """The most caught-up voter that was heard of lately."""
        best: Progress | None = None
        for peer in self.peers:
            alive = now_ns - peer.heard_ns < self.options.election_ns
            if alive and peer.node in self.members.voters and (best is None or peer.match > best.match):
                best = peer
        return best

    def begin_transfer(self, now_ns: int, request: RequestId, node: NodeId) -> None:
        """Take no more proposals, bring the successor up to date, then tell it to campaign."""
        if node == self.node:
            self.reply(request, Done(node))
            return
        if node == 0:
            best = self.successor(now_ns)
            node = best.node if best is not None else 0
        if node not in self.members.voters:
            detail = f"node {node} is not a voter" if node else "there is no other voter to hand over to"
            self.reply(request, Refused(REASON_INVALID, detail, self.node))
            return
        self.remember("transfer", now_ns, node)
        self.transferee = node
        self.transfer_request = request
        self.transfer_told = False
        self.transfer_due_ns = now_ns + self.options.election_ns
        self.pending = True
        self.set_deadline()

    def pursue_transfer(self) -> None:
        """Tell the successor once it holds the whole log. From then on the lease is void: votes
        will be given in spite of this leader being alive (thesis 6.4.1), now or ever later in this
        term, for the message may be slow."""
        peer = self.progress.get(self.transferee)
        if peer is None or self.transfer_told or peer.match < self.log.last:
            return
        self.transfer_told = True
        self.lease_given_up = True
        self.send(peer.node, TimeoutNow(self.term))

    def tick(self, now_ns: int) -> None:
        """The word to the successor may be lost like any other."""
        super().tick(now_ns)
        if self.transfer_told:
            self.send(self.transferee, TimeoutNow(self.term))

    def transfer_timeout(self) -> None:
        """It took an election timeout: lead on (thesis 3.10)."""
        request = self.transfer_request
        if request is not None:
            if self.transfer_told:
                self.reply(request, Unknown(f"node {self.transferee} was told to campaign but has not"))
            else:
                self.reply(
                    request, Refused(REASON_BUSY, f"node {self.transferee} did not catch up", self.node)
                )
        self.forget_transfer()

    def forget_transfer(self) -> None:
        """No transfer is on its way."""
        self.transferee = 0
        self.transfer_request = None
        self.transfer_told = False
        self.transfer_due_ns = NEVER
        self.set_deadline()

    def become_follower(self, now_ns: int, term: int, leader: NodeId, vote: NodeId = 0) -> None:
        """Where it is the successor that deposes this leader, the transfer is done."""
        if self.transfer_request is not None and self.transferee in {leader, vote}:
            self.reply(self.transfer_request, Done(self.transferee))
            self.transfer_request = None
        super().become_follower(now_ns, term, leader, vote)

    def begin_leading(self, now_ns: int) -> None:
        """A predecessor's change may be under way."""
        self.leaving = True
        super().begin_leading(now_ns)

    def end_leading(self, now_ns: int) -> None:
        """Whoever leads next finishes a change that is in the log of a quorum, or undoes it."""
        if self.change_request is not None:
            self.reply(self.change_request, Unknown("leadership was lost meanwhile"))
            self.change_request = None
        if self.transfer_request is not None:
            self.reply(self.transfer_request, Unknown("leadership was lost meanwhile"))
        super().end_leading(now_ns)
        self.forget_transfer()


def describe(members: Members) -> dict[str, list[int]]:
    """A configuration for people and JSON."""
    return {
        "voters": list(members.voters),
        "outgoing": list(members.outgoing),
        "learners": list(members.learners),
    }
