"""How a mutant is put into a simulation, and taken out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from comity.protocols import load
from comity.replica import KeyedProtocol, Protocol, Stream
from comity.simulator.cluster import Mutation
from comity.simulator.settings import Fault, Settings

Replacement = tuple[type, str, Any]
"""(class, attribute, what stands there meanwhile)."""


class CoreMutation(Mutation):
    """Another class for a protocol's core."""

    def __init__(self, protocol: str, core: Callable[..., Any]) -> None:
        self._protocol = protocol
        self._core = core

    def protocols(self) -> dict[str, Protocol | KeyedProtocol]:
        """The protocol with the mutant for a core."""
        found = load()
        mutant = msgspec.structs.replace(found[self._protocol], build=self._core)
        return {**found, self._protocol: mutant}


def unaudited(core: type[Any]) -> type[Any]:
    """The same core, whose audit finds nothing."""

    def check(self: Any) -> None:
        """Nothing is looked at."""

    return type(core.__name__, (core,), {"check": check, "__doc__": core.__doc__})


@contextmanager
def replaced(replacements: tuple[Replacement, ...]) -> Iterator[None]:
    """Have attributes of classes be others for a while."""
    before = [(owner, name, owner.__dict__[name]) for owner, name, _ in replacements]
    for owner, name, value in replacements:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


Plan = Callable[[Stream, int, int], tuple[Settings, tuple[Fault, ...]]]
"""(stream, nodes, duration in ms) -> the world and its faults."""


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """One deliberate bug.

    name: for the command line. wrong: what it does wrong, for people. rule: what it breaks.
    mutation: makes what replaces parts of the cluster. replacements: attributes of classes.
    plan: a mixture of faults in which the bug can show; the swarm's where None. nodes, duration_ms,
    per_second: of its simulations. protocol: whose keyspace is tried; trial: how, where not in the usual way
    (see `trials`).
    """

    name: str
    wrong: str
    rule: str
    mutation: Callable[[], Mutation] = Mutation
    replacements: tuple[Replacement, ...] = ()
    plan: Plan | None = None
    nodes: int = 5
    duration_ms: int = 6_000
    per_second: int = 60
    protocol: str = "raft"
    trial: str = ""
