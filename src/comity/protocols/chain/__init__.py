"""Chain replication with apportioned queries: writes go from head to tail, any replica serves reads
(van Renesse & Schneider, OSDI 2004; Terrace & Freedman, USENIX ATC 2009)."""

from __future__ import annotations

from comity.protocols.chain.core import ChainCore
from comity.protocols.chain.messages import CODEC
from comity.protocols.chain.options import ChainOptions
from comity.protocols.chain.promise import promise
from comity.replica import CoreContext, Protocol, Recovered

__all__ = ["PROTOCOL", "ChainCore", "ChainOptions", "protocol_of"]


def protocol_of(core: type[ChainCore], name: str = "chain") -> Protocol:
    """Chain replication as a protocol, with another class for its core: how variants are tried out."""

    def build(context: CoreContext, options: ChainOptions, recovered: Recovered) -> ChainCore:
        return core(context, options, recovered)

    return Protocol(
        name=name,
        summary="head to tail, reads at every replica: linearizable, consistent in a partition",
        options=ChainOptions,
        codec=CODEC,
        build=build,
        promise=promise,
        views=True,
    )


PROTOCOL = protocol_of(ChainCore)
