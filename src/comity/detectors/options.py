"""What may be chosen about a detector. Durations are nanoseconds; bad values raise `ValueError`."""

from __future__ import annotations

import msgspec

MILLISECOND_NS = 1_000_000
SECOND_NS = 1000 * MILLISECOND_NS


class HeartbeatOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """interval_ns: between two heartbeats to everyone. suspect_ns, dead_ns: silence after which a member
    is suspected, and held dead. max_members: other members at most."""

    interval_ns: int = SECOND_NS
    suspect_ns: int = 2500 * MILLISECOND_NS
    dead_ns: int = 5 * SECOND_NS
    max_members: int = 2000

    def __post_init__(self) -> None:
        _positive(self, "heartbeat")
        if self.suspect_ns <= self.interval_ns:
            raise ValueError(
                f"heartbeat option suspect_ns ({self.suspect_ns}) must be above interval_ns "
                f"({self.interval_ns}), or every member is suspected between two heartbeats"
            )
        if self.dead_ns < self.suspect_ns:
            raise ValueError(
                f"heartbeat option dead_ns ({self.dead_ns}) must be at least suspect_ns ({self.suspect_ns})"
            )


class PhiOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the phi accrual detector (Hayashibara 2004).

    interval_ns: between two heartbeats to everyone; also the first guess of the mean interval.
    suspect, dead: the phi from which on a member is suspected, and held dead: phi 3 is wrong about once
        in 10**3 late heartbeats, phi 8 once in 10**8, if intervals are normal; lost heartbeats are not.
    window: inter-arrival times remembered of each member.
    min_std_ns: the least standard deviation assumed; without one a very regular network makes the
        detector expect nanoseconds, and the first delay kills. A quarter of an interval lets a single
        lost heartbeat pass with suspicion.
    pause_ns: silence added to the mean, for pauses that are known to happen; 0 as in the paper.
    max_members: other members at most.
    """

    interval_ns: int = SECOND_NS
    suspect: float = 3.0
    dead: float = 8.0
    window: int = 1000
    min_std_ns: int = 250 * MILLISECOND_NS
    pause_ns: int = 0
    max_members: int = 2000

    def __post_init__(self) -> None:
        _positive(self, "phi", but=("pause_ns",))
        if not 0.5 <= self.suspect <= self.dead <= 10_000:
            raise ValueError(
                "phi options must have 0.5 <= suspect <= dead <= 10000 (below 0.5 a member that is on time "
                f"is suspected), not suspect={self.suspect} and dead={self.dead}"
            )
        if self.window < 2:
            raise ValueError(f"phi option window must be 2 or more to have a deviation, not {self.window}")
        if self.pause_ns < 0:
            raise ValueError(f"phi option pause_ns must be 0 or more, not {self.pause_ns}")


class SwimOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of SWIM (Das, Gupta & Motivala 2002) with Lifeguard (Dadgar, Phillips & Currey 2018).

    interval_ns: the protocol period T'. timeout_ns: how long a direct ping waits before others are asked.
    indirect: k, how many are asked to ping a silent member.
    alpha: the least suspicion timeout, in periods times max(1, log10(members)). beta: how many times that
        the greatest one is, with `dynamic_suspicion`.
    confirmations: K, independent suspicions that bring the timeout down to the least.
    health_max: S, where the local health multiplier saturates. nack_percent: of timeout_ns, after which
        one who was asked says that the target is silent.
    local_health, dynamic_suspicion, buddy: Lifeguard's three parts; all off is SWIM as it was.
    retransmit: lambda, a piece of news is sent retransmit * ln(members + 1) times.
    max_piggyback_bytes: of news in one message.
    reconnect_periods: one dead member is pinged each so many periods, so that partitions heal; 0 for never.
    max_relays: pings made for others at a time; beyond it requests are dropped.
    open_group: a member is also who is named in news; else only who was given to `admit` or `view`.
    max_members: other members at most, dead ones too.
    """

    interval_ns: int = SECOND_NS
    timeout_ns: int = 500 * MILLISECOND_NS
    indirect: int = 3
    alpha: int = 5
    beta: int = 6
    confirmations: int = 3
    health_max: int = 8
    nack_percent: int = 80
    local_health: bool = True
    dynamic_suspicion: bool = True
    buddy: bool = True
    retransmit: int = 3
    max_piggyback_bytes: int = 512
    reconnect_periods: int = 10
    max_relays: int = 64
    open_group: bool = False
    max_members: int = 2000

    def __post_init__(self) -> None:
        _positive(self, "swim", but=("indirect", "confirmations", "health_max", "reconnect_periods"))
        for name in ("indirect", "confirmations", "health_max", "reconnect_periods"):
            if getattr(self, name) < 0:
                raise ValueError(f"swim option {name} must be 0 or more, not {getattr(self, name)}")
        if self.interval_ns < 2 * self.timeout_ns:
            raise ValueError(
                f"swim option interval_ns ({self.interval_ns}) must be at least twice timeout_ns "
                f"({self.timeout_ns}): indirect pings need time, too"
            )
        if self.nack_percent >= 100:
            raise ValueError(
                f"swim option nack_percent must be below 100, not {self.nack_percent}: "
                "a nack must arrive before it is missed"
            )
        if self.max_piggyback_bytes < 64:
            raise ValueError(
                f"swim option max_piggyback_bytes must be 64 or more, not {self.max_piggyback_bytes}: "
                "one piece of news must fit"
            )


class GrayOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a node that works is better routed around.

    slow_factor, well_factor: a disk is slow from so many times the others' median on, and well again below
        so many times; the gap between them is the hysteresis. floor_ns: faster than this is never slow.
    enter_ns, leave_ns: how long a symptom must last before it counts, and be gone before it does not.
    fresh_ns: heard within this is hearing; silent_ns: not heard for this is not hearing.
    stale_ns: reports older than this say nothing: whether that node lives is the detectors' question.
    max_members: nodes that may report at most; each pair of them is looked at.
    """

    slow_factor: int = 8
    well_factor: int = 3
    floor_ns: int = 20 * MILLISECOND_NS
    enter_ns: int = 5 * SECOND_NS
    leave_ns: int = 15 * SECOND_NS
    fresh_ns: int = 2500 * MILLISECOND_NS
    silent_ns: int = 5 * SECOND_NS
    stale_ns: int = 5 * SECOND_NS
    max_members: int = 128

    def __post_init__(self) -> None:
        _positive(self, "gray")
        if not 1 <= self.well_factor < self.slow_factor:
            raise ValueError(
                f"gray option well_factor ({self.well_factor}) must be below slow_factor "
                f"({self.slow_factor}), or a disk between them flaps"
            )
        if self.silent_ns <= self.fresh_ns:
            raise ValueError(
                f"gray option silent_ns ({self.silent_ns}) must be above fresh_ns ({self.fresh_ns})"
            )


def _positive(options: msgspec.Struct, kind: str, but: tuple[str, ...] = ()) -> None:
    for name in options.__struct_fields__:
        value = getattr(options, name)
        if type(value) is int and value < 1 and name not in but:
            raise ValueError(f"{kind} option {name} must be 1 or more, not {value}")


PLAIN_SWIM = SwimOptions(local_health=False, dynamic_suspicion=False, buddy=False)
"""SWIM without Lifeguard."""
