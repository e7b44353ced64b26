"""Random small histories of registers, from nearly right to quite wrong."""

from __future__ import annotations

import random

from comity.checkers import Event, EventType, History, HistoryBuilder


def random_history(seed: int, operations: int = 9, reuse: bool = False, quiesce: bool = False) -> History:
    """2 to 4 processes, 1 to 3 keys, up to 9 operations with fail and info among them; values are unique."""
    rng = random.Random(seed)
    processes = rng.randint(2, 4)
    keys = [None, "y", "z"][: rng.randint(1, 3)]
    total = rng.randint(2, operations)
    stale = rng.choice((0.0, 0.3, 0.8, 1.0))
    reads = rng.choice((1, 2))
    builder = HistoryBuilder(reuse=reuse)
    written: dict[object, list[int | None]] = {key: [None] for key in keys}
    open_ones: dict[int, tuple[str, object, int | None]] = {}
    ended: set[int] = set()
    begun = value = 0
    marked = False
    while begun < total or open_ones:
        if quiesce and not marked and begun > total // 2 and rng.random() < 0.3:
            marked = True
            builder.add(Event("nemesis", EventType.INFO, "quiesce"))
        process = rng.randrange(processes)
        if process in open_ones:
            f, key, argument = open_ones.pop(process)
            outcome = rng.choices(("ok", "info", "fail"), (9, 0.5, 0.5))[0]
            if outcome == "info" and not reuse:
                ended.add(process)
            result = argument
            if f == "read":
                held = written[key]
                result = rng.choice(held) if rng.random() < stale else held[-1]
            elif outcome == "fail" and rng.random() < 0.9:
                written[key] = [v for v in written[key] if v != argument] or [None]
            elif rng.random() < 0.15 and len(written[key]) > 1:
                written[key].insert(1, argument)
            builder.add(Event(process, EventType(outcome), f, key, result))
        elif process not in ended and begun < total:
            begun += 1
            f, key = rng.choice(("write", *["read"] * reads)), rng.choice(keys)
            if f == "write":
                value += 1
                written[key].append(value)
            open_ones[process] = (f, key, value if f == "write" else None)
            builder.add(Event(process, EventType.INVOKE, f, key, value if f == "write" else None))
        elif begun < total and len(ended) == processes:
            processes += 1
        elif rng.random() < 0.02 and begun >= total:
            break
    return builder.build()
