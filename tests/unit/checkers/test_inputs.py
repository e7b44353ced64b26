from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.checkers.test_linearizable_differential import CASES, histories

from comity.checkers import Event, EventType, HistoryError, freeze, read_events, read_history, write_history
from comity.checkers.inputs import LINE_LIMIT_BYTES
from comity.checkers.inputs.json_lines import encode_event, parse_event

SOUND = b'{"process":0,"type":"invoke","f":"write","key":"x","value":[1,2],"time":5}\n'


def test_the_line_is_the_documented_schema() -> None:
    event = Event(0, EventType.INVOKE, "cas", "x", (1, 2), 5)
    assert encode_event(event) == SOUND.replace(b"write", b"cas")
    assert parse_event(SOUND) == Event(0, EventType.INVOKE, "write", "x", (1, 2), 5)


def test_key_value_and_time_may_be_missing_and_further_fields_are_ignored() -> None:
    assert parse_event(b'{"type":"ok","process":"a","f":"read","index":7}') == Event(
        "a", EventType.OK, "read"
    )


json_values = st.recursive(
    st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=5) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.integers(0, 9), st.sampled_from(EventType), st.text(max_size=5), json_values, json_values)
def test_events_come_back_from_their_lines(
    process: int, kind: EventType, f: str, key: object, value: object
) -> None:
    event = Event(process, kind, f, freeze(key), freeze(value), 3)
    line = encode_event(event)
    assert parse_event(line) == event
    assert json.loads(line)["value"] == value


def test_histories_come_back_from_their_files(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for case in CASES:
        for history in histories(case, 20, "files"):
            write_history(history, path)
            assert list(read_history(path).operations) == list(history.operations)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (SOUND + b'{"process":0,"type":"ok","f":"wri', 2, "not JSON"),
        (SOUND + b'{"process":0,"type":"okay","f":"write"}\n', 2, "not an event"),
        (SOUND + b'{"type":"ok","f":"write"}\n', 2, "process"),
        (SOUND + b'{"process":0,"type":"ok","f":"write","time":"now"}\n', 2, "time"),
        (SOUND + b"\n\n" + SOUND, 4, "while its write is open"),
        (SOUND + b'{"process":1,"type":"ok","f":"read"}\n', 2, "without having invoked"),
        (SOUND + b'{"process":0,"type":"ok","f":"w\xff"}\n', 2, "not "),
        (SOUND + b"[1]\n", 2, "not an event"),
        (b"\x00\x01\x02", 0, "no known history format"),
    ],
)
def test_broken_input_is_refused_with_file_line_and_reason(
    tmp_path: Path, text: bytes, line: int, reason: str
) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(text)
    with pytest.raises(HistoryError, match=reason) as caught:
        read_history(path)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")


@given(st.integers(0, 2**32))
def test_no_damaged_byte_is_read_as_something_else_silently(seed: int) -> None:
    # Whatever the damage, a line is an event, blank, or refused as a HistoryError: nothing else escapes.
    random_ = random.Random(seed)
    damaged = bytearray(SOUND)
    for _ in range(random_.randint(1, 3)):
        damaged[random_.randrange(len(damaged))] = random_.randrange(256)
    try:
        event = parse_event(bytes(damaged))
    except HistoryError:
        return
    assert event is None or parse_event(encode_event(event)) == event


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'{"f":"' + b"x" * (LINE_LIMIT_BYTES + 10))
    with pytest.raises(HistoryError, match="a line of more than"):
        read_history(path)


def test_an_empty_file_is_an_empty_history(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")
    assert len(read_history(path)) == 0


def test_an_unknown_format_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(SOUND)
    with pytest.raises(HistoryError, match="json-lines"):
        read_history(path, "edn")


def test_reading_streams_and_reports_progress(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as stream:
        for number in range(25_000):
            stream.write(b'{"process":%d,"type":"invoke","f":"read"}\n' % number)
    seen: list[int] = []
    events = read_events(path, progress=seen.append)
    assert next(events)[0] == 1
    assert not seen
    assert sum(1 for _ in events) == 24_999
    assert seen == sorted(seen)
    assert len(seen) == 3
    assert seen[-1] == path.stat().st_size
