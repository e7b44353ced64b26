"""Redis's commands on lattices: replies, errors, and what concurrent ones mean."""

from __future__ import annotations

import pytest

from comity.store.lattices import SUPPORTED, Lattices, payload_of, refusal
from comity.store.table import TABLE

LATTICES = Lattices()


class Replica:
    """One replica of the key `k`."""

    def __init__(self, node: int) -> None:
        self.node = node
        self.state: bytes | None = None
        self.counter = 0
        self.stamp = node
        self.now_ms = 1_000_000

    def do(self, *words: str, protocol: int = 2) -> bytes:
        self.counter += 1
        self.stamp += 10
        delta, reply = LATTICES.mutate(
            payload_of(protocol, [[word.encode() for word in words]]),
            self.state,
            self.node,
            self.counter,
            self.stamp,
            self.now_ms,
        )
        if delta is not None:
            self.state = LATTICES.join(self.state, delta)
        return reply

    def sees(self, other: Replica) -> None:
        if other.state is not None:
            self.state = LATTICES.join(self.state, other.state)


def pair() -> tuple[Replica, Replica]:
    return Replica(1), Replica(2)


def swap(one: Replica, other: Replica) -> None:
    one.sees(other)
    other.sees(one)


@pytest.mark.parametrize(
    ("before", "command", "reply"),
    [
        ("", "GET k", b"$-1\r\n"),
        ("SET k v", "GET k", b"$1\r\nv\r\n"),
        ("SET k v", "SET k w GET", b"$1\r\nv\r\n"),
        ("SET k v", "GETSET k w", b"$1\r\nv\r\n"),
        ("SET k v", "GETDEL k", b"$1\r\nv\r\n"),
        ("", "INCR k", b":1\r\n"),
        ("SET k 10", "DECRBY k 3", b":7\r\n"),
        ("SET k v", "INCR k", b"-ERR value is not an integer or out of range\r\n"),
        ("SET k 9223372036854775807", "INCR k", b"-ERR increment or decrement would overflow\r\n"),
        ("SET k v", "STRLEN k", b":1\r\n"),
        ("SET k hello", "GETRANGE k 1 -2", b"$3\r\nell\r\n"),
        ("SET k v", "TYPE k", b"+string\r\n"),
        ("INCR k", "TYPE k", b"+string\r\n"),
        ("SET k v", "DEL k", b":1\r\n"),
        ("", "DEL k", b":0\r\n"),
        ("SET k v", "EXISTS k k", b":2\r\n"),
        ("SET k v", "TTL k", b":-1\r\n"),
        ("", "TTL k", b":-2\r\n"),
        ("SET k v EX 100", "TTL k", b":100\r\n"),
        ("SETEX k 100 v", "PTTL k", b":100000\r\n"),
        ("SET k v EX 100", "PERSIST k", b":1\r\n"),
        ("SET k v", "EXPIRE k 10", b":1\r\n"),
        ("", "EXPIRE k 10", b":0\r\n"),
        ("SET k v", "EXPIRE k 10 XX", b":0\r\n"),
        ("SET k v EX 0", "GET k", b"$-1\r\n"),
        ("", "SET k v EX 0", b"-ERR invalid expire time in 'set' command\r\n"),
        ("", "SET k", b"-ERR wrong number of arguments for 'set' command\r\n"),
        ("", "SET k v WHAT", b"-ERR syntax error\r\n"),
        ("SET k v", "MGET k", b"*1\r\n$1\r\nv\r\n"),
        ("SET k 5 EX 100", "INCR k", b":6\r\n"),
    ],
)
def test_replies_are_those_of_redis(before: str, command: str, reply: bytes) -> None:
    replica = Replica(1)
    if before:
        replica.do(*before.split())
    assert replica.do(*command.split()) == reply


def test_nothing_is_told_in_the_protocol_of_the_client() -> None:
    assert Replica(1).do("GET", "k", protocol=3) == b"_\r\n"
    assert Replica(1).do("GET", "k", protocol=2) == b"$-1\r\n"


def test_the_commands_of_one_payload_see_each_other_and_are_one_change() -> None:
    commands = [
        [b"SET", b"k", b"5"],
        [b"INCR", b"k"],
        [b"GET", b"k"],
        [b"DEL", b"k"],
        [b"INCRBY", b"k", b"3"],
    ]
    delta, reply = LATTICES.mutate(payload_of(2, commands), None, 1, 1, 1, 0)
    assert reply == b"+OK\r\n:6\r\n$1\r\n6\r\n:1\r\n:3\r\n"
    assert delta is not None
    assert LATTICES.value(delta) == b"3"


def test_reads_change_nothing_and_writes_are_no_reads() -> None:
    payload = payload_of(2, [[b"GET", b"k"], [b"SET", b"k", b"v"]])
    assert LATTICES.read(payload, None, 0) == b"$-1\r\n-ERR 'SET' is not a read\r\n"


def test_of_concurrent_sets_the_later_stamp_shows_everywhere() -> None:
    one, other = pair()
    one.do("SET", "k", "first")
    other.do("SET", "k", "second")
    swap(one, other)
    assert one.state == other.state
    assert one.do("GET", "k") == b"$6\r\nsecond\r\n"


def test_a_set_that_has_seen_another_wins_whatever_its_clock_says() -> None:
    one, other = pair()
    one.stamp = 1_000_000
    one.do("SET", "k", "old")
    other.sees(one)
    other.do("SET", "k", "new")
    swap(one, other)
    assert one.do("GET", "k") == b"$3\r\nnew\r\n"


def test_a_concurrent_set_and_incr_both_count() -> None:
    one, other = pair()
    one.do("SET", "k", "10")
    other.sees(one)
    one.do("SET", "k", "100")
    other.do("INCR", "k")
    swap(one, other)
    assert one.do("GET", "k") == other.do("GET", "k") == b"$3\r\n101\r\n"


def test_a_set_resets_the_increments_it_has_seen_and_two_such_resets_are_one() -> None:
    one, other = pair()
    one.do("INCRBY", "k", "50")
    other.sees(one)
    one.do("SET", "k", "1")
    other.do("SET", "k", "1")
    swap(one, other)
    assert one.do("GET", "k") == other.do("GET", "k") == b"$1\r\n1\r\n"


def test_increments_wait_while_a_concurrent_set_shows_text() -> None:
    one, other = pair()
    one.do("SET", "k", "text")
    other.do("INCR", "k")
    swap(one, other)
    assert one.do("GET", "k") == b"$4\r\ntext\r\n"
    assert one.do("INCR", "k").startswith(b"-ERR value is not an integer")
    one.do("SET", "k", "7")
    assert one.do("GET", "k") == b"$1\r\n7\r\n", "the SET has seen the increment, so it is reset"


def test_del_removes_what_it_has_seen_and_nothing_else() -> None:
    one, other = pair()
    one.do("INCRBY", "k", "5")
    other.sees(one)
    one.do("DEL", "k")
    other.do("INCR", "k")
    swap(one, other)
    assert one.do("GET", "k") == b"$1\r\n1\r\n", "five were removed, the one that it had not seen stays"
    one.do("DEL", "k")
    other.sees(one)
    assert other.do("EXISTS", "k") == b":0\r\n"


def test_a_deadline_is_replicated_and_each_reader_decides_by_its_own_clock() -> None:
    one, other = pair()
    one.do("SET", "k", "v", "PX", "100")
    other.sees(one)
    other.now_ms += 100
    assert one.do("GET", "k") == b"$1\r\nv\r\n"
    assert other.do("GET", "k") == b"$-1\r\n"


def test_an_increment_of_an_expired_counter_begins_anew() -> None:
    one, other = pair()
    one.do("SET", "k", "41", "PX", "100")
    one.do("INCR", "k")
    other.sees(one)
    other.now_ms += 1000
    assert other.do("INCR", "k") == b":1\r\n"
    assert other.do("TTL", "k") == b":-1\r\n"
    swap(one, other)
    assert one.do("GET", "k") == b"$1\r\n1\r\n"


def test_a_time_to_live_does_not_touch_value_and_increments() -> None:
    one, other = pair()
    one.do("INCRBY", "k", "5")
    other.sees(one)
    one.do("EXPIRE", "k", "100")
    other.do("INCR", "k")
    swap(one, other)
    assert one.do("GET", "k") == b"$1\r\n6\r\n"
    assert other.do("TTL", "k") == b":100\r\n"


def test_a_removed_key_leaves_nothing_once_collected() -> None:
    replica = Replica(1)
    replica.do("SET", "k", "v")
    replica.do("DEL", "k")
    assert replica.state is not None
    assert LATTICES.value(replica.state) is None
    assert LATTICES.collect(replica.state) is None


def test_every_command_on_keys_is_supported_or_refused_with_a_reason_and_an_alternative() -> None:
    for name, entry in TABLE.items():
        if entry.first_key:
            reason = refusal(name)
            assert (name in SUPPORTED) == (reason is None)
            assert reason is None or ("; " in reason and name.decode() in reason)


@pytest.mark.parametrize(
    "command", ["SETNX k v", "APPEND k v", "SET k v NX", "SET k v EX 5 XX", "INCRBYFLOAT k 1"]
)
def test_conditions_and_whole_value_changes_are_refused_by_name(command: str) -> None:
    replica = Replica(1)
    reply = replica.do(*command.split())
    assert reply.startswith(b"-ERR ")
    assert b"gossip" in reply
    assert replica.state is None


def test_commands_on_other_keys_are_not_taken_for_this_one() -> None:
    assert Replica(1).do("MSET", "a", "1", "b", "2").startswith(b"-ERR a gossip keyspace carries out")
