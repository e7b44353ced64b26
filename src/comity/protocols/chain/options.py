"""What a keyspace may choose about its chain."""

from __future__ import annotations

import msgspec

MILLISECOND_NS = 1_000_000
KIB = 1024
MIB = 1024 * KIB
MILLION = 1_000_000

LEASE = "lease"
CONFIRM = "confirm"


class ChainOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one chain; the same on every member. Durations are nanoseconds.

    Raises `ValueError` with the option's name where a value or a combination makes no sense.

    reads: how a replica knows that its view is still in force when it answers a read: "lease" by what
        the others have promised it, "confirm" by asking all of them, once for a batch of reads.
    lease_ns: how long a promise lasts. For as long, a little stretched, a view that leaves a node out
        may have to wait before it commits its first write.
    clock_drift_ppm: every clock's rate stays within so many millionths of real time; leases rest on it.
    heartbeat_ns: between two heartbeats, and the grid they are aligned to.
    max_append_bytes: entries in one Append, unless a single entry is larger.
    max_inflight_bytes, max_inflight_messages: Appends sent to one successor and not acknowledged.
    max_uncommitted_bytes: beyond it the head refuses proposals as overloaded.
    keep_log_bytes: entries kept after compaction for those a little behind.
    max_log_bytes: entries kept at most for a recently heard successor that needs them.
    retry_ns: an unacknowledged Append or read request is taken for lost after this.
    snapshot_retry_ns: the same for a chunk of a snapshot; doubled up to eight times it.
    silent_ns: who was not heard for so long is sent nothing but heartbeats.
    read_timeout_ns: reads that nobody confirmed for so long are refused.
    max_waiting_reads: beyond it reads are refused as overloaded.
    """

    reads: str = LEASE
    lease_ns: int = 600 * MILLISECOND_NS
    clock_drift_ppm: int = 25_000
    heartbeat_ns: int = 100 * MILLISECOND_NS
    max_append_bytes: int = 512 * KIB
    max_inflight_bytes: int = 8 * MIB
    max_inflight_messages: int = 64
    max_uncommitted_bytes: int = 64 * MIB
    keep_log_bytes: int = 1 * MIB
    max_log_bytes: int = 64 * MIB
    retry_ns: int = 200 * MILLISECOND_NS
    snapshot_retry_ns: int = 500 * MILLISECOND_NS
    silent_ns: int = 1000 * MILLISECOND_NS
    read_timeout_ns: int = 1000 * MILLISECOND_NS
    max_waiting_reads: int = 100_000

    def __post_init__(self) -> None:
        if self.reads not in {LEASE, CONFIRM}:
            raise ValueError(f'chain option reads must be "lease" or "confirm", not {self.reads!r}')
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if type(value) is int and value < 1 and name != "clock_drift_ppm":
                raise ValueError(f"chain option {name} must be 1 or more, not {value}")
        if not 0 <= self.clock_drift_ppm <= MILLION // 2:
            raise ValueError(
                f"chain option clock_drift_ppm must be in [0, {MILLION // 2}], not {self.clock_drift_ppm}"
            )
        _at_least(self, "lease_ns", "heartbeat_ns", factor=3)
        _at_least(self, "silent_ns", "heartbeat_ns", factor=2)
        _at_least(self, "max_inflight_bytes", "max_append_bytes")
        _at_least(self, "max_log_bytes", "keep_log_bytes")

    @property
    def lease_wait_ns(self) -> int:
        """How long after a promise its lease has surely run out, by the clock of who gave it.

        The holder counts lease_ns on a clock that may be slow, which takes lease_ns / (1 - drift) of real
        time; a fast clock here sees (1 + drift) times as much. 0 where there are no leases.
        """
        if self.reads != LEASE:
            return 0
        return -(-self.lease_ns * (MILLION + self.clock_drift_ppm) // (MILLION - self.clock_drift_ppm))


def _at_least(options: ChainOptions, larger: str, smaller: str, factor: int = 1) -> None:
    large, small = getattr(options, larger), getattr(options, smaller)
    if large < small * factor:
        times = f"{factor} times " if factor > 1 else ""
        raise ValueError(f"chain option {larger} ({large}) must be at least {times}{smaller} ({small})")
