"""Reigns: one start of a primary within one epoch, as one number that grows.

The control group's epoch says who is primary. Should that primary crash and come back before another view is
given, it may have lost entries that it had sent already but not yet written: were it to number new ones
alike, two different entries would look the same. So it counts its starts, durably, before it says anything,
and (epoch, start) is what messages and entries carry: the epoch above, the start below. Within Vertical Paxos
(Lamport, Malkhi & Zhou 2009) it is the ballot number.
"""

from __future__ import annotations

START_BITS = 20
MAX_START = (1 << START_BITS) - 1
MAX_EPOCH = (1 << 42) - 1


def reign_of(epoch: int, start: int) -> int:
    """The number of a reign; start 0: nobody has been heard of in that epoch."""
    return epoch << START_BITS | start


def epoch_of(reign: int) -> int:
    """The epoch of the view a reign belongs to."""
    return reign >> START_BITS


def start_of(reign: int) -> int:
    """Which start of its primary a reign is, from 1."""
    return reign & MAX_START
