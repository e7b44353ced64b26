"""What does a history really guarantee? From recorded operations to a verdict.

    reading = open_history("history.edn")
    analysis = analyse(reading.history, "register", semantics=reading.semantics)
    print(analysis.strongest, analysis.explanation)

`check_history` asks for linearizability alone. A verdict is valid, violation (with a small witness) or
unknown (a limit was reached). Input that cannot be understood raises; nothing half-read is ever called
valid.
"""

from __future__ import annotations

from comity.checkers.analysis import Analysis, analyse, models_for
from comity.checkers.datatypes import (
    DATA_TYPES,
    REFUSED,
    TRANSACTION_TYPES,
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
from comity.checkers.inputs import (
    FORMATS,
    JsonLinesWriter,
    Reading,
    open_history,
    read_events,
    read_history,
    write_history,
)
from comity.checkers.linearizability import check
from comity.checkers.models import MODELS
from comity.checkers.recorder import Recorder
from comity.checkers.recording import Method, PromiseBroken, Recording
from comity.checkers.semantics import Semantics
from comity.checkers.verdict import Edge, Limits, Report, Status, Verdict

__all__ = [
    "DATA_TYPES",
    "FORMATS",
    "MODELS",
    "NEMESIS",
    "REFUSED",
    "Analysis",
    "CasRegister",
    "CheckerError",
    "DataType",
    "Edge",
    "Event",
    "EventType",
    "History",
    "HistoryBuilder",
    "HistoryError",
    "JsonLinesWriter",
    "KeyValue",
    "Limits",
    "Method",
    "Operation",
    "Outcome",
    "Process",
    "PromiseBroken",
    "Reading",
    "Recorder",
    "Recording",
    "Refused",
    "Register",
    "Report",
    "Semantics",
    "Status",
    "Table",
    "UnsuitableHistory",
    "Verdict",
    "analyse",
    "check_history",
    "data_type_named",
    "freeze",
    "models_for",
    "open_history",
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
    if model_name in TRANSACTION_TYPES:
        raise UnsuitableHistory(f"{model_name} is about transactions: ask `analyse` for its isolation levels")
    data_type = data_type_named(model_name) if isinstance(model_name, str) else model_name
    return check(history, data_type, limits if limits is not None else Limits())
