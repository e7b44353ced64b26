"""All mutants."""

from __future__ import annotations

from collections.abc import Callable

from comity.node.journal import Journal
from comity.node.waiting import Pending
from comity.node.writes import Writes
from comity.protocols.raft import RaftCore
from comity.simulator.cluster import Mutation
from comity.simulator.mutants import catalogue_quorums, catalogue_views, parts, plans, raft
from comity.simulator.mutants.mutation import CoreMutation, Mutant
from comity.store.machine import StateMachine
from comity.store.origins import OriginTable


def _core(core: type[RaftCore]) -> Callable[[], Mutation]:
    return lambda: CoreMutation("raft", core)


RAFT: tuple[Mutant, ...] = (
    Mutant(
        name="vote-not-persisted",
        wrong="the vote is forgotten in a crash",
        rule="one vote a term, durable before it is given (paper 5.2, figure 2)",
        mutation=_core(raft.VoteNotPersisted),
        plan=plans.bounces,
        nodes=3,
    ),
    Mutant(
        name="ack-before-fsync",
        wrong="a follower acknowledges entries that are not durable",
        rule="the log is durable before anything depends on it (figure 2)",
        mutation=_core(raft.AcknowledgesBeforeSync),
        plan=plans.storm,
        nodes=3,
    ),
    Mutant(
        name="own-ack-before-fsync",
        wrong="a leader counts its own copy before it is durable",
        rule="a leader may write in parallel, but counts itself only when durable (thesis 10.2.1)",
        mutation=_core(raft.CountsItselfBeforeSync),
        plan=plans.storm,
        nodes=3,
    ),
    Mutant(
        name="commits-old-terms",
        wrong="an entry of an earlier term is committed by counting replicas",
        rule="only entries of the current term are committed by counting (5.4.2, figure 8)",
        mutation=_core(raft.CommitsOldTerms),
        plan=plans.figure_eight,
    ),
    Mutant(
        name="read-before-own-term",
        wrong="a new leader answers reads before its no-op is committed",
        rule="the commit index is known only after an entry of the term is committed (thesis 6.4)",
        mutation=_core(raft.ReadsBeforeItsTerm),
        plan=plans.split_leaders,
    ),
    Mutant(
        name="deposed-leader-reads",
        wrong="a leader answers reads without confirming that it still leads",
        rule="a read needs a round of heartbeats, or a lease (thesis 6.4)",
        mutation=_core(raft.ReadsWhenDeposed),
        plan=plans.trusting,
    ),
    Mutant(
        name="lease-ignores-drift",
        wrong="the lease is not shortened by what clocks may drift",
        rule="a lease must end before any other clock lets an election begin (thesis 6.4.1)",
        mutation=_core(raft.LeaseIgnoresDrift),
        plan=plans.bad_clocks,
        per_second=250,
        nodes=3,
    ),
    Mutant(
        name="one-step-membership",
        wrong="several members change in one step, without a joint configuration",
        rule="old and new majorities must overlap (paper 6, thesis 4.3)",
        mutation=_core(raft.ChangesInOneStep),
        plan=plans.memberships,
    ),
    Mutant(
        name="truncates-matched",
        wrong="a late Append makes a follower drop entries it already holds",
        rule="only entries that conflict are dropped (5.3, figure 2)",
        mutation=_core(raft.TruncatesMatchedEntries),
        plan=plans.confusion,
    ),
    Mutant(
        name="commit-ahead-after-restart",
        wrong="after a restart the whole log counts as committed",
        rule="the commit index is volatile: a leader says it anew (figure 2)",
        mutation=_core(raft.CommitsAheadAfterRestart),
        plan=plans.storm,
    ),
    Mutant(
        name="votes-for-anybody",
        wrong="votes are given to candidates that lack committed entries",
        rule="a vote needs a log at least as up to date (5.4.1)",
        mutation=_core(raft.VotesForAnybody),
        plan=plans.split_leaders,
    ),
    Mutant(
        name="commits-alone",
        wrong="a leader commits what it alone holds",
        rule="a majority holds what is committed (5.3)",
        mutation=_core(raft.CommitsAlone),
        plan=plans.split_leaders,
    ),
    Mutant(
        name="commit-beyond-match",
        wrong="a follower commits entries not known to equal the leader's",
        rule="commitIndex = min(leaderCommit, index of last new entry) (figure 2)",
        mutation=_core(raft.FollowsCommitBlindly),
        plan=plans.split_leaders,
    ),
    Mutant(
        name="torn-tail-accepted",
        wrong="a torn end of the log stays in place and is written behind",
        rule="what was never acknowledged is cut before the log goes on",
        mutation=parts.TornTailAccepted,
        plan=plans.storm,
    ),
    Mutant(
        name="gate-open",
        wrong="messages that wait for the disk leave at once",
        rule="votes and acknowledgements leave only when durable",
        replacements=((Journal, "gate", parts.gate_open),),
        plan=plans.storm,
        nodes=3,
    ),
    Mutant(
        name="expiry-by-local-clock",
        wrong="a key expires by the clock of the replica that applies",
        rule="expiry is decided by the stamp in the log",
        mutation=parts.LocalClock,
    ),
    Mutant(
        name="retry-applied-twice",
        wrong="a batch that is sent again is applied again",
        rule="a batch happens once",
        replacements=((OriginTable, "admit", parts.admit_again),),
        plan=plans.confusion,
    ),
    Mutant(
        name="batches-out-of-order",
        wrong="a lost batch is sent again behind later ones, and applied there",
        rule="the commands of a connection happen in their order, each once",
        replacements=((OriginTable, "admit", parts.admit_gaps), (Writes, "_forward", parts.forward_only_new)),
        plan=plans.confusion,
    ),
    Mutant(
        name="false-refusal",
        wrong="a command that was sent and not answered is reported as refused",
        rule="what cannot be known is indeterminate",
        replacements=((Pending, "exposed", parts.Unexposed()),),
        plan=plans.impatient,
    ),
    Mutant(
        name="snapshot-forgets-clients",
        wrong="a snapshot lacks the table of clients and batches",
        rule="a snapshot is the whole state (paper 7; thesis 6.3)",
        replacements=((StateMachine, "stage_chunk", parts.stage_without_clients),),
        plan=plans.stragglers,
    ),
    Mutant(
        name="compacts-too-early",
        wrong="the log is compacted up to what was applied, not to what is durable in the state",
        rule="an entry leaves the log only when the state that holds it survives a crash",
        replacements=((StateMachine, "synced", parts.synced_too_early),),
        plan=plans.stragglers,
    ),
)

MUTANTS: tuple[Mutant, ...] = (*RAFT, *catalogue_quorums.MUTANTS, *catalogue_views.MUTANTS)


def mutant_named(name: str) -> Mutant:
    """The mutant; raises `KeyError` with the names there are."""
    for mutant in MUTANTS:
        if mutant.name == name:
            return mutant
    raise KeyError(f"there is no mutant {name!r}; there are {', '.join(mutant.name for mutant in MUTANTS)}")
