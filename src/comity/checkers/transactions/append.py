"""Lists that are appended to: reads show the order of versions (Alvaro & Kingsbury 2020, section 4.2)."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Any

from comity.checkers.history import History, Outcome
from comity.checkers.transactions.facts import ExternalRead, Facts, Finding, lost_updates
from comity.checkers.transactions.problem import APPEND, READ, Transaction, Transactions, unsuitable


def append_facts(history: History) -> Facts:
    """Everything but cycles. Raises `UnsuitableHistory` where a value is appended twice to a key."""
    transactions = Transactions(history, APPEND)
    found = _Appends(transactions)
    return found.facts


class _Appends:
    def __init__(self, transactions: Transactions) -> None:
        self.facts = Facts(transactions)
        self.author: dict[tuple[Hashable, Any], Transaction] = {}
        for transaction in (*transactions.all, *transactions.failed, *transactions.unknown):
            for f, key, value in transaction.steps:
                if f == APPEND:
                    if (key, value) in self.author:
                        raise unsuitable(transaction, f"{value!r} is appended to key {key!r} more than once")
                    self.author[key, value] = transaction
        self.longest: dict[Hashable, tuple[Any, ...]] = {}
        self.by_longest: dict[Hashable, Transaction] = {}
        happened = self._survey(transactions)
        transactions.keep(happened)
        self._fill()

    def _survey(self, transactions: Transactions) -> set[int]:
        """The longest read of every key; the unknown transactions of whose appends somebody read one."""
        unknown = {t.operation.index for t in transactions.unknown}
        happened: set[int] = set()
        longest = self.longest
        for transaction in transactions.all:
            for f, key, value in transaction.steps:
                if f == READ:
                    elements = _elements(transaction, value)
                    if len(elements) > len(longest.get(key, ())):
                        longest[key] = elements
                        self.by_longest[key] = transaction
        if not unknown:
            return happened
        differing = set(longest.items())
        for transaction in transactions.all:
            for f, key, value in transaction.steps:
                if f == READ and value and value != longest[key][: len(value)]:
                    differing.add((key, value))
        for key, elements in differing:
            for element in elements:
                author = self.author.get((key, element))
                if author is not None and author.operation.index in unknown:
                    happened.add(author.operation.index)
        return happened

    def _fill(self) -> None:
        facts = self.facts
        self.sound = {key: self._sound(key) for key in self.longest}
        for key in {key for t in facts.all for f, key, _ in t.steps if f == READ} - self.sound.keys():
            self.sound[key] = 0
        self.place_of = {
            (key, element): place
            for key, elements in self.longest.items()
            for place, element in enumerate(elements)
        }
        for transaction in facts.all:
            if transaction.known:
                self._reads(transaction)
        committed = {t.operation.index for t in facts.all}
        for key, elements in self.longest.items():
            self._order(key, elements, committed)
        known = {key: frozenset(order) for key, order in facts.order.items()}
        for transaction in facts.all:
            for f, key, value in transaction.steps:
                if f == APPEND:
                    facts.writer[key, value] = transaction.place
                    facts.last_write[transaction.place, key] = value
                    if value not in known.get(key, ()):
                        facts.tail.setdefault(key, []).append(value)
        for key in facts.tail:
            facts.order.setdefault(key, [])
        self._own_order()
        for key in {f.key for f in facts.findings if f.anomaly == "incompatible-order"}:
            if self._torn(key):
                facts.torn.add(key)
        self._intermediate()
        facts.findings.extend(lost_updates(facts))

    def _sound(self, key: Hashable) -> int:
        """How much of the longest read of a key was appended, once, by what may have happened."""
        seen: set[Any] = set()
        for place, element in enumerate(self.longest[key]):
            author = self.author.get((key, element))
            if author is None or author.operation.outcome is Outcome.FAIL or element in seen:
                return place
            seen.add(element)
        return len(self.longest[key])

    def _mine(self, transaction: Transaction, key: Hashable, length: int) -> bool:
        """Whether something the transaction appends itself stands among what it read of others."""
        return any(
            f == APPEND and named == key and self.place_of.get((key, value), length) < length
            for f, named, value in transaction.steps
        )

    def _order(self, key: Hashable, elements: tuple[Any, ...], committed: set[int]) -> None:
        """The versions of a key in their order, without what failed or was never appended."""
        facts, reader = self.facts, self.by_longest[key]
        order: list[Any] = []
        aborted: Transaction | None = None
        for element in elements:
            author = self.author.get((key, element))
            if author is None or author.operation.index not in committed:
                aborted = author or aborted
                continue
            if aborted is not None:
                words = (
                    f"{author.name} appended {element!r} to {key!r} on top of what {aborted.name} had "
                    "appended, which failed"
                )
                facts.findings.append(Finding("dirty-update", (aborted, author, reader), words, key))
                aborted = None
            order.append(element)
        facts.order[key] = list(dict.fromkeys(order))

    def _reads(self, transaction: Transaction) -> None:
        """One transaction's reads: what it saw of others, and whether it agrees with itself."""
        facts = self.facts
        own: dict[Hashable, tuple[Any, ...]] = {}
        seen: dict[Hashable, tuple[Any, ...]] = {}
        for step, (f, key, value) in enumerate(transaction.steps):
            mine = own.get(key, ())
            if f == APPEND:
                own[key] = (*mine, value)
                continue
            elements = _elements(transaction, value)
            others = elements[: len(elements) - len(mine)] if mine else elements
            if mine and (len(elements) < len(mine) or elements[len(others) :] != mine):
                words = f"{transaction.name} read {key!r} as {list(elements)[-8:]} after it had appended "
                words += f"{list(mine)[-8:]}"
                facts.findings.append(Finding("internal", (transaction,), words, key))
                continue
            before = seen.get(key)
            if before is not None and before != others:
                words = f"{transaction.name} read {key!r} as {list(elements)[-8:]}, by what it had read and "
                words += f"appended it must be {[*before, *mine][-8:]}"
                facts.findings.append(Finding("internal", (transaction,), words, key, ("read-atomic",)))
            seen[key] = others
            self._external(transaction, key, others, elements, None if mine else step)

    def _external(
        self,
        transaction: Transaction,
        key: Hashable,
        others: tuple[Any, ...],
        elements: tuple[Any, ...],
        step: int | None,
    ) -> None:
        """step: where the read stands; None where it came after own appends, and so tells of nothing that
        the order of appends does not."""
        facts = self.facts
        longest = self.longest.get(key, ())
        agrees = elements == longest[: len(elements)]
        if agrees and len(elements) <= self.sound[key] and not self._mine(transaction, key, len(others)):
            if step is not None:
                version = others[-1] if others else None
                facts.reads.append(ExternalRead(transaction.place, key, version, step))
            return
        if not agrees:
            reader = self.by_longest[key]
            words = (
                f"{transaction.name} read {key!r} as {list(elements)[-8:]}, {reader.name} as "
                f"{list(longest)[-8:]}: neither is the beginning of the other"
            )
            facts.findings.append(Finding("incompatible-order", (transaction, reader), words, key))
        if len(set(elements)) != len(elements):
            words = f"{transaction.name} read an element of {key!r} twice: {list(elements)[-8:]}"
            facts.findings.append(Finding("duplicate-elements", (transaction,), words, key))
        version = others[-1] if others else None
        for element in others:
            author = self.author.get((key, element))
            if author is None:
                words = f"{transaction.name} read {element!r} of {key!r}, which nobody appended"
                facts.findings.append(Finding("garbage-read", (transaction,), words, key))
            elif author is transaction:
                words = f"{transaction.name} read {element!r} of {key!r}, which it appended only afterwards"
                facts.findings.append(Finding("future-read", (transaction,), words, key))
            elif author.operation.outcome is Outcome.FAIL:
                words = f"{transaction.name} read {element!r} of {key!r}, which {author.name} appended, "
                words += "and failed"
                facts.findings.append(Finding("G1a", (author, transaction), words, key))
        if step is None:
            return
        while version is not None:
            author = self.author.get((key, version))
            if author is not None and author is not transaction and author.place >= 0:
                break
            others = others[:-1]
            version = others[-1] if others else None
        facts.reads.append(ExternalRead(transaction.place, key, version, step))

    @cached_property
    def _committed_appends(self) -> dict[Hashable, dict[Any, Transaction]]:
        """By key, what transactions known to have committed appended, and who did."""
        found: dict[Hashable, dict[Any, Transaction]] = {}
        for (key, value), transaction in self.author.items():
            mine = found.setdefault(key, {})
            if transaction.known:
                mine[value] = transaction
        return found

    @cached_property
    def _committed_reads(self) -> dict[Hashable, list[tuple[Any, ...]]]:
        """By key, what they read."""
        found: dict[Hashable, list[tuple[Any, ...]]] = {}
        for transaction in self.facts.all:
            for f, key, value in transaction.steps if transaction.known else ():
                if f == READ:
                    found.setdefault(key, []).append(value or ())
        return found

    def _torn(self, key: Hashable) -> bool:
        """Whether the reads of a key are of no one timeline even without what is not known to have
        committed: then they were dirty, and say nothing of the order of writes."""
        sure = self._committed_appends.get(key, {})
        reads = [tuple(e for e in elements if e in sure) for elements in self._committed_reads.get(key, [()])]
        longest = max(reads, key=len)
        if any(read != longest[: len(read)] for read in reads):
            return True
        last: dict[int, int] = {}
        for element in longest:
            t = sure[element]
            mine = [value for f, named, value in t.steps if f == APPEND and named == key]
            count = last.get(t.place, 0)
            if count >= len(mine) or mine[count] != element:
                return True
            last[t.place] = count + 1
        return False

    def _own_order(self) -> None:
        """A transaction's appends to a key, seen in another order, or the later one without the earlier."""
        facts = self.facts
        for transaction in facts.all:
            last: dict[Hashable, tuple[Any, int]] = {}
            for f, key, value in transaction.steps:
                if f != APPEND or key not in self.longest:
                    continue
                place = self.place_of.get((key, value), len(self.place_of) + 1)
                before = last.get(key)
                if before is not None and place < before[1]:
                    words = f"{transaction.name} appended {before[0]!r} to {key!r} and then {value!r}, but "
                    words += f"{self.by_longest[key].name} read the second without the first before it"
                    who = (transaction, self.by_longest[key])
                    facts.findings.append(Finding("incompatible-order", who, words, key))
                last[key] = (value, place)

    def _intermediate(self) -> None:
        """Reads of a version that its author went on to change (G1b)."""
        facts = self.facts
        for read in facts.reads:
            if read.version is None:
                continue
            author = facts.writer.get((read.key, read.version))
            if author is None or author == read.transaction:
                continue
            last = facts.last_write[author, read.key]
            if last != read.version:
                reader, writer = facts.all[read.transaction], facts.all[author]
                words = (
                    f"{reader.name} read {read.key!r} with {read.version!r} at its end, which {writer.name} "
                    f"went on to append {last!r} to"
                )
                facts.findings.append(Finding("G1b", (writer, reader), words, read.key))


def _elements(transaction: Transaction, value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    if not isinstance(value, tuple):
        raise unsuitable(transaction, f"a read of a list returns a list, not {value!r}")
    return value
