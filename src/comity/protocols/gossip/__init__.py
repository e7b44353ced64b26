"""Gossip: delta-state CRDTs with causal delivery; every replica takes writes, on any side of a partition."""

from __future__ import annotations

from comity.protocols.gossip.core import GossipCore
from comity.protocols.gossip.messages import CODEC
from comity.protocols.gossip.options import GossipOptions
from comity.protocols.gossip.promise import promise
from comity.replica import Cells, CoreContext, KeyedProtocol, LatticeSemantics

__all__ = ["PROTOCOL", "GossipCore", "GossipOptions", "protocol_of"]


def protocol_of(core: type[GossipCore], name: str = "gossip") -> KeyedProtocol:
    """Gossip as a protocol, with another class for its core: how variants are tried out."""

    def build(
        context: CoreContext, options: GossipOptions, cells: Cells, semantics: LatticeSemantics
    ) -> GossipCore:
        return core(context, options, cells, semantics)

    return KeyedProtocol(
        name=name,
        summary="delta-state CRDTs with causal delivery: causal+, available in a partition",
        options=GossipOptions,
        codec=CODEC,
        semantics="lattice",
        build=build,
        promise=promise,
    )


PROTOCOL = protocol_of(GossipCore)
