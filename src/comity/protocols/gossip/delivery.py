"""Causal delivery: a batch is applied when everything it depends on has been (the causal delta-merging
condition of Almeida, Shoker & Baquero 2018; COPS, Lloyd et al. 2011: a reader never sees an effect before
its cause)."""

from __future__ import annotations

from comity.protocols.gossip.membership import Membership
from comity.protocols.gossip.messages import Batch
from comity.protocols.gossip.options import GossipOptions
from comity.protocols.gossip.vectors import covers
from comity.replica import NEVER, Cells, CoreContext, LatticeSemantics, NodeId


class Delivery(Membership):
    """Batches of others: applied, buffered or dropped; and this replica's own, published at the end of a
    turn."""

    def __init__(
        self, context: CoreContext, options: GossipOptions, cells: Cells, semantics: LatticeSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.buffered: dict[int, dict[int, Batch]] = {}
        """Origin -> the dot before it -> a batch that came before what it depends on."""
        self.buffered_bytes = 0
        self.buffered_count = 0
        self.duplicates = 0
        self.overflows = 0
        self.retry_due_ns = NEVER

    # -- others' writes

    def take_in(self, now_ns: int, sender: NodeId, batch: Batch) -> None:
        """A batch has come, from whomever."""
        have = self.vector.get(batch.origin, 0)
        if self.already_delivered(batch):
            self.duplicates += 1
            return
        if (
            batch.origin < 1
            or batch.previous >= batch.last
            or not batch.deltas
            or len(dict(batch.deltas)) != len(batch.deltas)
        ):
            self.drop(sender, batch, "malformed batch")
        elif batch.origin == self.origin:
            self.drop(sender, batch, "writes of ours that we never made")
        elif batch.previous < have:
            self.drop(sender, batch, "batch that does not fit those before it")
        elif self.may_deliver(batch):
            if self.deliver(now_ns, sender, batch):
                self.deliver_buffered(now_ns)
        else:
            self.buffer(now_ns, batch)

    def already_delivered(self, batch: Batch) -> bool:
        """Whether all of it is here."""
        return batch.last <= self.vector.get(batch.origin, 0)

    def may_deliver(self, batch: Batch) -> bool:
        """Whether the batch before it and all it depends on have been applied here."""
        return not self.receiving_cells and self.follows(batch) and self.depends_on_delivered(batch)

    def follows(self, batch: Batch) -> bool:
        """Whether it is its origin's next."""
        return self.vector.get(batch.origin, 0) == batch.previous

    def depends_on_delivered(self, batch: Batch) -> bool:
        """Whether what its origin had seen of others is here."""
        return covers(self.vector, batch.after)

    @property
    def receiving_cells(self) -> bool:
        """Whether cells of a full state are still to come: until then the vector stands still."""
        return self.transfer is not None and self.transfer.cursor >= 0

    def deliver(self, now_ns: int, sender: NodeId, batch: Batch) -> bool:
        """Apply all of a batch, or nothing where it is not legible; whether it was applied."""
        states: list[tuple[bytes, bytes]] = []
        try:
            for key, delta in batch.deltas:
                states.append((key, self.merge(self.state_of(key), delta)))
        except ValueError:
            self.drop(sender, batch, "illegible delta")
            return False
        for key, state in states:
            self.store(key, state)
        self.see_stamp(batch.stamp)
        self.log_batch(now_ns, batch)
        self.trim_log(now_ns, batch.origin)
        return True

    def merge(self, state: bytes | None, delta: bytes) -> bytes:
        """The join of what is here and what came."""
        return self.semantics.join(state, delta)

    def buffer(self, now_ns: int, batch: Batch) -> None:
        """Keep a batch for later, if there is room; else it will be asked for again."""
        self.retry_due_ns = min(self.retry_due_ns, now_ns + self.options.retry_ns)
        waiting = self.buffered.setdefault(batch.origin, {})
        if batch.previous in waiting:
            return
        if self.buffered_bytes + batch.size_bytes > self.options.max_buffer_bytes:
            self.overflows += 1
            if not waiting:
                del self.buffered[batch.origin]
            return
        waiting[batch.previous] = batch
        self.buffered_bytes += batch.size_bytes
        self.buffered_count += 1

    def deliver_buffered(self, now_ns: int) -> None:
        """Apply the buffered batches whose dependencies are here now, until none is left that can be."""
        progress = bool(self.buffered)
        while progress:
            progress = False
            for origin in sorted(self.buffered):
                while (batch := self.buffered[origin].get(self.vector.get(origin, 0))) is not None:
                    if not self.may_deliver(batch):
                        break
                    self.unbuffer(batch)
                    if not self.deliver(now_ns, origin, batch):
                        break
                    progress = True
                if not self.buffered[origin]:
                    del self.buffered[origin]
        self.advanced(now_ns)

    def unbuffer(self, batch: Batch) -> None:
        """It is no longer waiting."""
        del self.buffered[batch.origin][batch.previous]
        self.buffered_bytes -= batch.size_bytes
        self.buffered_count -= 1

    def purge_buffer(self) -> None:
        """Drop buffered batches that the vector has passed."""
        for origin in sorted(self.buffered):
            have = self.vector.get(origin, 0)
            for batch in [batch for batch in self.buffered[origin].values() if batch.previous < have]:
                self.unbuffer(batch)
            if not self.buffered[origin]:
                del self.buffered[origin]

    def empty_buffer(self) -> None:
        """Nobody is known to have what the buffered batches wait for; maybe a node that was removed took it
        along. They will be asked for again if somebody has."""
        self.buffered.clear()
        self.buffered_bytes = self.buffered_count = 0

    # -- own writes

    def publish(self, now_ns: int) -> None:
        """Make one batch of the writes of this turn: they are delivered together everywhere."""
        self.published = None
        if not self.deltas:
            return
        self.published = batch = Batch(
            self.origin,
            self.vector.get(self.origin, 0),
            self.counter,
            self.clock.pack(),
            self.dependencies(),
            list(self.deltas.items()),
        )
        self.deltas = {}
        self.deltas_bytes = 0
        self.log_batch(now_ns, batch)
        self.known_after = dict(self.vector)
        self.trim_log(now_ns, self.origin)

    def dependencies(self) -> list[tuple[int, int]]:
        """What has been delivered since the last own batch: the rest follows from that one."""
        before = self.known_after
        return [
            (origin, self.vector[origin])
            for origin in sorted(self.vector)
            if origin != self.origin and self.vector[origin] > before.get(origin, 0)
        ]

    # -- the log

    def trim_log(self, now_ns: int, origin: int) -> None:
        """Keep a log within its bound: whoever lacks what goes will need the full state."""
        log = self.logs[origin]
        limit = self.options.max_log_bytes * (4 if self.sending_state(now_ns) else 1)
        while log.size_bytes > limit and len(log.held) > 1:
            self.forget_oldest(log)

    def sending_state(self, now_ns: int) -> bool:
        """Whether somebody is being sent the full state, and will need the deltas since its beginning."""
        return False
