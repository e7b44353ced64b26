"""Hash trees: do two replicas hold the same, and if not, where (Merkle 1987; Dynamo 4.7).

The leaves are equal ranges of the 64-bit hashes of keys, in the order of `Cells.walk`. A leaf is the
exclusive or of the digests of its keys, and a node of its children: so one put changes one node a level, and
nothing is ever rebuilt for a round. Nodes are numbered as in a heap: 1 is the root, i has 2i and 2i+1.

A tree is kept for each group, the nodes that hold a key together; two nodes compare the groups they are
both in (Dynamo: "the key ranges that they host in common").
"""

from __future__ import annotations

from collections.abc import Iterable

from comity.replica import NodeId

Group = tuple[NodeId, ...]


class HashTree:
    """Sparse: a node that is not there is 0, as is one over no keys.

    Puts are many and looks few: what a put changes is kept at its leaf, and goes up when somebody looks.
    """

    __slots__ = ("_changes", "_nodes", "depth")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._nodes: dict[int, int] = {}
        self._changes: dict[int, int] = {}

    def change(self, position: int, digest: int) -> None:
        """Take the digest of a key with that 64-bit hash in, or, the second time, out."""
        leaf = (1 << self.depth) | (position >> (64 - self.depth))
        changes = self._changes
        changes[leaf] = changes.get(leaf, 0) ^ digest

    @property
    def nodes(self) -> dict[int, int]:
        """The hash of each node that has one."""
        changes, self._changes = self._changes, {}
        nodes = self._nodes
        while changes:
            above: dict[int, int] = {}
            for node, digest in changes.items():
                value = nodes.get(node, 0) ^ digest
                if value:
                    nodes[node] = value
                else:
                    nodes.pop(node, None)
                if node > 1:
                    above[node >> 1] = above.get(node >> 1, 0) ^ digest
            changes = above
        return nodes


class Forest:
    """The trees of all groups a node is in."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.trees: dict[Group, HashTree] = {}

    def change(self, group: Group, position: int, digest: int) -> None:
        """See `HashTree.change`."""
        tree = self.trees.get(group)
        if tree is None:
            tree = self.trees[group] = HashTree(self.depth)
        tree.change(position, digest)

    def shared(self, peer: NodeId) -> list[HashTree]:
        """The trees of the groups that `peer` is in."""
        return [tree for group, tree in self.trees.items() if peer in group]

    def hashes(self, peer: NodeId, nodes: Iterable[int]) -> list[int]:
        """Of these nodes, over all keys shared with a peer."""
        trees = [tree.nodes for tree in self.shared(peer)]
        found = []
        for node in nodes:
            value = 0
            for tree in trees:
                value ^= tree.get(node, 0)
            found.append(value)
        return found

    def leaf(self, node: int) -> bool:
        """Whether a node is at the bottom."""
        return node >> self.depth == 1

    def below(self, node: int, levels: int) -> list[int]:
        """The descendants of a node that many levels down, or at the bottom."""
        levels = min(levels, self.depth + 1 - node.bit_length())
        return list(range(node << levels, (node + 1) << levels))

    def bounds(self, leaf: int) -> tuple[int, int]:
        """(first, last) hash of a leaf's range."""
        width = 64 - self.depth
        first = (leaf - (1 << self.depth)) << width
        return first, first + (1 << width) - 1
