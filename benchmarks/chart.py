"""The chart of a run: one panel a row, one bar a system, drawn as SVG without any library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

COLOURS = {"comity": "#2f6f9f", "etcd": "#c46a2b", "redis": "#9a3b3b", "pysyncobj": "#7a7a7a"}
PANEL_WIDTH, BAR_HEIGHT, LABEL_WIDTH, VALUE_WIDTH, MARGIN = 800, 22, 150, 150, 24


def draw(
    titles: Mapping[str, str], throughput: Mapping[str, Mapping[str, Mapping[str, Any]]], facts: Sequence[str]
) -> str:
    """The SVG document. titles: row -> heading; throughput: row -> system -> summary."""
    parts: list[str] = []
    y = MARGIN + 26
    for row, systems in throughput.items():
        latency = row.startswith(("set1", "get1"))
        name, unit = ("p50_ms", "ms") if latency else ("per_second", "/s")
        heading = f"{titles.get(row, row)}: {'median latency (less is better)' if latency else 'a second'}"
        parts.append(_text(MARGIN, y, heading, weight="bold"))
        y += 10
        most = max((float(summary[name]) for summary in systems.values()), default=1.0) or 1.0
        for system, summary in systems.items():
            value = float(summary[name])
            width = (PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH) * value / most
            parts.append(_text(MARGIN + LABEL_WIDTH - 8, y + 15, system, anchor="end"))
            parts.append(
                f'<rect x="{MARGIN + LABEL_WIDTH}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT - 5}" '
                f'fill="{COLOURS.get(system, "#555")}"/>'
            )
            parts.extend(_marks(summary, name, most, y))
            shown = f"{value:.2f} {unit}" if latency else f"{value:,.0f}{unit}"
            parts.append(_text(MARGIN + LABEL_WIDTH + width + 8, y + 15, shown))
            y += BAR_HEIGHT
        y += 26
    for fact in facts:
        parts.append(_text(MARGIN, y, fact, size=11, colour="#666"))
        y += 15
    width, height = PANEL_WIDTH + 2 * MARGIN, y + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n'
        + _text(MARGIN, MARGIN, "comity beside its peers, medians; dots are the single rounds", size=15)
        + "\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _marks(summary: Mapping[str, Any], name: str, most: float, y: float) -> list[str]:
    """A dot for every round, so that the noise can be seen."""
    scale = (PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most
    middle = y + (BAR_HEIGHT - 5) / 2
    return [
        f'<circle cx="{MARGIN + LABEL_WIDTH + min(float(one[name]) * scale, PANEL_WIDTH - LABEL_WIDTH):.1f}" '
        f'cy="{middle}" r="2" fill="black" fill-opacity="0.55"/>'
        for one in summary.get("rounds", [])
    ]


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "normal",
    anchor: str = "start",
    colour: str = "#222",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(text)}</text>'
    )
