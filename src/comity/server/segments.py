"""The journal's segment files: append, make durable, take back what did not fit, remove.

Everything here blocks; who calls it chooses the thread. A failed fdatasync is never retried: after
one, the kernel may have dropped the dirty pages and a second call would report a lie (Rebello et
al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
"""

from __future__ import annotations

import errno
import os
import time

from comity.node.turn import JournalWrite

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFullError(Exception):
    """The write did not fit and nothing of it remains; it may be tried again later."""


class DiskFailedError(Exception):
    """The disk failed in a way after which nothing it says can be trusted."""


class SegmentFiles:
    """The segment files of one directory, of which the last one is open for appending."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._segment = ""
        self._fd = -1
        self._length = 0
        self.sync_ns = 0
        """How long the last `append` took to write and make durable, nanoseconds."""

    def append(self, order: JournalWrite) -> None:
        """Append `order.data` to its segment and make it durable, then remove what it removes.

        Raises `DiskFullError` with the segment as long as before, or `DiskFailedError`.
        """
        began_ns = time.perf_counter_ns()
        try:
            if order.segment != self._segment:
                self._open(order.segment)
            self._write(order.data)
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
        self.sync_ns = time.perf_counter_ns() - began_ns
        for name in order.removes:
            self._remove(name)

    def close(self) -> None:
        """Close the files; nothing is written."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._directory_fd >= 0:
            os.close(self._directory_fd)
            self._directory_fd = -1
        self._segment = ""

    def _open(self, segment: str) -> None:
        fd = os.open(os.path.join(self._directory, segment), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        self._segment = segment
        self._length = os.fstat(fd).st_size

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
            os.ftruncate(self._fd, self._length)
        except OSError as error:
            raise DiskFailedError(self._describe("truncate", segment, error)) from error

    def _remove(self, segment: str) -> None:
        try:
            os.unlink(os.path.join(self._directory, segment))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise DiskFailedError(self._describe("remove", segment, error)) from error

    def _describe(self, action: str, segment: str, error: OSError) -> str:
        return f"{action} of {os.path.join(self._directory, segment)} failed: {error.strerror}"


class NoFiles:
    """The journal of a node that forgets: every append is done at once and nowhere."""

    sync_ns = 0

    def append(self, order: JournalWrite) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
