"""What a primary and its backups promise: sync and async are two different keyspaces."""

from __future__ import annotations

from comity.protocols.primary_backup.options import EVERY, LEASE, PrimaryBackupOptions
from comity.replica import CAUSAL, EVENTUAL, LINEARIZABLE, SEQUENTIAL, SESSION, Promise
from comity.replica.promises import ANYWHERE, PRIMARY, RoundTrips, spelled, weaker_reads

ALONE_ON_A_SIDE = "there are no others: where the replica is, it serves"


def promise(options: PrimaryBackupOptions, replicas: int) -> Promise:
    """What the mode keeps."""
    return _sync(options, replicas) if options.sync else _async(options, replicas)


def _sync(options: PrimaryBackupOptions, replicas: int) -> Promise:
    """Every replica of the view has a write before it is acknowledged (Alsberg & Day 1976)."""
    alone = replicas == 1
    lease = options.reads == LEASE
    write: RoundTrips = (0, 0) if alone else (1, 2)
    read: RoundTrips = (0, 0) if alone else (0, 1) if lease else (1, 2)
    return Promise(
        levels=(LINEARIZABLE, SEQUENTIAL, CAUSAL, SESSION, EVENTUAL),
        partition="C",
        otherwise="C",
        pacelc_reason=(
            "a write is acknowledged once the primary and every backup have it on disk, and a linearizable "
            "read "
            + (
                "while all of them have promised to let nothing be committed without this primary"
                if lease
                else "once all of them have confirmed that this primary's view is in force"
            )
            + "; who is cut off is left out of the view, and serves neither"
        ),
        read_quorum=1 if lease else replicas,
        write_quorum=replicas,
        crash_faults=replicas - 1,
        read_round_trips=read,
        write_round_trips=write,
        weaker=weaker_reads(replicas, write),
        control_group=True,
        failover_ns=options.lease_ns if lease and not alone else 0,
        convergence_ns=options.lease_ns + options.silent_ns + options.heartbeat_ns,
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
            "none at linearizable. Below it a read shows a prefix of the one history, as far as the replica "
            f"has applied it: usually one message and {_notice(options)} behind, on a side that was cut off "
            "as old as the partition"
        ),
        minority=(
            ALONE_ON_A_SIDE
            if alone
            else "writes and linearizable reads are refused when their deadline has passed; weaker reads are "
            "answered from what was applied before the cut"
        ),
        majority=(
            "the side with the majority of the control group goes on with those of the view that are there, "
            "one is enough, once that group has noticed"
            + (f" and {spelled(options.lease_ns)} of leases have run out" if lease and not alone else "")
        ),
    )


def _async(options: PrimaryBackupOptions, replicas: int) -> Promise:
    """The primary acknowledges what it has on its own disk."""
    alone = replicas == 1
    write: RoundTrips = (0, 0) if alone else (0, 1)
    bounds = _bounds(options)
    bound = (
        f"at most {' and at most '.join(bounds)}"
        if bounds
        else "without a bound (options loss_entries and loss_bytes set one)"
    )
    instead = "primary-backup keyspaces in mode sync, raft, chain and paxos keyspaces can"
    gone = "acknowledged writes that a backup does not have when it takes over are gone"
    return Promise(
        levels=(EVENTUAL,),
        refusals={
            LINEARIZABLE: f"{gone}, and a primary that was cut off answers for a while longer; {instead}",
            SEQUENTIAL: f"{gone}, though clients have read them and built upon them; {instead}",
            CAUSAL: f"{gone}, also those that others have built upon; {instead}, and gossip keyspaces",
            SESSION: (
                f"{gone}, and sessions then miss their own writes and what they have read; {instead}, and "
                "gossip and strict quorum keyspaces"
            ),
        },
        partition="A",
        otherwise="L",
        pacelc_reason=(
            "the primary acknowledges alone, without waiting for a backup; in a partition it goes on where "
            "it is, while the control group's side may have another, so writes on both sides are "
            "acknowledged and those of the old primary are lost. Only a side without any primary takes no "
            "writes"
        ),
        read_quorum=1,
        write_quorum=1,
        crash_faults=replicas - 1,
        read_round_trips=(0, 0),
        write_round_trips=write,
        reads=ANYWHERE,
        writes=PRIMARY,
        stale=True,
        control_group=True,
        convergence_ns=options.silent_ns + options.heartbeat_ns,
        loses=not alone,
        loss_entries=0 if alone else options.loss_entries,
        loss_bytes=0 if alone else options.loss_bytes,
        loss=(
            "there is no backup: what was acknowledged is lost only with the disk"
            if alone
            else "when the primary fails or is cut off: what it acknowledged and the backup that takes over "
            f"lacks, {bound}{_whose(options) if bounds else ''}"
        ),
        staleness=(
            "none while there is one replica"
            if alone
            else "at a backup usually one message and a moment behind the primary; at a primary that was cut "
            "off, and at the backups with it, as old as the partition"
        ),
        minority=(
            ALONE_ON_A_SIDE
            if alone
            else "reads are answered. Where the primary is, writes are acknowledged too"
            + (f", until {' or '.join(bounds)} are {_missing(options)}," if bounds else "")
            + " and lost once another takes over; elsewhere they are refused when their deadline has passed"
        ),
        majority=(
            "the side with the majority of the control group goes on with the primary, or with the backup "
            "there that has most, once that group has noticed"
        ),
    )


def _bounds(options: PrimaryBackupOptions) -> list[str]:
    """How much may be on no backup, in words. An entry of the log holds the commands of one turn."""
    bounds = []
    if options.loss_entries:
        entries = "1 entry" if options.loss_entries == 1 else f"{options.loss_entries:,} entries"
        bounds.append(f"{entries} of the log")
    if options.loss_bytes:
        bounds.append("1 byte" if options.loss_bytes == 1 else f"{options.loss_bytes:,} bytes")
    return bounds


def _whose(options: PrimaryBackupOptions) -> str:
    """Of which backup the bound holds."""
    if options.loss_counts == EVERY:
        return ", whichever backup that is"
    return " where that is the one that had most (with loss_counts every: whichever it is)"


def _missing(options: PrimaryBackupOptions) -> str:
    """What stops a primary that was cut off: a backup on its side may keep up."""
    return "missing at any backup" if options.loss_counts == EVERY else "on no backup of that side"


def _notice(options: PrimaryBackupOptions) -> str:
    return "a turn of the primary" if options.eager_commit else spelled(options.commit_notify_ns)
