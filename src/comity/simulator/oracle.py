"""What must hold inside a cluster, watched from outside: every applied entry of every replica is seen."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from comity.replica import Effects
from comity.simulator.errors import ViolationFound

if TYPE_CHECKING:
    from comity.node import Host
    from comity.node.group import Group


class Oracle:
    """State machine safety (Raft, figure 3), election safety, and durability of what was applied.

    committed: per group and index, (term, digest of the payload) as first applied anywhere.
    """

    def __init__(self) -> None:
        self.committed: dict[str, dict[int, tuple[int, bytes]]] = {}
        self.leaders: dict[tuple[str, int], int] = {}
        self.elections = 0
        self.entries = 0

    def watch(self, node: int, group: Group) -> None:
        """See every turn's effects of one replica."""
        core: Any = group.core
        take = core.take
        name = group.name

        def taken(now_ns: int) -> Effects:
            effects: Effects = take(now_ns)
            if effects.apply:
                self._applied(node, name, effects)
            if getattr(core, "leader", 0) == node:
                self._leads(node, name, core)
            return effects

        core.take = taken

    def _applied(self, node: int, name: str, effects: Effects) -> None:
        committed = self.committed.setdefault(name, {})
        for entry in effects.apply:
            self.entries += 1
            digest = blake2b(entry.payload, digest_size=12).digest()
            seen = committed.get(entry.index)
            if seen is None:
                committed[entry.index] = (entry.term, digest)
            elif seen != (entry.term, digest):
                raise ViolationFound(
                    "state-machine-safety",
                    f"{name}: entry {entry.index} is of term {entry.term} here, but another entry of term "
                    f"{seen[0]} was applied at that index before",
                    node,
                )

    def _leads(self, node: int, name: str, core: Any) -> None:
        term = getattr(core, "term", None)
        if term is None:
            return
        leader = self.leaders.setdefault((name, term), node)
        if leader != node:
            raise ViolationFound(
                "election-safety", f"{name}: nodes {leader} and {node} both lead term {term}", node
            )
        self.elections = len(self.leaders)

    def stopped(self, node: int, host: Host) -> None:
        """A process ended; nothing is asked of it any more."""
