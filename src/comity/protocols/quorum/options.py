"""What a keyspace may choose about its quorums."""

from __future__ import annotations

import msgspec

from comity.protocols.quorum.arithmetic import LAST_WRITER_WINS, SIBLINGS

MILLISECOND_NS = 1_000_000
SECOND_NS = 1000 * MILLISECOND_NS
MINUTE_NS = 60 * SECOND_NS
KIB = 1024
MIB = 1024 * KIB


class QuorumOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one quorum keyspace; the same on every node. Durations are nanoseconds.

    Raises `ValueError` with the option's name where a value or a combination makes no sense.

    n: how many nodes hold a key, 0 for all of the view. r, w: how many of them answer a read and
        acknowledge a write, 0 for a majority. Where a view has fewer nodes they count for what there is.
    sloppy: while a node of a key's list does not answer, the next one beyond it stands in (Dynamo 4.6).
    conflicts: "last-writer-wins" or "siblings" (concurrent writes are kept beside each other).
    max_siblings: beyond it the oldest are dropped.
    max_pending: operations this node coordinates at a time; more are refused as overloaded.
    retry_ns: what was not answered is sent again after this.
    read_repair: whether stale replicas are sent the newest after a read. max_repairs: reads whose late
        answers are still looked at.
    heartbeat_ns: between questions to a peer that is suspected or that hints are held for.
    hint_entries, hint_bytes: what a node holds for others at most. hint_expiry_ns: a hint older is dropped.
    handoff_batch: hints, or keys that belong elsewhere, on their way to one peer.
    anti_entropy_ns: between rounds with one peer after the other. settle_ns: the same while a view moves.
    round_attempts: unanswered messages before a round is given up.
    merkle_depth: the tree has 2**merkle_depth leaves. compare_nodes: hashes in one message.
    sync_keys, sync_bytes: keys, and bytes of values, in one message of a round.
    build_keys: keys hashed at a time after a start or a change of view.
    tombstone_grace_ns: a removal is remembered at least so long. It bounds how late a message may come, how
        far clocks may be apart, and how long a hint may be held.
    collect_ns: between looks at what may be collected. collect_keys: looked at each time.
    """

    n: int = 0
    r: int = 0
    w: int = 0
    sloppy: bool = False
    conflicts: str = LAST_WRITER_WINS
    max_siblings: int = 16
    max_pending: int = 10_000
    retry_ns: int = 200 * MILLISECOND_NS
    read_repair: bool = True
    max_repairs: int = 1024
    heartbeat_ns: int = 500 * MILLISECOND_NS
    hint_entries: int = 100_000
    hint_bytes: int = 64 * MIB
    hint_expiry_ns: int = 30 * MINUTE_NS
    handoff_batch: int = 128
    anti_entropy_ns: int = 10 * SECOND_NS
    settle_ns: int = 20 * MILLISECOND_NS
    round_attempts: int = 5
    merkle_depth: int = 10
    compare_nodes: int = 256
    sync_keys: int = 256
    sync_bytes: int = 1 * MIB
    build_keys: int = 1000
    tombstone_grace_ns: int = 60 * MINUTE_NS
    collect_ns: int = 10 * SECOND_NS
    collect_keys: int = 1000

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            least = 0 if name in {"n", "r", "w"} else 1
            if type(value) is int and value < least:
                raise ValueError(f"quorum option {name} must be {least} or more, not {value}")
        if self.conflicts not in {LAST_WRITER_WINS, SIBLINGS}:
            raise ValueError(
                f"quorum option conflicts must be {LAST_WRITER_WINS} or {SIBLINGS}, not {self.conflicts!r}"
            )
        for name in ("r", "w"):
            if 0 < self.n < getattr(self, name):
                raise ValueError(
                    f"quorum option {name} ({getattr(self, name)}) is more than the n ({self.n}) nodes that "
                    f"hold a key: lower {name} or raise n"
                )
        if self.merkle_depth > 20:
            raise ValueError(f"quorum option merkle_depth must be 1 to 20, not {self.merkle_depth}")
        if self.compare_nodes < 16:
            raise ValueError(f"quorum option compare_nodes must be 16 or more, not {self.compare_nodes}")
        if self.hint_expiry_ns > self.tombstone_grace_ns:
            raise ValueError(
                f"quorum option hint_expiry_ns ({self.hint_expiry_ns}) must be at most tombstone_grace_ns "
                f"({self.tombstone_grace_ns}): a hint that outlives a tombstone brings back what was removed"
            )
        if self.retry_ns > self.tombstone_grace_ns:
            raise ValueError(
                f"quorum option retry_ns ({self.retry_ns}) must be at most tombstone_grace_ns "
                f"({self.tombstone_grace_ns})"
            )
