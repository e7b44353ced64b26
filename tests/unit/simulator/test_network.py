from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from comity.node import Envelope
from comity.simulator.network import LOST, Network
from comity.simulator.settings import Settings
from comity.simulator.world import World

SECOND_NS = 10**9


class Machine:
    """What a network asks of a process."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.life = 1
        self.listening = True
        self.frames: list[tuple[int, bytes]] = []
        self.links: list[tuple[str, int]] = []

    def frame_arrived(self, life: int, source: int, envelopes: Sequence[Envelope]) -> None:
        self.frames.append((source, envelopes[0][2]))

    def link_made(self, life: int, peer: int) -> None:
        self.links.append(("up", peer))

    def link_lost(self, life: int, peer: int, refused: bool) -> None:
        self.links.append(("refused" if refused else "lost", peer))

    def introduced(self, life: int, peer: int, incarnation: int) -> None:
        self.links.append(("introduced", peer))


def pair(**settings: Any) -> tuple[World, Network, Machine, Machine]:
    world = World()
    network = Network(world, Settings(**settings), seed=5)
    machines: Any = (Machine(1), Machine(2))
    for machine in machines:
        network.add(machine)
    network.want(1, [2])
    network.want(2, [1])
    world.run_until(SECOND_NS)
    return world, network, *machines


def send(world: World, network: Network, count: int) -> None:
    for number in range(count):
        network.send(1, 2, [(0, 0, b"%d" % number)])
        world.run_until(world.now_ns + 100_000)
    world.run_until(world.now_ns + SECOND_NS)


def test_frames_arrive_in_order_over_a_link_that_is_up() -> None:
    world, network, one, two = pair(jitter_us=5_000)
    assert ("up", 2) in one.links
    assert ("introduced", 1) in two.links
    send(world, network, 200)
    assert two.frames == [(1, b"%d" % number) for number in range(200)]


def test_frames_are_lost_repeated_and_reordered_as_often_as_the_settings_say() -> None:
    world, network, _, two = pair(loss=0.2, duplicate=0.2, reorder=0.2)
    send(world, network, 1_000)
    bodies = [body for _, body in two.frames]
    assert 150 < network.lost < 250
    assert 120 < network.repeated < 220
    assert len(bodies) == 1_000 - network.lost + network.repeated
    assert bodies != sorted(bodies, key=int)


def test_a_cut_is_one_way_loses_everything_and_breaks_the_link_only_after_a_while() -> None:
    world, network, one, two = pair()
    seen: list[int] = []
    network.on_frame = lambda source, target, sent_ns, arrival_ns, envelopes: seen.append(arrival_ns)
    network.cut(1, 2)
    network.send(1, 2, [(0, 0, b"lost")])
    network.send(2, 1, [(0, 0, b"kept")])
    world.run_until(world.now_ns + SECOND_NS)
    assert two.frames == []
    assert one.frames == [(2, b"kept")]
    assert seen[0] == LOST < seen[1]
    assert ("lost", 2) not in one.links
    world.run_until(world.now_ns + 4 * SECOND_NS)
    assert ("lost", 2) in one.links
    network.mend(1, 2)
    world.run_until(world.now_ns + SECOND_NS)
    assert one.links[-1] in (("up", 2), ("introduced", 2))
    network.send(1, 2, [(0, 0, b"again")])
    world.run_until(world.now_ns + SECOND_NS)
    assert two.frames == [(1, b"again")]


@pytest.mark.parametrize("cut", [False, True])
def test_a_dead_process_refuses_at_once_unless_the_refusal_cannot_get_through(cut: bool) -> None:
    world, network, one, two = pair()
    if cut:
        network.cut(1, 2)
        network.cut(2, 1)
    two.listening = False
    network.process_died(2)
    world.run_until(world.now_ns + 50_000_000)
    assert (("refused", 2) in one.links) is not cut
