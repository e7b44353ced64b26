"""The mutants of protocols with views, chain and primary-backup, and of gossip.

None of them audits itself (`check` does nothing): what catches them is what clients see, that all replicas
apply the same, or that they converge; and where that is not possible, an invariant that the core cannot go
on without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comity.simulator.cluster import Mutation
from comity.simulator.mutants import chain, gossip, primary_backup
from comity.simulator.mutants import plans_views as plans
from comity.simulator.mutants.mutation import CoreMutation, Mutant

NODES = 3
DURATION_MS = 4_000
PER_SECOND = 100


def unaudited(core: type[Any]) -> type[Any]:
    """The same core, whose audit finds nothing."""

    def check(self: Any) -> None:
        """Nothing is looked at."""

    return type(core.__name__, (core,), {"check": check, "__doc__": core.__doc__})


def _of(protocol: str, core: type[Any]) -> Callable[[], Mutation]:
    return lambda: CoreMutation(protocol, unaudited(core))


def _mutant(
    protocol: str,
    name: str,
    core: type[Any],
    plan: Any,
    wrong: str,
    rule: str,
    trial: str = "registers",
    *,
    nodes: int = NODES,
    duration_ms: int = DURATION_MS,
    per_second: int = PER_SECOND,
) -> Mutant:
    return Mutant(
        name=f"{protocol}-{name}",
        wrong=wrong,
        rule=rule,
        mutation=_of(protocol, core),
        plan=plan,
        nodes=nodes,
        duration_ms=duration_ms,
        per_second=per_second,
        protocol=protocol,
        trial=f"{protocol}-{trial}",
    )


CHAIN = (
    _mutant(
        "chain",
        "forwards-before-fsync",
        chain.ForwardsBeforeSync,
        plans.bounces,
        "what is passed on is not durable at the node that passes it on",
        "a log is a prefix of the predecessor's, also after a crash (van Renesse 2004, 3.1)",
    ),
    _mutant(
        "chain",
        "acks-before-fsync",
        chain.AcknowledgesBeforeSync,
        plans.bounces,
        "the tail counts what it has not on disk",
        "what the tail acknowledges is stable at all (van Renesse 2004, 3)",
    ),
    _mutant(
        "chain",
        "joiner-not-counted",
        chain.CommitsWithoutJoining,
        plans.confusion,
        "commits do not wait for a joining node that was reported as caught up",
        "who extends the chain holds everything committed before it is one of it (2004, 3.1)",
    ),
    _mutant(
        "chain",
        "joiner-counts-early",
        chain.CountsEarly,
        plans.judgement,
        "a joining node is reported as caught up before it holds everything committed",
        "the new tail has all that the old one had (2004, 3.1)",
    ),
    _mutant(
        "chain",
        "dirty-reads",
        chain.ServesDirtyReads,
        plans.judgement,
        "a replica answers while a newer version of the key may be committed",
        "a dirty version is asked for at the tail (CRAQ 2.3)",
    ),
    _mutant(
        "chain",
        "tail-too-soon",
        chain.TailAnswersTooSoon,
        plans.judgement,
        "a new tail answers before it knows what was committed",
        "when the tail fails, its predecessor takes what it holds for committed first (2004, 3.1)",
    ),
    _mutant(
        "chain",
        "serves-when-cut-out",
        chain.ServesWhenCutOut,
        plans.cut_out_confirming,
        "a replica that was cut out of the chain goes on answering",
        "a read is answered in the view in force (CRAQ 2.3, with a master that is not instant)",
    ),
    _mutant(
        "chain",
        "trusts-the-tail-alone",
        chain.TrustsTheTailAlone,
        plans.split_off_confirming,
        "that the tail is in the asker's epoch proves that the view is in force",
        "the tail may be cut out together with who asks it",
        nodes=5,
        per_second=150,
        duration_ms=5_000,
    ),
    _mutant(
        "chain",
        "no-fence",
        chain.NoFence,
        plans.leases,
        "a view that leaves somebody out commits while he may still read by his lease",
        "promises are kept until they have run out",
    ),
    _mutant(
        "chain",
        "lease-ignores-drift",
        chain.LeaseIgnoresDrift,
        plans.bad_clocks,
        "promises are kept for as long as if every clock were perfect",
        "a promise binds until the slowest clock has seen it end",
        per_second=200,
        duration_ms=6_000,
    ),
    _mutant(
        "chain",
        "lease-from-receipt",
        chain.LeaseFromReceipt,
        plans.late_promises,
        "a lease is counted from when the promise came, not from the question it answers",
        "a lease begins when its heartbeat was sent",
        per_second=200,
        duration_ms=6_000,
    ),
    _mutant(
        "chain",
        "forgets-promises",
        chain.ForgetsPromises,
        plans.forgetful,
        "what was promised before a crash is not kept",
        "who restarts waits as if it had promised just now",
        per_second=150,
        duration_ms=6_000,
    ),
    _mutant(
        "chain",
        "hears-other-epochs",
        chain.HearsOtherEpochs,
        plans.confusion,
        "messages of other epochs are listened to",
        "one epoch at a time (2004, 3.1: who was removed is no part of the chain)",
    ),
    _mutant(
        "chain",
        "matches-across-epochs",
        chain.MatchesAcrossEpochs,
        plans.bounces,
        "in a new epoch leftovers count as the head's",
        "a log is a prefix of the predecessor's (2004, 3.1)",
    ),
    _mutant(
        "chain",
        "truncates-matched",
        chain.TruncatesMatchedEntries,
        plans.confusion,
        "a late Append makes a replica drop what it holds already",
        "what is sent and not acknowledged is kept (2004, 3.1)",
    ),
    _mutant(
        "chain",
        "commit-beyond-match",
        chain.FollowsCommitBlindly,
        plans.confusion,
        "a replica commits up to what it is told, whether or not its log is the same",
        "only what is a prefix of the predecessor's is committed (2004, 3.1)",
    ),
    _mutant(
        "chain",
        "forgets-its-view",
        chain.ForgetsItsView,
        plans.bounces,
        "an adopted epoch is forgotten in a crash",
        "an epoch is durable before anything is said under it",
    ),
)

PRIMARY_BACKUP = (
    _mutant(
        "primary-backup",
        "acks-old-epochs",
        primary_backup.AcknowledgesOldEpochs,
        plans.hearsay,
        "what a primary of an older epoch sends is acknowledged",
        "who has adopted a higher ballot refuses lower ones (Vertical Paxos, 2009)",
        nodes=5,
        per_second=150,
    ),
    _mutant(
        "primary-backup",
        "confirms-old-epochs",
        primary_backup.ConfirmsOldEpochs,
        plans.cut_out_confirming,
        "a deposed primary has its reads confirmed",
        "who has adopted a higher ballot refuses lower ones (Vertical Paxos, 2009)",
        per_second=150,
        duration_ms=5_000,
    ),
    _mutant(
        "primary-backup",
        "ack-before-fsync",
        primary_backup.AcknowledgesBeforeSync,
        plans.bounces,
        "a backup acknowledges what it has not on disk",
        "every member has it before it is answered (Alsberg & Day 1976)",
    ),
    _mutant(
        "primary-backup",
        "own-ack-before-fsync",
        primary_backup.CountsItselfBeforeSync,
        plans.bounces,
        "a primary counts what it has not on disk",
        "every member has it before it is answered (Alsberg & Day 1976)",
    ),
    _mutant(
        "primary-backup",
        "commits-alone",
        primary_backup.CommitsWithoutBackups,
        plans.judgement,
        "a sync primary answers before its backups have it",
        "the write quorum is everybody (Vertical Paxos, 2009)",
    ),
    _mutant(
        "primary-backup",
        "commits-with-majority",
        primary_backup.CommitsWithMajority,
        plans.judgement,
        "a sync primary answers when a majority has it",
        "the write quorum is everybody, so that any one may lead next (Vertical Paxos, 2009)",
    ),
    _mutant(
        "primary-backup",
        "starts-not-numbered",
        primary_backup.ForgetsItsStarts,
        plans.bounces,
        "a primary that is back in its epoch numbers its entries as before",
        "a ballot is used by one start of one leader (Vertical Paxos, 2009)",
    ),
    _mutant(
        "primary-backup",
        "reads-before-own-entry",
        primary_backup.ReadsBeforeItsEntry,
        plans.judgement,
        "a new primary answers reads before it has committed an entry",
        "a view is activated before it serves (Vertical Paxos, 2009)",
    ),
    _mutant(
        "primary-backup",
        "reads-unconfirmed",
        primary_backup.ReadsUnconfirmed,
        plans.cut_out_confirming,
        "a primary answers reads without asking whether it was deposed",
        "a read needs a round of all members, or a lease (PacificA, 2008)",
        per_second=150,
        duration_ms=5_000,
    ),
    _mutant(
        "primary-backup",
        "lease-ignores-drift",
        primary_backup.LeaseIgnoresDrift,
        plans.bad_clocks,
        "the lease lasts as long as if every clock were perfect",
        "the holder's lease ends before its backups' grace (PacificA, 2008)",
        per_second=150,
        duration_ms=5_000,
    ),
    _mutant(
        "primary-backup",
        "breaks-its-promise",
        primary_backup.BreaksItsPromise,
        plans.leases,
        "a new primary commits while the one before may still read by its lease",
        "a backup waits out the lease that it granted (PacificA, 2008)",
        per_second=150,
        duration_ms=5_000,
    ),
    _mutant(
        "primary-backup",
        "joiner-declared-early",
        primary_backup.DeclaresTooEarly,
        plans.laggards,
        "a joining node is declared caught up while it lacks what was committed",
        "state is transferred before a configuration is complete (Vertical Paxos, 2009)",
        per_second=150,
    ),
    _mutant(
        "primary-backup",
        "truncates-matched",
        primary_backup.TruncatesMatchedEntries,
        plans.confusion,
        "a late Append makes a backup drop what it holds already",
        "only what differs is given up: all else was acknowledged",
    ),
    _mutant(
        "primary-backup",
        "commit-beyond-match",
        primary_backup.FollowsCommitBlindly,
        plans.confusion,
        "a backup commits up to the primary's index, whether or not its log is the same",
        "what is committed is what all hold (Vertical Paxos, 2009)",
    ),
)

GOSSIP = (
    _mutant(
        "gossip",
        "skips-lost-deltas",
        gossip.SkipsLostDeltas,
        plans.detours,
        "a batch is applied although one before it is missing",
        "the causal delta-merging condition (Almeida 2018)",
        "sessions",
        duration_ms=3_000,
        per_second=150,
    ),
    _mutant(
        "gossip",
        "overwrites",
        gossip.OverwritesInsteadOfJoining,
        plans.rumours,
        "a delta replaces the state of its key",
        "states are joined (Shapiro 2011, 2.2)",
        "sessions",
        duration_ms=3_000,
        per_second=150,
    ),
    _mutant(
        "gossip",
        "answers-before-fsync",
        gossip.AnswersBeforeSync,
        plans.rumours,
        "a write is answered before it is durable",
        "no acknowledged write is lost in a crash",
        "sessions",
        duration_ms=3_000,
        per_second=150,
    ),
    _mutant(
        "gossip",
        "reads-before-fsync",
        gossip.ReadsWhatIsNotDurable,
        plans.rumours,
        "a read shows what a crash may still undo",
        "monotonic reads (Terry 1994)",
        "sessions",
        duration_ms=3_000,
        per_second=150,
    ),
    _mutant(
        "gossip",
        "sends-before-fsync",
        gossip.GossipsBeforeSync,
        plans.rumours,
        "writes leave before they are durable, and their dots are used again",
        "what is sent is durable first: X and c are (Almeida 2018)",
        "sessions",
        duration_ms=3_000,
        per_second=150,
    ),
    _mutant(
        "gossip",
        "ignores-tokens",
        gossip.IgnoresTokens,
        plans.detours,
        "a session is answered by a replica that lacks what it has seen",
        "the session guarantees (Terry 1994)",
        "sessions",
        duration_ms=3_000,
        per_second=150,
    ),
    _mutant(
        "gossip",
        "never-asks",
        gossip.NeverAsks,
        plans.rumours,
        "what is lost on the way is never asked for",
        "anti-entropy (Demers 1987)",
        "sessions",
        duration_ms=3_000,
        per_second=150,
    ),
    _mutant(
        "gossip",
        "ignores-full-state",
        gossip.IgnoresFullState,
        plans.absences,
        "who lacks deltas that are no longer kept waits for them for ever",
        "the full state is sent where deltas are gone (Almeida 2018, algorithm 2)",
        "sessions",
        per_second=150,
    ),
    _mutant(
        "gossip",
        "stable-alone",
        gossip.StableAlone,
        plans.absences,
        "what was delivered here counts as delivered everywhere",
        "causal stability (Baquero 2014)",
        "sessions",
        per_second=150,
    ),
)

MUTANTS: tuple[Mutant, ...] = (*CHAIN, *PRIMARY_BACKUP, *GOSSIP)
