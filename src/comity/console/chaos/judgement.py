"""The verdict on a trial: linearizable, every write accounted for, replicas equal, no node fell over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from comity.checkers import Analysis, History, Limits, Report, Status, check_history
from comity.console.chaos.account import Account, account_for, longest_silence_ns, slowest_recovery_ns
from comity.console.chaos.dial import broken, judge_dial
from comity.console.chaos.levels import broken_promises, judge_levels

CHECK_LIMIT_NS = 300_000_000_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything a trial found. problems: what breaks a promise, most telling first.

    digests: node -> (applied index, hex digest); empty when they were not compared. silence_ns: the
    longest time without an acknowledged write; recovery_ns: the longest from the end of a fault to one.
    levels: by weaker level, whether its clients were given what it promises. keyspaces: the same by
    keyspace. losses: of keyspaces that may lose acknowledged writes, in words.
    """

    report: Report
    account: Account
    digests: Mapping[int, tuple[int, str]]
    silence_ns: int
    recovery_ns: int
    problems: tuple[str, ...]
    levels: Mapping[str, Analysis] = field(default_factory=dict)
    keyspaces: Mapping[str, Analysis] = field(default_factory=dict)
    losses: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """A violation when any promise is broken; unknown when the checker could not finish; else valid."""
        if self.problems:
            return Status.VIOLATION
        return self.report.status

    @property
    def exit_status(self) -> int:
        """0 valid, 1 violation, 3 unknown."""
        return {Status.VALID: 0, Status.VIOLATION: 1, Status.UNKNOWN: 3}[self.status]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`."""
        return {
            "status": self.status.value,
            "problems": list(self.problems),
            "linearizable": self.report.to_json(),
            "levels": {
                level: {model: status.value for model, status in analysis.models.items()}
                for level, analysis in self.levels.items()
            },
            "keyspaces": {
                name: {model: status.value for model, status in analysis.models.items()}
                for name, analysis in self.keyspaces.items()
            },
            "losses": dict(self.losses),
            "writes": {
                "acknowledged": self.account.acknowledged,
                "refused": self.account.refused,
                "unknown": self.account.unknown,
                "unaccounted": list(self.account.problems),
            },
            "digests": {str(node): list(digest) for node, digest in sorted(self.digests.items())},
            "longest_unavailability_s": round(self.silence_ns / 1e9, 3),
            "slowest_recovery_s": round(self.recovery_ns / 1e9, 3),
        }


@dataclass(slots=True)
class Evidence:
    """What a trial leaves behind for judgement.

    unexpected: error replies no sound server gives. crashes: nodes that ended by themselves, with
    their last words. missed: recoveries and agreements that did not come in time. faults: when each
    began and was healed, monotonic ns. levels: the histories of clients of weaker levels; keyspaces: of
    keyspaces of every kind.
    """

    history: History
    final: Mapping[str, str | None]
    digests: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    unexpected: Counter[str] = field(default_factory=Counter)
    crashes: Sequence[str] = ()
    missed: Sequence[str] = ()
    faults: Sequence[tuple[int, int]] = ()
    levels: Mapping[str, History] = field(default_factory=dict)
    keyspaces: Mapping[str, History] = field(default_factory=dict)
    losses: Mapping[str, str] = field(default_factory=dict)


def judge(evidence: Evidence, limits: Limits | None = None) -> Judgement:
    """Check everything that was promised."""
    account = account_for(evidence.history, evidence.final)
    report = check_history(evidence.history, "kv", limits or Limits(time_ns=CHECK_LIMIT_NS))
    problems = list(account.problems)
    if report.status is Status.VIOLATION:
        problems.extend(
            f"{verdict.key}: not linearizable. {verdict.explanation}".strip()
            for verdict in report.verdicts
            if verdict.status is Status.VIOLATION
        )
    if len({digest for _, digest in evidence.digests.values()}) > 1:
        each = ", ".join(
            f"node {node}: {digest[:16]}" for node, (_, digest) in sorted(evidence.digests.items())
        )
        index = next(iter(evidence.digests.values()))[0]
        problems.append(f"the replicas differ at index {index}: {each}")
    levels = judge_levels(dict(evidence.levels))
    problems.extend(broken_promises(levels))
    keyspaces = judge_dial(dict(evidence.keyspaces))
    problems.extend(broken(keyspaces))
    problems.extend(evidence.crashes)
    problems.extend(evidence.missed)
    problems.extend(
        f"unexpected error reply, {times} times: {text}" for text, times in evidence.unexpected.items()
    )
    silence_ns, _ = longest_silence_ns(evidence.history)
    recovery_ns = slowest_recovery_ns(evidence.history, evidence.faults)
    return Judgement(
        report,
        account,
        evidence.digests,
        silence_ns,
        recovery_ns,
        tuple(problems),
        levels,
        keyspaces,
        evidence.losses,
    )
