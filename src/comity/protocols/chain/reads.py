"""Reads at any replica (Terrace & Freedman 2009, section 2.3: apportioned queries).

Two questions make a read linearizable. What is committed? A replica that holds no dirty version of the keys
knows it itself, for all that is committed is in its log; otherwise the tail says. And is this view
still in force, or has this replica been cut out of the chain? A lease says so (see `leases`); without one
everyone of the view is asked, and all must answer that they are still in this epoch. In either case there is
one question for all the reads of a turn, and those that come while it is out wait for the next.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from comity.protocols.chain.leases import Leases
from comity.protocols.chain.messages import ReadIndex, ReadIndexReply
from comity.protocols.chain.options import ChainOptions
from comity.protocols.chain.place import OUT
from comity.replica import (
    NEVER,
    REASON_NO_LEADER,
    REASON_OVERLOADED,
    CoreContext,
    NodeId,
    ReadAt,
    Recovered,
    Refused,
    RequestId,
)


class Waiting(msgspec.Struct, frozen=True):
    """A read that could not be answered at once; keys: None for all; clean: whether they were
    when it came."""

    request: RequestId
    keys: tuple[bytes, ...] | None
    clean: bool
    deadline_ns: int


class Reads(Leases):
    """Clean reads here, dirty ones through the tail."""

    def __init__(self, context: CoreContext, options: ChainOptions, recovered: Recovered) -> None:
        super().__init__(context, options, recovered)
        self.reads_waiting: list[Waiting] = []
        self.reads_asked: list[Waiting] = []
        """The batch that others were asked about."""
        self.read_number = context.stream("chain.reads").word() >> 3
        """The number of that batch. No earlier life of this replica used the same, so a late answer
        to one of those cannot be taken for ours."""
        self.asked: dict[NodeId, bool] = {}
        """Who was asked about it, and whether he has answered."""
        self.asked_all = False
        """Whether that is everyone, because there was no lease."""
        self.asked_index = -1
        """The tail's answer, -1 for none yet."""
        self.read_retry_ns = NEVER
        self.peer_reads: dict[NodeId, int] = {}
        """As the tail: the batches of others that wait until this tail knows what is committed."""
        self.floor = 0
        """As the tail: an earlier life of it may have told others that this much is committed."""
        self.reads_clean = 0
        self.reads_dirty = 0

    # -- of this node's clients

    def read(self, now_ns: int, request: RequestId) -> None:
        """Ask for an index at which a local read of anything is linearizable."""
        self._read(now_ns, request, None)

    def read_keys(self, now_ns: int, request: RequestId, keys: Collection[bytes]) -> None:
        """Ask for an index at which a local read of these keys is linearizable."""
        self._read(now_ns, request, tuple(keys))

    def _read(self, now_ns: int, request: RequestId, keys: tuple[bytes, ...] | None) -> None:
        if self.place.role is OUT:
            self.reply(request, Refused(REASON_NO_LEADER, "this node is not in the chain's view"))
            return
        clean = self.serves_alone(keys)
        if clean and self.in_force(now_ns):
            self.reads_clean += 1
            self.reply(request, ReadAt(self.commit))
        elif len(self.reads_waiting) >= self.options.max_waiting_reads:
            detail = f"{len(self.reads_waiting)} reads wait for the tail"
            self.reply(request, Refused(REASON_OVERLOADED, detail))
        else:
            deadline_ns = now_ns + self.options.read_timeout_ns
            self.reads_waiting.append(Waiting(request, keys, clean, deadline_ns))
            self.pending = True
            self.set_read_deadline(now_ns)

    def in_force(self, now_ns: int) -> bool:
        """Whether this replica knows, without asking, that it was not cut out of the chain."""
        return self.has_lease(now_ns)

    def is_clean(self, keys: Collection[bytes] | None) -> bool:
        """Whether no version of these keys is held here that may or may not be committed (CRAQ 2.3)."""
        return not self.dirty.touches(keys)

    def knows_commit(self) -> bool:
        """Whether this is the tail and its commit index is all that was ever committed: it covers what
        the head held when the epoch began, and what an earlier life may have told of."""
        return (
            self.place.is_tail
            and self.commit >= self.floor
            and self.log.term(self.commit) == self.current.epoch
        )

    def serves_alone(self, keys: Collection[bytes] | None) -> bool:
        """Whether what is committed of these keys is known here, if only the view is still in force."""
        if not self.place.in_chain or self.installing:
            return False
        return (self.in_step() and self.is_clean(keys)) or self.knows_commit()

    # -- asking

    def ask(self, now_ns: int) -> None:
        """At the end of a turn: one question for all reads that wait, unless one is out."""
        if self.reads_asked or not self.reads_waiting:
            return
        if self.place.is_tail and not self.knows_commit():
            return
        self.reads_asked, self.reads_waiting = self.reads_waiting, []
        self.read_number += 1
        self.asked_index = -1
        self.asked_all = not self.in_force(now_ns)
        self.asked = dict.fromkeys(self.whom_to_ask(), False)
        self.read_retry_ns = now_ns + self.options.retry_ns
        self.set_deadline()
        self.send_questions()
        self.complete_reads(now_ns)

    def whom_to_ask(self) -> tuple[NodeId, ...]:
        """With a lease the tail alone, for it knows what is committed; otherwise all who could be part of
        a later view, for that none of them is."""
        if self.asked_all:
            return self.grantors()
        return () if self.place.is_tail else (self.place.tail,)

    def send_questions(self) -> None:
        """To those who have not answered."""
        message = ReadIndex(self.current.epoch, self.read_number)
        for node, answered in self.asked.items():
            if not answered:
                self.send(node, message)

    def on_read_index_reply(self, now_ns: int, sender: NodeId, message: ReadIndexReply) -> None:
        """The sender is still in this epoch; the tail says what is committed."""
        if not self.reads_asked or message.number != self.read_number or sender not in self.asked:
            return
        if not set(message.counted) <= set(self.current.joining):
            self.drop(sender, message, "counts who does not join")
            return
        self.asked[sender] = True
        if sender == self.place.tail:
            self.asked_index = message.index
            self.tell_commit(message.index)
            if self.asked_all:
                self.ask_counted(message.counted)
        self.complete_reads(now_ns)

    def ask_counted(self, counted: tuple[NodeId, ...]) -> None:
        """A later view may be made of those who joined, too: they are asked as well."""
        for node in counted:
            if node not in self.asked and node != self.node:
                self.asked[node] = False
                self.send(node, ReadIndex(self.current.epoch, self.read_number))

    def complete_reads(self, now_ns: int) -> None:
        """When all have answered: the view was in force after these reads had come."""
        if not self.reads_asked or not all(self.asked.values()):
            return
        asked, self.reads_asked = self.reads_asked, []
        index = self.commit if self.place.is_tail else self.asked_index
        for read in asked:
            if read.clean:
                self.reads_clean += 1
            else:
                self.reads_dirty += 1
            at = self.commit if self.serves_alone(read.keys) else index
            self.reply(read.request, ReadAt(at))
        self.asked = {}
        self.pending = self.pending or bool(self.reads_waiting)
        self.set_read_deadline(now_ns)

    # -- being asked

    def on_read_index(self, now_ns: int, sender: NodeId, message: ReadIndex) -> None:
        """Another replica asks on behalf of its clients."""
        if self.place.is_tail:
            self.peer_reads[sender] = message.number
            self.pending = True
        else:
            self.send(sender, ReadIndexReply(self.current.epoch, message.number, 0))

    def answer_peers(self) -> None:
        """At the end of a turn, as the tail."""
        if self.peer_reads and self.knows_commit():
            for node, number in self.peer_reads.items():
                reply = ReadIndexReply(self.current.epoch, number, self.commit, self.counted)
                self.send(node, reply)
            self.peer_reads.clear()

    # -- time and views

    def set_read_deadline(self, now_ns: int) -> None:
        """When to ask again, or to give up."""
        oldest_ns = NEVER
        if self.reads_asked:
            oldest_ns = self.reads_asked[0].deadline_ns
        elif self.reads_waiting:
            oldest_ns = self.reads_waiting[0].deadline_ns
        retry_ns = now_ns + self.options.retry_ns if self.reads_asked else NEVER
        self.read_retry_ns = min(oldest_ns, retry_ns)
        self.set_deadline()

    def read_timeout(self, now_ns: int) -> None:
        """No answer: refuse what waited too long, ask again about the same batch, so that an answer to
        either will do."""
        late = [read for read in (*self.reads_asked, *self.reads_waiting) if read.deadline_ns <= now_ns]
        for read in late:
            self.reply(read.request, Refused(REASON_NO_LEADER, "the chain's view could not be confirmed"))
        self.reads_asked = [read for read in self.reads_asked if read.deadline_ns > now_ns]
        self.reads_waiting = [read for read in self.reads_waiting if read.deadline_ns > now_ns]
        if self.reads_asked:
            self.send_questions()
        else:
            self.asked = {}
        self.pending = self.pending or bool(self.reads_waiting)
        self.set_read_deadline(now_ns)

    def move_reads(self, now_ns: int) -> None:
        """Another view: reads that wait are asked about in that one, or refused."""
        self.peer_reads.clear()
        self.reads_waiting = [*self.reads_asked, *self.reads_waiting]
        self.reads_asked, self.asked = [], {}
        if self.place.role is OUT:
            for read in self.reads_waiting:
                detail = "this node was left out of the chain"
                self.reply(read.request, Refused(REASON_NO_LEADER, detail))
            self.reads_waiting = []
        self.pending = True
        self.set_read_deadline(now_ns)
