"""Causal stability: what everyone has delivered, and what may be forgotten then.

Baquero, Almeida & Shoker 2014, 2017: a write is causally stable at a replica when every message delivered
there from now on has it in its past. A report of what a peer has delivered is not enough for that: writes
of that peer, or that it has from others, may be on their way that were made without knowing of the write.
So a report counts only once everything in it has been delivered here too, and only within the view in
force.
"""

from __future__ import annotations

from comity.protocols.gossip.delivery import Delivery
from comity.protocols.gossip.membership import Peer
from comity.protocols.gossip.options import GossipOptions
from comity.protocols.gossip.records import KEY, client_key
from comity.protocols.gossip.vectors import covers, merged
from comity.replica import Cells, CoreContext, LatticeSemantics


class Stability(Delivery):
    """Reports of peers, the stable vector, and the collection of what it makes needless."""

    def __init__(
        self, context: CoreContext, options: GossipOptions, cells: Cells, semantics: LatticeSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.collected = 0
        self.scan_at = 0 if len(cells) else -1
        """Where looking for tombstones among the cells goes on after a restart, -1 for nowhere."""

    # -- reports

    def forget_reports(self) -> None:
        """A new view: only what is said within it counts."""
        for peer in self.peers.values():
            peer.counted = peer.pending = peer.latest = None

    def note_report(self, peer: Peer, vector: dict[int, int]) -> None:
        """A peer has told what it has delivered, durably."""
        peer.latest = vector
        if peer.pending is None:
            peer.pending = vector
        self.count_reports()

    def report_counts(self, vector: dict[int, int]) -> bool:
        """Whether everything that the peer had has been delivered here."""
        return covers(self.vector, vector)

    def count_reports(self) -> None:
        """Move on to the newest reports that count, and to what is stable by them."""
        changed = False
        for peer in self.peers.values():
            if peer.latest is not None and self.report_counts(peer.latest):
                peer.counted, peer.pending, peer.latest = peer.latest, None, None
                changed = True
            elif peer.pending is not None and self.report_counts(peer.pending):
                # The older one waited while newer ones came: each is waited for, so none starves.
                peer.counted, peer.pending = peer.pending, peer.latest
                changed = True
        if changed:
            self.advance_stability()

    def stable_now(self) -> dict[int, int] | None:
        """What everyone in the view has delivered, None while somebody has not told."""
        result = dict(self.vector)
        for peer in self.peers.values():
            counted = peer.counted
            if counted is None:
                return None
            for origin, count in result.items():
                known = counted.get(origin, 0)
                if known < count:
                    result[origin] = known
        return result

    def advance_stability(self) -> None:
        """Drop the deltas that nobody lacks."""
        stable = self.stable_now()
        if stable is None:
            return
        self.stable = merged(self.stable, stable)
        for origin in sorted(self.logs):
            log = self.logs[origin]
            limit = self.stable.get(origin, 0)
            while log.held and log.held[0].batch.last <= limit:
                self.forget_oldest(log)

    # -- collection

    def may_collect(self) -> bool:
        """Whether every write not in a log here is stable: then a key that is in none of them is."""
        return all(self.stable.get(origin, 0) >= log.floor for origin, log in self.logs.items())

    def collect(self) -> None:
        """Remove what only remembers removals from some keys that are stable."""
        if not self.collectable or not self.ready or not self.may_collect():
            return
        for _ in range(min(self.options.collect_keys, len(self.collectable))):
            key = self.collectable.popleft()
            if key not in self.tombstones or key in self.touched or key in self.deltas:
                continue
            state = self.state_of(key)
            left = None if state is None else self.semantics.collect(state)
            self.put(client_key(key), left)
            self.open_turn.keys[key] = None
            del self.tombstones[key]
            self.collected += 1
            self.book_changed = True

    def scan(self) -> None:
        """After a restart: look for tombstones that a lost memory knew of, a few cells at a time."""
        if self.scan_at < 0:
            return
        for seen, (position, stored, state) in enumerate(self.cells.walk(self.scan_at)):
            if seen >= self.options.scan_keys and position > self.scan_at:
                self.scan_at = position
                return
            key = stored[1:]
            if stored[:1] == KEY and key not in self.tombstones and self.semantics.worth_collecting(state):
                self.tombstones[key] = None
                if key not in self.touched:
                    self.collectable.append(key)
        self.scan_at = -1
