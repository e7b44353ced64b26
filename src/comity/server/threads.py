"""One thread that does disk work in order and reports back on the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

Work = Callable[[], object]
Done = Callable[[BaseException | None], None]


class Worker:
    """Runs what it is given, one piece at a time, in order, off the loop.

    `done(error)` is called on the loop afterwards; error is None or what the work raised. The
    thread is a daemon: a disk that never answers cannot keep a stopping process alive.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._queue: SimpleQueue[tuple[Work, Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self.waiting = 0
        """Pieces handed over whose `done` has not been called."""

    def submit(self, work: Work, done: Done) -> None:
        """Queue a piece of work; call this on the loop's thread."""
        self.waiting += 1
        self._queue.put((work, done))

    def stop(self, timeout_s: float) -> bool:
        """Finish what is queued and end the thread; False where it did not end in time."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            task = self._queue.get()
            if task is None:
                return
            work, done = task
            error: BaseException | None = None
            try:
                work()
            except BaseException as raised:  # noqa: BLE001 - whatever it is, the loop decides
                error = raised
            try:
                self._loop.call_soon_threadsafe(self._finished, done, error)
            except RuntimeError:
                return  # The loop is closed: nobody is left to tell.

    def _finished(self, done: Done, error: BaseException | None) -> None:
        self.waiting -= 1
        done(error)
