"""What may be chosen for a keyspace: a protocol's options, and the levels it gives with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from comity.keyspaces.definition import KeyspaceError
from comity.replica import (
    CAUSAL,
    EVENTUAL,
    LINEARIZABLE,
    SEQUENTIAL,
    SESSION,
    KeyedProtocol,
    Promise,
    Protocol,
)

LEVELS = (LINEARIZABLE, SEQUENTIAL, CAUSAL, SESSION, EVENTUAL)
"""All levels, the strongest first. Every replicated log can give all of them."""

MOST = 1 << 48
"""Of any option: three days in nanoseconds, and more bytes than a node holds."""

AnyProtocol = Protocol | KeyedProtocol


def find_protocol(protocols: Mapping[str, AnyProtocol], name: str) -> AnyProtocol:
    """The protocol of that name. Raises `KeyspaceError` where there is none."""
    protocol = protocols.get(name)
    if protocol is None:
        raise KeyspaceError(f"there is no replication {name!r}; there are: {', '.join(sorted(protocols))}")
    return protocol


def checked_options(protocol: AnyProtocol, options: Mapping[str, str]) -> dict[str, Any]:
    """Options as their protocol has them, from words. Raises `KeyspaceError`."""
    known = [field.name for field in msgspec.structs.fields(protocol.options)]
    for name in options:
        if name not in known:
            raise KeyspaceError(
                f"{protocol.name} has no option {name!r}; it has: {', '.join(known) or 'none'}"
            )
    try:
        built = msgspec.convert(dict(options), protocol.options, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise KeyspaceError(f"the options of {protocol.name}: {error}") from None
    values = msgspec.to_builtins(built)
    chosen = {name: values[name] for name in options}
    for name, value in chosen.items():
        if isinstance(value, int) and abs(value) > MOST:
            raise KeyspaceError(
                f"the options of {protocol.name}: {name} is {value}; {MOST} is the most, and too much"
            )
    return chosen


def promise_of(protocol: AnyProtocol, options: Mapping[str, Any], replicas: int) -> Promise | None:
    """What the protocol promises with these options; None where it states nothing. Raises `KeyspaceError` for
    no replicas."""
    if replicas < 1:
        raise KeyspaceError(f"{replicas} replicas hold nothing; choose 1 or more")
    if protocol.promise is None:
        return None
    return protocol.promise(msgspec.convert(dict(options), protocol.options), replicas)


def chosen_level(protocol: AnyProtocol, options: Mapping[str, Any], replicas: int, wanted: str | None) -> str:
    """The level asked for, or what it gives unless asked for less. Raises `KeyspaceError` where it cannot be
    given."""
    promise = promise_of(protocol, options, replicas)
    levels = LEVELS if promise is None else promise.levels
    if wanted is None:
        return levels[0]
    if wanted not in levels:
        unknown = "there is no such level" if wanted not in LEVELS else "it cannot give it"
        reason = unknown if promise is None else promise.refusals.get(wanted, unknown)
        raise KeyspaceError(f"{protocol.name} is not {wanted}: {reason}; it gives {', '.join(levels)}")
    return wanted
