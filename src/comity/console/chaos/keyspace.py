"""The keys of a workload: few at a time, so that clients meet; many in all, so that each stays checkable.

register:N   SET with unique values, GET, compare-and-set by WATCH, MULTI, EXEC
counter:N    INCR, GET
log:N        APPEND of unique words, GET
ledger:N     written once, never again, and looked for at the end
"""

from __future__ import annotations

import enum
import itertools
import random
import threading


class Kind(enum.StrEnum):
    """What is done to a key; the part of its name before the colon."""

    REGISTER = "register"
    COUNTER = "counter"
    LOG = "log"
    LEDGER = "ledger"


def kind_of(key: str) -> Kind:
    """The kind of a key of the workload."""
    return Kind(key.partition(":")[0])


class Keys:
    """Hands out keys. Any thread may call it.

    active: keys of each kind in use at a time. operations_per_key: a key is retired after so many.
    """

    def __init__(self, active: int = 4, operations_per_key: int = 100) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._operations_per_key = operations_per_key
        self._used: dict[str, int] = {}
        self._active = {
            kind: [self._new(kind) for _ in range(active)] for kind in Kind if kind is not Kind.LEDGER
        }

    def _new(self, kind: Kind) -> str:
        key = f"{kind}:{next(self._numbers)}"
        self._used[key] = 0
        return key

    def pick(self, kind: Kind, draw: random.Random) -> str:
        """A key of that kind; a ledger key is always a new one."""
        with self._lock:
            if kind is Kind.LEDGER:
                return f"{kind}:{next(self._numbers)}"
            keys = self._active[kind]
            place = draw.randrange(len(keys))
            key = keys[place]
            self._used[key] += 1
            if self._used[key] >= self._operations_per_key:
                keys[place] = self._new(kind)
            return key
