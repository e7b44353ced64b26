"""Large valid histories to time `comity check` with: python -m benchmarks.histories KIND COUNT > FILE."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

CLIENTS = 8
ELEMENTS_PER_KEY = 25


def register(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Reads and writes of one register, every value written once, each taking effect when it is answered."""
    under_way: dict[int, int | None] = {}
    state: int | None = None
    begun = 0
    while begun < count or under_way:
        idle = [client for client in range(CLIENTS) if client not in under_way]
        if idle and begun < count and (not under_way or rng.random() < 0.5):
            client = idle[0]
            value = begun if rng.random() < 0.5 else None
            begun += 1
            under_way[client] = value
            f = "read" if value is None else "write"
            yield {"process": client, "type": "invoke", "f": f, "key": None, "value": value}
        else:
            client = rng.choice(list(under_way))
            value = under_way.pop(client)
            f = "read" if value is None else "write"
            state = state if value is None else value
            yield {"process": client, "type": "ok", "f": f, "key": None, "value": state}


def list_append(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Transactions of one to four reads and appends, strictly serializable, one after the other."""
    lists: dict[str, list[int]] = {}
    element = 0
    for _ in range(count):
        steps: list[list[Any]] = []
        for _ in range(rng.randint(1, 4)):
            key = f"k{element // (4 * ELEMENTS_PER_KEY)}-{rng.randrange(4)}"
            if rng.random() < 0.5:
                steps.append(["r", key, list(lists.get(key, ()))])
            else:
                element += 1
                lists.setdefault(key, []).append(element)
                steps.append(["append", key, element])
        asked = [[f, key, None if f == "r" else value] for f, key, value in steps]
        event = {"process": rng.randrange(CLIENTS), "f": "txn", "key": None}
        yield {**event, "type": "invoke", "value": asked}
        yield {**event, "type": "ok", "value": steps}


KINDS = {"register": register, "list-append": list_append}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.histories", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    for event in KINDS[arguments.kind](random.Random(1), arguments.count):
        sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
