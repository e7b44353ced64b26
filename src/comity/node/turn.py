"""What a host asks of its shell at the end of a turn. The shell has a clock, links, a disk and threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Envelope = tuple[int, int, bytes]
"""(group, kind, body): one message of a peer frame; bodies are opaque to the shell."""


@dataclass(slots=True, frozen=True)
class JournalWrite:
    """Append data to a segment and make it durable, then call `Host.journal_written(sequence)`.

    At most one is outstanding. creates: the segment is new, so its directory entry must become
    durable too. removes: segments to delete once this write is durable (not before).
    """

    sequence: int
    segment: str
    data: bytes
    creates: bool
    removes: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Job:
    """Disk work of the state engine. Run `run()` off the loop, one job at a time, in order, then
    call `Host.job_done(number, error)`; error is None or what went wrong."""

    number: int
    kind: str
    run: Callable[[], None]


@dataclass(slots=True)
class Turn:
    """The effects of one turn, to be carried out in any order.

    frames: (peer, envelopes) one frame each; a peer without a link loses it, which is allowed.
    replies: (connection, bytes), in order per connection. close: connections to close after their
    replies are flushed. pause, resume: whether to read from a connection.
    links: when not None, exactly the peers to keep a link with, node -> host:port.
    """

    frames: list[tuple[int, list[Envelope]]] = field(default_factory=list)
    journal: JournalWrite | None = None
    replies: list[tuple[int, bytes]] = field(default_factory=list)
    close: list[int] = field(default_factory=list)
    pause: list[int] = field(default_factory=list)
    resume: list[int] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    links: dict[int, str] | None = None
