"""The slow twins of the transaction models, straight from their definitions.

Nothing of the product's graphs is used: only its history type. Which transactions of unknown outcome happened is
tried in every way. Serializability tries every order; snapshot isolation every sequence of starts and commits; the
other models every version order, and look for the phenomena that Adya (1999) and Bailis et al. (2014) proscribe.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from comity.checkers import History, Outcome

INITIAL = -1
"""The writer of a register's initial value."""


@dataclass
class Txn:
    """A transaction: its micro-operations with what was read, and its place in real time."""

    index: int
    process: int | str
    outcome: Outcome
    invoked: int
    completed: int | None
    ops: tuple[tuple[str, Any, Any], ...]
    writes: dict[Any, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for f, key, value in self.ops:
            if f in {"append", "w"}:
                self.writes.setdefault(key, []).append(value)

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK


def transactions_of(history: History) -> list[Txn]:
    return [
        Txn(
            o.index,
            o.process,
            o.outcome,
            o.invoked,
            o.completed,
            o.result if o.outcome is Outcome.OK else o.value,
        )
        for o in history.operations
    ]


def holds(model: str, history: History, data_type: str) -> bool:
    """Does the history satisfy the model?"""
    txns = transactions_of(history)
    registers = data_type == "rw-register"
    if not _well_formed(txns, registers):
        return False
    happened = [t for t in txns if t.ok]
    unknown = [t for t in txns if t.outcome is Outcome.INFO]
    if model == "read-uncommitted":
        unknown = []  # what may have failed may be read, and its writes say nothing of the order of others
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            if _fits(model, [*happened, *chosen], txns, registers):
                return True
    return False


def _fits(model: str, committed: list[Txn], txns: list[Txn], registers: bool) -> bool:
    order = {"strict": "real-time", "strong": "real-time"}
    before: set[tuple[int, int]] = set()
    if model.startswith("strong-session"):
        before = precedence(committed, "session")
    elif model.split("-", maxsplit=1)[0] in order:
        before = precedence(committed, "real-time")
    if model.endswith("serializable"):
        return _serial(committed, before, registers)
    if model.endswith("snapshot-isolation") and not model.startswith("parallel"):
        return _snapshots(committed, before, registers)
    return any(
        not _proscribed(model, committed, txns, versions, registers)
        for versions in _version_orders(model, committed, txns, registers)
    )


def precedence(committed: list[Txn], kind: str) -> set[tuple[int, int]]:
    """Which came before which: an ok transaction returned before the other was invoked."""
    return {
        (a.index, b.index)
        for a in committed
        for b in committed
        if a.ok
        and a.completed is not None
        and a.completed < b.invoked
        and (kind == "real-time" or a.process == b.process)
    }


# What no history may have, whatever the model ------------------------------------------------------------------


def _well_formed(txns: list[Txn], registers: bool) -> bool:
    """Every value read was written, no element twice, and each transaction sees its own earlier writes."""
    written = {(key, value) for t in txns for key, values in t.writes.items() for value in values}
    for t in txns:
        if not t.ok:
            continue
        own: dict[Any, list[Any]] = {}
        for f, key, value in t.ops:
            mine = own.setdefault(key, [])
            if f != "r":
                mine.append(value)
            elif registers:
                if value is not None and (key, value) not in written:
                    return False
                if mine and value != mine[-1]:
                    return False
            else:
                elements = list(value or ())
                if any((key, element) not in written for element in elements):
                    return False
                if len(set(elements)) < len(elements):
                    return False
                if mine and elements[-len(mine) :] != mine:
                    return False
    return True


# Serializability: an order -------------------------------------------------------------------------------------


def _run(t: Txn, state: dict[Any, Any], registers: bool) -> dict[Any, Any] | None:
    """What `t` makes of `state`; None where it would have read something else."""
    after = dict(state)
    for f, key, value in t.ops:
        if f == "w":
            after[key] = value
        elif f == "append":
            after[key] = (*after.get(key, ()), value)
        elif t.ok:
            held = after.get(key) if registers else after.get(key, ())
            if held != (value if registers else tuple(value or ())):
                return None
    return after


def _serial(committed: list[Txn], before: set[tuple[int, int]], registers: bool) -> bool:
    def extend(left: list[Txn], state: dict[Any, Any]) -> bool:
        if not left:
            return True
        for t in left:
            if any((other.index, t.index) in before for other in left):
                continue
            after = _run(t, state, registers)
            if after is not None and extend([other for other in left if other is not t], after):
                return True
        return False

    return extend(committed, {})


# Snapshot isolation: starts and commits, the first committer wins ------------------------------------------------


def _snapshots(committed: list[Txn], before: set[tuple[int, int]], registers: bool) -> bool:
    def extend(waiting: list[Txn], open_: list[tuple[Txn, frozenset[Any]]], state: dict[Any, Any]) -> bool:
        """open_: those that have started, each with the keys that others committed since."""
        if not waiting and not open_:
            return True
        for t in waiting:
            late = [*waiting, *(other for other, _ in open_)]
            if any((other.index, t.index) in before for other in late):
                continue
            if _run(t, state, registers) is None:
                continue
            if extend([other for other in waiting if other is not t], [*open_, (t, frozenset())], state):
                return True
        for t, changed in open_:
            if changed & set(t.writes):
                continue
            after = dict(state)
            for key, values in t.writes.items():
                after[key] = values[-1] if registers else (*after.get(key, ()), *values)
            others = [(other, keys | set(t.writes)) for other, keys in open_ if other is not t]
            if extend(waiting, others, after):
                return True
        return False

    return extend(committed, [], {})


# The others: a version order, and phenomena ----------------------------------------------------------------------


Version = tuple[int, Any]
"""A transaction and the value it wrote. Of a list, one for every element; of a register, one for every key."""


def _version_orders(
    model: str, committed: list[Txn], txns: list[Txn], registers: bool
) -> Iterator[dict[Any, list[Version]]]:
    """Every choice of an order of versions for each key that its reads allow."""
    keys = sorted({key for t in committed for key in t.writes}, key=repr)
    choices = []
    for key in keys:
        versions = [
            (t.index, value)
            for t in committed
            if key in t.writes
            for value in (t.writes[key][-1:] if registers else t.writes[key])
        ]
        fitting = [
            list(order)
            for order in itertools.permutations(versions)
            if (_follows(key, order, committed) if registers else _traces(key, order, committed, model))
        ]
        if not fitting and not registers and model == "read-uncommitted":
            fitting = [[]]  # its reads cannot be of one timeline: dirty, and no order is established
        choices.append(fitting)
    for chosen in itertools.product(*choices):
        yield dict(zip(keys, chosen, strict=True))


def _follows(key: Any, order: tuple[Version, ...], committed: list[Txn]) -> bool:
    """A register's version is later than one that its writer has read before."""
    places = {version: place for place, version in enumerate(order)}
    for t in committed:
        if not t.ok or key not in t.writes:
            continue
        mine = places[t.index, t.writes[key][-1]]
        for _, value in external_reads(t, key, True):
            writer = next((i for i, v in order if v == value), None)
            if writer is not None and writer != t.index and places[writer, value] > mine:
                return False
    return True


def _traces(key: Any, order: tuple[Version, ...], committed: list[Txn], model: str) -> bool:
    """Every read is a prefix of the order, and each transaction's appends are in their own order."""
    elements = [value for _, value in order]
    for t in committed:
        mine = [value for index, value in order if index == t.index]
        if mine != t.writes.get(key, []):
            return False
        if not t.ok:
            continue
        for f, read_key, value in t.ops:
            if f == "r" and read_key == key:
                seen = list(value or ())
                if model == "read-uncommitted":
                    seen = [element for element in seen if element in elements]
                if elements[: len(seen)] != seen:
                    return False
    return True


def external_reads(t: Txn, key: Any, registers: bool) -> list[tuple[int, Any]]:
    """The reads of a key that do not return the transaction's own write, with their places in it."""
    found = []
    for place, (f, other, value) in enumerate(t.ops):
        if other != key:
            continue
        if f != "r":
            break
        found.append((place, value if registers else tuple(value or ())))
    return found


def _proscribed(
    model: str, committed: list[Txn], txns: list[Txn], versions: dict[Any, list[Version]], registers: bool
) -> bool:
    """Is some phenomenon here that the model proscribes?"""
    ww = {(a[0], b[0]) for order in versions.values() for a, b in itertools.pairwise(order) if a[0] != b[0]}
    if _cyclic(ww):
        return True
    if model == "read-uncommitted":
        return False
    names = {t.index for t in committed}
    wr: set[tuple[int, int]] = set()
    rw: set[tuple[int, int]] = set()
    reads: dict[int, list[tuple[int, Any, int, int]]] = {}  # txn -> (place in it, key, writer, position read)
    for t in committed:
        if not t.ok:
            continue
        for f, key, value in t.ops:
            if f == "r" and not registers and any((key, e) in _failed(txns, names) for e in value or ()):
                return True  # G1a
        for key in {key for _, key, _ in t.ops}:
            order = versions.get(key, [])
            for place, value in external_reads(t, key, registers):
                if registers:
                    position, writer = 0, INITIAL
                    if value is not None:
                        at = [n for n, version in enumerate(order) if version[1] == value]
                        if not at:
                            return True  # G1a or G1b
                        position, writer = at[0] + 1, order[at[0]][0]
                else:
                    position = len(value)
                    writer = order[position - 1][0] if position else INITIAL
                    if writer != INITIAL and any(i == writer for i, _ in order[position:]):
                        return True  # G1b
                    if any(i == t.index for i, _ in order[:position]):
                        return True  # its own future: G1c
                if writer == t.index:
                    return True
                if writer != INITIAL:
                    wr.add((writer, t.index))
                if position < len(order) and order[position][0] != t.index:
                    rw.add((t.index, order[position][0]))
                reads.setdefault(t.index, []).append((place, key, writer, position))
    if _cyclic(ww | wr):
        return True
    if model == "read-committed":
        return False
    last = {(key, i): place for key, order in versions.items() for place, (i, _) in enumerate(order)}
    if model == "cursor-stability":
        for reader, seen in reads.items():
            for _, key, _, position in seen:
                if (key, reader) in last:
                    first = min(n for n, (i, _) in enumerate(versions[key]) if i == reader)
                    if first > position:
                        return True  # G-cursor
        return False
    if model in {"monotonic-atomic-view", "read-atomic"}:
        for seen in reads.values():
            for place, _, writer, _ in seen:
                for other_place, key, _, position in seen:
                    if model == "monotonic-atomic-view" and other_place < place:
                        continue
                    if last.get((key, writer), -1) >= position:
                        return True  # observed transaction vanishes; fractured read
        return model == "read-atomic" and any(_inconsistent(t, registers) for t in committed if t.ok)
    if model == "parallel-snapshot-isolation":
        reach = _closure(ww | wr)
        return any((b, a) in reach for a, b in rw)  # G-single
    assert model == "repeatable-read"
    return _cyclic(ww | wr | rw)  # G2-item


def _failed(txns: list[Txn], committed: set[int]) -> set[tuple[Any, Any]]:
    return {
        (key, value)
        for t in txns
        if t.index not in committed
        for key, values in t.writes.items()
        for value in values
    }


def _inconsistent(t: Txn, registers: bool) -> bool:
    """Does a read differ from what the transaction's earlier reads and writes make of the key?"""
    known: dict[Any, Any] = {}
    for f, key, value in t.ops:
        if f == "w":
            known[key] = value
        elif f == "append":
            if key in known:
                known[key] = (*known[key], value)
        else:
            seen = value if registers else tuple(value or ())
            if known.setdefault(key, seen) != seen:
                return True
    return False


def _closure(edges: set[tuple[int, int]]) -> set[tuple[int, int]]:
    reach = set(edges)
    while True:
        more = {(a, d) for a, b in reach for c, d in edges if b == c} - reach
        if not more:
            return reach
        reach |= more


def _cyclic(edges: set[tuple[int, int]]) -> bool:
    after: dict[int, set[int]] = {}
    for a, b in edges:
        after.setdefault(a, set()).add(b)
        after.setdefault(b, set())
    while True:
        ends = [a for a, others in after.items() if not others]
        if not ends:
            return bool(after)
        for a in ends:
            del after[a]
        for others in after.values():
            others.difference_update(ends)


# A second definition of parallel snapshot isolation ---------------------------------------------------------------


def holds_by_visibility(history: History, data_type: str) -> bool:
    """Parallel snapshot isolation by Cerone, Bernardi and Gotsman (CONCUR 2015): some transitive visibility in
    which writers of a key see one another, and everyone reads the last of what it sees."""
    registers = data_type == "rw-register"
    txns = transactions_of(history)
    happened = [t for t in txns if t.ok]
    unknown = [t for t in txns if t.outcome is Outcome.INFO]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            committed = [*happened, *chosen]
            if any(_sees(committed, visible, registers) for visible in _partial_orders(committed)):
                return True
    return False


def _partial_orders(committed: list[Txn]) -> Iterator[set[tuple[int, int]]]:
    pairs = list(itertools.combinations([t.index for t in committed], 2))
    for choice in itertools.product((0, 1, 2), repeat=len(pairs)):
        edges = {(a, b) if side == 1 else (b, a) for (a, b), side in zip(pairs, choice, strict=True) if side}
        if all((a, d) in edges for a, b in edges for c, d in edges if b == c):
            yield edges


def _sees(committed: list[Txn], visible: set[tuple[int, int]], registers: bool) -> bool:
    for a, b in itertools.combinations(committed, 2):
        if set(a.writes) & set(b.writes) and not {(a.index, b.index), (b.index, a.index)} & visible:
            return False
    for t in committed:
        seen = [other for other in committed if (other.index, t.index) in visible]
        depth = {
            other.index: sum((before.index, other.index) in visible for before in seen) for other in seen
        }
        seen.sort(key=lambda other: depth[other.index])
        state: dict[Any, Any] = {}
        for other in seen:
            after = _run(Txn(other.index, 0, Outcome.INFO, 0, None, other.ops), state, registers)
            assert after is not None
            state = after
        if _run(t, state, registers) is None:
            return False
    return True
