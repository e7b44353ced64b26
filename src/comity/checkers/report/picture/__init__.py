"""A history and what is wrong with it as one picture: a static SVG that needs nothing beside itself.

Time runs to the right, by the order of the events; one lane a process. A bar lies from the invocation of
an operation to its completion; without a known outcome it is dashed and open, and what failed is struck
through. Numbers show an order that explains the history, each inside its operation, growing to the right.
Operations that no order can place are red; those of a cycle are marked, with an arrow from each to the one
it has to come before.
"""

from __future__ import annotations

from comity.checkers.analysis import Analysis
from comity.checkers.history import History
from comity.checkers.report.picture.drawing import draw
from comity.checkers.report.picture.shown import MOST_OPERATIONS, Shown, telling
from comity.checkers.semantics import Semantics
from comity.checkers.verdict import Verdict

__all__ = ["MOST_OPERATIONS", "picture", "telling"]


def picture(
    history: History,
    found: Analysis | Verdict,
    *,
    verdict: Verdict | None = None,
    title: str = "",
    semantics: Semantics | None = None,
) -> str:
    """The picture of `history` and of what was found about it.

    found: an analysis, or a verdict alone. verdict: which one of the analysis to show; by default that
        on the weakest model that is violated. title: by default says what was found. semantics: those
        of the analysis, for the order of a history that is linearizable.

    At most `MOST_OPERATIONS` operations are drawn, around what is wrong; the picture says so.
    """
    shown = verdict or (telling(found) if isinstance(found, Analysis) else found)
    analysis = found if isinstance(found, Analysis) else None
    return draw(Shown(history, analysis, shown, title, semantics or Semantics()))
