"""Read repair (Dynamo 5): replicas that answered a read with less than the newest are sent it, afterwards."""

from __future__ import annotations

import abc

import msgspec

from comity.protocols.quorum.messages import Store
from comity.protocols.quorum.phases import Phase
from comity.protocols.quorum.serving import Serving
from comity.protocols.quorum.versions import Copy, decode_copy, encode_copy
from comity.replica import NodeId


class Finished(msgspec.Struct):
    """A read that was answered, and whose late answers may show a stale replica, or a newer copy.

    copy: the newest so far. waiting: who has not answered yet. level: who has that copy, or was sent it.
    """

    key: bytes
    copy: Copy
    waiting: list[NodeId]
    level: list[NodeId]


class Repair(Serving):
    """What is done after a read."""

    def prepare_repair(self) -> None:
        """No read was answered yet."""
        self.finished: dict[int, Finished] = {}

    @abc.abstractmethod
    def newest(self, phase: Phase) -> Copy:
        """What all that answered know together."""

    def repair(self, now_ns: int, key: bytes, phase: Phase, copy: Copy) -> None:
        """Send the newest to those that answered with less; look at the others when they answer."""
        if not self.options.read_repair or not phase.values:
            return
        waiting: list[NodeId] = []
        level: list[NodeId] = []
        for node in phase.members():
            if node not in phase.answers:
                waiting.append(node)
            elif (held := phase.answers[node]) is None or held.entries != copy.entries:
                self.send_repair(now_ns, node, key, copy)
            if node in phase.answers:
                level.append(node)
        if waiting:
            if len(self.finished) >= self.options.max_repairs:
                del self.finished[next(iter(self.finished))]
            self.finished[phase.number] = Finished(key, copy, waiting, level)

    def late_answer(self, now_ns: int, node: NodeId, number: int, cell: bytes | None) -> None:
        """After the read was answered: a stale replica is repaired, a newer one is learned from."""
        finished = self.finished.get(number)
        if finished is None or node not in finished.waiting:
            return
        finished.waiting.remove(node)
        if not finished.waiting:
            del self.finished[number]
        try:
            held = decode_copy(cell)
        except msgspec.DecodeError:
            self.drop(node, None, "an unreadable copy")
            return
        merged = self.merge(finished.copy, held)
        if merged.entries != held.entries:
            self.send_repair(now_ns, node, finished.key, merged)
        if merged.entries != finished.copy.entries:
            finished.copy = merged
            for other in finished.level:
                self.send_repair(now_ns, other, finished.key, merged)
        finished.level.append(node)

    def send_repair(self, now_ns: int, node: NodeId, key: bytes, copy: Copy) -> None:
        """No acknowledgement is wanted: what is lost is repaired by the next read, or by anti-entropy."""
        if not copy.entries:
            return
        self.count("repairs")
        self.request(now_ns, node, Store(0, key, encode_copy(copy)))
