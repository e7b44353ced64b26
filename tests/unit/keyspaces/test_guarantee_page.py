"""docs/how-to/choose-a-guarantee.md: its tables are what the protocols promise; its links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from comity.protocols import load

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("keyspaces_build", ROOT / "docs" / "keyspaces" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_as_make_docs_makes_them(build: ModuleType) -> None:
    assert build.main(["--check"]) == 0, "run make docs"


def test_every_protocol_has_a_row(build: ModuleType) -> None:
    assert {name for name, _ in build.KINDS.values()} == set(load())


@pytest.mark.parametrize("page", ["how-to/choose-a-guarantee.md", "explanation/the-dial.md"])
def test_every_link_leads_to_a_file(page: str) -> None:
    path = ROOT / "docs" / page
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (path.parent / link).resolve().is_file(), link


def test_every_protocol_is_explained_with_a_link_to_its_readme() -> None:
    text = (ROOT / "docs" / "explanation" / "the-dial.md").read_text(encoding="utf-8")
    for name in load():
        assert f"### {name}\n" in text
        assert f"protocols/{name.replace('-', '_')}/README.md" in text
