"""A space-time diagram of a simulation (Lamport 1978, figure 1), as SVG: time runs to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

import msgspec

from comity.simulator.recording import FORWARD, OTHER, Asked, Frame, Recording, Reign

MILLISECOND_NS = 1_000_000
WIDTH = 1200
LEFT = 92
RIGHT = 28
TOP = 92
NODE_GAP = 108
NODE_GAP_MANY = 84
LANE = 22
BOTTOM = 74
MAX_FRAMES = 700
MAX_ASKED = 500
WORDS = 60
FEW = 24
"""Up to so many client operations are written out."""

COLOURS = {
    "vote": "#c2255c",
    "append": "#1c7ed6",
    "heartbeat": "#adb5bd",
    "read": "#0ca678",
    FORWARD: "#e8590c",
    "snapshot": "#7048e8",
    OTHER: "#868e96",
}
"""Of messages, by kind."""

TERM_COLOURS = ("#f59f00", "#37b24d", "#4263eb", "#d6336c", "#0c8599", "#9c36b5")
OUTCOME_COLOURS = {"ok": "#2f9e44", "fail": "#f08c00", "info": "#e03131", "": "#ced4da"}
OUTCOME_WORDS = {"ok": "answered", "fail": "refused", "info": "outcome unknown", "": "unanswered"}
THINNED = ("heartbeat", "read", OTHER, FORWARD, "append", "snapshot", "vote")
"""Which messages are left out first where there are too many to draw."""

STYLE = (
    "text{font-family:ui-sans-serif,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;"
    "font-size:12px;fill:#495057}"
    ".title{font-size:17px;font-weight:600;fill:#212529}.small{font-size:11px;fill:#868e96}"
    ".node{font-size:14px;font-weight:600;fill:#212529}.mark{font-size:11px;font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:3px}"
    ".term{font-size:11px;font-weight:600;fill:#fff}"
    ".m{fill:none;stroke-width:1.3;stroke-linecap:round}.heartbeat{stroke-width:1}"
)


class Window(msgspec.Struct, frozen=True):
    """The part of a simulation that is drawn, in virtual milliseconds."""

    start_ms: float
    end_ms: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms < self.end_ms:
            raise ValueError(f"a window from {self.start_ms} ms to {self.end_ms} ms shows nothing")


def window_of(recording: Recording, length_ms: int = 1_000) -> Window:
    """The part worth seeing: up to the violation, or around the second leader's election."""
    end_ms = recording.end_ns / MILLISECOND_NS
    violation = recording.result.violation
    judged = violation is not None and violation.time_ms >= recording.case.duration_ms
    starts = [each.start_ns / MILLISECOND_NS for each in recording.asked]
    if judged and starts and len(starts) <= FEW and max(starts) - min(starts) < 3 * length_ms:
        # What is wrong is in these few operations, long before it was judged.
        before = [reign.start_ns / MILLISECOND_NS for reign in recording.reigns]
        before += [absence.start_ns / MILLISECOND_NS for absence in recording.absences]
        near = [time_ms for time_ms in before if min(starts) - length_ms < time_ms <= min(starts)]
        return Window(max(0.0, min([min(starts), *near]) - 60), max(starts) + 0.3 * length_ms)
    if violation is not None:
        last = min(violation.time_ms + length_ms / 20, end_ms)
        return Window(max(0.0, last - length_ms), max(last, 1.0))
    later = [reign for reign in recording.reigns if reign.start_ns > 200 * MILLISECOND_NS]
    middle = later[0].start_ns / MILLISECOND_NS if later else length_ms / 2
    start = max(0.0, middle - 0.7 * length_ms)
    return Window(start, start + length_ms)


def draw(recording: Recording, window: Window | None = None, title: str = "") -> str:
    """The SVG, well under 200 KB. Messages beyond some hundreds are thinned out, heartbeats first."""
    return _Drawing(recording, window or window_of(recording), title).svg()


class _Drawing:
    def __init__(self, recording: Recording, window: Window, title: str) -> None:
        self.recording = recording
        self.title = title
        self.start_ns = int(window.start_ms * MILLISECOND_NS)
        self.end_ns = int(window.end_ms * MILLISECOND_NS)
        self.scale = (WIDTH - LEFT - RIGHT) / (self.end_ns - self.start_ns)
        self.nodes = recording.case.nodes
        self.gap = NODE_GAP if self.nodes <= 3 else NODE_GAP_MANY
        self.down = _spans(recording, ("crash", "crash in turn", "stopped"), ("boot",))
        self.paused = _spans(recording, ("pause",), ("resume", "crash", "crash in turn", "boot"))
        asked = [each for each in recording.asked if self._seen(each.start_ns, _end(each, recording))]
        self.asked = asked[:MAX_ASKED]
        self.lanes = sorted({each.client for each in self.asked})
        self.lanes_y = TOP + 30 + (self.nodes - 1) * self.gap + 62
        self.axis_y = self.lanes_y + len(self.lanes) * LANE + 12
        self.height = self.axis_y + BOTTOM
        inside = [frame for frame in recording.frames if self._seen(frame.sent_ns, self._arrival(frame))]
        self.frames = thin(inside, MAX_FRAMES)
        self.left_out = len(inside) - len(self.frames)

    # -- where things are

    def x(self, time_ns: int) -> float:
        inside = min(max(time_ns, self.start_ns), self.end_ns)
        return LEFT + (inside - self.start_ns) * self.scale

    def y(self, node: int) -> float:
        return TOP + 30 + (node - 1) * self.gap

    def _seen(self, start_ns: int, end_ns: int) -> bool:
        return start_ns <= self.end_ns and end_ns >= self.start_ns

    def _arrival(self, frame: Frame) -> int:
        if frame.arrival_ns >= 0:
            return frame.arrival_ns
        usual_ms = (self.recording.case.settings.latency_us + self.recording.case.settings.jitter_us) / 1e3
        return frame.sent_ns + int(usual_ms * MILLISECOND_NS)

    def _is_down(self, node: int, time_ns: int) -> bool:
        return any(start < time_ns < end for start, end in self.down[node])

    # -- parts

    def svg(self) -> str:
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
            f'width="{WIDTH}" height="{self.height}" role="img">',
            f"<title>{escape(self._title())}</title>",
            f"<style>{STYLE}</style>",
            f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{self.height - 1}" rx="10" fill="#fff" '
            'stroke="#dee2e6"/>',
            *self._header(),
            *self._axis(),
            *self._lines(),
            *self._messages(),
            *self._reigns(),
            *self._marks(),
            *self._clients(),
            *self._legend(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _title(self) -> str:
        return self.title or f"{self.recording.case.protocol}, seed {self.recording.case.seed}"

    def _header(self) -> Iterable[str]:
        yield f'<text class="title" x="24" y="36">{escape(self._title())}</text>'
        violation = self.recording.result.violation
        words = (
            f"{self.start_ns / 1e6:.0f} to {self.end_ns / 1e6:.0f} ms of virtual time, "
            f"{len(self.frames)} messages"
        )
        if self.left_out:
            words += f" ({self.left_out} more, mostly heartbeats, left out)"
        yield f'<text class="small" x="24" y="56">{words}</text>'
        if violation is not None:
            detail = " ".join(violation.detail.split())
            text = f"{violation.kind}: {detail}"
            text = text if len(text) <= 150 else text[:149] + "…"
            yield f'<text class="mark" x="24" y="75" style="fill:#e03131">{escape(text)}</text>'
            at = violation.time_ms * MILLISECOND_NS
            if self._seen(at, at):
                x = self.x(at)
                yield (
                    f'<path d="M{x:.1f} {TOP - 6}V{self.axis_y}" stroke="#e03131" stroke-width="1.5" '
                    f'stroke-dasharray="5 4"><title>{escape(violation.kind)}</title></path>'
                )

    def _axis(self) -> Iterable[str]:
        step = _step((self.end_ns - self.start_ns) / MILLISECOND_NS)
        tick = -(-self.start_ns // int(step * MILLISECOND_NS))
        lines, words = [], []
        while (at := int(tick * step * MILLISECOND_NS)) <= self.end_ns:
            x = self.x(at)
            lines.append(f"M{x:.1f} {TOP - 4}V{self.axis_y}")
            label = f"{tick * step:g}"
            words.append(f'<text class="small" x="{x:.1f}" y="{self.axis_y + 16}">{label}</text>')
            tick += 1
        yield f'<path d="{"".join(lines)}" stroke="#f1f3f5"/>'
        yield f'<path d="M{LEFT} {self.axis_y}H{WIDTH - RIGHT}" stroke="#ced4da"/>'
        yield f'<g text-anchor="middle">{"".join(words)}</g>'
        yield f'<text class="small" x="24" y="{self.axis_y + 16}">ms</text>'

    def _lines(self) -> Iterable[str]:
        for node in range(1, self.nodes + 1):
            y = self.y(node)
            yield f'<text class="node" x="24" y="{y + 5:.0f}">node {node}</text>'
            solid, dashed = [], []
            at = self.start_ns
            for start, end in [*self.down[node], (self.end_ns, self.end_ns)]:
                if end < self.start_ns or start > self.end_ns:
                    continue
                if start > at:
                    solid.append(f"M{self.x(at):.1f} {y}H{self.x(start):.1f}")
                dashed.append(f"M{self.x(start):.1f} {y}H{self.x(end):.1f}")
                at = max(at, end)
            yield f'<path d="{"".join(solid)}" stroke="#495057" stroke-width="2"/>'
            yield f'<path d="{"".join(dashed)}" stroke="#ced4da" stroke-width="2" stroke-dasharray="2 5"/>'
            for absence in self.recording.absences:
                end = absence.end_ns if absence.end_ns >= 0 else self.recording.end_ns
                if absence.node == node and self._seen(absence.start_ns, end):
                    x, width = self.x(absence.start_ns), max(2.0, self.x(end) - self.x(absence.start_ns))
                    yield (
                        f'<rect x="{x:.1f}" y="{y - 11}" width="{width:.1f}" height="22" rx="4" '
                        'fill="#ffe3e3" stroke="#ffa8a8" stroke-dasharray="3 3"><title>cut off</title></rect>'
                    )
                    if width > 60:
                        yield _mark(x + width / 2, y + 24, "cut off", "#e03131")
            for start, end in self.paused[node]:
                if self._seen(start, end):
                    x, width = self.x(start), max(2.0, self.x(end) - self.x(start))
                    yield (
                        f'<rect x="{x:.1f}" y="{y - 8}" width="{width:.1f}" height="16" rx="3" '
                        'fill="#ffe8cc" stroke="#fd7e14" stroke-width=".8"><title>paused</title></rect>'
                    )

    def _messages(self) -> Iterable[str]:
        order = (*THINNED[: THINNED.index("append")], "snapshot", "append", "vote")
        for kind in order:
            frames = [frame for frame in self.frames if frame.kind == kind]
            if not frames:
                continue
            colour = COLOURS[kind]
            yield f'<g class="m {kind}" stroke="{colour}">'
            for frame in frames:
                yield self._message(frame, colour)
            yield "</g>"

    def _message(self, frame: Frame, colour: str) -> str:
        arrival = self._arrival(frame)
        lost = frame.arrival_ns < 0
        down = not lost and self._is_down(frame.target, arrival)
        x1, y1 = LEFT + (frame.sent_ns - self.start_ns) * self.scale, self.y(frame.source)
        x2, y2 = LEFT + (arrival - self.start_ns) * self.scale, self.y(frame.target)
        if lost:
            x2, y2 = x1 + 0.45 * (x2 - x1), y1 + 0.45 * (y2 - y1)
        x1, y1, x2, y2, cut = _clip(x1, y1, x2, y2, LEFT, WIDTH - RIGHT)
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5 or 1.0
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        path = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
        head = ""
        if lost or down:
            head = f"M{x2 - 3.5:.1f} {y2 - 3.5:.1f}l7 7m0-7l-7 7"
        elif not cut:
            bx, by = x2 - 7 * ux, y2 - 7 * uy
            head = (
                f"M{bx - 3 * uy:.1f} {by + 3 * ux:.1f}L{x2:.1f} {y2:.1f}L{bx + 3 * uy:.1f} {by - 3 * ux:.1f}"
            )
        when = "lost" if lost else f"{(frame.arrival_ns - frame.sent_ns) / 1e6:.1f} ms"
        words = frame.words if len(frame.words) <= WORDS else frame.words[: WORDS - 1] + "…"
        text = escape(f"{words} {frame.source} to {frame.target}, {frame.sent_ns / 1e6:.1f} ms, {when}")
        return f'<path d="{path}{head}"><title>{text}</title></path>'

    def _reigns(self) -> Iterable[str]:
        for reign in self.recording.reigns:
            end = reign.end_ns if reign.end_ns >= 0 else self.end_ns
            if self._seen(reign.start_ns, end):
                yield from self._reign(reign, end)

    def _reign(self, reign: Reign, end: int) -> Iterable[str]:
        colour = TERM_COLOURS[reign.term % len(TERM_COLOURS)]
        x, y = self.x(reign.start_ns), self.y(reign.node)
        width = max(2.0, self.x(end) - x)
        yield (
            f'<rect x="{x:.1f}" y="{y - 4}" width="{width:.1f}" height="8" rx="4" fill="{colour}">'
            f"<title>node {reign.node} leads term {reign.term}</title></rect>"
        )
        label = f"leads term {reign.term}" if width > 110 else f"term {reign.term}"
        room = 8 + 6.2 * len(label)
        if width > 24:
            yield (
                f'<rect x="{x:.1f}" y="{y - 24}" width="{room:.0f}" height="15" rx="3" fill="{colour}"/>'
                f'<text class="term" x="{x + 5:.1f}" y="{y - 13}">{label}</text>'
            )

    def _marks(self) -> Iterable[str]:
        for time_ns, node, what in self.recording.events:
            if not (1 <= node <= self.nodes and self._seen(time_ns, time_ns)):
                continue
            x, y = self.x(time_ns), self.y(node)
            if what in ("crash", "crash in turn", "stopped", "refused"):
                yield (
                    f'<path d="M{x - 6:.1f} {y - 6}l12 12m0-12l-12 12" stroke="#e03131" stroke-width="3" '
                    f'stroke-linecap="round"><title>{what}, {time_ns / 1e6:.1f} ms</title></path>'
                )
                yield _mark(x, y + 22, what, "#e03131")
            elif what == "boot" and time_ns > 0:
                yield (
                    f'<circle cx="{x:.1f}" cy="{y}" r="6" fill="#fff" stroke="#2f9e44" stroke-width="2.5">'
                    f"<title>starts, {time_ns / 1e6:.1f} ms</title></circle>"
                )
                yield _mark(x, y + 22, "restart", "#2f9e44")
            elif what == "pause":
                yield _mark(x, y + 22, "pause", "#d9480f")
            elif what.startswith("fault ") and what[6:] not in FAULTS_WITH_MARKS:
                yield f'<path d="M{x:.1f} {y - 12}v24" stroke="#d9480f" stroke-width="2"/>'
                yield _mark(x, y + 22, what[6:], "#d9480f")

    def _clients(self) -> Iterable[str]:
        for position, client in enumerate(self.lanes):
            y = self.lanes_y + position * LANE
            yield f'<text x="24" y="{y + 4}">client {client}</text>'
            yield f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#f1f3f5"/>'
            for each in self.asked:
                if each.client == client:
                    yield self._operation(each, y)

    def _operation(self, each: Asked, y: float) -> str:
        x, end = self.x(each.start_ns), self.x(_end(each, self.recording))
        outcome = OUTCOME_WORDS[each.outcome]
        text = escape(f"{each.words} at node {each.node}: {outcome}, from {each.start_ns / 1e6:.1f} ms")
        return (
            f'<rect x="{x:.1f}" y="{y - 4}" width="{max(3.0, end - x):.1f}" height="8" rx="2" '
            f'fill="{OUTCOME_COLOURS[each.outcome]}" fill-opacity=".85"><title>{text}</title></rect>'
        ) + self._written_out(each, y, max(end, x + 3))

    def _written_out(self, each: Asked, y: float, x: float) -> str:
        if len(self.asked) > FEW or x > WIDTH - RIGHT - 60:
            return ""
        words = f"{each.words} → {each.answer or OUTCOME_WORDS[each.outcome]}"
        words = words if len(words) <= WORDS else words[: WORDS - 1] + "…"
        return f'<text class="mark" x="{x + 6:.1f}" y="{y + 4}">{escape(words)}</text>'

    def _legend(self) -> Iterable[str]:
        x, y = 24.0, self.axis_y + 46
        for kind, colour in COLOURS.items():
            if any(frame.kind == kind for frame in self.frames):
                yield (
                    f'<path d="M{x:.0f} {y}h20m-6-3.5l6 3.5l-6 3.5" class="m" stroke="{colour}" '
                    'style="stroke-width:1.8"/>'
                )
                yield f'<text x="{x + 26:.0f}" y="{y + 4}">{kind}</text>'
                x += 44 + 6.6 * len(kind)
        if any(frame.arrival_ns < 0 for frame in self.frames):
            yield f'<path d="M{x:.0f} {y}h14m-3.5-3.5l7 7m0-7l-7 7" class="m" stroke="#868e96"/>'
            yield f'<text x="{x + 24:.0f}" y="{y + 4}">lost</text>'
            x += 60
        for outcome, colour in OUTCOME_COLOURS.items():
            if any(each.outcome == outcome for each in self.asked):
                words = OUTCOME_WORDS[outcome]
                yield f'<rect x="{x:.0f}" y="{y - 4}" width="16" height="8" rx="2" fill="{colour}"/>'
                yield f'<text x="{x + 22:.0f}" y="{y + 4}">{words}</text>'
                x += 42 + 6.6 * len(words)


FAULTS_WITH_MARKS = frozenset(
    {"crash", "crash-in-turn", "crash-leader", "crash-all", "restart", "pause", "rot"}
    | {"isolate", "isolate-leader", "crash-voters", "restore"}
)
"""Faults whose effect is marked where it strikes."""


def thin(frames: Sequence[Frame], most: int) -> list[Frame]:
    """At most so many frames, evenly fewer of the least telling kinds."""
    kept = list(frames)
    for kind in THINNED:
        excess = len(kept) - most
        if excess <= 0:
            break
        count = sum(frame.kind == kind for frame in kept)
        keep = max(0, count - excess)
        seen = 0
        thinned = []
        for frame in kept:
            if frame.kind == kind:
                seen += 1
                if seen * keep // count == (seen - 1) * keep // count:
                    continue
            thinned.append(frame)
        kept = thinned
    return kept


def _mark(x: float, y: float, words: str, colour: str) -> str:
    return (
        f'<text class="mark" x="{x:.1f}" y="{y:.0f}" text-anchor="middle" '
        f'style="fill:{colour}">{escape(words)}</text>'
    )


def _end(each: Asked, recording: Recording) -> int:
    return each.end_ns if each.end_ns >= 0 else recording.end_ns


def _spans(
    recording: Recording, begins: tuple[str, ...], ends: tuple[str, ...]
) -> dict[int, list[tuple[int, int]]]:
    """Per node: the stretches from one of some events to one of others."""
    spans: dict[int, list[tuple[int, int]]] = {node: [] for node in range(1, recording.case.nodes + 1)}
    since: dict[int, int] = {}
    for time_ns, node, what in recording.events:
        if what in ends and node in since:
            spans[node].append((since.pop(node), time_ns))
        if what in begins:
            since.setdefault(node, time_ns)
    for node, start in since.items():
        spans[node].append((start, recording.end_ns))
    return spans


def _step(span_ms: float) -> float:
    """A round number of milliseconds between ticks."""
    step = 0.1
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000):
        if span_ms / step <= 14:
            break
    return step


def _clip(
    x1: float, y1: float, x2: float, y2: float, left: float, right: float
) -> tuple[float, float, float, float, bool]:
    """The part of a line between two verticals, and whether its end was cut off."""
    slope = (y2 - y1) / (x2 - x1) if x2 != x1 else 0.0
    if x1 < left:
        x1, y1 = left, y1 + slope * (left - x1)
    cut = x2 > right
    if cut:
        x2, y2 = right, y2 + slope * (right - x2)
    return x1, y1, x2, y2, cut
