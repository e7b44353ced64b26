"""Random histories of transactions from stores of every level of isolation, and from none."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from comity.checkers import Event, EventType, History, freeze

LEVELS = ("serial", "snapshot", "stale-snapshot", "causal", "committed", "dirty", "chaos")
"""serial: atomic. snapshot: of the latest commits, the first committer wins. stale-snapshot: of any earlier
state. causal: some causally closed set of commits, no write conflicts. committed: each read returns what is
committed by then. dirty: reads and writes at once. chaos: reads return anything."""


@dataclass
class _Open:
    process: int
    ops: list[list[Any]]
    index: int
    step: int = 0
    state: dict[Any, Any] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    since: int = 0
    fate: str = "ok"


class Store:
    """One run: processes take turns at random, a micro-operation at a time."""

    def __init__(
        self, random_: random.Random, data_type: str, level: str, keys: int, trouble: float = 0.2
    ) -> None:
        self.random = random_
        self.registers = data_type == "rw-register"
        self.level = level
        self.keys = keys
        self.trouble = trouble
        self.fresh = 0
        self.commits: list[tuple[int, list[list[Any]], set[int]]] = []
        self.dirty: dict[Any, Any] = {}
        self.events: list[Event] = []

    def run(self, transactions: int, processes: int, longest: int) -> History:
        waiting: dict[int, _Open | None] = dict.fromkeys(range(processes))
        next_process = processes
        begun = 0
        while True:
            able = [p for p, open_ in waiting.items() if open_ is not None or begun < transactions]
            if not able:
                return History.of(self.events)
            process = self.random.choice(able)
            open_ = waiting[process]
            if open_ is None:
                waiting[process] = self._begin(process, begun, longest)
                begun += 1
            elif open_.step < len(open_.ops):
                self._do(open_)
            elif open_.step == len(open_.ops):
                self._commit(open_)
            else:
                self._complete(open_)
                del waiting[process]
                if open_.fate == "info":
                    process, next_process = next_process, next_process + 1
                waiting[process] = None

    def _begin(self, process: int, index: int, longest: int) -> _Open:
        ops = []
        for _ in range(self.random.randint(1, longest)):
            key = self.random.randrange(self.keys)
            if self.random.random() < 0.5:
                ops.append(["r", key, None])
            else:
                self.fresh += 1
                ops.append(["w" if self.registers else "append", key, self.fresh])
        self._event(process, EventType.INVOKE, ops)
        return _Open(process, ops, index)

    def _event(self, process: int, kind: EventType, ops: list[list[Any]]) -> None:
        asked = [[f, key, None if f == "r" and kind is not EventType.OK else value] for f, key, value in ops]
        self.events.append(Event(process, kind, "txn", None, freeze(asked)))

    def _state(self, upto: int) -> dict[Any, Any]:
        state: dict[Any, Any] = {}
        for _, ops, _ in self.commits[:upto]:
            for op in ops:
                self._write(state, op)
        return state

    def _write(self, state: dict[Any, Any], op: list[Any]) -> None:
        f, key, value = op
        if f == "w":
            state[key] = value
        elif f == "append":
            state[key] = (*state.get(key, ()), value)

    def _do(self, t: _Open) -> None:
        if t.step == 0:
            self._start(t)
        f, key, _ = op = t.ops[t.step]
        t.step += 1
        if f != "r":
            self._write(t.state, op)
            if self.level == "dirty":
                self._write(self.dirty, op)
            return
        state = t.state
        if self.level == "dirty":
            state = self.dirty
        elif self.level == "committed":
            state = self._state(len(self.commits))
            for own in t.ops[: t.step]:
                self._write(state, own)
        elif self.level == "chaos":
            state = {key: self._anything(key)}
        op[2] = state.get(key) if self.registers else list(state.get(key, ()))

    def _anything(self, key: Any) -> Any:
        written = [
            op[2]
            for e in self.events
            if e.type is EventType.INVOKE
            for op in e.value
            if op[1] == key and op[0] != "r"
        ]
        if self.registers:
            return self.random.choice([None, *written])
        if self.random.random() < 0.3:
            self.random.shuffle(written)
        return tuple(written[: self.random.randint(0, len(written))])

    def _start(self, t: _Open) -> None:
        t.since = len(self.commits)
        if self.level == "stale-snapshot":
            t.since = self.random.randint(max(0, t.since - 2), t.since)
        t.state = self._state(t.since)
        if self.level == "causal":
            for name, _, seen in self.commits:
                if self.random.random() < 0.5:
                    t.seen |= {name} | seen
            state: dict[Any, Any] = {}
            for name, ops, _ in self.commits:
                for op in ops if name in t.seen else ():
                    self._write(state, op)
            t.state = state

    def _commit(self, t: _Open) -> None:
        t.step += 1
        keys = {op[1] for op in t.ops if op[0] != "r"}
        if self.level == "serial":
            t.state = self._state(len(self.commits))
            for op in t.ops:
                self._write(t.state, op)
                if op[0] == "r":
                    op[2] = t.state.get(op[1]) if self.registers else list(t.state.get(op[1], ()))
        conflict = False
        if self.level in {"snapshot", "stale-snapshot"}:
            conflict = any(
                op[1] in keys and op[0] != "r" for _, ops, _ in self.commits[t.since :] for op in ops
            )
        elif self.level == "causal":
            conflict = any(
                name not in t.seen and any(op[1] in keys and op[0] != "r" for op in ops)
                for name, ops, _ in self.commits
            )
        if self.random.random() < self.trouble:
            t.fate = self.random.choice(["fail", "info", "info"])
        if conflict and t.fate == "ok":
            t.fate = "fail"
        if conflict or t.fate == "fail" or (t.fate == "info" and self.random.random() < 0.4):
            return
        self.commits.append((t.index, t.ops, set(t.seen)))

    def _complete(self, t: _Open) -> None:
        self._event(t.process, EventType(t.fate), t.ops)


def corrupted(random_: random.Random, history: History) -> History:
    """The same with the result of one read changed."""
    events = list(history.events())
    written: dict[Any, list[Any]] = {}
    for event in events:
        for f, key, value in event.value:
            if f != "r" and event.type is EventType.INVOKE:
                written.setdefault(key, []).append(value)
    places = [
        (n, m)
        for n, e in enumerate(events)
        if e.type is EventType.OK
        for m, op in enumerate(e.value)
        if op[0] == "r"
    ]
    if not places:
        return history
    n, m = random_.choice(places)
    ops = [list(op) for op in events[n].value]
    key, value = ops[m][1], ops[m][2]
    if isinstance(value, tuple):
        elements = list(value)
        match random_.randrange(5):
            case 0:
                elements = elements[:-1]
            case 1:
                elements = elements[: len(elements) // 2]
            case 2 if len(elements) > 1:
                elements[-1], elements[-2] = elements[-2], elements[-1]
            case 3:
                elements.append(random_.choice([*written.get(key, []), 999]))
            case _:
                elements = random_.sample(elements, len(elements))
        ops[m][2] = elements
    else:
        ops[m][2] = random_.choice([None, *written.get(key, [])])
    changed = events[n]
    events[n] = Event(changed.process, changed.type, "txn", None, freeze(ops))
    return History.of(events)


def random_history(
    random_: random.Random, data_type: str, transactions: int = 5, longest: int = 3, level: str | None = None
) -> History:
    """A small one: 2 to 4 processes, one or two keys, of any level, perhaps corrupted."""
    store = Store(
        random_,
        data_type,
        level or random_.choice(LEVELS),
        keys=random_.choice([1, 2, 2, 3]),
        trouble=random_.choice([0.0, 0.2, 0.4]),
    )
    history = store.run(random_.randint(2, transactions), random_.randint(2, 4), longest)
    return corrupted(random_, history) if random_.random() < 0.25 else history
