"""Batches are applied once and in order; what cannot be read does nothing, on every replica alike."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.store.driving import Log, Replica, words

from comity.store.batches import Answer, encode_batch, encode_proposal
from comity.store.limits import ReplicatedLimits, StoreLimits


def replica_with(limits: ReplicatedLimits | None = None) -> Replica:
    return Replica(Log(), limits=StoreLimits(replicated=limits or ReplicatedLimits()))


def propose(replica: Replica, *batches: bytes) -> list[Answer]:
    replica.log.propose(*batches)
    return replica.catch_up()[-1]


def batch(
    sequence: int, text: str, after: int = 0, floor: int = 0, origin: int = 1, incarnation: int = 1
) -> bytes:
    return encode_batch(origin, incarnation, sequence, after, floor, 2, [words(text)])


def test_one_entry_answers_all_its_batches_in_order() -> None:
    replica = replica_with()
    answers = propose(replica, batch(1, "SET k 1"), batch(1, "INCR k", origin=2), batch(2, "GET k", after=1))
    assert answers == [
        Answer(1, 1, 1, [b"+OK\r\n"]),
        Answer(2, 1, 1, [b":2\r\n"]),
        Answer(1, 1, 2, [b"$1\r\n2\r\n"]),
    ]


def test_a_duplicate_changes_nothing_and_gets_the_kept_answers() -> None:
    replica = replica_with()
    assert propose(replica, batch(1, "INCR n"), batch(1, "INCR n")) == [Answer(1, 1, 1, [b":1\r\n"])] * 2
    assert propose(replica, batch(1, "INCR n")) == [Answer(1, 1, 1, [b":1\r\n"])]
    assert replica.machine.answers(1, 1, 1) == [b":1\r\n"]
    assert replica.machine.answers(1, 2, 1) is replica.machine.answers(9, 1, 1) is None
    assert (replica.machine.last_sequence(1, 1), replica.machine.last_sequence(1, 2)) == (1, 0)


def test_a_batch_waits_for_the_one_it_must_follow() -> None:
    replica = replica_with()
    assert propose(replica, batch(3, "INCR n", after=2)) == []
    assert propose(replica, batch(1, "INCR n")) == [Answer(1, 1, 1, [b":1\r\n"])]
    assert propose(replica, batch(3, "INCR n", after=1)) == [Answer(1, 1, 3, [b":2\r\n"])]
    assert propose(replica, batch(2, "INCR n", after=1)) == [Answer(1, 1, 2, None)]


def test_a_new_incarnation_begins_anew_and_the_old_one_is_over() -> None:
    replica = replica_with()
    propose(replica, batch(1, "INCR n"), batch(2, "INCR n", after=1))
    assert propose(replica, batch(1, "INCR n", incarnation=2)) == [Answer(1, 2, 1, [b":3\r\n"])]
    assert propose(replica, batch(3, "INCR n", after=2), batch(2, "INCR n")) == []
    assert replica.machine.last_sequence(1, 1) == 0


def test_answers_are_kept_until_the_origin_has_them() -> None:
    replica = replica_with()
    propose(replica, *(batch(sequence, "INCR n", after=sequence - 1) for sequence in (1, 2, 3)))
    propose(replica, batch(4, "INCR n", after=3, floor=3))
    assert [replica.machine.answers(1, 1, sequence) for sequence in (1, 2, 3, 4)] == [
        None,
        None,
        [b":3\r\n"],
        [b":4\r\n"],
    ]
    propose(replica, batch(5, "INCR n", after=4, floor=99))
    assert replica.machine.answers(1, 1, 5) == [b":5\r\n"]
    assert replica.machine.answers(1, 1, 4) is None


def test_kept_answers_are_bounded_by_number_and_bytes() -> None:
    replica = replica_with(ReplicatedLimits(origin_batches=4, origin_answer_bytes=150))
    for sequence in range(1, 10):
        propose(replica, batch(sequence, "INCR n"))
    kept = [sequence for sequence in range(1, 10) if replica.machine.answers(1, 1, sequence)]
    assert kept == [6, 7, 8, 9]
    propose(replica, encode_batch(2, 1, 1, 0, 0, 2, [[b"SET", b"k", b"x" * 100]]))
    propose(replica, batch(20, "GET k"))
    propose(replica, batch(21, "GET k"))
    assert replica.machine.answers(1, 1, 20) is None
    assert replica.machine.answers(1, 1, 21) is not None
    propose(replica, encode_batch(2, 1, 2, 1, 0, 2, [[b"SET", b"k", b"x" * 200]]))
    assert propose(replica, batch(30, "GET k"))[0].replies is not None
    assert propose(replica, batch(30, "GET k")) == [Answer(1, 1, 30, None)]


def test_the_origin_unused_for_longest_is_forgotten() -> None:
    replica = replica_with(ReplicatedLimits(origins=2))
    for origin in (1, 2):
        propose(replica, batch(1, "INCR n", origin=origin))
    propose(replica, batch(2, "INCR n", origin=1))
    propose(replica, batch(1, "INCR n", origin=3))
    assert [replica.machine.last_sequence(origin, 1) for origin in (1, 2, 3)] == [2, 0, 1]


def test_answers_survive_restart_and_snapshot() -> None:
    replica = replica_with()
    propose(replica, batch(1, "INCR n"), batch(2, "GET n", after=1))
    replica.flush()
    replica.sync()
    replica.crash()
    assert replica.machine.answers(1, 1, 2) == [b"$1\r\n1\r\n"]
    copy = replica_with()
    copy.copy_from(replica)
    assert copy.machine.answers(1, 1, 1) == [b":1\r\n"]
    assert copy.machine.last_sequence(1, 1) == 2


def test_time_never_goes_back() -> None:
    replica = replica_with()
    replica.machine.apply(1, 1, encode_proposal(5000, []))
    replica.machine.apply(2, 1, encode_proposal(4000, [batch(1, "SET k v PX 10")]))
    assert replica.machine.stamp_ms == 5000
    assert replica.machine.next_expiry_ms() == 5010


MALFORMED = [
    b"",
    b"junk",
    msgspec.msgpack.encode([1]),
    msgspec.msgpack.encode([-1, []]),
    msgspec.msgpack.encode([1 << 63, []]),
    msgspec.msgpack.encode([1, [], 2]),
    msgspec.msgpack.encode([1, ["text"]]),
    msgspec.msgpack.encode({"stamp_ms": 1}),
]


def test_a_malformed_entry_is_counted_and_does_nothing() -> None:
    replica = replica_with()
    for payload in MALFORMED:
        replica.log.entries.append(("command", payload))
        assert replica.catch_up() == [[]]
    assert replica.machine.malformed == len(MALFORMED)
    assert replica.machine.applied == len(MALFORMED)
    assert replica.machine.stamp_ms == 0


def test_a_malformed_batch_does_not_stop_the_others() -> None:
    replica = replica_with()
    wrong = [
        b"junk",
        msgspec.msgpack.encode([1, 1, 1, 0, 0, 4, []]),
        msgspec.msgpack.encode([1, 1, 1, 0, 0, 2, [["text"]]]),
        msgspec.msgpack.encode([-1, 1, 1, 0, 0, 2, []]),
    ]
    assert propose(replica, *wrong, batch(1, "INCR n")) == [Answer(1, 1, 1, [b":1\r\n"])]
    assert replica.machine.malformed == len(wrong)


arguments = st.lists(
    st.binary(max_size=6) | st.sampled_from([b"SET", b"EXEC", b"CLIENT", b"ONCE", b"k", b"1", b"EX"]),
    max_size=6,
)


@given(st.lists(st.lists(arguments, max_size=4) | st.binary(max_size=12), max_size=6))
def test_whatever_is_in_the_log_two_replicas_agree_on_it(contents: list[list[list[bytes]] | bytes]) -> None:
    log = Log()
    left, right = Replica(log), Replica(log)
    for content in contents:
        if isinstance(content, bytes):
            log.entries.append(("command", content))
            log.propose(content)
        else:
            log.commands(*content)
    for answers in left.catch_up():
        for answer in answers:
            assert all(reply.endswith(b"\r\n") for reply in answer.replies or [])
    for _ in contents:
        right.catch_up()
        right.flush()
        right.sync()
        right.crash()
    right.catch_up()
    assert right.machine.digest() == left.machine.digest()


KEYS = st.sampled_from([f"k{number}" for number in range(12)])
VALUES = st.sampled_from(["''", "v", "value" * 40])
SETS = st.tuples(KEYS, VALUES).map(lambda each: f"SET {each[0]} {each[1]}")
OTHERS = st.one_of(
    KEYS.map(lambda key: f"SET {key} timed PX 5"),
    KEYS.map(lambda key: f"DEL {key}"),
    KEYS.map(lambda key: f"GET {key}"),
    KEYS.map(lambda key: f"APPEND {key} more"),
)


@given(st.lists(st.lists(st.one_of(SETS, SETS, SETS, OTHERS), max_size=30), max_size=6), st.booleans())
def test_many_plain_sets_at_once_are_the_same_as_one_by_one(batches: list[list[str]], small: bool) -> None:
    limits = StoreLimits(cache_bytes=700 if small else 1 << 20)
    at_once, one_by_one = Replica(Log(), limits=limits), Replica(Log(), limits=limits)
    for texts in batches:
        answers = []
        # A spelling that nothing was prepared for is looked up each time.
        for replica, spelling in ((at_once, "SET"), (one_by_one, "sEt")):
            replica.log.now_ms += 3
            replica.log.commands(*[words(text.replace("SET", spelling)) for text in texts])
            answers.append(replica.catch_up())
        assert answers[0] == answers[1]
        assert at_once.machine.digest() == one_by_one.machine.digest()
        for name in ("keys", "expires", "dirty_keys"):
            assert at_once.machine.stats()[name] == one_by_one.machine.stats()[name]
        if not small:
            assert at_once.machine.stats()["cached_bytes"] == one_by_one.machine.stats()["cached_bytes"]
