"""`comity.open`: one node in this process, on the directory and engine of a served one."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from tests.integration.nodes import one

import comity
from comity.server.embedded import ClosedError, CommandError
from comity.server.errors import SettingsError, StartError


def test_what_was_written_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    with comity.open(str(tmp_path / "store")) as store:
        store.set("a", "1")
        assert store.incr("a", 41) == 42
        store.set("gone", "x", expire_ms=1)
        assert store.execute("MSET", b"b", b"\x00\xff", "c", 1.5) == b"OK"
    with comity.open(str(tmp_path / "store")) as store:
        assert store.execute_many([("GET", "a"), ("GET", "b"), ("GET", "c"), ("GET", "none")]) == [
            b"42",
            b"\x00\xff",
            b"1.5",
            None,
        ]
        assert store.delete("a", "b", "none") == 2
        assert store.expire("c", 100_000)
        assert not store.expire("none", 100_000)
        assert 90_000 < store.execute("PTTL", "c") <= 100_000
        assert store.get("gone") is None


def test_a_refused_command_raises_its_error_and_the_store_goes_on(tmp_path: Path) -> None:
    with comity.open(str(tmp_path), engine="memory") as store:
        store.set("text", "x")
        with pytest.raises(CommandError, match="not an integer") as raised:
            store.incr("text")
        assert raised.value.prefix == "ERR"
        with pytest.raises(CommandError, match="unknown command 'NONE'"):
            store.execute("NONE")
        with pytest.raises(TypeError, match="not bytes, str, int or float"):
            store.execute("SET", "a", None)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="session"):
            store.execute("multi")
        answers = store.execute_many([("SET", "a", 1), ("INCR", "text"), ("GET", "a")], errors=True)
        assert answers[0] == b"OK"
        assert isinstance(answers[1], CommandError)
        assert answers[2] == b"1"


def test_atomic_commands_are_all_done_or_none(tmp_path: Path) -> None:
    with comity.open(str(tmp_path), engine="memory") as store:
        assert store.execute_many([("SET", "a", 1), ("INCR", "a")], atomic=True) == [b"OK", 2]
        with pytest.raises(CommandError, match="unknown command"):
            store.execute_many([("INCR", "a"), ("NONE",)], atomic=True)
        assert store.get("a") == b"2"
        assert store.execute_many([]) == []


def test_a_watched_key_changed_elsewhere_aborts_the_transaction_of_a_session(tmp_path: Path) -> None:
    with comity.open(str(tmp_path), engine="memory") as store, store.session() as session:
        session.execute("WATCH", "a")
        store.set("a", "other")
        session.execute("MULTI")
        assert session.execute("SET", "a", "mine") == b"QUEUED"
        assert session.execute("EXEC") is None
        assert store.get("a") == b"other"


def test_threads_and_event_loops_of_the_caller_share_a_store(tmp_path: Path) -> None:
    with comity.open(str(tmp_path), engine="memory") as store:

        def count() -> None:
            for _ in range(50):
                store.incr("n")

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        async def many() -> list[int]:
            return list(await asyncio.gather(*(store.aexecute("INCR", "n") for _ in range(100))))

        assert sorted(asyncio.run(many())) == list(range(201, 301))


def test_a_pipeline_larger_than_a_connection_may_queue_is_answered_in_full(tmp_path: Path) -> None:
    with comity.open(str(tmp_path), engine="memory") as store:
        assert store.execute_many([("INCR", "n")] * 20_000) == list(range(1, 20_001))


def test_a_closed_store_says_so_and_closing_twice_is_harmless(tmp_path: Path) -> None:
    store = comity.open(str(tmp_path), engine="memory")
    store.close()
    store.close()
    assert store.closed
    with pytest.raises(ClosedError):
        store.get("a")


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with comity.open(str(tmp_path / "store")), pytest.raises(StartError, match="is in use by process"):
        comity.open(str(tmp_path / "store"))


def test_an_unknown_setting_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'engine'"):
        comity.open(str(tmp_path), engin="memory")


def test_a_directory_is_served_after_it_was_embedded_and_embedded_after_it_was_served(tmp_path: Path) -> None:
    with one(tmp_path) as node:
        with comity.open(str(node.data)) as store:
            store.set("a", "embedded")
        node.start().ready()
        assert node.call("GET", "a") == b"embedded"
        assert node.call("SET", "b", "served") == b"OK"
        node.kill()
        with comity.open(str(node.data)) as store:
            assert store.execute("MGET", "a", "b") == [b"embedded", b"served"]
