"""What a history may be about: registers, key-value pairs, or a type of the user's own.

`DATA_TYPES` makes one by name with its defaults; every class takes options where sources differ.
"""

from __future__ import annotations

from collections.abc import Callable

from comity.checkers.datatypes.base import ANYTHING, REFUSED, Action, DataType, Goal, Refused, Step, Use
from comity.checkers.datatypes.kv import KeyValue
from comity.checkers.datatypes.register import CasRegister, Register
from comity.checkers.errors import UnsuitableHistory

__all__ = [
    "ANYTHING",
    "DATA_TYPES",
    "REFUSED",
    "Action",
    "CasRegister",
    "DataType",
    "Goal",
    "KeyValue",
    "Refused",
    "Register",
    "Step",
    "Use",
    "data_type_named",
]

DATA_TYPES: dict[str, Callable[[], DataType]] = {
    "register": Register,
    "cas-register": CasRegister,
    "kv": KeyValue,
}

_ALIASES = {"commands": "kv"}


def data_type_named(name: str) -> DataType:
    """The data type of that name. Raises `UnsuitableHistory` where there is none."""
    found = DATA_TYPES.get(_ALIASES.get(name, name))
    if found is None:
        raise UnsuitableHistory(f"no data type is called {name!r}: choose from {', '.join(DATA_TYPES)}")
    return found()
