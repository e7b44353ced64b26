"""Topologies: which node is in which region, and how long a message takes from one to another.

The delays of the built-in topologies are published ones: IBM Cloud, "Network latency" of its VPC documents
(https://cloud.ibm.com/docs/vpc; file _include-segments/network-latency.md of the public repository
ibm-cloud-docs/vpc), the tables of 8 February 2026: average latency in milliseconds, 10 January to 8 February
2026, between regions and, for Dallas, between and inside availability zones. The page does not say so, but
these are round trips: 123 ms one way between Dallas and Frankfurt would be three times what light needs in so
much fibre. A one-way delay here is half of what is published for its direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from types import MappingProxyType
from typing import Any

import msgspec

MICROSECONDS_PER_MS = 1000

SOURCE = (
    "IBM Cloud VPC documentation, network latency, averages of 10 January to 8 February 2026 "
    "(published 8 February 2026), half of each round trip"
)

REGIONS = ("dallas", "washington", "frankfurt", "london", "sydney", "tokyo", "sao-paulo")

PUBLISHED_MS = (
    (0, 32, 123, 112, 183, 143, 143),
    (31, 0, 86, 76, 214, 139, 128),
    (123, 86, 0, 13, 251, 239, 200),
    (112, 76, 13, 0, 260, 247, 192),
    (184, 214, 251, 259, 0, 115, 324),
    (142, 141, 238, 246, 115, 0, 284),
    (144, 122, 202, 196, 324, 282, 0),
)
"""Round trip in milliseconds from the row's region to the column's."""

IN_ZONE_MS = 0.11
"""Round trip between two machines of one zone (Dallas, zones dal12 to dal14)."""

BETWEEN_ZONES_MS = 1.54
"""Round trip between two zones of a region: the median of Dallas' six pairs (0.62 to 1.94)."""


class TopologyError(ValueError):
    """A topology that cannot be: says what is wrong and what would do."""


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Regions and the nodes in them.

    nodes: the region of node 1, of node 2, and so on. inside_us: one-way delay between two nodes of a region.
    between_us: from region to region, the same one way. source: where the figures come from.
    """

    name: str
    nodes: tuple[str, ...]
    inside_us: int
    between_us: dict[str, dict[str, int]] = {}
    source: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.nodes) <= 15:
            raise TopologyError(f"topology {self.name!r} has {len(self.nodes)} nodes; it must be 1 to 15")
        if self.inside_us < 1:
            raise TopologyError(f"topology {self.name!r}: the delay inside a region must be above zero")
        for source in self.regions:
            for target in self.regions:
                if source != target and self.between_us.get(source, {}).get(target, 0) < 1:
                    raise TopologyError(
                        f"topology {self.name!r} has no delay from {source!r} to {target!r}: "
                        f"add it, as in [one_way_ms] {source} = {{ {target} = 40.0 }}"
                    )

    @property
    def regions(self) -> tuple[str, ...]:
        """Every region with a node, in order of its first one."""
        return tuple(dict.fromkeys(self.nodes))

    def nodes_in(self, region: str) -> tuple[int, ...]:
        """The numbers of its nodes."""
        return tuple(number for number, where in enumerate(self.nodes, 1) if where == region)

    def one_way_us(self, source: int, target: int) -> int:
        """Delay of a message between two nodes."""
        here, there = self.nodes[source - 1], self.nodes[target - 1]
        return self.inside_us if here == there else self.between_us[here][there]

    def round_trip_us(self, source: int, target: int) -> int:
        """There and back."""
        return self.one_way_us(source, target) + self.one_way_us(target, source)

    def to_majority_us(self, node: int) -> int:
        """Round trip from a node to the nearest others that make a majority with it."""
        others = sorted(
            self.round_trip_us(node, other) for other in range(1, len(self.nodes) + 1) if other != node
        )
        needed = len(self.nodes) // 2
        return others[needed - 1] if needed else 0

    def longest_us(self) -> int:
        """The longest round trip between two nodes."""
        numbers = range(1, len(self.nodes) + 1)
        return max((self.round_trip_us(a, b) for a in numbers for b in numbers if a != b), default=0)

    def latencies_us(self) -> tuple[tuple[int, ...], ...]:
        """One-way delays of all links, by number of source and target."""
        numbers = range(1, len(self.nodes) + 1)
        return tuple(tuple(self.one_way_us(a, b) if a != b else 0 for b in numbers) for a in numbers)

    def minorities(self) -> list[tuple[int, ...]]:
        """What can be cut off: the nodes of each region that holds fewer than half of all, smallest first; in
        a single region every run of as many nodes as can fail while a majority stays."""
        total = len(self.nodes)
        small = [self.nodes_in(region) for region in self.regions]
        small = sorted(
            (nodes for nodes in small if 2 * len(nodes) < total), key=lambda nodes: (len(nodes), nodes)
        )
        if small:
            return small
        size = (total - 1) // 2
        if not size:
            raise TopologyError(
                f"topology {self.name!r} has {total} nodes: no minority of them can be cut off"
            )
        return [tuple(sorted((first + step) % total + 1 for step in range(size))) for first in range(total)]

    def with_nodes(self, count: int) -> Topology:
        """The same regions with so many nodes, dealt to one region after the other."""
        regions = self.regions
        nodes = tuple(sorted((regions[number % len(regions)] for number in range(count)), key=regions.index))
        return msgspec.structs.replace(self, nodes=nodes)


def _published(name: str, nodes: Sequence[str]) -> Topology:
    between: dict[str, dict[str, int]] = {here: {} for here in nodes}
    for here, there in permutations(between, 2):
        published = PUBLISHED_MS[REGIONS.index(here)][REGIONS.index(there)]
        between[here][there] = published * MICROSECONDS_PER_MS // 2
    return Topology(
        name=name,
        nodes=tuple(nodes),
        inside_us=round(BETWEEN_ZONES_MS * MICROSECONDS_PER_MS / 2),
        between_us=between,
        source=SOURCE,
    )


TOPOLOGIES: Mapping[str, Topology] = MappingProxyType(
    {
        "lan": Topology(
            name="lan",
            nodes=("zone",) * 3,
            inside_us=round(IN_ZONE_MS * MICROSECONDS_PER_MS / 2),
            source=SOURCE,
        ),
        "three-regions": _published("three-regions", ("washington", "dallas", "frankfurt")),
        "five-regions": _published("five-regions", ("washington", "london", "tokyo", "sao-paulo", "sydney")),
    }
)


def even(nodes: int, one_way_us: int) -> Topology:
    """A ruler: every message takes the same time, so latency counts round trips."""
    names = tuple(f"place{number}" for number in range(1, nodes + 1))
    between = {here: {there: one_way_us for there in names if there != here} for here in names}
    return Topology(name="even", nodes=names, inside_us=one_way_us, between_us=between)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    nodes: list[str]
    inside_ms: float
    one_way_ms: dict[str, dict[str, float]] = {}
    name: str = ""
    source: str = ""


def parse(data: bytes, name: str, *, json: bool) -> Topology:
    """A topology from TOML, or JSON of the same shape. Raises `TopologyError`.

    nodes: the region of each node. inside_ms, one_way_ms: one-way delays in milliseconds inside a region and
    from region to region; a direction left out is as long as the other.
    """
    try:
        file = msgspec.json.decode(data, type=_File) if json else msgspec.toml.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TopologyError(
            f"{name} is no topology: {error}; it needs nodes (the region of each), inside_ms, "
            "and [one_way_ms] between regions"
        ) from None
    between: dict[str, dict[str, int]] = {}
    for source, targets in file.one_way_ms.items():
        for target, delay in targets.items():
            between.setdefault(source, {})[target] = _microseconds(delay, name)
            if source not in file.one_way_ms.get(target, {}):
                between.setdefault(target, {})[source] = _microseconds(delay, name)
    return Topology(
        name=file.name or name,
        nodes=tuple(file.nodes),
        inside_us=_microseconds(file.inside_ms, name),
        between_us=between,
        source=file.source or name,
    )


def _microseconds(milliseconds: float, name: str) -> int:
    if not 0 < milliseconds < 60_000:
        raise TopologyError(f"{name}: a delay of {milliseconds} ms; it must be above 0 and below 60000")
    return max(1, round(milliseconds * MICROSECONDS_PER_MS))


def named(name: str) -> Topology:
    """A built-in topology. Raises `TopologyError`."""
    found = TOPOLOGIES.get(name)
    if found is None:
        raise TopologyError(f"there is no topology {name!r}; there are {', '.join(TOPOLOGIES)}, or a file")
    return found


def describe(topology: Topology) -> dict[str, Any]:
    """For programs."""
    words: dict[str, Any] = msgspec.to_builtins(topology)
    return words
