"""Measure the failure detectors: the table and the plot of docs/explanation/failure-detectors.md.

    python docs/detectors/build.py            # what `make docs` runs; some two and a half minutes of one core
    python docs/detectors/build.py --check    # exit 1 and say what is out of date, small sizes only

The page is written by hand but for what lies between its markers.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from comity.simulator.detection import SIZES, Row, markdown, measure, plot

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path("docs/explanation/failure-detectors.md")
PICTURE = Path("docs/images/detectors.svg")
SMALL = (3,)
"""Measured in a few seconds; a table whose small sizes are as measured was made by this code."""

BLOCK = re.compile(
    r"(?P<begin><!-- make docs: measured -->\n).*?(?P<end><!-- end of what make docs made -->\n)", re.DOTALL
)


def made(rows: Sequence[Row]) -> dict[Path, str]:
    """Everything the build makes, by its path in the repository."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    if len(BLOCK.findall(text)) != 1:
        raise ValueError(f"{PAGE} must have one pair of markers for the table")
    page = BLOCK.sub(lambda match: f"{match['begin']}\n{markdown(rows)}\n{match['end']}", text)
    return {PAGE: page, PICTURE: plot(rows)}


def stale(rows: Sequence[Row]) -> list[str]:
    """Lines of the table that these rows have otherwise than the page."""
    there = (ROOT / PAGE).read_text(encoding="utf-8").splitlines()
    return [line for line in markdown(rows).splitlines() if line not in there]


def main(arguments: list[str]) -> int:
    """Write what is out of date, or only say so."""
    if arguments == ["--check"]:
        lines = stale(measure(SMALL))
        for line in lines:
            print(f"{PAGE} is out of date, run make docs: it should say\n{line}")
        return 1 if lines else 0
    # Millions of small objects and no cycles among them: looking for some takes a third of the time.
    gc.disable()
    for path, text in made(measure(SIZES)).items():
        there = ROOT / path
        if not there.is_file() or there.read_text(encoding="utf-8") != text:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_text(text, encoding="utf-8")
            print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
