"""The bytes of Raft's messages: golden, round trip, and refusal of anything else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.protocols.raft.messages import (
    CODEC,
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestPreVote,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from comity.replica import SnapshotChunk

GOLDEN: list[tuple[Any, str]] = [
    (RequestVote(7, 5, 4, True), "9501070504c3"),
    (VoteReply(7, True), "930207c3"),
    (RequestPreVote(7, 5, 4), "9403070504"),
    (PreVoteReply(6, 7, False), "94040607c2"),
    (Append(7, 5, 4, 3, [Entry(7, 0, b"ab")]), "96050705040391930700c4026162"),
    (AppendReply(7, 5, 0, 0, 0), "96060705000000"),
    (Heartbeat(7, 5, 300), "94070705cd012c"),
    (HeartbeatReply(7, 300, 5), "940807cd012c05"),
    (InstallSnapshot(7, 5, 4, b"m", b"", b"n", b"d"), "9809070504c4016dc400c4016ec40164"),
    (SnapshotReply(7, 5, b"n"), "940a0705c4016e"),
    (ReadIndex(7, 9), "930b0709"),
    (ReadIndexReply(7, 9, 5, False), "950c070905c2"),
    (TimeoutNow(7), "920d07"),
]


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=lambda value: type(value).__name__)
def test_the_bytes_of_a_message_do_not_change(message: Any, golden: str) -> None:
    assert CODEC.encode(message).hex() == golden
    assert CODEC.decode(bytes.fromhex(golden)) == message


@given(st.lists(st.tuples(st.integers(0, 1 << 62), st.integers(0, 2), st.binary()), max_size=5))
def test_entries_come_back_as_they_were(parts: list[tuple[int, int, bytes]]) -> None:
    message = Append(1, 2, 1, 1, [Entry(*part) for part in parts])
    assert CODEC.decode(CODEC.encode(message)) == message


def test_a_chunk_comes_back_as_it_was() -> None:
    chunk = SnapshotChunk(5, 4, b"m", b"c", b"n", b"d")
    assert InstallSnapshot.of(7, chunk).chunk() == chunk


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_with_a_decode_error(data: bytes) -> None:
    try:
        message = CODEC.decode(data)
    except msgspec.DecodeError:
        return
    assert type(message) in {type(golden) for golden, _ in GOLDEN}


@pytest.mark.parametrize(
    "bad", [[7, -1, 0, 1], [7, 1 << 63, 0, 1], [7, "1", 0, 1], [99, 1], [], [5, 1, 1, 1, 1]]
)
def test_impossible_numbers_and_kinds_are_refused(bad: list[Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        CODEC.decode(msgspec.msgpack.encode(bad))
