"""Locks: decided in O(n log n).

From the return of its acquire to the invocation of its release a process surely holds the lock. Such
times must not overlap, and their order is that of the holders, which is then all that is open: each
acquire and each release is placed as early as it can be. That intervals which must not overlap decide
such histories is from Phillip Gibbons and Ephraim Korach, "Testing Shared Memories", SIAM J. Computing
1997. A lock that is never given back may be given back after everything else; an acquire of unknown
outcome, after which its process does nothing, only gets in the way, and is left out.
"""

from __future__ import annotations

import msgspec

from comity.checkers.history import Operation, Outcome, Process
from comity.checkers.linearizability.problem import NEVER, Problem

ACQUIRES = frozenset({"acquire", "lock"})
RELEASES = frozenset({"release", "unlock"})


class Hold(msgspec.Struct, gc=False):
    """A process's acquire and the invocation of its release, as events; `NEVER` where there is none."""

    acquire_invoked: int
    acquire_returned: int
    token: int | None
    release_invoked: int = NEVER


def has_lock_order(problem: Problem) -> bool | None:
    """Whether there is an order; None where a process goes on after an operation of unknown outcome."""
    holds: list[Hold] = []
    held: dict[Process, Hold] = {}
    gone: set[Process] = set()
    operations = sorted((*problem.required, *problem.optional), key=lambda operation: operation.invoked)
    for operation in operations:
        if operation.process in gone:
            return None
        known = operation.outcome is Outcome.OK
        if not known:
            gone.add(operation.process)
        hold = held.get(operation.process)
        if operation.f in RELEASES:
            if hold is not None:
                hold.release_invoked = operation.invoked
                del held[operation.process]
            elif known:
                return False
        elif known:
            if hold is not None:
                return False
            assert operation.completed is not None
            hold = Hold(operation.invoked, operation.completed, _token(operation))
            held[operation.process] = hold
            holds.append(hold)
    holds.sort(key=lambda hold: hold.acquire_returned)
    return _follow_each_other(holds)


def _token(operation: Operation) -> int | None:
    told = operation.result
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def _follow_each_other(holds: list[Hold]) -> bool:
    moment = -1
    token: int | None = None
    for hold in holds:
        moment = max(moment, hold.acquire_invoked)
        if moment >= hold.acquire_returned:
            return False
        if hold.token is not None:
            if token is not None and hold.token <= token:
                return False
            token = hold.token
        # It is released after the acquire has returned, so there is always room for that.
        moment = hold.release_invoked
    return True
