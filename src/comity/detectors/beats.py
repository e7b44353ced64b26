"""What detectors by heartbeats share: everyone sends to everyone, and silence has two limits."""

from __future__ import annotations

import abc
import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from comity.detectors.detector import Detector, Status, _no_note
from comity.detectors.messages import Heartbeat
from comity.replica import NEVER, NodeId, Send, Stream


class Peer:
    """What is known of one member. heard_ns: anything heard last; beat_ns: its last heartbeat, NEVER
    before the first; due_ns: its place in the queue of limits, NEVER where it has none."""

    __slots__ = ("beat_ns", "due_ns", "heard_ns", "incarnation", "sequence", "status")

    def __init__(self, now_ns: int) -> None:
        self.heard_ns = now_ns
        self.beat_ns = NEVER
        self.due_ns = NEVER
        self.incarnation = 0
        self.sequence = 0
        self.status = Status.ALIVE


class BeatDetector(Detector):
    """Sends a heartbeat to all members each interval, and watches for theirs.

    A member is suspected, then dead, when it is silent for longer than `limits` says; anything heard
    makes it alive again (these detectors are eventually perfect if delays are bounded in the end). The
    first heartbeat leaves at a random time within an interval: a cluster started at once does not beat
    at once. incarnation: which life of this node it is; a greater one resets what others know of it.
    """

    def __init__(
        self,
        node: NodeId,
        members: Iterable[NodeId],
        stream: Stream,
        *,
        interval_ns: int,
        max_members: int,
        incarnation: int = 0,
        note: Callable[..., None] = _no_note,
    ) -> None:
        super().__init__(node, note)
        self.incarnation = incarnation
        self.interval_ns = interval_ns
        self.max_members = max_members
        self.stream = stream
        self._first = sorted({*members} - {node})
        self._peers: dict[NodeId, Peer] = {}
        self._members: tuple[NodeId, ...] = ()
        self._queue: list[tuple[int, NodeId]] = []
        self._sequence = 0
        self._beat_ns = NEVER

    @abc.abstractmethod
    def limits(self, node: NodeId) -> tuple[int, int]:
        """Silence in nanoseconds after which the member is suspected, and dead."""

    def sample(self, node: NodeId, interval_ns: int) -> None:
        """Two heartbeats of the member arrived so far apart."""

    def forget(self, node: NodeId) -> None:
        """What was learnt of the member's intervals is worth nothing any more."""

    # -- life

    def start(self, now_ns: int) -> None:
        self._beat_ns = now_ns + self.stream.below(self.interval_ns)
        for node in self._first:
            self.admit(now_ns, node)
        self._schedule()

    def wake(self, now_ns: int) -> None:
        if now_ns >= self._beat_ns:
            self._beat(now_ns)
        while self._queue and self._queue[0][0] <= now_ns:
            due_ns, node = heapq.heappop(self._queue)
            peer = self._peers.get(node)
            if peer is not None and peer.due_ns == due_ns:
                self._judge(now_ns, node, peer)
        self._schedule()

    def _beat(self, now_ns: int) -> None:
        # Intervals missed while this node slept are left out, or all of them would leave at once.
        self._beat_ns += self.interval_ns * ((now_ns - self._beat_ns) // self.interval_ns + 1)
        self._sequence += 1
        message = Heartbeat(self.incarnation, self._sequence)
        self._send.extend(Send(node, message) for node in self._members)

    def _judge(self, now_ns: int, node: NodeId, peer: Peer) -> None:
        """Its place in the queue has come: promote the suspicion, or queue for the limit ahead."""
        peer.due_ns = NEVER
        suspect_ns, dead_ns = self.limits(node)
        silence_ns = now_ns - peer.heard_ns
        found = Status.DEAD if silence_ns >= dead_ns else Status(int(silence_ns >= suspect_ns))
        if found > peer.status:
            peer.status = found
            self._change(node, found, peer.incarnation)
        if peer.status is not Status.DEAD:
            self._queue_for(node, peer)

    def _queue_for(self, node: NodeId, peer: Peer) -> None:
        suspect_ns, dead_ns = self.limits(node)
        due_ns = peer.heard_ns + (suspect_ns if peer.status is Status.ALIVE else dead_ns)
        if due_ns < peer.due_ns:
            peer.due_ns = due_ns
            heapq.heappush(self._queue, (due_ns, node))

    def _schedule(self) -> None:
        if len(self._queue) > 4 * len(self._peers) + 64:
            self._queue = [(peer.due_ns, node) for node, peer in self._peers.items() if peer.due_ns != NEVER]
            heapq.heapify(self._queue)
        self.deadline_ns = min(self._beat_ns, self._queue[0][0] if self._queue else NEVER)

    # -- evidence

    def receive(self, now_ns: int, sender: NodeId, message: Any) -> None:
        peer = self._peers.get(sender)
        if peer is None or not isinstance(message, Heartbeat):
            self.drop("not a member" if peer is None else "not a heartbeat", sender)
            return
        if (message.incarnation, message.sequence) <= (peer.incarnation, peer.sequence):
            self.drop("old or repeated heartbeat", sender)
            return
        if message.incarnation > peer.incarnation:
            peer.incarnation = message.incarnation
            peer.beat_ns = NEVER
            self.forget(sender)
        peer.sequence = message.sequence
        # The silence of a dead member is no interval between heartbeats: it would teach patience.
        if peer.beat_ns != NEVER and peer.status is not Status.DEAD:
            self.sample(sender, now_ns - peer.beat_ns)
        peer.beat_ns = now_ns
        self.heard(now_ns, sender)

    def heard(self, now_ns: int, node: NodeId) -> None:
        peer = self._peers.get(node)
        if peer is None:
            return
        peer.heard_ns = max(peer.heard_ns, now_ns)
        if peer.status is not Status.ALIVE:
            peer.status = Status.ALIVE
            self._change(node, Status.ALIVE, peer.incarnation)
        self._queue_for(node, peer)
        self._schedule()

    # -- members

    def admit(self, now_ns: int, node: NodeId) -> None:
        if node == self.node or node in self._peers:
            return
        if len(self._peers) >= self.max_members:
            raise ValueError(f"node {node} would be member {len(self._peers) + 1}: raise max_members")
        self._peers[node] = Peer(now_ns)
        self._members = tuple(sorted(self._peers))
        self.forget(node)
        self._queue_for(node, self._peers[node])
        self._schedule()

    def remove(self, now_ns: int, node: NodeId) -> None:
        if self._peers.pop(node, None) is not None:
            self._members = tuple(sorted(self._peers))
            self._schedule()

    @property
    def members(self) -> tuple[NodeId, ...]:
        return self._members

    # -- answers

    def state(self, node: NodeId) -> Status:
        if node == self.node:
            return Status.ALIVE
        peer = self._peers.get(node)
        return Status.DEAD if peer is None else peer.status

    def level(self, now_ns: int, node: NodeId) -> float:
        if node == self.node:
            return 0.0
        peer = self._peers.get(node)
        if peer is None:
            return 2.0
        suspect_ns, dead_ns = self.limits(node)
        return self.accrued(node, max(0, now_ns - peer.heard_ns), suspect_ns, dead_ns)

    def accrued(self, node: NodeId, silence_ns: int, suspect_ns: int, dead_ns: int) -> float:
        """The suspicion after so much silence: in proportion to it between the limits."""
        if silence_ns < suspect_ns:
            return silence_ns / suspect_ns
        return 1 + (silence_ns - suspect_ns) / max(1, dead_ns - suspect_ns) if silence_ns < dead_ns else 2.0

    def check(self) -> None:
        queued = set(self._queue)
        for node, peer in self._peers.items():
            suspect_ns, dead_ns = self.limits(node)
            if not 0 < suspect_ns <= dead_ns:
                raise self._broken(f"limits of node {node} are {suspect_ns} and {dead_ns}")
            if (peer.due_ns == NEVER) is not (peer.status is Status.DEAD):
                raise self._broken(f"node {node} is {peer.status.name} and queued for {peer.due_ns}")
            if peer.due_ns != NEVER and (peer.due_ns, node) not in queued:
                raise self._broken(f"node {node} is not in the queue")
        if self._queue and self.deadline_ns > self._queue[0][0]:
            raise self._broken(f"the deadline {self.deadline_ns} is after {self._queue[0]}")

    def status(self) -> Mapping[str, Any]:
        return {
            "kind": type(self).__name__.lower(),
            "incarnation": self.incarnation,
            "dropped": self.dropped,
            "members": {
                str(node): {"status": peer.status.name.lower(), "incarnation": peer.incarnation}
                for node, peer in sorted(self._peers.items())
            },
        }
