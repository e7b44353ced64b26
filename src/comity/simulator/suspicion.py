"""Faults of judgement: the control group holds nodes dead that are not, as any detector may at any time.

A view that leaves a living replica out is what a protocol with views is fenced against; waiting until a
detector is wrong by itself takes seconds of virtual time for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from comity.simulator.settings import Fault
from comity.simulator.trials import NAME

if TYPE_CHECKING:
    from comity.node import Host
    from comity.simulator.cluster import Cluster


class Suspicion:
    """What is believed of whom, and the faults that change it, beside `faults.KINDS`.

    suspect: these nodes are held dead, and left out of views. banish: besides, the first of them hears from
    nobody. mistrust: whoever leads the keyspace under trial is suspected. mislead: besides, it hears late
    from those who do not hold the keyspace. depose: it is banished. unseat: it crashes, and is back when it
    has been left out.
    """

    cluster: Cluster

    def __init__(self) -> None:
        self.suspected: dict[int, int] = {}
        """Node -> how many faults have it suspected."""

    def persuade(self, host: Host) -> None:
        """Have a host's governor believe it."""
        governor = host.keyspaces.governor
        alive, suspected = governor.alive, self.suspected

        def believed(node: int) -> bool:
            return node not in suspected and alive(node)

        governor.alive = believed  # type: ignore[method-assign]

    def _suspect(self, fault: Fault) -> Callable[[], None]:
        suspected = self.suspected
        for node in fault.nodes:
            suspected[node] = suspected.get(node, 0) + 1

        def trust() -> None:
            for node in fault.nodes:
                left = suspected.pop(node, 1) - 1
                if left:
                    suspected[node] = left

        return trust

    def _banish(self, fault: Fault) -> Callable[[], None]:
        trust, mend = self._suspect(fault), self._isolate(fault)

        def undo() -> None:
            trust()
            mend()

        return undo

    def _mistrust(self, fault: Fault) -> Callable[[], None]:
        return self._suspect(msgspec.structs.replace(fault, nodes=(self._leading(fault),)))

    def _mislead(self, fault: Fault) -> Callable[[], None]:
        trust = self._mistrust(fault)
        node = self._leading(fault)
        host = self.cluster.processes[node].host
        found = host.keyspaces.catalogue.keyspaces.get(NAME) if host is not None else None
        holders = found.view.everyone() if found is not None else ()
        links = [
            link
            for (source, target), link in self.cluster.network.links.items()
            if target == node and source not in holders
        ]
        for link in links:
            link.slow = fault.amount

        def undo() -> None:
            trust()
            for link in links:
                link.slow = 1

        return undo

    def _depose(self, fault: Fault) -> Callable[[], None]:
        return self._banish(msgspec.structs.replace(fault, nodes=(self._leading(fault),)))

    def _unseat(self, fault: Fault) -> Callable[[], None]:
        node = self._leading(fault)
        process = self.cluster.processes[node]
        trust = self._suspect(msgspec.structs.replace(fault, nodes=(node,)))
        process.crash()

        def undo() -> None:
            trust()
            process.boot()

        return undo

    def _leading(self, fault: Fault) -> int:
        leader = self.cluster.leader()
        return leader.number if leader is not None else fault.nodes[0]

    def _isolate(self, fault: Fault) -> Callable[[], None]:
        raise NotImplementedError
