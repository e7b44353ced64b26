"""Adding a protocol is adding a folder: the guide's example, as printed, serves a keyspace of a cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from comity.protocols import load
from comity.replica import KeyedProtocol, Protocol, Stream
from comity.simulator.cluster import Cluster, Mutation
from comity.simulator.settings import Case, Settings
from comity.simulator.trials import trial_of
from comity.simulator.workload import clients_of, operations_of

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "write-your-own-core.md"
MOST_LINES = 80


def _block() -> str:
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


class _WithTheExample(Mutation):
    """The protocols there are, and the guide's."""

    def __init__(self) -> None:
        namespace: dict[str, Any] = {"__name__": "example"}
        exec(compile(_block(), str(GUIDE), "exec"), namespace)
        self.example: Protocol = namespace["PROTOCOL"]

    def protocols(self) -> dict[str, Protocol | KeyedProtocol]:
        """By name."""
        return {**load(), self.example.name: self.example}


def test_the_example_is_under_80_lines() -> None:
    assert len([line for line in _block().splitlines() if line.strip()]) < MOST_LINES


def test_the_example_serves_a_keyspace_linearizably_while_nothing_fails() -> None:
    mutation = _WithTheExample()
    name = mutation.example.name
    stream = Stream(1, "workload")
    clients = clients_of(stream, 3, 6, trial_of(name))
    case = Case(
        seed=1,
        protocol=name,
        nodes=3,
        duration_ms=3000,
        settings=Settings(),
        clients=clients,
        operations=operations_of(stream, clients, 3000, 50, 1, trial_of(name)),
    )
    result = Cluster(case, mutation).run()
    assert result.violation is None, result.violation
    assert result.operations["ok"] > 100
