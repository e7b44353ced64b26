"""Keyspaces of raft are moved from nodes to nodes, again and again, while other things go wrong."""

from __future__ import annotations

import msgspec
import pytest

from comity.replica import Stream
from comity.simulator.generate import case_of, run_case
from comity.simulator.settings import Case, Fault

SEEDS = [
    *range(4),
    # A write under way when its node left the keyspace was answered there, and then not read elsewhere.
    242,
]


def moving(seed: int, nodes: int = 5, duration_ms: int = 8000) -> Case:
    """The world of a seed without rotten logs, of which a small keyspace survives too few, and with moves."""
    case = case_of(seed, nodes=nodes, duration_ms=duration_ms, per_second=50, protocol="raft-keyspace")
    stream = Stream(seed, "moves")
    faults = [fault for fault in case.faults if fault.kind != "rot"]
    at_ms = 300
    while at_ms < duration_ms - 500:
        count = stream.pick((3, 3, 4, 5, 1, 2))
        holders = stream.shuffled(list(range(1, nodes + 1)))[:count]
        faults.append(Fault(at_ms=at_ms, kind="alter", nodes=tuple(sorted(holders))))
        at_ms += stream.pick((100, 400, 900, 1500))
    return msgspec.structs.replace(
        case,
        settings=msgspec.structs.replace(case.settings, misdirect=0.0),
        faults=tuple(sorted(faults, key=lambda fault: fault.at_ms)),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_is_kept_and_the_keyspace_recovers(seed: int) -> None:
    result = run_case(moving(seed))
    assert result.violation is None, result.violation
    assert result.faults["alter"] > 3
