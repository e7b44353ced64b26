from __future__ import annotations

import pytest

from comity.simulator.measure import missed
from comity.simulator.network import Network
from comity.simulator.probes import Key
from comity.simulator.settings import Settings
from comity.simulator.topologies import (
    PUBLISHED_MS,
    REGIONS,
    TOPOLOGIES,
    Topology,
    TopologyError,
    even,
    named,
    parse,
)
from comity.simulator.world import World

FILE = b"""
nodes = ["paris", "paris", "lyon"]
inside_ms = 0.1
[one_way_ms]
paris = { lyon = 3.5 }
"""


@pytest.mark.parametrize("topology", TOPOLOGIES.values(), ids=list(TOPOLOGIES))
def test_built_in_topologies_have_a_source_and_a_minority(topology: Topology) -> None:
    assert topology.source
    total = len(topology.nodes)
    assert all(2 * len(side) < total for side in topology.minorities())


def test_a_one_way_delay_is_half_of_what_is_published_for_its_direction() -> None:
    three = named("three-regions")
    washington, dallas = REGIONS.index("washington"), REGIONS.index("dallas")
    assert three.nodes[:2] == ("washington", "dallas")
    assert three.one_way_us(1, 2) == PUBLISHED_MS[washington][dallas] * 500
    assert three.one_way_us(2, 1) == PUBLISHED_MS[dallas][washington] * 500
    assert three.round_trip_us(1, 2) == 31_500
    assert three.to_majority_us(3) == 86_000
    assert three.longest_us() == 123_000


def test_nodes_are_dealt_to_regions_in_turn_and_the_smallest_region_is_the_minority() -> None:
    five = named("three-regions").with_nodes(5)
    assert five.nodes == ("washington", "washington", "dallas", "dallas", "frankfurt")
    assert five.minorities()[0] == (5,)
    assert named("lan").with_nodes(5).minorities()[:2] == [(1, 2), (2, 3)]


def test_a_file_gives_one_direction_for_both() -> None:
    topology = parse(FILE, "two.toml", json=False)
    assert topology.one_way_us(1, 3) == topology.one_way_us(3, 1) == 3_500
    assert topology.one_way_us(1, 2) == 100
    same = parse(
        b'{"nodes": ["paris", "paris", "lyon"], "inside_ms": 0.1, "one_way_ms": {"paris": {"lyon": 3.5}}}',
        "two.toml",
        json=True,
    )
    assert same == topology


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"nodes = 3", "is no topology"),
        (b'nodes = ["a", "b"]\ninside_ms = 0.1', "no delay from 'a' to 'b'"),
        (b'nodes = ["a"]\ninside_ms = -1', "above 0"),
        (b"nodes = []\ninside_ms = 1", "1 to 15"),
        (b"= =", "is no topology"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(data: bytes, told: str) -> None:
    with pytest.raises(TopologyError, match=told):
        parse(data, "bad.toml", json=False)


def test_two_nodes_have_no_minority_that_can_be_cut_off() -> None:
    with pytest.raises(TopologyError, match="no minority"):
        named("lan").with_nodes(2).minorities()


class _Machine:
    def __init__(self, number: int) -> None:
        self.number = number


def test_links_take_as_long_as_the_topology_says() -> None:
    topology = named("five-regions")
    network = Network(World(), Settings(latencies_us=topology.latencies_us()), 7)
    for number in range(1, 6):
        network.add(_Machine(number))  # type: ignore[arg-type]
    for (source, target), link in network.links.items():
        assert link.latency_ns == topology.one_way_us(source, target) * 1_000


def test_on_the_ruler_everybody_is_as_far_from_everybody() -> None:
    ruler = even(4, 20_000)
    assert {ruler.one_way_us(a, b) for a in range(1, 5) for b in range(1, 5) if a != b} == {20_000}


def test_a_read_is_as_stale_as_the_first_acknowledged_version_it_misses() -> None:
    key = Key("k")
    key.acknowledged = [(100, 1), (200, 2), (300, 4)]
    assert missed(key, 350, 4) == (0, 0)
    assert missed(key, 350, 5) == (0, 0)
    assert missed(key, 350, 3) == (50, 1)
    assert missed(key, 350, 1) == (150, 2)
    assert missed(key, 250, 1) == (50, 1)
    assert missed(key, 99, 0) == (0, 0)
