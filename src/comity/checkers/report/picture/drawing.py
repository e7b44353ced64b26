"""The SVG of what is shown."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from comity.checkers.history import Operation, Outcome, thaw
from comity.checkers.report.picture.arrows import CHIP_HEIGHT, Arrow, Way, chip_width, route
from comity.checkers.report.picture.labels import PADDING, READS, name_of, shortened, width_of, xml
from comity.checkers.report.picture.layout import (
    FAULT_CHARACTERS,
    GAVE_UP,
    LEAST_WIDTH,
    LINE,
    MARGIN,
    Bar,
    Layout,
    is_open,
)
from comity.checkers.report.picture.shown import Shown
from comity.checkers.report.picture.style import STYLE
from comity.checkers.verdict import Edge

TOP = 64.0
PILLS = 30.0

WORDS_OF_KINDS = {
    "ww": "B overwrites A",
    "wr": "B reads what A wrote",
    "rw": "B overwrites what A read",
    "reads-from": "B reads what A wrote",
    "session": "one process did A, then B",
    "real-time": "A had ended before B began",
}
"""What the label of an arrow from A to B says."""


def draw(shown: Shown) -> str:
    """The whole picture."""
    return _Drawing(shown).svg()


class _Drawing:
    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.pills = self._pill_rows()
        self.layout = Layout(shown, self._header_width(), TOP + self._header_height())
        self.bars = self.layout.bars
        self.width = self.layout.width

    def svg(self) -> str:
        ways = self._ways()
        legend, height = self._legend(max([self.layout.bottom, *(way.chip.bottom for way in ways)]) + 34)
        size = f"{self.width:.0f} {height:.0f}"
        card = f'width="{self.width - 1:.0f}" height="{height - 1:.0f}" rx="12"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="comity" viewBox="0 0 {size}" '
            f'width="{self.width:.0f}" height="{height:.0f}" role="img">',
            f"<title>{xml(self.shown.title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="card" x=".5" y=".5" {card}/>',
            f'<text class="title" x="{MARGIN:.0f}" y="38">{xml(self.shown.title)}</text>',
            *self._header(),
            *self._lanes(),
            # Behind the bars: an arrow that has to pass one does not strike its label out.
            *(f'<path class="halo" d="{way.path}"/>' for way in ways),
            *(f'<path class="arrow" d="{way.path}"/><path class="head" d="{way.head}"/>' for way in ways),
            *(self._bar(bar) for bar in self.bars.values()),
            *self._badges(),
            *(_chip(way.chip.left, way.chip.top, way.arrow.label) for way in ways),
            *legend,
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _pill_rows(self) -> list[list[tuple[str, str, float, float]]]:
        """Rows of (words, colour, x, width); a group that does not fit begins a row."""
        rows: list[list[tuple[str, str, float, float]]] = [[]]
        x = MARGIN
        pills = self.shown.pills()
        for place, (words, colour) in enumerate(pills):
            wide = width_of(words, bold=True) + 22 if colour else width_of(words)
            needed = wide
            if not colour:
                for other, other_colour in itertools.takewhile(lambda pill: pill[1], pills[place + 1 :]):
                    needed += width_of(other, bold=True) + 30 if other_colour else 0
                x += 14 if rows[-1] else 0
            if x + needed > LEAST_WIDTH - MARGIN and rows[-1]:
                rows.append([])
                x = MARGIN
            rows[-1].append((words, colour, x, wide))
            x += wide + 8
        return rows

    def _header_height(self) -> float:
        return PILLS * len(self.pills) + (20 if self.shown.left_out() else 0)

    def _header_width(self) -> float:
        widest = max((x + wide + MARGIN for row in self.pills for _, _, x, wide in row), default=0.0)
        return max(widest, 1.4 * width_of(self.shown.title, bold=True) + 2 * MARGIN)

    def _header(self) -> Iterator[str]:
        y = TOP
        for row in self.pills:
            for words, colour, x, wide in row:
                if colour:
                    yield (
                        f'<rect class="{colour}" x="{x:.1f}" y="{y - 9}" width="{wide:.1f}" height="22" '
                        f'rx="11"/><text class="{colour}word" x="{x + wide / 2:.1f}" y="{y + 6.5}" '
                        f'text-anchor="middle">{xml(words)}</text>'
                    )
                else:
                    yield f'<text class="dim" x="{x:.1f}" y="{y + 6.5}">{xml(words)}</text>'
            y += PILLS
        if self.shown.left_out():
            yield f'<text class="dim" x="{MARGIN:.0f}" y="{y + 4}">{xml(self.shown.left_out())}</text>'

    def _lanes(self) -> Iterator[str]:
        right = self.width - MARGIN
        for name, y in self.layout.names:
            yield f'<path class="lane" d="M{self.layout.left:.1f} {y:.1f}H{right:.1f}"/>'
            if name:
                yield f'<text class="name" x="{MARGIN:.0f}" y="{y + 4.5:.1f}">{xml(name)}</text>'
        for x in self.layout.breaks:
            yield f'<path class="break" d="M{x:.1f} {self.layout.top + 4:.1f}V{self.layout.bottom + 6:.1f}"/>'
        if not self.layout.fault_x:
            return
        y = TOP + self._header_height() + 10
        yield f'<text class="name" x="{MARGIN:.0f}" y="{y + 4:.1f}">faults</text>'
        for x, event in self.layout.fault_x:
            words = xml(shortened(event.f, FAULT_CHARACTERS))
            yield f'<path class="fault" d="M{x:.1f} {y - 8:.1f}V{self.layout.bottom + 6:.1f}"/>'
            yield f'<text class="faultword" x="{x + 5:.1f}" y="{y + 4:.1f}">{words}</text>'

    def _bar(self, bar: Bar) -> str:
        box, o = bar.box, bar.operation
        classes = " ".join(filter(None, (bar.kind, o.outcome.value if o.outcome is not Outcome.OK else "")))
        if is_open(o):
            outline = (
                f'<path class="bar" d="M{box.right:.1f} {box.top:.1f}H{box.left + 7:.1f}q-7 0 -7 7'
                f'V{box.bottom - 7:.1f}q0 7 7 7H{box.right:.1f}"/>'
            )
        else:
            outline = (
                f'<rect class="bar" x="{box.left:.1f}" y="{box.top:.1f}" width="{box.right - box.left:.1f}" '
                f'height="{box.bottom - box.top:.1f}" rx="7"/>'
            )
        middle = (box.left + box.right) / 2
        first = (box.top + box.bottom) / 2 + 4.5 - LINE * (len(bar.lines) - 1) / 2
        anchor = ' text-anchor="middle"'
        if is_open(o):
            middle, anchor = box.left + PADDING, ""
        if bar.tick is not None:
            outline += (
                f'<path class="gaveup" d="M{bar.tick:.1f} {box.top + 5:.1f}V{box.bottom - 5:.1f}"/>'
                f'<text class="dim" x="{bar.tick + 7:.1f}" y="{(box.top + box.bottom) / 2 + 4:.1f}">'
                f"{GAVE_UP}</text>"
            )
        words = "".join(
            f'<text class="label" x="{middle:.1f}" y="{first + LINE * number:.1f}"{anchor} '
            f'xml:space="preserve">{xml(line)}</text>'
            for number, line in enumerate(bar.lines)
        )
        return f'<g class="{classes}">{outline}{words}<title>{xml(_whole(o))}</title></g>'

    def _badges(self) -> Iterator[str]:
        points = self._points()
        for index, number in self.shown.order.items():
            if index not in points:
                continue
            x, y = points[index], self.bars[index].box.top - 1
            yield _badge(x, y, number)
        for index in self.shown.stuck:
            if index in self.bars:
                box = self.bars[index].box
                yield _cross((box.left + box.right) / 2, box.top - 1)

    def _points(self) -> dict[int, float]:
        """Where in its bar each operation of the order takes effect: as far left as the order lets it,
        and as far right, and between; so the points grow with the order."""
        drawn = [self.bars[index].box for index in self.shown.order if index in self.bars]
        earliest, latest = [], []
        at = 0.0
        for box in drawn:
            at = max(at, box.left + 11)
            earliest.append(at)
        at = self.width
        for box in reversed(drawn):
            at = min(at, box.right - 11)
            latest.append(at)
        latest.reverse()
        x, points = 0.0, {}
        for index, low, high in zip(
            (i for i in self.shown.order if i in self.bars), earliest, latest, strict=True
        ):
            # A little apart from the one before, where there is room.
            x = max(min(max((low + high) / 2, x + 18), high), x)
            points[index] = x
        return points

    def _ways(self) -> list[Way]:
        """The arrows of the cycle."""
        wanted = [
            Arrow(edge.source.index, edge.target.index, _kind_of(edge))
            for edge in self.shown.cycle
            if edge.source.index in self.bars and edge.target.index in self.bars
        ]
        boxes = {index: bar.box for index, bar in self.bars.items()}
        return route(list(dict.fromkeys(wanted)), boxes)

    def _legend(self, y: float) -> tuple[list[str], float]:
        """What the marks mean, only those that occur; and the height of the whole."""
        parts = []
        right = self.width - MARGIN
        parts.append(
            f'<path class="axis" d="M{right - 40:.1f} {y:.1f}H{right:.1f}m-5 -4l5 4l-5 4"/>'
            f'<text class="dim" x="{right - 46:.1f}" y="{y + 4:.1f}" text-anchor="end">time</text>'
        )
        x, room = MARGIN, right - 90
        for sign, words, indent in self._signs():
            wide = indent + width_of(words)
            if x > MARGIN and x + wide > room:
                x, y, room = MARGIN, y + 26, right
            parts.append(f'<g transform="translate({x:.1f} {y:.1f})">{sign}')
            parts.append(f'<text class="dim" x="{indent:.1f}" y="4">{xml(words)}</text></g>')
            x += wide + 22
        return parts, y + 26

    def _signs(self) -> Iterator[tuple[str, str, float]]:
        """(sign, what it means, how far the words are from its left)."""
        order, violation = self.shown.order, self.shown.violation
        if order:
            words = "the order that gets furthest" if violation else "an order that explains every answer"
            yield _badge(8.5, 0, 1), words, 24
        if self.shown.stuck & self.bars.keys():
            words = "cannot come next and cannot wait" if order else "nothing explains this answer"
            yield _cross(8.5, 0), words, 24
        if any(is_open(bar.operation) for bar in self.bars.values()):
            sign = '<g class="info"><path class="bar" d="M24 -7H5q-5 0 -5 5V2q0 5 5 5H24"/></g>'
            yield sign, "outcome unknown", 32
        if any(bar.operation.outcome is Outcome.FAIL for bar in self.bars.values()):
            sign = '<g class="fail"><rect class="bar" x="0" y="-7" width="24" height="14" rx="5"/></g>'
            yield sign, "failed: did not happen", 32
        if self.layout.breaks:
            yield '<path class="break" d="M6 -9V9"/>', "operations left out", 16
        if self.shown.cycle:
            sign = '<path class="arrow" d="M0 0H19"/><path class="head" d="M26 0l-9 -4.5v9z"/>'
            yield sign, "A → B: A has to come before B", 34
        for kind in dict.fromkeys(map(_kind_of, self.shown.cycle)):
            yield _chip(0, -9, kind), WORDS_OF_KINDS.get(kind, "A comes first"), chip_width(kind) + 8


def _badge(x: float, y: float, number: int) -> str:
    """A number in the order."""
    half = max(8.5, 5 + 3.4 * len(str(number)))
    return (
        f'<rect class="badge" x="{x - half:.1f}" y="{y - 8.5:.1f}" width="{2 * half:.1f}" height="17" '
        f'rx="8.5"/><text class="number" x="{x:.1f}" y="{y + 4:.1f}">{number}</text>'
    )


def _cross(x: float, y: float) -> str:
    """The mark of what cannot be ordered."""
    return (
        f'<circle class="cross" cx="{x:.1f}" cy="{y:.1f}" r="8.5"/>'
        f'<path class="tick" d="M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"/>'
    )


def _chip(left: float, top: float, words: str) -> str:
    """The label of an arrow."""
    wide = chip_width(words)
    return (
        f'<rect class="chip" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{CHIP_HEIGHT:.0f}" '
        f'rx="9"/><text class="kind" x="{left + wide / 2:.1f}" y="{top + 13:.1f}">{xml(words)}</text>'
    )


def _kind_of(edge: Edge) -> str:
    """The label of a step, in the words of dependency graphs where it was derived."""
    if edge.kind == "process":
        return "session"
    if edge.kind == "initial":
        return "rw"
    if edge.kind == "derived":
        return "rw" if edge.source.f in READS else "ww"
    return edge.kind


def _whole(o: Operation) -> str:
    """Everything about an operation, for those who point at it."""
    said = "" if o.outcome is not Outcome.OK else f" → {json.dumps(thaw(o.result), default=str)}"
    end = "" if o.completed is None else f" to {o.completed}"
    asked = json.dumps([thaw(o.key), thaw(o.value)], default=str)
    words = f"#{o.index} {name_of(o.process)}: {o.f} {asked}{said}, {o.outcome.value}, event {o.invoked}{end}"
    return shortened(words, 400)
