"""One self-contained page about a checked history: no network, no library, safe with any values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from comity.checkers.analysis import Analysis
from comity.checkers.history import History, Operation, thaw
from comity.checkers.models import IMPLIES, SINGLE_OBJECT, TRANSACTIONAL
from comity.checkers.report.page import PAGE
from comity.checkers.verdict import Verdict

VALUE_CHARACTERS = 120
VERDICTS = 30
DATA_MARK = "/*DATA*/"


def write_page(path: Path, name: str, history: History, analysis: Analysis) -> None:
    """Write the page. Raises OSError."""
    path.write_text(page(name, history, analysis), encoding="utf-8")


def page(name: str, history: History, analysis: Analysis) -> str:
    """The page as text. Data goes in as JSON in which no tag can begin or end."""
    text = json.dumps(page_data(name, history, analysis), separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return PAGE.replace(DATA_MARK, text)


def page_data(name: str, history: History, analysis: Analysis) -> dict[str, Any]:
    """What the page shows, in plain values. An operation is [index, row, f, key, value, result, outcome,
    invoked, completed or -1]."""
    processes = history.all_processes()
    rows = {process: row for row, process in enumerate(processes)}
    names = [n for n in (*SINGLE_OBJECT, *TRANSACTIONAL) if n in analysis.models]
    return {
        "name": name,
        "type": analysis.data_type,
        "status": analysis.status.value,
        "established": analysis.established,
        "strongest": analysis.strongest,
        "seconds": round(analysis.seconds, 4),
        "outcomes": history.outcomes(),
        "models": [[n, analysis.models[n].value, [m for m in IMPLIES[n] if m in names]] for n in names],
        "processes": [str(process) for process in processes],
        "events": history.event_count,
        "operations": [_operation(o, rows[o.process]) for o in history.operations],
        "verdicts": [_verdict(verdict) for verdict in analysis.verdicts[:VERDICTS]],
        "faults": [[place, event.f] for place, event in history.faults][:10_000],
    }


def _operation(o: Operation, row: int) -> list[Any]:
    end = -1 if o.completed is None else o.completed
    return [o.index, row, o.f, _text(o.key), _text(o.value), _text(o.result), o.outcome.value, o.invoked, end]


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "status": verdict.status.value,
        "model": verdict.model,
        "anomaly": verdict.anomaly,
        "key": _text(verdict.key),
        "explanation": verdict.explanation[:4000],
        "witness": [o.index for o in verdict.witness],
        "order": [o.index for o in verdict.linearization],
        "stuck": [o.index for o in verdict.stuck],
        "cycle": [[e.source.index, e.target.index, e.kind, e.reason[:300]] for e in verdict.cycle],
    }


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(thaw(value), default=str)
    return text if len(text) <= VALUE_CHARACTERS else text[:VALUE_CHARACTERS] + "…"
