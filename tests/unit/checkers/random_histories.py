"""Random small histories of an object that mostly behaves: faults in a few results, outcomes of all kinds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.unit.checkers.brute_force import ERROR, Impossible, Specification

from comity.checkers import Event, EventType, History


@dataclass
class _Open:
    """An operation under way: what will become of it, and what it got once it has taken effect."""

    key: int
    f: str
    value: Any
    fate: str
    done: bool = False
    result: Any = None


Draw = Callable[[random.Random], tuple[str, Any]]
"""An operation to do: f and value."""

Corrupt = Callable[[random.Random, str, Any], Any]
"""A wrong result in place of the right one."""


def random_history(
    random_: random.Random,
    specification: Specification,
    initial: Any,
    draw: Draw,
    corrupt: Corrupt,
    operations: int,
    processes: int,
    keys: int = 1,
    trouble: float = 0.5,
    unknown: float | None = None,
) -> History:
    """Processes take turns at random. An operation takes effect somewhere between its events; one of
    unknown outcome there, later, or never; a failed one never.

    trouble: how likely it is that some results of this history are wrong.
    unknown: how likely an operation ends with an unknown outcome; None draws that for each history.
    """
    states: dict[int, Any] = dict.fromkeys(range(keys), initial)
    wrong = 0.25 if random_.random() < trouble else 0.0
    if unknown is None:
        unknown = random_.choice([0.0, 0.15, 0.4])
    events: list[Event] = []
    open_: dict[int, _Open] = {}
    lingering: list[_Open] = []
    free = list(range(processes))
    fresh = processes
    begun = 0
    while begun < operations or open_:
        if lingering and random_.random() < 0.1:
            _take_effect(states, lingering.pop(random_.randrange(len(lingering))), specification)
        if begun < operations and free and (not open_ or random_.random() < 0.5):
            process = free.pop(random_.randrange(len(free)))
            f, value = draw(random_)
            fate = "info" if random_.random() < unknown else "fail" if random_.random() < 0.05 else "ok"
            open_[process] = _Open(random_.randrange(keys), f, value, fate)
            events.append(Event(process, EventType.INVOKE, f, open_[process].key, value))
            begun += 1
            continue
        process = random_.choice(list(open_))
        doing = open_[process]
        if doing.fate == "info":
            if random_.random() < 0.5:
                lingering.append(doing)
            if random_.random() < 0.5:
                events.append(Event(process, EventType.INFO, doing.f, doing.key, doing.value))
            # The process has crashed; its client goes on under a new name.
            free.append(fresh)
            fresh += 1
        elif doing.fate == "fail":
            events.append(Event(process, EventType.FAIL, doing.f, doing.key, doing.value))
            free.append(process)
        elif not doing.done:
            _take_effect(states, doing, specification)
            continue
        else:
            result = corrupt(random_, doing.f, doing.result) if random_.random() < wrong else doing.result
            shown = doing.value if doing.f in {"write", "put", "append", "delete", "cas"} else result
            events.append(Event(process, EventType.OK, doing.f, doing.key, shown))
            free.append(process)
        del open_[process]
    return History.of(events)


def _take_effect(states: dict[int, Any], doing: _Open, specification: Specification) -> None:
    try:
        states[doing.key], doing.result = specification(states[doing.key], doing.f, doing.value)
    except Impossible:
        doing.result = ERROR
    if doing.f == "cas" and doing.result is False:
        doing.fate = "fail"
    doing.done = True
