"""Typed errors of every format: what was wrong, where, and what to do."""

from __future__ import annotations


class FormatError(ValueError):
    """Bytes that are not of their format."""


class ProtocolError(FormatError):
    """A request that is not RESP; the text is Redis's own."""


class FrameError(FormatError):
    """A peer's stream that is not comity's; the link cannot go on."""


class CorruptLog(FormatError):
    """Damage inside the write-ahead log, where no torn write can reach."""

    def __init__(self, name: str, offset: int, reason: str) -> None:
        self.name = name
        self.offset = offset
        self.reason = reason
        super().__init__(
            f"{name}: corrupt at byte {offset}: {reason}. "
            "Acknowledged writes may be lost if this node goes on; "
            "remove it from the cluster and add a new one in its place, or restore the file"
        )


class CorruptSnapshot(FormatError):
    """A snapshot chunk that is not what its sender wrote."""
