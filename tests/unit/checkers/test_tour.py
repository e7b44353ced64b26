"""The tour of ten histories: its verdicts are those of the checkers, its page and pictures as made."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from comity.checkers import Status
from comity.checkers.models import weaker_than

ROOT = Path(__file__).parents[3]

STRONGEST = {
    "01-linearizable": ["linearizable"],
    "02-unknown-outcome": ["linearizable"],
    "03-stale-read": ["sequential"],
    "04-two-orders": ["causal", "causal-convergence"],
    "05-answer-before-question": ["pram"],
    "06-own-write-missing": ["monotonic-reads", "monotonic-writes", "writes-follow-reads"],
    "07-causal-reverse": ["strong-session-serializable"],
    "08-write-skew": ["strong-snapshot-isolation"],
    "09-lost-update": ["read-atomic"],
    "10-dirty-read": ["read-uncommitted"],
}
"""What the prose of the page says of each."""


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tour_build", ROOT / "docs" / "tour" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_and_its_pictures_are_as_the_build_makes_them(build: ModuleType) -> None:
    files = build.made()
    assert build.stale(files) == [], "run make docs and commit what it writes"
    assert files == build.made()
    assert not any(build.TIME.search(text) for text in files.values())


@pytest.mark.parametrize("name", STRONGEST)
def test_every_history_guarantees_what_the_tour_says(
    build: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    _, analysis = build.judged(name)
    assert analysis.strongest == STRONGEST[name]
    implied = {weaker for model in STRONGEST[name] for weaker in weaker_than(model)}
    for model, status in analysis.models.items():
        assert status is (Status.VALID if model in implied else Status.VIOLATION), model


def test_the_tour_has_ten_histories_and_a_section_for_each(build: ModuleType) -> None:
    assert sorted(path.stem for path in (ROOT / build.HISTORIES).glob("*.jsonl")) == sorted(STRONGEST)
    page = (ROOT / build.PAGE).read_text(encoding="utf-8")
    for name in STRONGEST:
        assert f"](../images/tour/{name}.svg)" in page
        assert f"$ comity check docs/tour/{name}.jsonl\n" in page
