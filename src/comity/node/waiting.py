"""Writes of this node's clients on their way into the log: gathered in builders, then sent as batches."""

from __future__ import annotations

from comity.node.connection import Run


class Builder:
    """Commands gathered for the next batch, and whose they are."""

    __slots__ = ("commands", "protocol", "runs", "size")

    def __init__(self, protocol: int) -> None:
        self.protocol = protocol
        self.commands: list[list[bytes]] = []
        self.runs: list[Run] = []
        self.size = 0

    def remove_late(self, limit_ns: int) -> list[Run]:
        """Take out the runs that arrived by then, with their commands; those runs."""
        late: list[Run] = []
        runs: list[Run] = []
        commands: list[list[bytes]] = []
        position = 0
        for run in self.runs:
            if run.arrived_ns <= limit_ns:
                late.append(run)
            else:
                runs.append(run)
                commands.extend(self.commands[position : position + run.count])
            position += run.count
        if late:
            self.size = self.size * len(commands) // len(self.commands)
            self.runs, self.commands = runs, commands
        return late


class Pending:
    """A batch that has a sequence and no answer yet.

    exposed: it may be in a log somewhere. sent: it is on its way to the leader of now. refused: this node's
    core did not take it when it was last proposed.
    """

    __slots__ = ("builder", "exposed", "payload", "refused", "sent", "sequence")

    def __init__(self, sequence: int, builder: Builder, payload: bytes) -> None:
        self.sequence = sequence
        self.builder = builder
        self.payload = payload
        self.sent = False
        self.exposed = False
        self.refused = False
