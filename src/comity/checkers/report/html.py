"""One self-contained page about a checked history: no network, no library, safe with any values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from comity.checkers import transactions
from comity.checkers.analysis import Analysis
from comity.checkers.datatypes import TRANSACTION_TYPES
from comity.checkers.history import History, Operation, Outcome, Table, canonical, thaw
from comity.checkers.models import SINGLE_OBJECT, TRANSACTIONAL, weaker_than
from comity.checkers.report.page import PAGE
from comity.checkers.report.words import ANOMALY_MEANINGS, MODEL_MEANINGS, headline
from comity.checkers.verdict import Status, Verdict

OPERATIONS = 200_000
"""Operations that a page draws; of a longer history those around the first finding."""
VALUE_CHARACTERS = 120
ELEMENTS = 24
"""Elements of a value that are written: the first few and the last ones, which tell versions apart."""
MICRO_OPERATIONS = 40
VERDICTS = 30
WITNESS = 5_000
"""Operations of a witness, and of the order found, that are marked: the last ones, where it goes wrong."""
CYCLE = 40
FAULTS = 10_000
DATA_MARK: Final = "/*DATA*/"

_LETTERS: Final = {Outcome.OK: "o", Outcome.FAIL: "f", Outcome.INFO: "i"}
_WIDER: Final = {"write-skew": "G2-item", "long-fork": "G-nonadjacent"}
_READS: Final = {"r", "read", "get"}


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
    """What the page shows, in plain values. Operations are columns: see `_columns`."""
    processes = history.all_processes()
    names = [n for n in (*SINGLE_OBJECT, *TRANSACTIONAL) if n in analysis.models]
    verdicts = _verdicts(analysis)
    shown = _shown(history, verdicts)
    began_ns = _beginning(history)
    return {
        "name": name,
        "type": analysis.data_type,
        "transactions": analysis.data_type in TRANSACTION_TYPES,
        "status": analysis.status.value,
        "headline": headline(analysis),
        "established": analysis.established,
        "strongest": analysis.strongest,
        "seconds": round(analysis.seconds, 4),
        "outcomes": history.outcomes(),
        "models": [
            [n, analysis.models[n].value, _next_weaker(n, names), MODEL_MEANINGS.get(n, "")] for n in names
        ],
        "processes": [str(process) for process in processes],
        "keys": len(history.all_keys()),
        "events": history.event_count,
        "total": len(history),
        "operations": _columns(shown, processes, began_ns, None if len(shown) == len(history) else shown),
        "verdicts": verdicts,
        "more_verdicts": max(0, len(analysis.verdicts) - VERDICTS),
        "faults": [
            [place, event.f, _microseconds(event.time, began_ns)] for place, event in history.faults[:FAULTS]
        ],
    }


def _next_weaker(model: str, names: Sequence[str]) -> list[str]:
    """The models of `names` that `model` implies with none of them in between."""
    implied = (weaker_than(model) - {model}) & set(names)
    between = {weaker for other in implied for weaker in weaker_than(other) - {other}}
    return [name for name in names if name in implied - between]


# -- operations


def _shown(history: History, verdicts: Sequence[dict[str, Any]]) -> Sequence[Operation]:
    operations = history.operations
    if len(operations) <= OPERATIONS:
        return operations
    named = {
        index for verdict in verdicts for part in ("witness", "order", "stuck") for index in verdict[part]
    }
    named |= {index for verdict in verdicts for step in verdict["cycle"] for index in step[:2]}
    middle = verdicts[0]["witness"][-1] if verdicts and verdicts[0]["witness"] else 0
    first = min(max(0, middle - OPERATIONS // 2), len(operations) - OPERATIONS)
    named.update(range(first, first + OPERATIONS))
    return [operations[index] for index in sorted(named)]


def _beginning(history: History) -> int | None:
    """The earliest time, in nanoseconds; None where times are missing or only count events."""
    times = [o.invoked_ns for o in history.operations if o.invoked_ns is not None]
    if not times or len(times) < len(history):
        return None
    first, last = min(times), max(times)
    return first if last - first > 100 * history.event_count else None


def _microseconds(time_ns: int | None, began_ns: int | None) -> int:
    return -1 if time_ns is None or began_ns is None else max(0, (time_ns - began_ns) // 1000)


def _columns(
    operations: Sequence[Operation],
    processes: Sequence[Any],
    began_ns: int | None,
    numbered: Sequence[Operation] | None,
) -> dict[str, Any]:
    """The operations by invocation, a list a field.

    f and key are places in `names` and `keys`. asked: the value's text; a list of texts, one a
    micro-operation, for transactions; 0 for none. answer: the text of a result that says more than the
    value does, else 0. outcomes: a letter each. completed: the event, -1 for none. begun, ended: in
    microseconds since the first one, -1 where unknown. index: None where nothing was left out.
    """
    rows = {process: row for row, process in enumerate(processes)}
    names: dict[str, int] = {}
    keys: dict[str, int] = {}
    columns: dict[str, Any] = {
        "index": None if numbered is None else [o.index for o in numbered],
        "row": [rows[o.process] for o in operations],
        "f": [names.setdefault(o.f, len(names)) for o in operations],
        "key": [-1 if o.key is None else keys.setdefault(_word(o.key), len(keys)) for o in operations],
        "asked": [_asked(o) for o in operations],
        "answer": [_answer(o) for o in operations],
        "outcomes": "".join([_LETTERS[o.outcome] for o in operations]),
        "invoked": [o.invoked for o in operations],
        "completed": [-1 if o.completed is None else o.completed for o in operations],
    }
    if began_ns is not None:
        columns["begun"] = [_microseconds(o.invoked_ns, began_ns) for o in operations]
        columns["ended"] = [_microseconds(o.completed_ns, began_ns) for o in operations]
    columns["names"] = list(names)
    columns["keys"] = list(keys)
    return columns


def _asked(o: Operation) -> Any:
    if o.f == "txn" and _is_transaction(o.value):
        done = o.result if o.outcome is Outcome.OK and _is_transaction(o.result) else o.value
        steps = [_micro_operation(step, o.outcome) for step in done[:MICRO_OPERATIONS]]
        return steps if len(done) <= MICRO_OPERATIONS else [*steps, f"… {len(done) - MICRO_OPERATIONS} more"]
    if o.value is None or (o.f in _READS and o.outcome is Outcome.OK):
        return 0  # some formats repeat what was read in the invocation
    return _word(o.value)


def _answer(o: Operation) -> Any:
    if o.outcome is not Outcome.OK or (o.f == "txn" and _is_transaction(o.value)):
        return 0
    if o.f in _READS:
        return _word(o.result)
    return 0 if o.result is None or o.result == o.value else _word(o.result)


def _is_transaction(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(step, tuple) and len(step) == 3 for step in value)


def _micro_operation(step: tuple[Any, Any, Any], outcome: Outcome) -> str:
    """`r x [1 2]`, `append x 3`; `r x ?` where what was read is not known."""
    f, key, value = step
    unknown = value is None and f in _READS and outcome is not Outcome.OK
    return f"{f} {_word(key)} {'?' if unknown else _word(value)}"


# -- findings


def _verdicts(analysis: Analysis) -> list[dict[str, Any]]:
    """The findings; one that several models share is told once."""
    told: dict[tuple[str, str, str], dict[str, Any]] = {}
    for verdict in _precise_first(analysis.verdicts)[:VERDICTS]:
        found = _verdict(verdict)
        identity = (found["status"], found["anomaly"], found["explanation"])
        known = told.setdefault(identity, found)
        known["models"] = list(dict.fromkeys([*known["models"], *found["models"]]))
    return list(told.values())


def _precise_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """In their order, but the finer name of a cycle before the wider one it also goes by."""
    first: dict[str, float] = {}
    for place, verdict in enumerate(verdicts):
        first.setdefault(verdict.anomaly, place)
    places = [
        first.get(_WIDER.get(verdict.anomaly, ""), place + 0.5) - 0.5
        for place, verdict in enumerate(verdicts)
    ]
    return [verdicts[place] for place in sorted(range(len(verdicts)), key=places.__getitem__)]


def _verdict(verdict: Verdict) -> dict[str, Any]:
    broken: Sequence[str] = (verdict.model,)
    if verdict.status is Status.VIOLATION and verdict.model in TRANSACTIONAL:
        broken = transactions.breaks(verdict)
    return {
        "status": verdict.status.value,
        "models": list(broken),
        "anomaly": verdict.anomaly,
        "meaning": ANOMALY_MEANINGS.get(verdict.anomaly, ""),
        "key": "" if verdict.key is None else _text(verdict.key),
        "explanation": _shortened(verdict.explanation, 4000),
        "witness": [o.index for o in verdict.witness[-WITNESS:]],
        "witness_operations": len(verdict.witness),
        "order": [o.index for o in verdict.linearization[-WITNESS:]],
        "order_begins": max(0, len(verdict.linearization) - WITNESS) + 1,
        "stuck": [o.index for o in verdict.stuck[-WITNESS:]],
        "cycle": [
            [
                e.source.index,
                e.target.index,
                e.kind,
                "" if e.key is None else _text(e.key),
                _shortened(e.reason, 300),
            ]
            for e in verdict.cycle[:CYCLE]
        ],
        "cycle_steps": len(verdict.cycle),
    }


# -- values


def _text(value: Any) -> str:
    """A value as people write it: `[1 2 3]`, `{x: 1}`, nil; of what is long the beginning and the end."""
    return _shortened(_written(value), VALUE_CHARACTERS)


def _word(value: Any) -> str:
    """The same beside others: a text with a space in it in quotes."""
    spaced = isinstance(value, str) and any(c.isspace() for c in value)
    return _shortened(json.dumps(value, ensure_ascii=False) if spaced else _written(value), VALUE_CHARACTERS)


def _written(value: Any) -> str:
    if value is None:
        return "nil"
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, Table):
        pairs = [f"{_inner(key)}: {_inner(item)}" for key, item in value[:ELEMENTS]]
        return "{" + ", ".join(pairs + ["…"] * (len(value) > ELEMENTS)) + "}"
    if isinstance(value, frozenset):
        return "{" + " ".join(_some(sorted(value, key=canonical))) + "}"
    if isinstance(value, tuple | list):
        return "[" + " ".join(_some(value)) + "]"
    return json.dumps(thaw(value), default=str)


def _some(values: Sequence[Any]) -> list[str]:
    if len(values) <= ELEMENTS:
        return [_inner(value) for value in values]
    return [_inner(v) for v in values[:4]] + ["…"] + [_inner(v) for v in values[4 - ELEMENTS :]]


def _inner(value: Any) -> str:
    """Inside another value, where a text with a space in it would look like two."""
    if isinstance(value, str) and (not value or any(c in " []{}:," or c.isspace() for c in value)):
        return json.dumps(value, ensure_ascii=False)
    return _written(value)


def _shortened(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    return f"{text[: characters // 2]} … {text[-(characters // 2) :]}"
