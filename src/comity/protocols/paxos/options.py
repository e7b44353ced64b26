"""What a keyspace may choose about Paxos."""

from __future__ import annotations

import msgspec

from comity.protocols.paxos.messages import MAX_KEYS

MILLISECOND_NS = 1_000_000
MIB = 1024 * 1024
BACKOFF_ROUNDS = 4
"""Round trips to a quorum, the longest back-off of a proposer far from it: a rival needs two for its change,
and a client waits for a few only."""


class PaxosOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of one keyspace; the same on every replica. Durations are nanoseconds.

    Raises `ValueError` with the option's name where a value or a combination makes no sense.

    retry_ns, retry_max_ns: an unanswered question is asked again after retry_ns, or the time in which a
        quorum should have answered where that is longer (see `trips`); then after twice as long each time,
        up to retry_max_ns, as long as somebody waits for it.
    backoff_ns, backoff_max_ns: a proposer that lost a key to another waits a random time up to backoff_ns
        before it tries again; doubled with each loss in a row, up to backoff_max_ns. Where the round trip to
        a quorum is longer than backoff_ns it takes its place, and BACKOFF_ROUNDS of it, but no more than
        retry_max_ns, that of backoff_max_ns.
    max_waiting: operations waiting at one replica; beyond it they are refused as overloaded.
    max_round_operations: operations on one key run in one round.
    max_tries: undecided proposals of one key after which the outcome of its operations is called unknown.
    max_cached: keys for which the promise of the next ballot, or that a ballot is chosen, is remembered.
    max_message_bytes, max_message_items: in one message, unless a single item is larger.
    learn_ns: acceptors are told of what is chosen after this, all of it in one message.
    reserve_ballots: ballots set aside with one durable write.
    collect_ns: a tombstone is collected this long after it was written; and again after a failed attempt.
    collect_window: tombstones being collected at a time. max_tombstones: tombstones remembered for it;
        those beyond are found again by the sweep.
    sweep_ns, sweep_keys: every sweep_ns the replica looks at sweep_keys of its keys for forgotten tombstones.
    move_window: keys being moved at a time after a change of the view.
    """

    retry_ns: int = 100 * MILLISECOND_NS
    retry_max_ns: int = 1_600 * MILLISECOND_NS
    backoff_ns: int = 4 * MILLISECOND_NS
    backoff_max_ns: int = 128 * MILLISECOND_NS
    max_waiting: int = 10_000
    max_round_operations: int = 256
    max_tries: int = 64
    max_cached: int = 65_536
    max_message_bytes: int = 1 * MIB
    max_message_items: int = 4_096
    learn_ns: int = 2 * MILLISECOND_NS
    reserve_ballots: int = 1 << 20
    collect_ns: int = 1_000 * MILLISECOND_NS
    collect_window: int = 64
    max_tombstones: int = 10_000
    sweep_ns: int = 1_000 * MILLISECOND_NS
    sweep_keys: int = 256
    move_window: int = 64

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"paxos option {name} must be 1 or more, not {value}")
        _at_least(self, "retry_max_ns", "retry_ns")
        _at_least(self, "backoff_max_ns", "backoff_ns")
        _at_least(self, "max_waiting", "max_round_operations")
        _at_least(self, "max_tombstones", "collect_window")
        if self.max_message_items > MAX_KEYS:
            raise ValueError(
                f"paxos option max_message_items must be {MAX_KEYS} or less, not {self.max_message_items}"
            )
        if self.reserve_ballots < 16:
            raise ValueError(f"paxos option reserve_ballots must be 16 or more, not {self.reserve_ballots}")


def _at_least(options: PaxosOptions, larger: str, smaller: str) -> None:
    large, small = getattr(options, larger), getattr(options, smaller)
    if large < small:
        raise ValueError(f"paxos option {larger} ({large}) must be at least {smaller} ({small})")
