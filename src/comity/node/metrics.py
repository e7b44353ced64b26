"""Counters of one host: plain integers and fixed buckets, cheap enough for the busiest loop."""

from __future__ import annotations

from bisect import bisect_left

BUCKETS_NS = (*(50_000 << power for power in range(12)), 500_000_000, 1_000_000_000, 5_000_000_000)
"""Upper edges of the latency buckets, nanoseconds; one more bucket holds what is slower."""


class Histogram:
    """Counts per bucket, and the sum in nanoseconds."""

    __slots__ = ("buckets", "count", "sum_ns")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS_NS) + 1)
        self.count = 0
        self.sum_ns = 0

    def observe(self, value_ns: int, times: int = 1) -> None:
        """Add a value, as often as it was seen."""
        self.buckets[bisect_left(BUCKETS_NS, value_ns)] += times
        self.count += times
        self.sum_ns += value_ns * times


class Metrics:
    """Everything a host counts.

    latency: by command, from its arrival to its answer; a run of pipelined commands counts under
    its first command. commands: exact counts by command. errors: answers by error prefix.
    """

    bucket_edges_ns = BUCKETS_NS

    def __init__(self) -> None:
        self.latency: dict[str, Histogram] = {}
        self.commands: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.sync = Histogram()
        self.batches = 0
        self.batched_commands = 0
        self.forwarded_batches = 0
        self.resent_batches = 0
        self.read_rounds = 0
        self.reads_in_rounds = 0
        self.local_reads = 0
        self.entries_applied = 0
        self.peer_frames_received = 0
        self.peer_messages_received = 0
        self.peer_messages_refused = 0
        self.connections_total = 0
        self.connections_refused = 0
        self.protocol_errors = 0
        self.journal_failures = 0

    def observe(self, command: str, latency_ns: int, times: int = 1) -> None:
        """The latency of a run of commands."""
        histogram = self.latency.get(command)
        if histogram is None:
            histogram = self.latency[command] = Histogram()
        histogram.observe(latency_ns, times)

    def observe_sync(self, duration_ns: int) -> None:
        """How long one append and fdatasync of the journal took."""
        self.sync.observe(duration_ns)

    def error(self, reply: bytes, times: int = 1) -> None:
        """Count an error reply under its first word."""
        word = reply[1:33].split(b" ", 1)[0].split(b"\r", 1)[0].decode("latin-1")
        if word in self.errors or len(self.errors) < 64:
            self.errors[word] = self.errors.get(word, 0) + times
