"""Two charts as SVG: PACELC for every kind of keyspace, and the gap when a node is killed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

import msgspec

from comity.replica.promises import Promise
from comity.simulator.failover import MACHINE, PROCESS, Gap
from comity.simulator.measure import STEADY
from comity.simulator.measured import Measured, Side

READ_COLOUR, WRITE_COLOUR, GAP_COLOURS = "#1971c2", "#e8590c", {PROCESS: "#74b816", MACHINE: "#ae3ec9"}
NAME_X, LEFT, TOP, ROW = 24, 236, 132, 58
STALE_COLOURS = {"minority": "#c2255c", "majority": "#845ef7"}

STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:12px;fill:#343a40}"
    ".title{font-size:16px;font-weight:600}.head{font-weight:600}.small{font-size:11px;fill:#868e96}"
    ".name{font-size:13px;font-weight:600}"
)


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """A scale from left to right. least 0 is linear, anything above it logarithmic."""

    x: float
    width: float
    least: float
    most: float
    ticks: tuple[float, ...]
    unit: str

    def at(self, value: float) -> float:
        """Where a value is; what is out of range is at the end."""
        value = min(max(value, self.least), self.most)
        if not self.least:
            return self.x + self.width * value / self.most
        return self.x + self.width * math.log(value / self.least) / math.log(self.most / self.least)

    def draw(self, top: float, bottom: float) -> Iterable[str]:
        """Grid lines and labels below."""
        for tick in self.ticks:
            x = self.at(tick)
            yield f'<path d="M{x:.1f} {top:.0f}V{bottom:.0f}" stroke="#e9ecef"/>'
            yield _text(x, bottom + 16, f"{tick:g}", "small", "middle")
        yield _text(self.x + self.width / 2, bottom + 34, self.unit, "small", "middle")


def pacelc(measured: Sequence[Measured], promises: Mapping[str, Promise], source: str = "") -> str:
    """One row a kind: latency without faults, what a partition leaves of each side, how stale reads are."""
    bottom = TOP + ROW * len(measured)
    latency = _logarithmic(LEFT, 300, 0.1, 3_000, "ms, median of each region (logarithmic)")
    served = Axis(x=590, width=190, least=0, most=100, ticks=(0, 50, 100), unit="% of requests")
    stale = _logarithmic(842, 220, 10, 100_000, "ms, most outdated read (logarithmic)")
    parts = [*latency.draw(TOP, bottom), *served.draw(TOP, bottom), *stale.draw(TOP, bottom)]
    first = measured[0]
    parts += [
        _text(NAME_X, 30, f"PACELC, measured: {first.replicas} replicas, topology {first.topology}", "title"),
        _text(
            NAME_X,
            50,
            f"{first.seeds} simulated runs each; a minority is cut off; requests have {first.deadline_ms} ms",
            "small",
        ),
        _text(LEFT, TOP - 38, "Else: latency without faults", "head"),
        _text(590, TOP - 38, "Partition: who is served", "head"),
        _text(842, TOP - 38, "Partition: staleness of reads", "head"),
        *_key(LEFT, TOP - 18, (("reads", READ_COLOUR), ("writes", WRITE_COLOUR))),
        _text(590, TOP - 14, "bars: cut-off side; ticks: the other", "small"),
        *_key(
            842, TOP - 18, (("cut-off side", STALE_COLOURS["minority"]), ("other", STALE_COLOURS["majority"]))
        ),
    ]
    for position, each in enumerate(measured):
        y = TOP + ROW * position
        parts.append(f'<path d="M{NAME_X} {y:.0f}H1150" stroke="#ced4da"/>')
        parts += _row(each, promises.get(each.kind), y, latency, served, stale)
    notes = [
        "Ticks in the middle: after the side had time to notice. Right: ○ no read was outdated, "
        "– no read was served.",
    ]
    if source:
        notes.append(f"Delays: {source}.")
    for number, note in enumerate(notes):
        parts.append(_text(NAME_X, bottom + 60 + 16 * number, note, "small"))
    return _document(1174, bottom + 76 + 16 * len(notes), parts)


def _row(
    each: Measured, promise: Promise | None, y: float, latency: Axis, served: Axis, stale: Axis
) -> Iterable[str]:
    yield _text(NAME_X, y + 22, each.kind, "name")
    words = each.level
    if promise is not None:
        words = f"P{promise.partition}/E{promise.otherwise}, {each.level}"
    yield _text(NAME_X, y + 38, words, "small")
    for offset, colour, what in ((18, READ_COLOUR, "reads"), (38, WRITE_COLOUR, "writes")):
        medians = []
        for region, phases in each.regions.items():
            figures = getattr(phases[STEADY], what)
            if figures.median_ms >= 0:
                medians.append((figures.median_ms, region))
        if medians:
            ends = latency.at(min(medians)[0]), latency.at(max(medians)[0])
            yield (
                f'<path d="M{ends[0]:.1f} {y + offset}H{ends[1]:.1f}" stroke="{colour}" stroke-width="3" '
                'stroke-opacity=".35" stroke-linecap="round"/>'
            )
        for median, region in medians:
            yield (
                f'<circle cx="{latency.at(median):.1f}" cy="{y + offset}" r="4.5" fill="{colour}" '
                f'fill-opacity=".85"><title>{escape(region)}: {what} {median:.1f} ms</title></circle>'
            )
        cut = 100 * getattr(each.minority.settled, what).available
        other = 100 * getattr(each.majority.settled, what).available
        width = max(1.5, served.at(cut) - served.x)
        yield (
            f'<rect x="{served.x:.1f}" y="{y + offset - 6}" width="{width:.1f}" height="12" rx="2" '
            f'fill="{colour}" fill-opacity=".85"><title>{what}, cut-off side: {cut:.0f} %</title></rect>'
        )
        x = served.at(other)
        yield (
            f'<path d="M{x:.1f} {y + offset - 8}v16" stroke="#212529" stroke-width="2.5">'
            f"<title>{what} on the other side: {other:.0f} %</title></path>"
        )
        yield _text(served.x + served.width + 8, y + offset + 4, f"{cut:.0f} %", "small")
    for offset, name, side in ((18, "minority", each.minority), (38, "majority", each.majority)):
        yield from _staleness(y + offset, STALE_COLOURS[name], side, stale)


def _staleness(y: float, colour: str, side: Side, stale: Axis) -> Iterable[str]:
    reads = side.whole.reads
    if not reads.available:
        yield _text(stale.x, y + 4, "–", "small", "middle")
    elif not reads.stale:
        yield f'<circle cx="{stale.x:.1f}" cy="{y}" r="4" fill="#fff" stroke="{colour}" stroke-width="1.5"/>'
    else:
        end = stale.at(reads.age_ms)
        yield f'<path d="M{stale.x:.1f} {y}H{end:.1f}" stroke="{colour}" stroke-width="6"/>'
        yield _text(end + 6, y + 4, f"{reads.age_ms / 1000:.1f} s, {reads.stale:.0%} of reads", "small")


def failover(gaps: Sequence[Gap], *, deadline_ms: int, topology: str) -> str:
    """One row a kind: the longest time that a client was without an acknowledged write."""
    kinds = list(dict.fromkeys(gap.kind for gap in gaps))
    top, row, left = 120, 52, 204
    bottom = top + row * len(kinds)
    axis = _logarithmic(left, 560, 1, 10_000, "ms without an acknowledged write (logarithmic)")
    hits = max(gap.hits for gap in gaps)
    parts = [
        _text(NAME_X, 30, "Any one node is killed: how long do writers at the others wait?", "title"),
        _text(
            NAME_X,
            50,
            f"Topology {topology}; bars: longest of {hits} kills, each node in turn; dots: by who was killed",
            "small",
        ),
        *_key(
            NAME_X,
            76,
            (
                ("process killed", GAP_COLOURS[PROCESS]),
                ("machine gone, nothing but silence", GAP_COLOURS[MACHINE]),
            ),
        ),
        *axis.draw(top - 8, bottom),
    ]
    x = axis.at(deadline_ms)
    parts.append(f'<path d="M{x:.1f} {top - 8}V{bottom}" stroke="#e03131" stroke-dasharray="5 4"/>')
    parts.append(_text(x, top - 14, "request deadline", "small", "middle"))
    for position, kind in enumerate(kinds):
        y = top + row * position
        parts.append(_text(NAME_X, y + 26, kind, "name"))
        parts.append(f'<path d="M{NAME_X} {y + row - 6}H{left + 640}" stroke="#e9ecef"/>')
        for number, gap in enumerate(each for each in gaps if each.kind == kind):
            middle = y + 12 + 18 * number
            end = axis.at(gap.worst_ms)
            colour = GAP_COLOURS[gap.way]
            parts.append(
                f'<rect x="{left}" y="{middle - 6}" width="{end - left:.1f}" height="12" rx="2" '
                f'fill="{colour}" fill-opacity=".75"/>'
            )
            parts += [
                f'<circle cx="{axis.at(longest):.1f}" cy="{middle}" r="2.5" fill="#212529">'
                f"<title>node {victim}: {longest:.0f} ms</title></circle>"
                for victim, longest in gap.victims.items()
            ]
            parts.append(_text(end + 8, middle + 4, f"{gap.worst_ms:,.0f} ms", "small"))
    return _document(left + 664, bottom + 56, parts)


def _logarithmic(x: float, width: float, least: float, most: float, unit: str) -> Axis:
    ticks = []
    tick = least
    while tick <= most * 1.001:
        ticks.append(tick)
        tick *= 10
    return Axis(x=x, width=width, least=least, most=most, ticks=tuple(ticks), unit=unit)


def _key(x: float, y: float, entries: Iterable[tuple[str, str]]) -> Iterable[str]:
    for words, colour in entries:
        yield f'<rect x="{x:.0f}" y="{y - 5:.0f}" width="14" height="10" rx="2" fill="{colour}"/>'
        yield _text(x + 20, y + 4, words)
        x += 40 + 6.8 * len(words)


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "") -> str:
    attributes = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(words)}</text>'


def _document(width: float, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}">\n<style>{STYLE}</style>\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
