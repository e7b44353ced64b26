"""Mixtures of faults in which a certain kind of bug can show."""

from __future__ import annotations

import msgspec

from comity.replica import Stream
from comity.simulator.settings import Fault, Settings


def storm(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """Crashes in quick succession, leaders above all, on slow disks, with fast restarts."""
    settings = Settings(
        latency_us=stream.pick((300, 2000)),
        jitter_us=1500,
        fsync_us=stream.pick(((150, 1500), (2000, 40_000))),
        in_turn=0.5,
        loss=stream.pick((0.0, 0.05)),
        torn=True,
    )
    kinds = (
        "crash-leader",
        "crash-leader",
        "crash",
        "crash-in-turn",
        "crash-all",
        "isolate",
        "slow-disk",
        "split",
    )
    return settings, _spread(stream, kinds, nodes, duration_ms, 150, (5, 20, 60, 300))


def split_leaders(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """Leaders cut off from the others, again and again, while their clients go on."""
    settings = Settings(latency_us=200, jitter_us=200, fsync_us=(150, 1000))
    kinds = ("isolate-leader", "isolate-leader", "crash-leader", "transfer")
    return settings, _spread(stream, kinds, nodes, duration_ms, 500, (700, 1200, 2000))


def trusting(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """The same, with leaders that do not step down when they hear from nobody."""
    settings, faults = split_leaders(stream, nodes, duration_ms)
    return msgspec.structs.replace(settings, options={"check_quorum": False}), faults


def impatient(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """The same, with requests given up long before a leader that was cut off is back."""
    settings, faults = split_leaders(stream, nodes, duration_ms)
    return msgspec.structs.replace(settings, bounds={"request_deadline_ns": 500_000_000}), faults


def bounces(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """Two nodes that cannot speak to each other, while others crash and are back at once."""
    settings = Settings(latency_us=200, jitter_us=300, fsync_us=(150, 800), options={"pre_vote": False})
    pairs = _spread(stream, ("freeze-links",), nodes, duration_ms, 700, (1000, 2000))
    crashes = _spread(stream, ("crash-voters", "crash-leader"), nodes, duration_ms, 200, (300, 700))
    return settings, tuple(sorted((*pairs, *crashes), key=lambda fault: fault.at_ms))


def figure_eight(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """Leaders crash early in their term, again and again, while they replicate one entry a message."""
    settings = Settings(
        latency_us=500,
        jitter_us=3000,
        fsync_us=(150, 2000),
        options={
            "max_append_bytes": 1,
            "max_inflight_messages": 1,
            "heartbeat_ns": 20_000_000,
            "election_ns": 60_000_000,
            "election_max_ns": 120_000_000,
            "hint_max_ns": 30_000_000,
        },
    )
    hunt = Fault(at_ms=300, kind="crash-young-leaders", duration_ms=duration_ms - 400)
    return settings, (hunt, *_spread(stream, ("isolate", "freeze-links"), nodes, duration_ms, 500, (50, 200)))


def bad_clocks(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """Clock rates that differ a lot, within a bound that is declared; leases; leaders cut off."""
    settings = Settings(
        latency_us=100,
        jitter_us=100,
        fsync_us=(150, 500),
        drift_ppm=150_000,
        lease=True,
        options={"election_max_ns": 520_000_000, "hint_max_ns": 20_000_000},
    )
    return settings, _spread(stream, ("isolate-leader",), nodes, duration_ms, 700, (900, 1500))


def memberships(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """Changes of several members at once while parts of the cluster are cut off."""
    settings = Settings(latency_us=500, jitter_us=1500, loss=0.02, fsync_us=(150, 3000))
    kinds = ("replace", "replace", "replace", "split", "isolate-leader", "crash-leader")
    return settings, _spread(stream, kinds, nodes, duration_ms, 250, (200, 600, 1200))


def confusion(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """Frames lost, repeated and late, links that flap, and crashes."""
    settings = Settings(
        latency_us=500,
        jitter_us=3000,
        loss=0.1,
        duplicate=0.1,
        reorder=0.15,
        fsync_us=(150, 5000),
        in_turn=0.5,
    )
    kinds = ("crash-leader", "crash", "isolate-leader", "flap", "transfer", "one-way", "pause")
    return settings, _spread(stream, kinds, nodes, duration_ms, 250, (50, 300, 900))


def stragglers(stream: Stream, nodes: int, duration_ms: int) -> tuple[Settings, tuple[Fault, ...]]:
    """Nodes away for so long that they need a snapshot."""
    settings = Settings(
        latency_us=300,
        jitter_us=300,
        bounds={"log_bytes": 4096, "flush_bytes": 2048},
        loss=0.02,
        job_us=(5000, 60_000),
        options={"keep_log_bytes": 1},
    )
    kinds = ("crash", "crash-all", "isolate", "crash-leader", "isolate-leader")
    return settings, _spread(stream, kinds, nodes, duration_ms, 250, (50, 1200, 2500))


def _spread(
    stream: Stream,
    kinds: tuple[str, ...],
    nodes: int,
    duration_ms: int,
    gap_ms: int,
    durations: tuple[int, ...],
) -> tuple[Fault, ...]:
    faults = []
    at_ms = 300
    while at_ms < duration_ms - 200:
        kind = stream.pick(kinds)
        chosen: tuple[int, ...] = (1 + stream.below(nodes),)
        if kind == "split":
            chosen = tuple(sorted(stream.shuffled(list(range(1, nodes + 1)))[: nodes // 2]))
        elif kind == "replace":
            chosen = tuple(sorted(stream.shuffled(list(range(1, nodes + 1)))[: (nodes + 1) // 2]))
        elif kind in ("one-way", "freeze-links"):
            chosen = tuple(stream.shuffled(list(range(1, nodes + 1)))[:2])
        elif kind == "transfer":
            chosen = (0,)
        faults.append(
            Fault(
                at_ms=at_ms,
                kind=kind,
                nodes=chosen,
                duration_ms=stream.pick(durations),
                amount=stream.pick((10, 40)) if kind == "slow-disk" else 0,
            )
        )
        at_ms += 1 + stream.below(2 * gap_ms)
    return tuple(faults)
