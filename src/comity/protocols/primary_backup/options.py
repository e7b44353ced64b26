"""What a keyspace may choose about its primary and backups."""

from __future__ import annotations

import msgspec

MILLISECOND_NS = 1_000_000
KIB = 1024
MIB = 1024 * KIB

SYNC = "sync"
ASYNC = "async"
BEST = "best"
EVERY = "every"
CONFIRM = "confirm"
LEASE = "lease"

_MAY_BE_ZERO = {"loss_entries", "loss_bytes", "clock_drift_ppm", "join_lag_entries"}


class PrimaryBackupOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one group; the same on every member. Durations are nanoseconds.

    Raises `ValueError` with the option's name where a value or a combination makes no sense.

    mode: "sync": an entry is committed once the primary and every backup have it on disk; "async": once the
        primary has.
    loss_entries, loss_bytes: with async, what may be lost when the primary fails and a backup takes over:
        while it lacks so much, proposals are refused. 0: no bound.
    loss_counts: whom the bound is about. "every": each backup, so whichever is promoted; one that is down
        stops writes once it lacks so much, until the next view leaves it out. "best": the best backup, for a
        control group that promotes it whatever happens (see README).
    reads: "confirm": the primary answers reads after a round in which every member confirmed the epoch;
        "lease": without one while its lease lasts. Safe only while every clock's rate stays within
        clock_drift_ppm (parts per million) of real time.
    lease_ns: for how long a member that confirmed will let nothing be committed without the primary.
    heartbeat_ns: between two rounds of an idle primary, and the grid they are aligned to.
    retry_ns: an unacknowledged Append or read request is taken for lost after this.
    snapshot_retry_ns: the same for a chunk of a snapshot; doubled up to eight times it.
    read_expiry_ns: a backup refuses the reads its primary has not answered for so long.
    silent_ns: to a replica not heard of for so long only heartbeats are sent, and no log is kept for it.
    max_append_bytes: entries in one Append, unless a single entry is larger.
    max_inflight_bytes, max_inflight_messages: Appends sent to one backup and not acknowledged.
    max_uncommitted_bytes: beyond it a primary refuses proposals as overloaded.
    keep_log_bytes: entries kept after compaction for replicas a little behind.
    max_log_bytes: entries a primary keeps at most for recently active replicas that need them.
    eager_commit: tell every replica of a commit in the same turn; otherwise only those whose clients wait
        for one, and the others within commit_notify_ns, unless an Append carries it first.
    join_lag_entries: a joining replica that lacks no more counts from then on, so that it surely gets level.
    """

    mode: str = SYNC
    loss_entries: int = 0
    loss_bytes: int = 0
    loss_counts: str = EVERY
    reads: str = CONFIRM
    lease_ns: int = 500 * MILLISECOND_NS
    clock_drift_ppm: int = 10_000
    heartbeat_ns: int = 100 * MILLISECOND_NS
    retry_ns: int = 200 * MILLISECOND_NS
    snapshot_retry_ns: int = 500 * MILLISECOND_NS
    read_expiry_ns: int = 1000 * MILLISECOND_NS
    silent_ns: int = 1000 * MILLISECOND_NS
    max_append_bytes: int = 512 * KIB
    max_inflight_bytes: int = 8 * MIB
    max_inflight_messages: int = 64
    max_uncommitted_bytes: int = 64 * MIB
    keep_log_bytes: int = 1 * MIB
    max_log_bytes: int = 64 * MIB
    eager_commit: bool = True
    commit_notify_ns: int = 2 * MILLISECOND_NS
    join_lag_entries: int = 100

    def __post_init__(self) -> None:
        if self.mode not in {SYNC, ASYNC}:
            raise ValueError(f"primary-backup option mode must be 'sync' or 'async', not {self.mode!r}")
        if self.loss_counts not in {BEST, EVERY}:
            raise ValueError(
                f"primary-backup option loss_counts must be 'best' or 'every', not {self.loss_counts!r}"
            )
        if self.reads not in {CONFIRM, LEASE}:
            raise ValueError(f"primary-backup option reads must be 'confirm' or 'lease', not {self.reads!r}")
        for name in self.__struct_fields__:
            value = getattr(self, name)
            least = 0 if name in _MAY_BE_ZERO else 1
            if type(value) is int and value < least:
                raise ValueError(f"primary-backup option {name} must be {least} or more, not {value}")
        _at_least(self, "lease_ns", "heartbeat_ns", factor=2)
        _at_least(self, "silent_ns", "heartbeat_ns", factor=2)
        _at_least(self, "read_expiry_ns", "retry_ns")
        _at_least(self, "max_inflight_bytes", "max_append_bytes")
        _at_least(self, "max_log_bytes", "keep_log_bytes")
        if self.clock_drift_ppm >= 500_000:
            raise ValueError(
                f"primary-backup option clock_drift_ppm must be below 500000, not {self.clock_drift_ppm}"
            )
        if self.mode == SYNC and (self.loss_entries or self.loss_bytes):
            raise ValueError(
                "primary-backup options loss_entries and loss_bytes need mode 'async': with 'sync' nothing "
                "that was acknowledged can be lost"
            )
        if self.mode == ASYNC and self.reads == LEASE:
            raise ValueError(
                "primary-backup option reads 'lease' needs mode 'sync': an async primary answers reads at "
                "once, and promises no more"
            )

    @property
    def sync(self) -> bool:
        """Whether commitment waits for the backups."""
        return self.mode == SYNC


def _at_least(options: PrimaryBackupOptions, larger: str, smaller: str, factor: int = 1) -> None:
    large, small = getattr(options, larger), getattr(options, smaller)
    if large < small * factor:
        times = f"{factor} times " if factor > 1 else ""
        raise ValueError(
            f"primary-backup option {larger} ({large}) must be at least {times}{smaller} ({small})"
        )
