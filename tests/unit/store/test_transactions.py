"""EXEC in the log, and WATCH."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.store.driving import Log, Replica, words

from comity.store.commands.transactions import encode_exec
from comity.store.keyspace import WATCH_BUCKETS


@pytest.fixture
def replica() -> Replica:
    return Replica(Log())


def exec_(
    replica: Replica, *commands: str, watches: list[tuple[bytes, int, int]] | None = None, protocol: int = 2
) -> bytes:
    return replica.run(encode_exec(watches or [], [words(text) for text in commands]), protocol=protocol)[0]


def watch(replica: Replica, *keys: bytes) -> list[tuple[bytes, int, int]]:
    return [(key, *version) for key, version in zip(keys, replica.machine.versions(keys), strict=True)]


def test_replies_are_joined_and_a_failing_command_stops_nothing(replica: Replica) -> None:
    reply = exec_(replica, "SET k text", "INCR k", "NOSUCH", "GET", "GET k")
    assert reply == (
        b"*5\r\n+OK\r\n-ERR value is not an integer or out of range\r\n"
        b"-ERR unknown command 'NOSUCH', with args beginning with: \r\n"
        b"-ERR wrong number of arguments for 'get' command\r\n$4\r\ntext\r\n"
    )
    assert exec_(replica) == b"*0\r\n"


def test_replies_known_before_are_put_in_their_place(replica: Replica) -> None:
    command = encode_exec([], [words("INCR n"), b"+PONG\r\n", words("INCR n")])
    assert replica.run(command) == [b"*3\r\n:1\r\n+PONG\r\n:2\r\n"]


def test_harmless_commands_of_a_connection_may_be_inside(replica: Replica) -> None:
    reply = exec_(replica, "PING", "PING x", "ECHO x", "SELECT 0", "SELECT 1", "UNWATCH", "MULTI")
    assert reply == (
        b"*7\r\n+PONG\r\n$1\r\nx\r\n$1\r\nx\r\n+OK\r\n-ERR DB index is out of range\r\n+OK\r\n"
        b"-ERR 'multi' concerns a connection and cannot be in the log\r\n"
    )


def test_transactions_do_not_nest(replica: Replica) -> None:
    command = encode_exec([], [encode_exec([], [words("INCR n")]), words("CLIENT ONCE me 1 INCR n")])
    (reply,) = replica.run(command)
    assert reply.count(b"-ERR EXEC and CLIENT ONCE cannot be inside another") == 2
    assert replica.run(words("EXISTS n")) == [b":0\r\n"]


@pytest.mark.parametrize(
    "args",
    [
        [b"EXEC", b"junk", b"junk"],
        [b"EXEC", msgspec.msgpack.encode([["k", 1, 1]]), msgspec.msgpack.encode([])],
        [b"EXEC", msgspec.msgpack.encode([]), msgspec.msgpack.encode([1])],
    ],
)
def test_a_malformed_one_is_an_error(replica: Replica, args: list[bytes]) -> None:
    assert replica.run(args) == [b"-ERR malformed transaction\r\n"]


def test_exec_as_clients_send_it_is_an_error_in_the_log(replica: Replica) -> None:
    assert replica.run([b"EXEC"]) == [b"-ERR wrong number of arguments for 'exec' command\r\n"]


CHANGES = [
    "SET k other", "SET k v", "DEL k", "APPEND k x", "PEXPIRE k 100000", "PERSIST t", "RENAME k k2",
    "FLUSHALL", "RENAME t k", "COPY t k REPLACE", "GETEX k EX 100", "SETRANGE k 0 z", "GETDEL k",
    "PEXPIRE k -1",
]  # fmt: skip
NO_CHANGES = [
    "GET k",
    "SET k w NX",
    "TTL k",
    "TOUCH k",
    "SET other 1",
    "DEL nothing",
    "GETEX k",
    "PERSIST k",
    "COPY t k",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_to_a_watched_key_aborts(replica: Replica, change: str) -> None:
    replica.run(words("SET k v"), words("SET t v EX 100"))
    watches = watch(replica, b"k", b"t")
    replica.run(words(change))
    assert exec_(replica, "SET done 1", watches=watches) == b"*-1\r\n"
    assert exec_(replica, "SET done 1", watches=watches, protocol=3) == b"_\r\n"
    assert replica.run(words("EXISTS done")) == [b":0\r\n"]


@pytest.mark.parametrize("change", NO_CHANGES)
def test_what_does_not_change_a_watched_key_does_not_abort(replica: Replica, change: str) -> None:
    replica.run(words("SET k v"), words("SET t v EX 100"))
    watches = watch(replica, b"k", b"t")
    replica.run(words(change))
    assert exec_(replica, "SET done 1", watches=watches) == b"*1\r\n+OK\r\n"


@pytest.mark.parametrize(
    "changes",
    [["SET k v"], ["SET k v", "DEL k"], ["SET k v PX 1"], ["SET k v", "FLUSHALL"], ["SET k v EXAT 1"]],
)
def test_a_watched_absent_key_that_came_into_being_aborts_even_if_it_is_gone(
    replica: Replica, changes: list[str]
) -> None:
    watches = watch(replica, b"k")
    for change in changes:
        replica.run(words(change))
        replica.log.now_ms += 10
    assert exec_(replica, "SET done 1", watches=watches) == b"*-1\r\n"


def test_a_watched_absent_key_that_stays_away_does_not_abort(replica: Replica) -> None:
    replica.run(words("SET k v"), words("DEL k"))
    watches = watch(replica, b"k")
    replica.run(words("SET other v"), words("DEL k"))
    assert exec_(replica, "SET done 1", watches=watches) == b"*1\r\n+OK\r\n"


def test_expiry_of_a_watched_key_aborts(replica: Replica) -> None:
    replica.run(words("SET k v PX 50"))
    watches = watch(replica, b"k")
    replica.log.now_ms += 50
    assert exec_(replica, "SET done 1", watches=watches) == b"*-1\r\n"


def test_an_expired_key_not_yet_reclaimed_counts_as_absent_and_as_touched() -> None:
    replica = Replica(Log())
    # So many keys expire at once that the watched one is not reclaimed in the first entry after.
    replica.run(
        *([b"SET", b"%03d" % number, b"v", b"PX", b"50"] for number in range(200)), words("SET zz v PX 51")
    )
    before = watch(replica, b"zz", b"absent")
    replica.log.now_ms += 60
    replica.run(words("GET zz"))
    assert replica.machine.stats()["keys"] > 1
    after = watch(replica, b"zz")
    assert after[0][1] == 0
    assert exec_(replica, "SET done 1", watches=before[:1]) == b"*-1\r\n"


def test_what_watch_remembers_survives_restart_and_snapshot(replica: Replica) -> None:
    replica.run(words("SET k v"), *([b"SET", b"%d" % number, b"v"] for number in range(3 * WATCH_BUCKETS)))
    replica.run(*([b"DEL", b"%d" % number] for number in range(3 * WATCH_BUCKETS)))
    watched = [b"k", *(b"%d" % number for number in range(50))]
    watches = watch(replica, *watched)
    assert all(deleted > 0 for _, version, deleted in watches if version == 0)
    replica.flush()
    replica.sync()
    replica.crash()
    copy = Replica(replica.log)
    copy.copy_from(replica)
    assert watch(replica, *watched) == watch(copy, *watched) == watches
