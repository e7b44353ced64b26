"""One PySyncObj process; the one that leads makes the calls and prints what it measured.

python pysyncobj_node.py PACKAGES PORT OTHER_PORT... --calls N --in-flight N
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Any

VALUE_BYTES = 256
KEYS = 10_000
ELECTION_TIMEOUT_S = 30


class Loop:
    """Keeps a number of calls in flight until enough have been answered."""

    def __init__(self, replicated: Any, calls: int, in_flight: int) -> None:
        self._replicated = replicated
        self._calls = calls
        self._in_flight = in_flight
        self._sent = 0
        self._latencies: list[float] = []
        self._errors = 0
        self._value = "x" * VALUE_BYTES
        self._done = threading.Event()

    def run(self, timeout_s: float) -> dict[str, Any]:
        """Make the calls; what was measured."""
        began = time.perf_counter()
        for _ in range(self._in_flight):
            self._next()
        self._done.wait(timeout_s)
        took = time.perf_counter() - began
        latencies = sorted(self._latencies) or [0.0]
        return {
            "calls": len(self._latencies),
            "errors": self._errors,
            "per_second": len(self._latencies) / took,
            "p50_ms": latencies[len(latencies) // 2] * 1e3,
            "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
        }

    def _next(self) -> None:
        if self._sent >= self._calls:
            return
        self._sent += 1
        began = time.perf_counter()

        def answered(result: object, error: int) -> None:
            if error:
                self._errors += 1
            else:
                self._latencies.append(time.perf_counter() - began)
            if len(self._latencies) + self._errors >= self._calls:
                self._done.set()
            self._next()

        self._replicated.set(f"key{self._sent * 7919 % KEYS}", self._value, callback=answered)


def main() -> None:
    """Join the others; lead or follow."""
    parser = argparse.ArgumentParser()
    parser.add_argument("packages")
    parser.add_argument("port")
    parser.add_argument("others", nargs="+")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    options = parser.parse_args()
    sys.path.insert(0, options.packages)
    from pysyncobj import SyncObj
    from pysyncobj.batteries import ReplDict

    own = f"127.0.0.1:{options.port}"
    replicated = ReplDict()
    node = SyncObj(own, [f"127.0.0.1:{port}" for port in options.others], consumers=[replicated])
    deadline = time.monotonic() + ELECTION_TIMEOUT_S
    while not (node.isReady() and node._getLeader() is not None):
        if time.monotonic() > deadline:
            sys.exit("no leader elected")
        time.sleep(0.05)
    time.sleep(0.5)
    if str(node._getLeader()) == own:
        print(json.dumps(Loop(replicated, options.calls, options.in_flight).run(60)), flush=True)
    threading.Event().wait(120)


if __name__ == "__main__":
    main()
