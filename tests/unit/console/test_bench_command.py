"""`comity bench` on a server of the test's own: every request is sent, answered and counted."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import hiredis
import pytest
import typer
from typer.testing import CliRunner, Result

from comity.console.bench import bench
from comity.console.chaos.network import free_ports

app = typer.Typer()
app.command()(bench)


class Counting:
    """Answers OK, or an error to every INCR; counts commands and connections."""

    def __init__(self) -> None:
        self.commands: Counter[bytes] = Counter()
        self.connections = 0
        self.goes_away = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        with connection:
            while data := connection.recv(65536):
                if self.goes_away:
                    return
                reader.feed(data)
                answers = b""
                while (command := reader.gets()) is not False:
                    self.commands[command[0]] += 1
                    answers += b"-ERR no\r\n" if command[0] == b"INCR" else b"+OK\r\n"
                connection.sendall(answers)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Counting]:
    counting = Counting()
    yield counting
    counting.close()


def run(port: int, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--port", str(port), *arguments])


def test_every_request_is_sent_and_counted(server: Counting) -> None:
    done = run(server.port, "--requests", "400", "--clients", "4", "--pipeline", "5", "--json")
    assert done.exit_code == 0
    measured = {one["test"]: one for one in json.loads(done.output)}
    assert server.commands == {b"SET": 400, b"GET": 400}
    assert measured["set"]["requests"] == measured["get"]["requests"] == 400
    assert server.connections == 8
    assert 0 < measured["set"]["p50_ms"] <= measured["set"]["p99_ms"] <= measured["set"]["worst_ms"]


def test_errors_are_counted_and_exit_1(server: Counting) -> None:
    done = run(server.port, "--tests", "incr", "--requests", "30", "--clients", "3", "--json")
    assert done.exit_code == 1
    assert json.loads(done.output)[0]["errors"] == 30


def test_a_server_that_is_not_there_or_goes_away_exits_2(server: Counting) -> None:
    assert run(free_ports(1)[0]).exit_code == 2
    server.goes_away = True
    done = run(server.port, "--requests", "100")
    assert done.exit_code == 2
    assert "connection lost" in done.output


def test_an_unknown_test_is_refused_by_name(server: Counting) -> None:
    done = run(server.port, "--tests", "set,lpush")
    assert done.exit_code == 2
    assert "lpush" in done.output
