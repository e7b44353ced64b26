"""Faults: planned from a seed as a list that can be cut down, then carried out one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from comity.keyspaces import definition
from comity.keyspaces.definition import Catalogue
from comity.replica import (
    AddMember,
    Operation,
    Outcome,
    PromoteMember,
    RemoveMember,
    ReplaceMembers,
    Stream,
    TransferLeadership,
)
from comity.simulator.settings import Fault, Settings
from comity.simulator.suspicion import Suspicion
from comity.simulator.trials import NAME

if TYPE_CHECKING:
    from comity.simulator.cluster import Cluster

MILLISECOND_NS = 1_000_000

KINDS = (
    "crash",
    "crash-in-turn",
    "crash-leader",
    "crash-all",
    "crash-voters",
    "crash-young-leaders",
    "restart",
    "pause",
    "isolate",
    "split",
    "one-way",
    "flap",
    "slow-link",
    "slow-disk",
    "full-disk",
    "jump",
    "drift",
    "rot",
    "transfer",
    "remove",
    "replace",
    "isolate-leader",
    "freeze-links",
)
"""What the swarm draws from. Beside them, for plans: "alter", "crash-follower"."""


def settings_of(stream: Stream, kinds: set[str]) -> Settings:
    """How this seed's world behaves throughout."""

    def some(name: str, value: float) -> float:
        return value if name in kinds else 0.0

    lease = stream.chance(0.25)
    return Settings(
        latency_us=stream.pick((50, 300, 300, 2000)),
        jitter_us=stream.pick((50, 200, 1500)),
        loss=some("loss", stream.pick((0.01, 0.05, 0.15))),
        duplicate=some("duplicate", stream.pick((0.01, 0.05))),
        reorder=some("reorder", stream.pick((0.01, 0.1))),
        fsync_us=stream.pick(((150, 1500), (150, 1500), (1000, 12_000))),
        drift_ppm=stream.pick((0, 50, 500)) if not lease else stream.pick((0, 50, 200)),
        torn=stream.chance(0.8),
        misdirect=some("misdirect", 0.3),
        in_turn=0.5,
        lease=lease,
        groups=stream.pick((1, 1, 1, 2)),
    )


def plan(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """A swarm (Groce et al. 2012): a random part of all kinds of fault, at random strength."""
    world = ("loss", "duplicate", "reorder", "misdirect")
    chosen = {kind for kind in (*KINDS, *world) if stream.chance(0.4)}
    settings = settings_of(stream, chosen)
    kinds = [kind for kind in KINDS if kind in chosen]
    if settings.lease:
        # A lease holds only where clocks keep their declared rate.
        kinds = [kind for kind in kinds if kind != "drift"]
    faults = []
    at_ms = 300 + stream.below(700)
    gap_ms = stream.pick((250, 700, 1500))
    while kinds and at_ms < duration_ms - 300:
        faults.append(_fault(stream, stream.pick(kinds), nodes, at_ms))
        at_ms += 1 + stream.below(2 * gap_ms)
    return settings, tuple(faults)


def _fault(stream: Stream, kind: str, nodes: int, at_ms: int) -> Fault:
    node = 1 + stream.below(nodes)
    chosen: tuple[int, ...] = (node,)
    duration_ms = stream.pick((30, 150, 600, 1500, 3000))
    amount = 0
    if kind == "split":
        order = stream.shuffled(list(range(1, nodes + 1)))
        chosen = tuple(sorted(order[: 1 + stream.below(max(1, nodes - 1))]))
    elif kind in ("one-way", "slow-link", "freeze-links"):
        other = 1 + stream.below(nodes - 1) if nodes > 1 else 1
        chosen = (node, other if other < node else other + 1)
        amount = stream.pick((5, 30, 200))
    elif kind == "slow-disk":
        amount = stream.pick((5, 30, 100))
    elif kind == "jump":
        amount = stream.between(-5000, 5000)
    elif kind == "drift":
        amount = stream.between(-20_000, 20_000)
    elif kind == "replace":
        chosen = tuple(sorted(stream.shuffled(list(range(1, nodes + 1)))[: (nodes + 1) // 2]))
    elif kind == "transfer":
        chosen = (stream.below(nodes + 1),)
    return Fault(at_ms=at_ms, kind=kind, nodes=chosen, duration_ms=duration_ms, amount=amount)


class Nemesis(Suspicion):
    """Carries planned faults out, and takes them all back in the end."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster
        self.world = cluster.world
        self.injected: dict[str, int] = {}
        self.over = False
        self.prey: dict[str, int] = {}

    def inject(self, fault: Fault) -> None:
        """One fault now; its end is scheduled."""
        action: Callable[[Fault], Callable[[], None] | None] = getattr(
            self, "_" + fault.kind.replace("-", "_")
        )
        if self.over or not self._applies(fault):
            return
        self.injected[fault.kind] = self.injected.get(fault.kind, 0) + 1
        self.cluster.event(fault.nodes[0] if fault.nodes else 0, f"fault {fault.kind}")
        undo = action(fault)
        if undo is not None:
            self.world.after(fault.duration_ms * MILLISECOND_NS, undo)

    def _applies(self, fault: Fault) -> bool:
        numbers = self.cluster.processes
        return all(node in numbers or node == 0 for node in fault.nodes)

    def heal(self) -> None:
        """Every fault is over; processes that are down start again."""
        self.over = True
        cluster = self.cluster
        self.suspected.clear()
        cluster.network.heal()
        for process in cluster.processes.values():
            process.disk.full = False
            process.disk.slow = 1
            process.crash_in_turn = False
            process.resume()
            process.boot()

    def _crash(self, fault: Fault) -> Callable[[], None]:
        process = self.cluster.processes[fault.nodes[0]]
        process.crash()
        return process.boot

    def _crash_in_turn(self, fault: Fault) -> Callable[[], None]:
        process = self.cluster.processes[fault.nodes[0]]
        process.crash_in_turn = True

        def boot() -> None:
            if process.host is None:
                process.boot()

        return boot

    def _crash_leader(self, fault: Fault) -> Callable[[], None]:
        process = self.cluster.leader() or self.cluster.processes[fault.nodes[0]]
        process.crash()
        return process.boot

    def _crash_all(self, fault: Fault) -> Callable[[], None]:
        processes = list(self.cluster.processes.values())
        for process in processes:
            process.crash()

        def boot() -> None:
            for process in processes:
                process.boot()

        return boot

    def _crash_voters(self, fault: Fault) -> Callable[[], None]:
        """For a while, nodes crash soon after they have voted for another, and are back soon."""
        return self._hunt("voter")

    def _crash_young_leaders(self, fault: Fault) -> Callable[[], None]:
        """For a while, leaders crash soon after their election."""
        return self._hunt("young-leader")

    def _hunt(self, prey: str) -> Callable[[], None]:
        self.prey[prey] = self.prey.get(prey, 0) + 1

        def end() -> None:
            self.prey[prey] -= 1
            if not self.prey[prey]:
                del self.prey[prey]

        return end

    def _restart(self, fault: Fault) -> None:
        self.cluster.processes[fault.nodes[0]].stop()

    def _pause(self, fault: Fault) -> Callable[[], None]:
        process = self.cluster.processes[fault.nodes[0]]
        process.pause()
        return process.resume

    def _cut(self, pairs: list[tuple[int, int]]) -> Callable[[], None]:
        network = self.cluster.network
        for source, target in pairs:
            network.cut(source, target)

        def mend() -> None:
            for source, target in pairs:
                network.mend(source, target)

        return mend

    def _isolate(self, fault: Fault) -> Callable[[], None]:
        node = fault.nodes[0]
        others = [other for other in self.cluster.processes if other != node]
        return self._cut([pair for other in others for pair in ((node, other), (other, node))])

    def _isolate_leader(self, fault: Fault) -> Callable[[], None]:
        leader = self.cluster.leader()
        node = leader.number if leader is not None else fault.nodes[0]
        return self._isolate(msgspec.structs.replace(fault, nodes=(node,)))

    def _split(self, fault: Fault) -> Callable[[], None]:
        side = set(fault.nodes)
        rest = [node for node in self.cluster.processes if node not in side]
        return self._cut([pair for a in fault.nodes for b in rest for pair in ((a, b), (b, a))])

    def _one_way(self, fault: Fault) -> Callable[[], None]:
        return self._cut([(fault.nodes[0], fault.nodes[1])])

    def _flap(self, fault: Fault) -> None:
        for round_number in range(4):
            self.world.after(round_number * 200 * MILLISECOND_NS, self._flap_once, fault)

    def _flap_once(self, fault: Fault) -> None:
        if not self.over:
            self.world.after(90 * MILLISECOND_NS, self._isolate(fault))

    def _slow_link(self, fault: Fault) -> Callable[[], None]:
        link = self.cluster.network.links[fault.nodes[0], fault.nodes[1]]
        link.slow = fault.amount

        def normal() -> None:
            link.slow = 1

        return normal

    def _freeze_links(self, fault: Fault) -> Callable[[], None]:
        """A partial partition: two nodes cannot speak to each other, everyone else to both."""
        a, b = fault.nodes
        return self._cut([(a, b), (b, a)])

    def _slow_disk(self, fault: Fault) -> Callable[[], None]:
        disk = self.cluster.processes[fault.nodes[0]].disk
        disk.slow = fault.amount

        def normal() -> None:
            disk.slow = 1

        return normal

    def _full_disk(self, fault: Fault) -> Callable[[], None]:
        disk = self.cluster.processes[fault.nodes[0]].disk
        disk.full = True

        def normal() -> None:
            disk.full = False

        return normal

    def _jump(self, fault: Fault) -> None:
        process = self.cluster.processes[fault.nodes[0]]
        process.clock.jump(self.world.now_ns, fault.amount)

    def _drift(self, fault: Fault) -> None:
        process = self.cluster.processes[fault.nodes[0]]
        process.clock.drift(self.world.now_ns, fault.amount)

    def _rot(self, fault: Fault) -> Callable[[], None] | None:
        process = self.cluster.processes[fault.nodes[0]]
        if not self.cluster.may_lose(process.number):
            return None
        # The process is stopped first: rot is found when the log is read.
        process.crash()
        if not process.disk.rot():
            process.boot()
            return None
        return process.boot

    def _transfer(self, fault: Fault) -> None:
        self._administer(TransferLeadership(fault.nodes[0]))

    def _remove(self, fault: Fault) -> None:
        """Remove a voter, then add it as a learner and promote it."""
        node = fault.nodes[0]
        self._administer(RemoveMember(node))
        self.world.after(700 * MILLISECOND_NS, self.restore, node)

    def _replace(self, fault: Fault) -> None:
        """Go to other voters in one order; those who are not members yet are added first."""
        leader = self.cluster.leader()
        if leader is None or leader.host is None:
            return
        everyone = leader.host.default.core.members.everyone()
        missing = [node for node in fault.nodes if node not in everyone]
        for position, node in enumerate(missing):
            member = next(member for member in self.cluster.members if member.node == node)
            self.world.after(position * 60 * MILLISECOND_NS, self._administer, AddMember(member))
        self.world.after(
            (len(missing) * 60 + 40) * MILLISECOND_NS,
            self._administer,
            ReplaceMembers(tuple(sorted(fault.nodes))),
        )

    def _alter(self, fault: Fault) -> None:
        """Have other nodes hold the keyspace under trial, as KEYSPACE ALTER does; the governor moves it."""
        leader = self.cluster.leader()
        if leader is None or leader.host is None:
            return
        wanted = tuple(fault.nodes)

        def edit(catalogue: Catalogue) -> Catalogue:
            return definition.changed(catalogue, NAME, nodes=wanted, replicas=len(wanted))

        def holds(catalogue: Catalogue) -> bool:
            return catalogue.keyspaces[NAME].nodes == wanted

        change = leader.host.keyspaces.change
        leader.stimulus(leader.life, change, edit, f"the move of {NAME}", holds, _unheard)

    def _follower(self, node: int) -> int:
        """The node, or the next one where it leads: with a leader, who comes back is soon of use again."""
        leader = self.cluster.leader()
        if leader is None or leader.number != node:
            return node
        return node % len(self.cluster.processes) + 1

    def _crash_follower(self, fault: Fault) -> Callable[[], None]:
        return self._crash(msgspec.structs.replace(fault, nodes=(self._follower(fault.nodes[0]),)))

    def restore(self, node: int) -> None:
        """Make a node a voter again, in two steps."""
        member = next(member for member in self.cluster.members if member.node == node)
        self._administer(AddMember(member))
        self.world.after(900 * MILLISECOND_NS, self._administer, PromoteMember(node))

    def _administer(self, operation: Operation) -> None:
        leader = self.cluster.leader()
        if leader is not None and leader.host is not None:
            leader.stimulus(leader.life, leader.host.administer, "default", operation, _ignore)


def _unheard(reply: bytes) -> None:
    """Nobody waits for the answer."""


def _ignore(outcome: Outcome) -> None:
    """Membership changes may be refused; that is part of the game."""
