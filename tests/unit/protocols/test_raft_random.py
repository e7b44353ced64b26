"""Raft under a random scheduler: any order, loss, duplication, crash, compaction and change.

After every step the cluster audits each core and the safety properties of figure 3 of the paper;
after the storm it must recover by itself.
"""

from __future__ import annotations

import pytest
from tests.unit.protocols.raft_cluster import MS, Cluster, Packet

from comity.protocols.raft import RaftCore, RaftOptions
from comity.protocols.raft.messages import AppendReply, Entry
from comity.replica import (
    AddMember,
    InvariantBroken,
    Member,
    Members,
    PromoteMember,
    RemoveMember,
    ReplaceMembers,
    Stream,
    TransferLeadership,
)

STEPS = 700
SEEDS = 200
BATCH = 20


def options_of(stream: Stream) -> RaftOptions:
    return RaftOptions(
        pre_vote=stream.chance(0.8),
        check_quorum=True,
        lease_reads=stream.chance(0.4),
        eager_commit=stream.chance(0.7),
        max_append_bytes=stream.pick([100, 300, 100_000]),
        max_inflight_bytes=stream.pick([100_000, 1_000_000]),
        max_inflight_messages=stream.pick([1, 2, 64]),
        keep_log_bytes=stream.pick([1, 300]),
        max_log_bytes=stream.pick([300, 1000, 1 << 20]),
        max_uncommitted_bytes=stream.pick([500, 1 << 20]),
    )


class Storm:
    """One run: what may happen next, drawn from the seed."""

    def __init__(self, seed: int, core: type[RaftCore] = RaftCore) -> None:
        self.stream = Stream(seed, "storm")
        stream = self.stream
        size = stream.pick([1, 2, 3, 3, 3, 4, 5])
        self.cluster = Cluster(size, options=options_of(stream), seed=seed, core=core)
        self.size = size
        self.lossy = stream.chance(0.7)
        self.reordering = stream.chance(0.6)
        self.crashing = stream.chance(0.7)
        self.calm = stream.chance(0.6)
        self.changing = stream.chance(0.5)
        self.proposals = 0
        weights = {
            self.deliver: 45,
            self.sync: 20,
            self.time_passes: 8,
            self.propose: 8,
            self.read: 6,
            self.snapshots: 3,
            self.flush: 2,
            self.lose_peer: 2,
            self.crash_or_restart: 2,
            self.cut_or_heal: 1,
            self.administer: 2,
        }
        self.actions = [
            action
            for action, weight in weights.items()
            for _ in range(max(1, weight * stream.pick([1, 2, 2, 2, 6]) // 2))
        ]
        self.spares = [size + 1, size + 2] if self.changing else []
        for spare in self.spares:
            told = stream.pick([Members(voters=()), self.cluster.members])
            self.cluster.add(spare, members=told)

    def any_node(self) -> int:
        return self.stream.pick(sorted(self.cluster.nodes))

    def any_up(self) -> int:
        up = [number for number, node in sorted(self.cluster.nodes.items()) if node.up]
        return self.stream.pick(up) if up else 0

    def step(self) -> None:
        self.stream.pick(self.actions)()

    def sync(self) -> None:
        number = self.any_up()
        if number and self.cluster.nodes[number].unsynced:
            count = len(self.cluster.nodes[number].unsynced)
            self.cluster.sync(number, self.stream.between(1, count))

    def propose(self) -> None:
        self.proposals += 1
        number = self.cluster.leader() if self.stream.chance(0.8) else self.any_up()
        if number:
            self.cluster.propose(number, f"{self.proposals}".encode())

    def read(self) -> None:
        if number := self.any_up():
            self.cluster.read(number)

    def snapshots(self) -> None:
        if number := self.any_up():
            self.cluster.serve_snapshots(number)

    def flush(self) -> None:
        if number := self.any_up():
            self.cluster.flush(number, compact=self.stream.chance(0.8))

    def lose_peer(self) -> None:
        if number := self.any_up():
            peer = self.cluster[number].leader if self.stream.chance(0.8) else self.any_node()
            self.cluster[number].peer_lost(self.cluster.now_ns, peer)
            self.cluster.turn(number)

    def deliver(self) -> None:
        for _ in range(self.stream.between(1, 4)):
            if self.cluster.network:
                self.deliver_one()

    def deliver_one(self) -> None:
        cluster, stream = self.cluster, self.stream
        network = cluster.network
        position = stream.below(min(len(network), 12)) if self.reordering else 0
        packet = network.pop(position)
        if self.lossy and stream.chance(0.1):
            return
        if self.lossy and stream.chance(0.05):
            network.append(Packet(packet.sender, packet.receiver, packet.message))
        cluster.deliver(packet)

    def time_passes(self) -> None:
        cluster, stream = self.cluster, self.stream
        up = [number for number, node in cluster.nodes.items() if node.up]
        if not up:
            return
        if not self.calm and stream.chance(0.3):
            number = stream.pick(up)  # the others stand still meanwhile
            cluster.now_ns = max(cluster.now_ns, cluster[number].deadline_ns)
        elif stream.chance(0.5):
            number = min(up, key=lambda number: cluster[number].deadline_ns)
            cluster.now_ns = max(cluster.now_ns, cluster[number].deadline_ns)
        else:
            number = stream.pick(up)
            cluster.now_ns += stream.below(30 * MS)
        cluster.wake(number)

    def crash_or_restart(self) -> None:
        cluster, stream = self.cluster, self.stream
        number = self.any_node()
        if self.crashing and cluster.leader() and stream.chance(0.3):
            number = cluster.leader()
        node = cluster.nodes[number]
        if not node.up:
            cluster.restart(number)
        elif self.crashing:
            cluster.crash(number, keep=stream.below(len(node.unsynced) + 1))

    def cut_or_heal(self) -> None:
        cluster, stream = self.cluster, self.stream
        if cluster.cut or not self.lossy:
            cluster.heal()
            return
        pairs = [
            (one, other) for one in sorted(cluster.nodes) for other in sorted(cluster.nodes) if one != other
        ]
        cluster.cut = {pair for pair in pairs if stream.chance(0.3)}  # one-way cuts too

    def administer(self) -> None:
        cluster, stream = self.cluster, self.stream
        leader = cluster.leader() if stream.chance(0.9) else self.any_up()
        if not leader:
            return
        node = self.any_node()
        operation = stream.pick(
            [
                AddMember(Member(node, f"host{node}:7101", f"host{node}:7001")),
                PromoteMember(node),
                PromoteMember(node),
                RemoveMember(node),
                ReplaceMembers(tuple(sorted({self.any_node(), self.any_node(), self.any_node()}))),
                TransferLeadership(stream.pick([0, node])),
            ]
        )
        if not self.changing:
            operation = TransferLeadership(stream.pick([0, node]))
        cluster.administer(leader, operation)

    def recover(self) -> None:
        """The storm is over: the voters must elect a leader and agree."""
        cluster = self.cluster
        cluster.heal()
        for number, node in sorted(cluster.nodes.items()):
            if not node.up:
                cluster.restart(number)
        assert cluster.run_until_led(20_000 * MS), "nobody was elected"
        cluster.run(5_000 * MS)
        leader = cluster.leader()
        assert leader, "the leader was lost again without cause"
        before = cluster[leader].commit
        cluster.propose(leader, b"the last")
        cluster.run(3_000 * MS)
        core = cluster[leader]
        assert cluster.leader() == leader
        assert core.commit == core.log.last > before
        for number in core.members.everyone():
            assert cluster[number].commit == core.commit, f"node {number} did not catch up"
            assert cluster.nodes[number].state.commands == cluster.nodes[leader].state.commands
            request = cluster.read(number)
            cluster.run(1_000 * MS)
            assert cluster.outcome(number, request) is not None
        cluster.check()


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_any_schedule_is_safe_and_recovers(first: int) -> None:
    for seed in range(first, first + BATCH):
        storm = Storm(seed)
        try:
            for _ in range(STEPS):
                storm.step()
            storm.cluster.check()
            storm.recover()
        except Exception as error:
            raise AssertionError(f"seed {seed} at {storm.cluster.now_ns} ns") from error


class AcknowledgesBeforeFsync(RaftCore):
    def acknowledge(self, leader: int, reply: AppendReply) -> None:
        self.send(leader, reply)


class CountsItselfBeforeFsync(RaftCore):
    def own_match(self) -> int:
        self.durable_index = self.log.last  # so that its own audit does not see it
        return self.log.last


class ReadsBeforeItsNoop(RaftCore):
    def may_serve_reads(self) -> bool:
        return True


class ReadsAfterBeingDeposed(RaftCore):
    def serves_at_once(self, now_ns: int) -> bool:
        return True


class ChangesMembersInOneStep(RaftCore):
    def first_step(self, target: Members) -> Members:
        return target

    def change_in_progress(self) -> bool:
        return False


class TruncatesWhatMatches(RaftCore):
    def first_new(self, previous: int, entries: list[Entry]) -> int:
        return 0


class CommitsWhatItRecovers(RaftCore):
    def recovered_commit(self) -> int:
        return self.log.last


class CommitsWhatItOnlyHolds(RaftCore):
    def follow_commit(self, now_ns: int, index: int) -> None:
        self.matched = max(self.matched, min(index, self.log.last))
        super().follow_commit(now_ns, index)


@pytest.mark.parametrize(
    "variant",
    [
        AcknowledgesBeforeFsync,
        CountsItselfBeforeFsync,
        ReadsBeforeItsNoop,
        ReadsAfterBeingDeposed,
        ChangesMembersInOneStep,
        TruncatesWhatMatches,
        CommitsWhatItRecovers,
        CommitsWhatItOnlyHolds,
    ],
)
def test_the_storm_finds_a_broken_variant(variant: type[RaftCore]) -> None:
    for seed in range(600):
        try:
            storm = Storm(seed, variant)
            for _ in range(STEPS):
                storm.step()
            storm.cluster.check()
        except (AssertionError, InvariantBroken):
            return
    pytest.fail("no seed noticed")
