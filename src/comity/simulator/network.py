"""The network between simulated nodes: links that delay, lose, repeat, reorder, break and come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from comity.node.turn import Envelope
from comity.replica import Stream
from comity.simulator.settings import Settings
from comity.simulator.world import World

if TYPE_CHECKING:
    from comity.simulator.process import Process

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000

LINK_TIMEOUT_NS = 2_000 * MILLISECOND_NS
"""How long the real shell's link stays up when nothing gets through."""

REDIAL_NS = 30 * MILLISECOND_NS
"""Least time between two attempts to connect."""

REORDER_NS = 20 * MILLISECOND_NS
"""Most that a reordered frame is late."""

LOST = -1
"""The arrival time of a frame that never arrives, for `Network.on_frame`."""


class Link:
    """One direction between two nodes, with the connection that carries its frames."""

    __slots__ = (
        "cuts",
        "dialled",
        "generation",
        "last_arrival_ns",
        "latency_ns",
        "slow",
        "source",
        "stream",
        "target",
        "up",
        "wanted",
    )

    def __init__(self, source: int, target: int, latency_ns: int, stream: Stream) -> None:
        self.source = source
        self.target = target
        self.latency_ns = latency_ns
        self.stream = stream
        self.up = False
        self.wanted = False
        self.dialled = False
        self.cuts = 0
        self.slow = 1
        self.generation = 0
        self.last_arrival_ns = 0


class Network:
    """Every link of one simulation.

    A link that is cut loses everything that enters it. Connections notice only after a while, as
    TCP does; a peer whose process is gone refuses at once, if the refusal can get through.
    """

    def __init__(self, world: World, settings: Settings, seed: int) -> None:
        self.world = world
        self.settings = settings
        self.loss = settings.loss
        self.duplicate = settings.duplicate
        self.reorder = settings.reorder
        self.processes: dict[int, Process] = {}
        self.links: dict[tuple[int, int], Link] = {}
        self.sent = 0
        self.lost = 0
        self.repeated = 0
        self.on_frame: Callable[[int, int, int, int, Sequence[Envelope]], None] | None = None
        self.sample: Callable[[list[Envelope]], None] | None = None
        self._seed = seed
        self._jitter_ns = settings.jitter_us * MICROSECOND_NS

    def add(self, process: Process) -> None:
        """A machine joins the network."""
        number = process.number
        for other in self.processes:
            for pair in ((number, other), (other, number)):
                stream = Stream(self._seed, f"link {pair[0]} {pair[1]}")
                self.links[pair] = Link(*pair, self._latency_ns(pair, stream), stream)
        self.processes[number] = process

    def _latency_ns(self, pair: tuple[int, int], stream: Stream) -> int:
        table = self.settings.latencies_us
        if table:
            return table[pair[0] - 1][pair[1] - 1] * MICROSECOND_NS
        base = self.settings.latency_us * MICROSECOND_NS
        return base + stream.below(base // 2 + 1)

    # -- frames

    def send(self, source: int, target: int, envelopes: list[Envelope]) -> None:
        """One frame, on its way or lost."""
        link = self.links.get((source, target))
        self.sent += 1
        if link is None or not link.up:
            self.lost += 1
            return
        stream = link.stream
        if link.cuts or (self.loss and stream.unit() < self.loss):
            self.lost += 1
            if self.on_frame is not None:
                self.on_frame(source, target, self.world.now_ns, LOST, envelopes)
            return
        if self.sample is not None and self.sent & 63 == 0:
            self.sample(envelopes)
        self._deliver(link, envelopes)
        if self.duplicate and stream.unit() < self.duplicate:
            self.repeated += 1
            self._deliver(link, envelopes)

    def _deliver(self, link: Link, envelopes: list[Envelope]) -> None:
        world = self.world
        stream = link.stream
        delay = (link.latency_ns + int(-math.log(1.0 - stream.unit()) * self._jitter_ns)) * link.slow
        arrival = world.now_ns + delay
        if self.reorder and stream.unit() < self.reorder:
            arrival += stream.below(REORDER_NS)
        elif arrival < link.last_arrival_ns:
            arrival = link.last_arrival_ns
        else:
            link.last_arrival_ns = arrival
        if self.on_frame is not None:
            self.on_frame(link.source, link.target, world.now_ns, arrival, envelopes)
        target = self.processes[link.target]
        world.at(arrival, target.frame_arrived, target.life, link.source, envelopes)

    # -- connections

    def want(self, source: int, targets: Sequence[int]) -> None:
        """The process at `source` keeps links with exactly these."""
        for (origin, target), link in self.links.items():
            if origin != source:
                continue
            wanted = target in targets
            if wanted and not link.wanted:
                link.wanted = True
                self._redial(link, link.stream.below(5 * MILLISECOND_NS))
            elif not wanted and link.wanted:
                link.wanted = False
                self._drop(link)

    def process_died(self, number: int) -> None:
        """Its kernel closes every connection."""
        for (source, target), link in self.links.items():
            if source == number:
                link.wanted = False
                self._drop(link)
            elif target == number and link.up:
                self._drop(link)
                if link.cuts or self.links[target, source].cuts:
                    self.world.after(
                        LINK_TIMEOUT_NS, self.processes[source].link_lost, self._life(source), target, False
                    )
                    self._redial(link, LINK_TIMEOUT_NS)
                else:
                    self.world.after(
                        link.latency_ns, self.processes[source].link_lost, self._life(source), target, True
                    )
                    self._redial(link, REDIAL_NS)

    def _life(self, number: int) -> int:
        return self.processes[number].life

    def _drop(self, link: Link) -> None:
        link.up = False
        link.dialled = False
        link.generation += 1

    def _redial(self, link: Link, delay_ns: int) -> None:
        link.generation += 1
        link.dialled = True
        delay_ns += link.latency_ns + link.stream.below(REDIAL_NS // 2)
        self.world.after(delay_ns, self._dial, link, link.generation)

    def _dial(self, link: Link, generation: int) -> None:
        if generation != link.generation or not link.wanted or link.up:
            return
        source = self.processes[link.source]
        target = self.processes[link.target]
        if link.cuts or self.links[link.target, link.source].cuts:
            self._redial(link, REDIAL_NS)
        elif not target.listening:
            source.link_lost(source.life, link.target, True)
            self._redial(link, REDIAL_NS)
        else:
            link.up = True
            link.dialled = False
            source.link_made(source.life, link.target)
            target.introduced(target.life, link.source, source.life)

    # -- faults

    def cut(self, source: int, target: int) -> None:
        """Nothing gets from source to target until as many `mend` calls were made."""
        link = self.links[source, target]
        link.cuts += 1
        for broken in (link, self.links[target, source]):
            if broken.up:
                self.world.after(
                    LINK_TIMEOUT_NS + broken.stream.below(LINK_TIMEOUT_NS // 4),
                    self._time_out,
                    broken,
                    broken.generation,
                )

    def mend(self, source: int, target: int) -> None:
        """Take back one `cut`."""
        link = self.links[source, target]
        link.cuts = max(0, link.cuts - 1)

    def _time_out(self, link: Link, generation: int) -> None:
        reverse = self.links[link.target, link.source]
        if generation != link.generation or not link.up or not (link.cuts or reverse.cuts):
            return
        self._drop(link)
        source = self.processes[link.source]
        source.link_lost(source.life, link.target, False)
        self._redial(link, REDIAL_NS)

    def heal(self) -> None:
        """End every fault of the network."""
        self.loss = self.duplicate = self.reorder = 0.0
        for link in self.links.values():
            link.cuts = 0
            link.slow = 1
