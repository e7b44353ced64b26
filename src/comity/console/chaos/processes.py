"""One server process: started, killed, paused, resumed, stopped; what it prints goes to a file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

STOP_TIMEOUT_S = 15.0


class ProcessFailed(RuntimeError):
    """A server process ended, or would not start or stop; the text ends with the last lines it printed."""


class ServerProcess:
    """A child process that can be started again after it died. Every method may be called in any state."""

    def __init__(self, name: str, command: Sequence[str], log: Path, directory: Path | None = None) -> None:
        self.name = name
        self.log = log
        self.starts = 0
        self.paused = False
        self._ended_by_us = True
        self._command = list(command)
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None when it does not run."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether the process exists, paused or not."""
        return self.pid is not None

    @property
    def exit_code(self) -> int | None:
        """How the last run ended; negative is the signal that ended it."""
        return self._child.poll() if self._child is not None else None

    def start(self) -> None:
        """Start it unless it runs. Its own session keeps Ctrl-C from reaching it before we clean up."""
        if self.running:
            return
        self.starts += 1
        self.paused = False
        self._ended_by_us = False
        with self.log.open("ab") as log:
            log.write(f"--- start {self.starts}: {' '.join(self._command)}\n".encode())
            log.flush()
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL: nothing of the process runs on."""
        self._ended_by_us = self._signal(signal.SIGKILL) or self._ended_by_us
        if self._child is not None:
            self._child.wait()
        self.paused = False

    def pause(self) -> None:
        """SIGSTOP: it stands still with all its connections open."""
        self.paused = self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after a pause."""
        if self.paused:
            self._signal(signal.SIGCONT)
        self.paused = False

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """SIGTERM and wait for its end; the exit code. Raises ProcessFailed (after SIGKILL) if it goes on."""
        self.resume()
        self._ended_by_us = self._signal(signal.SIGTERM) or self._ended_by_us
        if self._child is None:
            return 0
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessFailed(
                f"{self.name} did not stop within {timeout_s:g} s of SIGTERM\n{self.tail()}"
            ) from None

    def crashed(self) -> bool:
        """Whether it ended although neither `kill` nor `stop` asked for it; true once for each end."""
        crashed = self._child is not None and not self.running and not self._ended_by_us
        self._ended_by_us = self._ended_by_us or crashed
        return crashed

    def tail(self, lines: int = 12) -> str:
        """The last lines it printed."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def expect_running(self) -> None:
        """Raises ProcessFailed when the process has ended."""
        if not self.running:
            raise ProcessFailed(f"{self.name} ended with exit code {self.exit_code}\n{self.tail()}")

    def _signal(self, number: signal.Signals) -> bool:
        pid = self.pid
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True


def wait_until(condition: object, timeout_s: float, what: str, pause_s: float = 0.02) -> None:
    """Call condition() until it is true; raises TimeoutError naming what was waited for."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(pause_s)
