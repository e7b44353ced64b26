"""A verdict in plain words: the headline of a page, and what each model and anomaly means in one line.

The exact meanings are in docs/reference/consistency-models.md; these lines are reminders of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from comity.checkers.analysis import Analysis
from comity.checkers.models import weaker_than
from comity.checkers.verdict import Status

NAMED = 3
"""Models that a headline names before it says how many more there are."""

Tone = Literal["valid", "violation", "unknown", ""]

MODEL_MEANINGS: Final = {
    "linearizable": "one order of all operations, in real time, explains every answer",
    "sequential": "one order of all operations, each process's in its own order, explains every answer",
    "causal": "each process sees its operations and all writes in an order that keeps what caused what",
    "causal-convergence": "writes have one order for all; a read returns the last of those it knows of",
    "pram": "each process sees its operations and all writes, every process's in its own order",
    "read-your-writes": "a process that wrote reads its write, or what came after it",
    "monotonic-reads": "a process that read a value never reads an older one later",
    "monotonic-writes": "whoever sees a write sees what the same process wrote before it",
    "writes-follow-reads": "whoever sees a write sees what its writer had read before it",
    "eventual": "every value read was written; once all is quiet, final reads agree",
    "strict-serializable": "one order of all transactions, in real time, explains every read",
    "strong-session-serializable": "serializable, and each process's transactions in its own order",
    "serializable": "one order of all transactions explains every read",
    "strong-snapshot-isolation": "snapshot isolation whose snapshots are never older than real time allows",
    "strong-session-snapshot-isolation": "snapshot isolation in which each process sees its own past",
    "snapshot-isolation": "each transaction reads one snapshot; of two writers of a key, one sees the other",
    "parallel-snapshot-isolation": "snapshot isolation whose commits need not have one order for all",
    "repeatable-read": "no cycle of dependencies through items that were read or written",
    "cursor-stability": "no update is lost between a transaction's read of a key and its write",
    "monotonic-atomic-view": "who has seen one write of a transaction sees all of them from then on",
    "read-atomic": "all writes of a transaction are seen, or none",
    "read-committed": "nothing is read that was aborted, or that was not final",
    "read-uncommitted": "transactions do not overwrite one another in a circle",
}
"""Model -> what it promises."""

_CYCLES: Final = {
    "G0": "transactions overwrote each other's writes in a circle",
    "G1c": "each transaction depends on the next by what it wrote or read, around in a circle",
    "G-single": "a transaction saw a part of the past and missed another part (a circle with one rw)",
    "G-nonadjacent": "a circle in which no two rw follow one another: no snapshots explain these reads",
    "G2-item": "a circle with rw in it: no order of these transactions explains what they read",
}

ANOMALY_MEANINGS: Final = {
    **_CYCLES,
    **{f"{name}-process": f"{words}, with each process's own order" for name, words in _CYCLES.items()},
    **{f"{name}-realtime": f"{words}, with real time" for name, words in _CYCLES.items()},
    "G1a": "a transaction read what one that failed had written",
    "G1b": "a transaction read what another had written only on the way to its final write",
    "internal": "a transaction did not see its own earlier writes",
    "dirty-update": "what a failed transaction wrote lives on in one that committed",
    "lost-update": "two transactions changed a key from the same version: one change is lost",
    "incompatible-order": "reads disagree about the order in which a key was written",
    "duplicate-elements": "one element was there twice",
    "cyclic-versions": "versions of a key come before one another in a circle",
    "future-read": "a transaction read what it wrote itself only later",
    "garbage-read": "a value was read that nobody wrote",
    "fractured-read": "a transaction saw one write of another and missed another of its writes",
    "vanishing-transaction": "a transaction saw a write of another, and later missed one",
    "write-skew": "two transactions each read what the other then changed",
    "long-fork": "two writes were seen in opposite orders",
    "stale read": "an old value was read though a newer one has to come before",
    "thin-air read": "a value was read that no write which happened had written",
    "causality cycle": "causes lead around in a circle",
    "conflicting arbitration": "no one order of the writes fits what was read",
    "no sequential order": "every order that keeps each process's own was ruled out",
    "divergence": "after the end, final reads disagree",
    "lost own write": "a process did not find what it had written itself",
    "non-monotonic read": "a process read an older value after a newer one",
    "writes out of order": "a later write was seen, and an earlier one of the same process was not",
    "write without what it followed": "a write was seen, and what its writer had read before was not",
}
"""Anomaly -> what happened."""

_CAPITALS: Final = {"pram": "PRAM"}
_HYPHENS: Final = {"read-your-writes", "writes-follow-reads"}


def spoken(model: str) -> str:
    """A model's name in a sentence."""
    if model in _HYPHENS:
        return model
    return _CAPITALS.get(model, model.replace("-", " "))


def headline(analysis: Analysis) -> list[tuple[str, Tone]]:
    """What holds and what does not, as pieces of one sentence, each with the tone it is said in."""
    if not analysis.operations:
        return [("Nothing was done", "valid"), (", so nothing was broken", "")]
    broken = _weakest(analysis, Status.VIOLATION)
    undecided = _weakest(analysis, Status.UNKNOWN)
    pieces: list[tuple[str, Tone]] = []
    if analysis.strongest:
        pieces.append((_listed(analysis.strongest, "and"), "valid"))
        if broken:
            pieces += [(", but not ", ""), (_listed(broken, "or"), "violation")]
        if undecided:
            pieces += [("; undecided: " if broken else "; undecided whether ", "")]
            pieces.append((_listed(undecided, "and" if broken else "or"), "unknown"))
    elif broken:
        at_bottom = any(weaker_than(model) == {model} for model in broken)
        pieces += [("Not even " if at_bottom else "Not ", ""), (_listed(broken, "or"), "violation")]
        if undecided:
            pieces += [("; undecided: ", ""), (_listed(undecided, "and"), "unknown")]
    elif undecided:
        pieces += [("Undecided: ", ""), (_listed(undecided, "and"), "unknown")]
    else:
        pieces.append(("No model was asked for", ""))
    first, tone = pieces[0]
    return [(first[0].upper() + first[1:], tone), *pieces[1:]]


def _weakest(analysis: Analysis, status: Status) -> list[str]:
    """The models of that status that imply no other one of it: where the frontier runs."""
    those = [model for model, known in analysis.models.items() if known is status]
    return [model for model in those if not (weaker_than(model) - {model}) & set(those)]


def _listed(models: Sequence[str], word: str) -> str:
    names = [spoken(model) for model in models[:NAMED]]
    if len(models) > NAMED:
        names.append(f"{len(models) - NAMED} more")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
