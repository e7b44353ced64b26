"""The page that `report.html` fills: layout, style and script. Values reach it as text, never as markup.

No frame is drawn by going through all operations: those of a process do not overlap, so each row is
searched for the first one in view, and where several share a pixel the search goes on behind it.
"""

from __future__ import annotations

from importlib.resources import files

_HERE = files(__package__)


def _part(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


PAGE = _part("page.html").replace("/*STYLE*/", _part("page.css")).replace("/*SCRIPT*/", _part("page.js"))
"""One file that needs nothing else."""
