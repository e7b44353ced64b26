"""The journal's segment files: append, make durable, take back what did not fit, remove.

Everything here blocks; who calls it chooses the thread. A failed fdatasync is never retried: after
one, the kernel may have dropped the dirty pages and a second call would report a lie (Rebello et
al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Sequence

from comity.node.turn import JournalWrite

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFullError(Exception):
    """The write did not fit and nothing of it remains; it may be tried again later."""


class DiskFailedError(Exception):
    """The disk failed in a way after which nothing it says can be trusted."""


ROOM_BYTES = 4 << 20
"""Zeros written ahead of the log's end, so that appending to it changes data and nothing else: an
fdatasync then waits for the disk and not for the file system's journal."""
LARGE_FRAME_BYTES = 64 << 10
"""Where frames are this large on average, writing everything twice costs more than that wait: the room
is only reserved then."""


class SegmentFiles:
    """The segment files of one directory, of which the last one is open for appending.

    The open one is longer than what was appended, by zeros that make room; it is cut to its length
    before the next one is begun. Room is made by `extend`, in any thread.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._segment = ""
        self._fd = -1
        self._length = 0
        self._size = 0
        self._frames = 0
        self._frame_bytes = 0
        self._resizing = threading.Lock()
        """Held by whoever moves the end of the file, or changes which file it is."""
        self.sync_ns = 0
        """How long the last `append` took to write and make durable, nanoseconds."""

    def append(self, order: JournalWrite) -> None:
        """Append `order.data` to its segment and make it durable.

        Raises `DiskFullError` with the segment as long as before, or `DiskFailedError`.
        """
        began_ns = time.perf_counter_ns()
        try:
            if order.segment != self._segment:
                with self._resizing:
                    self._open(order.segment)
            if self._length + len(order.data) <= self._size:
                self._write(order.data)
            else:
                with self._resizing:
                    self._write(order.data)
                    self._size = max(self._size, self._length + len(order.data))
        except OSError as error:
            if error.errno not in _FULL:
                raise DiskFailedError(self._describe("write", order.segment, error)) from error
            self._take_back(order.segment)
            raise DiskFullError(self._describe("write", order.segment, error)) from error
        try:
            os.fdatasync(self._fd)
            if order.creates:
                os.fsync(self._directory_fd)
        except OSError as error:
            raise DiskFailedError(self._describe("fdatasync", order.segment, error)) from error
        self._length += len(order.data)
        self._frames += 1
        self._frame_bytes += len(order.data)
        self.sync_ns = time.perf_counter_ns() - began_ns

    def remove(self, segments: Sequence[str]) -> None:
        """Remove segments that nobody needs any more, oldest first. Raises `DiskFailedError`.

        Slow (a file system frees every block), and free to happen late: what is left behind by a crash
        is read again, found to be compacted, and removed with the next ones.
        """
        for segment in segments:
            try:
                os.unlink(os.path.join(self._directory, segment))
            except FileNotFoundError:
                pass
            except OSError as error:
                raise DiskFailedError(self._describe("remove", segment, error)) from error

    def close(self) -> None:
        """Close the files; nothing is written, the room that was left is given back."""
        with self._resizing:
            self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._finish()  # Else the next start cuts it.
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._directory_fd >= 0:
            os.close(self._directory_fd)
            self._directory_fd = -1
        self._segment = ""

    @property
    def wants_room(self) -> bool:
        """Whether `extend` should be called."""
        return self._fd >= 0 and self._size - self._length < ROOM_BYTES // 2

    def extend(self) -> None:
        """Make room behind what was appended, where there is little. Failing is no harm: appending then
        makes its own."""
        with self._resizing:
            if self.wants_room:
                self._make_room()

    def _make_room(self) -> None:
        # The kernel reports a failed write-back once to each opening of a file. The log's own must not
        # miss that of a frame because it was reported, and ignored, here.
        with contextlib.suppress(OSError):
            fd = os.open(os.path.join(self._directory, self._segment), os.O_WRONLY | os.O_CLOEXEC)
            large = self._frame_bytes > self._frames * LARGE_FRAME_BYTES
            self._frames = self._frame_bytes = 0
            try:
                if large:
                    self._reserve(fd)
                else:
                    self._size += os.pwrite(fd, bytes(ROOM_BYTES), self._size)
                os.fdatasync(fd)
            finally:
                os.close(fd)

    def _reserve(self, fd: int) -> None:
        try:
            os.posix_fallocate(fd, self._size, ROOM_BYTES)
        finally:
            # What does not fit may leave the file longer all the same.
            self._size = max(self._size, os.fstat(fd).st_size)

    def _open(self, segment: str) -> None:
        self._finish()
        fd = os.open(os.path.join(self._directory, segment), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        self._segment = segment
        self._length = self._size = os.fstat(fd).st_size
        if not self._length:
            self._make_room()

    def _finish(self) -> None:
        """Cut the open segment to what was appended, durably: only a last segment may end in zeros."""
        if self._fd >= 0 and self._size > self._length:
            os.ftruncate(self._fd, self._length)
            os.fsync(self._fd)
            self._size = self._length

    def _write(self, data: bytes) -> None:
        written = os.pwrite(self._fd, data, self._length)
        while written < len(data):
            more = os.pwrite(self._fd, memoryview(data)[written:], self._length + written)
            if more == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written += more

    def _take_back(self, segment: str) -> None:
        if self._segment != segment:
            return  # The segment could not even be created.
        try:
            with self._resizing:
                os.ftruncate(self._fd, self._length)
                self._size = self._length
        except OSError as error:
            raise DiskFailedError(self._describe("truncate", segment, error)) from error

    def _describe(self, action: str, segment: str, error: OSError) -> str:
        return f"{action} of {os.path.join(self._directory, segment)} failed: {error.strerror}"


class NoFiles:
    """The journal of a node that forgets: every append is done at once and nowhere."""

    sync_ns = 0
    wants_room = False

    def extend(self) -> None:
        """Nothing."""

    def append(self, order: JournalWrite) -> None:
        """Nothing."""

    def remove(self, segments: Sequence[str]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
