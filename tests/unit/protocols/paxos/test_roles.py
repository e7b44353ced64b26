"""Single-decree Paxos from its roles alone: no core, no disk, no clock."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from comity.protocols.paxos import Acceptance, Acceptor, Learner, Proposer, decree
from comity.protocols.paxos.ballots import NONE, Ballot, Counter
from comity.protocols.paxos.learner import Quorum
from comity.protocols.paxos.quorums import is_quorum, majority
from comity.replica import Stream, View

ACCEPTOR = Acceptor()


def majority_of(nodes: int) -> Quorum:
    return lambda answered: majority(range(1, nodes + 1), answered)


# -- the acceptor


def test_an_acceptor_promises_and_reports_what_it_has_accepted() -> None:
    held = ACCEPTOR.accept(Acceptance(), (1, 1), b"x")
    assert held is not None
    promised = ACCEPTOR.prepare(held, (2, 2))
    assert promised == Acceptance((2, 2), (1, 1), b"x")


def test_an_acceptor_refuses_ballots_below_its_promise() -> None:
    held = Acceptance((5, 2))
    assert ACCEPTOR.prepare(held, (5, 1)) is None
    assert ACCEPTOR.accept(held, (4, 9), b"x") is None
    assert ACCEPTOR.prepare(held, (5, 2)) == held


def test_an_accept_may_carry_the_promise_of_the_next_ballot() -> None:
    held = ACCEPTOR.accept(Acceptance((1, 1)), (1, 1), b"x", (3, 1))
    assert held == Acceptance((3, 1), (1, 1), b"x")
    assert ACCEPTOR.prepare(held, (2, 2)) is None
    assert ACCEPTOR.accept(held, (3, 1), b"y") == Acceptance((3, 1), (3, 1), b"y")


def test_accepting_twice_is_accepting_once() -> None:
    held = Acceptance((9, 2), (1, 1), b"x")
    assert ACCEPTOR.accept(held, (1, 1), b"x", (3, 1)) is held


# -- the proposer


def test_a_proposer_takes_the_value_of_the_highest_ballot() -> None:
    proposer = Proposer((7, 1), majority_of(3))
    assert not proposer.promise(1, (2, 3), b"old")
    assert proposer.promise(2, (5, 2), b"new")
    assert decree(proposer.found(), b"own") == b"new"


def test_a_proposer_is_free_where_a_quorum_has_accepted_nothing() -> None:
    proposer = Proposer((7, 1), majority_of(3))
    proposer.promise(1, NONE, None)
    assert proposer.promise(3, NONE, None)
    assert decree(proposer.found(), b"own") == b"own"


def test_one_promise_counts_once() -> None:
    proposer = Proposer((7, 1), majority_of(3))
    assert not proposer.promise(1, NONE, None)
    assert not proposer.promise(1, NONE, None)


def test_a_ballot_has_one_value() -> None:
    proposer = Proposer((7, 1), majority_of(3))
    proposer.propose(b"x")
    with pytest.raises(ValueError, match="draw another ballot"):
        proposer.propose(b"y")


def test_the_next_ballot_needs_no_prepare_only_where_a_quorum_promised_it() -> None:
    proposer = Proposer((7, 1), majority_of(3))
    proposer.propose(b"x", (8, 1))
    assert not proposer.accepted(1, promised=True)
    assert proposer.accepted(2, promised=False)
    assert proposer.chosen
    assert not proposer.holds_next()
    proposer.accepted(3, promised=True)
    assert proposer.holds_next()


def test_a_proposer_gives_up_when_the_rest_is_no_quorum() -> None:
    proposer = Proposer((7, 1), majority_of(3))
    proposer.refuse(1)
    assert not proposer.hopeless((1, 2, 3))
    proposer.refuse(3)
    assert proposer.hopeless((1, 2, 3))


# -- the learner


def test_a_learner_knows_a_value_is_chosen_once_a_quorum_accepted_one_ballot() -> None:
    learner = Learner(majority_of(3))
    assert not learner.learn(1, (4, 1))
    assert not learner.learn(2, (5, 2))
    assert learner.learn(3, (4, 1))
    assert learner.chosen == (4, 1)


def test_a_learner_forgets_what_an_acceptor_accepted_before() -> None:
    learner = Learner(majority_of(3))
    learner.learn(1, (4, 1))
    learner.learn(1, (5, 2))
    assert not learner.learn(2, (4, 1))
    learner.learn(1, (4, 1))  # late
    assert learner.chosen is None


# -- quorums


def test_quorums_of_successive_views_meet() -> None:
    nodes = (1, 2, 3, 4, 5)
    views = [View(1, (1, 2, 3)), View(2, (3, 4, 5), outgoing=(1, 2, 3)), View(3, (3, 4, 5))]
    subsets = [tuple(n for n in nodes if bits >> n & 1) for bits in range(1 << 6)]
    for before, after in itertools.pairwise(views):
        for one in subsets:
            for other in subsets:
                if is_quorum(before, one) and is_quorum(after, other):
                    assert set(one) & set(other)


def test_no_voters_are_no_majority() -> None:
    assert not majority((), ())


# -- counters


def test_a_counter_starts_above_everything_that_may_have_been_used() -> None:
    counter = Counter(0, 16)
    assert counter.bound_to_write() == 16
    counter.written(1)
    assert counter.draw() == 1
    told_too_early = counter.safe
    counter.persisted(1)
    assert (told_too_early, counter.safe) == (False, True)
    after_crash = Counter(counter.durable, 16)
    assert after_crash.draw() == 17


def test_a_counter_reserves_anew_before_the_block_is_used_up() -> None:
    counter = Counter(0, 16)
    counter.bound_to_write()
    assert counter.bound_to_write() == 0
    counter.jump(9)
    assert counter.bound_to_write() == 25
    counter.jump(1_000)
    assert counter.bound_to_write() == 1_016


# -- all of them together


@dataclass
class Decree:
    """Proposers that duel for one value, over a network that loses, repeats and reorders; acceptors that
    crash and come back with what they held; a proposer that crashes comes back with a higher ballot."""

    stream: Stream
    acceptors: dict[int, Acceptance] = field(default_factory=lambda: {n: Acceptance() for n in range(1, 6)})
    down: dict[int, bool] = field(default_factory=dict)
    network: list[tuple[str, int, int, Ballot, Ballot, bytes | None]] = field(default_factory=list)
    proposers: dict[int, Proposer] = field(default_factory=dict)
    counters: dict[int, int] = field(default_factory=dict)
    learners: list[Learner] = field(default_factory=lambda: [Learner(majority_of(5)) for _ in range(3)])
    values: dict[Ballot, bytes | None] = field(default_factory=dict)
    decided: dict[bytes, bool] = field(default_factory=dict)

    def begin(self, node: int) -> None:
        counter = self.counters[node] = self.counters.get(node, 0) + self.stream.between(1, 3)
        self.proposers[node] = Proposer((counter, node), majority_of(5))
        for acceptor in self.acceptors:
            self.network.append(("prepare", node, acceptor, (counter, node), NONE, None))

    def deliver(self, *, faults: bool = True) -> None:
        stream = self.stream
        kind, proposer, acceptor, ballot, accepted, value = self.network.pop(stream.below(len(self.network)))
        if faults and stream.chance(0.1):
            return
        if faults and stream.chance(0.1):
            self.network.append((kind, proposer, acceptor, ballot, accepted, value))
        if kind in {"prepare", "accept"}:
            if not self.down.get(acceptor):
                self.at_acceptor(kind, proposer, acceptor, ballot, value)
            return
        current = self.proposers.get(proposer)
        if current is None or current.ballot != ballot:
            return
        if kind == "promise" and current.promise(acceptor, accepted, value):
            chosen = decree(current.found(), b"of %d" % proposer)
            assert self.values.setdefault(ballot, chosen) == chosen
            current.propose(chosen)
            for other in self.acceptors:
                self.network.append(("accept", proposer, other, ballot, NONE, chosen))
        elif kind == "accepted" and current.accepted(acceptor):
            assert current.value is not None
            self.decided[current.value] = True

    def at_acceptor(
        self, kind: str, proposer: int, acceptor: int, ballot: Ballot, value: bytes | None
    ) -> None:
        held = self.acceptors[acceptor]
        if kind == "prepare":
            after = ACCEPTOR.prepare(held, ballot)
            answer = ("promise", proposer, acceptor, ballot, held.accepted, held.value)
        else:
            after = ACCEPTOR.accept(held, ballot, value)
            answer = ("accepted", proposer, acceptor, ballot, NONE, None)
        if after is None:
            self.counters[proposer] = max(self.counters[proposer], held.promise[0])
            return
        self.acceptors[acceptor] = after
        self.network.append(answer)
        if kind == "accept":
            for learner in self.learners:
                if self.stream.chance(0.8):
                    learner.learn(acceptor, ballot)

    def step(self) -> None:
        stream = self.stream
        draw = stream.unit()
        if draw < 0.04:
            self.begin(stream.between(1, 3))
        elif draw < 0.06:
            acceptor = stream.between(1, 5)
            self.down[acceptor] = not self.down.get(acceptor) and sum(self.down.values()) < 2
        elif draw < 0.07:
            self.proposers.pop(stream.between(1, 3), None)
        elif self.network:
            self.deliver()
        self.check()

    def check(self) -> None:
        """Agreement and validity, of what proposers and learners know, now and before."""
        for learner in self.learners:
            if learner.chosen is not None:
                value = self.values[learner.chosen]
                assert value is not None
                self.decided[value] = True
        assert len(self.decided) <= 1, f"decided {sorted(self.decided)}"
        assert all(value in {b"of 1", b"of 2", b"of 3"} for value in self.decided)


def test_duelling_proposers_decide_one_value_that_somebody_proposed_and_it_never_changes() -> None:
    undecided = 0
    for seed in range(60):
        run = Decree(Stream(seed, "decree"))
        run.begin(1)
        run.begin(2)
        for _ in range(600):
            run.step()
        undecided += not run.decided
        run.down = {}
        run.network = []
        run.counters = {node: max(run.counters.values()) + 1 for node in (1, 2, 3)}
        run.begin(3)  # nobody disturbs: it decides, and what was decided before
        while run.network:
            run.deliver(faults=False)
            run.check()
        assert run.decided
    assert undecided < 30
