"""What does a history really guarantee? From recorded operations to a verdict.

    history = read_history("history.jsonl")
    report = check_history(history, "kv")
    print(report.status, report.explanation)

A verdict is valid, violation (with the smallest failing prefix) or unknown (a limit was reached). Input
that cannot be understood raises; nothing half-read is ever called valid.
"""

from __future__ import annotations

from comity.checkers.datatypes import (
    DATA_TYPES,
    REFUSED,
    CasRegister,
    DataType,
    KeyValue,
    Refused,
    Register,
    data_type_named,
)
from comity.checkers.errors import CheckerError, HistoryError, UnsuitableHistory
from comity.checkers.history import (
    NEMESIS,
    Event,
    EventType,
    History,
    HistoryBuilder,
    Operation,
    Outcome,
    Process,
    Table,
    freeze,
    thaw,
)
from comity.checkers.inputs import FORMATS, JsonLinesWriter, read_events, read_history, write_history
from comity.checkers.linearizability import check
from comity.checkers.recorder import Recorder
from comity.checkers.verdict import Limits, Report, Status, Verdict

__all__ = [
    "DATA_TYPES",
    "FORMATS",
    "NEMESIS",
    "REFUSED",
    "CasRegister",
    "CheckerError",
    "DataType",
    "Event",
    "EventType",
    "History",
    "HistoryBuilder",
    "HistoryError",
    "JsonLinesWriter",
    "KeyValue",
    "Limits",
    "Operation",
    "Outcome",
    "Process",
    "Recorder",
    "Refused",
    "Register",
    "Report",
    "Status",
    "Table",
    "UnsuitableHistory",
    "Verdict",
    "check_history",
    "data_type_named",
    "freeze",
    "read_events",
    "read_history",
    "thaw",
    "write_history",
]


def check_history(
    history: History, model_name: str | DataType = "kv", limits: Limits | None = None
) -> Report:
    """Is `history` linearizable as the named data type, or as one of your own?

    model_name: a name of `DATA_TYPES` ("commands" is "kv"), or a `DataType` with options. Raises
    `UnsuitableHistory` for a name or a history that cannot be judged.
    """
    data_type = data_type_named(model_name) if isinstance(model_name, str) else model_name
    return check(history, data_type, limits if limits is not None else Limits())
