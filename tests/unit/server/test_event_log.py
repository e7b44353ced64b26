"""The event log: a flood of one event is held back and counted; errors never are."""

from __future__ import annotations

import io
import json

from comity.observe.log import EventLog

SECOND_NS = 1_000_000_000


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_flood_is_held_back_and_its_size_is_said_later() -> None:
    stream = io.StringIO()
    log = EventLog("info", "json", stream)
    log.bind(node=3)
    for number in range(1000):
        log.emit("info", "rubbish", number)
        log.emit("info", "rare", number) if number == 0 else None
    written = lines(stream)
    assert len([line for line in written if line["event"] == "rubbish"]) == 20
    assert len([line for line in written if line["event"] == "rare"]) == 1
    assert all(line["node"] == 3 for line in written)
    log.emit("info", "rubbish", 11 * SECOND_NS)
    assert lines(stream)[-1]["held_back"] == 980


def test_errors_are_never_held_back() -> None:
    stream = io.StringIO()
    log = EventLog("info", "json", stream)
    for _ in range(50):
        log.emit("error", "failed", 0)
    assert len(lines(stream)) == 50


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    log = EventLog("warning", "json", stream)
    log.emit("info", "quiet", 0)
    log.emit("warning", "loud", 0)
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_a_line_for_people_is_one_line() -> None:
    stream = io.StringIO()
    EventLog("info", "console", stream).emit("info", "listening", 0, port=7001)
    assert stream.getvalue().count("\n") == 1
    assert "info    listening port=7001" in stream.getvalue()
