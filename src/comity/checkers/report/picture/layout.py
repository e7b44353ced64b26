"""Where everything in a picture lies.

An event lies right of those before it, and every bar is as long as its label: so no label overflows, and
no two bars of a row overlap.
"""

from __future__ import annotations

import itertools

import msgspec

from comity.checkers.history import Event, Operation, Outcome, Process
from comity.checkers.report.picture.arrows import Box
from comity.checkers.report.picture.labels import label_of, name_of, room_of, shortened, width_of
from comity.checkers.report.picture.shown import Shown

FAULT_CHARACTERS = 24
MOST_PERMUTED = 5
"""Of how many processes of a cycle the best order is looked for."""
GAVE_UP = "no answer"
LEAP = 8
"""Where more events than this are left out between two, a line says so."""

LEAST_WIDTH = 720.0
MOST_WIDTH = 900.0
"""Labels of what would be wider than this are broken into two lines."""
MARGIN = 24.0
STEP = 24.0
"""The least distance between two events."""
BAR = 30.0
LINE = 17.0
GAP = 24.0
GAP_OF_ARROWS = 56.0


class Bar(msgspec.Struct):
    """An operation and where it is drawn. tick: where its client gave up, if it did."""

    operation: Operation
    lines: list[str]
    box: Box
    tick: float | None
    kind: str


class Layout:
    """The places of bars, names and faults below a header of that size.

    left, width, bottom: where the lanes begin, how wide all is, where the last lane ends.
    """

    def __init__(self, shown: Shown, header_width: float, header_bottom: float) -> None:
        self.shown = shown
        self.least_width = max(LEAST_WIDTH, header_width)
        self.top = header_bottom
        self.bars: dict[int, Bar] = {}
        self.names: list[tuple[str, float]] = []
        self.fault_x: list[tuple[float, Event]] = []
        self.breaks: list[float] = []
        self.width = LEAST_WIDTH
        self.left = MARGIN
        self.bottom = 0.0
        self.narrow = False
        self._place()

    def _place(self) -> None:
        """Give every operation its bar. An event lies right of those before it, and every bar is as long
        as its label: so no label overflows, and no two bars of a row overlap."""
        processes = list(dict.fromkeys(o.process for o in self.shown.operations))
        names = [*map(name_of, processes), *(["faults"] if self.shown.faults else [])]
        self.left = MARGIN + max((width_of(name) for name in names), default=0.0) + 18
        x, right = self._columns()
        if right + MARGIN > MOST_WIDTH:
            self.narrow = True
            x, right = self._columns()
        x, right = self._stretched(x, right)
        rows = [
            (name_of(process) if number == 0 else "", row)
            for process in self._in_order(processes, x, right)
            for number, row in enumerate(self._rows(process))
        ]
        gaps = self._gaps([row for _, row in rows])
        y = self.top + (28 if self.shown.faults else 0) + gaps[0] - 10
        for (name, row), gap in zip(rows, gaps[1:], strict=True):
            labels = {o.index: label_of(o, self.narrow) for o in row}
            height = BAR + LINE * (max(map(len, labels.values())) - 1)
            self.names.append((name, y + height / 2))
            for o in row:
                start, end = span(o, x, right)
                tick = x[o.completed] if is_open(o) and o.completed is not None else None
                box = Box(start, y, end, y + height)
                self.bars[o.index] = Bar(o, labels[o.index], box, tick, self.shown.kind(o))
            self.bottom = y + height
            y = self.bottom + gap
        self.fault_x = [(x[place], event) for place, event in self.shown.faults]
        self.breaks = [
            (x[place] + x[later]) / 2
            for place, later in itertools.pairwise(sorted(x))
            if later - place > LEAP
        ]

    def _gaps(self, rows: list[list[Operation]]) -> list[float]:
        """The room above, between and below the rows: more of it where there are arrows."""
        where = {o.index: number for number, row in enumerate(rows) for o in row}
        gaps = [GAP] * (len(rows) + 1)
        for edge in self.shown.cycle:
            if edge.source.index in where and edge.target.index in where:
                first, last = sorted((where[edge.source.index], where[edge.target.index]))
                # An arrow within a row may swing out on either side.
                for gap in range(first + 1, last + 1) if first < last else (first, first + 1):
                    gaps[gap] = GAP_OF_ARROWS
        return gaps

    def _in_order(self, processes: list[Process], x: dict[int, float], right: float) -> list[Process]:
        """The processes from top to bottom: as they come, those of a cycle so that few bars lie between
        the two ends of an arrow."""
        drawn = {o.index: o for o in self.shown.operations}
        ends = [
            (drawn[edge.source.index], drawn[edge.target.index])
            for edge in self.shown.cycle
            if edge.source.index in drawn and edge.target.index in drawn
        ]
        block = list(dict.fromkeys(o.process for pair in ends for o in pair))
        if not 2 < len(block) <= MOST_PERMUTED:
            return processes
        first = min(processes.index(process) for process in block)
        above = processes[:first]
        below = [process for process in processes[first:] if process not in block]
        spans = {o.index: (o.process, *span(o, x, right)) for o in self.shown.operations}

        def between(order: tuple[Process, ...]) -> tuple[float, list[int]]:
            row = {process: number for number, process in enumerate(order)}
            cost = 0.0
            for source, target in ends:
                _, left, end = spans[source.index]
                _, other_left, other_end = spans[target.index]
                low, high = sorted((row[source.process], row[target.process]))
                cost += max(0, high - low - 1)
                middle = (max(left, other_left), min(end, other_end))
                for process, start, stop in spans.values():
                    if low < row.get(process, -1) < high:
                        cost += 3 * (start < max(middle) and stop > min(middle))
            return cost, [processes.index(process) for process in order]

        return [*above, *min(itertools.permutations(block), key=between), *below]

    def _rows(self, process: Process) -> list[list[Operation]]:
        """The rows of a process: one, unless it went on after an operation of unknown outcome."""
        rows: list[list[Operation]] = []
        for o in self.shown.operations:
            if o.process == process:
                row = next((row for row in rows if not is_open(row[-1])), None)
                if row is None:
                    rows.append([o])
                else:
                    row.append(o)
        return rows

    def _columns(self) -> tuple[dict[int, float], float]:
        """The x of every event, and the right end of the lanes."""
        needs: dict[int, list[tuple[int, float]]] = {}
        places = {place for place, _ in self.shown.faults}
        for o in self.shown.operations:
            places.add(o.invoked)
            if o.completed is not None:
                places.add(o.completed)
                needs.setdefault(o.completed, []).append((o.invoked, room_of(o, self.narrow)))
        for (before, event), (after, _) in itertools.pairwise(self.shown.faults):
            needs.setdefault(after, []).append((before, width_of(shortened(event.f, FAULT_CHARACTERS)) + 14))
        x: dict[int, float] = {}
        at = self.left + 12 - STEP
        for place in sorted(places):
            at = max([at + STEP, *(x[since] + room for since, room in needs.get(place, ()))])
            x[place] = at
        right = at + STEP
        for o in self.shown.operations:
            if is_open(o):
                said = 0.0 if o.completed is None else width_of(GAVE_UP) + 8
                right = max(right, x[o.completed or o.invoked] + said + STEP)
                right = max(right, x[o.invoked] + room_of(o, self.narrow) + STEP)
        if self.shown.faults:
            place, event = self.shown.faults[-1]
            right = max(right, x[place] + width_of(shortened(event.f, FAULT_CHARACTERS)) + 14)
        return x, right

    def _stretched(self, x: dict[int, float], right: float) -> tuple[dict[int, float], float]:
        """The same, over the least width there is."""
        room = self.least_width - MARGIN - self.left
        if right - self.left < room:
            stretch = room / (right - self.left)
            x = {place: self.left + (at - self.left) * stretch for place, at in x.items()}
            right = self.left + room
        self.width = right + MARGIN
        return x, right


def is_open(o: Operation) -> bool:
    return o.outcome is Outcome.INFO or o.completed is None


def span(o: Operation, x: dict[int, float], right: float) -> tuple[float, float]:
    """From where to where an operation is drawn."""
    return x[o.invoked], right if o.completed is None or is_open(o) else x[o.completed]
