"""What the reads and writes of a history tell before any cycle is looked for."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise, product
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

    def keys(self) -> list[Hashable]:
        """Every key that was written."""
        return list(self.order)

    def orders_of(self, key: Hashable) -> Iterator[list[Any]]:
        """Every total order of a key's versions that agrees with what is certain."""
        tail = self.tail.get(key, [])
        before: dict[Any, Any] = {}
        last: dict[int, Any] = {}
        for value in tail:  # by transaction, each in its own order
            author = self.writer[key, value]
            before[value] = last.get(author)
            last[author] = value
        known = self.order.get(key, [])
        return ([*known, *rest] for rest in extensions(tail, before))

    def completions(self, limit: int) -> Iterator[tuple[Facts, Graph]] | None:
        """The facts and graph of every choice of total orders; None where there may be more than `limit`."""
        orders: dict[Hashable, list[list[Any]]] = {}
        total = 1
        for key in self.keys():
            orders[key] = []
            for order in self.orders_of(key):
                orders[key].append(order)
                if total * len(orders[key]) > limit:
                    return None
            total *= max(len(orders[key]), 1)
        return (
            self.completed(dict(zip(orders, chosen, strict=True))) for chosen in product(*orders.values())
        )

    def completed(self, orders: dict[Hashable, list[Any]]) -> tuple[Facts, Graph]:
        """The same with every version in its place."""
        exact = Facts(self.transactions)
        exact.writer = self.writer
        exact.reads = self.reads
        exact.last_write = self.last_write
        exact.order = orders
        exact.torn = self.torn
        return exact, exact.graph()

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


def extensions(versions: list[Any], before: dict[Any, Any]) -> Iterator[list[Any]]:
    """Every order of versions in which each comes after the one it follows."""
    if not versions:
        yield []
        return
    left = set(versions)
    for version in versions:
        if before[version] not in left:
            rest = [other for other in versions if other != version]
            for order in extensions(rest, before):
                yield [version, *order]


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


def dirty_writes(facts: Facts) -> bool:
    """Whether writes alone are in a circle (G0), among transactions that are known to have committed."""
    graph = Graph(len(facts.all))
    for key, order in facts.order.items():
        if key not in facts.torn:
            places = [facts.writer[key, value] for value in order]
            places = [place for place in places if facts.all[place].known]
            for before, after in pairwise(places):
                graph.add(before, after, WW)
            for value in facts.tail.get(key, ()) if places else ():
                if facts.all[facts.writer[key, value]].known:
                    graph.add(places[-1], facts.writer[key, value], WW)
    return bool(graph.components(WW))


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
    reads: dict[int, list[ExternalRead]] = {}
    for read in facts.reads:
        reads.setdefault(read.transaction, []).append(read)
    for place, mine in reads.items():
        if len(mine) < 2:
            continue
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
    with nothing in between that says it already."""
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
            before[place] = tuple(sorted(frontier))
            for earlier in before[place]:
                graph.add(earlier, place, REAL_TIME)
        else:
            # Whatever ended before this one began is told by this one from now on.
            frontier.difference_update(before[place])
            frontier.add(place)
