"""From a failing seed to a small file that fails in the same way, in any process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comity.checkers import Status, analyse, read_history
from comity.console.main import main
from comity.simulator.campaign import Plan, hunt
from comity.simulator.generate import run_case
from comity.simulator.settings import decode_case, encode_case
from comity.simulator.shrink import NotFailing, minimise, shrink

MUTANT = "commits-alone"


@pytest.mark.slow
def test_a_failure_is_caught_shrunk_saved_and_replayed(tmp_path: Path) -> None:
    hunted = hunt(MUTANT, seeds=20, healthy=1)
    assert hunted.seed is not None
    assert hunted.violation is not None
    assert not hunted.healthy
    case = Plan(mutant=MUTANT).case(hunted.seed)

    small = shrink(case, runs=25)
    assert small.violation.kind == hunted.violation.kind
    assert len(small.case.faults) <= len(case.faults)
    assert len(small.case.operations) < len(case.operations)

    path = tmp_path / "case.json"
    path.write_bytes(encode_case(small.case))
    replayed = run_case(decode_case(path.read_bytes()))
    assert replayed.violation == small.violation
    assert replayed.trace_hash == small.trace_hash

    again = shrink(case, runs=25)
    assert again == small, "shrinking is deterministic"


def test_a_case_that_passes_cannot_be_shrunk() -> None:
    with pytest.raises(NotFailing, match="seed 1 does not fail"):
        shrink(Plan(nodes=3, duration_ms=500).case(1), runs=3)


@pytest.mark.slow
def test_the_command_saves_draws_and_replays_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--mutant", MUTANT, "--seed", "0", "--no-shrink", "--json", "--out", str(tmp_path)])
    assert ended.value.code == 1
    found = json.loads(capsys.readouterr().out)
    assert found["violation"]["kind"] in ("linearizability", "duplicate", "digest", "state-machine-safety")
    assert Path(found["diagram"]).read_text().startswith("<svg")
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--replay", found["case"], "--json"])
    assert ended.value.code == 1
    replayed = json.loads(capsys.readouterr().out)
    assert replayed["trace_hash"] == found["trace_hash"]
    assert replayed["violation"] == found["violation"]
    seen = read_history(found["history of linearizable clients"])
    assert {o.f for o in seen.operations} & {"GET", "SET"}
    if found["violation"]["kind"] == "linearizability":
        assert analyse(seen, "kv").status is Status.VIOLATION


@pytest.mark.parametrize(
    ("needed", "tried_at_most"), [(set(), 1), ({3}, 20), ({0, 19}, 80), (set(range(20)), 80)]
)
def test_delta_debugging_keeps_exactly_what_is_needed(needed: set[int], tried_at_most: int) -> None:
    tried = 0

    def fails(items: object) -> bool:
        nonlocal tried
        tried += 1
        assert isinstance(items, list)
        return needed <= set(items)

    assert set(minimise(list(range(20)), fails)) == needed
    assert tried <= tried_at_most
