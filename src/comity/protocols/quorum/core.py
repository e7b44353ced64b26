"""One replica of one quorum keyspace: the layers put together, and the doors to the outside.

The layers, from the ground up: `state.Replica`, `hints.Hints`, `serving.Serving`, `repair.Repair`,
`operations.Operations`, `sync.AntiEntropy`, `tombstones.Tombstones`, `moving.Moving`. README.md says which
rule of the papers is kept by which method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from comity.protocols.quorum import invariants
from comity.protocols.quorum.arithmetic import quorum_promise
from comity.protocols.quorum.messages import (
    Agreed,
    Compare,
    Differ,
    Listing,
    Missing,
    Ping,
    Pong,
    Push,
    Pushed,
    Stale,
    Turn,
)
from comity.protocols.quorum.moving import Moving
from comity.protocols.quorum.options import QuorumOptions
from comity.protocols.quorum.versions import Siblings
from comity.replica import Cells, CoreContext, Effects, NodeId, RegisterSemantics


class QuorumCore(Moving):
    """A complete quorum replica (Dynamo 2007; ABD 1995).

    Raises `UnusableRecord` at construction where what is stored cannot be used.
    """

    def __init__(
        self, context: CoreContext, options: QuorumOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.taken_ns = 0
        self.prepare_hints()
        self.prepare_repair()
        self.prepare_operations()
        self.prepare_rounds()
        self.prepare_tombstones()
        self.prepare_moving()
        self.handlers: dict[type, Callable[[int, NodeId, Any], None]] = {
            Turn: self.on_turn,
            Ping: self.on_ping,
            Pong: self.on_pong,
            Compare: self.on_compare,
            Differ: self.on_differ,
            Listing: self.on_listing,
            Missing: self.on_missing,
            Push: self.on_push,
            Pushed: self.on_pushed,
            Agreed: self.on_agreed,
        }

    # -- life

    def start(self, now_ns: int) -> None:
        """Begin to hash what is held; the first round comes after a while."""
        self.remember("start", now_ns, self.in_force)
        self.begin_numbering()
        self.begin_building(now_ns)
        self.round_due_ns = now_ns + self.round_pause_ns()
        self.arm_heartbeat(now_ns)
        self.set_deadline()

    def wake(self, now_ns: int) -> None:
        """Carry out what is due."""
        if now_ns >= self.build_due_ns:
            self.build(now_ns)
        self.resend(now_ns)
        if now_ns >= self.heartbeat_due_ns:
            self.heartbeat(now_ns)
        if now_ns >= self.round_retry_ns:
            self.retry_round(now_ns)
        if now_ns >= self.round_due_ns:
            if self.round is None:
                self.begin_round(now_ns)
            else:
                self.round_due_ns = now_ns + self.round_pause_ns()
        if now_ns >= self.collect_due_ns:
            self.collect(now_ns)
        self.set_deadline()

    def set_deadline(self) -> None:
        """The least of the deadlines in force."""
        self.deadline_ns = min(
            self.build_due_ns,
            self.next_resend_ns(),
            self.heartbeat_due_ns,
            self.round_retry_ns,
            self.round_due_ns,
            self.collect_due_ns,
        )

    def take(self, now_ns: int) -> Effects:
        """Close the batch of this turn."""
        self.taken_ns = now_ns
        self.count_own(now_ns)
        self.flush()
        if self.dirty:
            self.turns += 1
            self.dirty = False
        self.set_deadline()
        taken, self.effects = self.effects, Effects()
        return taken

    @property
    def busy(self) -> bool:
        """Whether `take` has anything to do or to hand over."""
        return bool(self.dirty or self.out or self.effects or (self.own and self.own_counts(self.own[0][0])))

    # -- peers and disk

    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        """A message from a peer; of another view than the one in force it is not looked at."""
        handler = self.handlers.get(type(message))
        if sender == self.node or sender < 1:
            self.drop(sender, message, "impossible sender")
        elif type(message) is Stale:
            self.remember("stale", now_ns, sender, message.epoch)
            self.count("told_of_a_later_view")
        elif handler is None:
            self.drop(sender, message, "not a message of quorum")
        elif self.fenced(message.epoch):
            if message.epoch > self.epoch:
                self.drop(sender, message, "a view not adopted yet")
            else:
                self.drop(sender, message, "an older view")
                self.send(sender, Stale(self.epoch))
        else:
            self.heard(now_ns, sender)
            handler(now_ns, sender, message)
            self.set_deadline()

    def on_pong(self, now_ns: int, sender: NodeId, pong: Pong) -> None:
        """`heard` has done what there is to do."""

    def peer_lost(self, now_ns: int, peer: NodeId) -> None:
        """Perhaps it is gone: others stand in sooner, and it is asked again later."""
        if peer in self.in_force.everyone():
            self.suspect(now_ns, peer)
            self.set_deadline()

    def persisted(self, now_ns: int, writes: int) -> None:
        """Turns are durable: this node's own part in its phases counts."""
        if not self.synced <= writes <= self.turns:
            raise self.broken(f"{writes} turns durable of {self.turns}, {self.synced} before")
        self.synced = writes
        self.count_own(now_ns)
        self.set_deadline()

    # -- looking inside

    def check(self) -> None:
        """Audit every invariant that can be seen without walking the cells."""
        invariants.check(self)

    def deep_check(self) -> None:
        """Walk the cells and compare the trees and the books with them."""
        invariants.check(self)
        invariants.check_cells(self)

    def staleness_ns(self) -> int:
        """How long ago the oldest of the last rounds with each peer began: what a peer was told before is
        here, too. -1 where a round with one of them is still to come."""
        others = [node for node in self.placement.nodes if node != self.node]
        if any(node not in self.agreed for node in others):
            return -1
        return self.taken_ns - min((self.agreed[node] for node in others), default=self.taken_ns)

    def status(self) -> Mapping[str, Any]:
        """For people and dashboards."""
        counts = self.counts
        view = self.in_force
        status: dict[str, Any] = {
            "role": "replica" if self.node in self.placement.nodes else "outside",
            "term": view.epoch,
            "epoch": view.epoch,
            "leader": 0,
            "settled": self.settled,
            "nodes": list(view.nodes),
            "outgoing": list(view.outgoing),
            "pending": len(self.pending),
            "suspected": sorted(self.suspected),
            "hints": self.hint_count,
            "hint_bytes": self.hint_bytes,
            "strays": len(self.strays),
            "tombstones": len(self.tombstones),
            "round_with": self.round.peer if self.round is not None else 0,
            "trees_built": self.trees_built,
            "synced_ns_ago": {
                str(node): self.taken_ns - began for node, began in sorted(self.agreed.items())
            },
            "staleness_ns": self.staleness_ns(),
            "siblings_dropped": self.resolver.trimmed if isinstance(self.resolver, Siblings) else 0,
            "counts": dict(sorted(counts.items())),
            "dropped": dict(sorted(self.dropped.items())),
        }
        for nodes, quorums in self.placement.sizes[:1]:
            promise = quorum_promise(
                quorums.n, quorums.r, quorums.w, self.options.sloppy, self.options.conflicts
            )
            status["quorums"] = {"n": quorums.n, "r": quorums.r, "w": quorums.w, "of": len(nodes)}
            status["promise"] = promise.level
        return status
