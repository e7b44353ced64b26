"""Which nodes hold a key: its preference list (Dynamo 4.3), by rendezvous hashing.

Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998: every node has a weight for
every key, and the heaviest ones hold it. A node that comes or goes changes only the lists it enters or
leaves. The walk goes on beyond the first n for sloppy quorums.
"""

from __future__ import annotations

from collections.abc import Sequence

from xxhash import xxh3_64_intdigest

from comity.protocols.quorum.arithmetic import Quorums, quorums_of
from comity.replica import NodeId, Refused, View

CACHED_KEYS = 50_000


def preference(key: bytes, nodes: Sequence[NodeId]) -> tuple[NodeId, ...]:
    """All nodes in the order in which they are preferred for a key; pure, whatever the order of `nodes`."""
    weighed = [(xxh3_64_intdigest(key, seed=node), node) for node in nodes]
    weighed.sort(reverse=True)
    return tuple(node for _, node in weighed)


class Placement:
    """The lists of all keys under one view.

    While a view has outgoing nodes a key has two lists, one of each membership, and counts in both.
    """

    def __init__(self, view: View, n: int, r: int, w: int) -> None:
        self.view = view
        self.sizes: list[tuple[tuple[NodeId, ...], Quorums]] = [
            (nodes, quorums_of(len(nodes), n, r, w)) for nodes in (view.nodes, view.outgoing) if nodes
        ]
        self.nodes = tuple(sorted({*view.nodes, *view.outgoing}))
        self.everywhere = all(quorums.n >= len(nodes) for nodes, quorums in self.sizes)
        self.all_lists = [(tuple(sorted(nodes)), quorums) for nodes, quorums in self.sizes]
        self.cache: dict[bytes, tuple[NodeId, ...]] = {}
        self.refusals: dict[tuple[str, int, int], Refused | None] = {}
        """Where every node holds every key: what is said to a level and its quorums."""

    def lists(self, key: bytes) -> list[tuple[tuple[NodeId, ...], Quorums]]:
        """(nodes that hold the key, what counts among them), of each membership, the new one first."""
        if self.everywhere:
            return self.all_lists
        return [(preference(key, nodes)[: quorums.n], quorums) for nodes, quorums in self.sizes]

    def holders(self, key: bytes) -> tuple[NodeId, ...]:
        """Every node that is to hold the key, sorted."""
        if self.everywhere:
            return self.nodes
        found = self.cache.get(key)
        if found is None:
            if len(self.cache) >= CACHED_KEYS:
                self.cache.clear()
            found = self.cache[key] = tuple(sorted({node for nodes, _ in self.lists(key) for node in nodes}))
        return found

    def beyond(self, key: bytes) -> tuple[NodeId, ...]:
        """The walk beyond the key's list: who may stand in, in order."""
        holders = self.holders(key)
        return tuple(node for node in preference(key, self.view.nodes) if node not in holders)
