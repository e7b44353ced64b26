"""The page about consistency models has a definition, a formula and a source for every name."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity.checkers.models import MODELS, ON_REQUEST

PAGE = (Path(__file__).parents[3] / "docs/reference/consistency-models.md").read_text()


@pytest.mark.parametrize("model", [*MODELS, *ON_REQUEST])
def test_every_model_has_sentences_a_formula_and_a_source(model: str) -> None:
    section = PAGE.split(f"## `{model}`\n")[1].split("\n##")[0].strip()
    sentences, formula = section.split("\n\n")[:2]
    assert sentences.count(". ") + sentences.count(".\n") == 1, "two sentences"
    assert all(line.startswith("    ") for line in formula.splitlines())
    source = section.split("\n\n")[2].splitlines()
    assert any(year in " ".join(source) for year in ("19", "20"))
