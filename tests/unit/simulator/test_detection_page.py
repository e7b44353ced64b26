"""The page about failure detectors says what is measured."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from comity.simulator.detection import CONTENDERS, SIZES, measure

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("detectors_build", ROOT / "docs" / "detectors" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_table_is_as_measured_at_the_small_sizes(build: ModuleType) -> None:
    assert build.stale(measure(build.SMALL)) == [], "run make docs and commit what it writes"


def test_the_table_and_the_plot_have_every_detector_at_every_size(build: ModuleType) -> None:
    page = (ROOT / build.PAGE).read_text(encoding="utf-8")
    assert "](../images/detectors.svg)" in page
    picture = (ROOT / build.PICTURE).read_text(encoding="utf-8")
    for contender in CONTENDERS:
        for nodes in SIZES:
            assert f"| {nodes:,} | {contender.name} |" in page
            assert picture.count(f"<title>{contender.name}, {nodes:,} nodes: ") == 6
