"""What detectors are measured under: networks, and what happens to nodes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

import msgspec

from comity.detectors import (
    PLAIN_SWIM,
    Detector,
    HeartbeatDetector,
    PhiDetector,
    Swim,
)
from comity.replica import Stream

MILLISECOND_NS = 1_000_000
SECOND_NS = 1000 * MILLISECOND_NS


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A network, and what happens on it.

    loss: probability that a message is lost. delay_ns: the least and the greatest delay, uniform.
    crash_share: of the nodes, crash for good at random times; at least one does, and at least two do not.
    pause_every_ns, pause_ns: every node is stopped (as by SIGSTOP) so often on the average, for so long: it
        does nothing, then handles what arrived, then what fell due.
    slow: one member, node 1, handles its timers but no messages for block_ns, again and again, with
        open_ns between: what it sends and gets meanwhile waits (the experiment of Lifeguard, section V).
    """

    name: str
    loss: float = 0.0
    delay_ns: tuple[int, int] = (200_000, 2 * MILLISECOND_NS)
    crash_share: float = 0.0
    pause_every_ns: int = 0
    pause_ns: tuple[int, int] = (1, 1)
    slow: bool = False
    block_ns: tuple[int, int] = (8 * SECOND_NS, 16 * SECOND_NS)
    open_ns: tuple[int, int] = (1 * SECOND_NS, 4 * SECOND_NS)


CRASH = Scenario(name="crash", crash_share=0.05)
LOSS = Scenario(name="loss", loss=0.1, delay_ns=(200_000, 100 * MILLISECOND_NS))
PAUSES = Scenario(name="pauses", pause_every_ns=60 * SECOND_NS, pause_ns=(SECOND_NS, 6 * SECOND_NS))
SLOW = Scenario(name="slow", slow=True)
FALSE = (LOSS, PAUSES, SLOW)
"""Where nobody crashes, so that every death is false."""

Build = Callable[[int, Sequence[int], Stream], Detector]
"""(node, members, stream) -> its detector."""


class Contender(msgspec.Struct, frozen=True):
    """A detector as it is measured. all_to_all: its messages go to everyone and say nothing of third
    nodes, so that every link can be simulated by itself."""

    name: str
    build: Build
    all_to_all: bool


CONTENDERS = (
    Contender("heartbeat", HeartbeatDetector, True),
    Contender("phi", PhiDetector, True),
    Contender("SWIM", lambda node, members, stream: Swim(node, members, stream, PLAIN_SWIM), False),
    Contender("SWIM + Lifeguard", Swim, False),
)
"""All with their defaults, so with one period of a second. All times scale with the period."""

Windows = tuple[list[int], list[int]]
"""Begins and ends of stretches of time, sorted, apart from each other."""


def after(windows: Windows, time_ns: int) -> int:
    """The time itself, or the end of the stretch that it falls into."""
    begins, ends = windows
    place = bisect_right(begins, time_ns) - 1
    return max(time_ns, ends[place]) if place >= 0 else time_ns


class Fates:
    """What happens to each node in one run: the same for every detector."""

    def __init__(self, scenario: Scenario, nodes: int, duration_ns: int, seed: int) -> None:
        self.crashes: dict[int, int] = {}
        self._none: Windows = ([], [])
        self._pauses: dict[int, Windows] = {}
        self._blocks: dict[int, Windows] = {}
        stream = Stream(seed, f"{scenario.name} fates {nodes}")
        if scenario.crash_share:
            count = max(1, min(nodes - 2, int(nodes * scenario.crash_share)))
            for victim in stream.shuffled(list(range(1, nodes + 1)))[:count]:
                self.crashes[victim] = stream.between(duration_ns // 4, duration_ns // 2)
        for node in range(1, nodes + 1) if scenario.pause_every_ns else ():
            self._pauses[node] = _pauses(stream, duration_ns, scenario)
        if scenario.slow:
            self._blocks[1] = _blocks(stream, duration_ns, scenario)

    def survives(self, node: int) -> bool:
        """Whether the node lives to the end."""
        return node not in self.crashes

    def pauses(self, node: int) -> Windows:
        """When the node does nothing."""
        return self._pauses.get(node, self._none)

    def blocks(self, node: int) -> Windows:
        """When no message goes in or out of the node."""
        return self._blocks.get(node, self._none)


def _pauses(stream: Stream, duration_ns: int, scenario: Scenario) -> Windows:
    """One may begin at every tenth of a second, as likely at any, so that short runs see no fewer."""
    begins: list[int] = []
    ends: list[int] = []
    step_ns = 100 * MILLISECOND_NS
    chances = max(1, scenario.pause_every_ns // step_ns)
    at_ns = stream.below(step_ns)
    while at_ns < duration_ns:
        if stream.below(chances) == 0:
            begins.append(at_ns)
            at_ns += stream.between(*scenario.pause_ns)
            ends.append(at_ns)
        at_ns += step_ns
    return begins, ends


def _blocks(stream: Stream, duration_ns: int, scenario: Scenario) -> Windows:
    begins: list[int] = []
    ends: list[int] = []
    at_ns = stream.between(*scenario.open_ns)
    while at_ns < duration_ns:
        begins.append(at_ns)
        at_ns += stream.between(*scenario.block_ns)
        ends.append(at_ns)
        at_ns += stream.between(*scenario.open_ns)
    return begins, ends


class Luck:
    """The network's randomness: a stream for each link, so that each link's luck is its own however many
    others are simulated; or for each sender, which is cheaper where all are simulated anyway."""

    def __init__(self, scenario: Scenario, seed: int, *, by_link: bool) -> None:
        self._streams: dict[int, Stream] = {}
        self._seed = seed
        self._by_link = by_link
        self._loss = scenario.loss
        self._least_ns, most_ns = scenario.delay_ns
        self._spread = most_ns - self._least_ns + 1

    def delay(self, source: int, target: int) -> int | None:
        """Of the next message on this link; None where it is lost."""
        key = source << 32 | target if self._by_link else source
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(self._seed, f"luck {key}")
        if self._loss and stream.unit() < self._loss:
            return None
        return self._least_ns + stream.below(self._spread)
