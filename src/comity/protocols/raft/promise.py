"""What a Raft keyspace promises."""

from __future__ import annotations

from comity.protocols.raft.options import RaftOptions
from comity.replica import CAUSAL, EVENTUAL, LINEARIZABLE, SEQUENTIAL, SESSION, Promise
from comity.replica.promises import RoundTrips, counted, spelled, weaker_reads


def promise(options: RaftOptions, replicas: int) -> Promise:
    """A majority elects the leader, commits every entry, and confirms the leader for reads."""
    majority = replicas // 2 + 1
    alone = replicas == 1
    lease = options.lease_reads
    write: RoundTrips = (0, 0) if alone else (1, 2)
    read: RoundTrips = (0, 0) if alone else (0, 1) if lease else (1, 2)
    election = f"{spelled(options.election_ns)} to {spelled(options.election_max_ns)}"
    return Promise(
        levels=(LINEARIZABLE, SEQUENTIAL, CAUSAL, SESSION, EVENTUAL),
        partition="C",
        otherwise="C",
        pacelc_reason=(
            "a write is acknowledged once a majority has it on disk, and a linearizable read once "
            + (
                "the leader holds a lease from a majority"
                if lease
                else "a majority has confirmed the leader, so both wait for others even when nothing fails"
            )
            + "; a side without a majority cannot have either"
        ),
        read_quorum=1 if lease else majority,
        write_quorum=majority,
        crash_faults=replicas - majority,
        read_round_trips=read,
        write_round_trips=write,
        weaker=weaker_reads(majority, write),
        failover_ns=0 if alone else options.election_max_ns,
        convergence_ns=options.election_max_ns + options.heartbeat_ns,
        clocks=(
            f"every clock's rate stays within {options.clock_drift:.2%} of real time, or a read under a "
            "lease may be stale"
            if lease
            else ""
        ),
        loss=(
            "nothing that was acknowledged, while the disks of no more than "
            f"{counted(replicas - majority, 'replica')} are lost for good; a write that was answered with an "
            "error or not at all may or may not have happened"
        ),
        staleness=(
            "none at linearizable. Below it a read shows a prefix of the one history, as far as the replica "
            f"has applied it: usually one message and {_notice(options)} behind, on a side without a "
            "majority as old as the partition"
        ),
        minority=(
            "there are no others: the replica is a majority by itself"
            if alone
            else "writes and linearizable reads are refused when their deadline has passed; weaker reads are "
            "answered from what was applied before the cut"
        ),
        majority=(
            "goes on at once where the leader is; otherwise elects one within about "
            f"{election}, or sooner where the leader's process is known to be gone"
        ),
    )


def _notice(options: RaftOptions) -> str:
    return "a turn of the leader" if options.eager_commit else spelled(options.commit_notify_ns)
