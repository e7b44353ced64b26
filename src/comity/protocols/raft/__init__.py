"""Raft: a replicated log with one leader (Ongaro & Ousterhout 2014; Ongaro's thesis, 2014)."""

from __future__ import annotations

from comity.protocols.raft.core import RaftCore
from comity.protocols.raft.messages import CODEC
from comity.protocols.raft.options import RaftOptions
from comity.protocols.raft.promise import promise
from comity.replica import CoreContext, Protocol, Recovered

__all__ = ["PROTOCOL", "RaftCore", "RaftOptions", "protocol_of"]


def protocol_of(core: type[RaftCore], name: str = "raft") -> Protocol:
    """Raft as a protocol, with another class for its core: how variants are tried out."""

    def build(context: CoreContext, options: RaftOptions, recovered: Recovered) -> RaftCore:
        return core(context, options, recovered)

    return Protocol(
        name=name,
        summary="replicated log with one leader: linearizable, consistent in a partition",
        options=RaftOptions,
        codec=CODEC,
        build=build,
        promise=promise,
        members=True,
    )


PROTOCOL = protocol_of(RaftCore)
