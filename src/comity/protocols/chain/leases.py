"""Heartbeats, and the promises they carry: how a replica knows that its view is still in force.

Every replica sends a numbered heartbeat to everyone of its view, and in it echoes the number it last heard
of each of them. An echo is a promise: "when I heard that heartbeat I was in this epoch, and for
`lease_wait_ns` from then on, by my clock, nothing that leaves you out is committed through me". The one who
is promised counts `lease_ns` from when it *sent* that heartbeat, by its own clock. It holds the lease while
the promises of all the others of the chain last, and of those joining nodes that count.

Whoever adopts a view that leaves somebody out passes nothing on, and commits nothing, until its promises to
him have run out (`fence_ns`). README.md has the proof.
"""

from __future__ import annotations

from collections import deque

from comity.protocols.chain.messages import Echo, Heartbeat
from comity.protocols.chain.options import LEASE, ChainOptions
from comity.protocols.chain.place import OUT
from comity.protocols.chain.state import LONG_AGO_NS, Replica
from comity.replica import NEVER, CoreContext, NodeId, Recovered, View

LIFE_SHIFT = 32
"""A heartbeat's number is the sender's life in the upper bits and a counter in the lower ones, so that no
echo of an earlier life is taken for one of this."""
LIFE_BITS = (1 << 30) - 1
REMEMBERED = 256
"""So many of one's own heartbeats can still be recognised in an echo."""


class Leases(Replica):
    """Promises given and held."""

    def __init__(self, context: CoreContext, options: ChainOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.heartbeat_due_ns = NEVER
        life = context.stream("chain.heartbeats").word() & LIFE_BITS
        self.number = life << LIFE_SHIFT
        """Of the last heartbeat sent."""
        self.sent: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        """(number, when) of those sent in this epoch."""
        self.heard: dict[NodeId, int] = {}
        """In this epoch: the number of the last heartbeat of each."""
        self.promised_ns: dict[NodeId, int] = {}
        """When each was last heard, in any epoch of this life: from then on my promise to it counts."""
        self.granted_ns: dict[NodeId, int] = {}
        """In this epoch: when I sent the last heartbeat that each has echoed."""
        self.lease_until_ns = LONG_AGO_NS
        self.started_ns = 0
        self.fence_ns = LONG_AGO_NS
        """Until then nothing is passed on or committed here."""

    # -- heartbeats

    def next_heartbeat(self, now_ns: int) -> int:
        """The next point of a grid all groups share, so that they wake and send together."""
        interval_ns = self.options.heartbeat_ns
        return (now_ns // interval_ns + 1) * interval_ns

    def begin_epoch(self) -> None:
        """Promises are about an epoch: none of the last one counts in this."""
        self.heard.clear()
        self.granted_ns.clear()
        self.sent.clear()
        self.renew_lease()

    def beat(self, now_ns: int) -> None:
        """One heartbeat, the same object for everyone."""
        self.number += 1
        self.sent.append((self.number, now_ns))
        heard = self.heard
        message = Heartbeat(
            self.current.epoch,
            self.number,
            self.commit,
            self.matched,
            self.counted,
            [Echo(node, heard[node]) for node in sorted(heard)],
        )
        for node in self.place.others:
            self.send(node, message)

    def on_heartbeat(self, now_ns: int, sender: NodeId, message: Heartbeat) -> None:
        """Another is in this epoch, and promises."""
        if not set(message.counted) <= set(self.current.joining):
            self.drop(sender, message, "counts who does not join")
            return
        if sender == self.place.tail and message.counted != self.counted:
            told = {*self.counted, *message.counted}
            self.counted = tuple(node for node in self.current.joining if node in told)
        known = self.heard.get(sender, -1)
        if known >> LIFE_SHIFT != message.number >> LIFE_SHIFT or known < message.number:
            self.heard[sender] = message.number
            self.promised_ns[sender] = now_ns
        self.take_promise(sender, message)
        peer = self.peers.get(sender)
        if peer is not None:
            peer.heard_ns = now_ns
            peer.received = min(message.received, self.log.last)
        if message.commit > self.commit:
            self.tell_commit(message.commit)

    def take_promise(self, sender: NodeId, message: Heartbeat) -> None:
        """The sender heard a heartbeat of mine: its promise counts from when I sent that."""
        for echo in message.echoes:
            if echo.node == self.node:
                position = echo.number - self.sent[0][0] if self.sent else -1
                if 0 <= position < len(self.sent):
                    sent_ns = self.sent[position][1]
                    self.granted_ns[sender] = max(self.granted_ns.get(sender, LONG_AGO_NS), sent_ns)
        self.renew_lease()

    # -- holding

    def grantors(self) -> tuple[NodeId, ...]:
        """Whose promises make a lease: of any later view somebody who is one of them, or was brought up
        to date by one of them, takes part in every commit."""
        counted = tuple(node for node in self.counted if node != self.node)
        return (*self.place.chain, *counted)

    def renew_lease(self) -> None:
        """Until when all the promises last."""
        granted = self.granted_ns
        if not self.place.in_chain:
            self.lease_until_ns = LONG_AGO_NS
            return
        oldest_ns = min((granted.get(node, LONG_AGO_NS) for node in self.grantors()), default=NEVER)
        self.lease_until_ns = NEVER if oldest_ns == NEVER else oldest_ns + self.options.lease_ns

    def has_lease(self, now_ns: int) -> bool:
        """Whether no later view that leaves this node out can have committed anything yet."""
        return self.options.reads == LEASE and self.place.in_chain and now_ns < self.lease_until_ns

    # -- giving

    def lease_wait_ns(self) -> int:
        """How long a promise binds who gave it."""
        return self.options.lease_wait_ns

    def fence_for(self, now_ns: int, view: View) -> int:
        """When the leases of all whom this view leaves out have surely run out; called before it is
        adopted. Promises to those who stay need not be waited for: nothing is committed without them."""
        wait_ns = self.lease_wait_ns()
        if not wait_ns or self.node not in view.nodes:
            return LONG_AGO_NS
        if not self.knows_promises(view):
            return now_ns + wait_ns
        promised = self.promised_ns
        left_out = [promised[node] for node in sorted(promised) if node not in view.nodes]
        return max(left_out, default=LONG_AGO_NS) + wait_ns

    def knows_promises(self, view: View) -> bool:
        """Whether every promise that may bind was given by this node, or by somebody of whom it heard after
        that. Otherwise others gave some of which nothing is known here, all of them before now."""
        first = self.fresh and view.epoch == 1
        return first or self.node in self.current.nodes or self.node in self.counted

    def fence_of_start(self, now_ns: int) -> int:
        """What an earlier life promised is not known: it may have been just now."""
        wait_ns = self.lease_wait_ns()
        return LONG_AGO_NS if self.fresh or not wait_ns else now_ns + wait_ns

    def fenced(self, now_ns: int) -> bool:
        """Whether somebody who was left out may still hold a lease."""
        return now_ns < self.fence_ns

    def heartbeat_wanted(self) -> bool:
        """Whether there is anybody to tell."""
        return self.place.role is not OUT and bool(self.place.others)
