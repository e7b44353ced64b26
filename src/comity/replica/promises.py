"""What a protocol promises for given options and replicas, in words and numbers a program can compare."""

from __future__ import annotations

import msgspec

ANYWHERE = "anywhere"
"""Served by any replica alone, whomever it can reach."""
MAJORITY = "majority"
"""Served on the side with a majority of the replicas; of a protocol with views, of the control group's."""
QUORUM = "quorum"
"""Served on any side with as many of the key's replicas as the quorum has."""
STAND_INS = "stand-ins"
"""Served on any side with as many nodes of the keyspace as the quorum has, whether they are the key's or
not."""
PRIMARY = "primary"
"""Served where the primary is, and on the majority's side by the next one."""

KNOWN = "known"
"""Served like `QUORUM`, and by a replica alone where what it knows happens to be enough."""

PLACES = (ANYWHERE, MAJORITY, QUORUM, STAND_INS, PRIMARY, KNOWN)

YES = "yes"
NO = "no"
SOME = "some"
"""It depends on how many replicas are there, or which."""

RoundTrips = tuple[float, float]
"""(least, most) one after the other between replicas while nothing fails and nobody else writes the key: the
least at the replica best placed for it, the most at any. Half a one is a message one way. Waiting behind
other operations is not counted."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What requests at one level cost, and where they are served.

    read_quorum, write_quorum: how many replicas an operation waits for, its own included. reads, writes: on
    which sides of a partition they are served, one of `PLACES`. stale: whether a read may miss a write that
    was acknowledged before it began.
    """

    read_quorum: int
    write_quorum: int
    read_round_trips: RoundTrips
    write_round_trips: RoundTrips
    reads: str
    writes: str
    stale: bool


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What a keyspace of this protocol, these options and this many replicas promises.

    levels: the consistency levels it can give; the first, the strongest, is what it gives unless asked for
    less. refusals: for each other level why not, and what would do. partition: "C" where a side without a
    quorum refuses (CAP), "A" where others answer too. otherwise: what it prefers without a partition
    (PACELC), "C" or "L"; pacelc_reason: why it is in these classes. read_quorum, write_quorum,
    read_round_trips, write_round_trips, reads, writes, stale: as in `Service`, at the first level; weaker: of
    other levels, where they differ. crash_faults, byzantine_faults: how many replicas may fail while it goes
    on serving. control_group: whether its views come from the control group, so that it also needs that
    group's majority to go on after a failure. failover_ns: about how long the majority's side may be without
    service after a failure, on top of the time in which a control group notices; 0 for not at all.
    convergence_ns: about how long after the last fault, on top of the time that data take to travel, until
    every replica shows the same. loses: whether an acknowledged write may be lost or overwritten unseen
    though no disk was; loss_entries, loss_bytes: at most so much of it, 0 for no bound. loss: what
    acknowledged writes may be lost, and when; staleness: how old a read may be, and for how long. minority,
    majority: what happens on each side of a partition. clocks: what is assumed of them, "" for nothing.
    holders: how many nodes hold one key, 0 for all replicas.
    """

    levels: tuple[str, ...]
    refusals: dict[str, str] = {}
    partition: str
    otherwise: str
    pacelc_reason: str
    read_quorum: int
    write_quorum: int
    crash_faults: int
    byzantine_faults: int = 0
    read_round_trips: RoundTrips
    write_round_trips: RoundTrips
    loss: str
    staleness: str
    minority: str
    majority: str
    reads: str = MAJORITY
    writes: str = MAJORITY
    stale: bool = False
    weaker: dict[str, Service] = {}
    control_group: bool = False
    failover_ns: int = 0
    convergence_ns: int = 0
    loses: bool = False
    loss_entries: int = 0
    loss_bytes: int = 0
    clocks: str = ""
    holders: int = 0

    def at(self, level: str) -> Service:
        """What requests at one of the levels cost. Raises `KeyError` for a level that is not given."""
        if level not in self.levels:
            raise KeyError(level)
        return self.weaker.get(level) or Service(
            read_quorum=self.read_quorum,
            write_quorum=self.write_quorum,
            read_round_trips=self.read_round_trips,
            write_round_trips=self.write_round_trips,
            reads=self.reads,
            writes=self.writes,
            stale=self.stale,
        )

    def on_minority(self, level: str, replicas: int, *, writes: bool) -> str:
        """Whether a side without a majority of the replicas, but with at least one of them, serves reads or
        writes at that level: `YES`, `NO`, or `SOME` where it depends on which side it is."""
        return self._on(level, range(1, replicas // 2 + 1), replicas, writes, majority=False)

    def on_majority(self, level: str, replicas: int, *, writes: bool) -> str:
        """The same of the side with the majority, once it had time to notice."""
        return self._on(level, range(replicas // 2 + 1, replicas + 1), replicas, writes, majority=True)

    def _on(self, level: str, sizes: range, replicas: int, writes: bool, *, majority: bool) -> str:
        service = self.at(level)
        place, quorum = (
            (service.writes, service.write_quorum) if writes else (service.reads, service.read_quorum)
        )
        holders = self.holders or replicas
        found = set()
        for size in sizes:
            if place == QUORUM:
                least, most = max(0, holders - (replicas - size)), min(size, holders)
                found |= {present >= quorum for present in (least, most)}
            elif place == STAND_INS:
                found.add(size >= quorum)
            elif place == PRIMARY:
                found |= {majority, True}
            elif place == KNOWN:
                found |= {size >= quorum, True}
            else:
                found.add(majority or place == ANYWHERE)
        if found == {True}:
            return YES
        return SOME if True in found else NO


def weaker_reads(write_quorum: int, write_round_trips: RoundTrips) -> dict[str, Service]:
    """What every replicated log gives below linearizable: writes take the same way, reads are answered from
    what is applied at one replica, which is always a prefix of the same history."""
    service = Service(
        read_quorum=1,
        write_quorum=write_quorum,
        read_round_trips=(0, 0),
        write_round_trips=write_round_trips,
        reads=ANYWHERE,
        writes=MAJORITY,
        stale=True,
    )
    return dict.fromkeys(("sequential", "causal", "session", "eventual"), service)


_UNITS = ((3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s"), (1_000_000, "ms"))


def spelled(duration_ns: int) -> str:
    """A duration for people: 600 ms, 1.5 s, 30 min."""
    for unit_ns, name in _UNITS:
        if duration_ns >= unit_ns:
            return f"{duration_ns / unit_ns:.4g} {name}"
    return f"{duration_ns / 1_000_000:.4g} ms"


def counted(count: int, noun: str) -> str:
    """A number of things for people: 1 replica, 2 replicas."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
