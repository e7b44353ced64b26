"""One phase of an operation: ask, or store, and wait for a quorum of each membership."""

from __future__ import annotations

import msgspec

from comity.protocols.quorum.versions import Copy
from comity.replica import KeyOperation, NodeId, RequestId


class Part(msgspec.Struct):
    """Of one membership: the nodes that hold the key, and how many of them the phase needs."""

    nodes: tuple[NodeId, ...]
    need: int


class Phase(msgspec.Struct):
    """number: names it in messages. store: the copy it stores, None where it asks. answers: what each node of
    the key's lists told, by node, so that a repeated message counts once. stands_for: whose part a node
    beyond the list takes.
    """

    number: int
    parts: list[Part]
    store: bytes | None
    values: bool
    answers: dict[NodeId, Copy | None]
    stands_for: dict[NodeId, NodeId]

    def members(self) -> list[NodeId]:
        """Every node of the key's lists, each once, in order."""
        if len(self.parts) == 1:
            return [*self.parts[0].nodes]
        return list(dict.fromkeys(node for part in self.parts for node in part.nodes))

    def complete(self) -> bool:
        """Whether a quorum of each membership has answered."""
        answers = self.answers
        for part in self.parts:
            count = 0
            for node in part.nodes:
                if node in answers:
                    count += 1
            if count < part.need:
                return False
        return True

    def holding(self, copy: Copy) -> list[NodeId]:
        """Who told of exactly this copy."""
        return [
            node for node, held in self.answers.items() if held is not None and held.entries == copy.entries
        ]


class Pending(msgspec.Struct):
    """An operation this node coordinates.

    token: the highest hybrid time its session has seen. removes: a write whose outcome depends on the value,
    let through because it can only remove. value, reply: of a write that is blind. writing: its write was
    sent, so it may happen. answer: to be given when the write phase is complete.
    """

    request: RequestId
    operation: KeyOperation
    token: int
    removes: bool = False
    value: bytes | None = None
    reply: bytes = b""
    phase: Phase | None = None
    writing: bool = False
    answer: bytes = b""
    begun: int = 0
