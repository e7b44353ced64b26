"""Transactions: which anomalies a history shows, and which isolation levels it still may have come from.

Adya 1999 and Alvaro & Kingsbury 2020 (Elle); what each level means is in
docs/reference/consistency-models.md. For lists that are appended to the order of versions is read from
the history itself. For registers it is known in part: small histories are decided by every order that is
possible, large ones by looking for a serial order; what neither decides is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import msgspec

from comity.checkers.datatypes.base import show
from comity.checkers.errors import UnsuitableHistory
from comity.checkers.history import History, Operation
from comity.checkers.models import TRANSACTIONAL, violated_by, weaker_than
from comity.checkers.semantics import Semantics
from comity.checkers.transactions.append import append_facts
from comity.checkers.transactions.cycles import Cycle, find_cycles, has_cycle, has_single, has_spaced
from comity.checkers.transactions.deciding import SHOWN_BY, decide
from comity.checkers.transactions.facts import Facts, Finding, dirty_writes, fractured, overtaken
from comity.checkers.transactions.graph import NAMES, PROCESS, REAL_TIME, RW, WR, WW, Graph
from comity.checkers.transactions.orders import Step
from comity.checkers.transactions.register import RegisterFacts, register_facts
from comity.checkers.verdict import Edge, Limits, Status, Verdict

__all__ = ["BREAKS", "Findings", "breaks", "check"]

DETAILED = 20
"""Findings of one name that are told in full."""

BREAKS: dict[str, tuple[str, ...]] = {
    "garbage-read": ("read-uncommitted",),
    "duplicate-elements": ("read-uncommitted",),
    "cyclic-versions": ("read-uncommitted",),
    "G0": ("read-committed",),
    "incompatible-order": ("read-committed",),
    "dirty-update": ("read-committed",),
    "future-read": ("read-committed", "read-atomic"),
    "G1a": ("read-committed",),
    "G1b": ("read-committed",),
    "G1c": ("read-committed",),
    "lost-update": ("cursor-stability", "parallel-snapshot-isolation", "repeatable-read"),
    "vanishing-transaction": ("monotonic-atomic-view",),
    "fractured-read": ("read-atomic", "repeatable-read"),
    "internal": ("read-uncommitted",),
    "G-single": ("parallel-snapshot-isolation", "repeatable-read"),
    "G-nonadjacent": ("snapshot-isolation", "repeatable-read"),
    "long-fork": ("snapshot-isolation", "repeatable-read"),
    "write-skew": ("repeatable-read",),
    "G2-item": ("repeatable-read",),
    "G0-process": ("strong-session-snapshot-isolation",),
    "G1c-process": ("strong-session-snapshot-isolation",),
    "G-single-process": ("strong-session-snapshot-isolation",),
    "G-nonadjacent-process": ("strong-session-snapshot-isolation",),
    "G2-item-process": ("strong-session-serializable",),
    "G0-realtime": ("strong-snapshot-isolation",),
    "G1c-realtime": ("strong-snapshot-isolation",),
    "G-single-realtime": ("strong-snapshot-isolation",),
    "G-nonadjacent-realtime": ("strong-snapshot-isolation",),
    "G2-item-realtime": ("strict-serializable",),
}
"""Anomaly -> the weakest models that exclude it; whatever implies one of them excludes it too. (G0 among
transactions that are known to have committed breaks read uncommitted as well: see `dirty_writes`.)"""

_ALL = WW | WR | RW


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: a status for each transactional model, and the anomalies, worst first."""

    models: dict[str, Status]
    anomalies: tuple[Verdict, ...]
    statistics: dict[str, int | str]


class _TimeUp(Exception):
    """The deadline has passed."""


def check(
    history: History,
    data_type: str,
    limits: Limits,
    deadline_ns: int | None = None,
    semantics: Semantics | None = None,
) -> Findings:
    """Judge a history of "list-append" or "rw-register" transactions. Raises `UnsuitableHistory`."""
    return _Check(history, data_type, limits, deadline_ns, semantics or Semantics()).run()


class _Check:
    def __init__(
        self,
        history: History,
        data_type: str,
        limits: Limits,
        deadline_ns: int | None,
        semantics: Semantics,
    ) -> None:
        self.history = history
        self.data_type = data_type
        self.limits = limits
        self.deadline_ns = deadline_ns
        self.semantics = semantics
        self.anomalies: list[Verdict] = []
        self.broken: set[str] = set()
        self.undecided = ""

    def spend(self) -> None:
        """Raises `_TimeUp` once the time is up."""
        if self.deadline_ns is not None and self.limits.clock_ns() >= self.deadline_ns:
            raise _TimeUp

    def run(self) -> Findings:
        facts: Facts
        if self.data_type == "list-append":
            facts = append_facts(self.history)
        elif self.data_type == "rw-register":
            facts = register_facts(self.history, self.semantics.initial)
        else:
            raise UnsuitableHistory(f"{self.data_type} is no type of transactions")
        statuses: dict[str, Status] = {}
        edges = 0
        try:
            self.spend()
            self._direct(facts)
            graph = facts.graph()
            edges = sum(map(len, graph.out))
            self.spend()
            self._cycles(facts, graph)
            self.spend()
            self._decide(facts, graph, statuses)
        except (_TimeUp, OverflowError) as error:
            self.undecided = "time limit" if isinstance(error, _TimeUp) else str(error)
        for model in violated_by(self.broken):
            if model in TRANSACTIONAL:
                statuses[model] = Status.VIOLATION
        left = Status.UNKNOWN if self.undecided else Status.VALID
        return Findings(
            models={model: statuses.get(model, left) for model in TRANSACTIONAL},
            anomalies=tuple(self.anomalies),
            statistics={
                "transactions": len(facts.all),
                "edges": edges,
                **({"limit": self.undecided} if self.undecided else {}),
            },
        )

    # -- anomalies

    def _direct(self, facts: Facts) -> None:
        """What is wrong without any cycle."""
        findings = list(facts.findings)
        if not any(finding.anomaly == "lost-update" for finding in findings):
            found = overtaken(facts)
            findings.extend([found] if found is not None else [])
        found = fractured(facts, False)
        if found is not None:
            worse = fractured(facts, True)
            findings.extend([found] if worse is None else [worse, found])
        counts: dict[str, int] = {}
        for finding in findings:
            counts[finding.anomaly] = counts.get(finding.anomaly, 0) + 1
            if counts[finding.anomaly] <= DETAILED:
                self.anomalies.append(self._from_finding(finding))

    def _from_finding(self, finding: Finding) -> Verdict:
        models = finding.breaks or BREAKS[finding.anomaly]
        self.broken.update(models)
        return Verdict(
            status=Status.VIOLATION,
            model=models[0],
            data_type=self.data_type,
            key=finding.key,
            operations=len(self.history),
            explanation=f"{finding.anomaly}: {finding.words}.",
            witness=_by_invocation([t.operation for t in finding.transactions]),
            anomaly=finding.anomaly,
        )

    def _cycles(self, facts: Facts, graph: Graph) -> None:
        names = {verdict.anomaly for verdict in self.anomalies}
        for name, cycle in find_cycles(graph):
            for shown in dict.fromkeys((name, *_special(name, cycle, graph))):
                self.broken.update(BREAKS[shown])
                if shown not in names:
                    names.add(shown)
                    self.anomalies.append(self._from_cycle(shown, cycle, facts, graph))
            self.spend()
        if "G0" in names and not any(v.model == "read-uncommitted" for v in self.anomalies):
            sure = dirty_writes(facts)
            for name, cycle in find_cycles(sure):
                self.anomalies.append(self._from_cycle(name, cycle, facts, sure))

    def _from_cycle(self, name: str, cycle: Cycle, facts: Facts, graph: Graph) -> Verdict:
        edges = []
        places = cycle.places
        for place, kind in enumerate(cycle.kinds):
            source, target = places[place], places[(place + 1) % len(places)]
            edges.append(_edge(facts, graph, source, target, kind))
        words = "; ".join(edge.reason for edge in edges)
        dirty = name == "G0" and all(
            facts.all[place].known and edge.key not in facts.torn
            for place, edge in zip(places, edges, strict=True)
        )
        return Verdict(
            status=Status.VIOLATION,
            model="read-uncommitted" if dirty else BREAKS[name][0],
            data_type=self.data_type,
            key=next((edge.key for edge in edges if edge.key is not None), None),
            operations=len(self.history),
            explanation=f"{name}: {words}: each comes before the next, and the last before the first.",
            witness=_by_invocation([facts.all[place].operation for place in places]),
            anomaly=name,
            cycle=tuple(edges),
        )

    # -- models

    def _decide(self, facts: Facts, graph: Graph, statuses: dict[str, Status]) -> None:
        """What anomalies alone leave open."""
        broken = _broken_models(facts, graph)
        self.broken.update(broken)
        left = set(TRANSACTIONAL) - violated_by(self.broken)
        certain = not isinstance(facts, RegisterFacts) and all(len(t) < 2 for t in facts.tail.values())
        if not left or certain or not (self.anomalies or isinstance(facts, RegisterFacts)):
            return
        decision = decide(facts, graph, frozenset(left), self.spend)
        self.undecided = decision.limit
        statuses.update(dict.fromkeys(decision.valid, Status.VALID))
        for model, steps in decision.cycles.items():
            if not any(broken in decision.cycles for broken in weaker_than(model) - {model}):
                self.anomalies.append(self._from_steps(model, steps, facts, graph))
        self.broken.update(decision.violated)

    def _from_steps(self, model: str, steps: list[Step], facts: Facts, graph: Graph) -> Verdict:
        """A model that no order of the versions has: a cycle that one of them makes."""
        name = SHOWN_BY[model]
        edges = tuple(_edge(facts, graph, *step) for step in steps)
        words = "; ".join(edge.reason for edge in edges)
        return Verdict(
            status=Status.VIOLATION,
            model=model,
            data_type=self.data_type,
            key=next((edge.key for edge in edges if edge.key is not None), None),
            operations=len(self.history),
            explanation=f"{name}: no order of the versions is {model}. In one of them: {words}: each comes "
            "before the next, and the last before the first.",
            witness=_by_invocation([facts.all[place].operation for step in steps for place in step[:2]]),
            anomaly=name,
            cycle=edges,
        )


def _broken_models(facts: Facts, graph: Graph) -> frozenset[str]:
    """The models that cycles of what is certain break."""
    broken: set[str] = set()
    if has_cycle(graph, _ALL | PROCESS | REAL_TIME):
        if has_cycle(dirty_writes(facts), WW):
            broken.add("read-uncommitted")
        if has_cycle(graph, WW | WR):
            broken.add("read-committed")
        tests: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("parallel-snapshot-isolation", lambda: has_single(graph, 0)),
            ("snapshot-isolation", lambda: has_spaced(graph, 0)),
            ("strong-session-snapshot-isolation", lambda: has_spaced(graph, PROCESS)),
            ("strong-snapshot-isolation", lambda: has_spaced(graph, PROCESS | REAL_TIME)),
            ("repeatable-read", lambda: has_cycle(graph, _ALL)),
            ("strong-session-serializable", lambda: has_cycle(graph, _ALL | PROCESS)),
            ("strict-serializable", lambda: True),
        )
        for model, test in tests:
            if test():
                broken.add(model)
    return violated_by(broken)


def breaks(verdict: Verdict) -> tuple[str, ...]:
    """The weakest models that exclude this anomaly, as it is here."""
    models = BREAKS.get(verdict.anomaly, ())
    return models if verdict.model in models else (verdict.model,)


def _special(name: str, cycle: Cycle, graph: Graph) -> list[str]:
    """The finer names of a cycle: write skew and long fork."""
    if name == "G-nonadjacent":
        turns = 0 if cycle.kinds[0] == WR else 1
        if (cycle.kinds * 2)[turns : turns + 4] == (WR, RW, WR, RW) and len(cycle.kinds) == 4:
            return ["long-fork"]
    if name != "G2-item":
        return []
    keys: set[Hashable] = set()
    places = cycle.places
    for place, kind in enumerate(cycle.kinds):
        if kind == RW:
            why = graph.why.get((places[place], places[(place + 1) % len(places)], RW))
            keys.add(why.key if why is not None else None)
    if cycle.kinds == (RW, RW) and len(keys) > 1:
        return ["write-skew"]
    return []


def _edge(
    facts: Facts,
    graph: Graph,
    source: int,
    target: int,
    kind: int,
    key: Hashable = None,
    chosen: bool = False,
) -> Edge:
    before, after = facts.all[source], facts.all[target]
    why = graph.why.get((source, target, kind))
    if why is not None:
        key = why.key
    if kind == PROCESS:
        words = f"process {before.operation.process} did {before.name} before {after.name}"
    elif kind == REAL_TIME:
        words = f"{before.name} had completed before {after.name} was invoked"
    elif chosen and kind == WW:
        words = f"{before.name}'s version of {key!r} comes before {after.name}'s (ww, in this order)"
    elif chosen:
        words = f"{before.name} read {key!r} before {after.name}'s version of it (rw, in this order)"
    elif why is None:
        words = f"{before.name} comes before {after.name} ({NAMES[kind]})"
    elif kind == WW:
        words = f"{after.name} wrote {why.after!r} to {key!r} after {before.name}'s {why.before!r} (ww)"
    elif kind == WR:
        words = f"{after.name} read {why.after!r} of {key!r}, which {before.name} wrote (wr)"
    else:
        words = (
            f"{before.name} read {key!r} at {show(why.before)}, before {after.name} wrote {why.after!r} (rw)"
        )
    return Edge(before.operation, after.operation, NAMES[kind], words, key)


def _by_invocation(operations: list[Operation]) -> tuple[Operation, ...]:
    return tuple(sorted({o.index: o for o in operations}.values(), key=lambda o: o.index))
