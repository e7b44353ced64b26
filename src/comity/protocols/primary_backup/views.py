"""Views: adopted as the control group gives them out, and the roles they assign (Vertical Paxos 2009).

A replica adopts a view by writing it down; from then on it refuses everything of an older epoch, and says
nothing of the new one before it is durable. A new primary was a member of the last view that did anything,
or declared caught up in it, so with sync it holds every committed entry; it begins with an entry of its own
reign, and once all members hold that, its view is active and all before it are over.
"""

from __future__ import annotations

from comity.protocols.primary_backup.leading import NOOP, Leading
from comity.protocols.primary_backup.messages import Present
from comity.protocols.primary_backup.options import PrimaryBackupOptions
from comity.protocols.primary_backup.progress import REPLICATE, Progress
from comity.protocols.primary_backup.reigns import MAX_EPOCH, MAX_START, reign_of, start_of
from comity.protocols.primary_backup.state import BACKUP, JOINING, OUTSIDE, PRIMARY, Role
from comity.replica import (
    NEVER,
    CoreContext,
    IllegalTransition,
    Members,
    NodeId,
    Recovered,
    View,
)
from comity.replica.logged import size_of


class Views(Leading):
    """Adoption, promotion, retirement, and who has caught up."""

    def __init__(self, context: CoreContext, options: PrimaryBackupOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.declared: tuple[NodeId, ...] = ()
        """As primary: joining nodes that hold every committed entry and count, until the view changes."""
        self.settled_commit = 0
        """The commit index as of the last heartbeat."""

    # -- adoption

    def view(self, now_ns: int, view: View) -> None:
        """The control group gave out a view."""
        if view.epoch > self.current.epoch:
            self.adopt(now_ns, view)

    def adopt(self, now_ns: int, view: View) -> None:
        """From now on every older epoch is over."""
        if view.epoch > MAX_EPOCH or len(set(view.nodes)) != len(view.nodes):
            raise self.broken(f"view {view.epoch} of nodes {view.nodes} is none: nodes come once, epochs end")
        self.remember("view", now_ns, view.epoch, view.nodes, view.joining)
        self.retire()
        self.current = view
        self.reign = reign_of(view.epoch, 0)
        self.counted = ()
        if self.superseded <= view.epoch:
            self.superseded = 0
        self.write_hard_state()
        self.assume_role(now_ns)

    def place(self) -> Role:
        """What the view in force makes of this replica."""
        view = self.current
        if self.superseded:
            return OUTSIDE
        if self.primary == self.node:
            # While the state machine is being swapped nothing could be applied: it leads when that is done.
            return OUTSIDE if self.installing or start_of(self.reign) == MAX_START else PRIMARY
        if self.node in view.nodes:
            return BACKUP
        return JOINING if self.node in view.joining and view.nodes else OUTSIDE

    def assume_role(self, now_ns: int) -> None:
        """Be what the view in force says."""
        role = self.place()
        if role is OUTSIDE:
            self.become_outside()
        elif role is self.role:
            return
        elif role is PRIMARY:
            self.become_primary(now_ns)
        else:
            self.become_follower(now_ns, role)
        self.set_deadline()

    def retire(self) -> None:
        """The role ends with its view."""
        self.suspend_reads()
        self.heartbeat_due_ns = self.commit_due_ns = self.hold_due_ns = NEVER
        self.progress = {}
        self.peers = self.deciding = ()
        self.declared = ()
        self.pending = False
        self.acknowledgement_due = False
        self.diverged = False
        self._become(OUTSIDE)

    def supersede(self, now_ns: int, epoch: int) -> None:
        """Others have adopted a later view: whoever leads there, this replica does not, and what it would
        take in could only be lost."""
        if epoch <= max(self.superseded, self.current.epoch):
            return
        self.superseded = epoch
        self.remember("superseded", now_ns, epoch)
        self.context.note("primary_backup.superseded", epoch=epoch, adopted=self.current.epoch)
        if self.role is PRIMARY:
            self.retire()
            self.become_outside()
        self.refuse_reads("a later view is in force, and not known here yet")

    # -- roles

    def _become(self, role: Role) -> None:
        if role is not OUTSIDE and self.role is not OUTSIDE:
            raise IllegalTransition(f"from {self.role.name} to {role.name} without retiring", self.events())
        self.role = role

    def become_outside(self) -> None:
        """It serves nothing."""
        self._become(OUTSIDE)
        self.refuse_reads("this replica is not part of the view")

    def become_follower(self, now_ns: int, role: Role) -> None:
        """Tell the primary where this log ends, lest it has to find out."""
        self._become(role)
        self.begin_following()
        self.speak(self.primary, Present(self.reign, self.log.last, self.log.last_term))

    def become_primary(self, now_ns: int) -> None:
        """A start of a primary: numbered, durably, before anything is said in it; and an entry that commits
        what was found."""
        self._become(PRIMARY)
        self.reign = self.next_reign()
        self.write_hard_state()
        self.matched = self.told_commit = 0
        self.acknowledgement_due = False
        self.begin_rounds()
        self.settled_commit = self.commit
        self.progress = {
            node: Progress(node, self.log.last + 1, now_ns)
            for node in sorted({*self.current.nodes, *self.current.joining})
            if node != self.node
        }
        self.peers = tuple(self.progress.values())
        self.choose_deciding()
        self.uncommitted_bytes = self.count_uncommitted_bytes()
        self.begin_loss_accounts()
        self.heartbeat_due_ns = self.next_heartbeat(now_ns)
        self.first_index = self.log.last + 1
        self.remember("primary", now_ns, self.reign, self.first_index)
        self.append(now_ns, NOOP, b"")
        self.start_round(now_ns)

    def next_reign(self) -> int:
        """Each start of a primary within an epoch is another reign."""
        return self.reign + 1

    # -- joining

    def choose_deciding(self) -> None:
        """Who counts: the members of the view, and the joining nodes that were counted once."""
        counting = {*self.current.nodes, *self.counted}
        self.deciding = tuple(peer for peer in self.peers if peer.node in counting)

    def may_count(self, peer: Progress) -> bool:
        """Whether a joining replica is so near that waiting for it is short. Not before this primary has
        committed something: until then it may not know all that is."""
        near = self.log.last - peer.match <= self.options.join_lag_entries
        return near and peer.state is REPLICATE and self.commit >= self.first_index

    def is_level(self, peer: Progress) -> bool:
        """Whether a replica holds every committed entry. With async, which never waits for it: what was
        committed at the last heartbeat, and all but as much as may be lost."""
        if self.options.sync:
            return peer.match >= self.commit
        return peer.match >= self.settled_commit and not self.lacks_too_much(peer.match)

    def consider_joining(self, now_ns: int) -> None:
        """Count a joining replica, then declare it, once it is level and it is durable that it counts: a
        primary that forgot it would commit without it."""
        for node in self.current.joining:
            peer = self.progress.get(node)
            if peer is None or node in self.declared:
                continue
            if node not in self.counted:
                if not self.may_count(peer):
                    continue
                self.counted = (*self.counted, node)
                self.write_hard_state()
                self.choose_deciding()
                self.count_backups()
                self.remember("counts", now_ns, node, peer.match)
            if self.hard_state_durable() and self.commit >= self.first_index and self.is_level(peer):
                self.declared = (*self.declared, node)
                self.remember("caught up", now_ns, node, peer.match, self.commit)

    @property
    def caught_up(self) -> tuple[NodeId, ...]:
        """Joining nodes that may become members of the next view."""
        return self.declared

    # -- looking

    @property
    def leader(self) -> NodeId:
        """The primary of the view in force; 0 while that is known to be over, or it does not lead yet."""
        if self.superseded or (self.primary == self.node and self.role is not PRIMARY):
            return 0
        return self.primary

    @property
    def members(self) -> Members:
        """The view as a membership."""
        return Members(
            voters=tuple(sorted(self.current.nodes)),
            learners=tuple(sorted(set(self.current.joining) - set(self.current.nodes))),
            known=self.context.members.known,
        )

    @property
    def position(self) -> tuple[int, int]:
        """(reign, index) of the last durable entry; nothing where that is about to be given up for the
        primary's history."""
        if self.diverged or (self.incoming is not None and self.installing and self.incoming.replacing):
            return (0, 0)
        index = self.durable_index
        return (self.log.term(index), index)

    def count_uncommitted_bytes(self) -> int:
        """Of the entries after the commit index."""
        return sum(size_of(entry) for entry in self.log.after(self.commit))
