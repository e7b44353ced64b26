"""The page of what was proved is what its figures give, and names every kind of keyspace and mutant."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

from comity.simulator.mutants import MUTANTS
from comity.simulator.trials import TRIALS

DOCS = Path(__file__).parents[3] / "docs"


def _build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("proof_build", DOCS / "proof" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_its_figures_give() -> None:
    found = json.loads((DOCS / "proof" / "kept.json").read_text())
    assert (DOCS / "reference" / "proof.md").read_text() == _build().page(found)


def test_every_kind_of_keyspace_and_every_mutant_was_tried() -> None:
    found = json.loads((DOCS / "proof" / "kept.json").read_text())
    assert set(found["seeds"]) == set(TRIALS)
    assert set(found["mutants"]) == {mutant.name for mutant in MUTANTS}


def test_nothing_was_broken_and_no_mutant_survived() -> None:
    found = json.loads((DOCS / "proof" / "kept.json").read_text())
    assert all(row["passed"] == row["seeds"] for row in found["seeds"].values())
    assert all(row["seed"] is not None for row in found["mutants"].values())
