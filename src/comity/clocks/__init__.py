"""Logical time: what can be said about the order of events where no two clocks agree.

Every clock here is an immutable value. A node keeps the value, replaces it by what a method returns,
and sends it along with its messages. Physical times are integer nanoseconds that the caller passes in.

==================  =====================================================================
`LamportTime`       a total order that never contradicts causality
`VectorClock`       exactly causality: before, after, equal or concurrent
`HybridTime`        Lamport's guarantee in 64 bits that stay close to physical time
`DottedVersion`     one version of a value: which event wrote it, and what that had seen
`VersionSet`        the concurrent versions of one value on a replica, with their causal context
==================  =====================================================================
"""

from comity.clocks.dotted import Dot, DottedVersion, VersionSet, context_of, sync, update
from comity.clocks.hybrid import ClockDriftExceeded, HybridTime
from comity.clocks.lamport import LamportTime
from comity.clocks.vector import Causality, DepartureNotSeen, VectorClock

__all__ = [
    "Causality",
    "ClockDriftExceeded",
    "DepartureNotSeen",
    "Dot",
    "DottedVersion",
    "HybridTime",
    "LamportTime",
    "VectorClock",
    "VersionSet",
    "context_of",
    "sync",
    "update",
]
