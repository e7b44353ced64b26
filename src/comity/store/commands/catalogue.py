"""The command with which the control group changes its catalogue of keyspaces; no client can send it."""

from __future__ import annotations

from collections.abc import Sequence

from comity.formats.resp import OK
from comity.store.commands.arguments import integer
from comity.store.errors import CommandError
from comity.store.keyspace import Context

CONFLICT = b"CONFLICT the catalogue has changed meanwhile"
NAME = b"COMITY.CATALOGUE"


def catalogue(ctx: Context, args: Sequence[bytes]) -> bytes:
    """COMITY.CATALOGUE version data: replace the catalogue if it has that version still; it gets the next."""
    if integer(args[1]) != ctx.catalogue_version:
        raise CommandError(CONFLICT)
    ctx.catalogue_version += 1
    ctx.catalogue = args[2]
    return OK
