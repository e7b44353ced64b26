"""One run of a chain under faults drawn from a seed, judged by the linearizability checker."""

from __future__ import annotations

from functools import partial

from tests.unit.protocols.chain.world import MS, SECOND, Builder, World

from comity.checkers import check_history
from comity.protocols.chain import ChainCore, ChainOptions
from comity.replica import Stream, View

KEYS = [b"a", b"b", b"c"]


class Storm:
    """What goes wrong and when. The control group here only makes a node a full member that the tail of
    the view in force has reported, and keeps at least one."""

    def __init__(
        self, seed: int, core: Builder = ChainCore, reads: str = "", operations_ms: int = 5000
    ) -> None:
        stream = self.stream = Stream(seed, "storm")
        options = ChainOptions(
            reads=reads or stream.pick(["lease", "lease", "confirm"]),
            clock_drift_ppm=stream.pick([0, 10_000, 200_000, 200_000]),
            max_append_bytes=stream.pick([150, 1000, 1 << 19]),
            max_inflight_messages=stream.pick([1, 3, 64]),
            keep_log_bytes=stream.pick([1, 300]),
            max_log_bytes=stream.pick([300, 1 << 20]),
            max_uncommitted_bytes=stream.pick([1000, 1 << 20]),
        )
        size = stream.pick([2, 3, 3, 4])
        members = stream.pick([size, size, size - 1])
        joining = tuple(range(members + 1, size + 1))
        view = View(1, tuple(range(1, members + 1)), joining)
        self.world = World(seed, size, options, core, drift=True, view=view)
        world = self.world
        world.loss = stream.pick([0.0, 0.0, 0.02, 0.1])
        world.double = stream.pick([0.0, 0.05])
        world.late = stream.pick([0.0, 0.02, 0.05])
        world.slow_disk = stream.chance(0.3)
        self.views_late = stream.chance(0.7)
        self.partitions = stream.chance(0.7)
        self.crashes = stream.chance(0.6)
        self.vague = stream.pick([0.0, 0.1])
        self.clients = 2 + stream.below(4)
        self.pause_ms = stream.pick([5, 20, 40])
        self.end_ns = operations_ms * MS
        self.calm = False
        for client in range(self.clients):
            self.world.at(stream.below(50) * MS, partial(self.operate, client))
        world.at(100 * MS, self.control)
        world.at(150 * MS, self.trouble)
        for number in world.nodes:
            world.at(stream.below(400) * MS, partial(self.flush, number))

    # -- what goes on

    def operate(self, client: int) -> None:
        """The next operation of a client, each within its deadline, so one at a time."""
        world, stream = self.world, self.stream
        if world.now_ns >= self.end_ns:
            return
        number = stream.pick(list(world.nodes))
        timeout_ns = stream.pick([100, 400]) * MS
        name = (client, world.now_ns)  # one operation each: how long it takes does not hold up the next
        if stream.chance(0.4):
            world.write(name, number, stream.pick(KEYS), stream.chance(self.vague), timeout_ns)
        else:
            world.read(name, number, stream.pick(KEYS), timeout_ns, plain=stream.chance(0.15))
        world.at(stream.between(1, 2 * self.pause_ms) * MS, lambda: self.operate(client))

    def flush(self, number: int) -> None:
        self.world.flush(number)
        self.world.at(self.stream.between(100, 800) * MS, lambda: self.flush(number))

    def trouble(self) -> None:
        """A fault, or the end of one."""
        world, stream = self.world, self.stream
        if self.calm:
            return
        numbers = list(world.nodes)
        number = stream.pick(numbers)
        dice = stream.unit()
        if dice < 0.35 and self.crashes:
            node = world.nodes[number]
            world.crash(number, stream.below(len(node.unsynced) + 1))
            world.at(stream.pick([1, 20, 300, 900]) * MS, lambda: self.restart(number))
        elif dice < 0.75 and self.partitions:
            pairs = [(number, other) for other in numbers if other != number]
            if stream.chance(0.3):
                pairs = [stream.pick(pairs)]
            both = stream.chance(0.7)
            world.cut |= set(pairs) | ({(other, one) for one, other in pairs} if both else set())
            world.at(stream.pick([100, 500, 1500]) * MS, self.heal)
        world.at(stream.between(50, 500) * MS, self.trouble)

    def heal(self) -> None:
        self.world.cut = set()

    def restart(self, number: int) -> None:
        if self.world.nodes[number].core is None:
            self.world.start(number)

    def control(self) -> None:
        """The control group: leaves out, takes in, brings back."""
        world, stream = self.world, self.stream
        view = world.view
        nodes, joining = list(view.nodes), list(view.joining)
        tail = world.nodes[nodes[-1]].core
        reported = list(tail.caught_up) if tail is not None and tail.current.epoch == view.epoch else []
        changed = False
        if reported and stream.chance(0.6):
            nodes.append(reported[0])
            joining.remove(reported[0])
            changed = True
        if not self.calm and len(nodes) > 1 and stream.chance(0.12):
            gone = [stream.pick(nodes)]
            if changed and stream.chance(0.5):
                gone = nodes[:-1]
            nodes = [node for node in nodes if node not in gone]
            changed = True
        missing = [node for node in world.nodes if node not in nodes and node not in joining]
        if missing and stream.chance(0.25):
            joining.append(stream.pick(missing))
            changed = True
        if changed:
            world.give(View(view.epoch + 1, tuple(nodes), tuple(joining)), self.hears_after)
        world.at(stream.between(30, 250) * MS, self.control)

    def hears_after(self, number: int) -> int:
        stream = self.stream
        if self.calm or not self.views_late or stream.chance(0.6):
            return stream.below(20) * MS
        return stream.below(1500) * MS

    # -- the whole run

    def run(self) -> World:
        """Faults, then none: everything that was promised must hold, and the chain must be whole again."""
        world = self.world
        world.run(self.end_ns)
        self.calm = True
        world.cut = set()
        world.loss = world.double = world.late = 0.0
        world.slow_disk = False
        for number in world.nodes:
            self.restart(number)
        everyone = sorted(world.nodes)
        whole = world.run(30 * SECOND, lambda: sorted(world.view.nodes) == everyone)
        assert whole, f"the chain is not whole again: {self.statuses()}"
        world.run(3 * SECOND)
        before = max(world.committed)
        outcomes = world.propose(world.view.nodes[0], b"a", -1)
        world.run(2 * SECOND)
        assert max(world.committed) > before, f"nothing is written: {outcomes} {self.statuses()}"
        for number in everyone:
            core = world[number]
            core.deep_check()
            assert core.commit == max(world.committed), f"not all is applied: {self.statuses()}"
            assert world.nodes[number].machine == world.nodes[everyone[0]].machine
            read = world.ask(number, [b"a"])
            world.run(SECOND)
            assert type(read[0]).__name__ == "ReadAt", f"node {number} does not read: {read}"
        report = check_history(world.recorder.history(), "register")
        assert report.valid, report.verdicts[0].explanation
        return world

    def statuses(self) -> list[object]:
        return [
            dict(node.core.status()) if node.core is not None else "down"
            for node in self.world.nodes.values()
        ]
