"""What a history may be about: registers, key-value pairs, collections, or a type of the user's own.

`DATA_TYPES` makes one by name; every class takes options where sources differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from comity.checkers.datatypes.base import ANYTHING, REFUSED, Action, DataType, Goal, Refused, Step, Use
from comity.checkers.datatypes.collections import List, Queue, Set, Stack
from comity.checkers.datatypes.kv import KeyValue
from comity.checkers.datatypes.register import CasRegister, Register
from comity.checkers.datatypes.shared import Bank, Counter, Kafka, MultiRegister, Mutex, UniqueIds
from comity.checkers.errors import UnsuitableHistory
from comity.checkers.semantics import Semantics

__all__ = [
    "ANYTHING",
    "DATA_TYPES",
    "REFUSED",
    "TRANSACTION_TYPES",
    "Action",
    "Bank",
    "CasRegister",
    "Counter",
    "DataType",
    "Goal",
    "Kafka",
    "KeyValue",
    "List",
    "MultiRegister",
    "Mutex",
    "Queue",
    "Refused",
    "Register",
    "Set",
    "Stack",
    "Step",
    "UniqueIds",
    "Use",
    "data_type_named",
]

DATA_TYPES: dict[str, Callable[[Semantics], DataType]] = {
    "register": lambda s: Register(initial=s.initial, nil_read=s.nil_read),
    "cas-register": lambda s: CasRegister(initial=s.initial, nil_read=s.nil_read, failed_cas=s.failed_cas),
    "multi-register": lambda s: MultiRegister(initial=s.initial, nil_read=s.nil_read),
    "kv": lambda s: KeyValue(initial=s.initial, nil_read=s.nil_read, failed_cas=s.failed_cas),
    "mutex": lambda _: Mutex(),
    "counter": lambda s: Counter(initial=s.initial),
    "set": lambda _: Set(),
    "queue": lambda _: Queue(),
    "stack": lambda _: Stack(),
    "list": lambda _: List(),
    "bank": lambda s: Bank(initial=s.initial),
    "unique-ids": lambda _: UniqueIds(),
    "kafka": lambda _: Kafka(),
}
"""Types of single operations, by name."""

TRANSACTION_TYPES: Final = ("list-append", "rw-register")
"""Types of transactions: see `comity.checkers.transactions`."""

_ALIASES = {"commands": "kv"}


def data_type_named(name: str, semantics: Semantics | None = None) -> DataType:
    """The data type of that name, as the source means it. Raises `UnsuitableHistory` where there is none."""
    found = DATA_TYPES.get(_ALIASES.get(name, name))
    if found is None:
        names = ", ".join([*DATA_TYPES, *TRANSACTION_TYPES])
        raise UnsuitableHistory(f"no data type is called {name!r}: choose from {names}")
    return found(semantics if semantics is not None else Semantics())
