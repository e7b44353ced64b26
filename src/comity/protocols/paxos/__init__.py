"""Paxos: a leaderless linearizable register per key (CASPaxos, Rystsov 2018; Lamport 2001)."""

from __future__ import annotations

from comity.protocols.paxos.acceptor import Acceptance, Acceptor
from comity.protocols.paxos.core import PaxosCore
from comity.protocols.paxos.learner import Learner
from comity.protocols.paxos.messages import CODEC
from comity.protocols.paxos.options import PaxosOptions
from comity.protocols.paxos.promise import promise
from comity.protocols.paxos.proposer import Proposer, decree
from comity.replica import Cells, CoreContext, KeyedProtocol, RegisterSemantics

__all__ = [
    "PROTOCOL",
    "Acceptance",
    "Acceptor",
    "Learner",
    "PaxosCore",
    "PaxosOptions",
    "Proposer",
    "decree",
    "protocol_of",
]


def protocol_of(core: type[PaxosCore], name: str = "paxos") -> KeyedProtocol:
    """Paxos as a protocol, with another class for its core: how variants are tried out."""

    def build(
        context: CoreContext, options: PaxosOptions, cells: Cells, semantics: RegisterSemantics
    ) -> PaxosCore:
        return core(context, options, cells, semantics)

    return KeyedProtocol(
        name=name,
        summary="leaderless register per key (CASPaxos): linearizable, consistent in a partition",
        options=PaxosOptions,
        codec=CODEC,
        semantics="register",
        majority_settles=True,
        build=build,
        promise=promise,
    )


PROTOCOL = protocol_of(PaxosCore)
