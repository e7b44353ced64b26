"""Sequential consistency of registers: closure where it decides, a search where it does not.

Deciding it is NP-complete even where every value is written once (Gibbons & Korach 1997), so: whatever
must come before what in every order is derived until nothing follows; a cycle is a violation. Otherwise
operations are placed one by one within that order, remembering what led nowhere.
"""

from __future__ import annotations

from collections.abc import Hashable

from comity.checkers.registers.problem import INITIAL, Registers
from comity.checkers.registers.saturation import Budget, Closure, Limited, Step, causality

CLOCK_EVERY = 1024


def saturated(problem: Registers, budget: Budget) -> tuple[Closure, list[Step]]:
    """What holds in every order, and the cycle in it if there is one.

    Beside the rule of `Closure.saturate`: a read comes before every write to its key that comes after
    the write it returned, and a read of the initial value before every write to its key.
    """
    closure = causality(problem, budget)
    reads = [place for place in range(len(problem)) if not problem.is_write[place]]
    by_key: dict[Hashable, list[int]] = {}
    for write in problem.writes:
        by_key.setdefault(problem.keys[write], []).append(write)
    for read in reads:
        if problem.writer[read] == INITIAL:
            for write in by_key.get(problem.keys[read], ()):
                closure.add(read, write, "derived", read)
    told: set[tuple[int, int]] = set()
    while True:
        if not closure.saturate(reads):
            return closure, closure.cycle
        added = False
        for write in problem.writes:
            # Of the writes to its key that come before it, those with none of that key in between.
            for other in closure.latest(closure.past[write] & problem.key_masks[problem.keys[write]]):
                if (other, write) in told:
                    continue
                told.add((other, write))
                for read in problem.readers.get(other, ()):
                    closure.add(read, write, "derived", read)
                    added = True
            budget.spend()
            if len(told) * 150 > budget.memory_bytes:
                raise Limited("memory limit")
        if not added:
            return closure, []


def search(problem: Registers, closure: Closure, budget: Budget, states: int) -> list[int] | None:
    """An order of all operations, by place; None where there is none. Raises `Limited`."""
    count = len(problem)
    waiting = {node: len(steps) for node, steps in closure.before.items()}
    following: dict[int, list[int]] = {node: [] for node in closure.nodes}
    for node, steps in closure.before.items():
        for earlier, _, _ in steps:
            following[earlier].append(node)
    unread = {write: len(problem.readers.get(write, ())) for write in problem.writes}
    holds: dict[Hashable, int] = {}
    ready = {node for node in closure.nodes if not waiting[node]}
    order: list[int] = []
    failed: set[tuple[frozenset[int], frozenset[int]]] = set()
    undo: list[tuple[int, int]] = []

    def place(node: int) -> None:
        ready.discard(node)
        order.append(node)
        previous = holds.get(problem.keys[node], INITIAL)
        undo.append((node, previous))
        if problem.is_write[node]:
            holds[problem.keys[node]] = node
        elif problem.writer[node] != INITIAL:
            unread[problem.writer[node]] -= 1
        for later in following[node]:
            waiting[later] -= 1
            if not waiting[later]:
                ready.add(later)

    def take_back(length: int) -> None:
        while len(order) > length:
            order.pop()
            node, previous = undo.pop()
            for later in following[node]:
                if not waiting[later]:
                    ready.discard(later)
                waiting[later] += 1
            if problem.is_write[node]:
                holds[problem.keys[node]] = previous
            elif problem.writer[node] != INITIAL:
                unread[problem.writer[node]] += 1
            ready.add(node)

    def settle() -> None:
        """Place every read that can be: it changes nothing, so now is as good as later."""
        moved = True
        while moved:
            moved = False
            for node in sorted(ready):
                if (
                    not problem.is_write[node]
                    and holds.get(problem.keys[node], INITIAL) == problem.writer[node]
                ):
                    place(node)
                    moved = True

    def choices() -> list[int]:
        possible = []
        for node in sorted(ready, reverse=True):
            if problem.is_write[node]:
                current = holds.get(problem.keys[node], INITIAL)
                if current == INITIAL or not unread[current]:
                    possible.append(node)
        return possible

    stack: list[tuple[int, list[int]]] = []
    tried = 0
    settle()
    while len(order) < count:
        tried += 1
        if tried % CLOCK_EVERY == 0:
            budget.spend()
        key = (frozenset(ready), frozenset(holds.values()))
        stack.append((len(order), [] if key in failed else choices()))
        while not stack[-1][1]:
            length, _ = stack.pop()
            take_back(length)
            failed.add((frozenset(ready), frozenset(holds.values())))
            if len(failed) > states or len(failed) * 500 > budget.memory_bytes:
                raise Limited("limit of remembered states")
            if not stack:
                return None
            take_back(stack[-1][0])
        place(stack[-1][1].pop())
        settle()
    return order
