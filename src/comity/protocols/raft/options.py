"""What a keyspace may choose about its Raft group."""

from __future__ import annotations

import msgspec

MILLISECOND_NS = 1_000_000
KIB = 1024
MIB = 1024 * KIB


class RaftOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one Raft group; the same on every member. Durations are nanoseconds.

    Raises `ValueError` with the option's name where a value or a combination makes no sense.

    heartbeat_ns: between two heartbeats of an idle leader, and the grid they are aligned to.
    election_ns, election_max_ns: a follower that heard nothing from a leader for a time drawn from
        [election_ns, election_max_ns] campaigns; within election_ns it refuses to vote.
    campaign_ns: the first wait for votes; doubled with each failed attempt, up to election_ns.
    bootstrap_ns: on an empty disk the lowest-numbered voter campaigns after this.
    hint_min_ns, hint_max_ns: a follower told that its leader's process is gone campaigns after a
        time drawn from this range.
    max_append_bytes: entries in one Append, unless a single entry is larger.
    max_inflight_bytes, max_inflight_messages: Appends sent to one follower and not acknowledged.
    max_uncommitted_bytes: beyond it a leader refuses proposals as overloaded.
    keep_log_bytes: entries kept after compaction for followers a little behind.
    max_log_bytes: entries a leader keeps at most for recently active followers that need them.
    retry_ns: an unacknowledged Append or read request is taken for lost after this; a read request is
        repeated at doubling intervals, for election_ns or twice the time that the last answer took.
    snapshot_retry_ns: the same for a chunk of a snapshot; doubled up to eight times it.
    eager_commit: tell every follower of a commit in the same turn; otherwise only those whose clients
        wait for one, and the others within commit_notify_ns, unless an Append carries it first.
    pre_vote: ask whether a campaign could succeed before starting one (thesis 9.6).
    check_quorum: a leader that has not heard from a quorum for election_ns steps down (thesis 6.2).
    lease_reads: a leader answers reads without a round while its lease lasts (thesis 6.4.1). Safe
        only while every clock's rate stays within a ratio of clock_drift of real time.
    promote_lag: entries a learner may lack when it is promoted.
    """

    heartbeat_ns: int = 100 * MILLISECOND_NS
    election_ns: int = 500 * MILLISECOND_NS
    election_max_ns: int = 1000 * MILLISECOND_NS
    campaign_ns: int = 50 * MILLISECOND_NS
    bootstrap_ns: int = 20 * MILLISECOND_NS
    hint_min_ns: int = 10 * MILLISECOND_NS
    hint_max_ns: int = 60 * MILLISECOND_NS
    max_append_bytes: int = 512 * KIB
    max_inflight_bytes: int = 8 * MIB
    max_inflight_messages: int = 64
    max_uncommitted_bytes: int = 64 * MIB
    keep_log_bytes: int = 1 * MIB
    max_log_bytes: int = 64 * MIB
    retry_ns: int = 200 * MILLISECOND_NS
    snapshot_retry_ns: int = 500 * MILLISECOND_NS
    eager_commit: bool = True
    commit_notify_ns: int = 2 * MILLISECOND_NS
    pre_vote: bool = True
    check_quorum: bool = True
    lease_reads: bool = False
    clock_drift: float = 0.01
    promote_lag: int = 1000

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if type(value) is int and value < 1 and name != "promote_lag":
                raise ValueError(f"raft option {name} must be 1 or more, not {value}")
        if self.promote_lag < 0:
            raise ValueError(f"raft option promote_lag must be 0 or more, not {self.promote_lag}")
        _at_least(self, "election_ns", "heartbeat_ns", factor=2)
        _at_least(self, "election_max_ns", "election_ns")
        _at_least(self, "election_ns", "campaign_ns")
        _at_least(self, "hint_max_ns", "hint_min_ns")
        _at_least(self, "max_inflight_bytes", "max_append_bytes")
        _at_least(self, "max_log_bytes", "keep_log_bytes")
        if self.lease_reads and not self.check_quorum:
            raise ValueError("raft option lease_reads needs check_quorum")
        if not 0 <= self.clock_drift < 0.5:
            raise ValueError(f"raft option clock_drift must be in [0, 0.5), not {self.clock_drift}")


def _at_least(options: RaftOptions, larger: str, smaller: str, factor: int = 1) -> None:
    large, small = getattr(options, larger), getattr(options, smaller)
    if large < small * factor:
        times = f"{factor} times " if factor > 1 else ""
        raise ValueError(f"raft option {larger} ({large}) must be at least {times}{smaller} ({small})")
