"""Laws: news is a lattice, bounds hold, bytes round-trip, nothing a peer sends can break a detector."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.detectors import (
    CODEC,
    PLAIN_SWIM,
    Detector,
    HeartbeatDetector,
    PhiDetector,
    Status,
    Swim,
    SwimOptions,
    Update,
)
from comity.detectors.dissemination import News, size, times_to_send
from comity.detectors.membership import overrides
from comity.detectors.messages import Ack, Heartbeat, Message, Nack, Ping, PingRequest
from comity.detectors.suspicion import timeout
from comity.replica import Stream

nodes = st.integers(1, 6)
updates = st.builds(Update, nodes, st.sampled_from([0, 1, 2]), st.integers(0, 3), nodes)
carried = st.lists(updates, max_size=4).map(tuple)
numbers = st.integers(0, 5)
messages = st.one_of(
    st.builds(Ping, numbers, carried),
    st.builds(Ack, numbers, carried),
    st.builds(Nack, numbers, carried),
    st.builds(PingRequest, numbers, nodes, st.booleans(), carried),
    st.builds(Heartbeat, numbers, numbers),
)


@given(st.lists(updates, max_size=12), st.randoms(use_true_random=False))
def test_tables_that_saw_the_same_news_are_equal_in_whatever_order_it_came(
    news: list[Update], order: object
) -> None:
    tables = []
    shuffled = list(news)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for each in (news, shuffled):
        swim = Swim(1, range(1, 7), Stream(1, "node 1"))
        swim.start(0)
        for update in each:
            if update.node != 1:
                swim.receive(0, 2, Ping(1, (update,)))
                swim.check()
        tables.append({node: (row.incarnation, row.status) for node, row in swim.table.rows.items()})
    assert tables[0] == tables[1]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=3, max_size=3))
def test_overriding_is_a_strict_total_order(news: list[tuple[int, int]]) -> None:
    (a, i), (b, j), (c, k) = news
    assert not overrides(a, i, a, i)
    assert overrides(a, i, b, j) + overrides(b, j, a, i) == ((a, i) != (b, j))
    if overrides(a, i, b, j) and overrides(b, j, c, k):
        assert overrides(a, i, c, k)


@given(st.integers(1, 10**12), st.integers(1, 10), st.integers(0, 10), st.integers(0, 10))
def test_a_suspicion_timeout_lies_between_its_bounds_and_falls_with_confirmations(
    least_ns: int, factor: int, confirmations: int, wanted: int
) -> None:
    most_ns = least_ns * factor
    now, one_more = (
        timeout(least_ns, most_ns, count, wanted) for count in (confirmations, confirmations + 1)
    )
    assert least_ns <= one_more <= now <= most_ns


@given(st.lists(updates, max_size=40), st.integers(64, 200), st.integers(1, 6))
def test_a_message_carries_no_more_than_it_may_and_each_piece_is_sent_so_often(
    news: list[Update], max_bytes: int, times: int
) -> None:
    buffer = News(max_bytes)
    for update in news:
        buffer.add(update)
    held = buffer.updates()
    sent: list[Update] = []
    for _ in range(1000):
        picked = buffer.pick((), times)
        assert sum(map(size, picked)) <= max_bytes
        if not picked:
            break
        sent += picked
    assert len(buffer) == 0
    assert sorted(sent, key=repr) == sorted([update for update in held for _ in range(times)], key=repr)


def test_news_is_sent_lambda_log_n_times() -> None:
    assert [times_to_send(3, members) for members in (1, 3, 10, 100, 1000)] == [3, 5, 8, 14, 21]


@given(messages)
def test_messages_survive_their_bytes(message: Message) -> None:
    assert CODEC.decode(CODEC.encode(message)) == message


@pytest.mark.parametrize(
    "bad",
    [
        [2, -1],
        [2, 1, [[0, 0, 0, 1]]],
        [2, 1, [[1, 3, 0, 1]]],
        [2, 1, [[1, 0, 2**63, 1]]],
        [2, 1, [[1, 0, 0, 1]] * 1025],
        [9, 1],
        "ping",
    ],
)
def test_other_bytes_are_refused(bad: object) -> None:
    with pytest.raises(msgspec.DecodeError):
        CODEC.decode(msgspec.msgpack.encode(bad))


def made(kind: str) -> Detector:
    members, stream = (1, 2, 3, 4), Stream(7, "node 1")
    if kind == "heartbeat":
        return HeartbeatDetector(1, members, stream)
    if kind == "phi":
        return PhiDetector(1, members, stream)
    return Swim(1, members, stream, OPTIONS[kind])


OPTIONS = {"plain": PLAIN_SWIM, "lifeguard": SwimOptions(), "open": SwimOptions(open_group=True)}

stimuli = st.lists(
    st.tuples(
        st.integers(0, 3_000_000_000),
        st.one_of(
            st.tuples(st.just("receive"), st.integers(1, 8), messages),
            st.tuples(st.just("wake"), st.just(0), st.none()),
            st.tuples(st.just("heard"), nodes, st.none()),
            st.tuples(st.just("view"), st.just(0), st.sets(nodes)),
        ),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(stimuli, st.sampled_from(["heartbeat", "phi", "plain", "lifeguard", "open"]))
def test_nothing_a_peer_sends_breaks_a_detector_and_the_same_calls_give_the_same_answers(
    calls: list[tuple[int, tuple[str, int, object]]], kind: str
) -> None:
    traces = []
    for _ in range(2):
        detector = made(kind)
        detector.start(0)
        now_ns = 0
        trace = []
        for gap_ns, (what, node, payload) in calls:
            now_ns += gap_ns
            if what == "receive":
                detector.receive(now_ns, node, payload)
            elif what == "wake":
                detector.wake(now_ns)
            elif what == "heard":
                detector.heard(now_ns, node)
            else:
                assert isinstance(payload, set)
                detector.view(now_ns, sorted(payload))
            detector.check()
            trace.append((detector.take(now_ns), detector.deadline_ns, detector.suspects(now_ns)))
            for member in detector.members:
                level = detector.level(now_ns, member)
                assert 0 <= level <= 2
                if what == "wake":
                    assert int(level) == detector.state(member)
        msgspec.json.encode(detector.status())
        traces.append(trace)
    assert traces[0] == traces[1]


def test_the_states_are_ordered() -> None:
    assert Status.ALIVE < Status.SUSPECT < Status.DEAD
