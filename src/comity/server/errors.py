"""Errors that end a process or refuse to start one: each says what, where, and what to do."""

from __future__ import annotations

EXIT_FAILURE = 1
EXIT_USAGE = 2


class StartError(Exception):
    """A node cannot start, or cannot go on.

    what: what is wrong and where, one sentence without a full stop. remedy: what would help.
    code: the exit code of the process, 2 for usage and configuration, 1 for everything else.
    """

    code = EXIT_FAILURE

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}" if remedy else what)


class SettingsError(StartError):
    """A setting that cannot be used: names it, its source and what would do."""

    code = EXIT_USAGE


class AddressError(StartError):
    """A port that cannot be listened on."""


class DataDirectoryError(StartError):
    """A data directory that is taken, foreign, unusable or another node's."""


class CorruptDataError(DataDirectoryError):
    """Bytes on disk that are not what was written. Starting over them could lose acknowledged writes."""


class FatalError(StartError):
    """A running node found that it must not go on: a failed disk, a broken invariant."""
