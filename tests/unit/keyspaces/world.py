"""Replicas of any protocol in virtual time: every message as long on its way, disks in no time, no faults.

What a client of one replica waits for is then a number of messages one after the other.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from xxhash import xxh3_64_intdigest

from comity.protocols import load
from comity.replica import (
    Accepted,
    Answered,
    CoreContext,
    KeyedProtocol,
    KeyOperation,
    Member,
    Members,
    Outcome,
    ReadAt,
    Recovered,
    Stream,
    View,
)
from comity.store.semantics import Semantics

MS = 1_000_000
ONE_WAY_NS = 20 * MS
START_MS = 1_700_000_000_000
SETTLED_NS = 3_000 * MS


class DictCells:
    """Cells in memory; `touched`: whether this turn put anything."""

    def __init__(self) -> None:
        self.cells: dict[bytes, bytes] = {}
        self.touched = False

    def get(self, key: bytes) -> bytes | None:
        return self.cells.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        self.touched = True
        if value is None:
            self.cells.pop(key, None)
        else:
            self.cells[key] = value

    def walk(self, position: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
        places = sorted((xxh3_64_intdigest(key), key) for key in self.cells)
        for place, key in places:
            if place >= position:
                yield place, key, self.cells[key]

    def __len__(self) -> int:
        return len(self.cells)


class Replica:
    """One core and what its host would keep of it."""

    def __init__(self, number: int, core: Any, cells: DictCells) -> None:
        self.number = number
        self.core = core
        self.cells = cells
        self.written = 0
        self.applied = 0
        self.outcomes: dict[int, Outcome] = {}


class World:
    """replicas: how many. Any of them may be asked."""

    def __init__(self, name: str, options: dict[str, Any], replicas: int) -> None:
        self.protocol = load()[name]
        self.now_ns = 0
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.count = 0
        self.lost: set[tuple[int, int]] = set()
        """(from, to) whose messages do not arrive."""
        numbers = tuple(range(1, replicas + 1))
        self.replicas = {number: self._replica(number, numbers, options) for number in numbers}
        for replica in self.replicas.values():
            replica.core.start(0)
            self._end_turn(replica)
        self.run(SETTLED_NS)

    def _replica(self, number: int, numbers: tuple[int, ...], options: dict[str, Any]) -> Replica:
        context = CoreContext(
            node=number,
            group="carts",
            members=Members(voters=numbers, known=tuple(Member(node) for node in numbers)),
            stream=lambda label: Stream(7, f"{number} {label}"),
            note=lambda *_, **__: None,
            view=View(1, numbers),
            wall_ms=lambda: START_MS + self.now_ns // MS,
        )
        chosen = msgspec.convert(options, self.protocol.options)
        cells = DictCells()
        if isinstance(self.protocol, KeyedProtocol):
            self.semantics = Semantics(self.protocol.semantics)
            core: Any = self.protocol.build(context, chosen, cells, self.semantics.meaning)
        else:
            core = self.protocol.build(context, chosen, Recovered())
        return Replica(number, core, cells)

    # -- time

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now_ns + delay_ns, self.count, action))

    def run(self, for_ns: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Time passes; whether `until` came true."""
        end_ns = self.now_ns + for_ns
        while not until():
            due_ns = min(replica.core.deadline_ns for replica in self.replicas.values())
            at_ns = min(due_ns, self.events[0][0] if self.events else end_ns)
            if at_ns >= end_ns:
                self.now_ns = end_ns
                return False
            self.now_ns = max(self.now_ns, at_ns)
            if self.events and self.events[0][0] <= self.now_ns:
                heapq.heappop(self.events)[2]()
                continue
            for replica in self.replicas.values():
                if replica.core.deadline_ns <= self.now_ns:
                    replica.core.wake(self.now_ns)
                    self._end_turn(replica)
        return True

    def _end_turn(self, replica: Replica) -> None:
        while True:
            effects = replica.core.take(self.now_ns)
            for send in (*effects.send, *effects.send_durable):
                self.after(ONE_WAY_NS, lambda send=send: self._arrive(replica.number, send))  # type: ignore[misc]
            for entry in effects.apply:
                replica.applied = entry.index
            for reply in effects.reply:
                replica.outcomes[reply.request] = reply.outcome
            writes = len(effects.write) + int(replica.cells.touched)
            replica.cells.touched = False
            if not writes:
                return
            replica.written += writes
            replica.core.persisted(self.now_ns, replica.written)

    def _arrive(self, sender: int, send: Any) -> None:
        if (sender, send.peer) in self.lost:
            return
        replica = self.replicas[send.peer]
        replica.core.receive(self.now_ns, sender, send.message)
        self._end_turn(replica)

    # -- clients

    def begin_write(self, number: int) -> None:
        """A write that is under way at the replica and on its way to the next."""
        self.count += 1
        self._proposal(number)
        self.run(ONE_WAY_NS + MS)

    def round_trips(
        self, number: int, level: str, *, writes: bool, key: bytes = b"k", command: tuple[bytes, ...] = ()
    ) -> float:
        """How many one after the other a client of that replica waits for. command: instead of SET or GET."""
        begun_ns = self.now_ns
        self.count += 1
        if isinstance(self.protocol, KeyedProtocol):
            done = self._operation(number, level, writes, key, list(command))
        else:
            done = self._proposal(number) if writes else self._read(number, key)
        assert self.run(2_000 * MS, done), "not answered"
        found = (self.now_ns - begun_ns) / (2 * ONE_WAY_NS)
        self.run(500 * MS)  # everybody has heard of it
        return round(found * 2) / 2

    def _operation(
        self, number: int, level: str, writes: bool, key: bytes, args: list[bytes]
    ) -> Callable[[], bool]:
        replica, request = self.replicas[number], self.count
        args = args or ([b"SET", key, b"%d" % request] if writes else [b"GET", key])
        payload = self.semantics.payload(2, [args], key)
        operation = KeyOperation(key=key, payload=payload, writes=writes, level=level)
        replica.core.execute(self.now_ns, request, operation)
        self._end_turn(replica)

        def done() -> bool:
            outcome = replica.outcomes.get(request)
            assert outcome is None or isinstance(outcome, Answered), outcome
            return outcome is not None

        return done

    def _proposal(self, number: int) -> Callable[[], bool]:
        """Sent on to who takes proposals; answered by this replica, from its own apply."""
        replica, request = self.replicas[number], self.count
        leader = self.replicas[replica.core.leader]

        def propose() -> None:
            leader.core.propose(self.now_ns, request, b"command")
            if leader is not replica:
                leader.core.awaited(self.now_ns, number)
            self._end_turn(leader)

        self.after(0 if leader is replica else ONE_WAY_NS, propose)

        def done() -> bool:
            outcome = leader.outcomes.get(request)
            assert outcome is None or isinstance(outcome, Accepted), outcome
            return outcome is not None and replica.applied >= outcome.index

        return done

    def _read(self, number: int, key: bytes) -> Callable[[], bool]:
        replica, request = self.replicas[number], self.count
        replica.core.read_keys(self.now_ns, request, (key,))
        self._end_turn(replica)

        def done() -> bool:
            outcome = replica.outcomes.get(request)
            assert outcome is None or isinstance(outcome, ReadAt), outcome
            return outcome is not None and replica.applied >= outcome.index

        return done
