"""The proposer's half of a replica: rounds that change a register (CASPaxos, section 2.2)."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import NamedTuple

from comity.protocols.paxos.ballots import NONE, Ballot
from comity.protocols.paxos.learner import Learner
from comity.protocols.paxos.messages import Accept, Accepted, Conflict, Prepare, Promised
from comity.protocols.paxos.options import BACKOFF_ROUNDS, PaxosOptions
from comity.protocols.paxos.proposer import Proposer
from comity.protocols.paxos.registers import (
    Register,
    decode_register,
    encode_register,
    mark_of,
    marked,
    readable,
)
from comity.protocols.paxos.slots import Pending, Phase, Slot, Try
from comity.protocols.paxos.telling import Telling
from comity.protocols.paxos.tokens import token_after
from comity.replica import Answered, Cells, CoreContext, NodeId, RegisterSemantics, RequestId, Unknown

COLLECT_RESENDS = 3


class Cached(NamedTuple):
    """A quorum accepted `value` in this node's last ballot on the key and promised `following`: a prepare of
    it would find exactly this value, for nobody of that quorum can have accepted anything since without
    breaking the promise."""

    following: int
    value: bytes


class Proposing(Telling):
    """Rounds, one at a time for each key, each for all operations that wait for it."""

    def __init__(
        self, context: CoreContext, options: PaxosOptions, cells: Cells, semantics: RegisterSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.backoff = context.stream("paxos.backoff")
        self.slots: dict[bytes, Slot] = {}
        self.ready: dict[bytes, Slot] = {}
        """Keys whose next round may start at the end of this turn."""
        self.pendings: dict[RequestId, Pending] = {}
        """Operations of clients that have no outcome yet."""
        self.cache: dict[bytes, Cached] = {}
        """Used least recently first."""
        self.fire[Slot] = self.slot_due

    # -- what other layers want of rounds

    def key_moved(self, now_ns: int, key: bytes) -> None:
        """The identity change of a key that was to move is chosen."""
        raise NotImplementedError

    def tombstone_chosen(self, now_ns: int, key: bytes) -> None:
        """A round left a key without a value."""
        raise NotImplementedError

    def collect_round_ended(self, now_ns: int, key: bytes, ballot: Ballot | None) -> None:
        """The round that replicates a tombstone is over: every acceptor holds it under `ballot`, or None."""
        raise NotImplementedError

    # -- waiting

    def slot(self, key: bytes) -> Slot:
        """The key's slot, made where there is none."""
        slot = self.slots.get(key)
        if slot is None:
            slot = self.slots[key] = Slot(key)
        return slot

    def enqueue(self, now_ns: int, key: bytes, pending: Pending) -> None:
        """To be run in the key's next round. The collection of its tombstone gives way."""
        slot = self.slot(key)
        slot.waiting.append(pending)
        if slot.phase is Phase.IDLE:
            self.ready[key] = slot
        elif slot.collecting:
            self.end_collecting(now_ns, slot, None)

    def begin(self, now_ns: int) -> None:
        """Start a round for every key that waits and has none."""
        while self.ready:
            ready, self.ready = self.ready, {}
            for slot in ready.values():
                if slot.phase is Phase.IDLE and self.slots.get(slot.key) is slot:
                    self.start_round(now_ns, slot)

    def start_round(self, now_ns: int, slot: Slot) -> None:
        """Phase 1, unless a quorum has promised this node's next ballot already."""
        if not slot.wanted():
            self.forget(slot)
            return
        slot.collecting = not slot.waiting
        slot.resends = 0
        slot.interval_ns = self.patience_ns()
        cached = self.cache.pop(slot.key, None)
        if cached is not None and not slot.collecting:
            slot.skipped_prepare = True
            slot.proposer = Proposer((cached.following, self.node), self.accept_quorum)
            self.propose(now_ns, slot, slot.proposer, cached.value)
            return
        slot.skipped_prepare = False
        counter = self.counter.draw()
        slot.proposer = Proposer((counter, self.node), self.has_quorum)
        slot.phase = Phase.PREPARE
        slot.item = Prepare(slot.key, counter)
        self.arm(slot, now_ns + slot.interval_ns)
        self.ask_everyone(now_ns, slot.item)

    def forget(self, slot: Slot) -> None:
        """Nothing waits for this key any more."""
        if self.slots.get(slot.key) is slot:
            del self.slots[slot.key]
        slot.phase = Phase.IDLE
        slot.proposer = None
        slot.due_ns = -1

    # -- phase 1

    def on_promised(self, now_ns: int, sender: NodeId, item: Promised) -> None:
        """An acceptor promised; with a quorum of promises the value found is known."""
        slot = self.slots.get(item.key)
        if slot is None or slot.phase is not Phase.PREPARE or slot.proposer is None:
            return
        proposer = slot.proposer
        if proposer.ballot[0] != item.counter:
            return
        if not readable(item.value) or item.accepted >= proposer.ballot:
            self.drop(sender, item, "impossible promise")
            return
        if proposer.promise(sender, item.accepted, item.value):
            self.propose(now_ns, slot, proposer, self.base_of(proposer))

    def base_of(self, proposer: Proposer) -> bytes | None:
        """What to build on: the value with the highest ballot among the promises (P2c)."""
        return proposer.found()[1]

    # -- phase 2

    def accept_quorum(self, nodes: Collection[NodeId]) -> bool:
        """Whether a value accepted by these nodes is chosen."""
        return self.has_quorum(nodes)

    def propose(self, now_ns: int, slot: Slot, proposer: Proposer, base: bytes | None) -> None:
        """Change the value found, and have the result accepted."""
        register = decode_register(base)
        if slot.collecting:
            if register.value is not None:
                self.end_collecting(now_ns, slot, None)
                return
            after, following = register, 0
            proposer.learner = Learner(self.collect_quorum)
        else:
            after = self.evaluate(slot, proposer.ballot[0], register)
            if not slot.running:
                self.after_round(slot)
                return
            following = self.counter.draw()
            proposer.learner = Learner(self.accept_quorum)
        slot.removed = after.value is None
        value = base if after is register and base is not None else encode_register(after)
        proposer.propose(value, (following, self.node) if following else NONE)
        slot.phase = Phase.ACCEPT
        slot.item = Accept(slot.key, proposer.ballot[0], following, value)
        slot.interval_ns = self.patience_ns()
        self.arm(slot, now_ns + slot.interval_ns)
        self.ask_everyone(now_ns, slot.item)

    def collect_quorum(self, nodes: Collection[NodeId]) -> bool:
        """A tombstone that is to be removed must be at every acceptor (section 3.1, step 2a)."""
        return self.has_everyone(nodes)

    def evaluate(self, slot: Slot, counter: int, register: Register) -> Register:
        """Run what waits on the value found, in order; `slot.running` has the replies.

        An operation may have been run before, in a ballot of which nobody knows whether it counts. The
        register tells: where its marks lead to that ballot, the operation is in its history, once, and keeps
        the reply it had there; otherwise it is not, and is run now. So every possible history has it at most
        once, whichever of the ballots will turn out to be chosen.
        """
        if slot.tries and not any(pending.tries for pending in slot.waiting if not pending.gone):
            slot.tries = {}  # nobody is left whose outcome depends on them
        mark = mark_of(register.marks, self.node)
        history = slot.lineage(mark) if slot.tries else []
        running: list[tuple[Pending, bytes]] = []
        again: list[tuple[Pending, bytes]] = []
        value = register.value
        now_ms = self.context.wall_ms()
        waiting = slot.waiting
        while waiting and (waiting[0].tries or len(running) < self.options.max_round_operations):
            pending = waiting.popleft()
            if pending.gone:
                continue
            operation = pending.operation
            if operation is None:
                running.append((pending, b""))
                continue
            reply = None
            if pending.tries:
                reply = self.reply_in(pending, history)
                if reply is None and self.undecidable(pending, slot):
                    self.outcome_unknown(
                        pending, "a change proposed before the replicas changed is undecided"
                    )
                    continue
            if reply is None:
                value, reply = self.semantics.change(operation.payload, value, now_ms)
                again.append((pending, reply))
            running.append((pending, reply))
        slot.running = running
        if value == register.value:
            return register  # nothing changed, so nothing could be done twice
        slot.tries[counter] = Try(mark)
        for pending, reply in again:
            pending.tries[counter] = reply
            pending.epoch = self.epoch
        return Register(value, marked(register.marks, self.node, counter, self.voters))

    def reply_in(self, pending: Pending, history: Sequence[int]) -> bytes | None:
        """The reply the operation has in this history, None where it is not part of it."""
        for counter in history:
            reply = pending.tries.get(counter)
            if reply is not None:
                return reply
        return None

    def undecidable(self, pending: Pending, slot: Slot) -> bool:
        """Whether marks cannot tell: those of nodes that left the view are forgotten, and whether this node
        was out meanwhile it cannot know; or there are too many of its own proposals to follow."""
        if not pending.tries:
            return False
        return pending.epoch != self.epoch or len(slot.tries) >= self.options.max_tries

    def on_accepted(self, now_ns: int, sender: NodeId, item: Accepted) -> None:
        """An acceptor accepted; with a quorum the value is chosen."""
        slot = self.slots.get(item.key)
        if slot is None or slot.phase is not Phase.ACCEPT or slot.proposer is None:
            return
        if slot.proposer.ballot[0] == item.counter and slot.proposer.accepted(sender, item.promised):
            self.finish(now_ns, slot, slot.proposer)

    def finish(self, now_ns: int, slot: Slot, proposer: Proposer) -> None:
        """The value is chosen: tell who waited for it."""
        key, ballot = slot.key, proposer.ballot
        self.count("rounds")
        self.count("one_round_trip" if slot.skipped_prepare else "two_round_trips")
        self.note_chosen(key, ballot)
        if slot.collecting:
            self.end_collecting(now_ns, slot, ballot)
            return
        if self.may_cache(proposer) and proposer.value is not None:
            self.remember_cached(key, Cached(proposer.following[0], proposer.value))
        self.tell_chosen(now_ns, key, ballot)
        running, slot.running = slot.running, []
        for pending, reply in running:
            self.succeed(now_ns, key, pending, reply, ballot)
        slot.tries = {}
        slot.losses = 0
        if slot.removed:
            self.tombstone_chosen(now_ns, key)
        self.after_round(slot)

    def succeed(self, now_ns: int, key: bytes, pending: Pending, reply: bytes, ballot: Ballot) -> None:
        """The operation took effect, or (of a read) was answered from a chosen value."""
        if pending.gone:
            return
        if pending.operation is None:
            self.key_moved(now_ns, key)
            return
        self.pendings.pop(pending.request, None)
        pending.tries = {}
        token = token_after(pending.operation.token, key, ballot)
        self.reply(pending.request, Answered(reply, token))

    def outcome_unknown(self, pending: Pending, why: str) -> None:
        """It may have happened."""
        pending.gone = True
        if self.pendings.pop(pending.request, None) is not None:
            self.reply(pending.request, Unknown(why))

    def after_round(self, slot: Slot) -> None:
        """What came meanwhile is run next."""
        slot.phase = Phase.IDLE
        slot.proposer = None
        slot.item = None
        slot.due_ns = -1
        if slot.waiting or slot.collect:
            self.ready[slot.key] = slot
        else:
            self.forget(slot)

    def end_collecting(self, now_ns: int, slot: Slot, ballot: Ballot | None) -> None:
        """The round that replicates a tombstone is over."""
        slot.collect = False
        slot.collecting = False
        self.after_round(slot)
        self.collect_round_ended(now_ns, slot.key, ballot)

    # -- the next ballot's promise

    def may_cache(self, proposer: Proposer) -> bool:
        """Whether a quorum both accepted this value and promised the next ballot."""
        return proposer.holds_next()

    def remember_cached(self, key: bytes, cached: Cached) -> None:
        """The least recently used goes first."""
        self.cache[key] = cached
        if len(self.cache) > self.options.max_cached:
            del self.cache[next(iter(self.cache))]

    def overtaken(self, key: bytes) -> None:
        """Asking anew costs one round trip, learning from conflicts that the promise was broken another."""
        self.cache.pop(key, None)

    # -- losing

    def on_conflict(self, now_ns: int, sender: NodeId, item: Conflict) -> None:
        """An acceptor has promised a higher ballot: the next one goes above it."""
        self.counter.jump(item.promise[0])
        slot = self.slots.get(item.key)
        if slot is None:
            return
        if item.clean:
            self.note_clean(slot, sender, item.counter)
        proposer = slot.proposer
        if proposer is None or proposer.ballot[0] != item.counter:
            return
        if slot.phase is Phase.PREPARE or slot.phase is Phase.ACCEPT:
            proposer.refuse(sender)
            if slot.collecting or proposer.hopeless(self.voters):
                self.lose(now_ns, slot)

    def note_clean(self, slot: Slot, sender: NodeId, counter: int) -> None:
        """One acceptor less that may have accepted the change. Once it is none, it never happened."""
        attempt = slot.tries.get(counter)
        if attempt is None:
            return
        attempt.clean[sender] = True
        if not self.has_everyone(attempt.clean):
            return
        del slot.tries[counter]
        for pending in itertools.chain(slot.waiting, (pending for pending, _ in slot.running)):
            pending.tries.pop(counter, None)

    def lose(self, now_ns: int, slot: Slot) -> None:
        """Too few are left for a quorum: another proposer is at this key. Stand back for a random time, so
        that one of them gets through; at once where only the counter was too low."""
        self.count("conflicts")
        if slot.collecting:
            self.end_collecting(now_ns, slot, None)
            return
        too_low = slot.phase is Phase.PREPARE and slot.losses == 0
        slot.losses += 1
        self.requeue(slot)
        if too_low:
            self.after_round(slot)
            return
        self.count("backoffs")
        slot.phase = Phase.BACKOFF
        self.arm(slot, now_ns + self.backoff_ns(slot.losses))

    def backoff_ns(self, losses: int) -> int:
        """Randomised and doubling, so that duelling proposers part ("Paxos Made Simple", 2.4). From the
        second loss on in keeping with the round trips a rival needs, or it would be disturbed again before
        it is through; the first may only mean that one has been here since."""
        options = self.options
        trip_ns = min(self.quorum_trip_ns(), options.retry_max_ns) if losses > 1 else 0
        least = max(options.backoff_ns, trip_ns)
        most = max(options.backoff_max_ns, min(BACKOFF_ROUNDS * trip_ns, options.retry_max_ns))
        longest = min(most, least << min(losses - 1, 32))
        return self.backoff.between(longest // 4, longest)

    def requeue(self, slot: Slot) -> None:
        """What ran in the failed round goes first in the next."""
        slot.waiting.extendleft(pending for pending, _ in reversed(slot.running))
        slot.running = []
        slot.proposer = None
        slot.item = None

    # -- time

    def slot_due(self, now_ns: int, slot: Slot) -> None:
        """A back-off is over, or answers are missing."""
        if slot.phase is Phase.BACKOFF:
            slot.phase = Phase.IDLE
            self.ready[slot.key] = slot
            return
        proposer = slot.proposer
        if proposer is None or slot.item is None:
            return
        if not slot.wanted():
            self.forget(slot)
            return
        slot.resends += 1
        if slot.collecting and slot.resends > COLLECT_RESENDS:
            self.end_collecting(now_ns, slot, None)
            return
        heard = proposer.promises if slot.phase is Phase.PREPARE else proposer.learner.accepted
        missing = [node for node in self.voters if node not in heard and node not in proposer.refused]
        if proposer.refused:
            # Who has refused takes this ballot no more; who has not answered may be gone for good, but is
            # given the time it usually takes.
            more_ns = max(map(self.trips.timeout_ns, missing), default=0) - slot.interval_ns
            if slot.resends == 1 and more_ns > 0:
                self.arm(slot, now_ns + min(more_ns, self.options.retry_max_ns))
            else:
                self.lose(now_ns, slot)
            return
        self.count("resends")
        self.ask(now_ns, missing, slot.item)
        slot.interval_ns = min(slot.interval_ns * 2, self.options.retry_max_ns)
        self.arm(slot, now_ns + slot.interval_ns)

    # -- removal elsewhere

    def release(self, key: bytes, ballot: Ballot) -> bool:
        """The key's tombstone is about to be removed: forget the cached promise, go above its ballot. Whether
        no change of this node to the key is undecided, for the marks that would decide it go with it."""
        self.cache.pop(key, None)
        self.counter.jump(ballot[0])
        slot = self.slots.get(key)
        return slot is None or not slot.tries
