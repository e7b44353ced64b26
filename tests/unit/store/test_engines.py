"""Both engines keep the same promises."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.store.engines import Engine
from comity.store.engines.memory import MemoryEngine
from comity.store.engines.rocksdb import SLICE_PUTS, RocksEngine
from comity.store.errors import EngineError

Crash = Callable[[], Engine]


class Subject:
    """An engine, and a way to see what a crash would leave of it."""

    def __init__(self, engine: Engine, crash: Crash) -> None:
        self.engine = engine
        self.crash = crash


@pytest.fixture(params=["memory", "rocksdb"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    opened: list[Engine] = []
    if request.param == "memory":
        memory = MemoryEngine()
        opened.append(memory)
        yield Subject(memory, memory.crashed)
    else:
        rocks = RocksEngine(str(tmp_path / "state"))
        opened.append(rocks)

        def crash() -> Engine:
            # What is on the disk while the process lives is what remains when it dies.
            copy = tmp_path / f"crashed-{len(opened)}"
            shutil.copytree(tmp_path / "state", copy)
            opened.append(RocksEngine(str(copy)))
            return opened[-1]

        yield Subject(rocks, crash)
    for engine in opened:
        engine.close()


def content(engine: Engine) -> dict[bytes, bytes]:
    return dict(engine.scan(b"", b"\xff" * 8))


def test_a_key_has_the_value_last_written_to_it(subject: Subject) -> None:
    engine = subject.engine
    assert engine.get(b"a") is None
    engine.write([(b"a", b"1"), (b"b", b""), (b"a", b"2")])
    assert (engine.get(b"a"), engine.get(b"b")) == (b"2", b"")
    engine.write([(b"a", None), (b"missing", None)])
    assert engine.get_many([b"b", b"a", b"missing"]) == [b"", None, None]
    assert engine.get_many([]) == []


def test_keys_and_values_are_any_bytes(subject: Subject) -> None:
    pairs = {b"\x00": b"\xff" * 1000, b"\xfe\xff": b"\x00", b"\x00\x00": b"\r\n"}
    subject.engine.write(pairs.items())
    assert content(subject.engine) == pairs


def test_a_scan_is_in_the_order_of_bytes_between_its_ends(subject: Subject) -> None:
    subject.engine.write([(bytes([byte]), b"%d" % byte) for byte in (9, 3, 200, 4, 127, 128)])
    assert [key[0] for key, _ in subject.engine.scan(b"\x04", b"\xc8")] == [4, 9, 127, 128]
    assert list(subject.engine.scan(b"\x05", b"\x05")) == []
    subject.engine.write([(b"\x05", b"new"), (b"\x09", None)])
    assert [key[0] for key, _ in subject.engine.scan(b"", b"\xff")] == [3, 4, 5, 127, 128, 200]


def test_a_write_clears_its_ranges_before_it_puts(subject: Subject) -> None:
    subject.engine.write([(b"a1", b""), (b"a2", b""), (b"b1", b"")])
    subject.engine.write([(b"a1", b"new")], clear=[(b"a", b"b"), (b"x", b"y")])
    assert content(subject.engine) == {b"a1": b"new", b"b1": b""}


def test_a_view_does_not_move(subject: Subject) -> None:
    subject.engine.write([(b"a", b"1"), (b"b", b"1")])
    view = subject.engine.view()
    subject.engine.write([(b"a", b"2"), (b"b", None), (b"c", b"2")], clear=[(b"b", b"c")])
    subject.engine.sync()
    assert (view.get(b"a"), view.get(b"b"), view.get(b"c")) == (b"1", b"1", None)
    assert list(view.scan(b"a", b"z")) == [(b"a", b"1"), (b"b", b"1")]
    assert list(view.scan(b"b", b"z")) == [(b"b", b"1")]
    view.close()
    view.close()


def test_a_crash_leaves_what_was_synced(subject: Subject) -> None:
    subject.engine.write([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")])
    subject.engine.sync()
    subject.engine.write([(b"a", b"2"), (b"b", None), (b"d", b"2")], clear=[(b"c", b"d")])
    assert content(subject.crash()) == {b"a": b"1", b"b": b"1", b"c": b"1"}
    subject.engine.sync()
    assert content(subject.crash()) == {b"a": b"2", b"d": b"2"}


def test_a_large_write_survives_a_crash_whole_or_not_at_all(subject: Subject) -> None:
    subject.engine.sync()
    many = [(b"%06d" % number, b"x" * 2000) for number in range(5 * SLICE_PUTS)]
    subject.engine.write(many)
    assert content(subject.crash()) == {}
    subject.engine.sync()
    assert content(subject.crash()) == dict(many)


def test_a_write_takes_a_generator_and_what_it_puts_is_there(subject: Subject) -> None:
    subject.engine.write((b"%d" % number, b"") for number in range(3 * SLICE_PUTS))
    assert len(content(subject.engine)) == 3 * SLICE_PUTS


def test_closing_twice_is_harmless_and_writing_after_it_is_refused(subject: Subject) -> None:
    subject.engine.close()
    subject.engine.close()
    with pytest.raises(EngineError, match="closed"):
        subject.engine.write([(b"a", b"1")])


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("write"), st.dictionaries(st.binary(max_size=2), st.none() | st.binary(max_size=2))
            ),
            st.tuples(st.just("clear"), st.tuples(st.binary(max_size=2), st.binary(max_size=2))),
            st.tuples(st.sampled_from(["sync", "crash", "look"]), st.none()),
        ),
        max_size=30,
    )
)
@settings(max_examples=100)
def test_the_memory_engine_is_a_sorted_dict_that_forgets_what_was_not_synced(
    steps: list[tuple[str, object]],
) -> None:
    engine, now, synced = MemoryEngine(), {}, {}  # type: ignore[var-annotated]
    for kind, argument in steps:
        if kind == "write":
            assert isinstance(argument, dict)
            engine.write(argument.items())
            now = {key: value for key, value in {**now, **argument}.items() if value is not None}
        elif kind == "clear":
            assert isinstance(argument, tuple)
            start, end = argument
            engine.write((), [(start, end)])
            now = {key: value for key, value in now.items() if not start <= key < end}
        elif kind == "sync":
            engine.sync()
            synced = now
        elif kind == "crash":
            engine, now = engine.crashed(), synced
        else:
            assert list(engine.scan(b"", b"\xff\xff\xff")) == sorted(now.items())
    assert list(engine.scan(b"", b"\xff\xff\xff")) == sorted(now.items())


# -- what only a disk has


def test_two_engines_on_one_directory_are_refused_with_advice(tmp_path: Path) -> None:
    first = RocksEngine(str(tmp_path))
    with pytest.raises(EngineError, match="in use by a running process") as caught:
        RocksEngine(str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "another directory" in caught.value.advice
    first.close()
    RocksEngine(str(tmp_path)).close()


def test_what_was_written_is_there_after_an_orderly_close(tmp_path: Path) -> None:
    engine = RocksEngine(str(tmp_path))
    engine.write([(b"a", b"1")])
    engine.close()
    engine = RocksEngine(str(tmp_path))
    assert engine.get(b"a") == b"1"
    engine.close()


def test_memory_tables_are_flushed_between_writes_only(tmp_path: Path) -> None:
    engine = RocksEngine(str(tmp_path / "state"), flush_bytes=100_000)
    for number in range(3):  # fewer than are merged in the background, while they are copied
        engine.write([(b"%d-%05d" % (number, key), b"x" * 100) for key in range(2000)])
        shutil.copytree(tmp_path / "state", tmp_path / f"copy-{number}")
        copy = RocksEngine(str(tmp_path / f"copy-{number}"))
        assert len(content(copy)) == 2000 * (number + 1)
        copy.close()
    engine.close()


def test_a_checkpoint_opens_as_a_database_of_its_own(tmp_path: Path) -> None:
    engine = RocksEngine(str(tmp_path / "state"))
    engine.write([(b"a", b"1")])
    engine.checkpoint(str(tmp_path / "copy"))
    engine.write([(b"a", b"2")])
    copy = RocksEngine(str(tmp_path / "copy"))
    assert (copy.get(b"a"), engine.get(b"a")) == (b"1", b"2")
    with pytest.raises(EngineError):
        engine.checkpoint(str(tmp_path / "copy"))
    copy.close()
    engine.close()


def test_the_memory_engine_refuses_checkpoints() -> None:
    with pytest.raises(EngineError, match="use the rocksdb engine"):
        MemoryEngine().checkpoint("/nowhere")


def test_a_damaged_database_is_an_error_and_never_missing_keys(tmp_path: Path) -> None:
    engine = RocksEngine(str(tmp_path))
    engine.write([(b"%06d" % number, b"%d" % number * 20) for number in range(20_000)])
    engine.sync()
    engine.close()
    table = max(tmp_path.glob("*.sst"))
    damaged = bytearray(table.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 4000] = bytes(4000)
    table.write_bytes(damaged)
    with pytest.raises(EngineError, match="damaged") as caught:
        list(RocksEngine(str(tmp_path)).scan(b"", b"\xff"))
    assert "fetch the state from the others" in caught.value.advice


def test_a_foreign_directory_is_an_error(tmp_path: Path) -> None:
    RocksEngine(str(tmp_path)).close()
    (tmp_path / "CURRENT").write_bytes(b"junk")
    with pytest.raises(EngineError, match="damaged or is not one of ours"):
        RocksEngine(str(tmp_path))
    with pytest.raises(EngineError):
        RocksEngine("/proc/nowhere")
