"""Operations of clients: answered by this replica alone, on any side of a partition.

A write is answered when it is durable here. A read is answered with what is durable: where its key was
written in a turn that is not, it waits for that. A session that brings a token has seen what it names,
maybe elsewhere: it is answered once all of that is here. Together with causal delivery this gives the four
session guarantees (Terry et al. 1994) however a session moves, and causal+ consistency (Lloyd et al. 2011).
"""

from __future__ import annotations

from comity.protocols.gossip.options import GossipOptions
from comity.protocols.gossip.state import NODE_MASK, Turn
from comity.protocols.gossip.transfer import TransferOfState
from comity.protocols.gossip.vectors import Counts, decode_token
from comity.replica import (
    CAUSAL,
    EVENTUAL,
    LINEARIZABLE,
    REASON_BUSY,
    REASON_INVALID,
    REASON_OVERLOADED,
    REASON_STOPPED,
    SEQUENTIAL,
    SESSION,
    Cells,
    CoreContext,
    KeyOperation,
    LatticeSemantics,
    Refused,
    RequestId,
    Unknown,
)

LEVELS = (CAUSAL, SESSION, EVENTUAL)

TOO_STRONG = (
    "gossip cannot be {level}: every replica answers alone, also where a partition keeps it from the others, "
    "and no store can do that and be {level} (CAP). It offers causal, session and eventual; take a keyspace "
    "of raft, paxos, chain or primary-backup where {level} is needed"
)


class Serving(TransferOfState):
    """Carrying out operations, and those that wait."""

    def __init__(
        self, context: CoreContext, options: GossipOptions, cells: Cells, semantics: LatticeSemantics
    ) -> None:
        super().__init__(context, options, cells, semantics)
        self.waiting: dict[RequestId, tuple[KeyOperation, Counts]] = {}
        """Operations whose session has seen more than is here, in order of arrival."""
        self.grew = False
        """Whether some of them may be carried out now."""

    def execute(self, now_ns: int, request: RequestId, operation: KeyOperation) -> None:
        """Carry out an operation, at once or when what its session has seen is here."""
        self.now_ns = now_ns
        seen = decode_token(operation.token)
        refused = self.objection(operation, seen)
        if refused is not None or seen is None:
            self.reply(request, refused or Refused(REASON_INVALID, "the session token is none of this store"))
        elif self.may_carry_out(operation, seen):
            self.carry_out(now_ns, request, operation, seen)
        elif len(self.waiting) >= self.options.max_waiting:
            self.reply(
                request,
                Refused(
                    REASON_OVERLOADED,
                    f"{len(self.waiting)} operations wait for what their sessions have seen",
                ),
            )
        else:
            self.waiting[request] = (operation, seen)

    def objection(self, operation: KeyOperation, seen: Counts | None) -> Refused | None:
        """Why an operation cannot be carried out here, now or later."""
        if operation.level in (LINEARIZABLE, SEQUENTIAL):
            return Refused(REASON_INVALID, TOO_STRONG.format(level=operation.level))
        if operation.level not in LEVELS:
            return Refused(REASON_INVALID, f"gossip knows no level {operation.level!r}: {', '.join(LEVELS)}")
        if seen is None:
            return Refused(REASON_INVALID, "the session token cannot be read: begin a new session")
        if operation.read_quorum > 1 or operation.write_quorum > 1:
            return Refused(REASON_INVALID, "gossip answers from one replica: it has no quorums; use quorum")
        if self.in_force.epoch and not self.serves:
            return Refused(
                REASON_STOPPED,
                f"node {self.node} does not serve this keyspace",
                self.in_force.nodes[0] if self.in_force.nodes else 0,
            )
        if len(self.unanswered) >= self.options.max_unanswered or (
            operation.writes and self.deltas_bytes >= self.options.max_batch_bytes
        ):
            return Refused(REASON_OVERLOADED, "too much waits for the disk: try again")
        return None

    # -- waiting

    def may_carry_out(self, operation: KeyOperation, seen: Counts) -> bool:
        """Whether the state here may be shown, and holds what the session has seen. At eventual, reads do
        not ask."""
        if operation.level == EVENTUAL and not operation.writes:
            return True
        return self.ready and self.session_covered(seen)

    def session_covered(self, seen: Counts) -> bool:
        """Whether everything a session has seen has been delivered here; what a node took with it that has
        left for good cannot be waited for."""
        lacking = [node for node, count in seen.items() if self.vector.get(node, 0) < count]
        if not lacking:
            return True
        everyone = self.in_force.everyone()
        return all(origin & NODE_MASK not in everyone for origin in lacking) and (
            self.settled == self.in_force.epoch
        )

    def advanced(self, now_ns: int) -> None:
        """The vector grew: reports, waiting operations and a transfer may be waiting for that."""
        self.grew = True
        self.finish_transfer(now_ns)
        self.count_reports()

    def carry_out_waiting(self, now_ns: int) -> None:
        """Those whose time has come, in order of arrival."""
        if not self.grew:
            return
        self.grew = False
        for request, (operation, seen) in list(self.waiting.items()):
            refused = self.objection(operation, seen)
            if refused is not None:
                del self.waiting[request]
                self.reply(request, refused)
            elif self.may_carry_out(operation, seen):
                del self.waiting[request]
                self.carry_out(now_ns, request, operation, seen)

    def abandon(self, now_ns: int, request: RequestId) -> Refused | Unknown:
        """The deadline of a request has passed."""
        self.now_ns = now_ns
        if self.waiting.pop(request, None) is not None:
            why = (
                "this replica is being brought up to date"
                if not self.ready
                else ("what this session has seen is not here yet: ask the node it was at before")
            )
            return Refused(REASON_BUSY, why)
        writes = self.unanswered.pop(request, None)
        if writes is None:
            return Unknown("the answer is on its way")
        if writes:
            return Unknown("the write was made here and is not durable yet")
        return Refused(REASON_BUSY, "what was to be read is not durable yet")

    # -- carrying out

    def carry_out(self, now_ns: int, request: RequestId, operation: KeyOperation, seen: Counts) -> None:
        """Do it, and answer as soon as that is safe."""
        state = self.state_of(operation.key)
        now_ms = max(self.context.wall_ms(), 0)
        if not operation.writes:
            reply = self.semantics.read(operation.payload, state, now_ms)
        else:
            delta, reply = self.semantics.mutate(
                operation.payload, state, self.origin, self.counter + 1, self.next_stamp(), now_ms
            )
            if delta is not None:
                self.write(now_ns, operation.key, state, delta)
                self.answer_after(self.open_turn, request, reply, seen, writes=True)
                return
        turn = self.turn_to_read_after(operation.key)
        if turn is None:
            self.answer(request, reply, seen)
        else:
            self.answer_after(turn, request, reply, seen, writes=False)

    def write(self, now_ns: int, key: bytes, state: bytes | None, delta: bytes) -> None:
        """Join a delta made here, and have it published at the end of the turn."""
        self.counter += 1
        self.book_changed = True
        self.store(key, self.semantics.join(state, delta))
        before = self.deltas.get(key)
        self.deltas[key] = delta if before is None else self.semantics.join(before, delta)
        self.deltas_bytes += len(key) + len(delta)
        self.hurry(now_ns)

    def turn_to_read_after(self, key: bytes) -> Turn | None:
        """The turn that must be durable before a reader of this key is answered, None for none."""
        return self.turn_to_wait_for(key)

    def answer_after(
        self, turn: Turn, request: RequestId, reply: bytes, seen: Counts, *, writes: bool
    ) -> None:
        """Answer when that turn is durable."""
        turn.replies.append((request, reply, seen))
        self.unanswered[request] = writes
