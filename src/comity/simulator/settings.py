"""A case: everything that determines a simulation, as one value that can be saved and replayed."""

from __future__ import annotations

from typing import Any

import msgspec

FORMAT = 1
"""Of the saved file."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the world of one case behaves throughout; what happens in it are its faults.

    latency_us: least one-way delay of a link; jitter_us: mean of the exponential part above it.
    latencies_us: where not empty, that delay for every link, by number of source and target.
    loss, duplicate, reorder: probability per peer frame. loop_us: least and most time between a
    stimulus and the turn that handles it. fsync_us: least and most time of a log sync.
    job_us: least and most time of a state engine job. job_late: probability that a job's work is
    done at the end of that time and not at its start. drift_ppm: bound of every clock's drift.
    torn: whether a crash may tear writes. misdirect: probability per crash with a write under way.
    in_turn: probability that a crash falls between two effects of a turn.
    lease: whether the protocol may read on a lease; drift_ppm then is the declared bound.
    bounds: of the hosts, where they differ from this simulator's small ones. options: of the
    protocol, likewise. groups: how many keyspaces. replicas: of the keyspace under trial, 0 for every node.
    """

    latency_us: int = 300
    jitter_us: int = 200
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    loop_us: tuple[int, int] = (20, 1500)
    fsync_us: tuple[int, int] = (150, 1_500)
    job_us: tuple[int, int] = (500, 20_000)
    job_late: float = 0.5
    drift_ppm: int = 50
    torn: bool = True
    misdirect: float = 0.0
    in_turn: float = 0.0
    lease: bool = False
    bounds: dict[str, int] = {}
    options: dict[str, Any] = {}
    groups: int = 1
    replicas: int = 0
    latencies_us: tuple[tuple[int, ...], ...] = ()


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One planned fault: when, which kind (see `faults.KINDS`), where, how long, how much."""

    at_ms: int
    kind: str
    nodes: tuple[int, ...] = ()
    duration_ms: int = 0
    amount: int = 0


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One planned client operation.

    kind: see `workload.KINDS`. key: what it touches (a list for the kinds that touch several).
    value: unique in the case where the kind writes one. amount: milliseconds to live, for the
    kinds with expiry. pipelined: sent together with the client's previous operation.
    """

    at_ms: int
    client: int
    kind: str
    key: str
    value: str = ""
    amount: int = 0
    pipelined: bool = False


class Client(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One client: its first node, its read level, its protocol version, and whether it retries
    with CLIENT ONCE. moves: the probability that after an answer it goes on at another node, with the token
    of its session."""

    number: int
    node: int
    level: str = "linearizable"
    protocol: int = 2
    once: bool = False
    moves: float = 0.0


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that determines a run. mutant: the name of a deliberate bug, for the tests."""

    seed: int
    protocol: str = "raft"
    nodes: int = 5
    duration_ms: int = 20_000
    recovery_ms: int = 30_000
    settings: Settings = Settings()
    faults: tuple[Fault, ...] = ()
    clients: tuple[Client, ...] = ()
    operations: tuple[Operation, ...] = ()
    mutant: str = ""
    format: int = FORMAT


def encode_case(case: Case) -> bytes:
    """JSON for people and programs."""
    return msgspec.json.format(msgspec.json.encode(case), indent=1)


def decode_case(data: bytes) -> Case:
    """The inverse; raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    case = msgspec.json.decode(data, type=Case)
    if case.format != FORMAT:
        raise msgspec.ValidationError(f"a case of format {case.format}; this version reads {FORMAT}")
    return case
