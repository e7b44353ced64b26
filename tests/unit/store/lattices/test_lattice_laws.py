"""The laws of a join semilattice, over states that several nodes really reach."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.store.lattices import Lattices, payload_of
from comity.store.lattices.cell import content, decode, join

LATTICES = Lattices()
NOW_MS = 1_000
KEY = b"key"

COMMANDS = st.sampled_from(
    [
        [b"SET", KEY, b"5"],
        [b"SET", KEY, b"text"],
        [b"SET", KEY, b"7", b"PX", b"500"],
        [b"SET", KEY, b"8", b"KEEPTTL"],
        [b"INCR", KEY],
        [b"DECRBY", KEY, b"3"],
        [b"INCRBY", KEY, b"10"],
        [b"DEL", KEY],
        [b"GETDEL", KEY],
        [b"PEXPIRE", KEY, b"100"],
        [b"PEXPIRE", KEY, b"-1"],
        [b"PERSIST", KEY],
        [b"GETEX", KEY, b"PX", b"50"],
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 3), st.lists(COMMANDS, min_size=1, max_size=3)),
        st.tuples(st.just("sync"), st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("late"), st.integers(1, 3), st.integers(0, 30)),
    ),
    max_size=25,
)
Steps = list[tuple[str, int, object]]


class Replicas:
    """Three replicas of one key that write, join each other's states, and get deltas late and twice."""

    def __init__(self) -> None:
        self.states: dict[int, bytes | None] = {1: None, 2: None, 3: None}
        self.deltas: list[bytes] = []
        self.counters = dict.fromkeys(self.states, 0)
        self.stamp = 0

    def write(self, node: int, commands: list[list[bytes]], now_ms: int = NOW_MS) -> bytes:
        self.stamp += 1
        self.counters[node] += 1
        before = self.states[node]
        delta, reply = LATTICES.mutate(
            payload_of(2, commands), before, node, self.counters[node], self.stamp, now_ms
        )
        if delta is not None:
            self.states[node] = LATTICES.join(before, delta)
            self.deltas.append(delta)
        return reply

    def run(self, steps: Steps) -> Replicas:
        for kind, node, what in steps:
            if kind == "write":
                assert isinstance(what, list)
                self.write(node, what)
            elif kind == "sync" and isinstance(what, int):
                other = self.states[what]
                if other is not None:
                    self.states[node] = LATTICES.join(self.states[node], other)
            elif isinstance(what, int) and what < len(self.deltas):
                self.states[node] = LATTICES.join(self.states[node], self.deltas[what])
        return self


def joined(*states: bytes | None) -> bytes | None:
    result = None
    for state in states:
        if state is not None:
            result = LATTICES.join(result, state)
    return result


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_join_is_commutative_associative_and_idempotent(steps: Steps) -> None:
    replicas = Replicas().run(steps)
    a, b, c = replicas.states.values()
    assert joined(a, b) == joined(b, a)
    assert joined(joined(a, b), c) == joined(a, joined(b, c))
    assert joined(a, a) == a


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_join_is_the_least_upper_bound_of_the_order_it_makes(steps: Steps) -> None:
    replicas = Replicas().run(steps)
    a, b, _ = replicas.states.values()
    bound = joined(a, b)
    assert joined(bound, a) == bound, "it is at or above a"
    assert joined(bound, b) == bound, "it is at or above b"


@given(STEPS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_deltas_joined_in_any_order_any_number_of_times_give_the_same_state(
    steps: Steps, draw: object
) -> None:
    deltas = Replicas().run(steps).deltas
    shuffled = [*deltas, *deltas[:3]]
    getattr(draw, "shuffle")(shuffled)  # noqa: B009
    assert joined(*shuffled) == joined(*deltas)


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_a_mutation_never_goes_down_and_its_delta_is_all_it_did(steps: Steps) -> None:
    replicas = Replicas()
    for kind, node, what in steps:
        before = replicas.states[node]
        count = len(replicas.deltas)
        replicas.run([(kind, node, what)])
        after = replicas.states[node]
        assert joined(before, after) == after, "the state grew"
        if kind == "write" and len(replicas.deltas) > count:
            assert joined(before, replicas.deltas[-1]) == after


@given(st.lists(st.tuples(st.integers(1, 3), COMMANDS), max_size=12))
@settings(max_examples=200, deadline=None)
def test_without_concurrency_it_is_the_commands_of_redis(steps: list[tuple[int, list[bytes]]]) -> None:
    """Every node writes after having seen all: any number of writers give what one would have."""
    many, one = Replicas(), Replicas()
    for node, command in steps:
        reply = many.write(node, [command])
        assert reply == one.write(1, [command])
        state = joined(*many.states.values())
        many.states = dict.fromkeys(many.states, state)
        assert content(decode(state)) == content(decode(one.states[1]))


@given(st.permutations([1, 2, 3]), st.integers(-5, 5), st.integers(-5, 5), st.integers(-5, 5))
def test_increments_add_up_whoever_makes_them(order: list[int], x: int, y: int, z: int) -> None:
    replicas = Replicas()
    for node, amount in zip(order, (x, y, z), strict=True):
        replicas.write(node, [[b"INCRBY", KEY, b"%d" % amount]])
    assert content(decode(joined(*replicas.states.values()))) == b"%d" % (x + y + z)


@given(STEPS, STEPS)
@settings(max_examples=200, deadline=None)
def test_what_everybody_has_seen_may_be_collected_anywhere(steps: Steps, later: Steps) -> None:
    """After everybody has everything, one replica collects and another does not: nobody can tell."""
    kept, collected = Replicas().run(steps), Replicas().run(steps)
    state = joined(*kept.states.values())
    for replicas, own in ((kept, state), (collected, None if state is None else LATTICES.collect(state))):
        replicas.states = {1: own, 2: state, 3: own}
        replicas.deltas.clear()
        for step in later:
            replicas.run([step])
    for node in (1, 2, 3):
        left, right = kept.states[node], collected.states[node]
        assert content(decode(left)) == content(decode(right))
    everything = [content(decode(joined(*r.states.values()))) for r in (kept, collected)]
    assert everything[0] == everything[1]


@given(st.binary(max_size=40))
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    try:
        entries = decode(data)
    except ValueError:
        with pytest.raises(ValueError, match="not a lattice value"):
            LATTICES.join(None, data)
    else:
        assert join(entries, entries) == entries


def test_all_orders_of_a_small_conflict_agree() -> None:
    replicas = Replicas()
    replicas.write(1, [[b"SET", KEY, b"10"]])
    base = replicas.states[1]
    replicas.states = dict.fromkeys(replicas.states, base)
    replicas.write(1, [[b"INCRBY", KEY, b"5"]])
    replicas.write(2, [[b"SET", KEY, b"100"]])
    replicas.write(3, [[b"DEL", KEY]])
    values = {content(decode(joined(base, *order))) for order in itertools.permutations(replicas.deltas[1:])}
    assert values == {b"105"}, "SET and INCR had not seen each other: both count; DEL had seen neither"
