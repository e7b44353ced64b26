"""Coordinating clients' operations: ABD's two phases, Dynamo's one.

Linearizable (Attiya, Bar-Noy, Dolev 1995; with several writers: Lynch & Shvartsman 1997): a write asks a read
quorum for the highest tag, then stores the value under a higher one at a write quorum; a read collects from a
read quorum, and before it answers makes sure that the highest copy is at a write quorum.

Session and eventual: a write stores under a time of this node's clock, later than all its session has seen; a
read takes what R replicas tell. A session's read writes back as well, but only where replicas disagree, and
meets every write quorum: so what a session has seen is at a write quorum, and a token of one hybrid time is
enough, whatever node the session goes on at.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from comity.protocols.quorum.arithmetic import SIBLINGS, Quorums, lowered, quorum_promise
from comity.protocols.quorum.messages import Ask, Store
from comity.protocols.quorum.phases import Part, Pending, Phase
from comity.protocols.quorum.repair import Repair
from comity.protocols.quorum.versions import MAX_STAMP, NOTHING, Copy, decode_copy, encode_copy
from comity.replica import (
    EVENTUAL,
    LINEARIZABLE,
    NEVER,
    REASON_BUSY,
    REASON_INVALID,
    REASON_OVERLOADED,
    SESSION,
    Answered,
    KeyOperation,
    NodeId,
    Refused,
    RequestId,
    Unknown,
)

ATOMIC_ELSEWHERE = "raft, paxos, chain and primary-backup keyspaces can"
TOKEN_BYTES = 8
REMEMBERED_REFUSALS = 256


class Operations(Repair):
    """Phases of operations, from the request to the reply."""

    def prepare_operations(self) -> None:
        """Nothing is under way."""
        self.pending: dict[RequestId, Pending] = {}
        self.phases: dict[int, Pending] = {}
        self.resends: deque[tuple[int, int]] = deque()
        """(when, phase), in the order of time."""

    # -- the door

    def execute(self, now_ns: int, request: RequestId, operation: KeyOperation) -> None:
        """Begin an operation, or say why not."""
        refusal = self.refusal(operation)
        if refusal is not None:
            self.count("refused")
            self.reply(request, refusal)
            return
        pending = Pending(request, operation, int.from_bytes(operation.token, "big"), begun=now_ns)
        if operation.writes:
            now_ms = self.stamps.now_ms(0)
            pending.value, pending.reply = self.semantics.change(operation.payload, None, now_ms)
            if not self.semantics.blind(operation.payload):
                if pending.value is not None:
                    self.refuse(request, self.not_atomic())
                    return
                pending.removes = True
        self.pending[request] = pending
        if not operation.writes or self.asks_before_writing(pending):
            values = not operation.writes or pending.removes or self.options.conflicts == SIBLINGS
            self.begin_asking(now_ns, pending, values)
        else:
            self.begin_writing(now_ns, pending, self.copy_of(operation.key))

    def refusal(self, operation: KeyOperation) -> Refused | None:
        """Why this operation cannot be carried out as asked; None if it can."""
        if not self.in_force.nodes:
            return Refused(REASON_BUSY, "this keyspace has no view yet: try again")
        if len(self.pending) >= self.options.max_pending:
            return Refused(
                REASON_OVERLOADED, f"this node coordinates {self.options.max_pending} operations already"
            )
        if operation.token:
            seen = int.from_bytes(operation.token, "big")
            if len(operation.token) != TOKEN_BYTES or seen > MAX_STAMP:
                return Refused(REASON_INVALID, "not a token of a quorum keyspace: begin the session anew")
            if not self.plausible(seen):
                return Refused(
                    REASON_INVALID,
                    "the session's token is from a clock far ahead of this node's: check clocks, or begin "
                    "anew",
                )
        level = operation.level
        if level not in {LINEARIZABLE, SESSION, EVENTUAL}:
            return Refused(
                REASON_INVALID,
                f"quorum replicates each key by itself and cannot order keys as {level} wants: "
                f"{LINEARIZABLE} implies it and {SESSION} is the next weaker level here; raft keyspaces have "
                "sequential, gossip keyspaces causal",
            )
        if not self.placement.everywhere:
            return self.beyond_promise(operation)
        asked = (level, operation.read_quorum, operation.write_quorum)
        refusals = self.placement.refusals
        if asked not in refusals:
            if len(refusals) >= REMEMBERED_REFUSALS:
                refusals.clear()
            refusals[asked] = self.beyond_promise(operation)
        return refusals[asked]

    def beyond_promise(self, operation: KeyOperation) -> Refused | None:
        """Whether the replicas of its key cannot give what it asks for."""
        options = self.options
        level = operation.level
        for nodes, quorums in self.placement.lists(operation.key):
            if level != EVENTUAL and options.sloppy:
                return Refused(REASON_INVALID, f"sloppy quorums keep {EVENTUAL} only: strict ones would do")
            if level == LINEARIZABLE:
                promise = quorum_promise(quorums.n, quorums.r, quorums.w, options.sloppy, options.conflicts)
                if promise.level != LINEARIZABLE:
                    return Refused(REASON_INVALID, f"not {level}: {'; '.join(promise.reasons)}")
            reason = lowered(quorums, level, operation.read_quorum, operation.write_quorum)
            if reason:
                return Refused(REASON_INVALID, f"{reason} (replicas {', '.join(map(str, nodes))})")
        return None

    def not_atomic(self) -> Refused:
        """A read-modify-write: nothing in ABD keeps two from overtaking one another."""
        return Refused(
            REASON_INVALID,
            "this command's outcome depends on the value before it, and read-modify-write is not atomic over "
            f"quorums: {ATOMIC_ELSEWHERE}",
        )

    def refuse(self, request: RequestId, outcome: Refused) -> None:
        """Not done."""
        self.pending.pop(request, None)
        self.count("refused")
        self.reply(request, outcome)

    # -- the rules

    def read_need(self, quorums: Quorums, operation: KeyOperation) -> int:
        """Of one list, how many answers: at session and linearizable never fewer than meet every write."""
        need = operation.read_quorum or quorums.r
        return need if operation.level == EVENTUAL else max(need, quorums.meeting_read)

    def write_need(self, quorums: Quorums, operation: KeyOperation) -> int:
        """Of one list, how many acknowledgements."""
        return operation.write_quorum or quorums.w

    def lists_of(self, key: bytes) -> list[tuple[tuple[NodeId, ...], Quorums]]:
        """Where quorums are needed: in both memberships while a view has outgoing nodes."""
        return self.placement.lists(key)

    def asks_before_writing(self, pending: Pending) -> bool:
        """Whether a write has to know what there is: for a tag above all (ABD), for the reply of a removal,
        or for a causal context where this node holds no copy."""
        operation = pending.operation
        if operation.level == LINEARIZABLE or pending.removes:
            return True
        return self.options.conflicts == SIBLINGS and self.node not in self.placement.holders(operation.key)

    def must_write_back(self, pending: Pending, phase: Phase, copy: Copy) -> bool:
        """Whether a read has yet to make sure that no later read finds less (ABD)."""
        return pending.operation.level != EVENTUAL and not self.at_write_quorum(pending, phase, copy)

    def at_write_quorum(self, pending: Pending, phase: Phase, copy: Copy) -> bool:
        """Whether a write quorum of each membership has told that it holds this copy, durably. That all of a
        read quorum do is not enough where R < W."""
        if not copy.entries:
            return True
        holding = phase.holding(copy)
        return all(
            sum(1 for node in nodes if node in holding) >= self.write_need(quorums, pending.operation)
            for nodes, quorums in self.lists_of(pending.operation.key)
        )

    def stamp_after(self, pending: Pending, seen: Copy) -> int:
        """A time above all that the operation and its session have seen."""
        return self.stamps.next(max(seen.tag[0], self.session_time(pending)))

    def session_time(self, pending: Pending) -> int:
        """Writes of a session follow what it has seen."""
        return pending.token

    # -- phases

    def begin_asking(self, now_ns: int, pending: Pending, values: bool) -> None:
        """Ask all replicas, wait for R."""
        operation = pending.operation
        parts = [
            Part(nodes, self.read_need(quorums, operation)) for nodes, quorums in self.lists_of(operation.key)
        ]
        self.begin(now_ns, pending, Phase(self.next_number(), parts, None, values, {}, {}))

    def begin_writing(self, now_ns: int, pending: Pending, seen: Copy) -> None:
        """A new tag; from here on the write may happen."""
        stamp = self.stamp_after(pending, seen)
        copy = self.resolver.write(seen, self.node, stamp, pending.value)
        pending.writing = True
        pending.answer = pending.reply
        pending.token = max(pending.token, stamp)
        self.begin_storing(now_ns, pending, copy, [])

    def begin_storing(self, now_ns: int, pending: Pending, copy: Copy, holding: list[NodeId]) -> None:
        """Store at all replicas that do not hold it yet, wait for W."""
        operation = pending.operation
        parts = [
            Part(nodes, self.write_need(quorums, operation))
            for nodes, quorums in self.lists_of(operation.key)
        ]
        answers: dict[NodeId, Copy | None] = dict.fromkeys(holding)
        cell = encode_copy(copy)
        self.begin(now_ns, pending, Phase(self.next_number(), parts, cell, False, answers, {}))

    def begin(self, now_ns: int, pending: Pending, phase: Phase) -> None:
        """Send a phase to its replicas."""
        if pending.phase is not None:
            self.phases.pop(pending.phase.number, None)
        pending.phase = phase
        self.phases[phase.number] = pending
        due_ns = now_ns + self.options.retry_ns
        self.resends.append((due_ns, phase.number))
        self.deadline_ns = min(self.deadline_ns, due_ns)
        self.ask_members(now_ns, pending, phase)

    def ask_members(self, now_ns: int, pending: Pending, phase: Phase) -> None:
        """To every replica that has not answered; in sloppy quorums to who stands in for a suspected one."""
        key = pending.operation.key
        spare: list[NodeId] | None = None
        item = self.item(phase, key, 0)
        answers, sloppy = phase.answers, self.options.sloppy
        for node in phase.members():
            if node in answers:
                continue
            self.request(now_ns, node, item)
            if sloppy and node in self.suspected and node not in phase.stands_for.values():
                if spare is None:
                    spare = [
                        other
                        for other in self.placement.beyond(key)
                        if other not in self.suspected and other not in phase.stands_for
                    ]
                if spare:
                    phase.stands_for[spare.pop(0)] = node
        for other, node in phase.stands_for.items():
            if node not in phase.answers:
                self.request(now_ns, other, self.item(phase, key, node))

    def item(self, phase: Phase, key: bytes, hint: NodeId) -> Ask | Store:
        """What a phase says to a replica."""
        if phase.store is None:
            return Ask(phase.number, key, phase.values)
        return Store(phase.number, key, phase.store, hint)

    def resend(self, now_ns: int) -> None:
        """Who has not answered in time is suspected, and asked again."""
        while self.resends and self.resends[0][0] <= now_ns:
            _, number = self.resends.popleft()
            pending = self.phases.get(number)
            if pending is None or pending.phase is None:
                continue
            if self.too_old(now_ns, pending):
                self.count("too_old")
                continue
            for node in pending.phase.members():
                if node not in pending.phase.answers:
                    self.suspect(now_ns, node)
            self.count("resends")
            self.resends.append((now_ns + self.options.retry_ns, number))
            self.ask_members(now_ns, pending, pending.phase)

    def too_old(self, now_ns: int, pending: Pending) -> bool:
        """Whether what it would store might be what a tombstone hid that is collected by now."""
        return now_ns - pending.begun > self.options.tombstone_grace_ns // 2

    def next_resend_ns(self) -> int:
        """When the first phase may have to be sent again."""
        resends = self.resends
        while resends and resends[0][1] not in self.phases:
            resends.popleft()
        return resends[0][0] if resends else NEVER

    def restart_phases(self, now_ns: int) -> None:
        """Another view: quorums are counted anew among its replicas; what is stored keeps its tag."""
        for pending in list(self.pending.values()):
            phase = pending.phase
            if phase is None:
                continue
            if phase.store is None:
                self.begin_asking(now_ns, pending, phase.values)
            else:
                self.begin_storing(now_ns, pending, decode_copy(phase.store), [])

    # -- answers

    def place_in(self, phase: Phase, node: NodeId) -> NodeId:
        """Whose part of a phase a node's answer is, 0 for nobody's."""
        for part in phase.parts:
            if node in part.nodes:
                return node
        return phase.stands_for.get(node, 0)

    def answered(self, now_ns: int, node: NodeId, number: int, cell: bytes | None) -> None:
        """A replica told what it holds."""
        pending = self.phases.get(number)
        if pending is None or pending.phase is None:
            self.late_answer(now_ns, node, number, cell)
            return
        phase = pending.phase
        place = self.place_in(phase, node)
        if phase.store is not None or not place:
            self.drop(node, None, "an answer to no question")
            return
        try:
            copy = decode_copy(cell)
        except msgspec.DecodeError:
            self.drop(node, None, "an unreadable copy")
            return
        self.observe(copy)
        phase.answers[place] = copy
        if phase.complete():
            self.asked(now_ns, pending, phase)

    def asked(self, now_ns: int, pending: Pending, phase: Phase) -> None:
        """A read quorum has answered."""
        copy = self.newest(phase)
        operation = pending.operation
        if not operation.writes:
            self.finish_read(now_ns, pending, phase, copy)
            return
        if pending.removes:
            now_ms = self.stamps.now_ms(copy.tag[0])
            value, reply = self.semantics.change(operation.payload, copy.value, now_ms)
            if value is not None and value != copy.value:
                self.end(pending)
                self.refuse(pending.request, self.not_atomic())
                return
            pending.value, pending.reply = value, reply
            if value == copy.value:  # nothing to change: it is a read
                self.finish_read(now_ns, pending, phase, copy, reply)
                return
        self.begin_writing(now_ns, pending, copy)

    def newest(self, phase: Phase) -> Copy:
        """What all that answered know together."""
        copy = NOTHING
        for held in phase.answers.values():
            if held is not None and held.entries:
                copy = self.merge(copy, held) if copy.entries else held
        return copy

    def finish_read(
        self, now_ns: int, pending: Pending, phase: Phase, copy: Copy, reply: bytes | None = None
    ) -> None:
        """Answer, after writing back where the level wants it."""
        if reply is None:
            now_ms = self.stamps.now_ms(copy.tag[0])
            _, reply = self.semantics.change(pending.operation.payload, copy.value, now_ms)
        pending.answer = reply
        pending.token = max(pending.token, copy.tag[0])
        if self.must_write_back(pending, phase, copy):
            self.count("write_backs")
            self.begin_storing(now_ns, pending, copy, phase.holding(copy))
            return
        self.succeed(pending)
        self.repair(now_ns, pending.operation.key, phase, copy)

    def stored(self, now_ns: int, node: NodeId, number: int) -> None:
        """A replica holds the copy of a phase."""
        pending = self.phases.get(number)
        if pending is None or pending.phase is None:
            return
        phase = pending.phase
        place = self.place_in(phase, node)
        if phase.store is None or not place:
            self.drop(node, None, "an acknowledgement of nothing")
            return
        phase.answers[place] = None
        if phase.complete():
            self.succeed(pending)

    def succeed(self, pending: Pending) -> None:
        """It took effect."""
        self.end(pending)
        self.count("writes" if pending.writing else "reads")
        token = pending.token.to_bytes(TOKEN_BYTES, "big") if pending.token else b""
        self.reply(pending.request, Answered(pending.answer, token))

    def end(self, pending: Pending) -> None:
        """Forget it."""
        if pending.phase is not None:
            self.phases.pop(pending.phase.number, None)
        self.pending.pop(pending.request, None)

    def abandon(self, now_ns: int, request: RequestId) -> Refused | Unknown:
        """Its deadline has passed."""
        pending = self.pending.get(request)
        if pending is None:
            return Unknown("this node does not know the request")
        self.end(pending)
        self.count("abandoned")
        words = self.progress(pending)
        if pending.writing:
            return Unknown(f"{words}: the write may be at some replicas and may yet be read")
        return Refused(REASON_BUSY, f"{words}: nothing was written")

    def progress(self, pending: Pending) -> str:
        """How far a phase came, for people."""
        phase = pending.phase
        if phase is None:
            return "not begun"
        what = "answers" if phase.store is None else "acknowledgements"
        return ", ".join(
            f"{sum(1 for node in part.nodes if node in phase.answers)} of {part.need} {what} from replicas "
            f"{' '.join(map(str, part.nodes))}"
            for part in phase.parts
        )

    def siblings(self, key: bytes) -> tuple[tuple[bytes, ...], Any]:
        """(concurrent values that this replica holds of a key, the latest first; their causal context)."""
        copy = self.copy_of(key)
        return tuple(value for value in copy.values if value is not None), copy.context()
