"""Linearizable reads of one group on this node: asked of the core in rounds, answered from what is applied.

All reads that wait share one round of the core, which answers with an index; they are carried out once
that index is applied here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from comity.node.config import MILLISECOND_NS
from comity.node.connection import Connection, Run
from comity.node.routes import Route
from comity.replica import NEVER, Outcome, ReadAt

if TYPE_CHECKING:
    from comity.node.group import Group

ROUNDS_IN_FLIGHT = 1
ASK_AGAIN_NS = 1000 * MILLISECOND_NS
REFUSED_WAIT_NS = 10 * MILLISECOND_NS
READ_BYTES_PER_TURN = 8 << 20
"""Answers to reads made at one go: a client that asks for much and takes nothing holds little more."""


class ReadRun:
    """Reads of one connection that wait for an index to be read at.

    asked: the core was asked on their behalf. Further reads of the connection then wait, for an
    answer to a later request may come first.
    """

    __slots__ = ("arrived_ns", "asked", "commands", "connection", "finish", "route")

    def __init__(
        self,
        connection: Connection,
        commands: list[list[bytes]],
        arrived_ns: int,
        route: Route,
        finish: Callable[[], None] | None = None,
    ) -> None:
        self.connection = connection
        self.commands = commands
        self.arrived_ns = arrived_ns
        self.route = route
        self.finish = finish
        self.asked = False


class Reads:
    """The reads of a group: waiting for a round, in a round, or waiting for an index to be applied."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.host = group.host
        self.waiting: list[ReadRun] = []
        self.blocked_ns = 0
        self.rounds: dict[int, tuple[int, list[ReadRun]]] = {}
        self.at: list[tuple[int, list[ReadRun]]] = []

    def __len__(self) -> int:
        """How many runs no round was begun for."""
        return len(self.waiting)

    @property
    def any(self) -> bool:
        """Whether any read is not answered."""
        return bool(self.waiting or self.rounds or self.at)

    def add(self, run: ReadRun) -> None:
        """Reads of a connection, to be part of the next round."""
        self.waiting.append(run)

    def ask(self, now_ns: int) -> None:
        """Begin a round for all that wait, if one may begin."""
        if not self.waiting or len(self.rounds) >= ROUNDS_IN_FLIGHT or now_ns < self.blocked_ns:
            return
        runs, self.waiting = self.waiting, []
        for run in runs:
            run.asked = True
        request = self.host.request()
        self.rounds[request] = (now_ns, runs)
        metrics = self.host.metrics
        metrics.read_rounds += 1
        metrics.reads_in_rounds += len(runs)
        self.group.core.read(now_ns, request)

    def answered(self, request: int, outcome: Outcome, now_ns: int) -> bool:
        """The core's answer to a round; False for a request that is none."""
        found = self.rounds.pop(request, None)
        if found is None:
            return False
        runs = found[1]
        group = self.group
        if not isinstance(outcome, ReadAt):
            # Nothing was promised and nothing was done: ask again until the deadline.
            self.waiting = runs + self.waiting
            self.blocked_ns = now_ns + REFUSED_WAIT_NS
        elif outcome.index <= group.machine.applied and not group.installing:
            self._carry_out(runs)
        else:
            self.at.append((outcome.index, runs))
        return True

    def _carry_out(self, runs: list[ReadRun]) -> None:
        machine = self.group.machine
        for protocol in (2, 3):
            chosen = [run for run in runs if run.connection.protocol == protocol and run.finish is None]
            if not chosen:
                continue
            commands = [command for run in chosen for command in run.commands]
            replies = machine.read(commands, protocol, max_bytes=READ_BYTES_PER_TURN)
            if len(replies) < len(commands):
                self._deliver_partly(chosen, replies)
                continue
            self.host.deliver(
                [Run(run.connection, len(run.commands), run.arrived_ns, run.route) for run in chosen],
                replies,
            )
        for run in runs:
            if run.finish is not None:
                run.finish()

    def _deliver_partly(self, runs: list[ReadRun], replies: list[bytes]) -> None:
        """Deliver what was read; what was not is asked again, once its client has taken its answers."""
        position = 0
        for run in runs:
            read = replies[position : position + len(run.commands)]
            position += len(read)
            self.host.dispatcher.hand_back(run.connection, run.commands[len(read) :])
            if read:
                self.host.deliver([Run(run.connection, len(read), run.arrived_ns, run.route)], read)

    def release(self) -> None:
        """Carry out what only waited for what is applied now."""
        applied = self.group.machine.applied
        waiting = []
        for index, runs in self.at:
            if index <= applied:
                self._carry_out(runs)
            else:
                waiting.append((index, runs))
        self.at = waiting

    # -- time

    def deadline_ns(self) -> int:
        """When a round has to be begun, or begun anew."""
        deadline = NEVER
        for asked_ns, _ in self.rounds.values():
            deadline = min(deadline, asked_ns + ASK_AGAIN_NS)
        if self.waiting and len(self.rounds) < ROUNDS_IN_FLIGHT:
            deadline = min(deadline, max(self.blocked_ns, self.host.now_ns))
        return deadline

    def oldest_ns(self) -> int:
        """When the first of them arrived."""
        oldest = NEVER
        for _, runs in (*self.rounds.values(), *self.at):
            oldest = min(oldest, runs[0].arrived_ns)
        if self.waiting:
            oldest = min(oldest, self.waiting[0].arrived_ns)
        return oldest

    def ask_again(self, now_ns: int) -> None:
        """Reads the core has not answered for long are asked for anew: its request may be lost."""
        limit = now_ns - ASK_AGAIN_NS
        for request in [request for request, (asked_ns, _) in self.rounds.items() if asked_ns <= limit]:
            self.waiting = self.rounds.pop(request)[1] + self.waiting

    def ask_anew(self) -> None:
        """What waits for an index of a history that is gone asks for one of the history there is."""
        at, self.at = self.at, []
        self.waiting = [run for _, runs in at for run in runs] + self.waiting

    def expire(self, limit: int, refusal: bytes) -> None:
        """Refuse what arrived by then: a read that was not answered did nothing."""

        def fresh(runs: list[ReadRun]) -> list[ReadRun]:
            late = [run for run in runs if run.arrived_ns <= limit]
            for run in late:
                count = len(run.commands) if run.finish is None else 1
                self.host.deliver_error([Run(run.connection, count, run.arrived_ns, run.route)], refusal)
            return [run for run in runs if run.arrived_ns > limit] if late else runs

        self.waiting = fresh(self.waiting)
        self.at = [(index, kept) for index, runs in self.at if (kept := fresh(runs))]
        rounds = {}
        for request, (asked_ns, runs) in self.rounds.items():
            kept = fresh(runs)
            if kept:
                rounds[request] = (asked_ns, kept)
        self.rounds = rounds
