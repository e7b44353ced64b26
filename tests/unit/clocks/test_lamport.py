from __future__ import annotations

import msgspec
import pytest

from comity.clocks import LamportTime


def test_a_received_message_moves_the_clock_past_both() -> None:
    assert LamportTime(3, 1).receive(LamportTime(7, 2)) == LamportTime(8, 1)
    assert LamportTime(7, 1).receive(LamportTime(3, 2)) == LamportTime(8, 1)


def test_equal_counters_are_ordered_by_node() -> None:
    assert LamportTime(4, 1) < LamportTime(4, 2) < LamportTime(5, 1)


def test_a_negative_counter_is_refused_also_from_the_wire() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        LamportTime(-1, 1)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode([-1, 1]), type=LamportTime)
