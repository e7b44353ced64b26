"""What a CASPaxos keyspace promises."""

from __future__ import annotations

from comity.protocols.paxos.options import PaxosOptions
from comity.replica import CAUSAL, EVENTUAL, LINEARIZABLE, SEQUENTIAL, SESSION, Promise
from comity.replica.promises import ANYWHERE, KNOWN, QUORUM, RoundTrips, Service, counted, spelled

CHANGE: RoundTrips = (1, 3)
"""One where this replica holds the promise of the key's next ballot, two where it has to ask for one, three
where it held a promise that another has overtaken unheard by the acceptor here."""
QUORUM_READ: RoundTrips = (1, 4)
"""One where a quorum names the same ballot; otherwise an identity change comes on top."""


def promise(options: PaxosOptions, replicas: int) -> Promise:
    """A majority promises and accepts each change of a key; any replica proposes."""
    majority = replicas // 2 + 1
    alone = replicas == 1
    write: RoundTrips = (0, 0) if alone else CHANGE
    read: RoundTrips = (0, 0) if alone else QUORUM_READ
    session = Service(
        read_quorum=majority,
        write_quorum=majority,
        read_round_trips=(0, read[1]),
        write_round_trips=write,
        reads=KNOWN,
        writes=QUORUM,
        stale=True,
    )
    eventual = Service(
        read_quorum=1,
        write_quorum=majority,
        read_round_trips=(0, 0),
        write_round_trips=write,
        reads=ANYWHERE,
        writes=QUORUM,
        stale=True,
    )
    return Promise(
        levels=(LINEARIZABLE, SEQUENTIAL, CAUSAL, SESSION, EVENTUAL),
        partition="C",
        otherwise="C",
        pacelc_reason=(
            "every change of a key, and every linearizable read, hears from a majority of its replicas even "
            "when nothing fails; a side without a majority has neither. Sequential and causal requests are "
            "served as linearizable, which is both"
        ),
        read_quorum=majority,
        write_quorum=majority,
        crash_faults=replicas - majority,
        read_round_trips=read,
        write_round_trips=write,
        reads=QUORUM,
        writes=QUORUM,
        weaker={SESSION: session, EVENTUAL: eventual},
        convergence_ns=options.learn_ns + options.retry_max_ns,
        loss=(
            "nothing that was acknowledged, while the disks of no more than "
            f"{counted(replicas - majority, 'replica')} are lost for good; a write that was answered with an "
            "error or not at all may or may not have happened"
        ),
        staleness=(
            "none at linearizable, sequential and causal. At session a replica answers alone where it knows "
            "that what it accepted is chosen, and the session has seen nothing newer and no other key: "
            f"usually within {spelled(options.learn_ns)} and a message of the latest. At eventual it shows "
            "what it accepted last, which may be as old as the key's last write that reached it, or not "
            "chosen and never be"
        ),
        minority=(
            "there are no others: the replica is a majority by itself"
            if alone
            else "writes and reads are refused when their deadline has passed, but eventual reads, and "
            "session reads of what is known to be chosen and new enough for the session"
        ),
        majority="goes on without a gap: there is no leader to be replaced, and any replica there proposes",
    )
