"""The same trial on one plain redis-server: an honest one passes, one that forgets is convicted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity.checkers.history import Outcome
from comity.checkers.inputs import read_history
from comity.console.chaos.account import account_for
from comity.console.chaos.network import free_ports
from comity.console.chaos.processes import ServerProcess, wait_until
from comity.console.chaos.trial import Trial

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")


class OneRedis:
    """redis-server on a free port, with or without an append-only file."""

    def __init__(self, directory: Path, append_only: bool) -> None:
        self.port = free_ports(1)[0]
        command = ["redis-server", "--port", str(self.port), "--dir", str(directory), "--save", ""]
        command += ["--appendonly", "yes" if append_only else "no", "--enable-debug-command", "yes"]
        self.process = ServerProcess("redis-server", command, directory / "log")
        self.start()

    def start(self) -> None:
        self.process.start()
        wait_until(lambda: "Ready to accept" in self.process.tail(3), 10, "redis-server")


@pytest.fixture
def honest(tmp_path: Path) -> Iterator[OneRedis]:
    server = OneRedis(tmp_path, append_only=True)
    yield server
    server.process.kill()


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[OneRedis]:
    server = OneRedis(tmp_path, append_only=False)
    yield server
    server.process.kill()


def run(server: OneRedis, operations: int, history_file: Path | None = None, restart: bool = False) -> Trial:
    addresses = [("127.0.0.1", server.port)]
    with Trial(addresses, clients=8, rate=2000.0, seed=1, history_file=history_file) as trial:
        trial.start()
        wait_until(lambda: trial.counts[Outcome.OK] > operations, 30, "operations")
        if restart:
            server.process.kill()
            trial.note("kill", "redis-server")
            server.start()
            seen = trial.counts[Outcome.OK]
            wait_until(lambda: trial.counts[Outcome.OK] > seen + operations, 30, "operations")
        trial.finish()
        trial.read_everything()
    return trial


def test_every_acknowledged_write_of_an_honest_server_is_found_after_kill_9(
    honest: OneRedis, tmp_path: Path
) -> None:
    trial = run(honest, 600, history_file=tmp_path / "history.jsonl", restart=True)
    account = account_for(trial.history(), trial.final)
    assert account.problems == ()
    assert account.acknowledged > 500
    assert trial.counts[Outcome.INFO] > 0, "kill -9 under load leaves operations of unknown outcome"
    assert not trial.unexpected()
    written = read_history(tmp_path / "history.jsonl")
    assert written.outcomes() == trial.history().outcomes()


def test_a_server_that_forgets_is_convicted_by_name_of_the_write(forgetful: OneRedis) -> None:
    trial = run(forgetful, 300, restart=True)
    problems = account_for(trial.history(), trial.final).problems
    assert any("was acknowledged, and at the end the key does not exist" in line for line in problems)
