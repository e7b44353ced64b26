"""Who is told what: eager pushes, anti-entropy, and the one message a peer a turn that carries them.

Push and pull as in Demers et al. 1987: the writes of a turn go to every peer at once, and in rounds a
replica asks some peers, with its version vector, for what it lacks. Deltas are sent in an order in which
they can be delivered.
"""

from __future__ import annotations

from heapq import merge

from comity.protocols.gossip.log import Held
from comity.protocols.gossip.membership import Peer
from comity.protocols.gossip.messages import Batch, Cells, Gossip
from comity.protocols.gossip.options import GossipOptions
from comity.protocols.gossip.stability import Stability
from comity.protocols.gossip.vectors import covers, pairs
from comity.replica import NEVER, CoreContext, LatticeSemantics, NodeId, Send
from comity.replica import Cells as Storage


class Exchange(Stability):
    """Messages: what they say, when, and to whom."""

    def __init__(
        self, context: CoreContext, options: GossipOptions, cells: Storage, semantics: LatticeSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.round_due_ns = NEVER
        self.told: list[tuple[int, int]] = []
        """The vector as this turn's messages tell it."""

    # -- rounds

    def ask_everyone(self, now_ns: int) -> None:
        """Hear from every peer: at the end of this turn."""
        for peer in self.peers.values():
            peer.ask = True
        self.schedule_round(now_ns)

    def schedule_round(self, now_ns: int) -> None:
        """When to gossip next: seldom while nobody lacks anything. Spread out, so that nodes do not keep
        step."""
        if not self.peers:
            self.round_due_ns = NEVER
            return
        interval_ns = self.options.idle_ns if self.in_step() else self.options.round_ns
        self.round_due_ns = now_ns + interval_ns * 3 // 4 + self.stream.below(interval_ns // 2 + 1)

    def in_step(self) -> bool:
        """Whether everyone is known to have what is here, and nothing waits."""
        return (
            not self.buffered
            and not self.collectable
            and self.scan_at < 0
            and self.ready
            and all(peer.reported == self.vector and peer.counted is not None for peer in self.peers.values())
        )

    def hurry(self, now_ns: int) -> None:
        """Something differs now: do not wait for an idle round."""
        if self.peers:
            self.round_due_ns = min(self.round_due_ns, now_ns + self.options.round_ns)

    def begin_round(self, now_ns: int) -> None:
        """Ask some peers: those who are known to have more first."""
        self.scan()
        if self.stranded():
            self.start_over(now_ns)
        ahead = self.ahead()
        if not ahead:
            self.empty_buffer()
        others = self.stream.shuffled([peer for peer in self.peers.values() if peer not in ahead])
        for peer in [*ahead, *others][: self.options.fanout]:
            peer.ask = True
        self.schedule_round(now_ns)

    def ahead(self) -> list[Peer]:
        """Peers known to have delivered what is missing here, in random order."""
        return self.stream.shuffled(
            [peer for peer in self.peers.values() if not covers(self.vector, peer.reported)]
        )

    def retry(self, now_ns: int) -> None:
        """What came out of order was not followed by what it lacked: ask for that."""
        self.retry_due_ns = NEVER
        if self.buffered and self.peers and not self.receiving_cells:
            ahead = self.ahead() or self.stream.shuffled(list(self.peers.values()))
            ahead[0].ask = True
            self.retry_due_ns = now_ns + self.options.round_ns

    # -- what a peer lacks

    def lacking(self, reported: dict[int, int]) -> tuple[list[Batch], bool, bool]:
        """(batches, more, behind): what a replica that has `reported` can be given now, in an order in
        which it can deliver them; whether there is more; whether it lacks what is no longer kept."""
        found: list[list[Held]] = []
        for origin in sorted(self.logs):
            log = self.logs[origin]
            have = reported.get(origin, 0)
            if have < log.floor:
                return [], False, True
            if have < log.last:
                found.append(log.after(have))
        batches: list[Batch] = []
        size_bytes = 0
        for held in merge(*found, key=lambda held: held.position):
            if batches and size_bytes + held.size_bytes > self.options.max_message_bytes:
                return batches, True, False
            batches.append(held.batch)
            size_bytes += held.size_bytes
        return batches, False, False

    def may_push(self, peer: Peer, batch: Batch) -> bool:
        """Whether a peer is sent writes unasked: not one that has long been silent."""
        return (
            peer.unheard_bytes + batch.size_bytes <= self.options.max_unheard_bytes or not peer.unheard_bytes
        )

    def peer_lost(self, now_ns: int, peer: NodeId) -> None:
        """Do not push to it until it is heard of."""
        lost = self.peers.get(peer)
        if lost is not None:
            lost.unheard_bytes = self.options.max_unheard_bytes

    # -- messages

    def compose(self, now_ns: int) -> None:
        """Say what is to be said to each peer, in one message."""
        self.told = pairs(self.vector) if self.confirmed else []
        pushed: Gossip | None = None
        for peer in self.peers.values():
            wanted = self.cells_wanted(now_ns, peer)
            if peer.asks or peer.ask or peer.tell or peer.wants >= 0 or wanted >= 0:
                self.send(peer.node, self.conversation(now_ns, peer, wanted))
            elif self.published is not None and self.confirmed and self.may_push(peer, self.published):
                pushed = pushed or self.message(batches=[self.published])
                peer.unheard_bytes += self.published.size_bytes
                self.send(peer.node, pushed)

    def conversation(self, now_ns: int, peer: Peer, wanted: int) -> Gossip:
        """What this peer is told, and asked."""
        batches: list[Batch] = []
        more = behind = False
        part: Cells | None = None
        if peer.wants >= 0 and self.joined and self.confirmed:
            part = self.read_cells(now_ns, peer.wants)
        if peer.asks and self.confirmed:
            batches, more, behind = self.lacking(peer.reported)
        elif self.published is not None and self.may_push(peer, self.published):
            batches = [self.published]
        peer.unheard_bytes += sum(batch.size_bytes for batch in batches)
        message = self.message(
            batches=batches, more=more, behind=behind, pull=peer.ask, wanted=wanted, part=part
        )
        peer.asks = peer.ask = peer.tell = False
        peer.wants = -1
        return message

    def message(
        self,
        *,
        batches: list[Batch],
        more: bool = False,
        behind: bool = False,
        pull: bool = False,
        wanted: int = -1,
        part: Cells | None = None,
    ) -> Gossip:
        """A message of this replica as it stands."""
        return Gossip(
            self.in_force.epoch,
            self.joined,
            self.ready,
            self.told,
            pairs(self.admitted),
            batches,
            more,
            pull,
            behind,
            wanted,
            part,
        )

    def send(self, peer: NodeId, message: Gossip) -> None:
        """Every message tells what has been delivered here, so it leaves when that is durable."""
        if self.durable_turns < self.turns or self.wrote or self.book_changed:
            self.effects.send_durable.append(Send(peer, message))
        else:
            self.effects.send.append(Send(peer, message))

    # -- the full state, see `transfer`

    def stranded(self) -> bool:
        """Whether cells were received whose causes nobody has."""
        return False

    def cells_wanted(self, now_ns: int, peer: Peer) -> int:
        """From which hash on this peer is to send cells, -1 where it is not to."""
        return -1

    def read_cells(self, now_ns: int, start: int) -> Cells | None:
        """The cells from a hash on that fit into a message."""
        return None
