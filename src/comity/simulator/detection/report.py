"""What was measured, as a Markdown table and as an SVG plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from xml.sax.saxutils import escape

from comity.simulator.detection.measure import Row

HEAD = (
    "| nodes | detector | first knows: median, p99 | everyone knows: median, p99 | messages/s | bytes/s "
    "| loss: suspected, dead | bytes/s | pauses: suspected, dead | slow member: suspected, dead |"
)


def markdown(rows: Sequence[Row]) -> str:
    """The table, a line for each row."""
    lines = [HEAD, "|" + "---:|---|" + "---:|" * 8]
    for row in rows:
        wrong = row.wrong
        cells = [
            f"{row.nodes:,}",
            row.detector,
            f"{row.first.median_ms / 1000:.1f}, {row.first.p99_ms / 1000:.1f} s",
            f"{row.everyone.median_ms / 1000:.1f}, {row.everyone.p99_ms / 1000:.1f} s"
            + (f" ({row.missed} of {row.crashes} not)" if row.missed else ""),
            number(row.messages),
            number(row.size),
            f"{number(wrong['loss'].suspicions)}, {number(wrong['loss'].deaths)}",
            number(wrong["loss"].size),
            f"{number(wrong['pauses'].suspicions)}, {number(wrong['pauses'].deaths)}",
            f"{number(wrong['slow'].suspicions)}, {number(wrong['slow'].deaths)}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Two digits that mean something: 0, 0.31, 4.2, 57, 12,000."""
    if value < 0.005:
        return "0"
    if value < 10:
        return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
    places = max(0, math.floor(math.log10(value)) - 1)
    return f"{round(value / 10**places) * 10**places:,}"


# -- the plot

COLOURS = ("#868e96", "#f08c00", "#1c7ed6", "#2f9e44")
WIDTH, PANEL_WIDTH, PANEL_HEIGHT, LEFT, TOP, GAP_X, GAP_Y = 1000, 400, 190, 70, 112, 80, 72
STYLE = (
    "text{font-family:ui-sans-serif,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;"
    "font-size:12px;fill:#495057}.title{font-size:17px;font-weight:600;fill:#212529}"
    ".head{font-size:13px;font-weight:600;fill:#212529}.small{font-size:11px;fill:#868e96}"
)

Value = Callable[[Row], float]
PANELS: tuple[tuple[str, Value], ...] = (
    ("seconds from a crash until everyone knows, median", lambda row: row.everyone.median_ms / 1000),
    ("messages a node sends in a second", lambda row: row.messages),
    ("false deaths a node sees in an hour, 10% of messages lost", lambda row: row.wrong["loss"].deaths),
    ("the same, all nodes paused now and then", lambda row: row.wrong["pauses"].deaths),
    ("the same among healthy members, one member slow", lambda row: row.wrong["slow"].deaths),
    ("bytes a node sends in a second, 10% of messages lost", lambda row: row.wrong["loss"].size),
)


def plot(rows: Sequence[Row]) -> str:
    """Six panels over the number of nodes, both axes logarithmic; what is 0 lies on the floor."""
    down = -(-len(PANELS) // 2)
    height = TOP + down * (PANEL_HEIGHT + GAP_Y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img">',
        "<title>Failure detectors from 3 to 1,000 nodes</title>",
        f"<style>{STYLE}</style>",
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="10" fill="#fff" '
        'stroke="#dee2e6"/>',
        '<text class="title" x="24" y="34">Failure detectors with a period of one second</text>',
        *_legend(rows),
    ]
    for place, (title, value) in enumerate(PANELS):
        x = LEFT + place % 2 * (PANEL_WIDTH + GAP_X)
        y = TOP + place // 2 * (PANEL_HEIGHT + GAP_Y)
        parts.extend(_panel(rows, title, value, x, y))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.detector for row in rows))


def _legend(rows: Sequence[Row]) -> Iterable[str]:
    x = 24.0
    for name, colour in zip(_names(rows), COLOURS, strict=False):
        yield f'<path d="M{x:.0f} 56h22" stroke="{colour}" stroke-width="2.5"/>'
        yield f'<circle cx="{x + 11:.0f}" cy="56" r="3.5" fill="{colour}"/>'
        yield f'<text x="{x + 29:.0f}" y="60">{escape(name)}</text>'
        x += 56 + 7.2 * len(name)


def _panel(rows: Sequence[Row], title: str, value: Value, x: int, y: int) -> Iterable[str]:
    sizes = sorted({row.nodes for row in rows})
    positive = [value(row) for row in rows if value(row) > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive) * 1.0001))
    high = max(high, low + 1)
    some_zero = any(value(row) == 0 for row in rows)
    floor_y = y + PANEL_HEIGHT
    scale = (PANEL_HEIGHT - (18 if some_zero else 0)) / (high - low)
    across = math.log10(sizes[-1] / sizes[0]) or 1.0

    def at_x(nodes: int) -> float:
        return x + 14 + (PANEL_WIDTH - 28) * math.log10(nodes / sizes[0]) / across

    def at_y(amount: float) -> float:
        return floor_y if amount <= 0 else y + (high - math.log10(amount)) * scale

    yield f'<text class="head" x="{x}" y="{y - 12}">{escape(title)}</text>'
    for power in range(low, high + 1):
        yield f'<path d="M{x} {at_y(10.0**power):.1f}h{PANEL_WIDTH}" stroke="#f1f3f5"/>'
        yield (
            f'<text class="small" x="{x - 8}" y="{at_y(10.0**power) + 4:.1f}" text-anchor="end">'
            f"{10.0**power:,.{max(0, -power)}f}</text>"
        )
    if some_zero:
        yield f'<text class="small" x="{x - 8}" y="{floor_y + 4}" text-anchor="end">0</text>'
    yield f'<path d="M{x} {floor_y}h{PANEL_WIDTH}" stroke="#ced4da"/>'
    for nodes in sizes:
        yield (
            f'<text class="small" x="{at_x(nodes):.1f}" y="{floor_y + 17}" text-anchor="middle">'
            f"{nodes:,}</text>"
        )
    for place, (name, colour) in enumerate(zip(_names(rows), COLOURS, strict=False)):
        points = [(row.nodes, value(row)) for row in rows if row.detector == name]
        # Lines on top of each other stay visible when each is a little thinner than the one below.
        width = 3.4 - 0.7 * place
        path = "L".join(f"{at_x(nodes):.1f} {at_y(amount):.1f}" for nodes, amount in points)
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width:.1f}"/>'
        for nodes, amount in points:
            words = f"{name}, {nodes:,} nodes: {number(amount)}"
            yield (
                f'<circle cx="{at_x(nodes):.1f}" cy="{at_y(amount):.1f}" r="{4.4 - 0.6 * place:.1f}" '
                f'fill="{colour}"><title>{escape(words)}</title></circle>'
            )
