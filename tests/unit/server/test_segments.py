"""Segment files: what does not fit is taken back; what failed otherwise is never trusted again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from comity.node.turn import JournalWrite
from comity.server.segments import (
    LARGE_FRAME_BYTES,
    ROOM_BYTES,
    DiskFailedError,
    DiskFullError,
    SegmentFiles,
)


def order(data: bytes, segment: str = "1.wal") -> JournalWrite:
    return JournalWrite(1, segment, data, creates=False)


class SmallDisk:
    """Stands in for os.pwrite: a disk with room for some bytes more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.real = os.pwrite

    def __call__(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.real(fd, bytes(data[: self.room]), offset)
        self.room -= written
        return written


def test_appends_follow_one_another_across_segments_and_restarts(tmp_path: Path) -> None:
    files = SegmentFiles(str(tmp_path))
    files.append(order(b"one"))
    files.append(order(b"two"))
    files.append(order(b"three", "2.wal"))
    files.close()
    files = SegmentFiles(str(tmp_path))
    files.append(order(b"four", "2.wal"))
    files.remove(("1.wal", "0.wal"))
    files.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"2.wal": b"threefour"}


def test_a_write_that_does_not_fit_leaves_nothing_and_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SegmentFiles(str(tmp_path))
    files.append(order(b"kept"))
    disk = SmallDisk(5)
    monkeypatch.setattr(os, "pwrite", disk)
    for _ in range(2):
        disk.room = 5
        with pytest.raises(DiskFullError, match=r"1\.wal failed: No space left"):
            files.append(order(b"0123456789"))
        assert (tmp_path / "1.wal").read_bytes() == b"kept"
    disk.room = 100
    files.append(order(b"0123456789"))
    assert (tmp_path / "1.wal").read_bytes() == b"kept0123456789"
    files.close()


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_any_other_failure_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    files = SegmentFiles(str(tmp_path))
    monkeypatch.setattr(os, call, broken)
    with pytest.raises(DiskFailedError, match="Input/output error"):
        files.append(order(b"x"))
    files.close()


def test_a_take_back_that_fails_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    files = SegmentFiles(str(tmp_path))
    files.append(order(b"kept"))
    monkeypatch.setattr(os, "pwrite", SmallDisk(2))
    monkeypatch.setattr(os, "ftruncate", broken)
    with pytest.raises(DiskFailedError, match="truncate"):
        files.append(order(b"0123456789"))
    files.close()


class FailedWriteBack:
    """Stands in for os.fdatasync: as Linux does, it reports a failure once to each opening of the file."""

    def __init__(self) -> None:
        self.failures = 0
        self.reported: dict[int, int] = {}
        self.real = os.fdatasync

    def __call__(self, fd: int) -> None:
        if self.reported.get(fd, 0) < self.failures:
            self.reported[fd] = self.failures
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.real(fd)


def test_a_failure_reported_while_room_is_made_is_not_lost_on_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailedWriteBack()
    monkeypatch.setattr(os, "fdatasync", disk)
    files = SegmentFiles(str(tmp_path))
    files.append(order(bytes(ROOM_BYTES)))
    assert files.wants_room
    disk.failures = 1
    files.extend()
    with pytest.raises(DiskFailedError):
        files.append(order(b"not durable"))


def test_room_that_could_not_be_made_durable_does_not_stay_behind_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SegmentFiles(str(tmp_path))
    files.append(order(bytes(ROOM_BYTES)))
    room = tmp_path / "1.wal"
    with monkeypatch.context() as failing:

        def full(fd: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        failing.setattr(os, "fdatasync", full)
        files.extend()
    files.append(order(b"next", "2.wal"))
    assert room.stat().st_size == ROOM_BYTES, "only the last segment may end in zeros"


def test_room_is_made_once_however_often_it_was_asked_for(tmp_path: Path) -> None:
    files = SegmentFiles(str(tmp_path))
    files.append(order(bytes(ROOM_BYTES)))
    for _ in range(5):
        files.extend()
    assert (tmp_path / "1.wal").stat().st_size == 2 * ROOM_BYTES


def test_behind_large_frames_room_is_reserved_and_behind_small_ones_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SegmentFiles(str(tmp_path))
    reserved: list[int] = []
    reserve = os.posix_fallocate

    def noted(fd: int, offset: int, length: int) -> None:
        reserved.append(offset)
        reserve(fd, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", noted)
    files.append(order(b"small"))
    files.append(order(b"x" * (ROOM_BYTES - 5)))
    files.extend()
    assert reserved == [ROOM_BYTES]
    for _ in range(ROOM_BYTES // LARGE_FRAME_BYTES * 2):
        files.append(order(b"y" * (LARGE_FRAME_BYTES // 2)))
    files.extend()
    assert reserved == [ROOM_BYTES]
    files.close()
    assert (tmp_path / "1.wal").stat().st_size == 2 * ROOM_BYTES


def test_a_reservation_that_fails_half_way_does_not_stay_behind_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SegmentFiles(str(tmp_path))
    files.append(order(bytes(ROOM_BYTES)))
    reserve = os.posix_fallocate
    with monkeypatch.context() as failing:

        def half(fd: int, offset: int, length: int) -> None:
            reserve(fd, offset, length // 2)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        failing.setattr(os, "posix_fallocate", half)
        files.extend()
    files.append(order(b"next", "2.wal"))
    assert (tmp_path / "1.wal").stat().st_size == ROOM_BYTES, "only the last segment may end in zeros"
