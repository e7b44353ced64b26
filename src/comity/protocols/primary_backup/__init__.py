"""Primary and backups, views from a control group (Alsberg & Day 1976; Vertical Paxos, 2009)."""

from __future__ import annotations

from comity.protocols.primary_backup.core import PrimaryBackupCore
from comity.protocols.primary_backup.messages import CODEC
from comity.protocols.primary_backup.options import PrimaryBackupOptions
from comity.protocols.primary_backup.promise import promise
from comity.replica import CoreContext, Protocol, Recovered

__all__ = ["PROTOCOL", "PrimaryBackupCore", "PrimaryBackupOptions", "protocol_of"]


def protocol_of(core: type[PrimaryBackupCore], name: str = "primary-backup") -> Protocol:
    """The protocol with another class for its core: how variants are tried out."""

    def build(context: CoreContext, options: PrimaryBackupOptions, recovered: Recovered) -> PrimaryBackupCore:
        return core(context, options, recovered)

    return Protocol(
        name=name,
        summary="primary and backups, views from a control group: linearizable, or (async) of bounded loss",
        options=PrimaryBackupOptions,
        codec=CODEC,
        build=build,
        promise=promise,
        views=True,
    )


PROTOCOL = protocol_of(PrimaryBackupCore)
