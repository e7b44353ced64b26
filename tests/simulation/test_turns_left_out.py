"""Where a host wants no turn, a turn would do nothing: nothing is due that no stimulus brings about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from comity.node import Host
from comity.node.group import Group
from comity.replica import NEVER
from comity.simulator.generate import case_of, run_case
from comity.simulator.process import Process

MILLISECOND_NS = 1_000_000

WORLDS: list[tuple[dict[str, int], dict[str, Any]]] = [
    ({}, {}),
    ({"batch_ahead_commands": 256, "apply_later_bytes": 1}, {"eager_commit": False}),
    (
        {"batches_in_flight": 3, "batch_commands": 2, "batch_ahead_commands": 4, "frame_bytes": 400},
        {"max_uncommitted_bytes": 1500},
    ),
]


def audit(host: Host) -> None:
    """Have the turn that was left out, with every group in it; it must come to nothing.

    A key may have come due since the deadline was computed: stamps are whole milliseconds. What lingers
    may leave at any time.
    """
    logs = [group for group in host.groups.values() if isinstance(group, Group)]
    if any(group.expiry_due() or group.linger_ns < NEVER for group in logs):
        return
    deadline_ns = host.deadline_ns
    for group in host.groups.values():
        host.dirty(group)
    turn = host.turn()
    left_out = [name for name in turn.__slots__ if getattr(turn, name)]
    assert not left_out, f"a turn was left out that had {', '.join(left_out)}"
    assert host.deadline_ns > deadline_ns - MILLISECOND_NS, "a deadline was left out"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_where_no_turn_is_wanted_none_would_do_anything(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    audits = 0

    def audited(method: Callable[..., None]) -> Callable[..., None]:
        def then(process: Process, *arguments: Any) -> None:
            nonlocal audits
            turn_due = process._turn_due
            method(process, *arguments)
            if process.host is not None and not (turn_due or process._turn_due or process.paused):
                audit(process.host)
                audits += 1

        return then

    monkeypatch.setattr(Process, "stimulus", audited(Process.stimulus))
    monkeypatch.setattr(Process, "_wake", audited(Process._wake))
    bounds, options = WORLDS[seed % len(WORLDS)]
    case = case_of(seed, nodes=3, duration_ms=2000, per_second=200)
    settings = msgspec.structs.replace(case.settings, bounds=bounds, options=options)
    result = run_case(msgspec.structs.replace(case, settings=settings))
    assert result.violation is None
    assert audits > 50
