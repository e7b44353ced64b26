"""What a protocol promises for given options and replicas, in words and numbers a program can compare."""

from __future__ import annotations

import msgspec


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What a keyspace of this protocol, these options and this many replicas promises.

    levels: the consistency levels it can give; the first is what it gives unless asked for less. refusals:
    for each other level why not, and what would do. partition: "C" where a side without a quorum refuses
    (CAP), "A" where every side answers. otherwise: what it prefers without a partition (PACELC), "C" or "L";
    pacelc_reason: why it is in these classes. read_quorum, write_quorum: how many replicas an operation
    waits for, its own included. crash_faults, byzantine_faults: how many replicas may fail while it goes on
    serving. read_round_trips, write_round_trips: between replicas, (usual, worst without a failure).
    loss: what acknowledged writes may be lost, and when; staleness: how old a read may be, and for how long.
    minority, majority: what happens on each side of a partition.
    """

    levels: tuple[str, ...]
    refusals: dict[str, str] = {}
    partition: str
    otherwise: str
    pacelc_reason: str
    read_quorum: int
    write_quorum: int
    crash_faults: int
    byzantine_faults: int = 0
    read_round_trips: tuple[int, int]
    write_round_trips: tuple[int, int]
    loss: str
    staleness: str
    minority: str
    majority: str
