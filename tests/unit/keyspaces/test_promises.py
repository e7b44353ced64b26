"""What every protocol promises: complete, consistent in itself, and kept by the arithmetic it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.keyspaces.choices import LEVELS
from comity.protocols import load
from comity.protocols.chain.promise import write_round_trips
from comity.protocols.paxos.core import LEVELS as PAXOS_LEVELS
from comity.protocols.quorum import quorum_promise, quorums_of
from comity.replica import Promise
from comity.replica.promises import ANYWHERE, PLACES, spelled

PROTOCOLS = load()
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("raft", {}),
    ("raft", {"lease_reads": True}),
    ("paxos", {}),
    ("primary-backup", {"mode": "sync"}),
    ("primary-backup", {"mode": "sync", "reads": "lease"}),
    ("primary-backup", {"mode": "async"}),
    ("primary-backup", {"mode": "async", "loss_entries": 7, "loss_bytes": 4096}),
    ("chain", {"reads": "lease"}),
    ("chain", {"reads": "confirm"}),
    *(
        ("quorum", {"n": n, "r": r, "w": w, "sloppy": sloppy, "conflicts": conflicts})
        for n, r, w in ((0, 0, 0), (0, 1, 1), (3, 2, 2), (3, 3, 1), (3, 1, 3), (5, 2, 2))
        for sloppy in (False, True)
        for conflicts in ("last-writer-wins", "siblings")
    ),
    ("gossip", {}),
]


def promise(name: str, options: dict[str, Any], replicas: int) -> Promise:
    protocol = PROTOCOLS[name]
    assert protocol.promise is not None
    return protocol.promise(msgspec.convert(options, protocol.options), replicas)


def every_promise(check: Callable[[Promise, int], None]) -> Callable[[str, dict[str, Any]], None]:
    """Of every kind, with one replica to seven."""

    def checked(name: str, options: dict[str, Any]) -> None:
        for replicas in range(1, 8):
            check(promise(name, options, replicas), replicas)

    checked.__name__ = check.__name__
    labels = ["-".join([name, *map(str, options.values())]) for name, options in VARIANTS]
    marked: Callable[[str, dict[str, Any]], None]
    marked = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=labels)(checked)
    return marked


def test_every_protocol_states_a_promise() -> None:
    assert {name for name, _ in VARIANTS} >= {"raft", "paxos", "primary-backup", "chain", "quorum", "gossip"}
    for name, protocol in PROTOCOLS.items():
        assert protocol.promise is not None, name


@every_promise
def test_a_level_is_given_or_refused_with_a_reason_and_never_both(made: Promise, replicas: int) -> None:
    assert not set(made.levels) & set(made.refusals)
    assert {*made.levels, *made.refusals} == set(LEVELS)
    assert list(made.levels) == [level for level in LEVELS if level in made.levels], "the strongest first"
    for reason in made.refusals.values():
        assert any(word in reason for word in ("keyspaces can", "would do")), "no alternative is named"


@every_promise
def test_what_refuses_names_only_protocols_that_can(made: Promise, replicas: int) -> None:
    for level, reason in made.refusals.items():
        for name in ("raft", "paxos", "chain", "gossip"):
            if name in reason.rpartition(";")[2]:
                assert level in promise(name, {}, 3).levels, (level, name)


@every_promise
def test_every_number_is_possible(made: Promise, replicas: int) -> None:
    held = made.holders or replicas
    assert 1 <= held <= replicas
    assert 0 <= made.crash_faults < replicas
    assert made.byzantine_faults == 0
    assert made.partition in "CA"
    assert made.otherwise in "CL"
    for level in made.levels:
        service = made.at(level)
        assert 1 <= service.read_quorum <= held
        assert 1 <= service.write_quorum <= held
        for least, most in (service.read_round_trips, service.write_round_trips):
            assert 0 <= least <= most
            assert (replicas > 1) or most == 0, "one replica waits for nobody"
        assert {service.reads, service.writes} <= set(PLACES)


@every_promise
def test_where_it_is_linearizable_quorums_meet_or_a_lease_stands_in(made: Promise, replicas: int) -> None:
    if made.levels[0] != "linearizable":
        return
    held = made.holders or replicas
    service = made.at("linearizable")
    assert service.read_quorum + service.write_quorum > held or "lease" in made.clocks
    assert not service.stale
    assert not made.loses
    assert made.partition == "C"
    assert made.otherwise == "C"


@every_promise
def test_what_is_linearizable_is_refused_without_a_majority_and_served_with_one(
    made: Promise, replicas: int
) -> None:
    if made.levels[0] != "linearizable" or made.holders not in (0, replicas):
        return
    majority = replicas // 2 + 1
    service = made.at("linearizable")
    for writes, quorum in ((False, service.read_quorum), (True, service.write_quorum)):
        minority = made.on_minority("linearizable", replicas, writes=writes)
        served = made.on_majority("linearizable", replicas, writes=writes)
        if service.reads == "quorum" and quorum != majority:
            assert "yes" in (minority, served) or "some" in (minority, served)
        else:
            assert (minority, served) == ("no", "yes")
    both = {made.on_minority("linearizable", replicas, writes=writes) for writes in (False, True)}
    assert both != {"yes"}, "reads and writes on both sides cannot be linearizable"


@every_promise
def test_weaker_levels_cost_no_more_and_are_served_in_no_fewer_places(made: Promise, replicas: int) -> None:
    first = made.at(made.levels[0])
    for level in made.levels:
        service = made.at(level)
        assert service.read_quorum <= first.read_quorum
        assert service.read_round_trips[1] <= first.read_round_trips[1]
        assert service.write_round_trips[1] <= first.write_round_trips[1]
        order = ("no", "some", "yes")
        assert order.index(made.on_minority(level, replicas, writes=False)) >= order.index(
            made.on_minority(made.levels[0], replicas, writes=False)
        )


@every_promise
def test_as_many_crashes_as_are_tolerated_leave_the_quorums(made: Promise, replicas: int) -> None:
    if made.control_group:  # who has crashed is left out of the view
        assert made.crash_faults == replicas - 1
        return
    service = made.at(made.levels[0])
    held = replicas if service.reads == "stand-ins" else made.holders or replicas
    needed = max(made.read_quorum, made.write_quorum)
    assert held - made.crash_faults >= needed
    assert held - made.crash_faults - 1 < needed or service.reads == ANYWHERE


def test_a_level_that_is_not_given_has_no_cost() -> None:
    with pytest.raises(KeyError):
        promise("gossip", {}, 3).at("linearizable")


# -- one by one


@pytest.mark.parametrize(
    ("replicas", "majority", "crashes"), [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (5, 3, 2)]
)
@pytest.mark.parametrize("name", ["raft", "paxos"])
def test_majorities_of_odd_and_even_numbers(name: str, replicas: int, majority: int, crashes: int) -> None:
    made = promise(name, {}, replicas)
    assert (made.write_quorum, made.crash_faults) == (majority, crashes)


@given(replicas=st.integers(2, 30))
def test_a_write_walks_the_chain_and_its_acknowledgement_walks_back(replicas: int) -> None:
    """The slow twin: hop by hop, half a round trip each."""

    def asked_at(place: int) -> float:
        hops = 0 if place == 0 else 1  # to the head
        hops += replicas - 1  # along the chain
        hops += replicas - 1 - place  # the acknowledgement, back up to who was asked
        return hops / 2

    costs = [asked_at(place) for place in range(replicas)]
    assert write_round_trips(replicas) == (min(costs), max(costs))


def test_paxos_gives_what_its_core_takes() -> None:
    assert promise("paxos", {}, 3).levels == PAXOS_LEVELS


@given(
    replicas=st.integers(1, 7),
    n=st.integers(0, 7),
    r=st.integers(0, 7),
    w=st.integers(0, 7),
    sloppy=st.booleans(),
    siblings=st.booleans(),
)
def test_quorum_promises_what_its_arithmetic_says(
    replicas: int, n: int, r: int, w: int, sloppy: bool, siblings: bool
) -> None:
    if 0 < n < max(r, w):
        return
    conflicts = "siblings" if siblings else "last-writer-wins"
    options = {"n": n, "r": r, "w": w, "sloppy": sloppy, "conflicts": conflicts}
    made = promise("quorum", options, replicas)
    quorums = quorums_of(replicas, n, r, w)
    strongest = quorum_promise(quorums.n, quorums.r, quorums.w, sloppy, conflicts).level
    assert made.levels[0] == strongest
    assert ("session" in made.levels) == (quorums.meet and not sloppy)
    assert (made.read_quorum, made.write_quorum) == (quorums.r, quorums.w)
    assert made.crash_faults == (replicas if sloppy else quorums.n) - max(quorums.r, quorums.w)


def test_r_and_w_that_do_not_meet_are_allowed_at_eventual_only_and_say_what_that_means() -> None:
    made = promise("quorum", {"r": 1, "w": 1}, 3)
    assert made.levels == ("eventual",)
    assert (made.partition, made.otherwise) == ("A", "L")
    assert "a read may miss a write" in made.pacelc_reason
    assert "R+W of 4 would do" in made.refusals["linearizable"]
    assert [made.on_minority("eventual", 3, writes=writes) for writes in (False, True)] == ["yes", "yes"]


def test_reads_of_one_answer_are_served_where_writes_of_two_are_not() -> None:
    made = promise("quorum", {"r": 1, "w": 2}, 3)
    assert made.on_minority("eventual", 3, writes=False) == "yes"
    assert made.on_minority("eventual", 3, writes=True) == "no"


def test_a_minority_may_hold_all_replicas_of_a_key() -> None:
    made = promise("quorum", {"n": 3}, 7)
    assert made.on_minority("linearizable", 7, writes=True) == "some"
    assert made.on_majority("linearizable", 7, writes=True) == "some"


def test_async_states_its_loss_bound_and_sync_has_none() -> None:
    unbounded = promise("primary-backup", {"mode": "async"}, 3)
    bounded = promise("primary-backup", {"mode": "async", "loss_entries": 7, "loss_bytes": 4096}, 3)
    sync = promise("primary-backup", {"mode": "sync"}, 3)
    assert (unbounded.loses, unbounded.loss_entries, unbounded.loss_bytes) == (True, 0, 0)
    assert (bounded.loses, bounded.loss_entries, bounded.loss_bytes) == (True, 7, 4096)
    assert not sync.loses
    assert "at most 7 entries of the log and at most 4,096 bytes" in bounded.loss
    assert "without a bound" in unbounded.loss
    assert bounded.levels == ("eventual",)
    assert "sessions" in bounded.refusals["session"]


def test_one_async_replica_has_nobody_to_lose_to() -> None:
    alone = promise("primary-backup", {"mode": "async", "loss_entries": 7}, 1)
    assert not alone.loses
    assert alone.loss_entries == 0


def test_gossip_serves_every_side_and_reads_may_be_stale() -> None:
    made = promise("gossip", {}, 5)
    assert made.levels == ("causal", "session", "eventual")
    for writes in (False, True):
        assert made.on_minority("causal", 5, writes=writes) == "yes"
    assert made.at("causal").stale
    assert "CAP" in made.refusals["linearizable"]


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (2_000_000, "2 ms"),
        (500_000, "0.5 ms"),
        (1_500_000_000, "1.5 s"),
        (1_800_000_000_000, "30 min"),
        (0, "0 ms"),
    ],
)
def test_durations_for_people(duration_ns: int, text: str) -> None:
    assert spelled(duration_ns) == text
