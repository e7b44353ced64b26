"""Operations on registers as explanations call them."""

from __future__ import annotations

from comity.checkers.datatypes.register import READS
from comity.checkers.history import Operation


def value_of(o: Operation) -> str:
    """What was read or written, with its key: `x=4`, `nothing`."""
    told = o.result if o.f in READS else o.value
    words = "nothing" if told is None else repr(told)
    return words if o.key is None else f"{o.key}={words}"


def who(o: Operation) -> str:
    """`process 3's write of x=4`."""
    return f"process {o.process}'s {o.f} of {value_of(o)}"
