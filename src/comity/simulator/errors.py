"""What a simulation finds."""

from __future__ import annotations

import msgspec


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A promise that was broken.

    kind: one of the words below, for programs and for the shrinker, which keeps it.
    detail: for people. time_ms: virtual. node: where, 0 for nowhere in particular.

    "state-machine-safety": two nodes applied different entries at one index, or one was changed.
    "election-safety": two leaders of one term. "invariant": a replica or host found itself in a
    forbidden state. "linearizability", "session", "expiry", "order": what clients saw.
    "duplicate": a command took effect twice. "digest": replicas differ at one index.
    "durability": the state went back over a crash. "corruption": damaged bytes were accepted, or
    sound ones refused. "liveness": faults ended and it did not recover. "exception": a crash of
    the program itself. "format": a frame did not survive coding.
    """

    kind: str
    detail: str
    time_ms: int = 0
    node: int = 0


class ViolationFound(Exception):
    """Stops a simulation at once."""

    def __init__(self, kind: str, detail: str, node: int = 0) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.node = node
