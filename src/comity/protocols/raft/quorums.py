"""What a majority agrees on."""

from __future__ import annotations

from collections.abc import Callable

from comity.replica import Members, NodeId


def agreed(members: Members, value_of: Callable[[NodeId], int]) -> int:
    """The largest value that a majority of each voter set has reached; 0 without voters.

    With matches it is the index that may be committed (paper 5.3, 5.4), with rounds the round in
    which a quorum confirmed the leader.
    """
    value = _majority_floor([value_of(voter) for voter in members.voters])
    if members.outgoing:
        return min(value, _majority_floor([value_of(voter) for voter in members.outgoing]))
    return value


def _majority_floor(values: list[int]) -> int:
    if not values:
        return 0
    values.sort()
    return values[(len(values) - 1) // 2]
