"""Long histories of registers, each from a store that keeps one model and nothing stronger.

Processes take turns; every operation is over before the next begins. Six processes, ten keys, every value
is written once: the number of its operation.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from comity.checkers import Event, EventType, History

PROCESSES = 6
KEYS = 10
RECENT = 40
"""A weak store returns one of so many writes to a key that were made last."""

Write = tuple[int, int, str, int]
"""process, its number among the writes of that process, key, value."""


class WeakStore:
    """The events of a history, and what has been written. An operation a line: see `add`."""

    def __init__(self, seed: int, operations: int) -> None:
        self.random = random.Random(seed)
        self.events: list[Event] = []
        self.writes: dict[str, list[Write]] = {f"x{number}": [] for number in range(KEYS)}
        self.of: list[list[Write]] = [[] for _ in range(PROCESSES)]
        self.prepare()
        for number in range(operations):
            process = self.random.randrange(PROCESSES)
            key = f"x{self.random.randrange(KEYS)}"
            if self.random.random() < 0.4:
                write = (process, len(self.of[process]), key, number)
                self.add(process, "write", key, number, number)
                self.written(write)
                self.writes[key].append(write)
                self.of[process].append(write)
            else:
                found = self.read(process, key)
                self.add(process, "read", key, None, None if found is None else found[3])
        self.end()

    def add(self, process: int, f: str, key: str, value: int | None, result: int | None) -> None:
        self.events.append(Event(process, EventType.INVOKE, f, key, value))
        self.events.append(Event(process, EventType.OK, f, key, result))

    def history(self) -> History:
        return History.of(self.events)

    def prepare(self) -> None:
        """Before the first operation."""

    def written(self, write: Write) -> None:
        """A write is about to be made."""

    def read(self, process: int, key: str) -> Write | None:
        """What a read returns; None for the initial value."""
        raise NotImplementedError

    def end(self) -> None:
        """After the last operation."""

    def one_of(self, key: str, allowed: Callable[[Write | None], bool]) -> Write | None:
        """Any of the writes made last, or nothing, that may be returned. The last one always may."""
        choices: list[Write | None] = [None, *self.writes[key][-RECENT:]]
        for _ in range(8):
            found = self.random.choice(choices)
            if allowed(found):
                return found
        return next(found for found in reversed(choices) if allowed(found))


class Replicated(WeakStore):
    """A replica a process, which reads nothing else. Writes reach the others later.

    after: whether a write waits for what its process had seen, or only for that process's earlier writes.
    arbitrated: whether the later of two writes, by a Lamport clock, stays, or the one that came last.
    """

    after = True
    arbitrated = False

    def prepare(self) -> None:
        self.held: list[dict[str, Write]] = [{} for _ in range(PROCESSES)]
        self.applied = [[0] * PROCESSES for _ in range(PROCESSES)]
        self.needs: dict[int, list[int]] = {}
        self.stamps: dict[int, tuple[int, int]] = {}
        self.clocks = [0] * PROCESSES

    def written(self, write: Write) -> None:
        process, _, _, value = write
        self.clocks[process] += 1
        self.stamps[value] = (self.clocks[process], process)
        self.needs[value] = list(self.applied[process])
        self.apply(process, write)

    def apply(self, replica: int, write: Write) -> None:
        process, _, key, value = write
        self.applied[replica][process] += 1
        self.clocks[replica] = max(self.clocks[replica], self.stamps[value][0])
        held = self.held[replica].get(key)
        if held is None or not self.arbitrated or self.stamps[held[3]] < self.stamps[value]:
            self.held[replica][key] = write

    def read(self, process: int, key: str) -> Write | None:
        for _ in range(self.random.randint(0, 3)):
            self.deliver(process, self.random.randrange(PROCESSES))
        return self.held[process].get(key)

    def deliver(self, replica: int, sender: int) -> None:
        """The next write of another process, if it can be applied by now."""
        at = self.applied[replica][sender]
        if sender == replica or at == len(self.of[sender]):
            return
        write = self.of[sender][at]
        needs = self.needs[write[3]]
        if not self.after or all(
            have >= need for have, need in zip(self.applied[replica], needs, strict=True)
        ):
            self.apply(replica, write)


class Causal(Replicated):
    pass


class CausalConvergence(Replicated):
    arbitrated = True


class Pram(Replicated):
    after = False


class ReadYourWrites(WeakStore):
    """A read returns the process's own last write to the key, or any of another process."""

    def read(self, process: int, key: str) -> Write | None:
        own = next((w for w in reversed(self.of[process]) if w[2] == key), None)

        def allowed(found: Write | None) -> bool:
            return found == own or (found is not None and found[0] != process)

        return self.one_of(key, allowed) if self.random.random() < 0.8 else own


class MonotonicReads(WeakStore):
    """A read returns what the process read of the key before, or something it never read, newer than what it
    read of that session's writes to the key."""

    def prepare(self) -> None:
        self.current: dict[tuple[int, str], Write] = {}
        self.newest: dict[tuple[int, str, int], int] = {}

    def read(self, process: int, key: str) -> Write | None:
        current = self.current.get((process, key))

        def allowed(found: Write | None) -> bool:
            if found is None or found == current:
                return current is None or found is not None
            return found[1] > self.newest.get((process, key, found[0]), -1)

        choices = self.writes[key][-RECENT:]
        found = self.random.choice([current, *choices])
        if not allowed(found):
            found = current
        if found is not None:
            self.current[process, key] = found
            self.newest[process, key, found[0]] = found[1]
        return found


class MonotonicWrites(WeakStore):
    """A process that has read a write reads nothing older than what its author had written before it."""

    def prepare(self) -> None:
        self.frontier = [[-1] * PROCESSES for _ in range(PROCESSES)]

    def read(self, process: int, key: str) -> Write | None:
        frontier = self.frontier[process]

        def newest_known(author: int) -> int:
            """Of the session's writes to the key up to the frontier."""
            return next(
                (w[1] for w in reversed(self.writes[key]) if w[0] == author and w[1] <= frontier[author]), -1
            )

        def allowed(found: Write | None) -> bool:
            if found is None:
                return all(newest_known(author) < 0 for author in range(PROCESSES))
            return found[1] >= newest_known(found[0])

        found = self.one_of(key, allowed)
        if found is not None:
            frontier[found[0]] = max(frontier[found[0]], found[1])
        return found


class WritesFollowReads(WeakStore):
    """A process that has read a write reads nothing older than what that write's author had read before it.

    Sets of writes are kept as bits, by value.
    """

    def prepare(self) -> None:
        self.follows: dict[int, int] = {}
        self.had_read = [0] * PROCESSES
        self.required = [0] * PROCESSES
        self.shown = [0] * PROCESSES
        self.key_bits: dict[str, int] = {}

    def written(self, write: Write) -> None:
        process, _, key, value = write
        self.follows[value] = self.had_read[process]
        self.key_bits[key] = self.key_bits.get(key, 0) | 1 << value

    def read(self, process: int, key: str) -> Write | None:
        def allowed(found: Write | None) -> bool:
            if found is None:
                return not self.required[process] & self.key_bits.get(key, 0)
            known = self.required[process] | self.shown[process]
            return not any(
                known >> w[3] & 1 for w in self.writes[key] if w[0] == found[0] and w[1] > found[1]
            )

        found = self.one_of(key, allowed)
        if found is not None:
            self.had_read[process] |= self.follows[found[3]] | 1 << found[3]
            self.required[process] |= self.follows[found[3]]
            self.shown[process] |= 1 << found[3]
        return found


class Eventual(WeakStore):
    """A read returns anything; at the end all processes read the same."""

    def read(self, process: int, key: str) -> Write | None:
        return self.one_of(key, lambda _: True)

    def end(self) -> None:
        self.events.append(Event("nemesis", EventType.INFO, "quiesce"))
        for key, writes in self.writes.items():
            final = self.random.choice(writes)[3]
            for process in range(PROCESSES):
                self.add(process, "read", key, None, final)


class Regular(WeakStore):
    """Writes of one process overlap reads of the others, which return the value before or the new one."""

    anything = False

    def read(self, process: int, key: str) -> Write | None:
        return self.writes[key][-1] if self.writes[key] else None

    def add(self, process: int, f: str, key: str, value: int | None, result: int | None) -> None:
        if f == "read" or self.random.random() < 0.5:
            super().add(process, f, key, value, result)
            return
        # The write is under way while the others read.
        self.events.append(Event(process, EventType.INVOKE, f, key, value))
        for reader in range(PROCESSES):
            if reader != process and self.writes.get(key):
                old = self.writes[key][-1][3]
                told = self.random.choice((value, old, value, old, -1 if self.anything else old))
                super().add(reader, "read", key, None, told)
        self.events.append(Event(process, EventType.OK, f, key, value))


class Safe(Regular):
    anything = True


STORES: dict[str, type[WeakStore]] = {
    "causal": Causal,
    "causal-convergence": CausalConvergence,
    "pram": Pram,
    "read-your-writes": ReadYourWrites,
    "monotonic-reads": MonotonicReads,
    "monotonic-writes": MonotonicWrites,
    "writes-follow-reads": WritesFollowReads,
    "eventual": Eventual,
    "regular": Regular,
    "safe": Safe,
}
