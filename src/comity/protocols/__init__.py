"""Replication protocols, a folder each; `load` finds them.

A folder here is a protocol when its package has a `PROTOCOL` (a `replica.Protocol` or
`replica.KeyedProtocol`). Nothing else needs to know of it: a new protocol is a new folder.
"""

from __future__ import annotations

import importlib
import pkgutil

from comity.replica import KeyedProtocol, Protocol

__all__ = ["load"]


def load() -> dict[str, Protocol | KeyedProtocol]:
    """Every protocol in this room, by name, in alphabetical order.

    Raises `ValueError` where two folders claim one name.
    """
    found: dict[str, Protocol | KeyedProtocol] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        if not module.ispkg:
            continue
        protocol = getattr(importlib.import_module(f"{__name__}.{module.name}"), "PROTOCOL", None)
        if protocol is None:
            continue
        if protocol.name in found:
            raise ValueError(f"two protocols are called {protocol.name!r}")
        found[protocol.name] = protocol
    return found
