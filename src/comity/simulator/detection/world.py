"""A group of detectors in virtual time: every node, every message."""

from __future__ import annotations

import heapq

import msgspec

from comity.detectors import CODEC, Detector, Status
from comity.replica import NEVER, NodeId, Stream
from comity.simulator.detection.scenarios import Contender, Fates, Luck, Scenario, after


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """At a time one node came to hold another to be something."""

    time_ns: int
    observer: NodeId
    subject: NodeId
    status: Status


class Run(msgspec.Struct):
    """What came of one run. messages and size: all that was sent, lost or not, and its bytes without
    headers of UDP and IP."""

    seen: list[Seen]
    messages: int = 0
    size: int = 0


DELIVER, WAKE = 0, 1
_Event = tuple[int, int, int, int, NodeId, NodeId, object]


class World:
    """One run of a group. Events go in the order of their time; of one time first what arrived, in the
    order of arrival, then what fell due, as an event loop does that reads its sockets before its timers."""

    def __init__(
        self,
        contender: Contender,
        scenario: Scenario,
        nodes: int,
        duration_ns: int,
        seed: int,
        *,
        by_link: bool = False,
        audit: bool = False,
    ) -> None:
        self.fates = Fates(scenario, nodes, duration_ns, seed)
        self.luck = Luck(scenario, seed, by_link=by_link)
        self.duration_ns = duration_ns
        self.audit = audit
        everyone = tuple(range(1, nodes + 1))
        self.detectors: dict[NodeId, Detector] = {
            node: contender.build(node, everyone, Stream(seed, f"node {node}")) for node in everyone
        }
        self.run = Run([])
        self._ends_ns = {node: self.fates.crashes.get(node, NEVER) for node in everyone}
        self._alarms = dict.fromkeys(everyone, NEVER)
        self._events: list[_Event] = []
        self._order = 0

    def go(self) -> Run:
        """Run to the end."""
        for node, detector in self.detectors.items():
            detector.start(0)
            self._after_turn(0, node, detector)
        events = self._events
        while events:
            now_ns, kind, _, _, node, source, message = heapq.heappop(events)
            if now_ns > self.duration_ns:
                break
            if now_ns >= self._ends_ns[node]:
                continue
            detector = self.detectors[node]
            if kind == DELIVER:
                detector.receive(now_ns, source, message)
            else:
                if self._alarms[node] == now_ns:
                    self._alarms[node] = NEVER
                if now_ns < detector.deadline_ns:
                    self._set_alarm(node, detector)
                    continue
                detector.wake(now_ns)
            if self.audit:
                detector.check()
            self._after_turn(now_ns, node, detector)
        return self.run

    def _after_turn(self, now_ns: int, node: NodeId, detector: Detector) -> None:
        self._set_alarm(node, detector)
        if not detector.busy:
            return
        taken = detector.take(now_ns)
        for change in taken.transitions:
            self.run.seen.append(Seen(now_ns, node, change.node, change.status))
        if not taken.send:
            return
        leaves_ns = after(self.fates.blocks(node), now_ns)
        last: object = None
        size = 0
        for send in taken.send:
            if send.message is not last:
                last, size = send.message, len(CODEC.encode(send.message))
            self.run.messages += 1
            self.run.size += size
            self._deliver(leaves_ns, node, send.peer, send.message)

    def _deliver(self, leaves_ns: int, source: NodeId, target: NodeId, message: object) -> None:
        delay_ns = self.luck.delay(source, target)
        if delay_ns is not None:
            arrives_ns = leaves_ns + delay_ns
            self._push(handled(self.fates, target, arrives_ns), DELIVER, arrives_ns, target, source, message)

    def _set_alarm(self, node: NodeId, detector: Detector) -> None:
        due_ns = after(self.fates.pauses(node), detector.deadline_ns)
        if due_ns < self._alarms[node]:
            self._alarms[node] = due_ns
            self._push(due_ns, WAKE, due_ns, node, 0, None)

    def _push(
        self, time_ns: int, kind: int, place: int, node: NodeId, source: NodeId, message: object
    ) -> None:
        self._order += 1
        heapq.heappush(self._events, (time_ns, kind, place, self._order, node, source, message))


def handled(fates: Fates, node: NodeId, arrives_ns: int) -> int:
    """When the node gets to handle what arrives at a time."""
    return after(fates.blocks(node), after(fates.pauses(node), arrives_ns))
