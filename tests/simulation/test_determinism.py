"""One case is one run, whatever the process and however Python orders its hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from comity.protocols import load

SCRIPT = """
import json, sys
from comity.simulator.generate import case_of, run_case
from comity.simulator.settings import encode_case
from hashlib import blake2b
found = {}
for protocol, seed, nodes in json.loads(sys.argv[1]):
    case = case_of(seed, nodes=nodes, duration_ms=3000, protocol=protocol)
    result = run_case(case)
    found[f"{protocol} {seed} {nodes}"] = [
        blake2b(encode_case(case)).hexdigest(), result.trace_hash, result.events, result.operations
    ]
print(json.dumps(found))
"""
CASES = [(protocol, seed, nodes) for protocol in sorted(load()) for seed in (3, 11) for nodes in (3, 5)]


def run_with(hash_seed: str) -> dict[str, list[object]]:
    output = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(CASES)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found: dict[str, list[object]] = json.loads(output)
    return found


@pytest.mark.slow
def test_the_same_seed_is_the_same_run_in_two_processes_with_different_hash_seeds() -> None:
    first, second = run_with("1"), run_with("4242")
    assert len(first) == len(CASES)
    assert first == second


def test_different_seeds_are_different_runs() -> None:
    from comity.simulator.generate import case_of, run_case

    hashes = {run_case(case_of(seed, nodes=3, duration_ms=1000)).trace_hash for seed in (1, 2, 3)}
    assert len(hashes) == 3
