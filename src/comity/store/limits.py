"""The bounds of a state machine: what is the same on every replica, and what each chooses."""

from __future__ import annotations

import msgspec

MAX_STRING_BYTES = 512 << 20
"""The longest string value, as Redis's proto-max-bulk-len."""

KEY_OVERHEAD_BYTES = 200
"""What a key costs in memory beyond its own bytes and those of its value: objects and table slots."""


class ReplicatedLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds that decide what the state becomes. Every replica of a group must have the same ones, so
    a node does not configure them; tests make them small.

    client_answers: answers remembered for each client of CLIENT ONCE, a window of that many sequences.
    client_answer_bytes: bytes of answers kept for one client. clients: how many clients are remembered,
        the least recently used goes. clients_answer_bytes: bytes of answers kept for all clients.
    client_id_bytes: the longest client id.
    origin_batches, origin_answer_bytes: answers kept for each origin of batches. origins: how many
        nodes are remembered.
    reclaimed_per_entry: expired keys deleted by one log entry at most.
    """

    client_answers: int = 64
    client_answer_bytes: int = 64 << 10
    clients: int = 10_000
    clients_answer_bytes: int = 32 << 20
    client_id_bytes: int = 128
    origin_batches: int = 256
    origin_answer_bytes: int = 1 << 20
    origins: int = 256
    reclaimed_per_entry: int = 64


class StoreLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one replica.

    cache_bytes: memory of the working set of decoded values above the engine, not counting what waits
        to be flushed. snapshot_views: snapshots served to other replicas at the same time.
    """

    cache_bytes: int = 64 << 20
    snapshot_views: int = 2
    replicated: ReplicatedLimits = ReplicatedLimits()
