"""SCAN, KEYS and RANDOMKEY over what is in the engine and what is above it."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.store.driving import Log, Replica, words


def parsed(reply: bytes) -> list[Any]:
    reader = hiredis.Reader()
    reader.feed(reply)
    return reader.gets()  # type: ignore[no-any-return]


def scan(replica: Replica, cursor: bytes, *options: bytes) -> tuple[bytes, list[bytes]]:
    following, found = parsed(replica.machine.read([[b"SCAN", cursor, *options]], 2)[0])
    return following, found


def everything(replica: Replica, *options: bytes) -> list[bytes]:
    cursor, seen = b"0", []
    while True:
        cursor, found = scan(replica, cursor, *options)
        seen += found
        if cursor == b"0":
            return seen


keys = st.integers(0, 40).map(lambda number: b"%d" % number)


@given(
    steps=st.lists(st.tuples(st.sampled_from(["set", "del", "begin", "run", "end"]), keys), max_size=40),
    count=st.integers(1, 5),
)
@settings(max_examples=200)
def test_every_key_is_listed_once_in_every_phase_of_a_flush(
    steps: list[tuple[str, bytes]], count: int
) -> None:
    replica = Replica(Log())
    job = None
    expected = set()
    for step, key in steps:
        if step == "set":
            replica.run([b"SET", key, b"v"])
            expected.add(key)
        elif step == "del":
            replica.run([b"DEL", key])
            expected.discard(key)
        elif step == "begin":
            job = job or replica.machine.begin_flush()
        elif step == "run" and job is not None:
            job.run()
        elif step == "end" and job is not None:
            job.run()
            replica.machine.end_flush(job)
            job = None
    assert sorted(everything(replica, b"COUNT", b"%d" % count)) == sorted(expected)
    assert sorted(parsed(replica.machine.read([[b"KEYS", b"*"]], 2)[0])) == sorted(expected)
    assert replica.machine.stats()["keys"] == len(expected)


@given(
    st.lists(st.tuples(st.sampled_from(["set", "del", "flush", "restart"]), keys), max_size=30),
    st.integers(1, 4),
)
@settings(max_examples=100)
def test_what_is_there_from_first_call_to_last_is_returned(
    steps: list[tuple[str, bytes]], count: int
) -> None:
    replica = Replica(Log())
    replica.run(*([b"SET", b"%d" % number, b"v"] for number in range(0, 40, 2)))
    always = {b"%d" % number for number in range(0, 40, 2)}
    cursor, seen = b"0", []
    for step, key in [*steps, *[("", b"")] * 100]:
        cursor, found = scan(replica, cursor, b"COUNT", b"%d" % count)
        seen += found
        if cursor == b"0":
            break
        if step == "set":
            replica.run([b"SET", key, b"v"])
        elif step == "del":
            replica.run([b"DEL", key])
            always.discard(key)
        elif step:
            replica.flush()
            if step == "restart":
                replica.sync()
                replica.crash()
    assert cursor == b"0"
    assert always <= set(seen)


def test_options_choose_among_the_keys_looked_at() -> None:
    replica = Replica(Log())
    replica.run(*([b"SET", b"%s:%d" % (kind, number), b"v"] for kind in (b"a", b"b") for number in range(20)))
    assert len(everything(replica, b"MATCH", b"a:*")) == 20
    assert len(everything(replica, b"TYPE", b"STRING")) == 40
    assert everything(replica, b"TYPE", b"hash") == []
    cursor, found = scan(replica, b"0", b"COUNT", b"7", b"MATCH", b"nothing")
    assert (cursor == b"0", found) == (False, [])
    assert scan(replica, b"0", b"COUNT", b"40")[0] == b"0"


def test_expired_keys_are_not_listed_even_before_they_are_reclaimed() -> None:
    replica = Replica(Log())
    replica.run(
        *([b"SET", b"%d" % number, b"v", b"PX", b"10"] for number in range(300)), words("SET stays v")
    )
    replica.log.now_ms += 10
    replica.run([b"PING"])
    assert replica.machine.stats()["keys"] > 1
    assert everything(replica) == [b"stays"]
    assert parsed(replica.machine.read([[b"KEYS", b"*"]], 2)[0]) == [b"stays"]
    assert replica.machine.read([[b"RANDOMKEY"]] * 20, 2) == [b"$5\r\nstays\r\n"] * 20


def test_randomkey_reaches_all_keys_and_is_decided_by_what_it_is_given() -> None:
    replica = Replica(Log())
    assert replica.machine.read([[b"RANDOMKEY"]], 3) == [b"_\r\n"]
    replica.run(*([b"SET", b"%d" % number, b"v"] for number in range(5)))
    drawn = {replica.machine.read([[b"RANDOMKEY"]], 2)[0] for _ in range(200)}
    assert len(drawn) == 5
    first = replica.machine.read([[b"RANDOMKEY"]] * 10, 2, draw=1)
    assert replica.machine.read([[b"RANDOMKEY"]] * 10, 2, draw=1) == first
    assert len(set(first)) > 1
    assert any(replica.machine.read([[b"RANDOMKEY"]] * 10, 2, draw=draw) != first for draw in range(2, 5))


def test_randomkey_in_the_log_is_the_same_on_all_replicas() -> None:
    log = Log()
    left, right = Replica(log), Replica(log)
    left.run(*([b"SET", b"%d" % number, b"v"] for number in range(50)))
    right.catch_up()
    left.machine.read([[b"RANDOMKEY"]] * 3, 2)
    replies = left.run(*[[b"RANDOMKEY"]] * 20)
    assert right.catch_up()[-1][0].replies == replies
    assert len(set(replies)) > 5


@pytest.mark.parametrize("cursor", [b"18446744073709551615", b"1"])
def test_a_cursor_from_anywhere_is_a_place(cursor: bytes) -> None:
    replica = Replica(Log())
    replica.run(words("SET a v"))
    following, found = scan(replica, cursor)
    assert following == b"0"
    assert found in ([], [b"a"])
