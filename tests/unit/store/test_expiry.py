"""Time to live: by the stamps in the log, reclaimed in a fixed order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.store.driving import START_MS, Log, Replica, words

from comity.store import layout
from comity.store.engines.memory import MemoryEngine
from comity.store.expiry import READ_AHEAD, ExpiryIndex


def test_a_key_is_gone_at_the_millisecond_it_expires() -> None:
    replica = Replica(Log())
    replica.run(words("SET k v PX 10"))
    replica.log.now_ms += 9
    assert replica.run(words("GET k"), words("PTTL k")) == [b"$1\r\nv\r\n", b":1\r\n"]
    replica.log.now_ms += 1
    assert replica.run(words("GET k"), words("PTTL k"), words("TYPE k")) == [
        b"$-1\r\n",
        b":-2\r\n",
        b"+none\r\n",
    ]


def test_reads_see_the_time_of_the_log_and_nothing_else() -> None:
    replica = Replica(Log())
    replica.run(words("SET k v PX 10"))
    assert replica.machine.read([words("GET k")], 2) == [b"$1\r\nv\r\n"]
    replica.log.now_ms += 10
    replica.log.propose()
    replica.catch_up()
    assert replica.machine.read([words("GET k")], 2) == [b"$-1\r\n"]


def test_reclaiming_is_bounded_per_entry_and_starts_with_the_earliest() -> None:
    replica = Replica(Log())
    replica.run(*([b"SET", b"%03d" % number, b"v", b"PX", b"%d" % (1000 - number)] for number in range(200)))
    assert replica.machine.next_expiry_ms() == START_MS + 801
    replica.log.now_ms += 1000
    left = []
    while replica.machine.stats()["keys"]:
        replica.log.propose()
        replica.catch_up()
        left.append((replica.machine.stats()["keys"], replica.machine.next_expiry_ms()))
    assert left == [(136, START_MS + 865), (72, START_MS + 929), (8, START_MS + 993), (0, None)]


def test_an_overwritten_time_to_live_does_not_count() -> None:
    replica = Replica(Log())
    replica.run(words("SET k v PX 10"), words("SET k v"), words("SET j v PX 20"), words("PEXPIRE j 500"))
    assert replica.machine.next_expiry_ms() == START_MS + 500
    assert replica.machine.stats()["expires"] == 1
    replica.log.now_ms += 100
    assert replica.run(words("EXISTS k j")) == [b":2\r\n"]


def test_a_time_to_live_that_is_over_when_set_deletes() -> None:
    replica = Replica(Log())
    assert replica.run(words("SET k v"), words("SET k w EXAT 1"), words("DBSIZE")) == [
        b"+OK\r\n",
        b"+OK\r\n",
        b":0\r\n",
    ]
    assert replica.run(words("SET new w PXAT 1"), words("DBSIZE")) == [b"+OK\r\n", b":0\r\n"]
    assert replica.run(words("SET k v PX 9"), words("GETEX k PXAT 1"), words("DBSIZE"))[1:] == [
        b"$1\r\nv\r\n",
        b":0\r\n",
    ]
    assert replica.machine.next_expiry_ms() is None


def test_next_expiry_finds_keys_that_only_the_engine_knows() -> None:
    replica = Replica(Log())
    replica.run(*([b"SET", b"%d" % number, b"v", b"PX", b"%d" % (number + 1)] for number in range(1000)))
    replica.flush()
    replica.sync()
    replica.crash()
    assert replica.machine.next_expiry_ms() == START_MS + 1
    assert replica.machine.stats()["expires"] == 1000
    for _ in range(20):
        replica.log.now_ms += 100
        replica.log.propose()
        replica.catch_up()
    assert replica.machine.stats()["keys"] == 0


entries = st.tuples(st.integers(1, 12), st.sampled_from([b"a", b"b", b"c"]))


@given(
    st.lists(
        st.tuples(st.sampled_from(["toggle"] * 6 + ["first", "begin", "write", "end"]), entries), max_size=60
    )
)
@settings(max_examples=300)
def test_the_index_is_a_sorted_set_whatever_is_flushed_when(
    steps: list[tuple[str, tuple[int, bytes]]],
) -> None:
    engine = MemoryEngine()
    prefix = layout.generation_prefix(1, 2)
    family = layout.family_prefix(prefix, layout.FAMILY_EXPIRY)
    index = ExpiryIndex(engine, prefix)
    expected: set[tuple[int, bytes]] = set()
    flushing = None
    for step, entry in steps:
        if step == "toggle":
            if entry in expected:
                index.remove(*entry)
            else:
                index.add(*entry)
            expected ^= {entry}
        elif step == "begin" and flushing is None:
            flushing = index.begin_flush()
        elif step in ("write", "end") and flushing is not None:
            added, removed = flushing
            puts: dict[bytes, bytes | None] = {layout.expiry_key(family, *each): None for each in removed}
            puts.update({layout.expiry_key(family, *each): b"" for each in added})
            engine.write(puts.items())
            if step == "end":
                index.end_flush()
                flushing = None
        elif step == "first":
            assert index.first() == min(expected, default=None)
        assert index.count == len(expected)
    while expected:
        first = index.first()
        assert first == min(expected)
        index.remove(*first)
        expected.remove(first)
    assert index.first() is None


def test_an_entry_put_back_at_the_place_read_last_is_found_again() -> None:
    engine = MemoryEngine()
    prefix = layout.generation_prefix(1, 2)
    family = layout.family_prefix(prefix, layout.FAMILY_EXPIRY)
    count = 2 * READ_AHEAD
    engine.write((layout.expiry_key(family, number, b"k"), b"") for number in range(1, count + 1))
    index = ExpiryIndex(engine, prefix)
    for number in range(1, count + 1):
        assert index.first() == (number, b"k")
        index.remove(number, b"k")
    assert index.first() is None
    for number in (count, 3):
        index.add(number, b"k")
        assert index.first() == (number, b"k")
