"""What a picture shows: which verdict, which operations, and how each of them is marked."""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left
from collections.abc import Sequence

from comity.checkers.analysis import Analysis
from comity.checkers.datatypes import TRANSACTION_TYPES, data_type_named
from comity.checkers.errors import CheckerError
from comity.checkers.history import Event, History, Operation, Outcome
from comity.checkers.models import MODELS, SINGLE_OBJECT, weaker_than
from comity.checkers.report.picture.labels import READS
from comity.checkers.report.picture.order import order_of
from comity.checkers.semantics import Semantics
from comity.checkers.verdict import Edge, Status, Verdict

MOST_OPERATIONS = 36
"""What fits into a picture. Of a longer history the witness and what lies around it is drawn."""
NEIGHBOURS = 8
"""How many operations around the witness of a longer history are drawn with it."""
LAST_OF_WITNESS = 10
"""How many operations at the end of a long witness are."""
MOST_FAULTS = 6


def telling(analysis: Analysis) -> Verdict | None:
    """The violation to look at: the first one of the weakest violated model; None where there is none."""
    violations = [verdict for verdict in analysis.verdicts if verdict.status is Status.VIOLATION]
    violated = {verdict.model for verdict in violations if verdict.model in MODELS}
    weakest = [name for name in MODELS if name in violated and not (weaker_than(name) - {name}) & violated]
    return next((v for v in violations if not weakest or v.model == weakest[-1]), None)


class Shown:
    """The part of a history that is drawn.

    verdict: the one it is about, where there is one. violation: whether that is one. cycle: the steps drawn
    as arrows. stuck: the operations, by index, that cannot be ordered. order: the numbers of those that can.
    faults: those in the part drawn, with their places.
    """

    def __init__(
        self,
        history: History,
        analysis: Analysis | None,
        verdict: Verdict | None,
        title: str,
        semantics: Semantics,
    ) -> None:
        self.history = history
        self.analysis = analysis
        self.verdict = verdict
        self.violation = verdict is not None and verdict.status is Status.VIOLATION
        self.title = title or self._title()
        self.cycle = self._cycle()
        self.stuck = self._stuck()
        self.operations = self._chosen()
        self.order = self._order(semantics)
        self.faults = self._faults()

    def _title(self) -> str:
        verdict = self.verdict
        if verdict is not None and self.violation:
            words = f"{verdict.anomaly}: not {verdict.model}" if verdict.anomaly else f"not {verdict.model}"
        elif self.analysis is not None:
            words = self.analysis.established.partition(";")[0]
        else:
            words = f"{verdict.model}: {verdict.status.value}" if verdict is not None else ""
        return words[:1].upper() + words[1:]

    def _cycle(self) -> tuple[Edge, ...]:
        """The verdict's own cycle, or that of another verdict about the same operations."""
        if self.verdict is None or self.verdict.cycle or self.analysis is None:
            return self.verdict.cycle if self.verdict is not None else ()
        witness = {o.index for o in self.verdict.witness}
        for other in self.analysis.verdicts:
            if other.cycle and {edge.source.index for edge in other.cycle} == witness:
                return other.cycle
        return ()

    def _stuck(self) -> set[int]:
        """What cannot be ordered: as the verdict says, or else the answer that nothing explains."""
        verdict = self.verdict
        if verdict is None or not self.violation or self.cycle or verdict.stuck:
            return {o.index for o in verdict.stuck} if verdict is not None else set()
        answered = [o for o in verdict.witness if o.outcome is Outcome.OK]
        if verdict.model in SINGLE_OBJECT:
            reads = [o for o in answered if o.f in READS]
            return {max(reads, key=lambda o: o.invoked).index} if reads else set()
        aborted = len(answered) < len(verdict.witness)
        return {o.index for o in answered} if aborted else set()

    def _telling_operations(self) -> list[Operation]:
        """The operations that a violation in a long history is about: its cycle; or what cannot be
        ordered, the writes of what was read there, and the end of the witness."""
        verdict = self.verdict
        if verdict is None or not self.violation:
            return []
        whole = self.history.operations
        if self.cycle:
            about = [edge.source.index for edge in self.cycle]
        else:
            stuck = [whole[index] for index in self.stuck]
            wanted = {(o.key, o.result) for o in stuck if o.f in READS}
            writes = (o.index for o in verdict.witness if o.f not in READS and (o.key, o.value) in wanted)
            last = [o.index for o in verdict.witness[-LAST_OF_WITNESS:]]
            about = [*self.stuck, *itertools.islice(writes, LAST_OF_WITNESS), *last]
        return [whole[index] for index in list(dict.fromkeys(about))[:MOST_OPERATIONS]]

    def _chosen(self) -> list[Operation]:
        if len(self.history) <= MOST_OPERATIONS:
            return list(self.history.operations)
        about = self._telling_operations()
        if not about:
            return list(self.history.operations[:MOST_OPERATIONS])
        places = sorted(place for o in about for place in (o.invoked, o.completed) if place is not None)
        keys = {o.key for o in about}
        known = {o.index for o in about}

        def distance(o: Operation) -> tuple[bool, int, int]:
            after = bisect_left(places, o.invoked)
            near = min(abs(place - o.invoked) for place in places[max(0, after - 1) : after + 1])
            return o.key not in keys, near, o.index

        room = min(NEIGHBOURS, MOST_OPERATIONS - len(about))
        others = (o for o in self.history.operations if o.index not in known)
        about.extend(heapq.nsmallest(room, others, key=distance))
        return sorted(about, key=lambda o: o.index)

    def _order(self, semantics: Semantics) -> dict[int, int]:
        """The numbers of the operations in the order that explains them, or that gets furthest."""
        order: Sequence[Operation] = ()
        if self.cycle:
            return {}
        if self.verdict is not None:
            order = self.verdict.linearization
        elif (
            self._is_linearizable()
            and self.analysis is not None
            and len(self.operations) == len(self.history)
        ):
            try:
                order = order_of(data_type_named(self.analysis.data_type, semantics), self.history)
            except CheckerError:
                # A type of the caller's own, whose rules are not known here.
                order = ()
        return {o.index: number for number, o in enumerate(order, 1)}

    def _is_linearizable(self) -> bool:
        if self.analysis is None or self.analysis.data_type in TRANSACTION_TYPES:
            return False
        return self.analysis.models.get("linearizable") is Status.VALID

    def _faults(self) -> list[tuple[int, Event]]:
        if len(self.operations) < len(self.history):
            first = min(o.invoked for o in self.operations)
            last = max(o.completed or o.invoked for o in self.operations)
        else:
            first, last = 0, self.history.event_count
        return [fault for fault in self.history.faults if first <= fault[0] <= last][:MOST_FAULTS]

    def kind(self, o: Operation) -> str:
        """How an operation is coloured: stuck, marked, aside, or as any other."""
        if o.index in self.stuck:
            return "stuck"
        if self.verdict is None or not self.violation:
            return ""
        if self.cycle:
            members = {end.index for edge in self.cycle for end in (edge.source, edge.target)}
            return "marked" if o.index in members else "aside"
        if o.index not in {member.index for member in self.verdict.witness}:
            return "aside"
        return "" if self.verdict.linearization else "marked"

    def pills(self) -> list[tuple[str, str]]:
        """What was found in a few words, each with its colour; words without one begin a group."""
        pills: list[tuple[str, str]] = []
        verdict, analysis = self.verdict, self.analysis
        if verdict is not None and self.violation:
            names = [verdict.anomaly] if verdict.anomaly else []
            if analysis is not None and analysis.data_type in TRANSACTION_TYPES:
                same = {o.index for o in verdict.witness}
                names += [v.anomaly for v in analysis.verdicts if {o.index for o in v.witness} == same]
            names = [name for name in dict.fromkeys(names) if name]
            pills += [("found", ""), *((name, "bad") for name in [*names, f"not {verdict.model}"])]
        if analysis is not None:
            unknown = [name for name, status in analysis.models.items() if status is Status.UNKNOWN]
            pills.append(("strongest that holds", ""))
            pills += [(name, "good") for name in analysis.strongest] or [("none", "open")]
            pills += [(f"{name} unknown", "open") for name in unknown[:2]]
        elif verdict is not None and not self.violation:
            valid = verdict.status is Status.VALID
            pills.append((f"{verdict.model}{'' if valid else ' unknown'}", "good" if valid else "open"))
        return pills

    def left_out(self) -> str:
        if len(self.operations) == len(self.history):
            return ""
        about = "the first ones" if self.verdict is None else "those it is about, and some around them"
        return f"{len(self.operations)} of {len(self.history):,} operations: {about}"
