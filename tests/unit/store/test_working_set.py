"""The cache is bounded, nothing dirty is lost, and flushing happens beside applying."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from tests.unit.store.driving import Log, Replica, words

from comity.store import layout
from comity.store.engines.memory import MemoryEngine
from comity.store.engines.rocksdb import RocksEngine
from comity.store.errors import StateError
from comity.store.limits import StoreLimits
from comity.store.machine import StateMachine
from comity.store.meta import decode_buckets, decode_meta, encode_buckets, encode_meta


def test_the_cache_stays_within_its_bytes() -> None:
    bound = 100_000
    replica = Replica(Log(), limits=StoreLimits(cache_bytes=bound))
    for number in range(2000):
        replica.run([b"SET", b"%d" % number, b"x" * 500], [b"GET", b"%d" % (number // 2)])
        if number % 100 == 0:
            replica.flush()
        assert replica.machine.stats()["cached_bytes"] <= bound + 2000
    replica.flush()
    for number in range(2000):
        assert replica.machine.read([[b"STRLEN", b"%d" % number]], 2) == [b":500\r\n"]
        assert replica.machine.stats()["cached_bytes"] <= bound + 2000
    assert 20 < replica.machine.stats()["cached_keys"] < 200


def test_cached_bytes_are_those_of_the_cells_cached() -> None:
    replica = Replica(Log())
    replica.run(words("SET a 12345"), words("APPEND a 67"), words("SET b v"), words("DEL b"), words("GET c"))
    replica.flush()
    replica.run(words("GET a"), words("GET c"))
    context = replica.machine._context
    expected = sum(len(key) + len(cell[0] or b"") + 200 for key, cell in context.hot.items())
    assert context.hot_bytes == expected > 0


def test_dirty_bytes_grow_with_what_is_written_and_are_zero_when_all_is_flushed() -> None:
    replica = Replica(Log())
    assert replica.machine.dirty_bytes() == 0
    replica.run([b"SET", b"a", b"x" * 1000])
    assert replica.machine.dirty_bytes() > 1000
    job = replica.machine.begin_flush()
    assert job is not None
    replica.run([b"SET", b"b", b"x" * 300])
    job.run()
    replica.machine.end_flush(job)
    assert 300 < replica.machine.dirty_bytes() < 1000
    replica.flush()
    assert replica.machine.dirty_bytes() == 0
    assert replica.machine.begin_flush() is None
    replica.log.noop()
    replica.catch_up()
    assert replica.machine.dirty_bytes() > 0


def test_durable_is_what_was_flushed_when_the_engine_was_synced() -> None:
    replica = Replica(Log())
    replica.run(words("SET a 1"))
    replica.flush()
    replica.run(words("SET a 2"))
    assert (replica.machine.applied, replica.machine.flushed, replica.machine.durable) == (2, 1, 0)
    replica.sync()
    assert replica.machine.durable == 1
    replica.crash()
    assert (replica.machine.applied, replica.machine.durable) == (1, 1)
    assert replica.machine.read([words("GET a")], 2) == [b"$1\r\n1\r\n"]


def test_flushall_deletes_the_old_generation_in_the_next_flush() -> None:
    replica = Replica(Log())
    replica.run(*([b"SET", b"%d" % number, b"v", b"EX", b"10"] for number in range(100)))
    replica.flush()
    for _ in range(3):
        replica.run(words("SET a v"), words("FLUSHALL"), words("FLUSHALL"))
        replica.flush()
        assert len(list(replica.engine.scan(b"", b"\xff" * 8))) == 2  # the meta record and one origin
    assert replica.machine.next_expiry_ms() is None


def test_entries_must_come_in_order() -> None:
    machine = StateMachine(1, MemoryEngine())
    machine.advance(1, 1)
    for index in (1, 3):
        with pytest.raises(StateError, match="was to be applied after 1"):
            machine.advance(index, 1)
        with pytest.raises(StateError, match="was to be applied after 1"):
            machine.apply(index, 1, b"")


def test_a_broken_invariant_inside_a_command_stops_the_replica_instead_of_being_an_answer() -> None:
    replica = Replica(Log())
    replica.machine._context.hot = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        replica.run(words("SET k v"))


def test_a_state_of_another_layout_is_refused() -> None:
    engine = MemoryEngine()
    engine.write([(layout.meta_key(1), b"junk")])
    with pytest.raises(StateError, match="group 1 cannot be read"):
        StateMachine(1, engine)
    replica = Replica(Log())
    replica.run(words("SET a v"))
    replica.flush()
    key = layout.meta_key(7)
    meta = decode_meta(replica.engine.get(key) or b"", 7)
    meta.version = 99
    replica.engine.write([(key, encode_meta(meta))])
    with pytest.raises(StateError, match="layout 99"):
        StateMachine(7, replica.engine)


def test_buckets_are_written_big_endian() -> None:
    assert encode_buckets([1, 258]) == bytes([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2])
    assert decode_buckets(encode_buckets([0, 7, 1 << 60])) == [0, 7, 1 << 60]


@pytest.mark.parametrize("kind", ["memory", "rocksdb"])
def test_applying_and_reading_go_on_while_another_thread_flushes(kind: str, tmp_path: Path) -> None:
    """Many switches between the threads, a tiny cache: every read must still be right."""
    engine = MemoryEngine() if kind == "memory" else RocksEngine(str(tmp_path))
    replica = Replica(Log(), engine, StoreLimits(cache_bytes=20_000))
    failures: list[BaseException] = []
    keys = [b"key:%d" % number for number in range(300)]
    expected: dict[bytes, int] = {}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for turn in range(40):
            some = keys[turn * 7 % 300 : turn * 7 % 300 + 60]
            replica.run(*([b"INCR", key] for key in some), *([b"DEL", key] for key in some[:5]))
            for key in some:
                expected[key] = expected.get(key, 0) + 1
            for key in some[:5]:
                expected.pop(key, None)
            job = replica.machine.begin_flush()
            assert job is not None

            def run(run: object = job.run) -> None:
                try:
                    run()  # type: ignore[operator]
                except BaseException as error:  # noqa: BLE001
                    failures.append(error)

            thread = threading.Thread(target=run)
            thread.start()
            while True:
                alive = thread.is_alive()
                replies = replica.machine.read([[b"GET", key] for key in keys], 2)
                wanted = [b"%d" % expected[key] if key in expected else None for key in keys]
                assert [
                    reply.split(b"\r\n")[1] if reply != b"$-1\r\n" else None for reply in replies
                ] == wanted
                (listed,) = replica.machine.read([[b"KEYS", b"*"]], 2)
                assert listed.startswith(b"*%d\r\n" % len(expected))
                if not alive:
                    break
            thread.join()
            replica.machine.end_flush(job)
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    digest = replica.machine.digest()
    replica.flush()
    assert StateMachine(7, engine).digest() == digest
    engine.close()
