"""One replica of one keyspace under CASPaxos: the layers put together, and the doors to the outside.

The layers, from the ground up: `state.Replica`, `accepting.Accepting`, `telling.Telling`,
`proposing.Proposing`, `reading.Reads`, `collecting.Collecting`, `moving.Moving`. README.md says which rule of
the papers is kept by which method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from comity.protocols.paxos import invariants
from comity.protocols.paxos.messages import (
    Accept,
    Accepted,
    Answer,
    Answers,
    Ask,
    Asks,
    Conflict,
    Erase,
    Erased,
    Learn,
    Peek,
    Peeked,
    Prepare,
    Promised,
    Release,
    Released,
    Stale,
    Survey,
    Surveyed,
)
from comity.protocols.paxos.moving import Moving
from comity.protocols.paxos.options import PaxosOptions
from comity.protocols.paxos.slots import Pending
from comity.replica import (
    CAUSAL,
    EVENTUAL,
    LINEARIZABLE,
    REASON_BUSY,
    REASON_INVALID,
    REASON_OVERLOADED,
    SEQUENTIAL,
    SESSION,
    Cells,
    CoreContext,
    Effects,
    KeyOperation,
    NodeId,
    Refused,
    RegisterSemantics,
    RequestId,
    Send,
    Unknown,
)

LEVELS = (LINEARIZABLE, SEQUENTIAL, CAUSAL, SESSION, EVENTUAL)
"""What can be asked for. The two in the middle are served as linearizable, which is both."""


class PaxosCore(Moving):
    """A complete CASPaxos replica (Rystsov, "CASPaxos", 2018; Lamport, "Paxos Made Simple", 2001).

    Raises `UnusableRecord` at construction where its bookkeeping cannot be read.
    """

    def __init__(
        self, context: CoreContext, options: PaxosOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.asked: dict[type, Callable[[int, NodeId, Any], None]] = {
            Prepare: self.on_prepare,
            Accept: self.on_accept,
            Peek: self.on_peek,
            Learn: self.on_learn,
            Release: self.on_release,
            Erase: self.on_erase,
            Survey: self.on_survey,
        }
        self.heard: dict[type, Callable[[int, NodeId, Any], None]] = {
            Promised: self.on_promised,
            Accepted: self.on_accepted,
            Conflict: self.on_conflict,
            Peeked: self.on_peeked,
            Released: self.on_released,
            Erased: self.on_erased,
            Surveyed: self.on_surveyed,
        }

    # -- life

    def start(self, now_ns: int) -> None:
        """Set ballots aside, adopt the view given, or go on with the one stored."""
        self.remember("start", now_ns, self.epoch, self.counter.value, self.floor)
        if self.context.view.epoch > self.epoch:
            self.view(now_ns, self.context.view)
        elif self.epoch:
            if self.wiping:
                self.wiper_due(now_ns, self.wiper)
            self.begin_moving(now_ns)
            self.start_sweep(now_ns)
        self.reserve_ballots()
        self.set_deadline()

    def wake(self, now_ns: int) -> None:
        """Carry out what is due."""
        self.fire_due(now_ns)
        self.set_deadline()

    def take(self, now_ns: int) -> Effects:
        """Close the batch of this turn: start rounds and reads, one message a peer."""
        self.begin(now_ns)
        self.hear_own_answers(now_ns)
        self.reserve_ballots()
        self.flush(now_ns)
        self.set_deadline()
        return self.close_turn()

    @property
    def busy(self) -> bool:
        """Whether `take` has anything to do or to hand over."""
        return bool(
            self.dirty
            or self.ready
            or self.fresh_reads
            or self.own_answers
            or self.asks_to_all
            or self.asks
            or self.answers
            or self.effects
            or (self.mover is not None and (self.has_moved(self.mover) or self.may_take_up(self.mover)))
        )

    # -- clients

    def execute(self, now_ns: int, request: RequestId, operation: KeyOperation) -> None:
        """Writes join the key's next round; reads take the cheapest way their level allows."""
        refusal = self.refusal(operation)
        if refusal is not None:
            self.reply(request, refusal)
            return
        if not operation.writes:
            answered = self.read_here(operation.key, operation)
            if answered is not None:
                self.reply(request, answered)
                return
        if len(self.pendings) >= self.options.max_waiting:
            self.count("refused")
            self.reply(
                request,
                Refused(
                    REASON_OVERLOADED, f"{len(self.pendings)} operations wait here already; try again later"
                ),
            )
            return
        pending = Pending(request, operation)
        self.pendings[request] = pending
        if operation.writes:
            self.enqueue(now_ns, operation.key, pending)
        else:
            self.read_through_quorum(now_ns, operation.key, pending)

    def refusal(self, operation: KeyOperation) -> Refused | None:
        """Why this replica does not take the operation, None where it does."""
        if self.node not in self.voters:
            return self.not_here()
        if self.wiping:
            return Refused(REASON_BUSY, "this replica is just coming in; ask another or try again later")
        if operation.level not in LEVELS:
            return Refused(
                REASON_INVALID,
                f"paxos has no level {operation.level!r}; it has {', '.join(LEVELS)}",
            )
        return None

    def abandon(self, now_ns: int, request: RequestId) -> Refused | Unknown:
        """The deadline has passed. Refused only where certainly nothing was accepted anywhere."""
        pending = self.pendings.pop(request, None)
        if pending is None:
            return Unknown("this replica knows nothing of the request")
        pending.gone = True
        if self.may_have_happened(pending):
            return Unknown("the change was proposed, and no quorum of replicas has answered in time")
        return Refused(REASON_BUSY, "no quorum of replicas has answered in time")

    def may_have_happened(self, pending: Pending) -> bool:
        """Whether an abandoned operation may have taken effect, or may yet."""
        return self.exposed(pending)

    # -- peers and disk

    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        """A message from a peer: fenced by its epoch, then item by item."""
        kind = type(message)
        if kind is Stale:
            self.on_stale(sender, message)
        elif kind is not Asks and kind is not Answers:
            self.drop(sender, message, "not a message of paxos")
        elif sender == self.node or sender < 1:
            self.drop(sender, message, "impossible sender")
        elif (later := self.compare_epochs(message.epoch)) < 0:
            self.count("stale")
            if kind is Asks:
                self.effects.send.append(Send(sender, Stale(self.epoch)))
        elif later > 0:
            self.behind = max(self.behind, message.epoch)
            self.count("too_new")  # it will be asked again when the view has come here too
        elif sender not in self.voters:
            self.drop(sender, message, "not in the view")
        elif self.active:
            self.raise_floor(message.floor)
            if kind is Asks:
                if message.sent_ns:
                    self.asked_ns.setdefault(sender, message.sent_ns)
                asked = self.asked
                for ask in message.items:
                    asked[type(ask)](now_ns, sender, ask)
            else:
                if message.sent_ns:
                    self.note_trip(sender, now_ns - message.sent_ns)
                heard = self.heard
                for answer in message.items:
                    heard[type(answer)](now_ns, sender, answer)

    def compare_epochs(self, epoch: int) -> int:
        """Whether a message is of an older view (below 0): its quorums may not meet those of this one; of the
        same (0); or of a later one."""
        return epoch - self.epoch

    def on_stale(self, sender: NodeId, message: Stale) -> None:
        """A peer is in a newer view. The control group will give it here too; questions are repeated until
        then, at the pace of unanswered ones."""
        if message.epoch > self.epoch:
            self.behind = max(self.behind, message.epoch)
            self.context.note("paxos.behind", sender=sender, epoch=message.epoch)

    def serve(self, now_ns: int, sender: NodeId, item: Ask) -> None:
        """Answer what a proposer, maybe this one, asks of this replica."""
        self.asked[type(item)](now_ns, sender, item)

    def hear(self, now_ns: int, sender: NodeId, item: Answer) -> None:
        """An answer to what this replica asked, maybe its own."""
        self.heard[type(item)](now_ns, sender, item)

    def persisted(self, now_ns: int, writes: int) -> None:
        """Writes are durable: own promises and acceptances count."""
        self.note_durable(now_ns, writes)
        self.set_deadline()

    # -- looking inside

    def check(self) -> None:
        """Audit every invariant that can be seen without walking the registers."""
        invariants.check(self)

    def status(self) -> Mapping[str, Any]:
        """For people and dashboards."""
        counts = self.counts
        rounds = counts.get("rounds", 0)
        view = self.view_in_force
        return {
            "role": "replica" if self.active else "joining" if self.wiping else "spare",
            "ballot": self.counter.value,
            "leader": 0,
            "epoch": view.epoch,
            "members": {"nodes": list(view.nodes), "outgoing": list(view.outgoing)},
            "settled": self.settled_epoch,
            "behind": self.behind,
            "moved": self.moved,
            "keys": len(self.cells),
            "round_trip_ns": self.quorum_trip_ns(),
            "floor": self.floor,
            "waiting": len(self.pendings),
            "keys_waiting": len(self.slots),
            "reading": len(self.readings),
            "rounds": rounds,
            "one_round_trip_share": round(counts.get("one_round_trip", 0) / rounds, 4) if rounds else 0.0,
            "cached": len(self.cache),
            "conflicts": counts.get("conflicts", 0),
            "backoffs": counts.get("backoffs", 0),
            "tombstones": len(self.tombstones) + len(self.collections),
            "counts": dict(sorted(counts.items())),
            "dropped": dict(sorted(self.dropped.items())),
        }
