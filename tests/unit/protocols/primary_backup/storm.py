"""Random runs: faults, clients and view changes drawn from a seed, then peace, in which all must recover."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.unit.protocols.primary_backup.driver import MS, World

from comity.protocols.primary_backup import PrimaryBackupCore, PrimaryBackupOptions
from comity.replica import CoreContext, Recovered, Stream, View

KEYS = ("a", "b", "c")


def options_of(stream: Stream, mode: str = "sync", reads: str = "") -> PrimaryBackupOptions:
    """Small windows and short times, so that every path is taken."""
    bounded = mode == "async"
    heartbeat_ns = stream.pick([10, 10, 50]) * MS
    return PrimaryBackupOptions(
        mode=mode,
        reads=reads or ("confirm" if bounded else stream.pick(["confirm", "confirm", "lease"])),
        loss_entries=stream.pick([1, 3, 8]) if bounded else 0,
        loss_counts=stream.pick(["best", "every"]),
        lease_ns=stream.pick([100, 200]) * MS if heartbeat_ns < 50 * MS else 200 * MS,
        clock_drift_ppm=100_000,
        heartbeat_ns=heartbeat_ns,
        retry_ns=20 * MS,
        snapshot_retry_ns=20 * MS,
        read_expiry_ns=100 * MS,
        silent_ns=200 * MS,
        max_append_bytes=stream.pick([100, 300, 100_000]),
        max_inflight_bytes=100_000,
        max_inflight_messages=stream.pick([1, 2, 64]),
        keep_log_bytes=stream.pick([1, 300]),
        max_log_bytes=stream.pick([300, 1000, 1 << 20]),
        eager_commit=stream.chance(0.6),
        join_lag_entries=stream.pick([0, 2, 100]),
    )


class Storm:
    """One run. `events` shows what it did."""

    def __init__(
        self,
        seed: int,
        mode: str = "sync",
        core: Callable[[CoreContext, PrimaryBackupOptions, Recovered], PrimaryBackupCore] = PrimaryBackupCore,
        reads: str = "",
    ) -> None:
        self.stream = stream = Stream(seed, "storm")
        self.size = stream.pick([3, 4, 4, 5])
        nodes = tuple(range(1, stream.pick([1, 2, 3]) + 1))
        joining = tuple(range(len(nodes) + 1, self.size + 1)) if stream.chance(0.6) else ()
        self.world = world = World(
            seed,
            size=self.size,
            options=options_of(stream, mode, reads),
            core=core,
            view=View(1, nodes, joining),
        )
        self.bounded = mode == "async"
        world.loss = stream.pick([0.0, 0.02, 0.15])
        world.double = stream.pick([0.0, 0.05])
        world.slow = stream.pick([0.0, 0.03, 0.2])
        world.sync_ns = stream.pick([MS // 2, 5 * MS])
        self.crashing = stream.pick([0.0, 0.5, 1.0])
        self.cutting = stream.pick([0.0, 0.5, 1.0])
        self.changing = stream.pick([0.3, 1.0, 2.0])
        self.storming = True
        self.failovers = 0
        self.lost: list[int] = []
        self.quiet_ns = 0
        """Until when the control group says nothing: the deposed primary is not to learn of it."""

    # -- what happens again and again

    def again(self, every_ns: int, action: Callable[[], None]) -> None:
        def act() -> None:
            if self.storming:
                action()
                self.world.at(self.stream.between(every_ns // 3, 2 * every_ns), act)

        self.world.at(self.stream.below(every_ns), act)

    def any_up(self) -> int:
        up = [number for number, node in self.world.nodes.items() if node.up]
        return self.stream.pick(up) if up else 0

    def likely_primary(self) -> int:
        """Mostly one that believes to lead, deposed ones too."""
        world = self.world
        leads = [number for number, node in world.nodes.items() if node.up and node.core.leader == number]
        return self.stream.pick(leads) if leads and self.stream.chance(0.85) else self.any_up()

    def write(self) -> None:
        if number := self.likely_primary():
            self.world.write(number, self.stream.pick(KEYS))

    def read(self) -> None:
        if number := self.likely_primary() if self.stream.chance(0.6) else self.any_up():
            self.world.read(number, self.stream.pick(KEYS))

    def crash_or_restart(self) -> None:
        world, stream = self.world, self.stream
        down = [number for number, node in world.nodes.items() if not node.up]
        if down and stream.chance(0.7):
            world.restart(stream.pick(down), stream.pick([View(0, ()), world.current]))
        elif stream.chance(self.crashing):
            number = self.likely_primary() if stream.chance(0.5) else self.any_up()
            if number:
                world.crash(number)
                if stream.chance(0.4):  # back at once
                    world.restart(number, stream.pick([View(0, ()), world.current]))

    def fell_heir(self) -> None:
        """A member crashes in the middle of a write, is back at once, and is made primary: whatever it had
        acknowledged must be there."""
        world = self.world
        members = [number for number in world.current.nodes[1:] if world.nodes[number].up]
        busy = [number for number in members if world.nodes[number].unsynced]
        if self.bounded or not members or world.now_ns < self.quiet_ns:
            return
        heir = self.stream.pick(busy or members)
        world.crash(heir)
        world.restart(heir, self.stream.pick([View(0, ()), world.current]))
        world.change((heir,), tuple(number for number in world.nodes if number != heir))

    def cut_or_heal(self) -> None:
        world, stream = self.world, self.stream
        if world.now_ns < self.quiet_ns:
            return
        if world.cut:
            world.cut = set()
        elif stream.chance(self.cutting):
            if stream.chance(0.5):
                lone = self.likely_primary() or 1
                world.cut = {(lone, other) for other in world.nodes if other != lone}
                if stream.chance(0.7):
                    world.cut |= {(other, lone) for other in world.nodes if other != lone}
            else:
                world.cut = {
                    (one, other)
                    for one in world.nodes
                    for other in world.nodes
                    if one != other and stream.chance(0.3)
                }

    def depose(self) -> None:
        """The primary is cut off, and the rest go on without it at once, while it is asked on."""
        world = self.world
        first = world.primary()
        rest = [number for number in (*world.current.nodes[1:], *sorted(world.declared)) if number != first]
        if self.bounded or world.cut or not first or not rest or not world.nodes[rest[0]].up:
            return
        others = [number for number in world.nodes if number != first]
        world.cut = {(first, other) for other in others} | {(other, first) for other in others}
        heir = rest[0]
        self.quiet_ns = world.now_ns + 250 * MS
        joining = tuple(number for number in world.nodes if number not in {heir, first})
        world.change((heir,), joining, spread_ns=2 * MS, late=(first,))
        for delay_ns in range(0, 250 * MS, 2 * MS):
            world.at(delay_ns, partial(self.ask, world.read, first))
            world.at(delay_ns, partial(self.ask, world.write, heir))
        world.at(250 * MS, world.cut.clear)

    def flush(self) -> None:
        if number := self.any_up():
            self.world.flush(number)

    def tell(self) -> None:
        """The control group repeats itself, to somebody."""
        if (number := self.any_up()) and self.world.now_ns >= self.quiet_ns:
            self.world.give(number, self.world.current)

    def change(self) -> None:
        world, stream = self.world, self.stream
        if world.now_ns < self.quiet_ns:
            return
        candidates = sorted({*world.current.nodes, *world.declared})
        before = world.current.nodes[0]
        nodes = stream.shuffled(candidates)[: stream.between(1, len(candidates))]
        best = self.bounded and world.options.loss_counts == "best"
        if self.bounded:
            # The bound is for one failure at a time: not before it holds again in the view in force.
            first = world.primary()
            if not first or (len(candidates) > 1 and world[first].lacks_too_much(world[first].secured)):
                return
        if best:
            # Whoever is ahead leads, and those left out are behind those that stay.
            settled = [
                world.nodes[number].up
                and world[number].current.epoch == world.current.epoch
                and (number == before or world[number].knows_history())
                for number in candidates
            ]
            if not all(settled):
                return
            others = [number for number in candidates if number != before]
            ranked = sorted(others, key=lambda number: (world[number].position, number), reverse=True)
            if stream.chance(0.5) or not ranked:
                ranked = [before, *ranked]
            nodes = ranked[: len(nodes)]
        self.failovers += nodes[0] != world.current.nodes[0]
        joining = tuple(
            number
            for number in stream.shuffled(sorted(world.nodes))
            if number not in nodes and stream.chance(0.7)
        )
        world.change(tuple(nodes), joining, spread_ns=stream.pick([0, 20, 200]) * MS)
        if best:
            # The successor is the last to turn from the primary before: until then it gets what others get.
            for number in candidates:
                if number not in {nodes[0], before}:
                    world.give(number, world.current)
        for _ in range(6):  # when it matters who is believed
            world.at(stream.below(60 * MS), partial(self.ask, world.write, before))
            world.at(stream.below(60 * MS), partial(self.ask, world.read, before))
            world.at(stream.below(60 * MS), partial(self.ask, world.write, nodes[0]))

    def ask(self, what: Callable[[int, str], int], number: int) -> None:
        if self.storming and self.world.nodes[number].up:
            what(number, self.stream.pick(KEYS))

    # -- the run

    def run(self, duration_ns: int = 1500 * MS) -> None:
        self.again(6 * MS, self.write)
        self.again(9 * MS, self.read)
        self.again(60 * MS, self.crash_or_restart)
        self.again(80 * MS, self.cut_or_heal)
        self.again(30 * MS, self.flush)
        if self.crashing:
            self.again(250 * MS, self.fell_heir)
        if self.cutting:
            self.again(600 * MS, self.depose)
        self.again(40 * MS, self.tell)
        self.again(int(150 * MS / self.changing), self.change)
        self.world.run(duration_ns)
        for node in self.world.nodes.values():
            if node.up:
                node.core.deep_check()

    def recover(self) -> None:
        """The storm is over: everybody must become a member, hold the same, and answer."""
        self.storming = False
        world = self.world
        world.cut, world.loss, world.slow, world.double = set(), 0.0, 0.0, 0.0
        for number, node in world.nodes.items():
            if not node.up:
                world.restart(number, world.current)
            world.give(number, world.current)
        everybody = tuple(sorted(world.nodes))
        nodes = world.current.nodes
        world.change(nodes, tuple(number for number in everybody if number not in nodes))
        for number in everybody:
            world.at(50 * MS, partial(world.flush, number))
            world.at(300 * MS, partial(world.flush, number))
        joined = world.run(4000 * MS, lambda: {*world.current.nodes, *world.declared} == set(everybody))
        assert joined, f"not all caught up: {[world[number].status() for number in everybody]}"
        world.change((nodes[0], *(number for number in everybody if number != nodes[0])))
        world.run(500 * MS)
        primary = world.primary()
        assert primary, "nobody leads"
        value = world.write(primary, "a")
        world.run(300 * MS)
        assert value in world.acknowledged, f"the last write was not committed: {world[primary].status()}"
        for node in world.nodes.values():
            if self.bounded:
                node.reads_at = []  # they wait for an index of a history that was lost
        for number in everybody:
            request = world.read(number, "a")
            world.run(300 * MS)
            assert request not in world.nodes[number].reads, f"node {number} does not answer a read"
            assert not world.nodes[number].reads_at
            assert world.nodes[number].state.applied == world.nodes[primary].state.applied, (
                f"node {number} holds something else than {primary}"
            )
            world[number].deep_check()
        kept = set(world.nodes[primary].state.applied)
        self.lost = [value for value in world.acknowledged if value not in kept]
        bound = world.options.loss_entries * self.failovers if self.bounded else 0
        assert len(self.lost) <= bound, (
            f"{len(self.lost)} acknowledged writes were lost in {self.failovers} failovers, {bound} may be"
        )
