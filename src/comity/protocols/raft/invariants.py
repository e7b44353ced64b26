"""What must hold in a replica after every step.

`check` looks at the ends of things and is cheap; `check_log` walks the whole log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from comity.protocols.raft.progress import PROBE, REPLICATE, SNAPSHOT
from comity.protocols.raft.state import CANDIDATE, FOLLOWER, LEADER, MEMBERS, PRE_CANDIDATE
from comity.replica import NEVER, decode_members

if TYPE_CHECKING:
    from comity.protocols.raft.core import RaftCore


def check(core: RaftCore) -> None:
    """Raise `InvariantBroken` naming the first invariant that does not hold."""
    flaw = _position(core) or _durability(core) or _role(core) or _membership(core)
    if not flaw and core.role is LEADER:
        flaw = _leadership(core) or _followers(core)
    if flaw:
        raise core.broken(f"{flaw} (role {core.role.name}, term {core.term})")


def _position(core: RaftCore) -> str:
    log = core.log
    if not log.base <= core.commit <= log.last:
        return f"base {log.base} <= commit {core.commit} <= last {log.last}"
    if flaw := log.flaw():
        return flaw
    if log.last_term > core.term:
        return f"last term {log.last_term} <= term"
    if core.role is not LEADER and not core.commit <= core.matched <= log.last:
        return f"commit {core.commit} <= matched {core.matched} <= last {log.last}"
    if core.installing and core.installing <= core.commit:
        return f"snapshot {core.installing} is installed, but {core.commit} is applied"
    return ""


def _durability(core: RaftCore) -> str:
    if not 0 <= core.synced <= core.written or core.hard_state_written > core.written:
        return f"{core.synced} durable, {core.hard_state_written} hard state, of {core.written} written"
    if core.hard_state != (core.term, core.vote):
        return f"term and vote {core.hard_state} were written, not ({core.term}, {core.vote})"
    if core.durable_index > core.log.last:
        return f"durable up to {core.durable_index}, but the log ends at {core.log.last}"
    if core.unsynced and core.unsynced[0][0] <= core.synced:
        return "entries that are durable wait for their fsync"
    if core.compacted > core.log.base:
        return f"compacted up to {core.compacted}, but the base is {core.log.base}"
    return ""


def _role(core: RaftCore) -> str:
    role = core.role
    if role is LEADER:
        if core.leader_id != core.node:
            return "a leader that follows another"
        if core.vote != core.node or not core.hard_state_durable():
            return "a leader whose term or vote is not durable"
        if core.election_due_ns != NEVER or core.heartbeat_due_ns == NEVER:
            return "a leader that campaigns or does not tick"
        if core.deadline_ns > min(core.heartbeat_due_ns, core.transfer_due_ns, core.commit_due_ns):
            return "a leader's deadline is overlooked"
        if core.reads_asked:
            return "a leader that asks another for reads"
        return ""
    if core.heartbeat_due_ns != NEVER or core.transferee or core.peers:
        return "leadership outlived the leader"
    if core.election_due_ns == NEVER:
        return "nobody is to be elected"
    if core.deadline_ns > min(core.election_due_ns, core.read_retry_ns):
        return "a follower's deadline is overlooked"
    if core.leader_id == core.node:
        return "it follows itself"
    if core.term == 0 and core.vote:
        return "a vote without a term"
    if role is not FOLLOWER and (core.leader_id or core.reads_waiting or core.reads_asked):
        return "a candidate that follows, or keeps reads waiting"
    if role is CANDIDATE:
        if core.vote != core.node:
            return "a candidate that votes for another"
        if core.votes.get(core.node) and not core.hard_state_durable():
            return "its own vote counts and is not durable"
    elif role is PRE_CANDIDATE and not core.options.pre_vote:
        return "a pre-candidate without pre-vote"
    return ""


def _membership(core: RaftCore) -> str:
    configurations = core.configurations
    members = core.members
    if members is not configurations[-1][1]:
        return "the newest configuration is not in force"
    if configurations[0][0] > core.commit:
        return f"configuration {configurations[0][0]} counts as committed"
    if not members.learners and len(configurations) == 1 and not members.outgoing:
        return ""
    if any(members.votes(node) for node in members.learners):
        return "a learner has a vote"
    previous_index, previous = configurations[0]
    for index, later in configurations[1:]:
        if not core.commit < index <= core.log.last:
            return f"configuration {index} is not among the uncommitted entries"
        known = previous_index > 0 or core.role is LEADER  # what a new node was told may be old
        if known and later.voters != previous.voters:
            entering = later.outgoing == previous.voters and not previous.joint
            if not entering:
                return f"majorities of configurations {previous_index} and {index} need not meet"
        previous_index, previous = index, later
    if core.role is LEADER and sum(index > core.first_index for index, _ in configurations[1:]) > 1:
        return "two membership changes overlap"
    return ""


def _leadership(core: RaftCore) -> str:
    last = core.log.last
    own = core.progress.get(core.node)
    if own is None or own.match > core.durable_index:
        return "it counts itself for more than is durable"
    if not 0 < core.first_index <= last or core.log.last_term != core.term:
        return f"no entry of its term: first {core.first_index}, last {last}"
    if (core.uncommitted_bytes == 0) != (core.commit == last):
        return f"{core.uncommitted_bytes} bytes uncommitted in ({core.commit}, {last}]"
    if not core.confirmed_round <= core.round or core.read_round > core.round:
        return f"round {core.round}, confirmed {core.confirmed_round}, reads in {core.read_round}"
    return ""


def _followers(core: RaftCore) -> str:
    last = core.log.last
    for peer in core.peers:
        if not peer.match < peer.next <= last + 1:
            return f"follower {peer.node}: match {peer.match} < next {peer.next} <= last {last} + 1"
        if peer.state is REPLICATE:
            if peer.paused or peer.transfer is not None:
                return f"follower {peer.node} replicates and is paused or sent a snapshot"
        elif peer.inflight:
            return f"follower {peer.node} has a window outside REPLICATE"
        if (peer.state is SNAPSHOT) != (peer.transfer is not None) or (
            peer.paused and peer.state is not PROBE
        ):
            return f"follower {peer.node}: state {peer.state.name} and transfer do not agree"
        if bool(peer.inflight) != (peer.inflight_bytes > 0):
            return f"follower {peer.node}: {len(peer.inflight)} messages of {peer.inflight_bytes} bytes"
        if peer.commit_sent > core.commit:
            return f"follower {peer.node} was told of commit {peer.commit_sent} of {core.commit}"
    return ""


def check_log(core: RaftCore) -> None:
    """Raise `InvariantBroken` where the whole log does not make sense."""
    if flaw := core.log.flaw_within(core.term):
        raise core.broken(flaw)
    memberships = []
    for index in range(core.log.base + 1, core.log.last + 1):
        entry = core.log.entry(index)
        if entry.kind == MEMBERS and index > core.commit:
            try:
                memberships.append((index, decode_members(entry.payload)))
            except msgspec.DecodeError:
                raise core.broken(f"entry {index} is an unreadable membership") from None
    if memberships != core.configurations[1:]:
        raise core.broken("the configurations are not those in the log")
    if core.role is LEADER and core.uncommitted_bytes != core.count_uncommitted_bytes():
        raise core.broken("the uncommitted bytes are not counted right")
