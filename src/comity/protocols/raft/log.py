"""The log of a Raft replica, and when another is at least as up to date."""

from __future__ import annotations

from comity.protocols.raft.messages import Entry
from comity.replica import logged


class Log(logged.Log[Entry]):
    """The shared log, with Raft's comparison."""

    __slots__ = ()

    def covers(self, index: int, term: int) -> bool:
        """Whether a log ending at (index, term) is at least as up to date as this one (5.4.1)."""
        return term > self.last_term or (term == self.last_term and index >= self.last)
