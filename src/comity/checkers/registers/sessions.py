"""The four session guarantees, each decided in one pass over every process's reads.

Douglas Terry and others, "Session Guarantees for Weakly Consistent Replicated Data", PDIS 1994; stated
per process, and monotonic writes and writes-follow-reads as far as reads of single keys can observe them
(docs/reference/consistency-models.md). Why single passes suffice:

- read your writes: a process's reads are not ordered among themselves, nor before its later writes, and
  the writes of others are not ordered at all. So whatever others wrote can be put at the end of the view,
  and the only reads that cannot be placed return nothing, or an own write, though a newer own write to
  the key came before them.
- monotonic reads: the keys have nothing to do with one another but through the process's reads, which
  are one chain. On one key the writes are read in groups; no group may come again, and of one session's
  writes a later one may not be read before an earlier one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable
from typing import NamedTuple

from comity.checkers.history import Process
from comity.checkers.registers.problem import INITIAL, Registers
from comity.checkers.registers.saturation import Budget, Closure

SPEND_EVERY = 4096


class Conflict(NamedTuple):
    """Why a guarantee does not hold: operations by place, with what is wrong in words and its name."""

    operations: tuple[int, ...]
    anomaly: str
    words: str


def read_your_writes(problem: Registers, budget: Budget) -> Conflict | None:
    """A read that misses an own earlier write, if there is one."""
    for process, chain in problem.by_process.items():
        newest: dict[Hashable, int] = {}
        budget.spend()
        for place in chain:
            key = problem.keys[place]
            if problem.is_write[place]:
                if problem.bound(place):
                    newest[key] = place
                continue
            own = newest.get(key)
            source = problem.writer[place]
            if own is None or source == own:
                continue
            if source == INITIAL:
                return Conflict(
                    (own, place),
                    "lost own write",
                    f"process {process} read the initial value after its own {_write(problem, own)}",
                )
            theirs = problem.operations[source].process
            older = problem.positions[source] < problem.positions[own] and problem.bound(source)
            if theirs == process and older:
                return Conflict(
                    (source, own, place),
                    "lost own write",
                    f"process {process} read its older {_write(problem, source)} after its own newer "
                    f"{_write(problem, own)}",
                )
    return None


def monotonic_reads(problem: Registers, budget: Budget) -> Conflict | None:
    """A read that goes back behind an earlier one of its process, if there is one."""
    for process, chain in problem.by_process.items():
        budget.spend()
        current: dict[Hashable, tuple[int, int]] = {}
        left: dict[int, int] = {}
        furthest: dict[tuple[Hashable, Process], tuple[int, int]] = {}
        for place in chain:
            if problem.is_write[place]:
                continue
            key, source = problem.keys[place], problem.writer[place]
            before = current.get(key)
            if before is not None and before[0] != source:
                left[before[0]] = before[1]
            current[key] = (source, place)
            if source == INITIAL:
                if before is not None and before[0] != INITIAL:
                    return _back(problem, process, before[1], place, "the initial value")
                continue
            if source in left:
                between = before[1] if before is not None else place
                return _back(problem, process, between, place, "what it had read before that", left[source])
            author = problem.operations[source].process
            newer = furthest.get((key, author))
            position = problem.positions[source]
            # Nothing of its process is bound to come after a write of unknown outcome.
            if newer is not None and position < newer[0] and problem.bound(source):
                return _back(problem, process, newer[1], place, f"an older write of process {author}", source)
            if newer is None or position > newer[0]:
                furthest[key, author] = (position, place)
    return None


def _back(
    problem: Registers, process: Process, newer: int, older: int, what: str, more: int = -1
) -> Conflict:
    sources = [problem.writer[newer], problem.writer[older]]
    places = [*(s for s in sources if s != INITIAL), newer, older, *([more] if more >= 0 else [])]
    return Conflict(
        tuple(dict.fromkeys(places)),
        "non-monotonic read",
        f"process {process} {_read(problem, newer)} and then {_read(problem, older)}: {what}",
    )


class _Chains:
    """The bound writes of each session, by key, with their positions."""

    def __init__(self, problem: Registers) -> None:
        self.positions: dict[tuple[Process, Hashable], list[int]] = {}
        self.places: dict[tuple[Process, Hashable], list[int]] = {}
        self.authors: dict[Hashable, list[Process]] = {}
        for process, chain in problem.by_process.items():
            for place in chain:
                if problem.is_write[place] and problem.bound(place):
                    key = problem.keys[place]
                    if (process, key) not in self.positions:
                        self.authors.setdefault(key, []).append(process)
                    self.positions.setdefault((process, key), []).append(problem.positions[place])
                    self.places.setdefault((process, key), []).append(place)


def monotonic_writes(problem: Registers, budget: Budget) -> Conflict | None:
    """A read that shows a session's writes out of their order, if there is one."""
    chains = _Chains(problem)
    for process, chain in problem.by_process.items():
        budget.spend()
        frontier: dict[Process, tuple[int, int]] = {}
        newest: dict[tuple[Process, Hashable], tuple[int, int]] = {}
        for place in chain:
            if problem.is_write[place]:
                continue
            key, source = problem.keys[place], problem.writer[place]
            if source == INITIAL:
                for author in chains.authors.get(key, ()):
                    seen = frontier.get(author)
                    positions = chains.positions[author, key]
                    if seen is not None and positions[0] < seen[0]:
                        missed = chains.places[author, key][0]
                        return _out_of_order(problem, process, author, seen[1], place, missed)
                continue
            author = problem.operations[source].process
            position = problem.positions[source]
            known = newest.get((author, key))
            bound = problem.bound(source)
            if known is not None and position < known[0] and bound:
                return _out_of_order(problem, process, author, known[1], place, problem.writer[known[1]])
            seen = frontier.get(author)
            if seen is not None and position < seen[0] and bound:
                positions = chains.positions.get((author, key), [])
                after = bisect_right(positions, position)
                if after < bisect_left(positions, seen[0]):
                    missed = chains.places[author, key][after]
                    return _out_of_order(problem, process, author, seen[1], place, missed)
            if seen is None or position > seen[0]:
                frontier[author] = (position, place)
            if known is None or position > known[0]:
                newest[author, key] = (position, place)
    return None


def _out_of_order(
    problem: Registers, process: Process, author: Process, newer: int, older: int, missed: int
) -> Conflict:
    sources = [problem.writer[newer], problem.writer[older], missed]
    places = [*(source for source in sources if source != INITIAL), newer, older]
    return Conflict(
        tuple(dict.fromkeys(places)),
        "writes out of order",
        f"process {process} {_read(problem, newer)} and then {_read(problem, older)}, though process "
        f"{author} had made {_write(problem, missed)} in between or before",
    )


def writes_follow_reads(problem: Registers, causal: Closure, budget: Budget) -> Conflict | None:
    """A read that shows a write without what its author had read before, if there is one.

    causal: closed causality, whose order the operations are taken in.
    """
    budget.room_for_sets(2 * len(problem), len(problem.writes))
    follows: dict[int, int] = {}
    had_read: dict[int, int] = {-1: 0}
    later_writes = _later_masks(problem)
    seen: dict[Process, tuple[int, int]] = {}
    for count, place in enumerate(causal.past):  # in an order that keeps causality
        if count % SPEND_EVERY == 0:
            budget.spend()
        known = had_read[problem.session[place]]
        had_read[place] = known
        if problem.is_write[place]:
            follows[place] = known
            continue
        process = problem.operations[place].process
        key, source = problem.keys[place], problem.writer[place]
        required, shown = seen.get(process, (0, 0))
        if source == INITIAL:
            missed = required & problem.key_masks.get(key, 0)
        else:
            missed = (required | shown) & later_writes[source]
        if missed:
            return _unfollowed(problem, process, place, problem.writes_in(missed & -missed)[0], follows)
        if source != INITIAL:
            had_read[place] = known | problem.bits[source] | follows[source]
            seen[process] = (required | follows[source], shown | problem.bits[source])
    return None


def _later_masks(problem: Registers) -> dict[int, int]:
    """Of each write, the writes of its session to its key that came after it."""
    masks: dict[int, int] = {}
    for chain in problem.by_process.values():
        later: dict[Hashable, int] = {}
        for place in reversed(chain):
            if problem.is_write[place]:
                key = problem.keys[place]
                masks[place] = later.get(key, 0) if problem.bound(place) else 0
                later[key] = later.get(key, 0) | problem.bits[place]
    return masks


def _unfollowed(
    problem: Registers, process: Process, read: int, missed: int, follows: dict[int, int]
) -> Conflict:
    """Which read of the process told it about the missed write."""
    witness = read
    for place in problem.by_process[process]:
        if place == read:
            break
        source = problem.writer[place]
        if problem.is_write[place] or source == INITIAL:
            continue
        if source == missed or follows[source] & problem.bits[missed]:
            witness = place
    sources = [problem.writer[witness], problem.writer[read], missed]
    places = [*(source for source in sources if source != INITIAL), witness, read]
    return Conflict(
        tuple(dict.fromkeys(places)),
        "write without what it followed",
        f"process {process} {_read(problem, witness)}, which follows {_write(problem, missed)} of process "
        f"{problem.operations[missed].process}, and then {_read(problem, read)}",
    )


def _write(problem: Registers, place: int) -> str:
    o = problem.operations[place]
    return f"write of {'' if o.key is None else f'{o.key}='}{o.value!r}"


def _read(problem: Registers, place: int) -> str:
    o = problem.operations[place]
    where = "" if o.key is None else f"{o.key}="
    return f"read {where}{'nothing' if o.result is None else repr(o.result)}"
