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


def test_keyspaces_are_created_listed_explained_and_dropped(tmp_path: Path) -> None:
    with comity.open(str(tmp_path / "store")) as store:
        store.create_keyspace("carts", "gossip")
        store.create_keyspace(
            "stock", "quorum", consistency="session", replicas=1, options={"conflicts": "siblings"}
        )
        assert store.keyspaces() == [
            {"name": "default", "replication": "raft", "level": "linearizable", "state": "active"},
            {"name": "carts", "replication": "gossip", "level": "causal", "state": "active"},
            {"name": "stock", "replication": "quorum", "level": "session", "state": "active"},
        ]
        assert store.explain("carts")["pacelc"] == "PA/EL"
        assert store.explain("default")["pacelc"] == "PC/EC"
        store.set("carts:1", "x")
        store.set("stock:1", "y")
        assert store.execute("KEYS", "carts:*") == [b"carts:1"]
    with comity.open(str(tmp_path / "store")) as store:
        assert (store.get("carts:1"), store.get("stock:1")) == (b"x", b"y")
        store.drop_keyspace("carts")
        assert [each["name"] for each in store.keyspaces()] == ["default", "stock"]
        assert store.get("carts:1") is None


def test_a_keyspace_that_cannot_be_is_refused_with_the_reason(tmp_path: Path) -> None:
    with comity.open(str(tmp_path), engine="memory") as store:
        for arguments, named, reason in (
            (("x", "nothing"), {}, "there is no replication 'nothing'; there are: chain"),
            (("x", "gossip"), {"consistency": "linearizable"}, "gossip is not linearizable: "),
            (("x", "gossip"), {"replicas": 2}, "2 replicas were asked for and the cluster has 1 members"),
            (("x", "gossip"), {"replicas": 0}, "0 replicas hold nothing"),
            (("x", "quorum"), {"options": {"q": 1}}, "quorum has no option 'q'"),
            (("x:y",), {}, "without ':'"),
            (("default",), {}, "there is a keyspace 'default' already"),
        ):
            with pytest.raises(CommandError) as raised:
                store.create_keyspace(*arguments, **named)
            assert reason in str(raised.value)
        with pytest.raises(CommandError, match="there is no keyspace 'x'; there are: default"):
            store.explain("x")
        with pytest.raises(CommandError, match="there is no keyspace 'x'"):
            store.drop_keyspace("x")
        assert len(store.keyspaces()) == 1


def test_keyspaces_of_the_settings_are_there_when_the_store_is_open(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    with comity.open(path, keyspace={"carts": {"replication": "gossip"}}) as store:
        assert [each["name"] for each in store.keyspaces()] == ["default", "carts"]
        store.set("carts:1", "x")
    with comity.open(path, keyspace="carts=gossip:causal") as store:
        assert store.get("carts:1") == b"x"
    with pytest.raises(SettingsError, match="keyspace 'carts' of the settings: it is gossip, not chain"):
        comity.open(path, keyspace="carts=chain")
    with pytest.raises(SettingsError, match="2 replicas were asked for and the cluster has 1 members"):
        comity.open(path, keyspace={"more": {"replicas": 2}})
    with comity.open(path) as store:
        assert store.get("carts:1") == b"x"
