"""The full state, for whoever lacks deltas that are no longer kept (Almeida 2018, algorithm 2, sends it
then too).

The receiver asks for cells in the order of their hashes, a message at a time, and the sender keeps nothing
about it: a transfer goes on after a crash of either, and with another sender. When all cells have come, all
that every sender had delivered when it began is here (`start`). But a cell read late may hold more than one
read early: until the deltas up to `horizon`, what the senders had at most, are delivered too, an effect may
lack its cause. So this replica serves nobody until its vector covers the horizon.
"""

from __future__ import annotations

from comity.protocols.gossip.exchange import Exchange
from comity.protocols.gossip.log import DeltaLog
from comity.protocols.gossip.membership import Peer
from comity.protocols.gossip.messages import Cells
from comity.protocols.gossip.options import GossipOptions
from comity.protocols.gossip.records import KEY, Transfer
from comity.protocols.gossip.vectors import common, covers, merged, pairs
from comity.replica import NEVER, CoreContext, LatticeSemantics, NodeId
from comity.replica import Cells as Storage

HASHES = 1 << 64
SCAN_LIMIT = 20_000
"""Cells looked at for one message, whatever they hold."""


class TransferOfState(Exchange):
    """Sending and receiving cells."""

    def __init__(
        self, context: CoreContext, options: GossipOptions, cells: Storage, semantics: LatticeSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.source: NodeId = 0
        """Who is asked for cells."""
        self.cells_due_ns = NEVER
        """When to ask again, maybe another."""
        self.sending_until_ns = 0
        self.transfers = 0
        self.stale_parts = 0

    # -- receiving

    def begin_transfer(self, now_ns: int, *, wipe: bool) -> None:
        """Have the full state sent. wipe: what is here and not there is removed."""
        self.remember("transfer", wipe)
        self.context.note("gossip.transfer", wipe=wipe)
        horizon = {} if wipe or self.transfer is None else self.transfer.horizon
        wipe = wipe or (self.transfer is not None and self.transfer.wipe)
        self.transfer = Transfer(0, None, horizon, wipe)
        self.transfers += 1
        self.book_changed = True
        self.source = 0
        self.cells_due_ns = now_ns

    def fell_behind(self, now_ns: int, peer: Peer) -> None:
        """A peer no longer keeps the deltas that are missing here."""
        if peer.joined and not self.receiving_cells and not covers(self.vector, peer.reported):
            self.begin_transfer(now_ns, wipe=False)

    def choose_source(self) -> NodeId:
        """Somebody who serves, another than before where there is one."""
        able = [
            peer.node
            for peer in self.peers.values()
            if peer.joined and peer.epoch >= self.in_force.epoch and self.whole(peer)
        ]
        able = [node for node in able if self.peers[node].ready] or able
        others = [node for node in able if node != self.source] or able
        return self.stream.pick(others) if others else 0

    def whole(self, peer: Peer) -> bool:
        """Whether its cells hold all that it has delivered, and nothing that was given up. It need not
        serve: where each of two lacks what the other no longer keeps as deltas, both give and take."""
        return peer.joined >= self.admitted.get(peer.node, 0)

    def pursue_transfer(self, now_ns: int) -> None:
        """Ask for the next cells where it is time to."""
        if not self.receiving_cells:
            self.cells_due_ns = NEVER
        elif now_ns >= self.cells_due_ns:
            self.source = self.choose_source()
            self.cells_due_ns = now_ns + 2 * self.options.round_ns
            if not self.source:
                self.ask_everyone(now_ns)
                return
            self.peers[self.source].tell = True

    def cells_wanted(self, now_ns: int, peer: Peer) -> int:
        """The cursor, for the source, when it is told something."""
        if self.receiving_cells and peer.node == self.source and peer.tell and self.transfer is not None:
            return self.transfer.cursor
        return -1

    def take_cells(self, now_ns: int, sender: NodeId, part: Cells) -> None:
        """The next cells have come."""
        transfer = self.transfer
        if transfer is None or part.start != transfer.cursor:
            return
        if self.stale(part):
            self.stale_parts += 1
            return
        end = part.end or HASHES
        if end <= part.start:
            self.drop(sender, part, "malformed cells")
            return
        try:
            states = {key: self.merge(None, state) for key, state in part.cells}
        except ValueError:
            self.drop(sender, part, "illegible cell")
            return
        if transfer.wipe:
            for key in self.keys_between(part.start, end):
                if key not in states:
                    self.remove(key)
        for key, state in states.items():
            self.store(key, state if transfer.wipe else self.merge(self.state_of(key), state))
            if key in self.tombstones and key not in self.touched:
                self.collectable.append(key)
        vector = dict(part.vector)
        transfer.start = vector if transfer.start is None else common(transfer.start, vector)
        transfer.horizon = merged(merged(transfer.horizon, vector), dict(part.horizon))
        transfer.cursor = part.end or -1
        self.book_changed = True
        if transfer.cursor < 0:
            self.all_cells_here(now_ns, transfer)
        else:
            self.peers[sender].tell = True
            self.source = sender
            self.cells_due_ns = now_ns + 2 * self.options.round_ns

    def stale(self, part: Cells) -> bool:
        """Whether cells were read so long ago that they may hold what was removed since by a tombstone that
        has been collected here: the sender had not delivered all that is stable."""
        return not covers(dict(part.vector), self.stable)

    def keys_between(self, start: int, end: int) -> list[bytes]:
        """The clients' keys here with hashes in [start, end)."""
        found: list[bytes] = []
        for position, stored, _ in self.cells.walk(start):
            if position >= end:
                break
            if stored[:1] == KEY:
                found.append(stored[1:])
        return found

    def all_cells_here(self, now_ns: int, transfer: Transfer) -> None:
        """The vector jumps to what every source had at the beginning; deltas lead on from there."""
        self.vector = merged(self.vector, transfer.start or {})
        for origin in sorted(self.vector):
            log = self.logs.get(origin)
            if log is None:
                self.logs[origin] = DeltaLog(origin, self.vector[origin])
            elif log.last < self.vector[origin]:
                while log.held:
                    self.forget_oldest(log)
                log.floor = self.vector[origin]
        self.purge_buffer()
        self.cells_due_ns = NEVER
        self.deliver_buffered(now_ns)
        self.ask_everyone(now_ns)

    def stranded(self) -> bool:
        """Whether all cells are here, everyone has just what is here, and the horizon is not covered: a
        sender was removed and took along what its cells were made of. Nobody lacks anything of ours, so
        starting over loses nothing."""
        return (
            self.transfer is not None
            and not self.receiving_cells
            and bool(self.peers)
            and all(
                peer.heard_ns >= 0 and peer.epoch == self.in_force.epoch and peer.reported == self.vector
                for peer in self.peers.values()
            )
        )

    def causally_complete(self, transfer: Transfer) -> bool:
        """Whether no cell can hold an effect whose cause is missing."""
        return transfer.cursor < 0 and covers(self.vector, transfer.horizon)

    def finish_transfer(self, now_ns: int) -> None:
        """Serve again, once the state is causally consistent."""
        if self.transfer is None or not self.causally_complete(self.transfer):
            return
        self.remember("transferred", self.in_force.epoch)
        self.transfer = None
        self.whole_turn = self.open_turn.number
        if not self.joined:
            self.joined = max(self.in_force.epoch, self.admitted.get(self.node, 0))
        self.known_after = {}
        self.book_changed = True

    # -- sending

    def sending_state(self, now_ns: int) -> bool:
        """Whether somebody was sent cells not long ago."""
        return now_ns < self.sending_until_ns

    def read_cells(self, now_ns: int, start: int) -> Cells | None:
        """The cells from a hash on that fit into a message; those of one hash are not parted."""
        self.sending_until_ns = now_ns + 20 * self.options.round_ns
        horizon = pairs(merged(self.vector, self.transfer.horizon)) if self.transfer else self.told
        found: list[tuple[bytes, bytes]] = []
        size_bytes = 0
        last = -1
        for seen, (position, stored, state) in enumerate(self.cells.walk(start)):
            full = size_bytes >= self.options.max_message_bytes or seen >= SCAN_LIMIT
            if full and position != last:
                return Cells(start, position, self.told, horizon, found)
            last = position
            if stored[:1] == KEY:
                found.append((stored[1:], state))
                size_bytes += len(stored) + len(state) + 16
        return Cells(start, 0, self.told, horizon, found)
