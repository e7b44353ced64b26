"""What a gossip keyspace promises."""

from __future__ import annotations

from comity.protocols.gossip.options import GossipOptions
from comity.replica import CAUSAL, EVENTUAL, LINEARIZABLE, SEQUENTIAL, SESSION, Promise
from comity.replica.promises import ANYWHERE, spelled


def promise(options: GossipOptions, replicas: int) -> Promise:
    """Every replica answers alone, on any side of a partition."""
    alone = replicas == 1
    answers_alone = "every replica answers alone, also where a partition keeps it from the others"
    instead = "raft, paxos, chain and primary-backup keyspaces can"
    return Promise(
        levels=(CAUSAL, SESSION, EVENTUAL),
        refusals={
            LINEARIZABLE: (
                f"{answers_alone}, and no store can do that and be linearizable (CAP); {instead}, and quorum "
                "keyspaces with R+W > N"
            ),
            SEQUENTIAL: (
                f"{answers_alone}, so clients on two sides see concurrent writes in different orders; "
                f"{instead}"
            ),
        },
        partition="A",
        otherwise="L",
        pacelc_reason=(
            "a replica answers from its own disk and tells the others afterwards, whether it can reach them "
            "or not"
        ),
        read_quorum=1,
        write_quorum=1,
        crash_faults=replicas - 1,
        read_round_trips=(0, 0),
        write_round_trips=(0, 0),
        reads=ANYWHERE,
        writes=ANYWHERE,
        stale=not alone,
        convergence_ns=0 if alone else options.idle_ns + options.round_ns,
        loses=not alone,
        clocks=(
            "a replica does not follow a clock that is more than "
            f"{spelled(options.max_drift_ns)} ahead; of concurrent SETs the one by the later clock shows, so "
            "the further clocks are apart the less that means. Nothing else depends on clocks but times to "
            "live"
        ),
        loss=(
            "what was acknowledged is lost only with the disk"
            if alone
            else "a write that no other replica has heard of goes with its replica's disk, and only with "
            "that: a crash loses nothing. Of concurrent SETs of a key one shows and the others are "
            "overwritten; concurrent INCRs all count"
        ),
        staleness=(
            "none while there is one replica"
            if alone
            else "usually one message: the writes of a turn are sent to everybody at once, and where that "
            f"message was lost are asked for within about {spelled(options.round_ns * 5 // 4)}; across a "
            "partition as old as that. Causes come before their effects, and a session never goes back"
        ),
        minority=(
            "there are no others: where the replica is, it serves"
            if alone
            else "reads and writes are answered as ever, down to a single replica; a session that comes from "
            "the other side with what was seen there is refused when its deadline has passed"
        ),
        majority=(
            "as the other side; when they meet again both come to hold the join of all writes. Who lacks "
            f"more than {options.max_log_bytes >> 10:,} KiB of one origin's by then gets the full state, and "
            "serves eventual reads alone until it has it"
        ),
    )
