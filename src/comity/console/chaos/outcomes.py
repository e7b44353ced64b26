"""What an exception of redis-py says about the command that raised it: refused for certain, or unknown.

Wrong in one direction this hides lost writes, in the other it invents violations; so only an error
reply that by its meaning says "not done" counts as refused, and everything else is unknown.
"""

from __future__ import annotations

import redis
from redis import exceptions

from comity.checkers.history import Outcome

REFUSALS = frozenset(
    {
        "BUSY",
        "CLUSTERDOWN",
        "EXECABORT",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
    }
)
"""First words of error replies that promise that nothing was done."""

INDETERMINATE = "INDETERMINATE"
"""First word of the error reply that promises nothing either way."""

CONFLICT = "Watched variable changed."
"""What redis-py says when EXEC was answered with null: a watched key had changed, nothing was done.

It raises the same class when a connection is lost while keys are watched; then EXEC may have happened.
"""

_CODES: dict[type[Exception], str] = {
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.ExecAbortError: "EXECABORT",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.TryAgainError: "TRYAGAIN",
}
"""redis-py takes the first word off these replies and gives the exception a class instead."""


def reply_code(error: BaseException) -> str | None:
    """The first word of the error reply behind an exception; None when there was no reply at all."""
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    told = getattr(error, "status_code", None)
    if told:
        return str(told)
    if isinstance(error, redis.ResponseError):
        return str(error).partition(" ")[0]
    return None


def outcome_of(error: BaseException) -> Outcome:
    """FAIL when the command was certainly not done, INFO when that is unknown."""
    if isinstance(error, exceptions.WatchError):
        return Outcome.FAIL if str(error) == CONFLICT else Outcome.INFO
    return Outcome.FAIL if reply_code(error) in REFUSALS else Outcome.INFO


def unexpected(error: BaseException) -> str | None:
    """An error reply that a sound server never gives to the workload's commands; None when all is well."""
    if isinstance(error, exceptions.WatchError):
        return None
    code = reply_code(error)
    if code is None or code in REFUSALS or code == INDETERMINATE:
        return None
    return str(error) if str(error).startswith(code) else f"{code} {error}"


def connection_usable(error: BaseException) -> bool:
    """Whether the connection can go on: after an error reply or a conflict, not after silence or loss."""
    if isinstance(error, exceptions.WatchError):
        return str(error) == CONFLICT
    return isinstance(error, redis.ResponseError)
