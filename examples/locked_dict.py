"""A dict behind a lock is linearizable; a cache in front of it that is filled late is not, and is caught.

Run: python examples/locked_dict.py
"""

from __future__ import annotations

import random
import sys
import threading

from comity.checkers import History, Method, Recording

KEYS = ("x", "y", "z")
METHODS = {"get": Method("read"), "set": Method("write", 0, 1)}


class LockedDict:
    """What everybody writes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, int] = {}

    def get(self, key: str) -> int | None:
        with self._lock:
            return self._values.get(key)

    def set(self, key: str, value: int) -> None:
        with self._lock:
            self._values[key] = value


class Cached:
    """And then makes faster: reads come from a copy of each thread, which is renewed every third read."""

    def __init__(self, store: LockedDict) -> None:
        self._store = store
        self._local = threading.local()

    def get(self, key: str) -> int | None:
        seen = self._local.__dict__
        count, value = seen.get(key, (0, None))
        if count % 3 == 0:
            value = self._store.get(key)
        seen[key] = (count + 1, value)
        return value

    def set(self, key: str, value: int) -> None:
        self._store.set(key, value)


def work(h: Recording, store: LockedDict | Cached, threads: int = 4, operations: int = 200) -> None:
    """Threads that read and write a few keys; every written value is another."""
    client = h.wrap(store, METHODS)

    def run(thread: int) -> None:
        rng = random.Random(thread)
        for number in range(operations):
            key = rng.choice(KEYS)
            if rng.random() < 0.4:
                client.set(key, thread * 1_000_000 + number)
            else:
                client.get(key)

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def main() -> int:
    """0 where both turn out as they must."""
    with History.recording() as sound:
        work(sound, LockedDict())
    sound.assert_holds("register", "linearizable")
    print(f"a dict behind a lock: {len(sound.history)} operations, linearizable")
    with History.recording() as broken:
        work(broken, Cached(LockedDict()))
    analysis = broken.analyse("register")
    print(f"a cache filled late: {', '.join(analysis.strongest) or 'nothing'} is the strongest that holds")
    print(f"  {analysis.explanation}")
    return 0 if analysis.exit_status == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
