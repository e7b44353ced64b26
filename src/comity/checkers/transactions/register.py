"""Registers: what a read returned tells who wrote it, and little of the order of writes.

What is certain (Alvaro & Kingsbury 2020, section 4.3): the initial version comes first, and what a
transaction writes after reading a version comes after that version.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from comity.checkers.datatypes.base import show
from comity.checkers.history import History, Outcome
from comity.checkers.transactions.facts import ROOT, ExternalRead, Facts, Finding, Group, lost_updates
from comity.checkers.transactions.graph import RW, WR, WW, Graph, Why
from comity.checkers.transactions.problem import READ, WRITE, Transaction, Transactions, unsuitable

EDGE_LIMIT = 10_000


class RegisterFacts(Facts):
    """Versions in the partial order that is certain.

    after: (key, version) -> places of the transactions that read it and wrote the key. first: by key,
    transactions whose version follows no other for certain.
    """

    def __init__(self, transactions: Transactions) -> None:
        super().__init__(transactions)
        self.after: dict[tuple[Hashable, Any], list[int]] = {}
        self.first: dict[Hashable, list[int]] = {}
        self.follows: dict[tuple[int, Hashable], Any] = {}
        self.versions: dict[Hashable, list[Any]] = {}

    def add_versions(self, graph: Graph) -> None:
        for (key, version), places in self.after.items():
            for place in places:
                why = Why(key, version, self.last_write[place, key])
                graph.add(self.writer[key, version], place, WW, why)
        crowded = self._crowded()
        for read in self.reads:
            key, version = read.key, read.version
            if version is None:
                nexts = [] if key in crowded else self.first.get(key, [])
            else:
                if (key, version) not in self.writer:
                    continue
                graph.add(self.writer[key, version], read.transaction, WR, Why(key, version, version))
                nexts = self.after.get((key, version), [])
            for place in nexts:
                why = Why(key, version, self.last_write[place, key])
                graph.add(read.transaction, place, RW, why)

    def _crowded(self) -> set[Hashable]:
        """Keys with more readers of the initial version and blind writers than edges between them are worth:
        these follow from the search for an order."""
        readers: dict[Hashable, int] = {}
        for read in self.reads:
            if read.version is None:
                readers[read.key] = readers.get(read.key, 0) + 1
        return {key for key, count in readers.items() if count * len(self.first.get(key, ())) > EDGE_LIMIT}

    ends_unread = False

    def groups(self) -> list[Group]:
        readers: dict[Hashable, dict[int, list[int]]] = {}
        for read in self.reads:
            version = ROOT if read.version is None else self.writer.get((read.key, read.version))
            if version is not None:
                readers.setdefault(read.key, {}).setdefault(version, []).append(read.transaction)
        return [
            Group(key, [self.writer[key, value] for value in versions], readers.get(key, {}))
            for key, versions in self.versions.items()
        ]

    def sure_writes(self) -> Iterator[tuple[int, int]]:
        for (key, version), places in self.after.items():
            before = self.writer[key, version]
            if self.all[before].known:
                for place in places:
                    yield before, place


def register_facts(history: History, initial: Any = None) -> RegisterFacts:
    """Everything but cycles. Raises `UnsuitableHistory` where a value is written twice to a key."""
    transactions = Transactions(history, WRITE)
    return _Writes(transactions, initial).facts


class _Writes:
    def __init__(self, transactions: Transactions, initial: Any) -> None:
        self.facts = RegisterFacts(transactions)
        self.initial = initial
        self.intermediate: set[tuple[int, int]] = set()
        """Transaction and step of reads of a version that its writer overwrote: they follow none."""
        self.author: dict[tuple[Hashable, Any], Transaction] = {}
        for transaction in (*transactions.all, *transactions.failed, *transactions.unknown):
            for f, key, value in transaction.steps:
                if f == WRITE:
                    if (key, value) in self.author:
                        raise unsuitable(transaction, f"{value!r} is written to key {key!r} more than once")
                    self.author[key, value] = transaction
        happened = {
            self.author[key, value].operation.index
            for t in transactions.all
            for f, key, value in t.steps
            if f == READ and (key, value) in self.author
        }
        transactions.keep(happened)
        for transaction in self.facts.all:
            for f, key, value in transaction.steps:
                if f == WRITE:
                    self.facts.writer[key, value] = transaction.place
                    self.facts.last_write[transaction.place, key] = value
        for (_, key), value in self.facts.last_write.items():
            self.facts.versions.setdefault(key, []).append(value)
        for transaction in self.facts.all:
            if transaction.known:
                self._reads(transaction)
        self._relate()
        self.facts.findings.extend(lost_updates(self.facts))

    def _reads(self, transaction: Transaction) -> None:
        facts = self.facts
        own: dict[Hashable, Any] = {}
        seen: dict[Hashable, Any] = {}
        mine = {(key, value) for f, key, value in transaction.steps if f == WRITE}
        for step, (f, key, value) in enumerate(transaction.steps):
            if f == WRITE:
                own[key] = value
                continue
            if key in own:
                if own[key] != value:
                    words = f"{transaction.name} read {key!r} as {show(value)} after it had written "
                    words += show(own[key])
                    facts.findings.append(Finding("internal", (transaction,), words, key))
                continue
            if key in seen and seen[key] != value:
                words = f"{transaction.name} read {key!r} as {show(seen[key])} and then as {show(value)}"
                facts.findings.append(Finding("internal", (transaction,), words, key, ("read-atomic",)))
            seen[key] = value
            if value is None or value == self.initial:
                facts.reads.append(ExternalRead(transaction.place, key, None, step))
                continue
            if (key, value) in mine:
                words = f"{transaction.name} read {value!r} of {key!r}, which it wrote only afterwards"
                facts.findings.append(Finding("future-read", (transaction,), words, key))
                continue
            self._external(transaction, key, value, step)

    def _external(self, transaction: Transaction, key: Hashable, value: Any, step: int) -> None:
        facts = self.facts
        author = self.author.get((key, value))
        if author is None:
            words = f"{transaction.name} read {value!r} of {key!r}, which nobody wrote"
            facts.findings.append(Finding("garbage-read", (transaction,), words, key))
            return
        if author.operation.outcome is Outcome.FAIL:
            words = f"{transaction.name} read {value!r} of {key!r}, which {author.name} wrote, and failed"
            facts.findings.append(Finding("G1a", (author, transaction), words, key))
            return
        last = facts.last_write[author.place, key]
        if last != value:
            words = f"{transaction.name} read {value!r} of {key!r}, which {author.name} went on to overwrite "
            words += f"with {last!r}"
            facts.findings.append(Finding("G1b", (author, transaction), words, key))
            self.intermediate.add((transaction.place, step))
        facts.reads.append(ExternalRead(transaction.place, key, last, step))

    def _relate(self) -> None:
        """Which version a transaction's own follows: the one it had read."""
        facts = self.facts
        for read in facts.reads:
            if (read.transaction, read.key) not in facts.last_write:
                continue
            if (read.transaction, read.step) in self.intermediate:
                continue
            if read.version is not None:
                facts.follows[read.transaction, read.key] = read.version
                facts.after.setdefault((read.key, read.version), []).append(read.transaction)
        for place, key in facts.last_write:
            if (place, key) not in facts.follows:
                facts.first.setdefault(key, []).append(place)
        self._cyclic_versions()

    def _cyclic_versions(self) -> None:
        """Versions each follow at most one other: walking back ends, or goes round."""
        facts = self.facts
        done: set[tuple[int, Hashable]] = set()
        for start in facts.follows:
            walk: dict[tuple[int, Hashable], int] = {}
            node = start
            while node in facts.follows and node not in done and node not in walk:
                walk[node] = len(walk)
                node = (facts.writer[node[1], facts.follows[node]], node[1])
            if node in walk:
                key = node[1]
                who = tuple(facts.all[place] for place, _ in list(walk)[walk[node] :])
                words = f"the versions of {key!r} follow one another in a circle: "
                words += ", ".join(f"{t.name} wrote {facts.last_write[t.place, key]!r}" for t in who)
                facts.findings.append(Finding("cyclic-versions", who, words, key))
            done.update(walk)
