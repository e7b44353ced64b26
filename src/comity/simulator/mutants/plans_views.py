"""Mixtures of faults in which bugs of protocols with views (chain, primary-backup) and of gossip show.

What presses them is that views change all the time: the control group holds nodes dead that are not (see
`simulator.suspicion`), cut off or not. The options are those of the keyspace under trial.
"""

from __future__ import annotations

from typing import Any

import msgspec

from comity.replica import Stream
from comity.simulator.mutants.mutation import Plan
from comity.simulator.settings import Fault, Settings

MS = 1_000_000
World = tuple[Settings, tuple[Fault, ...]]


def judgement(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Views in quick succession, of any nodes, while some crash or are cut off."""
    settings = Settings(latency_us=200, jitter_us=stream.pick((200, 1500)), fsync_us=(150, 1500), in_turn=0.5)
    kinds = ("suspect", "suspect", "banish", "depose", "unseat", "crash")
    return settings, _spread(stream, kinds, nodes, duration_ms, 250, (20, 250, 700))


def confusion(stream: Stream, nodes: int, duration_ms: int) -> World:
    """The same with frames lost, repeated and late."""
    settings = Settings(
        latency_us=300,
        jitter_us=2000,
        loss=0.08,
        duplicate=0.15,
        reorder=0.2,
        fsync_us=(150, 3000),
        in_turn=0.5,
    )
    kinds = ("suspect", "suspect", "banish", "depose", "crash", "slow-link")
    return settings, _spread(stream, kinds, nodes, duration_ms, 250, (20, 250, 700))


def bounces(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Crashes in quick succession on slow disks, back at once; whoever crashed may be all that is left."""
    settings = Settings(latency_us=200, jitter_us=500, fsync_us=(4_000, 40_000), in_turn=0.5, loss=0.02)
    faults = []
    at_ms = 300
    while at_ms < duration_ms - 200:
        node = 1 + stream.below(nodes)
        faults.append(Fault(at_ms=at_ms, kind="crash", nodes=(node,), duration_ms=stream.pick((3, 20))))
        if stream.chance(0.6):
            others = tuple(other for other in range(1, nodes + 1) if other != node)
            faults.append(
                Fault(at_ms=at_ms, kind="suspect", nodes=others, duration_ms=stream.pick((150, 400)))
            )
        at_ms += 30 + stream.below(700)
    return settings, tuple(faults)


def cut_out(stream: Stream, nodes: int, duration_ms: int) -> World:
    """One after the other is cut off and left out of the view; those who remain are quick to go on."""
    settings = Settings(latency_us=100, jitter_us=100, fsync_us=(150, 500))
    kinds = ("banish", "banish", "depose")
    return settings, _spread(stream, kinds, nodes, duration_ms, 900, (1200, 1800))


def cut_out_confirming(stream: Stream, nodes: int, duration_ms: int) -> World:
    """The same where reads do without leases."""
    return _with(cut_out, {"reads": "confirm"})(stream, nodes, duration_ms)


LONG_LEASE = {"reads": "lease", "lease_ns": 1800 * MS}


def leases(stream: Stream, nodes: int, duration_ms: int) -> World:
    """The same with long leases."""
    return _with(cut_out, LONG_LEASE)(stream, nodes, duration_ms)


def bad_clocks(stream: Stream, nodes: int, duration_ms: int) -> World:
    """The same with clocks of very different rates, within the bound that is declared."""
    settings, faults = leases(stream, nodes, duration_ms)
    options = {**LONG_LEASE, "clock_drift_ppm": 160_000}
    return msgspec.structs.replace(settings, drift_ppm=150_000, options=options), faults


def late_promises(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Whoever is cut off goes on hearing what was sent to it long before."""
    settings = Settings(latency_us=1500, jitter_us=100, fsync_us=(150, 500), options=LONG_LEASE)
    faults: list[Fault] = []
    at_ms = 500
    while at_ms < duration_ms - 1000:
        node = 1 + stream.below(nodes)
        faults.extend(
            Fault(at_ms=at_ms, kind="slow-link", nodes=(other, node), duration_ms=700, amount=300)
            for other in range(1, nodes + 1)
            if other != node
        )
        faults.append(Fault(at_ms=at_ms + 450, kind="banish", nodes=(node,), duration_ms=2500))
        at_ms += 3000 + stream.below(600)
    return settings, tuple(faults)


def forgetful(stream: Stream, nodes: int, duration_ms: int) -> World:
    """While one is cut off the others crash, and are back at once."""
    options = {**LONG_LEASE, "lease_ns": 3000 * MS}
    settings = Settings(latency_us=100, jitter_us=100, fsync_us=(150, 500), options=options)
    faults = []
    at_ms = 500
    while at_ms < duration_ms - 1000:
        node = 1 + stream.below(nodes)
        faults.append(Fault(at_ms=at_ms, kind="banish", nodes=(node,), duration_ms=2500))
        for other in range(1, nodes + 1):
            if other != node:
                at = at_ms + 100 + stream.below(300)
                faults.append(Fault(at_ms=at, kind="crash", nodes=(other,), duration_ms=3))
        at_ms += 3000 + stream.below(600)
    return settings, tuple(sorted(faults, key=lambda fault: fault.at_ms))


def relapses(stream: Stream, nodes: int, duration_ms: int) -> World:
    """All crash just before a node that was left out may come in again, and are back at once."""
    settings = Settings(latency_us=200, jitter_us=300, fsync_us=(150, 1000))
    faults: list[Fault] = []
    at_ms = 400
    while at_ms < duration_ms - 900:
        lasting = 300 + stream.below(300)
        crash_ms = at_ms + lasting + 20 - stream.below(150)
        faults += (
            Fault(at_ms=at_ms, kind="suspect", nodes=(stream.pick((1, 1, 2)),), duration_ms=lasting),
            Fault(at_ms=crash_ms, kind="crash-all", duration_ms=stream.pick((1, 20))),
        )
        at_ms += lasting + 700 + stream.below(300)
    return settings, tuple(faults)


def stragglers(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Nodes left out for so long that they need a snapshot."""
    settings = Settings(
        latency_us=300,
        jitter_us=300,
        loss=0.02,
        bounds={"log_bytes": 4096, "flush_bytes": 2048},
        job_us=(5000, 60_000),
        options={"keep_log_bytes": 1, "max_log_bytes": 2000, "max_append_bytes": 400},
    )
    kinds = ("banish", "suspect", "depose", "crash")
    return settings, _spread(stream, kinds, nodes, duration_ms, 250, (50, 500, 1200))


def laggards(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Small messages over slow and lossy links: who joins lags, and is soon left to itself."""
    settings = Settings(
        latency_us=2000,
        jitter_us=1000,
        loss=stream.pick((0.1, 0.25)),
        fsync_us=(150, 1500),
        options={"max_append_bytes": 100, "max_inflight_messages": 1},
    )
    kinds = ("suspect", "mistrust", "depose", "depose", "freeze-links")
    return settings, _spread(stream, kinds, nodes, duration_ms, 200, (20, 250, 500))


def hearsay(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Three of five nodes hold the keyspace and speak quickly with each other; whoever leads it is the last
    to hear that it was left out."""
    settings = Settings(latency_us=300, jitter_us=100, fsync_us=(150, 800), replicas=3)
    return settings, _spread(stream, ("mislead",), nodes, duration_ms, 600, (500,))


def abandoned(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Two nodes hold the keyspace. One has just come in again when it hears no more from the other, which
    then is left out."""
    settings = Settings(latency_us=300, jitter_us=200, fsync_us=(150, 800), replicas=2)
    faults: list[Fault] = []
    at_ms = 300
    while at_ms < duration_ms - 1200:
        faults.append(Fault(at_ms=at_ms, kind="suspect", nodes=(1 + stream.below(2),), duration_ms=120))
        cut_ms = at_ms + stream.between(150, 600)
        faults.append(Fault(at_ms=cut_ms, kind="freeze-links", nodes=(1, 2), duration_ms=800))
        left_ms = cut_ms + stream.between(50, 400)
        faults.append(Fault(at_ms=left_ms, kind="mistrust", nodes=(1,), duration_ms=400))
        at_ms = cut_ms + 1100
    return settings, tuple(faults)


def unheard(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Only the tail knows of a commit; all but a new node are left out before anybody hears of it."""
    settings = Settings(
        latency_us=100, jitter_us=100, fsync_us=(150, 500), options={"reads": "confirm"}, replicas=4
    )
    at_ms = 1200 + stream.below(400)
    lost_ms = at_ms + 50 + stream.below(300)
    faults = [
        Fault(at_ms=400, kind="suspect", nodes=(4,), duration_ms=lost_ms - 400),
        *(Fault(at_ms=at_ms, kind="one-way", nodes=(3, other), duration_ms=3500) for other in (1, 2, 5)),
        Fault(at_ms=lost_ms, kind="banish", nodes=(3,), duration_ms=3000),
        Fault(at_ms=lost_ms, kind="isolate", nodes=(1,), duration_ms=3000),
        Fault(at_ms=lost_ms + 700 + stream.below(600), kind="suspect", nodes=(1, 2), duration_ms=2500),
    ]
    return settings, tuple(faults)


def split_off(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Two are cut off together, and left out of the view."""
    settings = Settings(latency_us=100, jitter_us=100, fsync_us=(150, 500))
    faults: list[Fault] = []
    at_ms = 500
    while at_ms < duration_ms - 700:
        pair = tuple(sorted(stream.shuffled(list(range(1, nodes + 1)))[:2]))
        lasting = stream.pick((1000, 1500))
        faults.extend(
            Fault(at_ms=at_ms, kind=kind, nodes=pair, duration_ms=lasting) for kind in ("split", "suspect")
        )
        at_ms += lasting + 600 + stream.below(300)
    return settings, tuple(faults)


def split_off_confirming(stream: Stream, nodes: int, duration_ms: int) -> World:
    """The same where reads do without leases."""
    return _with(split_off, {"reads": "confirm"})(stream, nodes, duration_ms)


def split_off_leases(stream: Stream, nodes: int, duration_ms: int) -> World:
    """The same with long leases."""
    return _with(split_off, LONG_LEASE)(stream, nodes, duration_ms)


# -- gossip


def rumours(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Slow and lossy links of which each is slow at another time; nodes crash on slow disks."""
    settings = Settings(
        latency_us=300,
        jitter_us=2000,
        loss=0.1,
        duplicate=0.1,
        reorder=0.1,
        fsync_us=(2_000, 30_000),
        in_turn=0.5,
    )
    kinds = ("crash", "crash", "slow-link", "freeze-links", "isolate", "split", "one-way")
    return settings, _spread(stream, kinds, nodes, duration_ms, 120, (5, 50, 400))


def detours(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Some pairs hear from each other late, and by way of others sooner."""
    settings = Settings(latency_us=300, jitter_us=300, fsync_us=(150, 1500), loss=stream.pick((0.0, 0.05)))
    kinds = ("slow-link", "slow-link", "freeze-links", "one-way")
    return settings, _spread(stream, kinds, nodes, duration_ms, 60, (100, 300, 800))


def departures(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Members leave and come back; nothing else goes wrong."""
    settings = Settings(latency_us=200, jitter_us=200, fsync_us=(150, 500), options={"round_ns": 30 * MS})
    everyone = tuple(range(1, nodes + 1))
    faults = []
    for at_ms in range(400, duration_ms - 900, 1800):
        left_out = stream.pick(everyone)
        rest = tuple(node for node in everyone if node != left_out)
        faults.append(Fault(at_ms=at_ms, kind="alter", nodes=rest))
        faults.append(Fault(at_ms=at_ms + 1200, kind="alter", nodes=everyone))
    return settings, tuple(faults)


def joins(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Members leave and come back, and get the full state one cell a message over lossy links."""
    settings, faults = moves(stream, nodes, duration_ms)
    options = {"max_message_bytes": 1, "round_ns": 400 * MS, "idle_ns": 400 * MS}
    return msgspec.structs.replace(settings, loss=0.3, options=options), faults


def removals(stream: Stream, nodes: int, duration_ms: int) -> World:
    """The same with reports that overtake what they are about."""
    settings = Settings(
        latency_us=300,
        jitter_us=3000,
        fsync_us=(150, 1500),
        loss=0.1,
        reorder=0.2,
        duplicate=0.05,
        options={"round_ns": 30 * MS, "idle_ns": 30 * MS},
    )
    kinds = ("slow-link", "freeze-links", "one-way", "crash")
    return settings, _spread(stream, kinds, nodes, duration_ms, 80, (100, 300, 800))


TINY_LOGS = {
    "max_message_bytes": 300,
    "max_buffer_bytes": 2000,
    "max_log_bytes": 400,
    "max_unheard_bytes": 500,
    "collect_keys": 3,
}


def absences(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Nodes away for longer than deltas are kept."""
    settings = Settings(latency_us=300, jitter_us=500, loss=0.05, fsync_us=(150, 1500), options=TINY_LOGS)
    kinds = ("isolate", "crash", "split")
    return settings, _spread(stream, kinds, nodes, duration_ms, 300, (300, 900))


def moves(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Members leave and come back, over bad links, with small messages and short logs."""
    settings = Settings(latency_us=300, jitter_us=1500, loss=0.1, fsync_us=(150, 3000), options=TINY_LOGS)
    faults = list(_spread(stream, ("isolate", "crash", "slow-link"), nodes, duration_ms, 400, (50, 300)))
    everyone = tuple(range(1, nodes + 1))
    at_ms = 300
    while at_ms < duration_ms - 300:
        left_out = stream.pick(everyone)
        rest = tuple(node for node in everyone if node != left_out)
        faults.append(Fault(at_ms=at_ms, kind="alter", nodes=rest))
        at_ms += stream.pick((400, 900))
        faults.append(Fault(at_ms=at_ms, kind="alter", nodes=everyone))
        at_ms += stream.pick((300, 900))
    return settings, tuple(sorted(faults, key=lambda fault: fault.at_ms))


def _with(plan: Plan, options: dict[str, Any]) -> Plan:
    """A plan with options of the keyspace."""

    def mixed(stream: Stream, nodes: int, duration_ms: int) -> World:
        settings, faults = plan(stream, nodes, duration_ms)
        return msgspec.structs.replace(settings, options={**settings.options, **options}), faults

    return mixed


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
        order = stream.shuffled(list(range(1, nodes + 1)))
        chosen: tuple[int, ...] = (order[0],)
        amount = 0
        if kind == "split":
            chosen = tuple(sorted(order[: nodes // 2]))
        elif kind in ("one-way", "freeze-links", "slow-link"):
            chosen = tuple(order[:2])
            amount = stream.pick((10, 100))
        elif kind == "mislead":
            amount = 1000
        elif kind == "suspect":
            chosen = tuple(sorted(order[: 1 + stream.below(nodes - 1)]))
        faults.append(
            Fault(at_ms=at_ms, kind=kind, nodes=chosen, duration_ms=stream.pick(durations), amount=amount)
        )
        at_ms += 1 + stream.below(2 * gap_ms)
    return tuple(faults)
