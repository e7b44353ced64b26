"""Mixtures of faults in which bugs of Paxos and of quorums can show.

Nobody leads there: what presses them is contention, what is late, crashes before the disk, and moves. The
options are those of the keyspace under trial.
"""

from __future__ import annotations

from typing import Any

import msgspec

from comity.replica import Stream
from comity.simulator.mutants.mutation import Plan
from comity.simulator.settings import Fault, Settings

MS = 1_000_000
World = tuple[Settings, tuple[Fault, ...]]


def lossy(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Frames lost, repeated and late; now and then a node is cut off."""
    settings = Settings(
        latency_us=300,
        jitter_us=stream.pick((500, 3000)),
        loss=0.15,
        duplicate=0.1,
        reorder=0.1,
        fsync_us=(150, 1500),
    )
    return settings, _spread(
        stream, ("isolate", "one-way", "freeze-links"), nodes, duration_ms, 300, (50, 200)
    )


def power_cuts(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Nodes crash over slow disks, and are back at once; what they sent is often lost."""
    settings = Settings(latency_us=100, jitter_us=100, loss=0.25, fsync_us=(3_000, 30_000))
    return settings, _spread(stream, ("crash-follower",), nodes, duration_ms, 100, (1, 5))


def relays(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Of three nodes one misses writes, one forgets what its slow disk had yet to keep, and the one that has
    them is cut off: what the other two know together is what durability was for."""
    settings = Settings(latency_us=100, jitter_us=200, fsync_us=(150, 1_000))
    faults: list[Fault] = []
    at_ms = 300
    while at_ms < duration_ms - 1_000:
        slow, cut, behind = stream.shuffled([1, 2, 3])
        faults += (
            Fault(at_ms=at_ms, kind="slow-disk", nodes=(slow,), duration_ms=250, amount=300),
            Fault(at_ms=at_ms, kind="isolate", nodes=(behind,), duration_ms=182),
            Fault(at_ms=at_ms + 178, kind="isolate", nodes=(cut,), duration_ms=700),
            Fault(at_ms=at_ms + 180, kind="crash", nodes=(slow,), duration_ms=1),
        )
        at_ms += 1_000 + stream.below(300)
    return settings, tuple(faults)


def removals(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Tombstones are collected at once, and messages are lost, repeated and very late."""
    settings = Settings(
        latency_us=100,
        jitter_us=stream.pick((300, 1000)),
        loss=0.05,
        duplicate=0.2,
        reorder=0.15,
        fsync_us=(150, 1000),
        options={"collect_ns": 2 * MS, "retry_ns": 20 * MS},
    )
    return settings, _spread(
        stream, ("one-way", "freeze-links", "isolate"), nodes, duration_ms, 400, (20, 100)
    )


def aged(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Nodes are away for longer than removals are remembered without asking them."""
    settings = Settings(
        latency_us=100,
        jitter_us=300,
        fsync_us=(150, 1000),
        drift_ppm=0,
        options={
            "tombstone_grace_ns": 500 * MS,
            "hint_expiry_ns": 100 * MS,
            "retry_ns": 50 * MS,
            "collect_ns": 20 * MS,
            "anti_entropy_ns": 100 * MS,
            "heartbeat_ns": 50 * MS,
        },
    )
    return settings, _spread(stream, ("isolate",), nodes, duration_ms, 700, (900, 1300))


def calm_moves(stream: Stream, nodes: int, duration_ms: int) -> World:
    """The keyspace moves to other nodes again and again, with nothing else wrong."""
    settings = Settings(
        latency_us=300,
        jitter_us=stream.pick((300, 3000)),
        fsync_us=(150, 1000),
        replicas=3,
    )
    return settings, _alters(stream, nodes, duration_ms, 150)


def returns(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Nodes leave and come back while keys are removed and the removals forgotten."""
    settings = Settings(
        latency_us=100,
        jitter_us=200,
        fsync_us=(150, 1000),
        replicas=3,
        options={"collect_ns": 2 * MS, "retry_ns": 20 * MS, "sweep_ns": 20 * MS},
    )
    return settings, _alters(stream, nodes, duration_ms, 250)


def hasty_moves(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Moves while frames are lost, and nodes are cut off for a short while."""
    settings, faults = calm_moves(stream, nodes, duration_ms)
    short = _spread(stream, ("isolate", "freeze-links"), nodes, duration_ms, 60, (20, 60))
    return msgspec.structs.replace(settings, loss=0.1), _merged(faults, short)


def alone(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Nodes cut off from all others take writes by themselves, over slow disks, and crash."""
    settings = Settings(latency_us=100, jitter_us=100, fsync_us=(150, 1000), options={"r": 3, "w": 1})
    faults: list[Fault] = []
    at_ms = 300
    while at_ms < duration_ms - 500:
        node = 1 + stream.below(nodes)
        faults += (
            Fault(at_ms=at_ms, kind="slow-disk", nodes=(node,), duration_ms=200, amount=200),
            Fault(at_ms=at_ms, kind="isolate", nodes=(node,), duration_ms=200),
            Fault(at_ms=at_ms + 50 + stream.below(100), kind="crash", nodes=(node,), duration_ms=1),
        )
        at_ms += 400 + stream.below(200)
    return settings, tuple(faults)


def skewed(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Clocks seconds apart, while sessions go from node to node."""
    settings = Settings(latency_us=200, jitter_us=500, loss=0.05, fsync_us=(150, 1000))
    jumps = tuple(
        Fault(at_ms=10, kind="jump", nodes=(node,), amount=stream.between(-2000, 2000))
        for node in range(1, nodes + 1)
    )
    kinds = ("isolate", "freeze-links", "one-way")
    return settings, (*jumps, *_spread(stream, kinds, nodes, duration_ms, 300, (50, 200)))


def handed(stream: Stream, nodes: int, duration_ms: int) -> World:
    """A key is on one node, which is often away: another stands in for it, and hands over, over bad links."""
    settings = Settings(
        latency_us=200,
        jitter_us=300,
        loss=0.1,
        fsync_us=(150, 1000),
        options={"n": 1, "sloppy": True, "retry_ns": 30 * MS, "heartbeat_ns": 100 * MS},
    )
    kinds = ("isolate", "freeze-links", "isolate")
    return settings, _spread(stream, kinds, nodes, duration_ms, 200, (100, 400))


def belated(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Rounds follow each other closely, with messages repeated and late. A node is cut off while the others
    remove keys and forget the removals; when it is back, one of the others is away."""
    settings = Settings(
        latency_us=500,
        jitter_us=1500,
        duplicate=0.5,
        reorder=0.5,
        fsync_us=(150, 1000),
        drift_ppm=0,
        options={
            "tombstone_grace_ns": 300 * MS,
            "hint_expiry_ns": 50 * MS,
            "retry_ns": 15 * MS,
            "collect_ns": 10 * MS,
            "anti_entropy_ns": 10 * MS,
            "heartbeat_ns": 30 * MS,
            "read_repair": False,
        },
    )
    faults: list[Fault] = []
    at_ms = 300
    while at_ms < duration_ms - 800:
        away, believing, other = stream.shuffled([1, 2, 3])
        faults += (
            Fault(at_ms=at_ms - 40, kind="slow-link", nodes=(away, believing), duration_ms=45, amount=15),
            Fault(at_ms=at_ms, kind="isolate", nodes=(away,), duration_ms=500),
            Fault(at_ms=at_ms + 495, kind="isolate", nodes=(other,), duration_ms=200),
        )
        at_ms += 850 + stream.below(100)
    return settings, tuple(faults)


def unaware(stream: Stream, nodes: int, duration_ms: int) -> World:
    """Each key is on one node. Of each move one of those that the keyspace leaves is the last to hear, and
    takes writes for nodes that have moved theirs already."""
    settings = Settings(
        latency_us=200,
        jitter_us=200,
        fsync_us=(150, 1000),
        replicas=4,
        options={"n": 1, "read_repair": False, "settle_ns": 5 * MS},
    )
    holders = [1, 2, 3, 4]
    faults: list[Fault] = []
    at_ms = 300
    while at_ms < duration_ms - 500:
        # Node 1 leads the control group at first: who does not hear it does not hear of views.
        last = stream.pick([node for node in holders if node != 1])
        stays = stream.pick([node for node in holders if node != last])
        holders = sorted([stays, *(node for node in range(1, nodes + 1) if node not in holders)])
        faults += (
            Fault(at_ms=at_ms - 20, kind="one-way", nodes=(1, last), duration_ms=350),
            Fault(at_ms=at_ms, kind="alter", nodes=tuple(holders)),
        )
        at_ms += 500 + stream.below(100)
    return settings, tuple(faults)


def reborn(stream: Stream, nodes: int, duration_ms: int) -> World:
    """The keyspace moves away from where it was created; later all nodes crash, and are back at once."""
    settings = Settings(latency_us=300, jitter_us=500, fsync_us=(150, 1000), replicas=3)
    move = Fault(at_ms=300, kind="alter", nodes=stream.pick(((3, 4, 5), (2, 4, 5), (1, 4, 5))))
    crashes = tuple(
        Fault(at_ms=at_ms + stream.below(300), kind="crash-all", duration_ms=stream.pick((1, 20)))
        for at_ms in (1300, 2000)
    )
    return settings, (move, *crashes)


def rewound(stream: Stream, nodes: int, duration_ms: int) -> World:
    """A node restarts twice, the second time at the same time by its clock. Questions of its first life reach
    one replica late, and are answered to the second."""
    settings = Settings(
        latency_us=300,
        jitter_us=50,
        fsync_us=(150, 500),
        drift_ppm=0,
        options={"r": 3, "w": 1, "read_repair": False, "retry_ns": 30 * MS},
    )
    faults: list[Fault] = []
    life_ms = 400  # A multiple of the heartbeat that tells a node of its keyspaces.
    at_ms = 300
    while at_ms < duration_ms - 1_000:
        node, late = stream.shuffled([2, 3])
        slow, amount = 2 * life_ms + 100, stream.pick((1100, 1300))
        again_ms = at_ms + life_ms
        faults += (
            Fault(at_ms=at_ms, kind="crash", nodes=(node,), duration_ms=1),
            Fault(at_ms=at_ms + 115, kind="slow-link", nodes=(node, late), duration_ms=slow, amount=amount),
            Fault(at_ms=again_ms, kind="jump", nodes=(node,), amount=-life_ms),
            Fault(at_ms=again_ms, kind="crash", nodes=(node,), duration_ms=1),
        )
        at_ms += 1_250 + stream.below(200)
    return settings, tuple(faults)


def optioned(plan: Plan, **options: Any) -> Plan:
    """A plan, with options of the keyspace."""

    def planned(stream: Stream, nodes: int, duration_ms: int) -> World:
        settings, faults = plan(stream, nodes, duration_ms)
        return msgspec.structs.replace(settings, options={**settings.options, **options}), faults

    return planned


def _alters(stream: Stream, nodes: int, duration_ms: int, gap_ms: int) -> tuple[Fault, ...]:
    """Moves to three nodes each."""
    faults = []
    at_ms = 200 + stream.below(gap_ms)
    while at_ms < duration_ms - 200:
        chosen = tuple(sorted(stream.shuffled(list(range(1, nodes + 1)))[:3]))
        faults.append(Fault(at_ms=at_ms, kind="alter", nodes=chosen))
        at_ms += gap_ms // 2 + stream.below(gap_ms)
    return tuple(faults)


def _merged(*several: tuple[Fault, ...]) -> tuple[Fault, ...]:
    return tuple(sorted((fault for faults in several for fault in faults), key=lambda fault: fault.at_ms))


def _spread(
    stream: Stream,
    kinds: tuple[str, ...],
    nodes: int,
    duration_ms: int,
    gap_ms: int,
    durations: tuple[int, ...],
) -> tuple[Fault, ...]:
    faults = []
    at_ms = 200
    while at_ms < duration_ms - 200:
        kind = stream.pick(kinds)
        order = stream.shuffled(list(range(1, nodes + 1)))
        chosen = {"split": order[: nodes // 2], "one-way": order[:2], "freeze-links": order[:2]}.get(
            kind, order[:1]
        )
        faults.append(
            Fault(
                at_ms=at_ms,
                kind=kind,
                nodes=tuple(chosen),
                duration_ms=stream.pick(durations),
                amount=stream.between(-3000, 3000) if kind == "jump" else 0,
            )
        )
        at_ms += 1 + stream.below(2 * gap_ms)
    return tuple(faults)
