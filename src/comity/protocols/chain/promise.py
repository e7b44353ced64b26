"""What a chain promises."""

from __future__ import annotations

from comity.protocols.chain.options import LEASE, ChainOptions
from comity.replica import CAUSAL, EVENTUAL, LINEARIZABLE, SEQUENTIAL, SESSION, Promise
from comity.replica.promises import RoundTrips, spelled, weaker_reads


def write_round_trips(replicas: int) -> RoundTrips:
    """A command travels to the head, along the whole chain, and its acknowledgement back from the tail hop by
    hop to the replica that was asked. The tail itself hears first; the head, and who comes after it, last."""
    if replicas == 1:
        return (0, 0)
    return (replicas / 2, max(replicas / 2, replicas - 1))


def promise(options: ChainOptions, replicas: int) -> Promise:
    """Every replica of the view has a write before it is acknowledged; any of them answers reads."""
    alone = replicas == 1
    lease = options.reads == LEASE
    write = write_round_trips(replicas)
    read: RoundTrips = (0, 0) if alone else (0, 1) if lease else (1, 1)
    return Promise(
        levels=(LINEARIZABLE, SEQUENTIAL, CAUSAL, SESSION, EVENTUAL),
        partition="C",
        otherwise="C",
        pacelc_reason=(
            "a write is acknowledged once it has gone through the whole chain, and a replica that was cut "
            "out of it serves no linearizable read: it gives up answers, not consistency"
        ),
        read_quorum=1 if lease else replicas,
        write_quorum=replicas,
        crash_faults=replicas - 1,
        read_round_trips=read,
        write_round_trips=write,
        weaker=weaker_reads(replicas, write),
        control_group=True,
        failover_ns=0 if alone else options.lease_wait_ns,
        convergence_ns=options.lease_wait_ns + options.silent_ns + options.heartbeat_ns,
        clocks=(
            f"every clock's rate stays within {options.clock_drift_ppm:,} millionths of real time, or a read "
            "under a lease may be stale"
            if lease and not alone
            else ""
        ),
        loss=(
            "nothing that was acknowledged, while the disk of one replica of the view is left; a write that "
            "was answered with an error or not at all may or may not have happened"
        ),
        staleness=(
            "none at linearizable: a key with a version that may not be committed is asked of the tail. "
            "Below it a read shows a prefix of the one history, as old as the acknowledgement is on its way "
            "up the chain, and on a side that was cut off as old as the partition"
        ),
        minority=(
            "there are no others: where the replica is, it serves"
            if alone
            else "writes are refused when their deadline has passed"
            + (
                f", linearizable reads {spelled(options.lease_ns)} after the cut at the latest"
                if lease
                else " and linearizable reads too"
            )
            + "; weaker reads are answered from what was applied before the cut"
        ),
        majority=(
            "the side with the majority of the control group goes on with those of the view that are there, "
            f"one is enough: once that group has noticed and {spelled(options.lease_wait_ns)} of leases have "
            "run out"
            if lease
            else "the side with the majority of the control group goes on with those of the view that are "
            "there, one is enough, once that group has noticed"
        ),
    )
