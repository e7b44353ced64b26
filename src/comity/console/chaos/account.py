"""Every acknowledged write accounted for, by plain bookkeeping beside the linearizability check.

It needs no search and says in one sentence which write was lost, so it is what people read first:

    ledger     an acknowledged value is there at the end; a refused one is not
    log        an acknowledged word is there exactly once; one of unknown outcome at most once
    counter    between the acknowledged INCRs and those plus the unknown ones; no answer given twice
    register   the last value is one that somebody may have written, and no acknowledged write that began
               after that one was acknowledged is missing

Keys are read after the cluster is whole again, so `final` is what a client finds then.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from comity.checkers.history import History, Operation, Outcome
from comity.console.chaos.keyspace import Kind, kind_of

WRITES = frozenset({"SET", "cas", "INCR", "APPEND"})


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the writes. problems: one sentence each; empty when every write is accounted for."""

    acknowledged: int
    refused: int
    unknown: int
    problems: tuple[str, ...]


def account_for(history: History, final: Mapping[str, str | None]) -> Account:
    """Compare the writes of a history with what was found at the end, key -> value or None.

    A key of the history that final lacks is a problem too: it was not looked for.
    """
    counts: Counter[Outcome] = Counter()
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        if operation.f in WRITES:
            counts[operation.outcome] += 1
            by_key[operation.key].append(operation)
    problems: list[str] = []
    for key, writes in by_key.items():
        if key not in final:
            problems.append(f"{key} was written and not looked for at the end")
            continue
        problems.extend(_problems(key, writes, final[key]))
    return Account(counts[Outcome.OK], counts[Outcome.FAIL], counts[Outcome.INFO], tuple(problems))


def _problems(key: str, writes: Sequence[Operation], found: str | None) -> Iterator[str]:
    kind = kind_of(key)
    if kind is Kind.COUNTER:
        return _counter(key, writes, found)
    if kind is Kind.LOG:
        return _log(key, writes, found or "")
    return _register(key, writes, found)


def written_value(operation: Operation) -> str:
    """The value a set or cas writes."""
    return str(operation.value[1] if operation.f == "cas" else operation.value)


def _register(key: str, writes: Sequence[Operation], found: str | None) -> Iterator[str]:
    possible = {written_value(write) for write in writes if write.outcome is not Outcome.FAIL}
    acknowledged = [write for write in writes if write.outcome is Outcome.OK]
    if found is None:
        if acknowledged:
            yield f"{key}: {_who(acknowledged[-1])} was acknowledged, and at the end the key does not exist"
        return
    if found in possible:
        yield from _lost_since(key, acknowledged, found)
        return
    refused = [write for write in writes if written_value(write) == found]
    if refused:
        yield f"{key}: {_who(refused[0])} was refused, and at the end its value is there"
    else:
        yield f"{key}: at the end it holds {found!r}, which nobody wrote"


def _lost_since(key: str, acknowledged: Sequence[Operation], found: str) -> Iterator[str]:
    """A write begun after the one found was acknowledged, and itself acknowledged, has been undone."""
    kept = [write for write in acknowledged if written_value(write) == found]
    if not kept or kept[0].completed is None:
        return
    later = [write for write in acknowledged if write.invoked > kept[0].completed]
    if later:
        yield (
            f"{key}: {_who(later[-1])} was acknowledged, and at the end the key holds the older "
            f"{found!r}: {len(later)} acknowledged writes lost"
        )


def _log(key: str, writes: Sequence[Operation], found: str) -> Iterator[str]:
    words = Counter(f"{word};" for word in found.split(";") if word)
    for write in writes:
        times = words.pop(write.value, 0)
        if write.outcome is Outcome.OK and times == 0:
            yield f"{key}: {_who(write)} was acknowledged, and at the end it is not in the log"
        elif write.outcome is Outcome.FAIL and times:
            yield f"{key}: {_who(write)} was refused, and at the end it is in the log"
        elif times > 1:
            yield f"{key}: {_who(write)} was sent once, and is in the log {times} times"
    for word in words:
        yield f"{key}: the log holds {word!r}, which nobody appended"


def _counter(key: str, writes: Sequence[Operation], found: str | None) -> Iterator[str]:
    counts = Counter(write.outcome for write in writes)
    value = int(found or 0)
    least, most = counts[Outcome.OK], counts[Outcome.OK] + counts[Outcome.INFO]
    if value < least:
        yield f"{key}: {least} INCRs were acknowledged, and at the end it is {value}: {least - value} lost"
    elif value > most:
        yield f"{key}: at most {most} INCRs can have happened, and at the end it is {value}"
    answers = Counter(write.result for write in writes if write.outcome is Outcome.OK)
    for answer, times in answers.items():
        if times > 1:
            yield f"{key}: INCR answered {answer} {times} times"


def _who(write: Operation) -> str:
    return f"{write.f.upper()} {written_value(write)!r} by process {write.process}"


def acknowledged_ns(history: History) -> list[int]:
    """When each acknowledged write was acknowledged, in order (monotonic ns)."""
    return sorted(
        operation.completed_ns
        for operation in history.operations
        if operation.outcome is Outcome.OK and operation.f in WRITES and operation.completed_ns is not None
    )


def longest_silence_ns(history: History, since_ns: int = 0) -> tuple[int, int]:
    """The longest time in which no write was acknowledged to anybody: (ns, monotonic ns it began at).

    Silences that ended before since_ns do not count, nor what came before the first and after the last
    acknowledgement.
    """
    pairs = itertools.pairwise(acknowledged_ns(history))
    return max(((later - earlier, earlier) for earlier, later in pairs if later >= since_ns), default=(0, 0))


def slowest_recovery_ns(history: History, faults: Sequence[tuple[int, int]]) -> int:
    """The longest time from the end of a fault to the next acknowledged write.

    faults: (began, healed) in monotonic ns. A fault after which the next one began before any write was
    acknowledged says nothing and does not count.
    """
    times = acknowledged_ns(history)
    slowest = 0
    for _, healed_ns in faults:
        place = bisect.bisect_left(times, healed_ns)
        if place == len(times):
            continue
        following = min((other for other, _ in faults if other > healed_ns), default=None)
        if following is None or times[place] <= following:
            slowest = max(slowest, times[place] - healed_ns)
    return slowest
