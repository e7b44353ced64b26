"""Arrows between boxes that keep out of the way of the boxes, of one another and of their labels.

Few arrows, so each simply tries a number of ways and takes the one that disturbs least.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

CHIP_HEIGHT = 18.0
CHIP_CHARACTER = 7.0
SAMPLES = 24
FRACTIONS = (0.5, 0.28, 0.72, 0.12, 0.88)
"""Where on the side of a box an arrow may begin or end."""
ALONG = (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78)
"""Where along an arrow its label may be."""
SWING = 40.0
"""How far an arrow between two boxes of one row swings out."""
HEAD = 10.0


def chip_width(label: str) -> float:
    """The width of the label of an arrow."""
    return CHIP_CHARACTER * len(label) + 12


class Box(NamedTuple):
    """A rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box, room: float = 0.0) -> bool:
        """Whether the two come closer than `room`."""
        return (
            self.left < other.right + room
            and other.left < self.right + room
            and self.top < other.bottom + room
            and other.top < self.bottom + room
        )

    def holds(self, x: float, y: float, room: float = 0.0) -> bool:
        """Whether a point lies inside, or closer than `room`."""
        return self.left - room < x < self.right + room and self.top - room < y < self.bottom + room


class Arrow(NamedTuple):
    """From one box to another, by their names."""

    source: int
    target: int
    label: str


class Way(NamedTuple):
    """How an arrow is drawn: SVG paths of its line and its head, and where its label is."""

    arrow: Arrow
    path: str
    head: str
    chip: Box


class _Curve(NamedTuple):
    """A cubic Bezier curve, its points, and its two ends' places on their boxes."""

    corners: tuple[tuple[float, float], ...]
    points: list[tuple[float, float]]
    sides: tuple[tuple[int, bool, float], tuple[int, bool, float]]


def route(arrows: Sequence[Arrow], boxes: Mapping[int, Box]) -> list[Way]:
    """A way for every arrow between two different boxes, short ones first."""
    drawn: list[_Curve] = []
    chips: list[Box] = []
    ways: dict[Arrow, Way] = {}
    for arrow in sorted(arrows, key=lambda arrow: _length(boxes[arrow.source], boxes[arrow.target])):
        if arrow.source == arrow.target:
            continue
        best = None
        least = math.inf
        for curve in _curves(arrow, boxes):
            base = _cost(curve, arrow, boxes, drawn, chips)
            for rank, along in enumerate(ALONG):
                if base >= least:
                    break
                chip = _chip(curve, along, arrow.label)
                cost = base + 0.5 * rank + _chip_cost(chip, boxes, drawn, chips)
                if cost < least:
                    best, least = (curve, chip), cost
        assert best is not None
        curve, chip = best
        drawn.append(curve)
        chips.append(chip)
        ways[arrow] = Way(arrow, _path(curve), _head(curve), chip)
    return [ways[arrow] for arrow in arrows if arrow in ways]


def _length(source: Box, target: Box) -> float:
    return abs(source.top - target.top) + abs(source.left + source.right - target.left - target.right) / 8


def _curves(arrow: Arrow, boxes: Mapping[int, Box]) -> list[_Curve]:
    source, target = boxes[arrow.source], boxes[arrow.target]
    curves = []
    for start, end in itertools.product(FRACTIONS, FRACTIONS):
        x1 = source.left + start * (source.right - source.left)
        x2 = target.left + end * (target.right - target.left)
        if source.top == target.top:
            for above in (True, False):
                y1 = source.top if above else source.bottom
                y2 = target.top if above else target.bottom
                bend = -SWING if above else SWING
                corners = ((x1, y1), (x1, y1 + bend), (x2, y2 + bend), (x2, y2))
                curves.append(_curve(corners, ((arrow.source, above, x1), (arrow.target, above, x2))))
        else:
            down = source.top < target.top
            y1, y2 = (source.bottom, target.top) if down else (source.top, target.bottom)
            bend = max(20.0, abs(y2 - y1) * 0.5) * (1 if down else -1)
            corners = ((x1, y1), (x1, y1 + bend), (x2, y2 - bend), (x2, y2))
            curves.append(_curve(corners, ((arrow.source, not down, x1), (arrow.target, down, x2))))
    return curves


def _curve(
    corners: tuple[tuple[float, float], ...], sides: tuple[tuple[int, bool, float], tuple[int, bool, float]]
) -> _Curve:
    return _Curve(corners, [_at(corners, step / SAMPLES) for step in range(SAMPLES + 1)], sides)


def _at(corners: tuple[tuple[float, float], ...], t: float) -> tuple[float, float]:
    weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    return (
        sum(weight * x for weight, (x, _) in zip(weights, corners, strict=True)),
        sum(weight * y for weight, (_, y) in zip(weights, corners, strict=True)),
    )


def _cost(
    curve: _Curve, arrow: Arrow, boxes: Mapping[int, Box], drawn: Sequence[_Curve], chips: Sequence[Box]
) -> float:
    """How much a way disturbs: through boxes and labels, across and along other arrows, long."""
    first, last = curve.points[0], curve.points[-1]
    cost = math.dist(first, last) / 60
    inner = curve.points[1:-1]
    for name, box in boxes.items():
        room = 2.0 if name not in {arrow.source, arrow.target} else 0.0
        cost += 5 * sum(box.holds(x, y, room) for x, y in inner)
    for chip in chips:
        cost += 10 * sum(chip.holds(x, y, 2) for x, y in inner)
    for other in drawn:
        cost += 3 * sum(
            abs(x - u) < 5 and abs(y - v) < 5 for x, y in curve.points for u, v in other.points[::2]
        )
        for name, above, x in curve.sides:
            for other_name, other_above, u in other.sides:
                if (name, above) == (other_name, other_above) and abs(x - u) < 18:
                    cost += 15
    if boxes[arrow.source].top == boxes[arrow.target].top:
        # From the near end of one to the near end of the other.
        cost += abs(first[0] - last[0]) / 20
    return cost


def _chip(curve: _Curve, along: float, label: str) -> Box:
    x, y = _at(curve.corners, along)
    half = chip_width(label) / 2
    return Box(x - half, y - CHIP_HEIGHT / 2, x + half, y + CHIP_HEIGHT / 2)


def _chip_cost(chip: Box, boxes: Mapping[int, Box], drawn: Sequence[_Curve], chips: Sequence[Box]) -> float:
    cost = 60.0 * sum(chip.meets(box, 2) for box in boxes.values())
    cost += 90.0 * sum(chip.meets(other, 3) for other in chips)
    cost += 8.0 * sum(chip.holds(x, y, 2) for other in drawn for x, y in other.points)
    return cost


def _path(curve: _Curve) -> str:
    """The line, which ends where the head begins."""
    (x1, y1), (a, b), (c, d), (x2, y2) = curve.corners
    ux, uy = _direction(curve)
    x, y = x2 - ux * (HEAD - 2), y2 - uy * (HEAD - 2)
    return f"M{x1:.1f} {y1:.1f}C{a:.1f} {b:.1f} {c:.1f} {d:.1f} {x:.1f} {y:.1f}"


def _head(curve: _Curve) -> str:
    x, y = curve.points[-1]
    ux, uy = _direction(curve)
    bx, by = x - HEAD * ux, y - HEAD * uy
    return f"M{x:.1f} {y:.1f}L{bx - 5 * uy:.1f} {by + 5 * ux:.1f}L{bx + 5 * uy:.1f} {by - 5 * ux:.1f}z"


def _direction(curve: _Curve) -> tuple[float, float]:
    """Which way it points at its end: straight up or down, as its last corners lie."""
    (c, d), (x, y) = curve.corners[2:]
    length = math.dist((c, d), (x, y)) or 1.0
    return (x - c) / length, (y - d) / length
