"""What the reads and writes of a history tell before any cycle is looked for."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from comity.checkers.datatypes.base import show
from comity.checkers.transactions.graph import PROCESS, REAL_TIME, RW, WR, WW, Graph, Why
from comity.checkers.transactions.problem import READ, Transaction, Transactions


class Finding(NamedTuple):
    """An anomaly that is no cycle: its name, the transactions it shows in, and the words for it.

    breaks: the weakest models that exclude it, where those are not the ones its name stands for.
    """

    anomaly: str
    transactions: tuple[Transaction, ...]
    words: str
    key: Hashable = None
    breaks: tuple[str, ...] = ()


class ExternalRead(NamedTuple):
    """A read of a key: what others had written. A transaction has several of one key only where they
    differ.

    version: the value that was last in what it read, None for the initial version.
    step: where in the transaction it stands.
    """

    transaction: int
    key: Hashable
    version: Any
    step: int


CROWD = 16
"""How many real-time edges a transaction may have."""
ROOT = -1
"""In place of a writer: the version before all whose order is not known."""


class Group(NamedTuple):
    """Versions of a key whose order is not known: who wrote them, and who read each."""

    key: Hashable
    writers: list[int]
    readers: dict[int, list[int]]


class Facts:
    """Transactions with what was found out about their versions.

    order: by key, the versions whose order is certain, oldest first, without the initial one.
    tail: by key, versions that come after all those, in an order nothing tells.
    writer: (key, value) -> place of the transaction. findings: anomalies that are no cycles.
    """

    def __init__(self, transactions: Transactions) -> None:
        self.transactions = transactions
        self.all: Sequence[Transaction] = transactions.all
        self.writer: dict[tuple[Hashable, Any], int] = {}
        self.order: dict[Hashable, list[Any]] = {}
        self.tail: dict[Hashable, list[Any]] = {}
        self.reads: list[ExternalRead] = []
        self.findings: list[Finding] = []
        self.last_write: dict[tuple[int, Hashable], Any] = {}
        self.torn: set[Hashable] = set()
        """Keys whose reads are of no one timeline."""

    ends_unread = True
    """Whether nobody read any version whose place in the order is not known."""

    def groups(self) -> list[Group]:
        """Versions whose order is not known, by key."""
        found = []
        readers: dict[Hashable, list[int]] = {}
        for read in self.reads:
            if read.key in self.tail:
                order = self.order.get(read.key)
                if read.version == (order[-1] if order else None):
                    readers.setdefault(read.key, []).append(read.transaction)
        for key, tail in self.tail.items():
            order = self.order.get(key)
            last = self.writer[key, order[-1]] if order else None
            writers = list(dict.fromkeys(self.writer[key, value] for value in tail))
            writers = [writer for writer in writers if writer != last]
            if len(writers) > 1:
                found.append(Group(key, writers, {ROOT: list(dict.fromkeys(readers.get(key, ())))}))
        return found

    def sure_writes(self) -> Iterator[tuple[int, int]]:
        """Each two transactions of which the second wrote over what the first had written, both known to
        have committed."""
        for key, order in self.order.items():
            if key not in self.torn:
                places = [self.writer[key, value] for value in order]
                places = [place for place in places if self.all[place].known]
                yield from pairwise(places)
                for value in self.tail.get(key, ()) if places else ():
                    if self.all[self.writer[key, value]].known:
                        yield places[-1], self.writer[key, value]

    def graph(self) -> Graph:
        """The dependency graph, with process and real-time edges."""
        graph = Graph(len(self.all))
        self.add_versions(graph)
        add_orders(graph, self.all)
        return graph

    def add_versions(self, graph: Graph) -> None:
        """ww, wr and rw edges, as far as the order of versions is known."""
        position: dict[tuple[Hashable, Any], int] = {}
        for key, order in self.order.items():
            for place, value in enumerate(order):
                position[key, value] = place
            for before, after in pairwise(order):
                graph.add(self.writer[key, before], self.writer[key, after], WW, Why(key, before, after))
            last = order[-1] if order else None
            for value in self.tail.get(key, ()):
                if last is not None:
                    graph.add(self.writer[key, last], self.writer[key, value], WW, Why(key, last, value))
        for read in self.reads:
            key, version = read.key, read.version
            order = self.order.get(key, [])
            if version is not None:
                if (key, version) not in self.writer:
                    continue
                graph.add(self.writer[key, version], read.transaction, WR, Why(key, version, version))
            next_place = 0 if version is None else position.get((key, version), -2) + 1
            if next_place < 0:
                continue
            if next_place < len(order):
                following = order[next_place]
                graph.add(read.transaction, self.writer[key, following], RW, Why(key, version, following))
            else:
                for value in self.tail.get(key, ()):
                    graph.add(read.transaction, self.writer[key, value], RW, Why(key, version, value))


def writes_after(transaction: Transaction, key: Hashable, step: int) -> bool:
    """Whether a transaction writes the key after that step."""
    return any(f != READ and named == key for f, named, _ in transaction.steps[step + 1 :])


def lost_updates(facts: Facts) -> list[Finding]:
    """Several transactions that read the same version of a key and then wrote it (Adya 1999, P4)."""
    updaters: dict[tuple[Hashable, Any], list[int]] = {}
    for read in facts.reads:
        if (read.transaction, read.key) not in facts.last_write:
            continue
        if writes_after(facts.all[read.transaction], read.key, read.step):
            places = updaters.setdefault((read.key, read.version), [])
            if read.transaction not in places[-1:]:
                places.append(read.transaction)
    found = []
    for (key, version), places in updaters.items():
        if len(places) > 1:
            who = tuple(facts.all[place] for place in places[:4])
            words = (
                f"{' and '.join(t.name for t in who)} read {key!r} at the same version ({show(version)}) and "
            )
            words += "then wrote it: only one update can have built on it"
            found.append(Finding("lost-update", who, words, key))
    return found


def dirty_writes(facts: Facts) -> Graph:
    """Which writes are over which, among transactions that are known to have committed."""
    graph = Graph(len(facts.all))
    for before, after in facts.sure_writes():
        graph.add(before, after, WW)
    return graph


def overtaken(facts: Facts) -> Finding | None:
    """An update of a version that was not the latest any more (G-cursor, Adya 1999, section 4.3): others
    wrote the key between what the transaction read and what it wrote. Only where the order is certain."""
    position = _positions(facts)
    for read in facts.reads:
        key, place = read.key, read.transaction
        own = facts.last_write.get((place, key))
        if own is None or not writes_after(facts.all[place], key, read.step):
            continue
        order = facts.order.get(key, [])
        start = 0 if read.version is None else position.get((key, read.version), len(order)) + 1
        between = order[start : position.get((key, own), len(order))]
        for value in between[:64]:
            writer = facts.writer[key, value]
            if writer != place:
                words = (
                    f"{facts.all[place].name} read {key!r} at {show(read.version)} and wrote {own!r}, but "
                )
                words += f"{facts.all[writer].name} had written {value!r} in between"
                return Finding("lost-update", (facts.all[writer], facts.all[place]), words, key)
    return None


def fractured(facts: Facts, in_order: bool) -> Finding | None:
    """A transaction that saw one write of another and missed a second (Bailis 2014, "Scalable Atomic
    Visibility with RAMP Transactions"). in_order: only where the missing one was read later, which also
    monotonic atomic view excludes (Bailis 2013, "Highly Available Transactions")."""
    position = _positions(facts)
    for mine in _reads_together(facts):
        place = mine[0].transaction
        for seen in mine:
            author = None if seen.version is None else facts.writer.get((seen.key, seen.version))
            if author is None or author == place:
                continue
            for missed in mine:
                written = facts.last_write.get((author, missed.key))
                if written is None or missed is seen or (in_order and missed.step < seen.step):
                    continue
                if _older(facts, position, missed, written):
                    reader, writer = facts.all[place], facts.all[author]
                    words = (
                        f"{reader.name} read {seen.key!r} as {writer.name} wrote it, but {missed.key!r} as "
                        f"it was before {writer.name} wrote {written!r}"
                    )
                    return Finding(
                        "vanishing-transaction" if in_order else "fractured-read",
                        (writer, reader),
                        words,
                        missed.key,
                    )
    return None


def unbroken(facts: Facts, in_order: bool) -> Iterator[tuple[Hashable, int, int]]:
    """(key, earlier writer, later writer) wherever only that order makes no fractured read of two reads."""
    for mine in _reads_together(facts):
        for seen in mine:
            author = None if seen.version is None else facts.writer.get((seen.key, seen.version))
            if author is None or author == seen.transaction:
                continue
            for other in mine:
                written = facts.last_write.get((author, other.key))
                if (
                    written is None
                    or other.version in {None, written}
                    or (in_order and other.step < seen.step)
                ):
                    continue
                later = facts.writer.get((other.key, other.version))
                if later is not None and later != author:
                    yield other.key, author, later


def _reads_together(facts: Facts) -> list[list[ExternalRead]]:
    """The reads of each transaction that has several."""
    reads: dict[int, list[ExternalRead]] = {}
    for read in facts.reads:
        reads.setdefault(read.transaction, []).append(read)
    return [mine for mine in reads.values() if len(mine) > 1]


def _older(facts: Facts, position: dict[tuple[Hashable, Any], int], read: ExternalRead, written: Any) -> bool:
    """Whether what was read is certain to be older than the version `written`."""
    if read.version is None:
        return True
    if read.version == written:
        return False
    known = position.get((read.key, read.version))
    if known is None:
        return False
    return known < position.get((read.key, written), len(position) + 1)


def _positions(facts: Facts) -> dict[tuple[Hashable, Any], int]:
    return {(key, value): place for key, order in facts.order.items() for place, value in enumerate(order)}


def add_orders(graph: Graph, transactions: Sequence[Transaction]) -> None:
    """Process edges, and as few real-time edges as say everything: T1 completed before T2 was invoked,
    with nothing in between that says it already. Where many had completed by then, they lead to a moment and
    that to whatever came later, so that there are never more than a few edges for each transaction."""
    events: list[tuple[int, bool, int]] = []
    for transaction in transactions:
        if transaction.session >= 0:
            graph.add(transaction.session, transaction.place, PROCESS)
        operation = transaction.operation
        events.append((operation.invoked, False, transaction.place))
        if transaction.known and operation.completed is not None:
            events.append((operation.completed, True, transaction.place))
    events.sort()
    frontier: set[int] = set()
    before: dict[int, tuple[int, ...]] = {}
    for _, ended, place in events:
        if not ended:
            if len(frontier) > CROWD:
                moment = graph.add_moment()
                for earlier in sorted(frontier):
                    graph.add(earlier, moment, REAL_TIME)
                frontier = {moment}
            before[place] = tuple(sorted(frontier))
            for earlier in before[place]:
                graph.add(earlier, place, REAL_TIME)
        else:
            # Whatever ended before this one began is told by this one from now on.
            frontier.difference_update(before[place])
            frontier.add(place)
