"""Which exceptions of redis-py mean "not done", and which mean "nobody knows"."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import redis

from comity.checkers.history import Outcome
from comity.console.chaos.cluster import connect
from comity.console.chaos.outcomes import connection_usable, outcome_of, reply_code, unexpected


class Scripted:
    """A server that answers its connections with what it is told, whatever it is asked."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        while request := connection.recv(65536):
            if b"HELLO" in request or b"CLIENT" in request:
                connection.sendall(b"-ERR unknown command\r\n" * request.count(b"*"))
                continue
            if not self.answers:
                return
            answer = self.answers.pop(0)
            if answer is None:
                return
            connection.sendall(answer)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


def client_of(server: Scripted, timeout_s: float = 5.0) -> redis.Redis:
    client = connect("127.0.0.1", server.port, timeout_s)
    client.connection_pool.connection_kwargs["protocol"] = 2
    return client


def raised_by(server: Scripted, *answers: bytes | None, timeout_s: float = 5.0) -> Exception:
    server.answers = list(answers)
    with client_of(server, timeout_s) as client, pytest.raises(redis.RedisError) as caught:
        client.set("key", "value")
    assert not server.answers
    return caught.value


@pytest.mark.parametrize(
    "code", ["CLUSTERDOWN", "TRYAGAIN", "LOADING", "MISCONF", "BUSY", "READONLY", "OOM", "EXECABORT"]
)
def test_an_error_reply_that_says_not_done_is_a_definite_failure(server: Scripted, code: str) -> None:
    error = raised_by(server, f"-{code} not now\r\n".encode())
    assert reply_code(error) == code
    assert outcome_of(error) is Outcome.FAIL
    assert unexpected(error) is None


def test_indeterminate_is_indeterminate_and_the_connection_goes_on(server: Scripted) -> None:
    error = raised_by(server, b"-INDETERMINATE the leader was lost\r\n")
    assert outcome_of(error) is Outcome.INFO
    assert unexpected(error) is None
    assert connection_usable(error)


def test_a_lost_connection_is_indeterminate(server: Scripted) -> None:
    error = raised_by(server, None)
    assert outcome_of(error) is Outcome.INFO
    assert not connection_usable(error)


def test_silence_is_indeterminate(server: Scripted) -> None:
    error = raised_by(server, b"", timeout_s=0.2)
    assert isinstance(error, redis.TimeoutError)
    assert outcome_of(error) is Outcome.INFO
    assert not connection_usable(error)


def test_any_other_error_reply_is_indeterminate_and_told_as_unexpected(server: Scripted) -> None:
    error = raised_by(server, b"-ERR something broke\r\n")
    assert outcome_of(error) is Outcome.INFO
    assert unexpected(error) == "ERR something broke"
    wrong_type = raised_by(server, b"-WRONGTYPE Operation against a key\r\n")
    assert unexpected(wrong_type) == "WRONGTYPE Operation against a key"


def compare_and_set(server: Scripted, *answers: bytes | None) -> Exception:
    server.answers = [b"+OK\r\n", b"$1\r\n1\r\n", *answers]
    with client_of(server) as client, client.pipeline(transaction=True) as pipe:
        pipe.watch("key")
        assert pipe.get("key") == b"1"
        pipe.multi()
        pipe.set("key", "2")
        with pytest.raises(redis.RedisError) as caught:
            pipe.execute()
    return caught.value


def test_exec_answered_with_null_is_a_definite_failure(server: Scripted) -> None:
    error = compare_and_set(server, b"+OK\r\n+QUEUED\r\n*-1\r\n")
    assert outcome_of(error) is Outcome.FAIL
    assert connection_usable(error)


def test_a_connection_lost_during_exec_is_indeterminate_although_redis_py_calls_it_a_watch_error(
    server: Scripted,
) -> None:
    error = compare_and_set(server, None)
    assert isinstance(error, redis.WatchError)
    assert outcome_of(error) is Outcome.INFO
    assert not connection_usable(error)


def test_exec_refused_for_want_of_a_quorum_is_a_definite_failure(server: Scripted) -> None:
    error = compare_and_set(server, b"+OK\r\n+QUEUED\r\n-CLUSTERDOWN no quorum\r\n")
    assert outcome_of(error) is Outcome.FAIL


def test_exec_of_unknown_outcome_is_indeterminate(server: Scripted) -> None:
    error = compare_and_set(server, b"+OK\r\n+QUEUED\r\n-INDETERMINATE the leader was lost\r\n")
    assert outcome_of(error) is Outcome.INFO


def test_a_command_is_sent_once_even_when_its_connection_is_lost(server: Scripted) -> None:
    server.answers = [None, b"+OK\r\n"]
    with client_of(server) as client, pytest.raises(redis.RedisError):
        client.set("key", "value")
    assert server.answers == [b"+OK\r\n"]
