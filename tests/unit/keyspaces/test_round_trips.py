"""The round trips that are promised are those that the cores take: measured in virtual time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.keyspaces.world import World

from comity.protocols import load
from comity.replica import KeyedProtocol, Promise

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("raft", {}),
    ("raft", {"lease_reads": True}),
    ("primary-backup", {}),
    ("primary-backup", {"reads": "lease"}),
    ("primary-backup", {"mode": "async"}),
    ("chain", {}),
    ("chain", {"reads": "confirm"}),
    ("paxos", {}),
    ("quorum", {}),
    ("quorum", {"r": 1, "w": 3}),
    ("quorum", {"r": 3, "w": 1}),
    ("quorum", {"r": 1, "w": 1}),
    ("quorum", {"n": 2, "r": 1, "w": 1}),
    ("quorum", {"n": 2}),
    ("quorum", {"conflicts": "siblings"}),
    ("quorum", {"n": 2, "sloppy": True}),
    ("gossip", {}),
]
kinds = pytest.mark.parametrize(
    ("name", "options"), KINDS, ids=["-".join([name, *map(str, options.values())]) for name, options in KINDS]
)


def promise(name: str, options: dict[str, Any], replicas: int) -> Promise:
    protocol = load()[name]
    assert protocol.promise is not None
    return protocol.promise(msgspec.convert(options, protocol.options), replicas)


def measured(
    name: str, options: dict[str, Any], replicas: int, level: str
) -> tuple[list[float], list[float]]:
    """(reads, writes) of every replica, several in a row, of keys that all have written."""
    world = World(name, options, replicas)
    reads: list[float] = []
    writes: list[float] = []
    for key in (b"apples", b"pears"):
        for number in world.replicas:
            writes += [world.round_trips(number, level, writes=True, key=key) for _ in range(2)]
        reads += [world.round_trips(number, level, writes=False, key=key) for number in world.replicas]
    return reads, writes


@kinds
@pytest.mark.parametrize("replicas", [1, 2, 3, 4])
def test_no_operation_takes_more_or_less_than_promised(
    name: str, options: dict[str, Any], replicas: int
) -> None:
    made = promise(name, options, replicas)
    keyed = isinstance(load()[name], KeyedProtocol)
    # Below linearizable a log answers reads from what is applied: that is the node's doing, not the core's.
    for level in made.levels if keyed else made.levels[:1]:
        reads, writes = measured(name, options, replicas, level)
        service = made.at(level)
        least, most = service.write_round_trips
        assert min(writes) == least, level
        assert max(writes) <= most, level
        if not keyed:
            assert max(writes) == most
        if keyed or level == "linearizable":
            assert min(reads) == service.read_round_trips[0], level
            assert max(reads) <= service.read_round_trips[1], level


def test_a_proposer_that_alternates_with_others_pays_two() -> None:
    world = World("paxos", {}, 3)
    for _ in range(2):
        costs = [world.round_trips(number, "linearizable", writes=True) for number in world.replicas]
    assert costs == [2, 2, 2]


def test_a_proposer_that_has_not_heard_of_another_pays_three() -> None:
    world = World("paxos", {}, 3)
    world.round_trips(1, "linearizable", writes=True)
    world.lost = {(2, 1), (3, 1)}
    world.round_trips(2, "linearizable", writes=True)
    world.lost = set()
    assert world.round_trips(1, "linearizable", writes=True) == 3
    assert promise("paxos", {}, 3).write_round_trips == (1, 3)


def test_a_removal_asks_a_quorum_first() -> None:
    world = World("quorum", {}, 3)
    world.round_trips(1, "session", writes=True)
    assert world.round_trips(2, "session", writes=True, command=(b"DEL", b"k")) == 2
    assert promise("quorum", {}, 3).at("session").write_round_trips == (1, 2)


def test_a_read_of_a_key_with_a_write_under_way_asks_the_tail() -> None:
    world = World("chain", {}, 3)
    world.begin_write(1)
    assert world.round_trips(2, "linearizable", writes=False) == 1
    assert promise("chain", {}, 3).read_round_trips == (0, 1)
