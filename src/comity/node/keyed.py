"""A keyspace of registers on this node: its core, its cells, and the commands of this node's clients.

Each command on a key is one operation, asked of the core at once; its answer comes when the protocol has
it. Answers of a connection leave in the order of its commands. Commands on several keys are taken where the
protocol promises nothing about several keys anyway; they are then one operation a key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from comity.formats import resp
from comity.node.connection import Connection, Run
from comity.node.errors import INDETERMINATE, NO_QUORUM, OVERLOADED, PARTLY
from comity.node.served import Served
from comity.replica import (
    CAUSAL,
    LINEARIZABLE,
    NEVER,
    REASON_INVALID,
    REASON_OVERLOADED,
    SEQUENTIAL,
    SESSION,
    Answered,
    KeyedCore,
    KeyedProtocol,
    KeyOperation,
    Record,
    Refused,
    Reply,
    View,
)
from comity.store import listing
from comity.store.cells import CellStore
from comity.store.registers import MAX_REGISTER_BYTES, TOO_LARGE
from comity.store.semantics import Semantics
from comity.store.table import wrong_arity

if TYPE_CHECKING:
    from comity.node.host import Host
    from comity.node.routes import Route

RUN_COMMANDS = 1024
"""Commands of one connection taken at once."""

IN_ORDER = frozenset({SEQUENTIAL, CAUSAL, SESSION})
"""Levels at which what a session does later is not seen before what it did earlier, whatever the keys."""

PLAIN = frozenset({"get", "set"})
"""Possible wherever there are registers, without options."""

SUMS = frozenset({"del", "unlink", "exists", "touch"})
ONE_BY_ONE = {"mget": b"GET", "mset": b"SET"}
SEVERAL = SUMS | ONE_BY_ONE.keys()
"""Commands on several keys that mean something key by key."""


class KeyedRun:
    """Commands of one connection that are answered together, in order."""

    __slots__ = (
        "answers",
        "asked",
        "busy",
        "connection",
        "in_order",
        "level",
        "missing",
        "number",
        "quorums",
        "run",
        "size",
    )

    def __init__(self, connection: Connection, count: int, level: str, run: Run) -> None:
        self.quorums = (connection.read_quorum, connection.write_quorum)
        self.number = 0
        self.size = 0
        self.connection = connection
        self.run = run
        self.level = level
        self.answers: list[bytes] = [b""] * count
        self.missing = count
        self.in_order = False
        """Whether each operation waits for the one before it."""
        self.busy: dict[bytes, deque[_Part]] = {}
        """Keys (or all of them as one) with an operation under way, and what waits behind it."""
        self.asked: dict[int, None] = {}
        """The operations under way."""


class _Part:
    """One operation: of a command, or of a command on several keys one of them."""

    __slots__ = ("args", "gather", "key", "owner", "position", "slot", "writes")

    def __init__(
        self,
        owner: KeyedRun,
        slot: int,
        key: bytes,
        args: list[bytes],
        writes: bool,
        gather: _Gather | None = None,
        position: int = 0,
    ) -> None:
        self.owner = owner
        self.slot = slot
        self.key = key
        self.args = args
        self.writes = writes
        self.gather = gather
        self.position = position


class _Gather:
    """The answers of one command on several keys, and how they become one."""

    __slots__ = ("answers", "missing", "name", "writes")

    def __init__(self, name: str, count: int, writes: bool) -> None:
        self.name = name
        self.writes = writes
        self.answers: list[bytes] = [b""] * count
        self.missing = count

    def reply(self) -> bytes:
        """One answer out of all."""
        errors = [answer for answer in self.answers if answer[:1] == b"-"]
        if errors:
            # What says that nothing was done must be true of every key.
            kept = not self.writes or len(errors) == len(self.answers)
            whole = kept and not any(answer.startswith(b"-INDETERMINATE") for answer in errors)
            return errors[0] if whole or len(set(self.answers)) == 1 else PARTLY
        if self.name == "mget":
            return resp.array(self.answers)
        if self.name == "mset":
            return resp.OK
        return resp.integer(sum(int(answer[1:-2]) for answer in self.answers))


class KeyedGroup(Served):
    """The operations of one keyspace of registers, from this node's connections to its core and back."""

    keyed = True
    core: KeyedCore
    machine: CellStore

    def __init__(
        self,
        host: Host,
        number: int,
        name: str,
        protocol: KeyedProtocol,
        core: KeyedCore,
        machine: CellStore,
        semantics: Semantics,
    ) -> None:
        super().__init__(host, number, name, protocol)
        self.core = core
        self.machine = machine
        self.semantics = semantics
        self.runs: dict[int, KeyedRun] = {}
        """Not answered, in the order they came."""
        self.requests: dict[int, _Part] = {}
        self.behind = 0
        """Parts that wait for one on the same key."""
        self.waiting_bytes = 0
        """Of all commands that are not answered."""

    # -- commands

    def unsuited(self, route: Route, args: list[bytes], keys: Sequence[bytes], level: str) -> bytes | None:
        """The error of a command that this keyspace cannot carry out; None for one it can."""
        if route.name == "mset" and len(args) % 2 == 0:
            return wrong_arity(route.command)
        if max(map(len, args)) > MAX_REGISTER_BYTES:
            return TOO_LARGE
        if route.name in PLAIN and len(args) <= 3:
            return None
        reason = self.semantics.refusal(self.protocol.atomic, args)
        if reason is None and len(keys) != 1:
            if route.name not in SEVERAL:
                reason = "it takes several keys, and here each key is replicated on its own"
            elif level == LINEARIZABLE:
                reason = "on several keys it would not be atomic; send one for each key"
        if reason is None:
            return None
        name = route.name.upper()
        place = f"keyspace '{self.name}' ({self.protocol.name})"
        return resp.error(f"ERR {name} is not possible in {place}: {reason}")

    def submit(self, run: KeyedRun, commands: list[tuple[Route, list[bytes], list[bytes]]]) -> None:
        """Carry out commands of a connection: (route, arguments, keys) each."""
        run.size = sum([sum(map(len, args)) for _, args, _ in commands])
        self.waiting_bytes += run.size
        run.number = self.host.request()
        self.runs[run.number] = run
        # A replica alone carries them out in order anyway; others would each go their own way.
        run.in_order = run.level in IN_ORDER and self.semantics.kind == "register"
        for slot, (route, args, keys) in enumerate(commands):
            writes = "write" in route.command.flags
            if len(keys) == 1:
                self._begin(_Part(run, slot, keys[0], args, writes))
                continue
            gather = _Gather(route.name, len(keys), writes)
            name = ONE_BY_ONE.get(route.name, args[0])
            for position, key in enumerate(keys):
                words = [name, key, args[2 + 2 * position]] if route.name == "mset" else [name, key]
                self._begin(_Part(run, slot, key, words, writes, gather, position))

    def listing(self, args: list[bytes]) -> bytes:
        """The reply to KEYS or SCAN: what this replica has, at any level."""
        return listing.list_cells(args, self.machine.walk, self._exists)

    def count_keys(self) -> tuple[int, bool]:
        """(how many keys this replica has, whether that is exact)."""
        return listing.count_cells(self.machine.walk, self._exists)

    def _exists(self, cell: bytes) -> bool:
        value = self.core.client_value(cell)
        return value is not None and self.semantics.exists(value, self.host.wall_ms)

    def _begin(self, part: _Part) -> None:
        """Ask for it now, or behind what of the same run has to come before."""
        owner = part.owner
        if owner.in_order or not self.protocol.atomic:
            place = b"" if owner.in_order else part.key
            waiting = owner.busy.get(place)
            if waiting is not None:
                waiting.append(part)
                self.behind += 1
                return
            owner.busy[place] = deque()
        self._ask(part)

    def _ask(self, part: _Part) -> None:
        host = self.host
        owner = part.owner
        operation = KeyOperation(
            key=part.key,
            payload=self.semantics.payload(owner.connection.protocol, [part.args], part.key),
            writes=part.writes,
            level=owner.level,
            token=owner.connection.tokens.get(self.number, b""),
            read_quorum=owner.quorums[0],
            write_quorum=owner.quorums[1],
        )
        request = host.request()
        self.requests[request] = part
        owner.asked[request] = None
        self.core.execute(host.now_ns, request, operation)

    def on_reply(self, reply: Reply, now_ns: int) -> None:
        """The core's answer to an operation."""
        part = self.requests.pop(reply.request, None)
        if part is None:
            return
        owner = part.owner
        del owner.asked[reply.request]
        outcome = reply.outcome
        if isinstance(outcome, Answered):
            token = outcome.token
            if token:
                tokens = owner.connection.tokens
                before = tokens.get(self.number)
                if before != token:
                    tokens[self.number] = self.core.join_tokens(before, token) if before else token
            self._done(part, outcome.reply)
        elif isinstance(outcome, Refused):
            self._done(part, _refused(outcome))
        else:
            self._done(part, INDETERMINATE)

    def _done(self, part: _Part, answer: bytes) -> None:
        owner = part.owner
        if owner.busy:
            place = b"" if owner.in_order else part.key
            waiting = owner.busy.get(place)
            if waiting:
                self.behind -= 1
                self._ask(waiting.popleft())
                self.host.dirty(self)
            else:
                owner.busy.pop(place, None)
        self._answer(part, answer)

    def _answer(self, part: _Part, answer: bytes) -> None:
        owner = part.owner
        gather = part.gather
        if gather is not None:
            gather.answers[part.position] = answer
            gather.missing -= 1
            if gather.missing:
                return
            answer = gather.reply()
        owner.answers[part.slot] = answer
        owner.missing -= 1
        if not owner.missing:
            del self.runs[owner.number]
            self.waiting_bytes -= owner.size
            self.host.deliver([owner.run], owner.answers)

    def join_tokens(self, first: bytes, second: bytes) -> bytes:
        """A token that says a session has seen what either says."""
        return self.core.join_tokens(first, second) if first else second

    def oldest_ns(self) -> int:
        """When the first run arrived that is not answered."""
        return next(iter(self.runs.values())).run.arrived_ns if self.runs else NEVER

    # -- the turn

    def push(self, now_ns: int) -> None:
        """Everything was asked as it came."""

    def records(self) -> Sequence[Record]:
        """What this turn put into the cells, as one record."""
        record = self.machine.record()
        if record is None:
            return ()
        self.host.jobs.applied()
        return (Record(*record),)

    def deadline_ns(self) -> int:
        """When the core or the first request wants attention."""
        deadline = self.core.deadline_ns
        if self.runs:
            deadline = min(deadline, self.oldest_ns() + self.host.config.bounds.request_deadline_ns)
        return deadline

    def wake(self, now_ns: int) -> None:
        """Time for the core, and for giving up on what waited too long."""
        if self.core.deadline_ns <= now_ns:
            self.core.wake(now_ns)
        limit = now_ns - self.host.config.bounds.request_deadline_ns
        while self.oldest_ns() <= limit:
            self._give_up(next(iter(self.runs.values())), now_ns)

    def _give_up(self, run: KeyedRun, now_ns: int) -> None:
        """Answer everything of a run with what is known: what waited behind another was never asked for."""
        behind = [part for waiting in run.busy.values() for part in waiting]
        asked, run.asked, run.busy = run.asked, {}, {}
        self.behind -= len(behind)
        for request in asked:
            part = self.requests.pop(request)
            outcome = self.core.abandon(now_ns, request)
            self._answer(part, NO_QUORUM if isinstance(outcome, Refused) else INDETERMINATE)
        for part in behind:
            self._answer(part, NO_QUORUM)

    def give_up(self) -> None:
        """The keyspace is no more: nobody will ask its core again."""
        for run in list(self.runs.values()):
            self._give_up(run, self.host.now_ns)

    # -- the state

    def compact(self, now_ns: int) -> None:
        """The cells' own position says it all."""
        self.machine.synced()

    def compaction_index(self) -> int:
        """Records up to the durable state are needed no more."""
        return self.machine.durable

    def checkpoint(self) -> Sequence[Record]:
        """Cells need no hard state of their own."""
        return ()

    # -- who

    @property
    def idle(self) -> bool:
        """Whether no operation is under way."""
        return not self.runs

    def refusal(self, write: bool) -> bytes | None:
        """Too much waits already, or the catalogue says that this node has no part in it."""
        bounds = self.host.config.bounds
        many = len(self.requests) + self.behind >= bounds.commands_waiting
        return OVERLOADED if many or self.waiting_bytes >= bounds.waiting_bytes else None

    @property
    def view(self) -> View | None:
        """The view in force on this node."""
        return self.core.current

    def digest(self) -> tuple[int, bytes]:
        """(number of the last record, digest of what clients' keys hold here)."""
        return self.machine.applied, self.machine.digest(self._data)

    def _data(self, cell: bytes) -> bytes | None:
        return self.core.client_value(cell)

    def status(self) -> dict[str, Any]:
        """For /status."""
        view = self.core.current
        return {
            "protocol": self.protocol.name,
            **self.core.status(),
            "level": self.level,
            "epoch": view.epoch,
            "nodes": list(view.nodes),
            "settled": self.core.settled,
            "waiting_commands": len(self.requests) + self.behind,
            "store": self.machine.stats(),
        }

    def check(self) -> None:
        """Audit the core and the bookkeeping of operations."""
        self.core.check()
        assert self.behind >= 0, "more operations went on than waited"
        assert self.waiting_bytes == sum(run.size for run in self.runs.values()), (
            f"{self.waiting_bytes} bytes wait, and those of runs are others"
        )
        assert len(self.requests) == sum(len(run.asked) for run in self.runs.values()), (
            "operations are under way that belong to no run, or are no more"
        )


def _refused(outcome: Refused) -> bytes:
    if outcome.reason == REASON_INVALID:
        return resp.error(f"ERR {outcome.detail}")
    if outcome.reason == REASON_OVERLOADED:
        return resp.error(f"TRYAGAIN {outcome.detail or 'too much waits'}: nothing was done; try again later")
    return resp.error(f"CLUSTERDOWN {outcome.detail or 'no quorum'}: nothing was done; try again later")
