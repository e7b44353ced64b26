"""Elections: terms, votes, roles (paper 5.1, 5.2, 5.4.1; thesis 3.10, 4.2.3, 9.6).

Every change of role goes through a `become_*` method, which refuses illegal origins.
"""

from __future__ import annotations

from comity.protocols.raft.messages import (
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from comity.protocols.raft.options import RaftOptions
from comity.protocols.raft.state import (
    CANDIDATE,
    FOLLOWER,
    LEADER,
    LONG_AGO_NS,
    PRE_CANDIDATE,
    Replica,
    Role,
)
from comity.replica import NEVER, CoreContext, IllegalTransition, NodeId, Recovered

BEFORE_START_NS = -(1 << 62)


class Election(Replica):
    """Follower, pre-candidate, candidate, leader: who becomes which, and when."""

    def __init__(self, context: CoreContext, options: RaftOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.timeouts = context.stream("raft.election")
        self.timeout_ns = self.draw_timeout()
        self.election_due_ns = NEVER
        """When to campaign, unless a leader was heard of since; a heartbeat does not touch it."""
        self.attempt = 0
        """Campaigns since a leader was last known."""
        self.deferred = False
        """Whether this replica already stood back for another's campaign since then."""
        self.votes: dict[NodeId, bool] = {}
        self.bars_votes_until_ns = BEFORE_START_NS

    # -- timers

    def draw_timeout(self) -> int:
        """A new election timeout (5.2: randomised, so that split votes are rare)."""
        return self.timeouts.between(self.options.election_ns, self.options.election_max_ns)

    def set_election_timer(self, now_ns: int) -> None:
        """Campaign after a full, newly drawn timeout."""
        self.timeout_ns = self.draw_timeout()
        self.election_due_ns = now_ns + self.timeout_ns
        self.set_deadline()

    def set_campaign_timer(self, now_ns: int) -> None:
        """Campaign again soon: nobody leads, and round trips are short compared with timeouts.
        The wait doubles with each attempt, for networks and disks that are slow; but not in a new
        group, whose members only wait for one another to start."""
        doublings = min(max(self.attempt - 1, 0), 20) if self.term or self.log.last else 0
        base = min(self.options.campaign_ns << doublings, self.options.election_ns)
        self.election_due_ns = now_ns + self.timeouts.between(base, 2 * base)
        self.set_deadline()

    def start_elections(self, now_ns: int, fresh: bool) -> None:
        """Arm the first timer. fresh: this replica's disk was empty."""
        if fresh and self.members.voters and self.node == self.members.voters[0]:
            self.election_due_ns = now_ns + self.options.bootstrap_ns
        else:
            self.set_election_timer(now_ns)
        if self.sole_voter():
            self.election_due_ns = now_ns
        elif self.options.lease_reads and not fresh:
            # Before the crash this replica may have helped a leader to a lease (thesis 6.4.1).
            self.bars_votes_until_ns = now_ns + self.options.election_ns
        self.set_deadline()

    def sole_voter(self) -> bool:
        """Whether this replica decides alone."""
        return self.members.voters == (self.node,) and len(self.configurations) == 1

    def election_timeout(self, now_ns: int) -> None:
        """The election deadline has come: campaign, unless a leader was heard of since."""
        renewed_ns = self.contact_ns + self.timeout_ns
        if self.role is FOLLOWER and renewed_ns > now_ns:
            self.election_due_ns = renewed_ns
        else:
            self.campaign(now_ns)

    def peer_lost(self, now_ns: int, peer: NodeId) -> None:
        """Where the leader's process is gone there is no use in waiting for it. With leases the
        hint is worth nothing: it may be wrong, and then a lease may be in force."""
        if peer != self.leader_id or self.role is LEADER or self.options.lease_reads:
            return
        self.remember("leader lost", now_ns, peer)
        self.leader_id = 0
        self.contact_ns = LONG_AGO_NS
        self.refuse_reads(now_ns)
        if self.may_campaign():
            delay_ns = self.timeouts.between(self.options.hint_min_ns, self.options.hint_max_ns)
            self.election_due_ns = min(self.election_due_ns, now_ns + delay_ns)
        self.set_deadline()

    # -- campaigning

    def may_campaign(self) -> bool:
        """Whether this replica votes in the committed configuration or in a later one: while a
        configuration without it is not committed, it may still be needed (thesis 4.2.2)."""
        node = self.node
        return any(members.votes(node) for _, members in self.configurations)

    def campaign(self, now_ns: int, transfer: bool = False) -> None:
        """Try to become leader. transfer: the leader asked for it."""
        if not self.may_campaign():
            self.set_election_timer(now_ns)
            return
        self.attempt += 1
        if transfer or not self.options.pre_vote:
            self.become_candidate(now_ns, transfer)
        else:
            self.become_pre_candidate(now_ns)

    def tally(self, now_ns: int) -> None:
        """Count the votes: won, lost, or not decided."""
        granted = {node for node, vote in self.votes.items() if vote}
        if self.members.quorum(granted):
            if self.role is PRE_CANDIDATE:
                self.become_candidate(now_ns)
            else:
                self.become_leader(now_ns)
            return
        refused = {node for node, vote in self.votes.items() if not vote}
        if not self.members.quorum({*self.members.voters, *self.members.outgoing} - refused):
            self.become_follower(now_ns, self.term, 0)

    def other_voters(self) -> list[NodeId]:
        """Whom to ask for votes."""
        voters = sorted({*self.members.voters, *self.members.outgoing})
        return [voter for voter in voters if voter != self.node]

    # -- roles

    def _become(self, now_ns: int, role: Role, *origins: Role) -> None:
        if self.role not in origins:
            what = f"{self.role.name} may not become {role.name}"
            raise IllegalTransition(
                f"raft replica {self.node} of {self.context.group}: {what}", self.events()
            )
        if role is not self.role:
            self.context.note("raft.role", role=role.name, term=self.term)
        self.remember(role.name, now_ns, self.term)
        self.role = role

    def become_pre_candidate(self, now_ns: int) -> None:
        """Ask whether an election could be won (thesis 9.6); term and vote stay."""
        self._become(now_ns, PRE_CANDIDATE, FOLLOWER, PRE_CANDIDATE, CANDIDATE)
        self._leave_leader(now_ns)
        self.votes = {self.node: True}
        self.set_campaign_timer(now_ns)
        request = RequestPreVote(self.term + 1, self.log.last, self.log.last_term)
        for voter in self.other_voters():
            self.send(voter, request)
        self.tally(now_ns)

    def become_candidate(self, now_ns: int, transfer: bool = False) -> None:
        """Start an election in a new term. The own vote counts once it is durable."""
        self._become(now_ns, CANDIDATE, FOLLOWER, PRE_CANDIDATE, CANDIDATE)
        self._leave_leader(now_ns)
        self._enter_term(self.term + 1, self.node)
        self.votes = {}
        self.set_campaign_timer(now_ns)
        request = RequestVote(self.term, self.log.last, self.log.last_term, transfer)
        for voter in self.other_voters():
            self.send_durable(voter, request)
        self.count_own_vote(now_ns)

    def count_own_vote(self, now_ns: int) -> None:
        """A candidate's vote for itself, once it is durable."""
        if self.node not in self.votes and self.own_vote_counts():
            self.votes[self.node] = True
            self.tally(now_ns)

    def own_vote_counts(self) -> bool:
        """Whether a crash could no longer let this replica vote for another in this term."""
        return self.hard_state_durable()

    def become_leader(self, now_ns: int) -> None:
        """The election is won."""
        self._become(now_ns, LEADER, CANDIDATE)
        self.leader_id = self.node
        self.attempt = 0
        self.deferred = False
        self.election_due_ns = NEVER
        self.begin_leading(now_ns)
        self.set_deadline()

    def become_follower(self, now_ns: int, term: int, leader: NodeId, vote: NodeId = 0) -> None:
        """Follow `leader` (0: nobody yet) in `term`, having voted for `vote` in it if it is new."""
        if term < self.term or (leader and self.role is LEADER and term == self.term):
            raise self.broken(f"{self.role.name} of term {self.term} told to follow {leader} in {term}")
        origin = self.role
        if origin is LEADER:
            self.end_leading(now_ns)
        self._become(now_ns, FOLLOWER, *Role)
        if leader != self.leader_id or origin is LEADER:
            self._leave_leader(now_ns)
        if term > self.term:
            self._enter_term(term, vote)
        self.leader_id = leader
        if leader:
            self.attempt = 0
            self.deferred = False
            self.set_election_timer(now_ns)
        elif origin is LEADER:
            self.set_election_timer(now_ns)
        elif origin is not FOLLOWER:
            self.set_campaign_timer(now_ns)

    def _leave_leader(self, now_ns: int) -> None:
        self.leader_id = 0
        self.refuse_reads(now_ns)

    def _enter_term(self, term: int, vote: NodeId) -> None:
        self.term = term
        self.vote = vote
        self.matched = self.commit  # committed entries are in every later leader's log
        self.write_hard_state()

    # -- voting

    def hears_leader(self, now_ns: int) -> bool:
        """Whether this replica leads, or a leader spoke to it within the least election timeout:
        then an election would only disturb (thesis 4.2.3), and could break a lease (6.4.1)."""
        if self.role is LEADER:
            return self.options.check_quorum
        return now_ns - self.contact_ns < self.options.election_ns

    def bars_votes(self, now_ns: int) -> bool:
        """Whether votes are refused now, however good the candidate."""
        return self.hears_leader(now_ns) or now_ns < self.bars_votes_until_ns

    def on_request_pre_vote(self, now_ns: int, sender: NodeId, message: RequestPreVote) -> None:
        """Would this replica vote for the sender? Says so without changing anything durable."""
        granted = (
            message.term > self.term
            and self.log.covers(message.last_index, message.last_term)
            and not self.bars_votes(now_ns)
            and not self.goes_first(sender, message)
        )
        if granted and not self.deferred and self.role is FOLLOWER:
            # One candidate at a time: stand back a little, once, for the one who asked first.
            self.deferred = True
            self.election_due_ns = max(self.election_due_ns, now_ns + self.options.campaign_ns)
            self.set_deadline()
        self.answer(sender, PreVoteReply(self.term, message.term, granted))

    def goes_first(self, sender: NodeId, message: RequestPreVote) -> bool:
        """Of two with equal logs who ask at the same time the lower number goes first, in their
        first attempt only: it may be unable to win."""
        return (
            self.role is PRE_CANDIDATE
            and self.attempt <= 1
            and self.node < sender
            and message.term == self.term + 1
            and (message.last_index, message.last_term) == (self.log.last, self.log.last_term)
        )

    def on_pre_vote_reply(self, now_ns: int, sender: NodeId, message: PreVoteReply) -> None:
        """Count it; a refusal from a later term brings this replica up to that term."""
        if message.term > self.term:
            self.become_follower(now_ns, message.term, 0)
        elif self.role is PRE_CANDIDATE and message.asked == self.term + 1:
            self.votes[sender] = message.granted or self.votes.get(sender, False)
            self.tally(now_ns)

    def on_request_vote(self, now_ns: int, sender: NodeId, message: RequestVote) -> None:
        """RequestVote RPC, receiver implementation (figure 2)."""
        if message.term < self.term:
            self.answer(sender, VoteReply(self.term, False))
            return
        if not message.transfer and self.bars_votes(now_ns):
            if message.term == self.term:
                self.answer(sender, VoteReply(self.term, False))
            return
        up_to_date = self.log.covers(message.last_index, message.last_term)
        if message.term > self.term:
            self.become_follower(now_ns, message.term, 0, vote=sender if up_to_date else 0)
        elif up_to_date and self.vote == 0 and self.leader_id == 0:
            if self.role is PRE_CANDIDATE:
                self.become_follower(now_ns, self.term, 0)
            self.vote = sender
            self.write_hard_state()
        granted = up_to_date and self.vote == sender
        if granted:
            if message.transfer:
                self.contact_ns = LONG_AGO_NS  # the leader that asked for it has given up its lease
            self.set_election_timer(now_ns)
            self.remember("vote", now_ns, self.term, sender)
        self.send_durable(sender, VoteReply(self.term, granted))

    def on_vote_reply(self, now_ns: int, sender: NodeId, message: VoteReply) -> None:
        """Count it, if it is of this election."""
        if message.term > self.term:
            self.become_follower(now_ns, message.term, 0)
        elif self.role is CANDIDATE and message.term == self.term:
            self.votes[sender] = message.granted or self.votes.get(sender, False)
            self.tally(now_ns)

    def on_timeout_now(self, now_ns: int, sender: NodeId, message: TimeoutNow) -> None:
        """The leader hands over (thesis 3.10)."""
        if message.term == self.term and sender == self.leader_id and self.role is FOLLOWER:
            self.campaign(now_ns, transfer=True)
