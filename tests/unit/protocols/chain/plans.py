"""Short plays in which one rule matters, with their timing drawn from a seed. Each ends with a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tests.unit.protocols.chain.storm import Storm
from tests.unit.protocols.chain.world import MS, SECOND, Builder, World

from comity.checkers import check_history
from comity.protocols.chain import ChainCore, ChainOptions
from comity.protocols.chain.messages import Heartbeat
from comity.replica import View

Plan = Callable[[int, Builder], None]


def traffic(world: World, writers: Iterable[int], readers: Iterable[int], duration_ns: int) -> None:
    """Writes and reads of one key at these nodes, all along."""
    end_ns = world.now_ns + duration_ns
    count = 0
    for number in writers:
        for at_ns in range(0, duration_ns, 43 * MS):
            count += 1
            name, limit_ns = ("write", number, world.now_ns, at_ns), end_ns - world.now_ns - at_ns
            world.at(at_ns, partial(world.write, name, number, b"k", timeout_ns=limit_ns))
    for number in readers:
        for at_ns in range(0, duration_ns, 17 * MS):
            name = ("read", number, world.now_ns, at_ns)
            world.at(at_ns, partial(world.read, name, number, b"k", timeout_ns=200 * MS))


def judge(world: World) -> None:
    report = check_history(world.recorder.history(), "register")
    assert report.valid, report.verdicts[0].explanation


def isolate(world: World, number: int) -> None:
    for other in world.nodes:
        if other != number:
            world.cut |= {(number, other), (other, number)}


def storm(seed: int, core: Builder) -> None:
    """Anything."""
    Storm(seed, core).run()


def cut_out(
    seed: int, core: Builder, nodes: int = 3, drift_ppm: int = 0, late: float = 0.0, bounce: bool = False
) -> None:
    """The last node of the chain is left out and does not hear of it; its clients go on reading."""
    world = World(seed, nodes, ChainOptions(clock_drift_ppm=drift_ppm), core)
    for node in world.nodes.values():
        node.rate_ppm = -drift_ppm if node.number == nodes else drift_ppm
    world.late = late
    stay = tuple(range(1, nodes))
    traffic(world, [1], [nodes], SECOND)
    world.run(world.stream.between(900, 1100) * MS)
    if not late:
        isolate(world, nodes)
    world.view = View(2, stay)
    for number in stay:
        world.hear(number, world.view)
    traffic(world, [1], [1, nodes], 1200 * MS)
    world.run(world.stream.between(5, 50) * MS)
    if bounce:
        world.crash(1)
        world.run(MS)
        world.start(1)
        world.hear(1, world.view)
        traffic(world, [1], [1], 1100 * MS)
    world.run(2 * SECOND)
    judge(world)


def clocks(seed: int, core: Builder) -> None:
    """A slow clock holds the lease, fast ones promised it."""
    cut_out(seed, core, drift_ppm=200_000)


def late_promises(seed: int, core: Builder) -> None:
    """Heartbeats of the old epoch go on arriving at the one who was left out."""
    cut_out(seed, core, late=0.3)


def bounce(seed: int, core: Builder) -> None:
    """The one who promised forgets it in a crash."""
    cut_out(seed, core, nodes=2, bounce=True)


class TakesOverAtOnce(ChainCore):
    """A node that has come in without having heard whom others promised what does not wait.

    Not among the simulator's: a governor makes nobody the whole chain who was not in it with the old tail
    first, and one heartbeat of that tail makes the real promises known. Here views come as they please.
    """

    def knows_promises(self, view: View) -> bool:
        """There were none."""
        return True


def takeover(seed: int, core: Builder) -> None:
    """A node joins and becomes the whole chain at once, before it has heard a heartbeat of the old tail; the
    old head never heard of it and goes on reading."""
    world = World(seed, 3, ChainOptions(), core, view=View(1, (1, 2)))
    world.run(300 * MS)
    isolate(world, 3)
    world.loses = lambda sender, receiver, message: receiver == 3 and isinstance(message, Heartbeat)
    world.give(View(2, (1, 2), (3,)))
    traffic(world, [1], [1], SECOND)
    world.run(world.stream.between(800, 950) * MS)
    world.cut -= {(2, 3), (3, 2)}
    world.run(3 * SECOND, lambda: bool(world[2].caught_up))
    isolate(world, 1)
    world.hear(3, View(3, (3,)))
    traffic(world, [3], [1, 3], SECOND)
    world.run(2 * SECOND)
    judge(world)


def unheard(seed: int, core: Builder) -> None:
    """Only the old tail knows of a commit; the new one brings a node up to date without hearing of it."""
    world = World(seed, 4, ChainOptions(reads="confirm"), core, view=View(1, (1, 2, 3)))
    world.write("before", 1, b"k")
    world.run(SECOND)
    world.cut = {(3, 1), (3, 2)}
    world.write("last", 3, b"k")
    world.run(world.stream.between(50, 400) * MS)
    assert world.nodes[3].machine.index > world.nodes[2].machine.index
    isolate(world, 1)
    isolate(world, 3)
    for number in (2, 4):
        world.hear(number, View(2, (1, 2), (4,)))
    if world.run(2 * SECOND, lambda: bool(world[2].caught_up)):
        world.hear(4, View(3, (4,)))
        traffic(world, [], [4], 500 * MS)
        world.run(SECOND)
    judge(world)


PLANS: dict[str, Plan] = {
    "LeaseIgnoresDrift": clocks,
    "LeaseFromReceipt": late_promises,
    "ForgetsPromises": bounce,
    "TakesOverAtOnce": takeover,
    "CountsBeforeItKnows": unheard,
}
"""By the name of the mutant for which they were written; all others show in a storm."""
