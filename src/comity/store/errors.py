"""Typed errors of the store."""

from __future__ import annotations


class StoreError(Exception):
    """Any error the store raises."""


class EngineError(StoreError):
    """An engine cannot be opened, read or written.

    what: what went wrong, where: the path, advice: what to do about it.
    """

    def __init__(self, what: str, where: str, advice: str) -> None:
        self.what = what
        self.where = where
        self.advice = advice
        super().__init__(f"{where}: {what}; {advice}")


class StateError(StoreError):
    """What the engine holds is not a state this version can read; the replica must not start."""


class SnapshotError(StoreError):
    """A snapshot chunk does not fit what was staged before it, or its bytes are damaged."""


class CommandError(StoreError):
    """A command cannot be carried out; its text goes to the client as an error reply.

    text: as Redis words it, with its prefix and without the leading `-`.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        super().__init__(text.decode("utf-8", "replace"))
