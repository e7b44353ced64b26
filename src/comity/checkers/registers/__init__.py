"""Models of registers beyond linearizability, decided in polynomial time where each value is written once.

What each model means: docs/reference/consistency-models.md. `applies` says whether a history is one that
can be judged here: only reads and writes, and no value written twice to a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec

from comity.checkers.history import History, Operation
from comity.checkers.models import ON_REQUEST
from comity.checkers.registers.problem import INITIAL, Registers, applies, in_order
from comity.checkers.registers.regular import wrong_read
from comity.checkers.registers.saturation import (
    Budget,
    Closure,
    Limited,
    Step,
    causality,
    is_circular,
    pram_order,
)
from comity.checkers.registers.sequential import saturated, search
from comity.checkers.registers.sessions import (
    Conflict,
    monotonic_reads,
    monotonic_writes,
    read_your_writes,
    writes_follow_reads,
)
from comity.checkers.registers.staleness import Staleness, bounds
from comity.checkers.registers.timeline import timelines
from comity.checkers.registers.words import value_of, who
from comity.checkers.semantics import Semantics
from comity.checkers.verdict import Edge, Limits, Status, Verdict

MODELS = (
    "sequential",
    "causal",
    "causal-convergence",
    "pram",
    "read-your-writes",
    "monotonic-reads",
    "monotonic-writes",
    "writes-follow-reads",
    "eventual",
)
QUIESCENT = frozenset({"quiesce", "quiescent", "final"})
"""A fault event of this name marks the quiescent end: reads invoked after it are final."""

__all__ = ["MODELS", "QUIESCENT", "Staleness", "applies", "check", "how_stale"]


def check(
    history: History,
    models: Sequence[str],
    semantics: Semantics,
    limits: Limits,
    deadline_ns: int | None = None,
) -> dict[str, Verdict]:
    """One verdict a model, of `MODELS` and `ON_REQUEST`, in the order given. The history must be one that
    `applies`."""
    return _Check(history, semantics, limits, deadline_ns).run(models)


def how_stale(
    history: History, semantics: Semantics, limits: Limits, deadline_ns: int | None = None
) -> Staleness | None:
    """How old what was read is: see `comity.checkers.registers.staleness`. None also where the time was up.
    The history must be one that `applies`."""
    try:
        return bounds(history, semantics, Budget(limits, deadline_ns))
    except Limited:
        return None


class _Check:
    def __init__(
        self, history: History, semantics: Semantics, limits: Limits, deadline_ns: int | None
    ) -> None:
        self.history = history
        self.semantics = semantics
        self.limits = limits
        self.budget = Budget(limits, deadline_ns)
        self._causal: Closure | None = None

    @cached_property
    def problem(self) -> Registers:
        """The history as the models that know nothing of real time see it."""
        return Registers(self.history, self.semantics)

    def run(self, models: Sequence[str]) -> dict[str, Verdict]:
        verdicts: dict[str, Verdict] = {}
        broken: Verdict | None = None
        unknown = ""
        if any(model not in ON_REQUEST for model in models):
            try:
                broken = self.base()
            except Limited as error:
                unknown = str(error)
        for model in models:
            if model in ON_REQUEST:
                verdicts[model] = self.read_by_read(model)
                continue
            if broken is not None:
                verdicts[model] = _as_model(broken, model)
                continue
            try:
                if unknown:
                    raise Limited(unknown)
                verdicts[model] = self.model(model)
            except Limited as error:
                verdicts[model] = self.verdict(
                    model, Status.UNKNOWN, f"the {error} was reached before {model} was decided."
                )
        return verdicts

    def model(self, model: str) -> Verdict:
        """One model, whose base holds."""
        problem, budget = self.problem, self.budget
        if model == "read-your-writes":
            return self.from_conflict(model, read_your_writes(problem, budget))
        if model == "monotonic-reads":
            return self.from_conflict(model, monotonic_reads(problem, budget))
        if model == "monotonic-writes":
            return self.from_conflict(model, monotonic_writes(problem, budget))
        if model == "eventual":
            return self.eventual()
        # The others keep sets of writes; whether there is room for them is known before any is made.
        budget.room_for_sets(len(problem.writes) if model == "pram" else len(problem), len(problem.writes))
        if model == "writes-follow-reads":
            return self.from_conflict(model, writes_follow_reads(problem, self.causal(), budget))
        if model == "causal-convergence":
            return self.convergence()
        if model in {"pram", "causal"}:
            return self.views(model)
        if model == "sequential":
            return self.sequential()
        raise ValueError(f"{model} is not decided on registers here")

    def causal(self) -> Closure:
        """Causality, closed; the base must hold."""
        if self._causal is None:
            self._causal = causality(self.problem, self.budget)
            self._causal.close()
        return self._causal

    # -- the models

    def base(self) -> Verdict | None:
        """What every model asks: values that were written, and causality without a cycle."""
        found = self.problem.thin_air
        if found is not None:
            words = "was never written" if found.write is None else "was written by a write that failed"
            operations = (found.read,) if found.write is None else (found.write, found.read)
            return self.verdict(
                "",
                Status.VIOLATION,
                f"process {found.read.process} read {value_of(found.read)}, which {words}.",
                operations,
                anomaly="thin-air read",
            )
        self.budget.spend()
        if is_circular(self.problem):
            closure = causality(self.problem, self.budget)
            closure.close()
            return self.from_cycle("", closure.cycle, "causality cycle")
        return None

    def eventual(self) -> Verdict:
        """After the quiescent end, if the history marks one, all final reads of a key agree."""
        marks = [place for place, event in self.history.faults if event.f in QUIESCENT]
        if not marks:
            return self.verdict("eventual", Status.VALID)
        final: dict[Any, dict[Any, int]] = {}
        problem = self.problem
        for place, o in enumerate(problem.operations):
            if not problem.is_write[place] and o.invoked > marks[-1]:
                final.setdefault(problem.keys[place], {})[o.process] = place
        for key, reads in final.items():
            places = list(reads.values())
            for other in places[1:]:
                if problem.writer[other] != problem.writer[places[0]]:
                    first, second = problem.operations[places[0]], problem.operations[other]
                    return self.verdict(
                        "eventual",
                        Status.VIOLATION,
                        f"after the end, process {first.process} read {value_of(first)} and process "
                        f"{second.process} read {value_of(second)} of key {key!r}.",
                        (first, second),
                        anomaly="divergence",
                    )
        return self.verdict("eventual", Status.VALID)

    def convergence(self) -> Verdict:
        """Of what is in a read's causal past, the last write to its key in one order for all."""
        problem, model = self.problem, "causal-convergence"
        causal = self.causal()
        reads = [place for place in range(len(problem)) if not problem.is_write[place]]
        closure = causality(problem, self.budget)
        for read in reads:
            others = causal.past[read] & problem.key_masks.get(problem.keys[read], 0)
            source = problem.writer[read]
            if source == INITIAL:
                if others:
                    write = problem.writes_in(others & -others)[0]
                    return self.from_initial(model, causal, read, write)
                continue
            others &= ~(causal.past[source] | problem.bits[source])
            for other in problem.writes_in(others):
                closure.add(other, source, "derived", read)
        if closure.close():
            return self.verdict(model, Status.VALID)
        return self.from_cycle(model, closure.cycle, "conflicting arbitration")

    def views(self, model: str) -> Verdict:
        """A view for every process: of its operations and all writes."""
        problem = self.problem
        for chain in problem.by_process.values():
            reads = [place for place in chain if not problem.is_write[place]]
            if not reads:
                continue
            closure = (
                pram_order(problem, self.budget, reads)
                if model == "pram"
                else causality(problem, self.budget)
            )
            if not closure.saturate(reads):
                return self.from_cycle(model, closure.cycle, "stale read")
            contradiction = closure.initial_contradiction(reads)
            if contradiction is not None:
                return self.from_initial(model, closure, *contradiction)
        return self.verdict(model, Status.VALID)

    def sequential(self) -> Verdict:
        """One view of everything that keeps session order."""
        model = "sequential"
        closure, cycle = saturated(self.problem, self.budget)
        if cycle:
            return self.from_cycle(model, cycle, "stale read")
        order = search(self.problem, closure, self.budget, self.limits.states)
        if order is not None:
            return self.verdict(model, Status.VALID)
        return self.verdict(
            model,
            Status.VIOLATION,
            "every order that keeps each process's own was ruled out by search; no short cycle shows it.",
            tuple(self.problem.operations),
            anomaly="no sequential order",
        )

    def read_by_read(self, model: str) -> Verdict:
        """Regular and safe registers: real time alone says what each read may have returned."""
        try:
            found = wrong_read(timelines(self.history, self.semantics), model == "safe", self.budget)
        except Limited as error:
            return self.verdict(model, Status.UNKNOWN, f"the {error} was reached before {model} was decided.")
        if found is None:
            return self.verdict(model, Status.VALID)
        return self.verdict(
            model,
            Status.VIOLATION,
            f"{found.words}.",
            found.operations,
            found.anomaly,
            key=found.operations[-1].key,
        )

    # -- verdicts

    def verdict(
        self,
        model: str,
        status: Status,
        explanation: str = "",
        witness: Sequence[Operation] = (),
        anomaly: str = "",
        cycle: Sequence[Edge] = (),
        key: Any = None,
    ) -> Verdict:
        return Verdict(
            status=status,
            model=model,
            data_type="register",
            key=key,
            operations=len(self.history),
            explanation=explanation,
            witness=in_order(witness),
            anomaly=anomaly,
            cycle=tuple(cycle),
        )

    def from_conflict(self, model: str, conflict: Conflict | None) -> Verdict:
        """A session guarantee's verdict."""
        if conflict is None:
            return self.verdict(model, Status.VALID)
        operations = [self.problem.operations[place] for place in conflict.operations]
        return self.verdict(
            model,
            Status.VIOLATION,
            f"{conflict.words}.",
            operations,
            conflict.anomaly,
            key=operations[-1].key,
        )

    def from_initial(self, model: str, closure: Closure, read: int, write: int) -> Verdict:
        """A read of the initial value though a write to the key comes before it."""
        steps = closure.path(write, read)
        late, early = self.problem.operations[read], self.problem.operations[write]
        return self.verdict(
            model,
            Status.VIOLATION,
            f"process {late.process} read {value_of(late)}, the initial value, though {who(early)} came "
            f"before: {self.words(steps)}.",
            self.members(steps),
            "stale read",
            [
                *self.edges(steps),
                Edge(
                    source=late, target=early, kind="initial", reason="read the initial value", key=late.key
                ),
            ],
            late.key,
        )

    def from_cycle(self, model: str, cycle: Sequence[Step], anomaly: str) -> Verdict:
        """Operations each of which has to come before the next, around."""
        return self.verdict(
            model,
            Status.VIOLATION,
            f"each of these has to come before the next, and the last before the first: {self.words(cycle)}.",
            self.members(cycle),
            anomaly,
            self.edges(cycle),
            self.problem.keys[cycle[0].before] if cycle else None,
        )

    def members(self, steps: Sequence[Step]) -> list[Operation]:
        """The operations of a chain, with the reads that its derived steps follow from."""
        places = [place for step in steps for place in (step.before, step.after)]
        places += [step.via for step in steps if step.via >= 0]
        return [self.problem.operations[place] for place in places]

    def edges(self, steps: Sequence[Step]) -> list[Edge]:
        """The steps for reports."""
        operations = self.problem.operations
        return [
            Edge(
                source=operations[step.before],
                target=operations[step.after],
                kind=step.kind,
                reason=self.reason(step),
                key=self.problem.keys[step.after],
            )
            for step in steps
        ]

    def words(self, steps: Sequence[Step]) -> str:
        """The chain in words."""
        return "; ".join(
            f"{who(edge.source)} before {who(edge.target)} ({edge.reason})" for edge in self.edges(steps)
        )

    def reason(self, step: Step) -> str:
        """Why one step holds."""
        operations = self.problem.operations
        if step.kind == "session":
            return f"process {operations[step.before].process} did them in this order"
        if step.kind == "reads-from":
            return "it was read"
        read = operations[step.via]
        if step.before == step.via:
            return f"process {read.process} read {value_of(read)}, not what came after it"
        return f"process {read.process} read {value_of(read)} though the other write was before it"


def _as_model(verdict: Verdict, model: str) -> Verdict:
    return msgspec.structs.replace(verdict, model=model)
