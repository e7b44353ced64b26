"""Orders that follow from what was read: the closure of a relation under one rule, and its cycles.

Where a read returned a write, every other write to the key that comes before the read comes before that
write too. A relation closed under this rule, for the reads of one process, has no cycle exactly where
that process has a view (Ahmed Bouajjani, Constantin Enea, Rachid Guerraoui, Jad Hamza, "On Verifying
Causal Consistency", POPL 2017, section 5, for causal memory; the argument uses only that the relation
orders the process's reads, so it serves every model whose views keep them in order).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from comity.checkers.registers.problem import INITIAL, Registers
from comity.checkers.verdict import Limits

BASE_BYTES = 64


class Limited(Exception):
    """A limit was reached; the text says which."""


class Budget:
    """What a check may still cost: asked between steps, raises `Limited`."""

    def __init__(self, limits: Limits, deadline_ns: int | None) -> None:
        self._limits = limits
        self._deadline_ns = deadline_ns
        self.memory_bytes = limits.memory_bytes

    def spend(self) -> None:
        """Raises `Limited` once the time is up."""
        if self._deadline_ns is not None and self._limits.clock_ns() >= self._deadline_ns:
            raise Limited("time limit")

    def room_for_sets(self, sets: int, members: int) -> None:
        """Raises `Limited` where so many sets of so many members would take more than the memory."""
        if sets * (members // 8 + BASE_BYTES) > self.memory_bytes:
            raise Limited("memory limit")


class Step(NamedTuple):
    """One step of a cycle: `before` comes before `after`. kind: session, reads-from or derived; via: the
    read a derived step follows from."""

    before: int
    after: int
    kind: str
    via: int = -1


class Closure:
    """A relation on the operations, kept as predecessors, with the writes before each as a set of bits.

    Derived steps are added until nothing follows any more.
    """

    def __init__(self, problem: Registers, nodes: Sequence[int], budget: Budget) -> None:
        self.problem = problem
        self.nodes = nodes
        self.budget = budget
        self.before: dict[int, list[tuple[int, str, int]]] = {node: [] for node in nodes}
        self.past: dict[int, int] = {}
        self.cycle: list[Step] = []

    def add(self, before: int, after: int, kind: str, via: int = -1) -> None:
        """`before` comes before `after`."""
        self.before[after].append((before, kind, via))

    def close(self) -> bool:
        """Compute the pasts. False where the relation has a cycle, which `cycle` then is."""
        self.budget.spend()
        before = self.before
        waiting = {node: len(steps) for node, steps in before.items()}
        following: dict[int, list[int]] = {node: [] for node in self.nodes}
        for node, steps in before.items():
            for earlier, _, _ in steps:
                following[earlier].append(node)
        ready = [node for node in self.nodes if not waiting[node]]
        for node in ready:  # grows as it goes
            for later in following[node]:
                waiting[later] -= 1
                if not waiting[later]:
                    ready.append(later)
        if len(ready) < len(self.nodes):
            self.cycle = self._find_cycle({node for node in self.nodes if waiting[node]})
            return False
        self.budget.room_for_sets(len(ready), len(self.problem.writes))
        bits = self.problem.bits
        past: dict[int, int] = {}
        for node in ready:
            mask = 0
            for earlier, _, _ in before[node]:
                mask |= past[earlier] | bits[earlier]
            past[node] = mask
        self.past = past
        return True

    def _find_cycle(self, left: set[int]) -> list[Step]:
        """A shortest cycle through one of the operations that could not be ordered."""
        # Every one of these has a predecessor among them: walking back from any of them ends in a cycle.
        node = min(left)
        seen: set[int] = set()
        while node not in seen:
            seen.add(node)
            node = next(earlier for earlier, _, _ in self.before[node] if earlier in left)
        return self._shortest_through(node, left)

    def _shortest_through(self, start: int, left: set[int]) -> list[Step]:
        reached: dict[int, Step] = {}
        queue = [start]
        for node in queue:
            for earlier, kind, via in self.before[node]:
                if earlier not in left or earlier in reached:
                    continue
                reached[earlier] = Step(earlier, node, kind, via)
                if earlier == start:
                    steps = [reached[start]]
                    while steps[-1].after != start:
                        steps.append(reached[steps[-1].after])
                    return steps
                queue.append(earlier)
        return []

    def saturate(self, reads: Sequence[int]) -> bool:
        """Close under the rule for these reads. False where that leads to a cycle."""
        problem = self.problem
        while True:
            if not self.close():
                return False
            added = False
            for read in reads:
                source = problem.writer[read]
                if source == INITIAL:
                    continue
                others = self.past[read] & problem.key_masks[problem.keys[read]]
                others &= ~(self.past[source] | problem.bits[source])
                for other in self.latest(others):
                    self.add(other, source, "derived", read)
                    added = True
            if not added:
                return True

    def latest(self, writes: int) -> list[int]:
        """Of a set of writes those that come before no other of it: what is said of them holds of all."""
        problem, past = self.problem, self.past
        left = latest = writes
        while left:
            write = problem.writes[left.bit_length() - 1]
            left &= ~(past[write] | problem.bits[write])
            latest &= ~past[write]
        return problem.writes_in(latest)

    def initial_contradiction(self, reads: Sequence[int]) -> tuple[int, int] | None:
        """A read of the initial value and a write to its key that comes before it."""
        problem = self.problem
        for read in reads:
            if problem.writer[read] == INITIAL:
                mask = self.past[read] & problem.key_masks.get(problem.keys[read], 0)
                if mask:
                    return read, problem.writes_in(mask & -mask)[0]
        return None

    def path(self, start: int, end: int) -> list[Step]:
        """A shortest chain of steps from one operation to another; empty where there is none."""
        reached: dict[int, Step] = {}
        queue = [end]
        for node in queue:
            for earlier, kind, via in self.before[node]:
                if earlier in reached:
                    continue
                reached[earlier] = Step(earlier, node, kind, via)
                if earlier == start:
                    steps = [reached[start]]
                    while steps[-1].after != end:
                        steps.append(reached[steps[-1].after])
                    return steps
                queue.append(earlier)
        return []


def is_circular(problem: Registers) -> bool:
    """Whether causality has a cycle: told without any sets."""
    after = [-1] * len(problem)
    waiting = [0] * len(problem)
    for place, before in enumerate(problem.session):
        if before >= 0:
            waiting[place] += 1
        if not problem.is_write[place] and problem.writer[place] != INITIAL:
            waiting[place] += 1
    done = 0
    ready = [place for place, count in enumerate(waiting) if not count]
    followers: dict[int, list[int]] = {}
    for place, before in enumerate(problem.session):
        if before >= 0:
            if after[before] < 0:
                after[before] = place
            else:
                followers.setdefault(before, []).append(place)
    while ready:
        place = ready.pop()
        done += 1
        later = [*problem.readers.get(place, ()), *followers.get(place, ())]
        if after[place] >= 0:
            later.append(after[place])
        for other in later:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    return done < len(problem)


def causality(problem: Registers, budget: Budget, nodes: Sequence[int] | None = None) -> Closure:
    """Session order and reads-from on all operations (or these), not closed yet."""
    chosen = range(len(problem)) if nodes is None else nodes
    closure = Closure(problem, chosen, budget)
    for node in chosen:
        if problem.session[node] >= 0:
            closure.add(problem.session[node], node, "session")
        if not problem.is_write[node] and problem.writer[node] != INITIAL:
            closure.add(problem.writer[node], node, "reads-from")
    return closure


def pram_order(problem: Registers, budget: Budget, reads: Sequence[int]) -> Closure:
    """Session order on all writes and the reads of one process, and reads-from of those reads."""
    mine = set(reads)
    nodes = [node for node in range(len(problem)) if problem.is_write[node] or node in mine]
    closure = Closure(problem, nodes, budget)
    for chain in problem.by_process.values():
        last = -1
        for node in chain:
            if not problem.is_write[node] and node not in mine:
                continue
            if last >= 0:
                closure.add(last, node, "session")
            if problem.bound(node):
                last = node
    for read in reads:
        if problem.writer[read] != INITIAL:
            closure.add(problem.writer[read], read, "reads-from")
    return closure
