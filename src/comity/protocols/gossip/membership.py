"""Who belongs, and since when: views, joining, and coming back.

The control group gives out views. Everyone in a view (members, those joining, those leaving) counts for
causal stability, so whoever belongs can be brought up to date by joining states. Whoever was out of a view
does not: meanwhile the others may have collected tombstones of what it still holds. It comes back
empty-handed: its state is replaced, and its writes go under a name never used before. `joined` and
`admitted` are the fence that enforces it.
"""

from __future__ import annotations

from comity.protocols.gossip.messages import Gossip
from comity.protocols.gossip.options import GossipOptions
from comity.protocols.gossip.state import NODE_BITS, Replica
from comity.protocols.gossip.vectors import covers
from comity.replica import (
    NEVER,
    Cells,
    CoreContext,
    LatticeSemantics,
    NodeId,
    Unknown,
    View,
)


class Peer:
    """What is known of another replica in the view.

    epoch, joined, ready, reported: as it said last. heard_ns: when, -1 for never. counted: its newest
    report all of which is delivered here; pending, latest: the next ones, see `stability`. asks: it wants
    what it lacks. wants: it wants cells from this hash on. ask: it is to be asked. tell: it is to hear from
    us. unheard_bytes: pushed to it since it was heard of. asked_ns: when it was asked for deltas last.
    """

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self.epoch = 0
        self.joined = 0
        self.ready = False
        self.reported: dict[int, int] = {}
        self.heard_ns = -1
        self.counted: dict[int, int] | None = None
        self.pending: dict[int, int] | None = None
        self.latest: dict[int, int] | None = None
        self.asks = False
        self.wants = -1
        self.ask = False
        self.tell = False
        self.unheard_bytes = 0


class Membership(Replica):
    """Views, and whether this replica belongs to the one in force."""

    def __init__(
        self, context: CoreContext, options: GossipOptions, cells: Cells, semantics: LatticeSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.confirmed = True
        """Whether no view can have come between the last two seen here in which this replica was missing."""
        self.alone_due_ns = NEVER
        self.peers: dict[NodeId, Peer] = {}
        """The others of the view, by rising node."""
        self.make_peers()

    def make_peers(self) -> None:
        """Peers of the view in force; what they said before is kept."""
        self.peers = {
            node: self.peers.get(node) or Peer(node)
            for node in self.in_force.everyone()
            if node != self.node and self.belongs
        }

    @property
    def belongs(self) -> bool:
        """Whether this replica is in the view in force in any way."""
        return self.node in self.in_force.everyone()

    @property
    def serves(self) -> bool:
        """Whether clients may be served here: a full member only."""
        return self.node in self.in_force.nodes

    @property
    def ready(self) -> bool:
        """Whether the state here is causally consistent: nothing in it lacks its cause."""
        return self.joined > 0 and self.transfer is None and self.confirmed

    def view(self, now_ns: int, view: View) -> None:
        """Adopt a later view."""
        self.now_ns = now_ns
        before = self.in_force
        if view.epoch <= before.epoch:
            return
        self.in_force = view
        self.book_changed = True
        self.remember("view", view.epoch, view.nodes, view.joining, view.outgoing)
        earlier = before.everyone()
        for node in view.everyone():
            if before.epoch and node not in earlier:
                self.admitted[node] = view.epoch
        self.make_peers()
        self.forget_reports()
        if not self.belongs:
            self.alone_due_ns = NEVER
            return
        if not self.joined:
            if view.epoch == 1 or not self.peers:
                self.found()
            elif self.transfer is None:
                self.alone_due_ns = now_ns + self.options.alone_ns
        elif self.must_start_over(self.admitted.get(self.node, 0)):
            self.start_over(now_ns)
        elif before.epoch and view.epoch > before.epoch + 1 and self.peers:
            self.confirmed = False
        self.ask_everyone(now_ns)

    def found(self) -> None:
        """Begin with the empty state, as everybody else."""
        self.remember("found", self.in_force.epoch)
        self.joined = self.in_force.epoch
        self.alone_due_ns = NEVER
        self.book_changed = True

    def must_start_over(self, admitted: int) -> bool:
        """Whether this replica was out of a view since it has joined."""
        return 0 < self.joined < admitted

    def start_over(self, now_ns: int) -> None:
        """Give up what is here: have the state of those who stayed, and write under another name."""
        self.remember("start over", self.in_force.epoch)
        self.context.note("gossip.start_over", epoch=self.in_force.epoch)
        unseen = self.vector.get(self.origin, 0) - self.seen_by_others()
        self.discarded += max(unseen, 0)
        for request in self.unanswered:
            self.reply(request, Unknown("this node was removed from the keyspace and starts over"))
        self.unanswered.clear()
        self.deltas.clear()
        self.deltas_bytes = 0
        for log in self.logs.values():
            while log.held:
                self.forget_oldest(log)
        self.logs.clear()
        self.vector.clear()
        self.known_after.clear()
        self.stable.clear()
        self.joined = 0
        self.confirmed = True
        incarnation = max(self.in_force.epoch, (self.origin >> NODE_BITS) + 1)
        self.origin = (incarnation << NODE_BITS) | self.node
        self.counter = 0
        self.forget_reports()
        self.begin_transfer(now_ns, wipe=True)

    def seen_by_others(self) -> int:
        """How many of this replica's own dots some peer is known to have."""
        return max((peer.reported.get(self.origin, 0) for peer in self.peers.values()), default=0)

    def fenced(self, peer: Peer, message: Gossip) -> bool:
        """Whether the sender was out of a view and has not started over: nothing it says may be believed."""
        return 0 < message.joined < self.admitted.get(peer.node, 0)

    def learn_admissions(self, now_ns: int, message: Gossip) -> None:
        """Who came and when, as another knows it; maybe this replica itself."""
        for node, epoch in message.admitted:
            if (
                epoch <= self.in_force.epoch
                and epoch > self.admitted.get(node, 0)
                and node in self.in_force.everyone()
            ):
                self.admitted[node] = epoch
                self.book_changed = True
        if self.must_start_over(self.admitted.get(self.node, 0)):
            self.start_over(now_ns)

    def hear_standing(self, now_ns: int, message: Gossip) -> None:
        """What follows from how it stands with another of the same view."""
        if not self.confirmed and self.confirms(message):
            self.confirmed = True
            self.remember("confirmed", self.in_force.epoch)
        if self.joined or self.transfer is not None:
            return
        if message.joined:
            self.alone_due_ns = NEVER
            self.begin_transfer(now_ns, wipe=False)
        elif all(
            peer.heard_ns >= 0 and peer.epoch == self.in_force.epoch and not peer.joined
            for peer in self.peers.values()
        ):
            self.found()

    def confirms(self, message: Gossip) -> bool:
        """Whether this replica has belonged without a break, seeing that nobody has said otherwise:
        somebody who serves, or everybody there is. Until then it says nothing of what it has."""
        return message.ready or all(
            peer.heard_ns >= 0 and peer.epoch == self.in_force.epoch for peer in self.peers.values()
        )

    @property
    def settled(self) -> int:
        """The epoch in force once everyone it names has its state and what those leaving had."""
        view = self.in_force
        before = max(view.epoch - 1, 0)
        if not self.belongs or not self.ready:
            return before
        staying = [
            peer for peer in self.peers.values() if peer.node in view.nodes or peer.node in view.joining
        ]
        leaving = [peer for peer in self.peers.values() if peer not in staying]
        for peer in staying:
            if peer.epoch != view.epoch or not peer.ready or peer.counted is None:
                return before
        for left in leaving:
            if left.counted is None or not all(covers(peer.reported, left.counted) for peer in staying):
                return before
        return view.epoch
