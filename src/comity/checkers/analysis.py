"""Every model that applies, asked of one history: what holds, what does not, and why."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from comity.checkers import linearizability, registers, transactions
from comity.checkers.datatypes import DATA_TYPES, TRANSACTION_TYPES, DataType, data_type_named
from comity.checkers.errors import UnsuitableHistory
from comity.checkers.history import History
from comity.checkers.linearizability import sequential
from comity.checkers.models import MODELS, ON_REQUEST, TRANSACTIONAL, strongest, weaker_than
from comity.checkers.registers import Staleness
from comity.checkers.semantics import Semantics
from comity.checkers.verdict import Limits, Report, Status, Verdict

MODEST_STATES = 1_000
"""How many steps back the search for a sequential order takes where no model was asked for by name."""
STALENESS_OPERATIONS = 300_000
"""Up to so many it is told how stale the reads are: it costs as much as the check itself."""
KNOWN = (*MODELS, *ON_REQUEST)
PARALLEL_FROM = 50_000
"""Operations from which on more than one process is worth its start."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What a history guarantees.

    models: a status for every model that applies, or that was asked for. strongest: the valid ones that
    no other valid one implies. anomalies: names of what was found. verdicts: violations first, then what
    is unknown. seconds: of checking alone, by `Limits.clock_ns`. established: in words. staleness: of
    registers, where linearizable, regular or safe is asked for and some order explains every read.
    """

    data_type: str
    models: dict[str, Status]
    strongest: list[str]
    anomalies: list[str]
    verdicts: tuple[Verdict, ...]
    operations: int
    keys: int
    seconds: float
    established: str
    statistics: dict[str, int | str] = {}
    staleness: Staleness | None = None

    @property
    def status(self) -> Status:
        """Violation if any model is violated, else unknown if any is, else valid."""
        for status in (Status.VIOLATION, Status.UNKNOWN):
            if status in self.models.values():
                return status
        return Status.VALID

    @property
    def exit_status(self) -> int:
        """For a command line: 0 valid, 1 violation, 3 unknown (2 is for input that cannot be used)."""
        return {Status.VALID: 0, Status.VIOLATION: 1, Status.UNKNOWN: 3}[self.status]

    @property
    def explanation(self) -> str:
        """The words of the verdict to look at first, or what was established."""
        return self.verdicts[0].explanation if self.verdicts else self.established

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`."""
        return {
            "status": self.status.value,
            "models": {name: status.value for name, status in self.models.items()},
            "strongest": self.strongest,
            "staleness": None if self.staleness is None else msgspec.to_builtins(self.staleness),
            "anomalies": self.anomalies,
            "type": self.data_type,
            "operations": self.operations,
            "keys": self.keys,
            "seconds": round(self.seconds, 6),
            "established": self.established,
            "statistics": dict(self.statistics),
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
        }


def models_for(history: History, data_type: str | DataType, semantics: Semantics) -> tuple[str, ...]:
    """The models that apply to a history of that type."""
    if data_type in TRANSACTION_TYPES:
        return TRANSACTIONAL
    if _is_plain(data_type) and registers.applies(history, semantics):
        return ("linearizable", *registers.MODELS)
    return ("linearizable", "sequential")


def analyse(
    history: History,
    data_type: str | DataType,
    *,
    semantics: Semantics | None = None,
    models: Sequence[str] | None = None,
    limits: Limits | None = None,
    jobs: int = 1,
    backend: str = "loky",
) -> Analysis:
    """Which models hold of `history`, read as operations on `data_type`.

    models: only these. jobs: processes that check keys side by side, by joblib's `backend`. Raises
    `UnsuitableHistory` for a type or a model that cannot judge it.
    """
    chosen = _Analysis(history, data_type, semantics or Semantics(), limits or Limits(), jobs, backend)
    return chosen.run(models)


class _Analysis:
    def __init__(
        self,
        history: History,
        data_type: str | DataType,
        semantics: Semantics,
        limits: Limits,
        jobs: int,
        backend: str,
    ) -> None:
        self.history = history
        self.data_type = data_type
        self.semantics = semantics
        self.limits = limits
        self.jobs = jobs
        self.backend = backend
        self.began_ns = limits.clock_ns()
        self.deadline_ns = None if limits.time_ns is None else self.began_ns + limits.time_ns
        self.statistics: dict[str, int | str] = {}
        self.asked = False
        self.staleness: Staleness | None = None

    def run(self, models: Sequence[str] | None) -> Analysis:
        applying = models_for(self.history, self.data_type, self.semantics)
        self.asked = models is not None
        wanted = applying if models is None else tuple(dict.fromkeys(models))
        registers_apply = set(registers.MODELS) <= set(applying)
        for model in wanted:
            if model not in MODELS and model not in ON_REQUEST:
                raise UnsuitableHistory(f"no model is called {model!r}: {_meant(model)}")
            if model not in applying and not (model in ON_REQUEST and registers_apply):
                raise UnsuitableHistory(
                    f"{model} cannot be asked of this history: {', '.join(applying)} can (causal and "
                    "session models, regular and safe need plain reads and writes whose values differ)"
                )
        if self.data_type in TRANSACTION_TYPES:
            return self._transactions(wanted)
        return self._objects(wanted, applying)

    def _transactions(self, wanted: Sequence[str]) -> Analysis:
        name = str(self.data_type)
        found = transactions.check(self.history, name, self.limits, self.deadline_ns, self.semantics)
        models = {model: found.models[model] for model in wanted}
        self.statistics.update(found.statistics)
        verdicts = [
            verdict
            for verdict in found.anomalies
            if any(model in weaker_than(asked) for asked in wanted for model in _broken_by(verdict))
        ]
        return self._report(name, models, verdicts, 1)

    def _objects(self, wanted: Sequence[str], applying: Sequence[str]) -> Analysis:
        data_type = (
            data_type_named(self.data_type, self.semantics)
            if isinstance(self.data_type, str)
            else self.data_type
        )
        verdicts: dict[str, list[Verdict]] = {}
        models: dict[str, Status] = {}
        keys = 1
        plain = len(applying) > 2
        if "linearizable" in wanted or not plain:
            report = self._linearizable(data_type)
            models["linearizable"] = report.status
            verdicts["linearizable"] = list(report.verdicts)
            keys = report.keys
            self.statistics.update(report.statistics)
            if report.status is Status.VALID:
                for model in weaker_than("linearizable") - {"eventual"}:
                    models[model] = Status.VALID
                if not any(event.f in registers.QUIESCENT for _, event in self.history.faults):
                    models["eventual"] = Status.VALID
        left = [model for model in wanted if model not in models]
        if left and plain:
            for model, verdict in registers.check(
                self.history, left, self.semantics, self.limits, self.deadline_ns
            ).items():
                models[model] = verdict.status
                verdicts[model] = [verdict]
        if plain and {"linearizable", *ON_REQUEST} & set(wanted):
            self._how_stale(models)
        if left and not plain:
            # Exponential, and mostly a question nobody asked: unless it was, a modest effort.
            limits = self.limits
            if not self.asked:
                limits = msgspec.structs.replace(limits, states=min(limits.states, MODEST_STATES))
            verdict = sequential.check(self.history, data_type, limits, self.deadline_ns)
            models["sequential"] = verdict.status
            verdicts["sequential"] = [verdict]
        asked = {model: models[model] for model in wanted}
        chosen = [
            verdict
            for model in wanted
            for verdict in verdicts.get(model, ())
            if verdict.status is not Status.VALID
        ]
        return self._report(data_type.name, asked, chosen, keys)

    def _how_stale(self, models: dict[str, Status]) -> None:
        if models.get("linearizable") is Status.VALID:
            self.staleness = Staleness(1, 1)
        elif len(self.history) <= STALENESS_OPERATIONS:
            self.staleness = registers.how_stale(self.history, self.semantics, self.limits, self.deadline_ns)

    def _linearizable(self, data_type: DataType) -> Report:
        limits = self.limits
        if self.jobs == 1 or len(self.history) < PARALLEL_FROM:
            return linearizability.check(self.history, data_type, limits)
        from comity.checkers.parallel import check_in_parallel

        return check_in_parallel(self.history, data_type, limits, self.jobs, self.backend)

    def _report(
        self, name: str, models: dict[str, Status], verdicts: Sequence[Verdict], keys: int
    ) -> Analysis:
        ordered = sorted(
            verdicts, key=lambda verdict: (verdict.status is Status.UNKNOWN, len(verdict.witness) > 50)
        )
        holds = strongest(models)
        anomalies = [v.anomaly or f"not {v.model}" for v in ordered if v.status is Status.VIOLATION]
        return Analysis(
            data_type=name,
            models=models,
            strongest=holds,
            anomalies=list(dict.fromkeys(anomalies)),
            verdicts=tuple(ordered),
            operations=len(self.history),
            keys=keys,
            seconds=(self.limits.clock_ns() - self.began_ns) / 1e9,
            established=_established(models, holds),
            statistics=self.statistics,
            staleness=self.staleness,
        )


def _established(models: dict[str, Status], holds: list[str]) -> str:
    open_ones = [name for name, status in models.items() if status is Status.UNKNOWN]
    broken = [name for name, status in models.items() if status is Status.VIOLATION]
    words = [f"the history is {' and '.join(holds)}" if holds else "no model that was asked for holds"]
    if broken:
        words.append(f"it is not {', '.join(broken)}")
    if open_ones:
        words.append(f"a limit was reached before {', '.join(open_ones)} could be decided")
    return "; ".join(words)


def _is_plain(data_type: str | DataType) -> bool:
    name = data_type if isinstance(data_type, str) else data_type.name
    return name in {"register", "cas-register", "kv", "commands"}


def _broken_by(verdict: Verdict) -> Sequence[str]:
    return transactions.breaks(verdict)


def _meant(name: str) -> str:
    """What somebody who asked for a model of that name may have wanted."""
    if name in DATA_TYPES or name in TRANSACTION_TYPES:
        return f"it is a data type, --type {name}; the models are {', '.join(KNOWN)}"
    near = get_close_matches(name, KNOWN, 1)
    return f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(KNOWN)}"
