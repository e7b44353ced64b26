"""Quorums: N replicas, R answers, W acknowledgements (Dynamo, SOSP 2007; ABD, JACM 1995)."""

from __future__ import annotations

from comity.protocols.quorum.arithmetic import Promise, Quorums, quorum_promise, quorums_of
from comity.protocols.quorum.core import QuorumCore
from comity.protocols.quorum.messages import CODEC
from comity.protocols.quorum.options import QuorumOptions
from comity.protocols.quorum.placement import preference
from comity.protocols.quorum.promise import promise
from comity.replica import Cells, CoreContext, KeyedProtocol, RegisterSemantics

__all__ = [
    "PROTOCOL",
    "Promise",
    "QuorumCore",
    "QuorumOptions",
    "Quorums",
    "preference",
    "protocol_of",
    "quorum_promise",
    "quorums_of",
]


def protocol_of(core: type[QuorumCore], name: str = "quorum") -> KeyedProtocol:
    """Quorums as a protocol, with another class for its core: how variants are tried out."""

    def build(
        context: CoreContext, options: QuorumOptions, cells: Cells, semantics: RegisterSemantics
    ) -> QuorumCore:
        return core(context, options, cells, semantics)

    return KeyedProtocol(
        name=name,
        summary="N, R, W and any coordinator: linearizable registers where R+W > N, else eventual",
        options=QuorumOptions,
        codec=CODEC,
        semantics="register",
        atomic=False,
        build=build,
        promise=promise,
    )


PROTOCOL = protocol_of(QuorumCore)
