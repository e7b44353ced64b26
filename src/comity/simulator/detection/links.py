"""All-to-all detectors, link by link.

Where every node sends the same heartbeats to all others, and what a node holds of another depends on that
other's heartbeats alone, the n(n-1) links of a group are independent given what happens to the nodes. So
any of them can be simulated without the others, and gives exactly what it would give among them (a test
compares with `World`). Of a thousand nodes' million links, those that can tell something are: of a crashed
node all of them, of false suspicions a random sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comity.detectors import CODEC
from comity.replica import NEVER, NodeId, Stream
from comity.simulator.detection.scenarios import Contender, Fates, Luck, Scenario, after
from comity.simulator.detection.world import Seen, handled


class Links:
    """The links of one run, each simulated when asked for."""

    def __init__(
        self, contender: Contender, scenario: Scenario, nodes: int, duration_ns: int, seed: int
    ) -> None:
        self.contender = contender
        self.nodes = nodes
        self.duration_ns = duration_ns
        self.seed = seed
        self.fates = Fates(scenario, nodes, duration_ns, seed)
        self.luck = Luck(scenario, seed, by_link=True)
        self._sent: dict[NodeId, list[tuple[int, Any]]] = {}

    def watch(self, observer: NodeId, subjects: Sequence[NodeId]) -> list[Seen]:
        """What one node comes to hold of some others."""
        detector = self.contender.build(observer, subjects, Stream(self.seed, f"node {observer}"))
        pauses = self.fates.pauses(observer)
        end_ns = min(self.duration_ns, self.fates.crashes.get(observer, NEVER) - 1)
        arrivals = self._arrivals(observer, subjects, end_ns)
        seen: list[Seen] = []
        place, count = 0, len(arrivals)
        detector.start(0)
        while True:
            due_ns = after(pauses, detector.deadline_ns)
            if place < count and arrivals[place][0] <= due_ns:
                now_ns, _, source, message = arrivals[place]
                place += 1
                detector.receive(now_ns, source, message)
            elif due_ns <= end_ns:
                now_ns = due_ns
                detector.wake(now_ns)
            else:
                return seen
            if detector.busy:
                seen.extend(
                    Seen(now_ns, observer, change.node, change.status)
                    for change in detector.take(now_ns).transitions
                )

    def sent(self, node: NodeId) -> list[tuple[int, Any]]:
        """The heartbeats of a node: when each leaves, and what it says; the same to everyone."""
        departures = self._sent.get(node)
        if departures is None:
            departures = self._sent[node] = self._departures(node)
        return departures

    def traffic(self) -> tuple[int, int]:
        """Messages and bytes of the whole group, to everyone."""
        sent = [message for node in range(1, self.nodes + 1) for _, message in self.sent(node)]
        return len(sent) * (self.nodes - 1), sum(len(CODEC.encode(each)) for each in sent) * (self.nodes - 1)

    def _departures(self, node: NodeId) -> list[tuple[int, Any]]:
        """Of the real detector, with one member in place of all: what it sends does not depend on them."""
        other = 1 if node != 1 else 2
        detector = self.contender.build(node, (other,), Stream(self.seed, f"node {node}"))
        detector.start(0)
        pauses, blocks = self.fates.pauses(node), self.fates.blocks(node)
        end_ns = min(self.duration_ns, self.fates.crashes.get(node, NEVER) - 1)
        departures: list[tuple[int, Any]] = []
        while (now_ns := after(pauses, detector.deadline_ns)) <= end_ns:
            detector.wake(now_ns)
            leaves_ns = after(blocks, now_ns)
            departures.extend((leaves_ns, send.message) for send in detector.take(now_ns).send)
        return departures

    def _arrivals(
        self, observer: NodeId, subjects: Sequence[NodeId], end_ns: int
    ) -> list[tuple[int, int, NodeId, Any]]:
        arrivals = []
        for subject in subjects:
            for leaves_ns, message in self.sent(subject):
                delay_ns = self.luck.delay(subject, observer)
                if delay_ns is None:
                    continue
                arrives_ns = leaves_ns + delay_ns
                handled_ns = handled(self.fates, observer, arrives_ns)
                if handled_ns <= end_ns:
                    arrivals.append((handled_ns, arrives_ns, subject, message))
        arrivals.sort(key=lambda arrival: arrival[:3])
        return arrivals
