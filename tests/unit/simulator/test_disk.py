from __future__ import annotations

import pytest

from comity.node.turn import JournalWrite
from comity.replica import Stream
from comity.simulator.disk import Disk

DATA = bytes(range(1, 256)) * 8


def disk_with(seed: int, durable: bytes = b"durable") -> Disk:
    disk = Disk(Stream(seed, "disk"))
    disk.begin(JournalWrite(1, "a", durable, True))
    disk.complete()
    return disk


def test_a_completed_write_survives_every_crash() -> None:
    for seed in range(50):
        disk = disk_with(seed)
        assert disk.crash() == "idle"
        assert disk.segments() == [("a", b"durable")]


def test_a_crash_during_a_write_leaves_every_kind_of_rest_and_nothing_of_what_was_durable_is_lost() -> None:
    seen = set()
    for seed in range(200):
        disk = disk_with(seed)
        disk.begin(JournalWrite(2, "a", DATA, False))
        what = disk.crash()
        seen.add(what)
        content = bytes(disk.files["a"])
        assert content.startswith(b"durable")
        rest = content[7:]
        assert len(rest) <= len(DATA)
        assert all(got in (0, wrote) for got, wrote in zip(rest, DATA, strict=False))
        assert {"lost": rest == b"", "complete": rest == DATA}.get(what, True)
        assert disk.pending is None
        assert not disk.damaged
    assert seen == {"lost", "complete", "torn", "holes"}


def test_without_torn_writes_all_or_nothing_is_left() -> None:
    for seed in range(50):
        disk = disk_with(seed)
        disk.begin(JournalWrite(2, "a", DATA, False))
        assert disk.crash(torn=False) in ("lost", "complete")
        assert bytes(disk.files["a"]) in (b"durable", b"durable" + DATA)


def test_rot_and_misdirected_writes_are_remembered_as_damage() -> None:
    disk = disk_with(3)
    assert disk.rot()
    assert disk.damaged == {"a"}
    assert sum((a ^ b).bit_count() for a, b in zip(disk.files["a"], b"durable", strict=True)) == 1

    disk = disk_with(3)
    disk.begin(JournalWrite(2, "a", DATA, False))
    assert disk.crash(misdirect=True) == "misdirected"
    assert disk.damaged == {"a"}
    assert len(disk.files["a"]) == len(b"durable")
    assert not Disk(Stream(1, "disk")).rot(), "an empty disk has nothing to rot"


def test_rot_strikes_what_was_durable_not_what_a_crash_left_of_a_write_nobody_was_told_of() -> None:
    for seed in range(200):
        disk = disk_with(seed)
        disk.begin(JournalWrite(2, "a", DATA, False))
        disk.crash()
        rest = bytes(disk.files["a"][7:])
        assert disk.rot()
        assert bytes(disk.files["a"][7:]) == rest


def test_removed_files_may_come_back_until_a_directory_sync() -> None:
    came_back = set()
    for seed in range(40):
        disk = disk_with(seed)
        disk.begin(JournalWrite(2, "b", b"next", True))
        disk.complete()
        disk.begin(JournalWrite(3, "b", b"", False, ("a",)))
        disk.complete()
        disk.crash()
        came_back.add("a" in disk.files)
        assert bytes(disk.files["b"]) == b"next"
    assert came_back == {True, False}


def test_only_one_write_at_a_time() -> None:
    disk = disk_with(1)
    disk.begin(JournalWrite(2, "a", b"x", False))
    with pytest.raises(AssertionError, match="outstanding"):
        disk.begin(JournalWrite(3, "a", b"y", False))
