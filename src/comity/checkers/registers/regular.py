"""Regular and safe registers: what each read by itself may have returned, in O(n log n).

Leslie Lamport, "On Interprocess Communication", Distributed Computing 1986, for one writer. For several a
register is regular here where each read by itself has an order of all writes and that read that keeps real
time (MWR1 of Cheng Shao, Jennifer Welch, Evelyn Pierce, Hyunyoung Lee, "Multiwriter Consistency Conditions
for Shared Memory Registers", SIAM J. Computing 2011). Put the read right after the write it returned: the
rest has an order that fits exactly where that write was not invoked after the read had returned, and no
other write lies wholly between the two. A write of unknown outcome may end at any time, so it lies between
nothing, and overlaps whatever ends after its invocation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from comity.checkers.history import Operation
from comity.checkers.registers.problem import typed
from comity.checkers.registers.saturation import Budget
from comity.checkers.registers.timeline import BEFORE_ALL, NEVER, Timeline, returned
from comity.checkers.registers.words import value_of, who

SPEND_EVERY = 4096


class WrongRead(NamedTuple):
    """A read that cannot have returned what it did: operations, the read last; a name, and words."""

    operations: tuple[Operation, ...]
    anomaly: str
    words: str


def wrong_read(lines: Iterable[Timeline], safe: bool, budget: Budget) -> WrongRead | None:
    """A read that a regular register does not allow, if there is one. safe: only one that overlaps no
    write."""
    for line in lines:
        budget.spend()
        invocations = [write.invoked for write in line.writes]
        over = sorted((returned(write), write.index, write) for write in line.writes)
        ends = [end for end, _, _ in over]
        latest = list(accumulate((write for _, _, write in over), _later))
        for count, read in enumerate(line.reads):
            if count % SPEND_EVERY == 0:
                budget.spend()
            assert read.completed is not None
            ended = bisect_left(ends, read.invoked)
            if safe and bisect_left(invocations, read.completed) > ended:
                continue
            found = _wrong(line, read, latest[ended - 1] if ended else None)
            if found is not None:
                return found
    return None


def _later(write: Operation, other: Operation) -> Operation:
    return write if write.invoked > other.invoked else other


def _wrong(line: Timeline, read: Operation, latest: Operation | None) -> WrongRead | None:
    """What is wrong with one read. latest: of the writes that had returned before it, the one that was
    invoked last."""
    assert read.completed is not None
    try:
        source = line.source_of(read)
    except KeyError:
        failed = line.failed.get(typed(read.result))
        known = "was never written" if failed is None else "was written by a write that failed"
        return WrongRead(
            (read,) if failed is None else (failed, read),
            "thin-air read",
            f"process {read.process} read {value_of(read)}, which {known}",
        )
    if source is not None and source.invoked > read.completed:
        return WrongRead(
            (source, read),
            "future read",
            f"process {read.process} read {value_of(read)} before {who(source)} was invoked",
        )
    end = BEFORE_ALL if source is None else returned(source)
    if latest is None or end == NEVER or latest.invoked < end:
        return None
    told, between = "the initial value", "before the read began"
    if source is not None:
        told = f"what process {source.process} had written"
        between = f"after that write and {between}"
    return WrongRead(
        (latest, read) if source is None else (source, latest, read),
        "stale read",
        f"process {read.process} read {value_of(read)}, {told}, though {who(latest)} lies wholly {between}",
    )
