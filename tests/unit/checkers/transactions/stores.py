"""Long histories of transactions, each from a store that keeps one isolation level and nothing stronger.

A transaction uses one to three keys, each of which it reads, writes, or reads and then writes. Keys are
forgotten after a hundred writes and others take their place, as in Elle's generators.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from comity.checkers import Event, EventType, History, freeze

PROCESSES = 8
LAG = 12
"""How many commits a snapshot may be old."""
KEYS = 4
WRITES_A_BLOCK = 100

ATOMIC = {
    "strict-serializable",
    "strong-session-serializable",
    "serializable",
    "repeatable-read",
}
SNAPSHOT = {
    "strong-snapshot-isolation",
    "strong-session-snapshot-isolation",
    "snapshot-isolation",
    "parallel-snapshot-isolation",
    "read-atomic",
}


@dataclass
class _Open:
    """A transaction under way. versions: by key, how many versions it read. seen: of the commits, for
    parallel snapshot isolation."""

    process: int
    steps: list[list[Any]]
    at: int = 0
    snapshot: int = -1
    seen: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    dirty: dict[str, list[Any]] = field(default_factory=dict)


class LevelStore:
    """Processes take turns at random, a step of a transaction at a time.

    mark: by process, the commits that its next snapshot must have in it.
    """

    def __init__(self, level: str, data_type: str, seed: int, transactions: int) -> None:
        self.random = random.Random(seed)
        self.level = level
        self.write = "append" if data_type == "list-append" else "w"
        self.events: list[Event] = []
        self.values: dict[str, list[int]] = {}
        self.commits: dict[str, list[int]] = {}
        self.count = 0
        self.fresh = 0
        self.mark = dict.fromkeys(range(PROCESSES), 0)
        self.seen = dict.fromkeys(range(PROCESSES), 0)
        self.pasts: list[int] = []
        self.locks: dict[str, int] = {}
        self.last: dict[str, Any] = {}
        self._run(transactions)

    def _run(self, transactions: int) -> None:
        waiting: dict[int, _Open] = {}
        begun = 0
        while begun < transactions or waiting:
            process = self.random.randrange(PROCESSES)
            open_ = waiting.get(process)
            if open_ is None:
                if begun < transactions:
                    begun += 1
                    waiting[process] = self._begin(process)
            elif open_.at < len(open_.steps):
                self._step(open_)
                open_.at += 1
            else:
                ok = self._commit(open_)
                self._event(process, EventType.OK if ok else EventType.FAIL, open_.steps)
                del waiting[process]

    def _begin(self, process: int) -> _Open:
        block = self.fresh // WRITES_A_BLOCK
        steps: list[list[Any]] = []
        keys = self.random.sample(range(KEYS), self.random.randint(1, 3))
        for number in keys:
            key = f"k{block}-{number}"
            mode = self.random.choice(("r", "r", "w", "rw"))
            if "r" in mode:
                steps.append(["r", key, None])
            if "w" in mode:
                self.fresh += 1
                steps.append([self.write, key, self.fresh])
        self._event(process, EventType.INVOKE, steps)
        open_ = _Open(process, steps)
        if self.level in SNAPSHOT:
            self._take_snapshot(open_)
        return open_

    def _take_snapshot(self, t: _Open) -> None:
        old = max(0, self.count - LAG)
        if self.level == "strong-snapshot-isolation":
            t.snapshot = self.count
        elif self.level == "strong-session-snapshot-isolation":
            t.snapshot = self.random.randint(max(old, self.mark[t.process]), self.count)
            self.mark[t.process] = t.snapshot
        elif self.level == "parallel-snapshot-isolation":
            t.seen = self.seen[t.process]
            for commit in range(old, self.count):
                if self.random.random() < 2 / LAG:
                    t.seen |= self.pasts[commit]
        else:
            t.snapshot = self.random.randint(old, self.count)

    # -- reads

    def _step(self, t: _Open) -> None:
        step = t.steps[t.at]
        if self.level == "read-uncommitted":
            self._dirty_step(t, step)
        elif step[0] == "r" and self.level not in ATOMIC:
            self._read(t, step, self._version(t, step[1]))

    def _version(self, t: _Open, key: str) -> int:
        commits = self.commits.get(key, [])
        if self.level == "parallel-snapshot-isolation":
            count = len(commits)
            while count and not t.seen >> commits[count - 1] & 1:
                count -= 1
            return count
        if self.level in SNAPSHOT:
            return bisect_right(commits, t.snapshot)
        updates = any(f != "r" and named == key for f, named, _ in t.steps)
        if self.level == "monotonic-atomic-view" or (self.level == "cursor-stability" and updates):
            return len(commits)
        return self.random.randint(max(0, len(commits) - 4), len(commits))

    def _read(self, t: _Open, step: list[Any], version: int) -> None:
        key = step[1]
        t.versions[key] = version
        values = self.values.get(key, [])
        if self.write == "append":
            step[2] = tuple(values[:version])
        else:
            step[2] = values[version - 1] if version else None

    # -- commits

    def _commit(self, t: _Open) -> bool:
        if self.level == "read-uncommitted":
            return self._dirty_commit(t)
        written = [step for step in t.steps if step[0] != "r"]
        if self.level in ATOMIC:
            t.snapshot = self.count
            if not written and self.level != "strict-serializable":
                least = 0 if self.level != "strong-session-serializable" else self.mark[t.process]
                t.snapshot = self.random.randint(max(least, self.count - LAG), self.count)
            self.mark[t.process] = t.snapshot
            for step in t.steps:
                if step[0] == "r":
                    self._read(t, step, bisect_right(self.commits.get(step[1], []), t.snapshot))
        elif any(self._conflicts(t, key) for _, key, _ in written):
            return False
        if self.level == "parallel-snapshot-isolation":
            self.seen[t.process] = t.seen
        if written:
            self.count += 1
            for _, key, value in written:
                self.values.setdefault(key, []).append(value)
                self.commits.setdefault(key, []).append(
                    self.count - 1 if self.level == "parallel-snapshot-isolation" else self.count
                )
            self.mark[t.process] = self.count
            self.pasts.append(t.seen | 1 << (self.count - 1))
            if self.level == "parallel-snapshot-isolation":
                self.seen[t.process] = self.pasts[-1]
        return True

    def _conflicts(self, t: _Open, key: str) -> bool:
        """Whether somebody wrote the key since the transaction saw it, where the level forbids that."""
        now = len(self.commits.get(key, []))
        if self.level == "cursor-stability":
            return t.versions.get(key, now) != now
        if self.level in SNAPSHOT and self.level != "read-atomic":
            return self._version(t, key) != now
        return False

    # -- read uncommitted: long write locks, no read locks

    def _dirty_step(self, t: _Open, step: list[Any]) -> None:
        f, key, value = step
        if f == "r":
            values = self.values.get(key, [])
            step[2] = tuple(values) if self.write == "append" else values[-1] if values else None
        elif self.locks.setdefault(key, t.process) == t.process:
            t.dirty.setdefault(key, []).append(value)
            self.values.setdefault(key, []).append(value)
        else:
            step[2] = -1  # refused: see `_dirty_commit`

    def _dirty_commit(self, t: _Open) -> bool:
        refused = any(value == -1 for _, _, value in t.steps)
        for key, values in t.dirty.items():
            if refused:
                self.values[key] = [value for value in self.values[key] if value not in values]
            del self.locks[key]
        return not refused

    def _event(self, process: int, kind: EventType, steps: list[list[Any]]) -> None:
        told = [[f, key, None if f == "r" and kind is not EventType.OK else value] for f, key, value in steps]
        self.events.append(Event(process, kind, "txn", None, freeze(told)))

    # -- what is planted at the end

    def plant(self, *lines: tuple[int, str, tuple[tuple[str, str, Any], ...]]) -> set[int]:
        """Events (process, type, steps), w standing for the type's write; the indices of their operations."""
        begun = sum(event.type is EventType.INVOKE for event in self.events)
        for process, kind, steps in lines:
            told = [[self.write if f == "w" else f, key, value] for f, key, value in steps]
            self._event(process, EventType(kind), told)
        return set(range(begun, begun + sum(kind == "invoke" for _, kind, _ in lines)))

    def history(self) -> History:
        return History.of(self.events)
