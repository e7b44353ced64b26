"""What a quorum keyspace promises: what the arithmetic of N, R and W says."""

from __future__ import annotations

from comity.protocols.quorum.arithmetic import SIBLINGS, Quorums, quorum_promise, quorums_of
from comity.protocols.quorum.options import QuorumOptions
from comity.replica import CAUSAL, EVENTUAL, LINEARIZABLE, SEQUENTIAL, SESSION, Promise
from comity.replica.promises import QUORUM, STAND_INS, RoundTrips, Service, counted, spelled

ATOMIC_ELSEWHERE = "raft, paxos, chain and primary-backup keyspaces can"


def promise(options: QuorumOptions, replicas: int) -> Promise:
    """What is served at each level, and what the strongest one is."""
    quorums = quorums_of(replicas, options.n, options.r, options.w)
    strongest = quorum_promise(quorums.n, quorums.r, quorums.w, options.sloppy, options.conflicts).level
    services = {
        LINEARIZABLE: _linearizable(options, quorums, replicas),
        SESSION: _session(options, quorums, replicas),
        EVENTUAL: _eventual(options, quorums, replicas),
    }
    order = tuple(services)
    levels = order[order.index(strongest) :]
    first = services[strongest]
    # Where R+W <= N some sides of any size may be left with reads, and reads there may be stale.
    gives_up_consistency = (
        strongest == EVENTUAL and min(quorums.r, quorums.w) <= replicas // 2 and replicas > 1
    )
    return Promise(
        levels=levels,
        refusals=_refusals(options, quorums, strongest),
        partition="A" if gives_up_consistency else "C",
        otherwise="C" if strongest == LINEARIZABLE else "L",
        pacelc_reason=_reason(options, quorums, strongest),
        read_quorum=first.read_quorum,
        write_quorum=first.write_quorum,
        crash_faults=(replicas if options.sloppy else quorums.n) - max(first.read_quorum, first.write_quorum),
        read_round_trips=first.read_round_trips,
        write_round_trips=first.write_round_trips,
        reads=first.reads,
        writes=first.writes,
        stale=first.stale,
        weaker={level: services[level] for level in levels[1:]},
        convergence_ns=0 if replicas == 1 else options.anti_entropy_ns * (replicas - 1),
        loses=strongest != LINEARIZABLE,
        clocks=(
            f"clocks are less than {spelled(options.tombstone_grace_ns)} apart, or what was removed may come "
            "back"
            + (
                "; at session and eventual, of concurrent writes the one by the later clock shows"
                if options.conflicts != SIBLINGS
                else ""
            )
        ),
        holders=quorums.n,
        loss=_loss(options, quorums, strongest),
        staleness=_staleness(options, quorums, strongest, replicas),
        minority=_minority(options, quorums, replicas, first),
        majority=_majority(options, quorums, first),
    )


# -- costs


def _phase(need: int, quorums: Quorums, replicas: int) -> RoundTrips:
    """All replicas are asked at once, so any quorum costs one; what needs one answer has it here, where the
    replica asked is one of the key's."""
    if need > 1:
        return (1, 1)
    return (0, 0 if quorums.n == replicas else 1)


def _meeting(quorums: Quorums) -> int:
    """How many answers a read needs that must not miss a write."""
    return max(quorums.r, quorums.meeting_read)


def _written_back(quorums: Quorums, replicas: int) -> RoundTrips:
    """A read that answers only what a write quorum holds: where fewer than W were heard, or they disagree, it
    stores what it found."""
    need = _meeting(quorums)
    ask, store = _phase(need, quorums, replicas), _phase(quorums.w, quorums, replicas)
    return (ask[0] + (store[0] if need < quorums.w else 0), ask[1] + store[1])


def _linearizable(options: QuorumOptions, quorums: Quorums, replicas: int) -> Service:
    """ABD: a write asks for the highest tag first."""
    ask = _phase(_meeting(quorums), quorums, replicas)
    store = _phase(quorums.w, quorums, replicas)
    return Service(
        read_quorum=_meeting(quorums),
        write_quorum=quorums.w,
        read_round_trips=_written_back(quorums, replicas),
        write_round_trips=(ask[0] + store[0], ask[1] + store[1]),
        reads=QUORUM,
        writes=QUORUM,
        stale=False,
    )


def _blind_write(options: QuorumOptions, quorums: Quorums, replicas: int, need: int) -> RoundTrips:
    """One phase; a removal asks first, for its reply."""
    ask, store = _phase(need, quorums, replicas), _phase(quorums.w, quorums, replicas)
    return (store[0], ask[1] + store[1])


def _session(options: QuorumOptions, quorums: Quorums, replicas: int) -> Service:
    """Reads meet every write; writes take a time of this replica's clock, and one that is slow may leave them
    overwritten before anybody has seen them."""
    return Service(
        read_quorum=_meeting(quorums),
        write_quorum=quorums.w,
        read_round_trips=_written_back(quorums, replicas),
        write_round_trips=_blind_write(options, quorums, replicas, _meeting(quorums)),
        reads=QUORUM,
        writes=QUORUM,
        stale=options.conflicts != SIBLINGS,
    )


def _eventual(options: QuorumOptions, quorums: Quorums, replicas: int) -> Service:
    """What R replicas tell, whether they were told or not."""
    place = STAND_INS if options.sloppy else QUORUM
    return Service(
        read_quorum=quorums.r,
        write_quorum=quorums.w,
        read_round_trips=_phase(quorums.r, quorums, replicas),
        write_round_trips=_blind_write(options, quorums, replicas, quorums.r),
        reads=place,
        writes=place,
        stale=options.sloppy or not quorums.meet or options.conflicts != SIBLINGS,
    )


# -- words


def _refusals(options: QuorumOptions, quorums: Quorums, strongest: str) -> dict[str, str]:
    by_key = "each key is replicated by itself, so nothing orders writes to different keys"
    refusals = {
        SEQUENTIAL: f"{by_key}; {ATOMIC_ELSEWHERE}"
        + (", and linearizable here implies it" if strongest == LINEARIZABLE else ""),
        CAUSAL: f"{by_key}; gossip, {ATOMIC_ELSEWHERE}"
        + (", and linearizable here implies it" if strongest == LINEARIZABLE else ""),
    }
    if strongest == EVENTUAL:
        refusals[SESSION] = _weak(options, quorums)
    if strongest != LINEARIZABLE:
        refusals[LINEARIZABLE] = (
            _weak(options, quorums)
            if strongest == EVENTUAL
            else "siblings: concurrent writes are kept beside each other, and a register has one value; "
            f"conflicts last-writer-wins would do, and {ATOMIC_ELSEWHERE}"
        )
    return refusals


def _weak(options: QuorumOptions, quorums: Quorums) -> str:
    reasons = []
    if not quorums.meet:
        reasons.append(
            f"R+W = {quorums.r + quorums.w} <= N = {quorums.n}: a read may miss a write acknowledged before "
            f"it; R+W of {quorums.n + 1} would do"
        )
    if options.sloppy:
        reasons.append(
            "sloppy: while nodes are away others hold their writes, and a read need not ask those; strict "
            "quorums (sloppy false) would do"
        )
    return "; ".join([*reasons, ATOMIC_ELSEWHERE])


def _reason(options: QuorumOptions, quorums: Quorums, strongest: str) -> str:
    sums = f"R+W = {quorums.r + quorums.w} {'>' if quorums.meet else '<='} N = {quorums.n}"
    if strongest == LINEARIZABLE:
        return (
            f"{sums}: every read meets every write, and both wait for it when nothing fails; a side without "
            "the quorum is refused rather than answered from what it has"
        )
    if strongest == SESSION:
        return (
            f"{sums}: a session's reads meet every write, and a side without the quorum is refused; without "
            "a partition a write does not ask first what there is, which leaves concurrent ones side by side"
        )
    words = f"{sums}: a read may miss a write" if not quorums.meet else sums
    if options.sloppy:
        words += (
            "; sloppy: others stand in for who is away, so what is read and what was written may not meet"
        )
    return words + (
        f". Nobody waits for more than {counted(max(quorums.r, quorums.w), 'answer')}, and any side that has "
        "them answers; the other is refused"
    )


def _loss(options: QuorumOptions, quorums: Quorums, strongest: str) -> str:
    disks = (
        "nothing that was acknowledged, while fewer than "
        f"{counted(quorums.w, 'replica')} of a key lose their disks for good"
        if quorums.w > 1
        else "an acknowledged write that one replica has goes with its disk, until the others have it too"
    )
    if strongest == LINEARIZABLE:
        return disks + (
            "; a write that was answered with an error or not at all may or may not have happened. Of "
            "concurrent writes at session and eventual the one by the later clock shows, and the others are "
            "overwritten"
        )
    parts = [disks]
    if options.conflicts == SIBLINGS:
        parts.append(
            f"concurrent writes are kept beside each other, {options.max_siblings} at most; beyond that the "
            "oldest are dropped"
        )
    else:
        parts.append(
            "of concurrent writes the one by the later clock shows, and the others are overwritten though "
            "they were acknowledged"
        )
    if options.sloppy:
        parts.append(
            "what another node holds for one that is away is dropped after "
            f"{spelled(options.hint_expiry_ns)}, or beyond {options.hint_entries:,} keys, where it has no "
            "other copy"
        )
    return "; ".join(parts)


def _staleness(options: QuorumOptions, quorums: Quorums, strongest: str, replicas: int) -> str:
    if replicas == 1:
        return "none while there is one replica"
    spread = (
        "usually one message, for a write is sent to all replicas of its key; where that was lost, until "
        + ("a read repairs it or " if options.read_repair else "")
        + f"anti-entropy comes by, {spelled(options.anti_entropy_ns)} a peer; across a partition as old as "
        "that"
    )
    if strongest == EVENTUAL:
        return spread
    if strongest == SESSION:
        return f"none of what was acknowledged at session or by W replicas. At eventual: {spread}"
    return f"none at linearizable. At eventual R replicas are asked and nothing is written back: {spread}"


def _minority(options: QuorumOptions, quorums: Quorums, replicas: int, first: Service) -> str:
    if replicas == 1:
        return "there are no others: where the replica is, it serves"
    nodes = "nodes of the keyspace" if options.sloppy else f"of a key's {quorums.n} replicas"
    return (
        f"a side with {first.read_quorum} {nodes} answers reads, one with {first.write_quorum} takes writes; "
        "what it cannot do is refused when its deadline has passed"
    )


def _majority(options: QuorumOptions, quorums: Quorums, first: Service) -> str:
    words = "the same rule, without a gap: there is no leader to be replaced"
    if options.sloppy:
        return words + "; what was held for nodes on the other side is handed over when they are back"
    return words
