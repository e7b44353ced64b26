"""Where sources of histories differ in what a line means, and the choice made for each."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

NilRead = Literal["initial", "wildcard"]
FailedCas = Literal["compare-failed", "did-not-happen"]


class Semantics(msgspec.Struct, frozen=True, kw_only=True):
    """What a history's operations mean, beside their data type.

    initial: the value of a register before any write, or of every key that has no entry of its own where
        it is a `Table` (multi-register). nil_read: what an ok read of nil says: the register held its
        initial value (where that is nil), or nothing at all. failed_cas: a failed compare-and-set found
        another value than it compared with (so it is a read of "not that"), or did not happen.
    """

    initial: Any = None
    nil_read: NilRead = "initial"
    failed_cas: FailedCas = "did-not-happen"
