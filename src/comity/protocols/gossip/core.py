"""One replica of one gossip keyspace: the layers put together, and the doors to the outside.

The layers, from the ground up: `state.Replica`, `membership.Membership`, `delivery.Delivery`,
`stability.Stability`, `exchange.Exchange`, `transfer.TransferOfState`, `serving.Serving`. README.md says
which rule is kept by which method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comity.protocols.gossip import invariants
from comity.protocols.gossip.membership import Peer
from comity.protocols.gossip.messages import Gossip
from comity.protocols.gossip.serving import Serving
from comity.protocols.gossip.state import MILLISECOND_NS
from comity.protocols.gossip.vectors import merged
from comity.replica import NEVER, Effects, NodeId


class GossipCore(Serving):
    """A complete replica: delta-state CRDTs, causal delivery, anti-entropy, causal stability."""

    # -- life

    def start(self, now_ns: int) -> None:
        """Adopt the view given at birth, and hear from everyone."""
        self.now_ns = now_ns
        self.remember("start", now_ns, self.in_force.epoch, self.counter)
        self.view(now_ns, self.context.view)
        if self.receiving_cells:
            self.cells_due_ns = now_ns
        if self.belongs and not self.joined and self.transfer is None:
            self.alone_due_ns = now_ns + self.options.alone_ns
        self.ask_everyone(now_ns)
        self.set_deadline()

    def wake(self, now_ns: int) -> None:
        """Carry out what is due."""
        self.now_ns = now_ns
        if now_ns >= self.alone_due_ns:
            self.alone_due_ns = NEVER
            if not self.joined and self.transfer is None:
                self.found()
                self.grew = True
        if now_ns >= self.round_due_ns:
            self.begin_round(now_ns)
        if now_ns >= self.retry_due_ns:
            self.retry(now_ns)
        self.set_deadline()

    def set_deadline(self) -> None:
        """The least of the deadlines in force."""
        self.deadline_ns = min(self.round_due_ns, self.retry_due_ns, self.cells_due_ns, self.alone_due_ns)

    def take(self, now_ns: int) -> Effects:
        """Close the turn: one batch of its writes, one message a peer."""
        self.now_ns = now_ns
        self.carry_out_waiting(now_ns)
        self.publish(now_ns)
        if self.published is not None:
            self.count_reports()
            if not self.peers:
                self.advance_stability()
        self.collect()
        self.pursue_transfer(now_ns)
        self.compose(now_ns)
        self.close_turn()
        self.published = None
        self.set_deadline()
        taken, self.effects = self.effects, Effects()
        return taken

    @property
    def busy(self) -> bool:
        """Whether `take` has anything to do or to hand over."""
        return bool(
            self.deltas
            or self.wrote
            or self.book_changed
            or (self.grew and self.waiting)
            or self.collectable
            or self.now_ns >= self.cells_due_ns
            or any(peer.asks or peer.ask or peer.tell or peer.wants >= 0 for peer in self.peers.values())
            or self.effects
        )

    # -- peers

    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        """A message from a peer."""
        self.now_ns = now_ns
        peer = self.peers.get(sender)
        if type(message) is not Gossip:
            self.drop(sender, message, "not a message of gossip")
        elif peer is None:
            self.drop(sender, message, "not of this view")
        elif self.outdated(message):
            self.drop(sender, message, "of an older view")
        else:
            self.on_gossip(now_ns, peer, message)
        self.set_deadline()

    def outdated(self, message: Gossip) -> bool:
        """Whether the sender has not adopted the view in force: the epoch is the fencing token."""
        return message.epoch < self.in_force.epoch

    def on_gossip(self, now_ns: int, peer: Peer, message: Gossip) -> None:
        """All that another has to say."""
        self.learn_admissions(now_ns, message)
        reported = dict(message.vector)
        if message.joined == peer.joined:
            reported = merged(peer.reported, reported)  # messages may overtake one another
        peer.epoch, peer.joined, peer.heard_ns = message.epoch, message.joined, now_ns
        peer.unheard_bytes = 0
        if self.fenced(peer, message):
            self.drop(peer.node, message, "out of a view and has not started over")
            peer.ready = False
            peer.tell = True
            return
        peer.ready = message.ready
        if message.epoch == self.in_force.epoch:
            self.hear_standing(now_ns, message)
        for batch in message.batches:
            self.take_in(now_ns, peer.node, batch)
        if message.part is not None:
            self.take_cells(now_ns, peer.node, message.part)
        peer.reported = reported
        if message.epoch == self.in_force.epoch:
            self.note_report(peer, reported)
        peer.asks = peer.asks or message.pull
        if message.wanted >= 0:
            peer.wants = message.wanted
        if message.more and not self.receiving_cells:
            peer.ask = True
        if message.behind:
            self.fell_behind(now_ns, peer)
        if message.batches or peer.reported != self.vector:
            self.hurry(now_ns)

    # -- looking inside

    def check(self) -> None:
        """Audit every invariant that can be seen without walking the cells."""
        invariants.check(self)

    def status(self) -> Mapping[str, Any]:
        """For people and dashboards."""
        return {
            "role": self.role(),
            "epoch": self.in_force.epoch,
            "nodes": list(self.in_force.nodes),
            "joining": list(self.in_force.joining),
            "settled": self.settled,
            "ready": self.ready,
            "origin": self.origin,
            "vector": {str(node): count for node, count in sorted(self.vector.items())},
            "stable": {str(node): count for node, count in sorted(self.stable.items())},
            "counter": self.counter,
            "log_bytes": sum(log.size_bytes for log in self.logs.values()),
            "unstable_deltas": sum(len(log.held) for log in self.logs.values()),
            "buffered_deltas": self.buffered_count,
            "buffered_bytes": self.buffered_bytes,
            "tombstones": len(self.tombstones),
            "collected": self.collected,
            "waiting": len(self.waiting),
            "transfers": self.transfers,
            "stale_parts": self.stale_parts,
            "discarded": self.discarded,
            "duplicates": self.duplicates,
            "overflows": self.overflows,
            "clock_refusals": self.clock_refusals,
            "peers": {str(peer.node): self.lag_of(peer) for peer in self.peers.values()},
            "holding_up": self.holding_up(),
            "dropped": self.dropped_counts(),
        }

    def role(self) -> str:
        """In a word."""
        if not self.belongs:
            return "none"
        if not self.ready:
            return "catching-up"
        return "member" if self.serves else "joining" if self.node in self.in_force.joining else "leaving"

    def lag_of(self, peer: Peer) -> Mapping[str, Any]:
        """What a peer lacks of what is here, as far as it has told: writes, and the age of the oldest in
        ms."""
        lacking = 0
        oldest_ns = NEVER
        for origin, log in self.logs.items():
            have = peer.reported.get(origin, 0)
            lacking += max(self.vector.get(origin, 0) - have, 0)
            missing = log.after(have)
            if missing:
                oldest_ns = min(oldest_ns, missing[0].since_ns)
        return {
            "ready": peer.ready,
            "lag_deltas": lacking,
            "lag_ms": 0 if oldest_ns == NEVER else (self.now_ns - oldest_ns) // MILLISECOND_NS,
            "heard_ms_ago": -1 if peer.heard_ns < 0 else (self.now_ns - peer.heard_ns) // MILLISECOND_NS,
        }

    def holding_up(self) -> list[NodeId]:
        """The peers without whom more would be stable: tombstones and deltas are kept for them."""
        return [
            peer.node
            for peer in self.peers.values()
            if any(
                log.held and (peer.counted or {}).get(origin, 0) < log.held[0].batch.last
                for origin, log in self.logs.items()
            )
        ]
