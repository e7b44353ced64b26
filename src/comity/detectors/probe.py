"""Probes of SWIM in flight: this node's own, and those it makes for others (SWIM 3.1)."""

from __future__ import annotations

from comity.replica import NodeId


class Probe:
    """The probe of this period. asked: who was asked for help; owing: who of them has not answered."""

    __slots__ = ("acknowledged", "asked", "help_ns", "number", "owing", "target")

    def __init__(self, number: int, target: NodeId, help_ns: int) -> None:
        self.number = number
        self.target = target
        self.help_ns = help_ns
        self.asked: list[NodeId] = []
        self.owing: list[NodeId] = []
        self.acknowledged = False


class Relay:
    """A ping made for another: who asked, under which number; when to say that nothing was heard, and
    when to forget it."""

    __slots__ = ("ends_ns", "nack_ns", "number", "origin", "target")

    def __init__(self, origin: NodeId, number: int, target: NodeId, nack_ns: int, ends_ns: int) -> None:
        self.origin = origin
        self.number = number
        self.target = target
        self.nack_ns = nack_ns
        self.ends_ns = ends_ns
