"""Shared by the tests of the state machine: a log, and replicas that apply it."""

from __future__ import annotations

from dataclasses import dataclass, field

from comity.store.batches import Answer, encode_batch, encode_proposal
from comity.store.engines import Engine
from comity.store.engines.memory import MemoryEngine
from comity.store.limits import ReplicatedLimits, StoreLimits
from comity.store.machine import StateMachine

START_MS = 1_000_000


@dataclass
class Log:
    """Entries as a leader would make them; each is (kind, payload)."""

    entries: list[tuple[str, bytes]] = field(default_factory=list)
    now_ms: int = START_MS
    sequences: dict[tuple[int, int], int] = field(default_factory=dict)

    def batch(
        self, commands: list[list[bytes]], origin: int = 1, incarnation: int = 1, protocol: int = 2
    ) -> bytes:
        last = self.sequences.get((origin, incarnation), 0)
        self.sequences[origin, incarnation] = last + 1
        return encode_batch(origin, incarnation, last + 1, last, max(1, last - 2), protocol, commands)

    def propose(self, *batches: bytes) -> None:
        self.entries.append(("command", encode_proposal(self.now_ms, list(batches))))

    def commands(self, *commands: list[bytes], protocol: int = 2) -> None:
        self.propose(self.batch(list(commands), protocol=protocol))

    def noop(self) -> None:
        self.entries.append(("noop", b""))

    def members(self, members: bytes) -> None:
        self.entries.append(("members", members))


class Replica:
    """A state machine that follows a log."""

    def __init__(self, log: Log, engine: Engine | None = None, limits: StoreLimits | None = None) -> None:
        self.log = log
        self.engine = engine if engine is not None else MemoryEngine()
        self.limits = limits
        self.machine = StateMachine(7, self.engine, limits)

    def catch_up(self) -> list[list[Answer]]:
        """Apply what is missing; the answers of each entry."""
        answers = []
        for index in range(self.machine.applied + 1, len(self.log.entries) + 1):
            kind, payload = self.log.entries[index - 1]
            term = 1 + index // 10
            if kind == "command":
                answers.append(self.machine.apply(index, term, payload))
            else:
                self.machine.advance(index, term, payload if kind == "members" else None)
                answers.append([])
        return answers

    def run(self, *commands: list[bytes], protocol: int = 2) -> list[bytes]:
        """Log commands, apply them, and return their replies."""
        self.log.commands(*commands, protocol=protocol)
        replies = self.catch_up()[-1][0].replies
        assert replies is not None
        return replies

    def flush(self) -> None:
        job = self.machine.begin_flush()
        if job is not None:
            job.run()
            self.machine.end_flush(job)

    def sync(self) -> None:
        self.engine.sync()
        self.machine.synced()

    def crash(self) -> None:
        """What the disk holds is all that is left."""
        assert isinstance(self.engine, MemoryEngine)
        self.engine = self.engine.crashed()
        self.machine = StateMachine(7, self.engine, self.limits)

    def copy_from(self, other: Replica, chunk_bytes: int = 1 << 20) -> None:
        """Become what the other has flushed, by snapshot."""
        cursor, snapshot = b"", 0
        while True:
            chunk = other.machine.snapshot_chunk(cursor, snapshot, chunk_bytes)
            assert chunk is not None
            self.machine.stage_chunk(
                chunk.index, chunk.term, chunk.members, cursor, chunk.next_cursor, chunk.data
            )
            cursor, snapshot = chunk.next_cursor, chunk.index
            if not cursor:
                break
        self.machine.install_staged()


def words(text: str) -> list[bytes]:
    return text.encode().split()


SMALL = StoreLimits(
    cache_bytes=300,
    replicated=ReplicatedLimits(
        client_answers=3,
        client_answer_bytes=40,
        clients=3,
        clients_answer_bytes=100,
        origin_batches=3,
        origin_answer_bytes=200,
        origins=3,
        reclaimed_per_entry=2,
    ),
)
