"""What a keyspace may choose about its gossip."""

from __future__ import annotations

import msgspec

MILLISECOND_NS = 1_000_000
KIB = 1024
MIB = 1024 * KIB


class GossipOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one gossip keyspace; the same on every member. Durations are nanoseconds.

    Raises `ValueError` with the option's name where a value or a combination makes no sense.

    round_ns: between two rounds of anti-entropy while anything differs. idle_ns: the same while every peer
        is known to have what this replica has.
    fanout: peers asked in a round.
    retry_ns: what was asked for and did not come is asked for again after this.
    alone_ns: a replica without any state that hears of nobody who serves begins to serve after this.
    max_message_bytes: deltas or cells in one message, unless a single one is larger.
    max_unheard_bytes: pushed to a peer since it was last heard of; beyond it waits until it asks.
    max_batch_bytes: the writes of one turn; beyond it they are refused as overloaded.
    max_buffer_bytes: deltas of others that came before what they depend on; beyond it they are dropped and
        asked for again.
    max_log_bytes: deltas kept of each origin for members that lack them. A member that lacks more needs the
        full state. While a state is being sent, up to four times as much is kept.
    max_waiting: operations that wait for what their session has seen.
    max_unanswered: operations that wait for the disk.
    collect_keys: tombstones collected in one turn. scan_keys: cells looked at in one round after a restart.
    max_drift_ns: how far another's clock may be ahead before it is no longer followed.
    """

    round_ns: int = 100 * MILLISECOND_NS
    idle_ns: int = 1000 * MILLISECOND_NS
    fanout: int = 3
    retry_ns: int = 30 * MILLISECOND_NS
    alone_ns: int = 2000 * MILLISECOND_NS
    max_message_bytes: int = 512 * KIB
    max_unheard_bytes: int = 4 * MIB
    max_batch_bytes: int = 16 * MIB
    max_buffer_bytes: int = 32 * MIB
    max_log_bytes: int = 16 * MIB
    max_waiting: int = 10_000
    max_unanswered: int = 100_000
    collect_keys: int = 256
    scan_keys: int = 1000
    max_drift_ns: int = 60_000 * MILLISECOND_NS

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise ValueError(f"gossip option {name} must be 1 or more, not {getattr(self, name)}")
        for larger, smaller, why in (
            ("idle_ns", "round_ns", "an idle replica does not gossip more often than a busy one"),
            ("round_ns", "retry_ns", "a retry comes before the next round"),
            ("max_buffer_bytes", "max_message_bytes", "a message must fit into the buffer"),
            (
                "max_log_bytes",
                "max_message_bytes",
                "a log shorter than a message would always need full state",
            ),
        ):
            if getattr(self, larger) < getattr(self, smaller):
                raise ValueError(
                    f"gossip option {larger} ({getattr(self, larger)}) must be at least {smaller} "
                    f"({getattr(self, smaller)}): {why}"
                )
