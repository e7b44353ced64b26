"""What can be wrong with a history before any model is asked."""

from __future__ import annotations


class CheckerError(Exception):
    """Base of every error of this package."""


class HistoryError(CheckerError):
    """The input is not a history. Nothing of it has been checked.

    reason: what is wrong. source, line: where (line counts from 1; 0 where there are no lines).
    """

    def __init__(self, reason: str, source: str = "", line: int = 0) -> None:
        place = f"{source}:{line}: " if line else f"{source}: " if source else ""
        super().__init__(place + reason)
        self.reason = reason
        self.source = source
        self.line = line

    def at(self, source: str, line: int) -> HistoryError:
        """The same error, with the place it was found at."""
        return HistoryError(self.reason, source, line)


class UnsuitableHistory(CheckerError):
    """A sound history that the chosen data type cannot judge, such as an operation it does not have."""
