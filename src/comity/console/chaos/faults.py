"""The nemesis: it does to a running cluster what will happen to one some day, then undoes it.

Each fault is injected, held for a while and healed; then the cluster is usually given the time to
become whole, sometimes not. Kinds are drawn from a seeded stream, so a seed gives the same sequence
of kinds and victims; their moments depend on the machine.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from comity.console.chaos.cluster import Cluster, Node, NotConverged
from comity.console.chaos.processes import ProcessFailed

READY_TIMEOUT_S = 30.0
FLAP_PAUSE_S = 0.25


@dataclass(slots=True)
class FaultEvent:
    """One fault: its kind, whom it hit, and when it began and was healed (monotonic ns; 0 while it lasts)."""

    kind: str
    detail: str
    began_ns: int
    healed_ns: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break a cluster.

    inject: breaks it and says whom it hit. hold_s: the shortest and longest time it lasts. weight:
    how often among its family. Everything is undone by `Cluster.restore`.
    """

    kind: str
    inject: Callable[[Cluster, random.Random], str]
    hold_s: tuple[float, float]
    weight: int = 2
    flaps: bool = False


def _names(nodes: Sequence[Node]) -> str:
    return ", ".join(node.name for node in nodes)


def _leader_or_any(cluster: Cluster, draw: random.Random) -> Node:
    return cluster.leader() or draw.choice(cluster.nodes)


def _kill(victims: Sequence[Node]) -> str:
    for node in victims:
        node.kill()
    return _names(victims)


def _kill_one(cluster: Cluster, draw: random.Random) -> str:
    return _kill([draw.choice(cluster.nodes)])


def _kill_leader(cluster: Cluster, draw: random.Random) -> str:
    return _kill([_leader_or_any(cluster, draw)])


def _kill_majority(cluster: Cluster, draw: random.Random) -> str:
    return _kill(draw.sample(cluster.nodes, cluster.quorum))


def _kill_all(cluster: Cluster, draw: random.Random) -> str:
    return _kill(draw.sample(cluster.nodes, len(cluster.nodes)))


def _pause(victims: Sequence[Node]) -> str:
    for node in victims:
        node.pause()
    return _names(victims)


def _pause_one(cluster: Cluster, draw: random.Random) -> str:
    return _pause([draw.choice(cluster.nodes)])


def _pause_leader(cluster: Cluster, draw: random.Random) -> str:
    return _pause([_leader_or_any(cluster, draw)])


def _pause_majority(cluster: Cluster, draw: random.Random) -> str:
    return _pause(draw.sample(cluster.nodes, cluster.quorum))


def _restart_one(cluster: Cluster, draw: random.Random) -> str:
    node = draw.choice(cluster.nodes)
    node.stop()
    return node.name


def _restart_leader(cluster: Cluster, draw: random.Random) -> str:
    node = _leader_or_any(cluster, draw)
    node.stop()
    return node.name


def _separate(cluster: Cluster, one: Sequence[Node], other: Sequence[Node]) -> None:
    for left in one:
        for right in other:
            cluster.network.cut(left.number, right.number)
            cluster.network.cut(right.number, left.number)


def _others(cluster: Cluster, node: Node) -> list[Node]:
    return [other for other in cluster.nodes if other is not node]


def _isolate_leader(cluster: Cluster, draw: random.Random) -> str:
    node = _leader_or_any(cluster, draw)
    _separate(cluster, [node], _others(cluster, node))
    return f"{node.name} alone"


def _split(cluster: Cluster, draw: random.Random) -> str:
    minority = draw.sample(cluster.nodes, (len(cluster.nodes) - 1) // 2)
    majority = [node for node in cluster.nodes if node not in minority]
    _separate(cluster, minority, majority)
    return f"{_names(minority)} | {_names(majority)}"


def _mute(cluster: Cluster, draw: random.Random) -> str:
    node = _leader_or_any(cluster, draw) if draw.random() < 0.5 else draw.choice(cluster.nodes)
    for other in _others(cluster, node):
        cluster.network.cut(node.number, other.number)
    return f"{node.name} hears and is not heard"


def _deafen(cluster: Cluster, draw: random.Random) -> str:
    node = _leader_or_any(cluster, draw) if draw.random() < 0.5 else draw.choice(cluster.nodes)
    for other in _others(cluster, node):
        cluster.network.cut(other.number, node.number)
    return f"{node.name} is heard and hears nothing"


def _part_pair(cluster: Cluster, draw: random.Random) -> str:
    one, other = draw.sample(cluster.nodes, 2)
    _separate(cluster, [one], [other])
    return f"{one.name} and {other.name} reach only the others"


FAMILIES: dict[str, tuple[Fault, ...]] = {
    "kill": (
        Fault("kill -9 one", _kill_one, (0.0, 4.0), weight=3),
        Fault("kill -9 leader", _kill_leader, (0.0, 4.0), weight=4),
        Fault("kill -9 majority", _kill_majority, (0.0, 3.0), weight=1),
        Fault("kill -9 all", _kill_all, (0.0, 1.0), weight=1),
    ),
    "pause": (
        Fault("pause one", _pause_one, (0.3, 5.0)),
        Fault("pause leader", _pause_leader, (0.3, 5.0), weight=3),
        Fault("pause majority", _pause_majority, (0.3, 3.0), weight=1),
    ),
    "restart": (
        Fault("restart one", _restart_one, (0.0, 2.0)),
        Fault("restart leader", _restart_leader, (0.0, 2.0)),
    ),
    "cut": (
        Fault("cut off leader", _isolate_leader, (1.0, 8.0), weight=3),
        Fault("split", _split, (1.0, 8.0)),
        Fault("cut one way: mute", _mute, (1.0, 6.0)),
        Fault("cut one way: deaf", _deafen, (1.0, 6.0)),
        Fault("cut partly", _part_pair, (1.0, 8.0)),
        Fault("cut flapping", _isolate_leader, (2.0, 6.0), flaps=True),
    ),
}
"""What `--faults` chooses from: family -> its faults."""


def draw_fault(families: Sequence[str], draw: random.Random) -> Fault:
    """A family at random, then one of its faults by weight."""
    faults = FAMILIES[draw.choice(list(families))]
    return draw.choices(faults, [fault.weight for fault in faults])[0]


def _ignore(event: FaultEvent) -> None:
    pass


class Nemesis(threading.Thread):
    """Injects and heals one fault (sometimes two) after another until `finish` is called.

    events: what it did. crashes: nodes that ended although nobody killed them, with their last
    lines; recoveries_missed: times the cluster was not whole in time after a fault was healed.
    on_event is called (in this thread) when a fault begins and when it is healed.
    """

    def __init__(
        self,
        cluster: Cluster,
        families: Sequence[str],
        seed: int,
        on_event: Callable[[FaultEvent], None] | None = None,
    ) -> None:
        super().__init__(name="nemesis", daemon=True)
        self.events: list[FaultEvent] = []
        self.crashes: list[str] = []
        self.recoveries_missed: list[str] = []
        self.error: Exception | None = None
        self._cluster = cluster
        self._families = list(families)
        self._draw = random.Random(f"nemesis {seed}")
        self._on_event = on_event or _ignore
        self._finish = threading.Event()

    def run(self) -> None:
        """The thread's body: faults until `finish`; every fault is healed when it returns."""
        try:
            while not self._finish.wait(self._draw.uniform(0.5, 3.0)):
                self._one_round()
        except Exception as error:  # noqa: BLE001 - handed to the caller, who reports it
            self.error = error
        finally:
            self._cluster.restore()

    def finish(self) -> None:
        """Heal what is broken, then end."""
        self._finish.set()
        self.join()

    def _one_round(self) -> None:
        self._note_crashes()
        fault = draw_fault(self._families, self._draw)
        events = [self._inject(fault)]
        if self._draw.random() < 0.2:
            events.append(self._inject(draw_fault(self._families, self._draw)))
        for _ in self._held(fault):
            self._cluster.network.heal()
            self._finish.wait(FLAP_PAUSE_S)
            fault.inject(self._cluster, self._draw)
        self._note_crashes()
        self._cluster.restore()
        for event in events:
            event.healed_ns = time.monotonic_ns()
            self._on_event(event)
        if self._draw.random() < 0.8:
            self._recover(events)

    def _inject(self, fault: Fault) -> FaultEvent:
        event = FaultEvent(fault.kind, "", time.monotonic_ns())
        self.events.append(event)
        try:
            event.detail = fault.inject(self._cluster, self._draw)
        except ProcessFailed as failure:
            event.detail = "did not stop"
            self.crashes.append(str(failure))
        self._on_event(event)
        return event

    def _held(self, fault: Fault) -> Iterator[None]:
        """Let the fault last; yields each time a flapping one should flap."""
        deadline = time.monotonic() + self._draw.uniform(*fault.hold_s)
        while (left := deadline - time.monotonic()) > 0:
            if self._finish.wait(min(left, FLAP_PAUSE_S) if fault.flaps else left):
                return
            if fault.flaps:
                yield

    def _recover(self, events: Sequence[FaultEvent]) -> None:
        try:
            self._cluster.wait_ready(READY_TIMEOUT_S)
        except NotConverged as late:
            kinds = " and ".join(event.kind for event in events)
            self.recoveries_missed.append(f"after {kinds}: {late}")
        except ProcessFailed:
            self._note_crashes()

    def _note_crashes(self) -> None:
        self.crashes.extend(
            f"{node.name} ended by itself with exit code {node.exit_code}\n{node.tail()}"
            for node in self._cluster.nodes
            if node.crashed()
        )
