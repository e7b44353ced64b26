"""Removal of tombstones, so that a removed key costs nothing and cannot come back (CASPaxos, section 3.1).

In order: the tombstone is accepted by *every* acceptor (2a); every proposer forgets its cached promise, goes
above the tombstone's ballot and has no undecided change of the key (2b); every acceptor that holds exactly
this tombstone, and has promised nothing since, removes it and from then on refuses ballots up to it (2c,
2d). The paper gives proposers ages, and acceptors an age per proposer, to refuse what is late; here one
number does, the floor: a late message carries a ballot below the tombstone's, since a later ballot would
have been promised, and then the acceptor keeps the register.
"""

from __future__ import annotations

import enum

from comity.protocols.paxos.ballots import Ballot
from comity.protocols.paxos.messages import Erase, Erased, Release, Released
from comity.protocols.paxos.options import PaxosOptions
from comity.protocols.paxos.proposing import COLLECT_RESENDS
from comity.protocols.paxos.reading import Reads
from comity.protocols.paxos.slots import Phase
from comity.protocols.paxos.state import CLIENT, Timed
from comity.replica import NEVER, Cells, CoreContext, NodeId, RegisterSemantics


class Stage(enum.IntEnum):
    """How far the collection of a key is."""

    ROUND = 0
    RELEASE = 1
    ERASE = 2


class Collection(Timed):
    """One tombstone on its way out."""

    __slots__ = ("answered", "ballot", "item", "key", "resends", "stage")

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self.key = key
        self.stage = Stage.ROUND
        self.ballot: Ballot = (0, 0)
        self.item: Release | Erase | None = None
        self.answered: dict[NodeId, bool] = {}
        self.resends = 0


class CollectTimer(Timed):
    """Tombstones are old enough to be collected."""

    __slots__ = ()


class SweepTimer(Timed):
    """Registers are to be looked through for tombstones that nobody remembers."""

    __slots__ = ()


class Collecting(Reads):
    """The garbage collector of one replica: of tombstones it wrote, and of those it finds."""

    def __init__(
        self, context: CoreContext, options: PaxosOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.sweeping = context.stream("paxos.sweep")
        self.tombstones: dict[bytes, int] = {}
        """Keys to be collected, with the time from which on; nearly in the order of time."""
        self.collections: dict[bytes, Collection] = {}
        self.collect_timer = CollectTimer()
        self.sweep_timer = SweepTimer()
        self.sweep_position: tuple[int, bytes] = (0, b"")
        self.sweep_again = False
        self.fire[Collection] = self.collection_due
        self.fire[CollectTimer] = self.collect_due
        self.fire[SweepTimer] = self.sweep_due

    # -- which

    def tombstone_chosen(self, now_ns: int, key: bytes) -> None:
        """A round of this node left a key without a value."""
        self.remember_tombstone(now_ns, key, self.options.collect_ns)

    def remember_tombstone(self, now_ns: int, key: bytes, delay_ns: int) -> None:
        """Collect it after a while; where too many wait, the sweep will find it again."""
        if key in self.tombstones or key in self.collections:
            return
        if len(self.tombstones) >= self.options.max_tombstones:
            self.start_sweep(now_ns)
            return
        self.tombstones[key] = now_ns + delay_ns
        if self.collect_timer.due_ns > now_ns + delay_ns or self.collect_timer.due_ns < 0:
            self.arm(self.collect_timer, now_ns + delay_ns)

    def collect_due(self, now_ns: int, timer: CollectTimer) -> None:
        """Begin with those whose time has come, a bounded number at once."""
        room = self.options.collect_window - len(self.collections)
        due = [key for key, due_ns in self.tombstones.items() if due_ns <= now_ns][: max(room, 0)]
        for key in due:
            del self.tombstones[key]
            self.start_collection(now_ns, key)
        if self.tombstones:
            earliest = min(self.tombstones.values())
            self.arm(timer, max(earliest, now_ns + self.options.collect_ns // 8))

    def start_sweep(self, now_ns: int) -> None:
        """Look through all registers once, a few at a time."""
        if self.sweep_timer.due_ns == NEVER or self.sweep_timer.due_ns < 0:
            self.arm(self.sweep_timer, now_ns + self.options.sweep_ns)
        else:
            self.sweep_again = True

    def sweep_due(self, now_ns: int, timer: SweepTimer) -> None:
        """The next few. A key that was prepared and never written counts as removed too."""
        last: tuple[int, bytes] | None = None
        seen = 0
        for position, name, cell in self.cells.walk(self.sweep_position[0]):
            if (position, name) <= self.sweep_position:
                continue
            if seen == self.options.sweep_keys:
                break
            seen += 1
            last = (position, name)
            if name[:1] == CLIENT and self.is_tombstone(self.read_cell(cell)):
                if len(self.tombstones) < self.options.max_tombstones:
                    self.remember_tombstone(now_ns, name[1:], self.collect_again_ns())
                else:
                    self.sweep_again = True
        if last is not None:
            self.sweep_position = last
        elif not self.sweep_again:
            self.sweep_position = (0, b"")
            return
        else:
            self.sweep_again = False
            self.sweep_position = (0, b"")
        self.arm(timer, now_ns + self.options.sweep_ns)

    # -- one after the other

    def start_collection(self, now_ns: int, key: bytes) -> None:
        """Step 2a, where there still is a register and nobody needs the key. The round tells whether it is a
        tombstone: the own acceptor may lack it, where others made the quorum."""
        if self.cells.get(CLIENT + key) is None:
            return
        if not self.active:
            return  # the sweep that comes with the next view finds it
        slot = self.slots.get(key)
        if self.view_in_force.outgoing or slot is not None:
            self.remember_tombstone(now_ns, key, self.options.collect_ns)
            return
        self.collections[key] = Collection(key)
        slot = self.slot(key)
        slot.collect = True
        self.ready[key] = slot

    def collect_round_ended(self, now_ns: int, key: bytes, ballot: Ballot | None) -> None:
        """Step 2b begins once every acceptor holds the tombstone."""
        collection = self.collections.get(key)
        if collection is None or collection.stage is not Stage.ROUND:
            return
        if ballot is None:
            self.end_collection(now_ns, collection)
            return
        collection.ballot = ballot
        self.enter(now_ns, collection, Stage.RELEASE, Release(key, ballot))

    def enter(self, now_ns: int, collection: Collection, stage: Stage, item: Release | Erase) -> None:
        """The next step: everybody is asked, everybody has to answer."""
        collection.stage = stage
        collection.item = item
        collection.answered = {}
        collection.resends = 0
        self.arm(collection, now_ns + self.patience_ns())
        self.ask_everyone(now_ns, item)

    def on_release(self, now_ns: int, sender: NodeId, item: Release) -> None:
        """As a proposer."""
        self.answer(sender, Released(item.key, item.ballot, self.release(item.key, item.ballot)))

    def on_released(self, now_ns: int, sender: NodeId, item: Released) -> None:
        """A proposer is above the tombstone; once all are, it may be removed."""
        collection = self.collections.get(item.key)
        if collection is None or collection.stage is not Stage.RELEASE or collection.ballot != item.ballot:
            return
        if not item.free:
            self.end_collection(now_ns, collection)
            return
        collection.answered[sender] = True
        if self.has_everyone(collection.answered):
            self.enter(now_ns, collection, Stage.ERASE, Erase(item.key, item.ballot))

    def on_erased(self, now_ns: int, sender: NodeId, item: Erased) -> None:
        """An acceptor has removed it, or keeps it because somebody uses the key again."""
        collection = self.collections.get(item.key)
        if collection is None or collection.stage is not Stage.ERASE or collection.ballot != item.ballot:
            return
        if not item.gone:
            self.end_collection(now_ns, collection)
            return
        collection.answered[sender] = True
        if self.has_everyone(collection.answered):
            self.count("collected")
            self.end_collection(now_ns, collection)

    def end_collection(self, now_ns: int, collection: Collection) -> None:
        """Done, or to be tried again later if a tombstone is left here."""
        collection.due_ns = -1
        self.collections.pop(collection.key, None)
        slot = self.slots.get(collection.key)
        if slot is not None:
            slot.collect = False
            if slot.phase is Phase.IDLE and not slot.waiting:
                self.forget(slot)
        cell = self.cells.get(CLIENT + collection.key)
        if cell is not None and self.is_tombstone(self.read_cell(cell)):
            self.remember_tombstone(now_ns, collection.key, self.collect_again_ns())

    def collect_again_ns(self) -> int:
        """Random, for another replica may be at the same tombstone, and both would fail for ever."""
        return self.options.collect_ns * self.sweeping.between(8, 64) // 8

    def collection_due(self, now_ns: int, collection: Collection) -> None:
        """Somebody has not answered: a node that is down holds up the collection, and nothing else."""
        if collection.resends >= COLLECT_RESENDS or collection.item is None:
            self.end_collection(now_ns, collection)
            return
        collection.resends += 1
        missing = [node for node in self.voters if node not in collection.answered]
        self.ask(now_ns, missing, collection.item)
        self.arm(collection, now_ns + self.patience_ns() * 2)
