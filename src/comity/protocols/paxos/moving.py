"""Views: quorums of two configurations while keys move, and fencing by epoch (CASPaxos, section 2.3).

While a view has `outgoing` nodes every quorum is a majority of `nodes` and one of `outgoing`. Each replica
sees to it that every register it holds is chosen in such a joint quorum, by a read that becomes an identity
change where it has to; then the old nodes are needed no more.
"""

from __future__ import annotations

from comity.protocols.paxos.collecting import Collecting
from comity.protocols.paxos.messages import Survey, Surveyed
from comity.protocols.paxos.options import PaxosOptions
from comity.protocols.paxos.slots import Pending, Phase
from comity.protocols.paxos.state import CLIENT, SETTLED, WIPING, Timed
from comity.replica import (
    REASON_NOT_LEADER,
    Cells,
    CoreContext,
    NodeId,
    Refused,
    RegisterSemantics,
    Unknown,
    View,
)

WIPED_AT_ONCE = 4096


class Wiper(Timed):
    """Registers of an earlier membership are to be removed."""

    __slots__ = ()


class Mover(Timed):
    """The move of this replica's registers into the view in force.

    position: of the last key taken up. inflight: keys taken up and not known to be moved. walked: all were
    taken up. number: of the survey. heard: who has answered it.
    """

    __slots__ = ("heard", "inflight", "number", "position", "walked")

    def __init__(self, number: int) -> None:
        super().__init__()
        self.position: tuple[int, bytes] = (0, b"")
        self.inflight: dict[bytes, bool] = {}
        self.walked = False
        self.number = number
        self.heard: dict[NodeId, bool] = {}


class Moving(Collecting):
    """Adopting views."""

    def __init__(
        self, context: CoreContext, options: PaxosOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.mover: Mover | None = None
        self.moved = 0
        self.wiper = Wiper()
        self.fire[Mover] = self.mover_due
        self.fire[Wiper] = self.wiper_due

    @property
    def settled(self) -> int:
        """The highest epoch into which all registers of this replica have moved."""
        return self.settled_epoch

    # -- adopting

    def view(self, now_ns: int, view: View) -> None:
        """A view from the control group; an older one than the one in force is ignored."""
        if view.epoch <= self.epoch:
            return
        entering = self.enters(view)
        self.remember("view", now_ns, view.epoch, view.nodes, view.outgoing)
        self.view_in_force = view
        self.put_view()
        self.take_part()
        self.trips.keep(self.peers)
        self.paces = None
        self.drop_messages()
        self.mover = None
        if entering:
            self.wiping = view.epoch
            self.put_number(WIPING, view.epoch)
        if self.wiping:
            self.wiper_due(now_ns, self.wiper)
        if self.node not in self.voters:
            self.leave()
        self.restart_rounds(now_ns)
        self.begin_moving(now_ns)

    def enters(self, view: View) -> bool:
        """Whether this replica comes in anew. Then what it may hold from an earlier membership is of no use,
        and harmful: keys removed since are in it, and nobody else remembers that they were removed."""
        return self.node in view.nodes and bool(view.outgoing) and self.node not in view.outgoing

    def drop_messages(self) -> None:
        """What was said in the view before means nothing in this one."""
        self.asks_to_all, self.asks, self.answers = [], {}, {}
        self.asked_ns = {}
        self.own_answers = []
        self.gated_answers.clear()

    def restart_rounds(self, now_ns: int) -> None:
        """Promises and acceptances of the old quorums do not count in the new ones."""
        self.forget_promises()
        for collection in list(self.collections.values()):
            self.end_collection(now_ns, collection)
        for slot in list(self.slots.values()):
            slot.collect = slot.collecting = False
            self.requeue(slot)
            slot.waiting = type(slot.waiting)(
                pending for pending in slot.waiting if not pending.gone and pending.operation is not None
            )
            slot.losses = 0
            self.after_round(slot)
        for reading in list(self.readings.values()):
            self.end_reading(reading)
            for pending in reading.pendings:
                if not pending.gone and pending.operation is not None:
                    self.read_through_quorum(now_ns, reading.item.key, pending)

    def forget_promises(self) -> None:
        """The cached promises were of quorums of the view before."""
        self.cache.clear()

    def leave(self) -> None:
        """Not in the view: nobody here will get an answer from this replica."""
        pendings, self.pendings = self.pendings, {}
        for request, pending in pendings.items():
            pending.gone = True
            exposed = self.exposed(pending)
            outcome = Unknown("this replica left the keyspace") if exposed else self.not_here()
            self.reply(request, outcome)

    def not_here(self) -> Refused:
        """Why this replica takes no requests, and who does."""
        nodes = self.view_in_force.nodes
        others = ", ".join(str(node) for node in nodes) or "nobody yet"
        return Refused(
            REASON_NOT_LEADER,
            f"node {self.node} does not replicate this keyspace; ask one of: {others}",
            nodes[0] if nodes else 0,
        )

    def exposed(self, pending: Pending) -> bool:
        """Whether the operation may have been accepted somewhere: it was part of a change whose accepts
        left, or it is part of the round under way, in which others' replies may rest on it."""
        if pending.operation is None or not pending.operation.writes:
            return False
        if pending.tries:
            return True
        slot = self.slots.get(pending.operation.key)
        return (
            slot is not None
            and slot.phase is Phase.ACCEPT
            and any(other is pending for other, _ in slot.running)
        )

    # -- coming in anew

    def wiper_due(self, now_ns: int, timer: Wiper) -> None:
        """Remove registers of an earlier membership, a bounded number at once."""
        if not self.wiping:
            return
        names = []
        for _, name, _ in self.cells.walk():
            if name[:1] == CLIENT:
                names.append(name)
                if len(names) == WIPED_AT_ONCE:
                    break
        for name in names:
            self.put(name, None)
        if len(names) == WIPED_AT_ONCE:
            self.arm(timer, now_ns + 1)
            return
        self.wiping = 0
        self.put_number(WIPING, 0)
        self.tombstones.clear()
        self.known_chosen.clear()
        self.begin_moving(now_ns)

    # -- moving

    def begin_moving(self, now_ns: int) -> None:
        """Ask who is in the view, and take up the first keys; at once settled where nothing moves."""
        if self.settled_epoch >= self.epoch or not self.active:
            return
        self.start_sweep(now_ns)
        if not self.view_in_force.outgoing:
            self.settle()
            return
        if self.mover is None:
            self.mover = Mover(self.counter.draw())
            self.arm(self.mover, now_ns + self.patience_ns())
            self.ask_everyone(now_ns, Survey(self.mover.number))

    def begin(self, now_ns: int) -> None:
        """Keep the window of moving keys full."""
        mover = self.mover
        if mover is not None:
            if self.may_take_up(mover):
                self.take_up(now_ns, mover)
            if self.has_moved(mover):
                self.mover = None
                mover.due_ns = -1
                self.settle()
        super().begin(now_ns)

    def may_take_up(self, mover: Mover) -> bool:
        """Whether there are more keys, and half of the window is free."""
        return not mover.walked and len(mover.inflight) * 2 <= self.options.move_window

    def take_up(self, now_ns: int, mover: Mover) -> None:
        """The next keys that this replica holds."""
        keys: list[bytes] = []
        room = self.options.move_window - len(mover.inflight)
        mover.walked = True
        for position, name, _ in self.cells.walk(mover.position[0]):
            if (position, name) <= mover.position:
                continue
            if len(keys) == room:
                mover.walked = False
                break
            mover.position = (position, name)
            if name[:1] == CLIENT:
                keys.append(name[1:])
        for key in keys:
            mover.inflight[key] = True
            self.read_through_quorum(now_ns, key, Pending(0, None))

    def key_moved(self, now_ns: int, key: bytes) -> None:
        """It is chosen in a quorum of the view in force."""
        if self.mover is not None and self.mover.inflight.pop(key, False):
            self.moved += 1

    def has_moved(self, mover: Mover) -> bool:
        """All keys held when the view came are moved, and a quorum has adopted it: the view before can
        choose nothing any more, and what was removed in it is below this replica's floor."""
        return mover.walked and not mover.inflight and self.has_quorum(mover.heard)

    def settle(self) -> None:
        """Nothing of the view before is needed by this replica."""
        self.settled_epoch = self.epoch
        self.put_number(SETTLED, self.epoch)
        self.remember("settled", self.epoch)

    def on_surveyed(self, now_ns: int, sender: NodeId, item: Surveyed) -> None:
        """A replica is in the view in force."""
        if self.mover is not None and self.mover.number == item.number:
            self.mover.heard[sender] = True

    def mover_due(self, now_ns: int, mover: Mover) -> None:
        """Ask again who has not answered."""
        if mover is self.mover and not self.has_quorum(mover.heard):
            missing = [node for node in self.voters if node not in mover.heard]
            self.ask(now_ns, missing, Survey(mover.number))
            self.arm(mover, now_ns + self.options.retry_max_ns)
