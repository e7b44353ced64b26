"""Large histories of sets, queues, stacks and locks, valid because a real object made them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from comity.checkers import Event, EventType, History

BLOCKED = object()
"""What `take_effect` gives for an operation that has to wait."""


class Object(Protocol):
    """An object that does one operation at a time, and an idea of what to ask of it."""

    def draw(self, rng: random.Random, process: int) -> tuple[str, Any]: ...

    def take_effect(self, process: int, f: str, value: Any) -> Any: ...


class FirstInFirstOut:
    """A queue of numbers that are all different; with fewer puts than takes it is often empty."""

    puts, takes = "enqueue", "dequeue"

    def __init__(self, puts_share: float = 0.5) -> None:
        self.held: deque[int] = deque()
        self.fresh = 0
        self.puts_share = puts_share

    def draw(self, rng: random.Random, process: int) -> tuple[str, Any]:
        if rng.random() < self.puts_share:
            self.fresh += 1
            return self.puts, self.fresh
        return self.takes, None

    def take_effect(self, process: int, f: str, value: Any) -> Any:
        if f == self.puts:
            self.held.append(value)
            return value
        return self.take() if self.held else None

    def take(self) -> int:
        return self.held.popleft()


class LastInFirstOut(FirstInFirstOut):
    puts, takes = "push", "pop"

    def take(self) -> int:
        return self.held.pop()


class WholeSet:
    """Adds of numbers that are all different, and reads of everything."""

    def __init__(self, reads_share: float = 0.2) -> None:
        self.held: list[int] = []
        self.fresh = 0
        self.reads_share = reads_share

    def draw(self, rng: random.Random, process: int) -> tuple[str, Any]:
        if rng.random() < self.reads_share:
            return "read", None
        self.fresh += 1
        return "add", self.fresh

    def take_effect(self, process: int, f: str, value: Any) -> Any:
        if f == "read":
            return tuple(self.held)
        self.held.append(value)
        return value


class ElementSet:
    """Adds, removals and questions, a few elements, nothing that reads them all."""

    def __init__(self, elements: int = 200) -> None:
        self.held: set[int] = set()
        self.elements = elements

    def draw(self, rng: random.Random, process: int) -> tuple[str, Any]:
        return rng.choice(["add", "remove", "contains"]), rng.randrange(self.elements)

    def take_effect(self, process: int, f: str, value: Any) -> Any:
        there = value in self.held
        if f == "add":
            self.held.add(value)
            return not there
        if f == "remove":
            self.held.discard(value)
        return there


class Lock:
    """Every process takes the lock and gives it back, by turns; tokens are handed out in order."""

    def __init__(self, tokens: bool = True) -> None:
        self.holder: int | None = None
        self.token = 0
        self.tokens = tokens
        self.has: set[int] = set()

    def draw(self, rng: random.Random, process: int) -> tuple[str, Any]:
        if process in self.has:
            self.has.discard(process)
            return "release", None
        self.has.add(process)
        return "acquire", None

    def take_effect(self, process: int, f: str, value: Any) -> Any:
        if f == "release":
            self.holder = None
            return None
        if self.holder is not None:
            return BLOCKED
        self.holder = process
        self.token += 1
        return self.token if self.tokens else None


OBJECTS: dict[str, tuple[str, Callable[[], Object]]] = {
    "queue": ("queue", FirstInFirstOut),
    "queue, often empty": ("queue", lambda: FirstInFirstOut(0.45)),
    "queue, growing": ("queue", lambda: FirstInFirstOut(0.7)),
    "stack": ("stack", LastInFirstOut),
    "stack, often empty": ("stack", lambda: LastInFirstOut(0.45)),
    "stack, growing": ("stack", lambda: LastInFirstOut(0.7)),
    "set, read as a whole": ("set", WholeSet),
    "set, asked by element": ("set", ElementSet),
    "mutex": ("mutex", lambda: Lock(tokens=False)),
    "mutex with fencing tokens": ("mutex", Lock),
}
"""By name: the data type, and an object of it."""


def concurrent_events(
    made: Object, seed: str, operations: int, processes: int = 10, unknown: float = 0.0
) -> list[Event]:
    """Events of `processes` clients that are nearly always all under way.

    unknown: how likely an operation ends without an answer, having taken effect or not; the client then
    goes on under a new name.
    """
    rng = random.Random(seed)
    events: list[Event] = []
    free = list(range(processes))
    fresh = processes
    begun = blocked = 0
    waiting: dict[int, tuple[str, Any]] = {}
    done: dict[int, tuple[str, Any, Any]] = {}
    while begun < operations or waiting or done:
        roll = rng.random()
        if free and begun < operations and roll < 0.6:
            process = free.pop(rng.randrange(len(free)))
            f, value = made.draw(rng, process)
            events.append(Event(process, EventType.INVOKE, f, None, value))
            waiting[process] = f, value
            begun += 1
        elif waiting and roll < 0.8:
            process = rng.choice(list(waiting))
            f, value = waiting[process]
            if unknown and rng.random() < unknown / 2:
                del waiting[process]
                events.append(Event(process, EventType.INFO, f, None, value))
                free.append(fresh)
                fresh += 1
                continue
            result = made.take_effect(process, f, value)
            if result is not BLOCKED:
                del waiting[process]
                done[process] = f, value, result
                blocked = 0
            elif (blocked := blocked + 1) > 50 * processes and not done:
                # Whoever has the lock is gone: it stays so.
                break
        elif done:
            process = rng.choice(list(done))
            f, value, result = done.pop(process)
            if unknown and rng.random() < unknown / 2:
                events.append(Event(process, EventType.INFO, f, None, value))
                free.append(fresh)
                fresh += 1
                continue
            events.append(Event(process, EventType.OK, f, None, result))
            free.append(process)
    return events


def concurrent_history(
    name: str, seed: str, operations: int, processes: int = 10, unknown: float = 0.0
) -> tuple[str, History]:
    """A history of the object of that name in `OBJECTS`, and its data type."""
    data_type, make = OBJECTS[name]
    return data_type, History.of(concurrent_events(make(), seed, operations, processes, unknown))
