"""Snapshots: resumable, bounded, complete, and switched to at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.store.driving import Log, Replica, words

from comity.formats.errors import CorruptSnapshot
from comity.formats.snapshots import decode_chunk, encode_chunk
from comity.store.engines.memory import MemoryEngine
from comity.store.engines.rocksdb import RocksEngine
from comity.store.errors import SnapshotError, StateError
from comity.store.machine import StateMachine
from comity.store.snapshots import IDLE_MS, SnapshotChunkData

Chunks = list[tuple[bytes, SnapshotChunkData]]


@pytest.fixture
def sender() -> Replica:
    replica = Replica(Log())
    replica.log.members(b"the members")
    replica.run(*([b"SET", b"%d" % number, b"x" * 50] for number in range(100)), words("SET t v PX 500"))
    replica.run(words("CLIENT ONCE me 1 INCR n"), words("DEL 7"))
    replica.flush()
    return replica


def chunks_of(replica: Replica, max_bytes: int) -> Chunks:
    chunks: Chunks = []
    cursor, snapshot = b"", 0
    while True:
        chunk = replica.machine.snapshot_chunk(cursor, snapshot, max_bytes)
        assert chunk is not None
        chunks.append((cursor, chunk))
        cursor, snapshot = chunk.next_cursor, chunk.index
        if not cursor:
            return chunks


def stage(replica: Replica, chunks: Chunks) -> None:
    for cursor, chunk in chunks:
        replica.machine.stage_chunk(
            chunk.index, chunk.term, chunk.members, cursor, chunk.next_cursor, chunk.data
        )


def test_a_copy_is_equal_in_everything(sender: Replica) -> None:
    copy = Replica(Log())
    copy.run(words("SET old v"))
    copy.flush()
    copy.log = sender.log
    copy.copy_from(sender, 500)
    left, right = sender.machine, copy.machine
    assert right.digest() == left.digest()
    assert (right.applied, right.applied_term, right.members) == (
        left.applied,
        left.applied_term,
        b"the members",
    )
    assert right.durable == right.applied
    assert (right.stamp_ms, right.next_expiry_ms()) == (left.stamp_ms, left.next_expiry_ms())
    assert copy.run(words("CLIENT ONCE me 1 INCR n"), words("GET old")) == [b":1\r\n", b"$-1\r\n"]
    sender.catch_up()
    assert right.digest() == left.digest()


def test_the_state_that_was_replaced_is_deleted_with_the_next_flush(sender: Replica) -> None:
    copy = Replica(Log())
    copy.run(*([b"SET", b"old %d" % number, b"v"] for number in range(50)))
    copy.flush()
    copy.run(words("FLUSHALL"), words("SET old v"))
    copy.log = sender.log
    copy.copy_from(sender, 500)
    copy.run(words("SET a v"))
    sender.catch_up()
    for replica in (copy, sender):
        replica.flush()
    assert len(list(copy.engine.scan(b"", b"\xff" * 8))) == len(list(sender.engine.scan(b"", b"\xff" * 8)))
    assert copy.machine.digest() == sender.machine.digest()


def test_reads_find_the_old_state_in_the_engine_until_the_switch(
    sender: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Replica(Log())
    copy.run(words("SET old v"))
    copy.flush()
    copy.sync()
    copy.crash()
    stage(copy, chunks_of(sender, 500))
    seen = []
    assert isinstance(copy.engine, MemoryEngine)
    sync = copy.engine.sync

    def reading_meanwhile(self: MemoryEngine) -> None:
        seen.extend(copy.machine.read([words("GET old"), words("DBSIZE")], 2))
        sync()

    monkeypatch.setattr(MemoryEngine, "sync", reading_meanwhile)
    copy.machine.install_staged()
    assert seen == [b"$1\r\nv\r\n", b":1\r\n"]
    assert copy.machine.read([words("EXISTS old")], 2) == [b":0\r\n"]


def test_chunks_are_about_as_large_as_asked_and_at_least_one_key(sender: Replica) -> None:
    chunks = chunks_of(sender, 1000)
    assert len(chunks) > 5
    assert all(len(chunk.data) < 1500 for _, chunk in chunks[1:])
    assert len({chunk.index for _, chunk in chunks}) == 1
    assert len(chunks_of(sender, 1)) > 100
    assert len(chunks_of(sender, 1 << 20)) == 1


def test_a_transfer_goes_on_over_writes_and_flushes(sender: Replica) -> None:
    index = sender.machine.flushed
    first = sender.machine.snapshot_chunk(b"", 0, 500)
    assert first is not None
    before = sender.machine.digest()
    sender.run(words("FLUSHALL"), words("SET a v"))
    sender.flush()
    sender.sync()
    rest: Chunks = [(b"", first)]
    while rest[-1][1].next_cursor:
        cursor = rest[-1][1].next_cursor
        chunk = sender.machine.snapshot_chunk(cursor, index, 500)
        assert chunk is not None
        assert chunk.index == index
        rest.append((cursor, chunk))
    copy = Replica(sender.log)
    stage(copy, rest)
    copy.machine.install_staged()
    assert copy.machine.digest() == before
    copy.catch_up()
    assert copy.machine.digest() == sender.machine.digest()


def test_a_snapshot_that_is_gone_is_none(sender: Replica) -> None:
    assert sender.machine.snapshot_chunk(b"", sender.machine.flushed + 1, 100) is None
    assert sender.machine.snapshot_chunk(b"\x01", 99, 100) is None
    assert StateMachine(1, MemoryEngine()).snapshot_chunk(b"", 0, 100) is None


def test_a_few_views_are_held_and_the_oldest_is_superseded(sender: Replica) -> None:
    transfers = []
    for number in range(4):
        chunk = sender.machine.snapshot_chunk(b"", 0, 100)
        assert chunk is not None
        transfers.append(chunk)
        sender.run([b"SET", b"more", b"%d" % number])
        sender.flush()
    assert sender.machine.stats()["snapshot_views"] == 2
    continued = [sender.machine.snapshot_chunk(chunk.next_cursor, chunk.index, 100) for chunk in transfers]
    assert [chunk is None for chunk in continued] == [True, True, False, False]
    sender.machine.close()
    assert sender.machine.stats()["snapshot_views"] == 0


def test_two_readers_share_a_view_which_closes_after_both(sender: Replica) -> None:
    first, second = (sender.machine.snapshot_chunk(b"", 0, 3000) for _ in range(2))
    assert first is not None
    assert second is not None
    assert sender.machine.stats()["snapshot_views"] == 1
    for wanted_views in (1, 0):
        chunk = first
        while chunk.next_cursor:
            following = sender.machine.snapshot_chunk(chunk.next_cursor, chunk.index, 3000)
            assert following is not None
            chunk = following
        assert sender.machine.stats()["snapshot_views"] == wanted_views


def test_a_view_that_nobody_reads_is_closed(sender: Replica) -> None:
    assert sender.machine.snapshot_chunk(b"", 0, 100) is not None
    sender.log.now_ms += IDLE_MS + 1
    sender.run(words("SET a v"))
    sender.flush()
    assert sender.machine.stats()["snapshot_views"] == 0


def test_nothing_is_read_from_an_engine_that_is_being_written(sender: Replica) -> None:
    sender.run(words("SET a v"))
    job = sender.machine.begin_flush()
    assert job is not None
    assert sender.machine.snapshot_chunk(b"", 0, 100) is None
    job.run()
    assert sender.machine.snapshot_chunk(b"", 0, 100) is not None


def test_starting_again_discards_what_was_staged(sender: Replica) -> None:
    copy = Replica(sender.log)
    chunks = chunks_of(sender, 500)
    stage(copy, chunks[:3])
    sender.run(words("FLUSHALL"), words("SET only v"))
    sender.flush()
    stage(copy, chunks_of(sender, 500))
    copy.machine.install_staged()
    assert copy.machine.digest() == sender.machine.digest()


def test_an_unfinished_snapshot_is_cleared_after_a_restart(sender: Replica) -> None:
    copy = Replica(Log())
    copy.run(words("SET mine v"))
    copy.flush()
    stage(copy, chunks_of(sender, 500)[:3])
    copy.sync()
    assert len(list(copy.engine.scan(b"", b"\xff" * 8))) > 5
    copy.crash()
    assert len(list(copy.engine.scan(b"", b"\xff" * 8))) <= 4
    assert copy.machine.read([words("GET mine"), words("DBSIZE")], 2) == [
        b"$4\r\nv\r\n".replace(b"4", b"1"),
        b":1\r\n",
    ]


def test_flushall_and_flushes_do_not_disturb_what_is_being_staged(sender: Replica) -> None:
    copy = Replica(Log())
    chunks = chunks_of(sender, 500)
    copy.run(words("SET a v"))
    for cursor, chunk in chunks:
        stage(copy, [(cursor, chunk)])
        if copy.machine.applied < sender.machine.applied - 1:
            copy.run(words("FLUSHALL"), words("SET a v"))
            copy.flush()
    copy.machine.install_staged()
    assert copy.machine.digest() == sender.machine.digest()


def test_installing_is_atomic_towards_a_crash(sender: Replica) -> None:
    copy = Replica(Log())
    copy.run(words("SET mine v"))
    copy.flush()
    copy.sync()
    stage(copy, chunks_of(sender, 500))
    assert isinstance(copy.engine, MemoryEngine)
    before = StateMachine(7, copy.engine.crashed())
    assert before.read([words("GET mine")], 2) == [b"$1\r\nv\r\n"]
    copy.machine.install_staged()
    copy.crash()
    assert copy.machine.digest() == sender.machine.digest()


def test_a_snapshot_older_than_the_state_is_not_installed(sender: Replica) -> None:
    copy = Replica(sender.log)
    chunks = chunks_of(sender, 500)
    copy.catch_up()
    copy.run(words("SET newer v"))
    stage(copy, chunks)
    copy.machine.install_staged()
    assert copy.machine.read([words("GET newer")], 2) == [b"$1\r\nv\r\n"]


def test_what_does_not_follow_is_refused(sender: Replica) -> None:
    chunks = chunks_of(sender, 500)
    copy = Replica(Log())
    with pytest.raises(SnapshotError, match="does not follow"):
        stage(copy, chunks[1:])
    with pytest.raises(SnapshotError, match="does not follow"):
        stage(copy, [chunks[0], chunks[2]])
    stage(copy, chunks[:-1])
    with pytest.raises(SnapshotError, match="not complete"):
        copy.machine.install_staged()
    chunk = chunks[0][1]
    damaged = bytearray(chunk.data)
    damaged[20] ^= 1
    with pytest.raises(CorruptSnapshot):
        copy.machine.stage_chunk(chunk.index, 1, b"", b"", b"", bytes(damaged))
    pairs = decode_chunk(chunk.data)
    for wrong, why in ((pairs[1:], "meta record"), ([pairs[0], pairs[2], pairs[1]], "out of order")):
        with pytest.raises(SnapshotError, match=why):
            copy.machine.stage_chunk(chunk.index, 1, b"", b"", b"", encode_chunk(wrong))


def test_a_flush_cannot_end_that_was_not_begun(sender: Replica) -> None:
    sender.run(words("SET a v"))
    job = sender.machine.begin_flush()
    assert job is not None
    assert sender.machine.begin_flush() is None
    with pytest.raises(StateError, match="not begun or has not run"):
        sender.machine.end_flush(job)
    with pytest.raises(StateError, match="during a flush"):
        sender.machine.install_staged()
    job.run()
    sender.machine.end_flush(job)
    assert sender.machine.begin_flush() is None


def test_groups_share_an_engine_and_nothing_else(tmp_path: Path) -> None:
    engine = RocksEngine(str(tmp_path))
    machines = {group: StateMachine(group, engine) for group in (0, 1, 255, 256, 0xFFFFFFFF)}
    replicas = {}
    for group, machine in machines.items():
        replica = replicas[group] = Replica(Log(), engine)
        replica.machine = machine
        replica.run([b"SET", b"k", b"%d" % group], [b"SET", b"only-%d" % group, b"v", b"PX", b"100"])
        replica.flush()
    replicas[255].run(words("FLUSHALL"))
    replicas[255].flush()
    digests = {group: machine.digest() for group, machine in machines.items()}
    engine.sync()
    engine.close()
    engine = RocksEngine(str(tmp_path))
    for group in machines:
        machine = StateMachine(group, engine)
        keys = 0 if group == 255 else 2
        assert machine.read([[b"DBSIZE"]], 2) == [b":%d\r\n" % keys]
        assert (machine.next_expiry_ms() is None) == (keys == 0)
        assert machine.digest() == digests[group]
    engine.close()
