"""A request with a client id and a sequence is carried out once, however often it arrives."""

from __future__ import annotations

import pytest
from tests.unit.store.driving import Log, Replica, words

from comity.store.commands.transactions import encode_exec
from comity.store.limits import ReplicatedLimits, StoreLimits


@pytest.fixture
def replica() -> Replica:
    return Replica(Log())


def once(replica: Replica, text: str, protocol: int = 2) -> bytes:
    return replica.run([b"CLIENT", b"ONCE", *words(text)], protocol=protocol)[0]


def test_a_repetition_gets_the_first_answer_and_changes_nothing(replica: Replica) -> None:
    assert once(replica, "me 1 INCR n") == b":1\r\n"
    assert once(replica, "me 1 INCR n") == b":1\r\n"
    assert once(replica, "me 2 incr n") == b":2\r\n"
    assert once(replica, "me 1 INCR n") == b":1\r\n"
    assert replica.run(words("GET n")) == [b"$1\r\n2\r\n"]


def test_clients_do_not_share_sequences(replica: Replica) -> None:
    assert [once(replica, f"{name} 1 INCR n") for name in "abc"] == [b":1\r\n", b":2\r\n", b":3\r\n"]


def test_errors_are_answers_too(replica: Replica) -> None:
    replica.run(words("SET n text"))
    error = b"-ERR value is not an integer or out of range\r\n"
    assert once(replica, "me 1 INCR n") == error
    replica.run(words("SET n 5"))
    assert once(replica, "me 1 INCR n") == error
    assert once(replica, "me 2 NOSUCH n").startswith(b"-ERR unknown command 'NOSUCH'")
    assert once(replica, "me 3 GET").startswith(b"-ERR wrong number of arguments for 'get'")


def test_an_unknown_client_must_begin_at_one(replica: Replica) -> None:
    assert once(replica, "me 2 SET k v").startswith(b"-INDETERMINATE ")
    assert replica.run(words("EXISTS k")) == [b":0\r\n"]
    assert once(replica, "me 1 SET k v") == b"+OK\r\n"


def test_a_sequence_within_the_window_that_never_arrived_is_carried_out(replica: Replica) -> None:
    for sequence in (1, 5, 3, 2):
        assert once(replica, f"me {sequence} APPEND k {sequence}") in (
            b":1\r\n",
            b":2\r\n",
            b":3\r\n",
            b":4\r\n",
        )
    assert once(replica, "me 5 APPEND k 5") == b":2\r\n"
    assert replica.run(words("GET k")) == [b"$4\r\n1532\r\n"]


def test_a_sequence_below_the_window_is_refused_and_nothing_happens(replica: Replica) -> None:
    for sequence in range(1, 66):
        once(replica, f"me {sequence} INCR n")
    assert once(replica, "me 1 INCR n").startswith(b"-INDETERMINATE ")
    assert once(replica, "me 2 INCR n") == b":2\r\n"
    assert replica.run(words("GET n")) == [b"$2\r\n65\r\n"]


def test_an_answer_too_large_to_keep_is_remembered_as_carried_out() -> None:
    limits = StoreLimits(replicated=ReplicatedLimits(client_answer_bytes=100))
    replica = Replica(Log(), limits=limits)
    replica.run([b"SET", b"k", b"x" * 200])
    assert len(once(replica, "me 1 GETDEL k")) > 200
    replica.run(words("SET k again"))
    assert once(replica, "me 1 GETDEL k").startswith(b"-INDETERMINATE the request was carried out once")
    assert replica.run(words("GET k")) == [b"$5\r\nagain\r\n"]
    assert replica.machine.stats()["client_answer_bytes"] == 0


def test_the_least_recently_used_client_is_forgotten() -> None:
    limits = StoreLimits(replicated=ReplicatedLimits(clients=2))
    replica = Replica(Log(), limits=limits)
    for name in ("a", "b"):
        once(replica, f"{name} 1 INCR n")
    once(replica, "a 2 INCR n")
    once(replica, "c 1 INCR n")
    assert once(replica, "b 2 INCR n").startswith(b"-INDETERMINATE this client id is not known")
    assert once(replica, "a 2 INCR n") == b":3\r\n"
    assert replica.machine.stats()["clients"] == 2


def test_all_answers_together_are_bounded() -> None:
    limits = StoreLimits(replicated=ReplicatedLimits(clients_answer_bytes=500))
    replica = Replica(Log(), limits=limits)
    replica.run([b"SET", b"k", b"x" * 100])
    for number in range(50):
        once(replica, f"client-{number} 1 GET k")
        assert replica.machine.stats()["client_answer_bytes"] <= 500
    assert once(replica, "client-49 1 GET k").endswith(b"xx\r\n")


def test_a_repetition_in_the_other_protocol_gets_the_answer_in_it(replica: Replica) -> None:
    assert once(replica, "me 1 MGET a b") == b"*2\r\n$-1\r\n$-1\r\n"
    assert once(replica, "me 1 MGET a b", protocol=3) == b"*2\r\n_\r\n_\r\n"
    assert once(replica, "me 2 GET a", protocol=3) == b"_\r\n"
    replica.run([b"SET", b"a", b"_\r\n$-1\r\n"])
    assert once(replica, "me 2 GET a") == b"$-1\r\n"
    assert once(replica, "me 3 GET a") == b"$8\r\n_\r\n$-1\r\n\r\n"
    assert once(replica, "me 3 GET a", protocol=3) == b"$8\r\n_\r\n$-1\r\n\r\n"


def test_a_whole_transaction_can_be_carried_out_once(replica: Replica) -> None:
    command = encode_exec([], [words("INCR n"), words("GET n")])
    wanted = b"*2\r\n:1\r\n$1\r\n1\r\n"
    for _ in range(2):
        assert replica.run([b"CLIENT", b"ONCE", b"me", b"1", *command]) == [wanted]


@pytest.mark.parametrize("flushed", [False, True])
def test_it_holds_across_flushall_restart_and_snapshot(replica: Replica, flushed: bool) -> None:
    once(replica, "me 1 INCR n")
    if flushed:
        replica.flush()
    replica.run(words("FLUSHALL"))
    replica.flush()
    replica.sync()
    replica.crash()
    assert once(replica, "me 1 INCR n") == b":1\r\n"
    replica.flush()
    copy = Replica(replica.log)
    copy.copy_from(replica)
    replica = copy
    assert once(replica, "me 1 INCR n") == b":1\r\n"
    assert once(replica, "me 2 INCR n") == b":1\r\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("me", b"wrong number of arguments for 'client|once'"),
        ("me 1", b"wrong number of arguments for 'client|once'"),
        ("me x GET k", b"value is not an integer"),
        ("me 0 GET k", b"a sequence is 1 or more"),
        ("me -1 GET k", b"a sequence is 1 or more"),
        ("x" * 129 + " 1 GET k", b"a client id has 1 to 128 bytes"),
        ("me 1 CLIENT ONCE you 1 GET k", b"cannot be inside another"),
        ("me 1 MULTI", b"concerns a connection"),
    ],
)
def test_what_is_not_a_request_is_an_error(replica: Replica, text: str, error: bytes) -> None:
    assert error in once(replica, text)


def test_nothing_else_of_client_can_be_in_the_log(replica: Replica) -> None:
    assert replica.run(words("CLIENT ID"), [b"CLIENT"]) == [
        b"-ERR only CLIENT ONCE can be in the log\r\n",
        b"-ERR wrong number of arguments for 'client' command\r\n",
    ]
